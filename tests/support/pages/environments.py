"""Environments in which the commands of pages run."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.support.processes.program import install_hours


def environment_of_pages() -> dict[str, str]:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("DATABASE_", "HOURS_", "PG"))
    }
    return environment | {"COLUMNS": "200"}


def make_environment(folder: Path) -> None:
    """Make a virtual environment like this one, in which `hours` is forked instead of started."""
    folder.mkdir(parents=True)
    for program in Path(sys.executable).parent.iterdir():
        if program.name not in {"hours", "activate"}:
            (folder / program.name).symlink_to(program)
    (folder / "activate").write_text(f'PATH="{folder}:$PATH"\n')
    install_hours(folder)
