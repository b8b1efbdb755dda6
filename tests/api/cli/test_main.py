"""`hours --help` and how commands are found: every command loads, and its summary agrees with its own help."""

from __future__ import annotations

import subprocess
import sys

import pytest

from api.cli.lazy import command_of
from api.cli.main import COMMANDS, execute

HEAVY = ("numba", "pyarrow", "psycopg", "fastapi", "numpy")


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from api.cli.main import execute; execute(['--help']);"
        f"sys.exit(','.join(set({HEAVY!r}) & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
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


def test_an_unknown_command_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["standing"]) == 2
    assert "Did you mean 'standings'" in capsys.readouterr().err
