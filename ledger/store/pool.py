"""Pools of connections that find a server again as soon as it is back."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

from psycopg import Connection, IsolationLevel
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool, PoolTimeout

Pool = ConnectionPool[Connection[TupleRow]]

WAIT_SECONDS_MAX = 10.0
"""How long anybody waits for a connection: as long as for the writers' lock. A restart of the server takes less."""

RECONNECT_SECONDS = 0.5
"""How often those who wait have the server tried again, while it is away."""

CONNECT_SECONDS_MAX = 5
"""How long a server may take to let anybody in: one that is stuck is as good as away."""


def configure(connection: Connection[Any]) -> None:
    """Prepare a connection for writers, whatever the server's default isolation is."""
    connection.isolation_level = IsolationLevel.READ_COMMITTED


def patient_pool(url: str, name: str, size_max: int) -> Pool:
    """Return an open pool of connections to the server at a libpq URL."""
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


class _PatientPool(ConnectionPool[Connection[TupleRow]]):
    """A pool that tries the server again and again while somebody waits.

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
