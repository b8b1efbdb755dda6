"""The PostgreSQL server: one given by its URL, or an embedded one in the data directory.

The embedded server is run by `ledger/store/postgres_server.py`. Every process that uses it holds a shared lock on
`postgres.users`; the last one stops the server, so a short command that started it does not stop it under a service.
The operating system releases the lock of a killed process. A service also supervises the server: if it crashes, or its
disk was full, it is restarted as soon as possible.

This module knows nothing of tables; `ledger/store/database.py` creates them.
"""

from __future__ import annotations

import fcntl
import logging
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from threading import Event, Thread
from typing import IO

import psutil
import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.sql import SQL, Identifier, Literal

from ledger.store.postgres_server import (
    START_SECONDS_MAX,
    DataDirectoryError,
    PostgresServer,
    is_running,
    wheel_versions,
)

POLL_SECONDS = 0.25
DOWN_POLLS = 4
"""A server that is down for this number of polls is restarted; a manual restart is complete by then."""

DATABASE = "ledger"
SETTINGS = {
    "max_wal_size": "4GB",  # history is loaded by the million: fewer checkpoints, fewer full pages written twice
    "shared_buffers": "256MB",
    "synchronous_commit": "on",  # an answered command is on disk
}


logger = logging.getLogger(__name__)


class OtherPostgresError(Exception):
    """The data directory was created by another major version of PostgreSQL; only that version can read it."""

    def __init__(self, path: Path, created_by: str, ours: int) -> None:
        included = created_by in map(str, wheel_versions()[0])
        prefix = f"{_VERSION}={created_by} hours --data {path.parent}" if included else "hours"
        program = "" if included else " with the version of this program that created it"
        super().__init__(
            f"{path} was created by PostgreSQL {created_by}, but this program includes {ours}: run "
            f"`{prefix} backup FOLDER`{program}, then `hours --data ELSEWHERE restore FOLDER` with this version"
        )


_VERSION = "PGSERVER_POSTGRES_VERSION"
"""The wheel's environment variable that selects one of its PostgreSQL versions."""


def _require_same_version(path: Path) -> None:
    """Require that our PostgreSQL can read a data directory, before anything is started or changed."""
    try:
        created_by = (path / "PG_VERSION").read_text().strip()
    except FileNotFoundError:
        return
    ours = wheel_versions()[1]
    if created_by != str(ours):
        raise OtherPostgresError(path, created_by, ours)


class DatabaseUrlError(Exception):
    """A text that names no database. (It is not shown: it may hold a password.)"""

    def __init__(self) -> None:
        super().__init__(
            "DATABASE_URL is not the address of a PostgreSQL database; write one such as "
            "postgresql://USER@HOST:5432/NAME, or leave it out"
        )


def named_url(url: str | None = None) -> str | None:
    """Return the URL of a server that was named, by an argument or by DATABASE_URL; None for the embedded one.

    Raises:
        DatabaseUrlError: it is none.
    """
    named = url or os.environ.get("DATABASE_URL") or None
    if named is not None:
        try:
            conninfo_to_dict(named)
        except psycopg.ProgrammingError:
            raise DatabaseUrlError from None
    return named


def has_data(data: Path) -> bool:
    """Return whether a data directory holds the data of an embedded server; nothing is created or started."""
    try:
        return (data / "postgres" / "PG_VERSION").exists()
    except PermissionError:  # another user's: starting it says whose
        return True


@contextmanager
def serving(data: Path, url: str | None = None, *, supervised: bool = False) -> Iterator[str]:
    """Yield the libpq URL of a running PostgreSQL.

    It is `url`, or the environment variable DATABASE_URL, or else the embedded server in `data/postgres`, which is
    started if it is not running and stopped at the end by the last process that uses it. If it is `supervised`, it is
    restarted whenever it stops.

    Raises:
        OtherPostgresError: the embedded server's data were created by another major version.
        ledger.store.postgres_server.DataDirectoryError: the embedded server cannot be run there.
    """
    if given := named_url(url):
        yield given
        return
    data.mkdir(parents=True, exist_ok=True)
    _require_same_version(data / "postgres")
    with (data / "postgres.users").open("a") as users:
        fcntl.flock(users, fcntl.LOCK_SH)  # waits while an earlier last user stops the server
        with (data / "postgres.starting").open("a") as starting:
            fcntl.flock(starting, fcntl.LOCK_EX)  # one process prepares a new server, the others wait for it
            server = _start_prepared(data / "postgres")
        try:
            _uses[users.fileno()] = users, server
            with _supervision(data) if supervised else nullcontext():
                yield server.uri(DATABASE)
        finally:
            _end_use(users.fileno())


_uses: dict[int, tuple[IO[str], PostgresServer]] = {}
"""The embedded servers that this process uses, by the descriptor of the lock."""


def _end_use(descriptor: int) -> None:
    """End a use of a server, unless it has ended; stop the server if this process was its last user."""
    users, server = _uses.pop(descriptor, (None, None))
    if users is not None and server is not None and _is_last(users):
        _stop(server)


def end_all_uses() -> None:
    """Stop the servers of which this process is the last user, from any thread: the process is about to end."""
    for descriptor in list(_uses):
        _end_use(descriptor)


def _is_last(users: IO[str]) -> bool:
    """Release the shared lock; return whether this was the last user. New users then wait until `users` is closed."""
    fcntl.flock(users, fcntl.LOCK_UN)
    with suppress(BlockingIOError):
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def _stop(server: PostgresServer) -> None:
    """Stop the server, also if another process has restarted it."""
    if is_running(server.path):  # the next start recovers one that crashed
        with suppress(OSError, subprocess.SubprocessError):
            server.stop()


# --- supervision ----------------------------------------------------------------------------------------------------


@contextmanager
def _supervision(data: Path) -> Iterator[None]:
    """Restart the server whenever it stops. This process is one of its users, so no other has stopped it on purpose."""
    leaving = Event()
    thread = Thread(target=_supervise, args=(data, leaving), name="postgres-supervisor", daemon=True)
    thread.start()
    try:
        yield
    finally:
        leaving.set()
        thread.join()


def _supervise(data: Path, leaving: Event) -> None:
    down, server = 0, PostgresServer(data / "postgres")
    while not leaving.wait(POLL_SECONDS):
        down = 0 if is_running(data / "postgres") else down + 1
        _rotate_log(data, server)
        if down >= DOWN_POLLS:
            _restart(data)
            down = 0


def _rotate_log(data: Path, server: PostgresServer) -> None:
    """Bound the server's log; of several users of the server one does."""
    with suppress(OSError):  # the next poll tries again
        if server.is_log_long():
            with (data / "postgres.starting").open("a") as starting:
                fcntl.flock(starting, fcntl.LOCK_EX)
                server.rotate_log()


def _restart(data: Path) -> None:
    """Start a stopped server, unless another of its users just did. After an error the next poll tries again."""
    try:
        with (data / "postgres.starting").open("a") as starting:
            fcntl.flock(starting, fcntl.LOCK_EX)
            if not is_running(data / "postgres"):
                logger.warning("PostgreSQL has stopped; starting it again")
                PostgresServer(data / "postgres").start()
    except (OSError, subprocess.SubprocessError, DataDirectoryError, psutil.Error) as error:
        logger.error("PostgreSQL could not be started; trying again: %s", error)  # noqa: TRY400 - its own log says why


# --- starting -------------------------------------------------------------------------------------------------------


def _start_prepared(path: Path) -> PostgresServer:
    """Start the server and prepare it. One that was just killed can still seem alive, so failures are retried."""
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
    server = PostgresServer(path)
    deadline = time.monotonic() + START_SECONDS_MAX
    while True:
        try:
            server.start()
        except subprocess.SubprocessError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
        else:
            return server


def _prepare(server: PostgresServer) -> None:
    """Create the ledger's database, with our settings, unless it exists."""
    with psycopg.connect(server.uri(), autocommit=True) as connection:
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone():
            return
        for name, value in SETTINGS.items():
            connection.execute(SQL("ALTER SYSTEM SET {} = {}").format(Identifier(name), Literal(value)))
    server.stop()
    server.start()
    with psycopg.connect(server.uri(), autocommit=True) as connection:
        # Last, because the existence of the database marks the preparation as complete.
        create = SQL("CREATE DATABASE {} ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0").format(Identifier(DATABASE))
        connection.execute(create)
