"""Every command in the README runs, and prints what the README shows."""

from __future__ import annotations

import os
import re
import shutil
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
README = (ROOT / "README.md").read_text()


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


def test_every_command_prints_what_is_shown(shell: Shell, port: int) -> None:
    assert run_page(shell, README, port) > 15


def test_a_stations_developer_gets_to_a_check_in(shell: Shell, port: int) -> None:
    page = (ROOT / "docs" / "stations.md").read_text()
    (client,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (shell.directory / "station.py").write_text(client.replace("127.0.0.1:8000", f"127.0.0.1:{port}"))
    assert run_page(shell, page, port) > 8


def test_a_keeper_backs_up_and_restores(shell: Shell, port: int) -> None:
    assert run_page(shell, (ROOT / "docs" / "operations.md").read_text(), port) == 3


def test_a_keeper_imports_old_records(shell: Shell, port: int) -> None:
    assert run_page(shell, (ROOT / "docs" / "import.md").read_text("utf-8"), port) > 12


def test_an_officer_gives_honours_and_takes_one_back(shell: Shell, port: int) -> None:
    assert run_page(shell, (ROOT / "docs" / "honors.md").read_text("utf-8"), port) > 10


def test_organisations_are_told_and_moved(shell: Shell, port: int) -> None:
    assert run_page(shell, (ROOT / "docs" / "organisations.md").read_text("utf-8"), port) == 13


def test_a_volunteer_sees_what_is_about_oneself(shell: Shell, port: int) -> None:
    assert run_page(shell, (ROOT / "docs" / "volunteers.md").read_text("utf-8"), port) > 8


def test_an_auditor_looks_for_anomalies_and_draws_a_sample(shell: Shell, port: int) -> None:
    assert run_page(shell, (ROOT / "docs" / "auditors.md").read_text("utf-8"), port) == 6


def test_a_corrector_asks_and_another_approves(shell: Shell, port: int) -> None:
    assert run_page(shell, (ROOT / "docs" / "corrections.md").read_text("utf-8"), port) > 12


def test_a_year_in_luohu_can_be_walked_through(shell: Shell, port: int) -> None:
    assert run_page(shell, (ROOT / "docs" / "luohu.md").read_text("utf-8"), port) > 40


def test_make_run_prints_what_is_shown(shell: Shell, port: int) -> None:
    (shown,) = [step.output for step in steps(README) if step.command == "make run"]
    printed = shell.run("cat run.log").replace(str(port), "8000")
    assert agrees(shown, printed), printed


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([^)#:]+)\)", README))))
def test_every_link_leads_somewhere(target: str) -> None:
    assert (ROOT / target).exists()


def test_the_benchmarks_named_can_be_run() -> None:
    for name in re.findall(r"python -m (bench\.\w+)", README):
        assert (ROOT / f"{name.replace('.', '/')}.py").exists()
    assert shutil.which("bash")
