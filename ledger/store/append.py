"""Appending to the log: one writer at a time, one transaction, dense positions.

A follower reads the log in order of positions. It would miss an event for ever if a later position could be seen
before an earlier one, so every writer holds one advisory lock from before it learns the head until its transaction has
ended: positions are given out in the order of commits, and without gaps.

Nothing here decides what may be written. Errors are psycopg's: `UniqueViolation` when a stream already has that
version, `LockHeldError` (a `LockNotAvailable`) when another writer would not let go, `ConnectionLostError` and
`ReadOnlyError` (both `OperationalError`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from psycopg import Connection, Cursor, OperationalError
from psycopg.errors import LockNotAvailable
from psycopg.rows import TupleRow, tuple_row

from ledger.names import Position
from ledger.store.copy_format import BEGIN, END
from ledger.store.log_queries import LogReader
from ledger.store.persons import Text, keep_texts

WRITERS_LOCK = 0x6C6564676572  # "ledger"; an advisory lock is its database's own
LOCK_TIMEOUT_SECONDS = 10
"""A writer that waits longer gives up: a batch takes milliseconds, a chunk of history seconds."""

CHANNEL = "ledger"
"""Every commit notifies this channel; the payload is the new head."""

_COPY_TEXT = "COPY ledger.stored_events (originator_id, originator_version, topic, state, notification_id) FROM STDIN"
_COPY_EVENTS = f"{_COPY_TEXT} (FORMAT binary)"
_COPY_COMMANDS = "COPY ledger.commands (name, content, position) FROM STDIN (FORMAT binary)"
_LOCK = "SELECT set_config('lock_timeout', %s, true), pg_advisory_xact_lock(%s)"


class ConnectionLostError(OperationalError):
    """The connection broke, perhaps in mid-commit."""


class ReadOnlyError(OperationalError):
    """The database takes no writing: it is a standby, or its operator has said so."""


class LockHeldError(LockNotAvailable):
    """Another session would not let go of a lock; the message says of which, and how long it was waited for."""


def take_lock(cursor: Cursor[TupleRow], timeout_seconds: int | None = None) -> None:
    """Become the one writer until the transaction ends.

    What is read afterwards is what the last writer left: each statement of a READ COMMITTED transaction has a snapshot
    of its own, so the head must be read by a later statement than this one. (A REPEATABLE READ transaction would go on
    seeing the log as it was before the wait: the pool's connections are READ COMMITTED, whatever the server's default.)

    Raises:
        LockHeldError: another session has held it for so long (`LOCK_TIMEOUT_SECONDS`, if nothing is said).
    """
    seconds = LOCK_TIMEOUT_SECONDS if timeout_seconds is None else timeout_seconds
    try:
        cursor.execute(_LOCK, (f"{seconds}s", WRITERS_LOCK))
    except LockNotAvailable:
        raise LockHeldError(f"another session has held the writers' lock for {seconds} s") from None


class Append:
    """The transaction of the one writer: what it reads of the log is what its own events will follow."""

    def __init__(self, connection: Connection[Any]) -> None:
        self.connection = connection
        with connection.cursor(row_factory=tuple_row) as cursor:
            take_lock(cursor)
        self.log = LogReader(connection)
        self.cancelled = False

    def cancel(self) -> None:
        """Have the transaction rolled back at its end, without an error."""
        self.cancelled = True

    @contextmanager
    def events(self) -> Iterator[Callable[[bytes], None]]:
        """Begin the COPY of events; what is given to the function are rows of `copy_format.event_row`.

        The server stores the first rows while the next are being made. Until the block ends, this connection can read
        nothing.
        """
        with self._copy(_COPY_EVENTS, BEGIN, END) as write:
            yield write

    def lines(self, text: bytes) -> None:
        """Append lines of `copy_format.text_rows`."""
        with self._copy(_COPY_TEXT) as write:
            write(text)

    def commands(self, rows: bytes) -> None:
        """Note answered commands: rows of `copy_format.command_row`."""
        with self._copy(_COPY_COMMANDS, BEGIN, END) as write:
            write(rows)

    def texts(self, texts: list[Text]) -> None:
        """Keep the texts whose digests the events hold."""
        if texts:
            with self.connection.cursor(row_factory=tuple_row) as cursor:
                keep_texts(cursor, texts)

    def notify(self, head: Position) -> None:
        """Tell followers the new head, on commit."""
        self.connection.execute("SELECT pg_notify(%s, %s)", (CHANNEL, str(head)))

    @contextmanager
    def _copy(self, statement: str, begin: bytes = b"", end: bytes = b"") -> Iterator[Callable[[bytes], None]]:
        waiting = [begin]

        def write(rows: bytes) -> None:
            if rows:
                copy.write(b"".join((*waiting, rows)))
                waiting.clear()

        with self.connection.cursor() as cursor, cursor.copy(statement) as copy:
            yield write
            write(end)
