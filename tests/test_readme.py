"""Every command in the README runs, and prints what the README shows."""

from __future__ import annotations

import re
import shutil

import pytest

from tests.readme import ROOT, Shell, agrees, run_page, steps

pytest_plugins = ["tests.demonstration"]

README = (ROOT / "README.md").read_text()


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
