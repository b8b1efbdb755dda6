"""An independent follower of the log for the crash bench: it records the events it sees, in order, by SQL alone.

    python -m bench.crash.reader URL FILE listening|polling

Each line of the file holds a position and the digest of its event as first seen. The follower reconnects when the
connection to the database is lost.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, NoReturn

import psycopg
from psycopg.rows import TupleRow

LISTENING, POLLING = "listening", "polling"
_READ = """
SELECT notification_id, originator_id, originator_version, topic, state FROM ledger.stored_events
WHERE notification_id > %s ORDER BY notification_id LIMIT 5000
"""


def digest(event: tuple[Any, ...]) -> str:
    """Return a digest of a row of the log: position, stream, version, topic and bytes."""
    return sha256(repr(tuple(event)).encode()).hexdigest()


def events_after(connection: psycopg.Connection[TupleRow], position: int) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of the log after a position."""
    while rows := connection.execute(_READ, (position,), binary=True).fetchall():
        yield from rows
        position = rows[-1][0]


def follow(url: str, path: Path, how: str) -> NoReturn:
    """Follow until killed."""
    position = 0
    with path.open("w", encoding="ascii") as file:
        while True:
            with (
                suppress(psycopg.OperationalError, psycopg.InterfaceError),
                psycopg.connect(url, autocommit=True) as connection,
            ):
                if how == LISTENING:
                    connection.execute("LISTEN ledger")
                while True:
                    for event in events_after(connection, position):
                        file.write(f"{event[0]} {digest(event)}\n")
                        position = event[0]
                    file.flush()
                    if how == LISTENING:
                        list(connection.notifies(timeout=0.5, stop_after=1))
                    else:
                        time.sleep(0.03)
            time.sleep(0.1)


if __name__ == "__main__":
    follow(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
