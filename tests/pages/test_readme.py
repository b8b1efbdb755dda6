"""Every command of the README, of the tour and of the pages about the service runs, and prints what the page shows.

They share one demonstration, in this order: the tour begins where the README ends. The pages about records and honours
continue another copy of it (tests/pages/test_pages.py), so that two processes share the work.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys

import pytest

from tests.support.pages.readme import ROOT, Shell, agrees, run_page, steps

pytest_plugins = ["tests.support.pages.demonstration"]

README = (ROOT / "README.md").read_text("utf-8")


@pytest.fixture(scope="module")
def readme_commands(shell: Shell, port: int) -> int:
    """The demonstration after the README, which the tour continues; how many commands there were."""
    return run_page(shell, README, port)


def test_every_command_of_the_readme_prints_what_is_shown(readme_commands: int) -> None:
    assert readme_commands == 9
    assert len(README.splitlines()) <= 150


def test_every_command_of_the_tour_prints_what_is_shown(shell: Shell, port: int, readme_commands: int) -> None:
    assert readme_commands
    assert run_page(shell, (ROOT / "docs" / "tour.md").read_text("utf-8"), port) == 34


def test_a_stations_developer_gets_to_a_check_in(shell: Shell, port: int) -> None:
    page = (ROOT / "docs" / "stations.md").read_text("utf-8")
    client, with_sdk = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (shell.directory / "station.py").write_text(client.replace("127.0.0.1:8000", f"127.0.0.1:{port}"))
    (shell.directory / "with_sdk.py").write_text(with_sdk)
    assert run_page(shell, page, port) == 16
    kept = [json.loads(line) for line in (shell.directory / "refused.ndjson").read_text().splitlines()]
    assert [one["answer"]["rejection"] for one in kept] == ["malformed", "unknown-volunteer"]
    assert kept[0]["scan"] == '{"specversion": "1.0", "id"'
    python = f"LEDGER=http://127.0.0.1:{port} {sys.executable}"  # which has the SDK
    assert shell.run(f"{python} with_sdk.py").startswith('201 {"outcome":"accepted"')
    assert shell.run(f"KEY=wrong {python} with_sdk.py").startswith("401 ")
    assert shell.run(f"LEDGER=http://127.0.0.1:1 {sys.executable} with_sdk.py").startswith("later: ")


def test_a_stations_developer_may_use_node(shell: Shell, port: int) -> None:
    version = shutil.which("node") and subprocess.check_output(["node", "--version"], text=True)
    if not version or int(version.removeprefix("v").partition(".")[0]) < 18:
        pytest.skip(f"the sample for Node needs Node 18 or newer; there is {version or 'none'}")
    page = (ROOT / "docs" / "stations.md").read_text("utf-8")
    (client,) = re.findall(r"^```js\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (shell.directory / "station.js").write_text(client)
    key = json.loads((shell.directory / "data" / "demo-keys.json").read_text())["station"]
    ledger = f"LEDGER=http://127.0.0.1:{port}"
    assert shell.run(f"{ledger} KEY={key} node station.js").startswith('201 {"outcome":"accepted"')
    assert shell.run(f"{ledger} KEY=wrong node station.js").startswith("401 ")
    assert shell.run("LEDGER=http://127.0.0.1:1 KEY=wrong node station.js").startswith("later: ")


def test_an_operator_backs_up_and_restores(shell: Shell, port: int) -> None:
    assert run_page(shell, (ROOT / "docs" / "operations.md").read_text("utf-8"), port) == 9


def test_an_operator_signs_checkpoints_and_backs_the_keys_up(shell: Shell, port: int) -> None:
    assert run_page(shell, (ROOT / "docs" / "signing-keys.md").read_text("utf-8"), port) == 8


def test_an_operator_imports_old_records(shell: Shell, port: int) -> None:
    assert run_page(shell, (ROOT / "docs" / "import.md").read_text("utf-8"), port) == 16


def test_make_run_prints_what_is_shown(shell: Shell) -> None:
    (shown,) = [step.output for step in steps(README) if step.command == "make run"]
    printed = shell.run("cat run.log")
    assert agrees(shown, printed), printed
