"""A running demonstration and a shell beside it: fixtures of a module (tests/pages/test_readme.py,
tests/pages/test_pages.py)."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.pages.readme import ROOT, Shell
from tests.support.processes.program import HOURS, Program, install_hours


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
    programs = directory / ".venv" / "bin"
    _make_environment(programs)
    environment |= {"COLUMNS": "200", "PATH": f"{programs}:{environment['PATH']}"}
    log = directory / "run.log"
    command = (*HOURS, "run", "--port", port)
    with (
        log.open("w") as output,
        Program(*command, environment=environment, folder=directory, out=output, err=output) as demonstration,
    ):
        try:
            deadline = time.monotonic() + 300
            while "Three things to try" not in log.read_text():
                assert demonstration.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
            shell = Shell(directory, environment)
            yield shell
            shell.close()
        finally:
            demonstration.send_signal(signal.SIGINT)
            demonstration.wait(60)


def _make_environment(folder: Path) -> None:
    """Make a virtual environment like this one, in which `hours` is forked instead of started."""
    folder.mkdir(parents=True)
    for program in Path(sys.executable).parent.iterdir():
        if program.name not in {"hours", "activate"}:
            (folder / program.name).symlink_to(program)
    (folder / "activate").write_text(f'PATH="{folder}:$PATH"\n')
    install_hours(folder)
