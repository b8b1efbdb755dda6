"""A running demonstration, a shell beside it, and pages whose commands are run there: fixtures of a module."""

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

from tests.readme import Shell, agrees, steps

ROOT = Path(__file__).parent.parent


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
    (directory / ".venv").symlink_to(Path(sys.prefix))
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("DATABASE_", "HOURS_", "PG"))
    }
    environment |= {"COLUMNS": "200", "PATH": f"{Path(sys.executable).parent}:{environment['PATH']}"}
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


def run_page(shell: Shell, page: str, port: int) -> int:
    """Run the commands of a page; return how many there are."""
    commands = [step for step in steps(page) if step.command != "make run"]
    for command, shown in commands:
        printed = shell.run(command.replace("127.0.0.1:8000", f"127.0.0.1:{port}"))
        assert agrees(shown, printed), f"$ {command}\n{printed}\n--- shown:\n{shown}"
    return len(commands)
