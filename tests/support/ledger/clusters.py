"""New embedded PostgreSQL servers without the second that `initdb` takes: a prepared data directory is copied.

The copy is what this program's own code makes; it is made once per test run. Tests of that code ask for
`initdb_itself`.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from ledger.store import embedded
from ledger.store.postgres_server import PostgresServer
from tests.support.processes.shared import made_once, shared_folder

_NAME = "cluster"
_run_program = PostgresServer._run


def copy_clusters() -> None:
    """Let this process copy the prepared data directory instead of running `initdb`."""
    PostgresServer._run = _run  # type: ignore[method-assign]


def run_initdb() -> None:
    """Let this process make the data directories of new servers by `initdb` again."""
    PostgresServer._run = _run_program  # type: ignore[method-assign]


def _run(self: PostgresServer, program: str, *arguments: str) -> None:
    if program != "initdb" or embedded._VERSION in os.environ:  # another version than the copy's
        _run_program(self, program, *arguments)
        return
    with made_once(_NAME) as path:
        if path is not None:
            _make(path)
    subprocess.run(["cp", "-a", f"{shared_folder() / _NAME}/.", self.path], check=True)


def _make(path: Path) -> None:
    """Make and prepare a data directory as this program does for a user."""
    run_initdb()
    try:
        embedded._start_prepared(path).stop()
    finally:
        copy_clusters()
    (path / "log").unlink()
