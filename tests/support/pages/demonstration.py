"""A running demonstration and a shell beside it: fixtures of a module (tests/pages/test_readme.py,
tests/pages/test_pages.py).

The demonstration is made once in a test run, by a first `hours run`. Each module continues a copy of its own.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.pages.environments import environment_of_pages, make_environment
from tests.support.pages.readme import ROOT, Shell
from tests.support.patience import PATIENCE_SECONDS
from tests.support.processes.program import HOURS, Program
from tests.support.processes.shared import made_once, shared_folder

_NAME = "demonstration"
_FIRST_LOG, _LOG = "run.log", "again.log"


@pytest.fixture(scope="module")
def port() -> int:
    """A port that is free."""
    return _free_port()


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[Shell]:
    """A shell beside a running demonstration, as after `make run`; `run.log` is what its first start printed."""
    with made_once(_NAME) as path:
        if path is not None:
            _make(path)
    directory = tmp_path_factory.mktemp("readme")
    subprocess.run(["cp", "-a", f"{shared_folder() / _NAME}/.", directory], check=True)
    for folder in ("rules", "docs"):
        (directory / folder).symlink_to(ROOT / folder)
    programs = directory / ".venv" / "bin"
    make_environment(programs)
    environment = environment_of_pages()
    environment["PATH"] = f"{programs}:{environment['PATH']}"
    with _running(directory, port, directory / _LOG, environment):
        shell = Shell(directory, environment)
        yield shell
        shell.close()


def _make(directory: Path) -> None:
    """Run the demonstration for the first time, which creates its history. The log names port 8000, as the pages do."""
    directory.mkdir()
    port, log = _free_port(), directory / _FIRST_LOG
    with _running(directory, port, log, environment_of_pages()):
        pass
    log.write_text(log.read_text().replace(f":{port}", ":8000"))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
    return number


@contextmanager
def _running(directory: Path, port: int, log: Path, environment: dict[str, str]) -> Iterator[None]:
    """Run the demonstration, from when it has said what to try to the end of the block."""
    command = (*HOURS, "run", "--port", port)
    with (
        log.open("w") as output,
        Program(*command, environment=environment, folder=directory, out=output, err=output) as demonstration,
    ):
        try:
            deadline = time.monotonic() + PATIENCE_SECONDS
            while "Three things to try" not in log.read_text():
                assert demonstration.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
            yield
        finally:
            demonstration.send_signal(signal.SIGINT)
            demonstration.wait(PATIENCE_SECONDS)
