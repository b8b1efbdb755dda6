"""One ledger's database: its connection pools, its tables, its log.

There are two pools: commands, keys and the follower have reserved connections, so that readers, however many and slow,
cannot delay them. Nothing here decides or computes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self
from urllib.parse import quote, urlencode

import psycopg
from psycopg import Connection
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import TupleRow

from ledger.store.application import LedgerDatastore, ServiceHours, library_environment
from ledger.store.pool import CONNECT_SECONDS_MAX, Pool, configure
from ledger.store.recorder import LedgerRecorder
from ledger.store.tables import create_tables, holds_ledger

POOL_SIZE_MAX = 10


def is_ledger(url: str) -> bool:
    """Return whether the database at a libpq URL holds a ledger; it is only read."""
    with psycopg.connect(url, connect_timeout=CONNECT_SECONDS_MAX) as connection:
        return holds_ledger(connection)


def without_password(url: str) -> str:
    """Return a libpq URL or connection string as it may be shown."""
    parts = {name: str(value) for name, value in conninfo_to_dict(url).items() if name not in _SECRET}
    host, port, user, name = (parts.pop(part, "") for part in ("host", "port", "user", "dbname"))
    account, where = f"{user}@" if user else "", host if not host.startswith("/") else quote(host, safe="")
    rest = urlencode(parts)
    return f"postgresql://{account}{where}{f':{port}' if port else ''}/{name}{f'?{rest}' if rest else ''}"


_SECRET = frozenset({"password", "passfile", "sslpassword", "oauth_client_secret"})


class Database:
    """A ledger's database. Use it as a context manager, or close it."""

    def __init__(self, url: str, application: ServiceHours, readers: LedgerDatastore) -> None:
        self.url = url
        self.application = application
        self.recorder = application.ledger
        """The log, for the writer and the follower."""
        self.log = LedgerRecorder(readers)
        """The log, for readers."""
        self.pool: Pool = readers.pool
        self.reserved: Pool = application.datastore.pool
        """For the writer, the follower and keys only, never for readers."""

    @classmethod
    def open(cls, url: str, *, statement_seconds_max: int | None = None) -> Database:
        """Open the database at a libpq URL; create the ledger's tables, or upgrade older ones to this version.

        Args:
            statement_seconds_max: how long a statement of a reader may take, None for any time.

        Raises:
            ledger.store.upgrading.NewerDatabaseError: a newer version of this program has used it.
        """
        with psycopg.connect(url) as connection:
            configure(connection)
            create_tables(connection)
        application = ServiceHours({**library_environment(url), "CREATE_TABLE": "no"})
        readers = LedgerDatastore(url, "readers", POOL_SIZE_MAX, statement_seconds_max=statement_seconds_max)
        return cls(url, application, readers)

    @contextmanager
    def connection(self) -> Iterator[Connection[TupleRow]]:
        """Open a connection outside the pools, for one large or long task."""
        with psycopg.connect(self.url, autocommit=True, connect_timeout=CONNECT_SECONDS_MAX) as connection:
            configure(connection)
            yield connection

    def close(self) -> None:
        """Close every connection."""
        self.pool.close()
        self.application.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
