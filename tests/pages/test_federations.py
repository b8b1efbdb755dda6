"""The pages about many ledgers and many workers: every command runs, and prints what the page shows."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.pages.environments import environment_of_pages, make_environment
from tests.support.pages.readme import ROOT, Shell, run_page


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A shell in an empty folder, without a running service."""
    directory: Path = tmp_path_factory.mktemp("federations")
    programs = directory / ".venv" / "bin"
    make_environment(programs)
    python = programs / "python"
    python.unlink(missing_ok=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')  # with the packages that the page's script imports
    python.chmod(0o755)
    environment = environment_of_pages()
    shell = Shell(directory, environment | {"PATH": f"{programs}:{environment['PATH']}"})
    yield shell
    shell.close()


def test_two_districts_become_one_answer(elsewhere: Shell) -> None:
    text = (ROOT / "docs" / "federations.md").read_text("utf-8")
    (script,) = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    (elsewhere.directory / "hours_of.py").write_text(script)
    assert run_page(elsewhere, text, 8000) == 18


def test_facts_are_divided_and_replayed(elsewhere: Shell) -> None:
    assert run_page(elsewhere, (ROOT / "docs" / "scale.md").read_text("utf-8"), 8000) == 3
