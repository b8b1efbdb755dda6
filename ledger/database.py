"""One ledger's database: its pools of connections, its tables, its log.

There are two pools, so that readers, however many and slow, never keep waiting whoever takes commands, knows keys or
follows the log: those have connections of their own.

Opening it makes the tables where they are missing, and upgrades older ones. Nothing here decides or derives.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool, PoolTimeout

from ledger.log import Log, Pool
from ledger.upgrading import Part, bring_up
from ledger.writing import configure

PART = Part("ledger", tuple(Path(__file__).with_name(name) for name in ("schema.sql", "schema_2.sql")))
POOL_SIZE_MAX = 10
RESERVED_SIZE_MAX = 6
"""One for the writer, two for the follower, and the rest for keys and signatures."""

WAIT_SECONDS_MAX = 10.0
"""How long anybody waits for a connection: as long as for the writers' lock. A restart of the server takes less."""

RECONNECT_SECONDS = 0.5
"""How often those who wait have the server tried again, while it is away."""

CONNECT_SECONDS_MAX = 5
"""How long a server may take to let anybody in: one that is stuck is as good as away."""


class Database:
    """A ledger's database. Use it as a context manager, or close it."""

    def __init__(self, url: str, pool: Pool, reserved: Pool) -> None:
        self.url = url
        self.pool = pool
        self.reserved = reserved
        """For the writer, the follower and keys; for nothing that a reader can ask for."""
        self.log = Log(pool)

    @classmethod
    def open(cls, url: str) -> Database:
        """Open the database at a libpq URL; make the ledger's tables, or bring older ones up to this version.

        Raises:
            ledger.upgrading.NewerDatabaseError: a newer version of this program has used it.
        """
        with psycopg.connect(url) as connection:
            configure(connection)
            create_tables(connection)
        return cls(url, _pool(url, "readers", POOL_SIZE_MAX), _pool(url, "reserved", RESERVED_SIZE_MAX))

    @contextmanager
    def connection(self) -> Iterator[Connection[TupleRow]]:
        """Open a connection outside the pools, for one large or long piece of work."""
        with psycopg.connect(self.url, autocommit=True, connect_timeout=CONNECT_SECONDS_MAX) as connection:
            configure(connection)
            yield connection

    def close(self) -> None:
        """Close every connection."""
        self.pool.close()
        self.reserved.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _PatientPool(ConnectionPool[Connection[TupleRow]]):
    """A pool that finds a server again as soon as it is back.

    A pool's own pauses between attempts double each time, so that after an outage of a minute it may wait for another;
    and those who wait when it gives up get nothing, though the server be back, until somebody else asks.
    """

    def getconn(self, timeout: float | None = None) -> Connection[TupleRow]:
        """Return a connection; while there is none, ask for one again and again."""
        seconds = self.timeout if timeout is None else timeout
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            with suppress(PoolTimeout):
                return super().getconn(min(left, RECONNECT_SECONDS))
        raise PoolTimeout(f"no connection to the database within {seconds:g} s")


def _pool(url: str, name: str, size_max: int) -> Pool:
    return _PatientPool(
        url,
        name=name,
        kwargs={"autocommit": True, "connect_timeout": CONNECT_SECONDS_MAX},
        configure=configure,
        check=ConnectionPool.check_connection,  # a server that was restarted costs no caller an error
        min_size=1,
        max_size=size_max,
        timeout=WAIT_SECONDS_MAX,
        reconnect_timeout=RECONNECT_SECONDS,
        open=True,
    )


def create_tables(connection: Connection[Any]) -> None:
    """Make the ledger's tables where they are missing, and bring older ones up to this version."""
    bring_up(connection, PART)
