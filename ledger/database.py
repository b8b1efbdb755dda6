"""One ledger's database: its pool of connections, its tables, its log.

Opening it makes the tables where they are missing. Nothing here decides or derives.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg import Connection
from psycopg_pool import ConnectionPool

from ledger.log import Log, Pool
from ledger.writing import configure

SCHEMA = Path(__file__).with_name("schema.sql")
SCHEMA_LOCK = 0x736368656D61  # "schema"
POOL_SIZE_MAX = 10


class Database:
    """A ledger's database. Use it as a context manager, or close it."""

    def __init__(self, url: str, pool: Pool) -> None:
        self.url = url
        self.pool = pool
        self.log = Log(pool)

    @classmethod
    def open(cls, url: str) -> Database:
        """Open the database at a libpq URL and make the ledger's tables where they are missing."""
        with psycopg.connect(url) as connection:
            create_tables(connection)
        pool: Pool = ConnectionPool(
            url,
            kwargs={"autocommit": True},
            configure=configure,
            check=ConnectionPool.check_connection,  # a server that was restarted costs no caller an error
            min_size=1,
            max_size=POOL_SIZE_MAX,
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
    """Apply the schema in one transaction; of two processes that start at once one waits for the other."""
    with connection.transaction():
        connection.execute("SET LOCAL client_min_messages = warning")  # "already exists, skipping" is no news
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (SCHEMA_LOCK,))
        connection.execute(SCHEMA.read_bytes())
