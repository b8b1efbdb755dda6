"""Appending to the log: one writer at a time, one transaction, dense positions.

A follower reads the log in order of positions. It would miss an event permanently if a later position became visible
before an earlier one. So every writer holds one advisory lock, from before it reads the head until its transaction has
ended: positions are assigned in commit order, without gaps.

Nothing here decides what may be written. Errors are psycopg's: `UniqueViolation` if a stream already has that version,
`LockHeldError` (a `LockNotAvailable`) if another writer holds the lock too long, `ConnectionLostError` and
`ReadOnlyError` (both `OperationalError`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import Connection, Cursor, OperationalError
from psycopg.errors import LockNotAvailable
from psycopg.rows import TupleRow, tuple_row

from ledger.names import Position
from ledger.store.copy_format import BEGIN, END
from ledger.store.durability import SYNCHRONOUS, require_safe
from ledger.store.log_queries import LogReader
from ledger.store.persons import Text, store_texts

WRITERS_LOCK = 0x6C6564676572  # "ledger"; advisory locks are separate in each database
LOCK_TIMEOUT_SECONDS = 10
"""The maximum wait for the lock: a batch holds it for milliseconds, a chunk of history for seconds."""

CHANNEL = "ledger"
"""Every commit notifies this channel, with the new head as payload."""


class EarlyScan(NamedTuple):
    """A scan that was refused because it lies in the future: the digest of its command's name, its instant, and by how
    many seconds it was ahead.
    """

    name: bytes
    occurred_at: int
    seconds_ahead: int


_COPY_TEXT = "COPY ledger.stored_events (originator_id, originator_version, topic, state, notification_id) FROM STDIN"
_COPY_EVENTS = f"{_COPY_TEXT} (FORMAT binary)"
EARLY_SCANS_MAX = 50_000
"""The number of early scans that are kept, the latest: a station may send any number of them."""
_EARLY = """
INSERT INTO ledger.early_scans (name, occurred_at, seconds_ahead) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING
"""
_FORGET_EARLY = """
DELETE FROM ledger.early_scans WHERE refused_at < (
    SELECT refused_at FROM ledger.early_scans ORDER BY refused_at DESC OFFSET %s LIMIT 1
)
"""
_COPY_COMMANDS = "COPY ledger.commands (name, content, position) FROM STDIN (FORMAT binary)"
_LOCK = f"""
SELECT current_setting('fsync'), current_setting('transaction_isolation'), {SYNCHRONOUS.format("true")},
    set_config('lock_timeout', %s, true), pg_advisory_xact_lock(%s)
"""


class ConnectionLostError(OperationalError):
    """The connection was lost, possibly during the commit."""


class ReadOnlyError(OperationalError):
    """The database is read-only: it is a standby, or was configured so."""


class LockHeldError(LockNotAvailable):
    """Another session holds a lock; the message names the lock and how long this session waited for it."""


def take_lock(cursor: Cursor[TupleRow], timeout_seconds: int | None = None) -> None:
    """Take the writers' lock until the transaction ends; its commit then waits for the disk, whatever the defaults.

    The head must be read by a later statement: each statement of a READ COMMITTED transaction has its own snapshot, so
    a later one sees what the last writer committed. (A REPEATABLE READ transaction would still see the log as it was
    before the wait. The pool's connections are READ COMMITTED, whatever the server's default.)

    Raises:
        LockHeldError: another session held the lock for `timeout_seconds` (default: `LOCK_TIMEOUT_SECONDS`).
        ledger.store.durability.UnsafeDatabaseError: a commit would not be on disk.
    """
    seconds = LOCK_TIMEOUT_SECONDS if timeout_seconds is None else timeout_seconds
    try:
        ((fsync, isolation, *_),) = cursor.execute(_LOCK, (f"{seconds}s", WRITERS_LOCK)).fetchall()
    except LockNotAvailable:
        raise LockHeldError(f"another session has held the writers' lock for {seconds} s") from None
    require_safe(fsync, isolation)


class Append:
    """The transaction of the one writer. `log` reads the log that its events will be appended to."""

    def __init__(self, connection: Connection[Any]) -> None:
        self.connection = connection
        with connection.cursor(row_factory=tuple_row) as cursor:
            take_lock(cursor)
        self.log = LogReader(connection)
        self.cancelled = False

    def cancel(self) -> None:
        """Roll the transaction back at its end, without an error."""
        self.cancelled = True

    @contextmanager
    def events(self) -> Iterator[Callable[[bytes], None]]:
        """Begin the COPY of events, and yield a function that writes rows of `copy_format.event_row`.

        The server stores the first rows while the next are made. Until the block ends, this connection cannot be used
        for reading.
        """
        with self._copy(_COPY_EVENTS, BEGIN, END) as write:
            yield write

    def lines(self, text: bytes) -> None:
        """Append lines of `copy_format.text_rows`."""
        with self._copy(_COPY_TEXT) as write:
            write(text)

    def commands(self, rows: bytes) -> None:
        """Store answered commands: rows of `copy_format.command_row`."""
        with self._copy(_COPY_COMMANDS, BEGIN, END) as write:
            write(rows)

    def texts(self, texts: list[Text]) -> None:
        """Store the texts whose digests the events hold."""
        if texts:
            with self.connection.cursor(row_factory=tuple_row) as cursor:
                store_texts(cursor, texts)

    def proofs(self, statement: str, values: Sequence[Sequence[object]]) -> None:
        """Store what proves who sent the recorded commands, by one statement for all."""
        with self.connection.cursor() as cursor:
            cursor.executemany(statement, values)

    def early_scans(self, scans: Sequence[EarlyScan]) -> None:
        """Store scans that were refused because they lie in the future."""
        with self.connection.cursor() as cursor:
            cursor.executemany(_EARLY, [(UUID(bytes=name), at, ahead) for name, at, ahead in scans])

    def forget_early_scans(self) -> None:
        """Drop all but the latest early scans."""
        self.connection.execute(_FORGET_EARLY, (EARLY_SCANS_MAX,))

    def notify(self, head: Position) -> None:
        """Notify followers of the new head, on commit."""
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
