"""`hours --help` and how commands are found: every command loads, and its summary agrees with its own help."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import cast

import numba
import pytest

from api.cli import lazy
from api.cli.lazy import command_of
from api.cli.main import COMMANDS, execute
from api.operations import warming
from api.operations.version import version
from projections import compiled
from tests.support.patience import PATIENCE_SECONDS

HEAVY = ("numba", "pyarrow", "psycopg", "fastapi", "numpy")


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from api.cli.main import execute; execute(['--help']);"
        f"sys.exit(','.join(set({HEAVY!r}) & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Rules and replay" in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_loads_and_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = command_of(name, COMMANDS[name])
    assert command.help, name
    assert execute([name, "--help"]) == 0
    printed = capsys.readouterr().out
    assert f"Usage: hours {name}" in printed
    assert "completion" not in printed


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["--version"]) == 0
    assert capsys.readouterr().out == f"hours {version()}\n"


def test_a_command_that_compiles_says_so_once_and_counts_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lazy, "_told", [])
    monkeypatch.setattr(compiled, "_announced", [])
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert execute(["rules", "list", "--help"]) == 0  # a command is loaded
    capsys.readouterr()
    try:
        for number in (1, 2):
            assert numba.njit(lambda value, number=number: value + number)(1) == 1 + number
        told = capsys.readouterr().err
    finally:
        cast("compiled.Compilations", lazy._told[0]).close()
    assert told.count(compiled.COMPILING) == 1
    assert "`hours warm`" in told
    assert "\r1 kernels" in told
    assert told.endswith("\r\x1b[K")


def test_warming_says_where_the_kernels_are(capsys: pytest.CaptureFixture[str]) -> None:
    warming.warm()
    assert execute(["warm"]) == 0
    assert capsys.readouterr().out == f"all kernels are compiled, in {compiled.cache_directory()}\n"
    assert execute(["warm", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"folder": str(compiled.cache_directory()), "compiled": 0}


def test_an_unknown_command_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["standing"]) == 2
    assert "Did you mean 'standings'" in capsys.readouterr().err
