"""Connection pools that reconnect as soon as the server is back."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

from psycopg import Connection, IsolationLevel
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool, PoolTimeout

from ledger.store.durability import ensure_synchronous

Pool = ConnectionPool[Connection[TupleRow]]

WAIT_SECONDS_MAX = 10.0
"""The maximum wait for a connection, the same as for the writers' lock. A restart of the server takes less."""

RECONNECT_SECONDS = 0.5
"""The interval between attempts to connect while the server is down."""

CONNECT_SECONDS_MAX = 5
"""The timeout of one attempt: a server that does not respond counts as down."""


def configure(connection: Connection[Any]) -> None:
    """Set what writers need, whatever the server's defaults: the isolation level; commits wait for the disk."""
    connection.isolation_level = IsolationLevel.READ_COMMITTED
    ensure_synchronous(connection)


def open_pool(url: str, name: str, size_max: int, statement_seconds_max: int | None = None) -> Pool:
    """Return an open pool of connections to the server at a libpq URL.

    Args:
        statement_seconds_max: how long one statement may take, None for any time.
    """

    def configure_one(connection: Connection[Any]) -> None:
        configure(connection)
        if statement_seconds_max is not None:
            connection.execute("SELECT set_config('statement_timeout', %s, false)", (f"{statement_seconds_max}s",))

    return _RetryingPool(
        url,
        name=name,
        kwargs={"autocommit": True, "connect_timeout": CONNECT_SECONDS_MAX},
        configure=configure_one,
        check=ConnectionPool.check_connection,  # no caller gets an error because the server was restarted
        min_size=1,
        max_size=size_max,
        timeout=WAIT_SECONDS_MAX,
        reconnect_timeout=RECONNECT_SECONDS,
        open=True,
    )


def allow_long_statements(connection: Connection[Any]) -> None:
    """Let the statements of a transaction take any time: those of a rebuild, which no caller lengthens at will."""
    connection.execute("SET LOCAL statement_timeout = 0")


class _RetryingPool(ConnectionPool[Connection[TupleRow]]):
    """A pool that keeps trying to connect while a caller waits.

    The base class doubles its pauses between attempts, so after an outage of a minute it may wait for another minute.
    When it gives up, waiting callers fail even if the server is back, until another request triggers new attempts.
    """

    def getconn(self, timeout: float | None = None) -> Connection[TupleRow]:
        """Return a connection, requesting one repeatedly until the timeout."""
        seconds = self.timeout if timeout is None else timeout
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            with suppress(PoolTimeout):
                return super().getconn(min(left, RECONNECT_SECONDS))
        raise PoolTimeout(f"no connection to the database within {seconds:g} s")
