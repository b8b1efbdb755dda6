"""Listening for PostgreSQL notifications on a connection that is reopened after each loss."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event

import psycopg
from psycopg import Connection, sql
from psycopg.rows import TupleRow

PAUSE_SECONDS = 0.1
PAUSE_SECONDS_MAX = 5.0


def confirm(connection: Connection[TupleRow], channel: str) -> None:
    """Listen on a channel; on a connection that already listens, verify that it is alive.

    Raises:
        psycopg.Error: the connection is lost.
    """
    connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))


def listen(
    url: str,
    channel: str,
    stop: Event,
    session: Callable[[Connection[TupleRow]], None],
    *,
    lost: Callable[[Exception, bool], None],
    regained: Callable[[], None],
    errors: tuple[type[Exception], ...] = (psycopg.OperationalError, psycopg.InterfaceError),
    pause_seconds_max: float = PAUSE_SECONDS_MAX,
) -> None:
    """Run `session` with a connection that listens on a channel, and reconnect after each loss, until `stop` is set.

    Args:
        lost: called with the error, and whether it is the first since the connection was established.
        regained: called when the connection is re-established after a loss.
        errors: the errors after which to reconnect; all others end the loop.
        pause_seconds_max: the longest pause between two attempts; pauses begin at 0.1 s and double.
    """
    pause, is_lost = PAUSE_SECONDS, False
    while not stop.is_set():
        try:
            with psycopg.connect(url, autocommit=True, connect_timeout=5, tcp_user_timeout=5000) as connection:
                confirm(connection, channel)
                pause = PAUSE_SECONDS
                if is_lost:
                    is_lost = False
                    regained()
                session(connection)
        except errors as error:
            lost(error, not is_lost)
            is_lost = True
            stop.wait(pause)
            pause = min(2 * pause, pause_seconds_max)
