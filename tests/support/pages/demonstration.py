"""A running demonstration and a shell beside it: fixtures of a module (tests/pages/test_readme.py,
tests/pages/test_pages.py)."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.pages.prefork import Prefork
from tests.support.pages.readme import ROOT, Shell


@pytest.fixture(scope="module")
def port() -> int:
    """A port that is free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
    return number


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[Shell]:
    """A shell beside a running demonstration, as after `make run`."""
    directory = tmp_path_factory.mktemp("readme")
    for folder in ("rules", "docs"):
        (directory / folder).symlink_to(ROOT / folder)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("DATABASE_", "HOURS_", "PG"))
    }
    environment |= {"COLUMNS": "200", "PATH": f"{Path(sys.executable).parent}:{environment['PATH']}"}
    prefork = Prefork(directory, environment)
    _make_environment(directory / ".venv" / "bin", prefork)
    log = directory / "run.log"
    with log.open("w") as output:
        demonstration = subprocess.Popen(
            [str(Path(sys.executable).parent / "hours"), "run", "--port", str(port)],
            cwd=directory,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + 300
        while "Three things to try" not in log.read_text():
            assert demonstration.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        shell = Shell(directory, environment)
        yield shell
        shell.close()
    finally:
        demonstration.send_signal(signal.SIGINT)
        demonstration.wait(60)
        prefork.close()


def _make_environment(folder: Path, prefork: Prefork) -> None:
    """Make a virtual environment like this one, in which `hours` is forked instead of started."""
    folder.mkdir(parents=True)
    for program in Path(sys.executable).parent.iterdir():
        if program.name not in {"hours", "activate"}:
            (folder / program.name).symlink_to(program)
    (folder / "activate").write_text(f'PATH="{folder}:$PATH"\n')
    prefork.install(folder)
