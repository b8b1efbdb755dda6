"""One ledger's database: its pool of connections, its tables, its log.

Opening it makes the tables where they are missing, and upgrades older ones. Nothing here decides or derives.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg import Connection
from psycopg_pool import ConnectionPool

from ledger.log import Log, Pool
from ledger.upgrading import Part, bring_up
from ledger.writing import configure

PART = Part("ledger", (Path(__file__).with_name("schema.sql"),))
POOL_SIZE_MAX = 10
WAIT_SECONDS_MAX = 10.0
"""How long to wait for a connection: who is told to come again is better off than who is kept waiting."""

RECONNECT_SECONDS = 2.0
"""How long the pool tries to make a connection. It makes no other meanwhile, and waits twice as long before each try:
after an outage of a minute it tried once in half a minute, and whoever needed two connections waited with one in hand.
"""

CONNECT_SECONDS_MAX = 5


class Database:
    """A ledger's database. Use it as a context manager, or close it."""

    def __init__(self, url: str, pool: Pool) -> None:
        self.url = url
        self.pool = pool
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
        pool: Pool = ConnectionPool(
            url,
            kwargs={"autocommit": True, "connect_timeout": CONNECT_SECONDS_MAX},
            configure=configure,
            check=ConnectionPool.check_connection,  # a server that was restarted costs no caller an error
            min_size=1,
            max_size=POOL_SIZE_MAX,
            timeout=WAIT_SECONDS_MAX,
            reconnect_timeout=RECONNECT_SECONDS,
            open=True,
        )
        return cls(url, pool)

    def close(self) -> None:
        """Close every connection."""
        self.pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def create_tables(connection: Connection[Any]) -> None:
    """Make the ledger's tables where they are missing, and bring older ones up to this version."""
    bring_up(connection, PART)
