"""The recorder: the one door to the stored events, and the eventsourcing library's PostgreSQL recorder.

Three things differ from the library's: the writers' advisory lock stands in the place of a table lock (which keeps
VACUUM out and waits for ever), COPY in the place of INSERT (five times as fast), and dense positions in the place of a
sequence's. `append` opens the transaction in which the intake reads, decides and writes; `LogQueries` holds what the
ledger asks of the log beyond single streams and pages of notifications. The library's database functions stay off: that
path takes no lock, and followers missed events (measured).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import psycopg
from eventsourcing.persistence import ProgrammingError, StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from psycopg.errors import ReadOnlySqlTransaction
from psycopg.rows import BaseRowFactory, tuple_row

from ledger.names import Position
from ledger.store.append import CHANNEL, Append, ConnectionLostError, ReadOnlyError
from ledger.store.copy_format import event_row
from ledger.store.log_queries import LogQueries, LogReader
from ledger.store.tables import create_tables

SCHEMA = "ledger"
_COUNTED = "SELECT reltuples FROM pg_class WHERE oid = 'ledger.stored_events'::regclass"


class LedgerRecorder(LogQueries, PostgresApplicationRecorder):
    """Reads and appends the ledger's events."""

    def __init__(self, datastore: PostgresDatastore, *, events_table_name: str = "stored_events") -> None:
        if datastore.schema != SCHEMA or datastore.enable_db_functions:
            raise ProgrammingError("the log needs POSTGRES_SCHEMA=ledger and POSTGRES_ENABLE_DB_FUNCTIONS off")
        super().__init__(datastore, events_table_name=events_table_name)
        self.channel_name = CHANNEL

    def create_table(self) -> None:
        """Make the ledger's tables where they are missing, and bring older ones up to this version."""
        with self.datastore.pool.connection() as connection:
            create_tables(connection)

    @contextmanager
    def append(self) -> Iterator[Append]:
        """Become the one writer, until the block's transaction is committed.

        Raises:
            ConnectionLostError: the commit may have happened, so read back before answering.
            ReadOnlyError: the database takes no writing.
        """
        with self.datastore.pool.connection() as connection:
            try:
                with connection.transaction() as transaction:
                    append = Append(connection)
                    yield append
                    if append.cancelled:
                        raise psycopg.Rollback(transaction)
            except psycopg.OperationalError as error:
                if connection.broken:
                    raise ConnectionLostError from error
                raise
            except ReadOnlySqlTransaction as error:  # the driver calls it an internal error
                raise ReadOnlyError("the database takes no writing") from error

    def insert_events(self, stored_events: Sequence[StoredEvent], **_: object) -> Sequence[int]:
        """Append events and return their positions.

        Unlike the library's this does not try again when the connection is lost.
        """
        if not stored_events:
            return []
        with self.datastore.get_connection() as connection, connection.transaction():
            append = Append(connection)
            first = append.log.head() + 1
            with append.events() as write:
                write(b"".join([_row(event, position) for position, event in enumerate(stored_events, first)]))
            last = Position(first + len(stored_events) - 1)
            append.notify(last)
        return list(range(first, last + 1))

    def append_history(self, chunks: Iterable[bytes]) -> Position:
        """Append trusted, encoded history and return the new head. A chunk: `copy_format.text_rows`, one transaction.

        Nothing is decided or decoded; only the positions are checked, which must go on from the head without a gap.
        When a chunk is refused the ones before it stay.
        """
        head = Position(0)
        for chunk in chunks:
            with self.append() as append:
                before = append.log.head()
                append.lines(chunk)
                head = append.log.head()
                append.notify(head)
                # Positions are unique and those up to `before` are taken: this equation leaves no room for a gap.
                if head != before + chunk.count(b"\n"):
                    raise ValueError(
                        f"history must go on at position {before + 1}, without a gap; nothing of this chunk is kept"
                    )
        return head

    def rows(
        self, query: str, values: Sequence[object] | dict[str, object], row_factory: BaseRowFactory[Any] = tuple_row
    ) -> list[Any]:
        """Run a statement that reads, and return its rows."""
        with self.datastore.pool.connection() as connection:
            return LogReader(connection).rows(query, values, row_factory)

    def analyze_if_needed(self) -> None:
        """Let the server count a log that was loaded in one go: without statistics it reads the whole of it for a few
        streams, and its own turn comes only after a minute.
        """
        with self.datastore.pool.connection() as connection:
            if LogReader(connection).rows(_COUNTED, ())[0][0] < 0:
                connection.execute("ANALYZE ledger.stored_events")


def _row(event: StoredEvent, position: int) -> bytes:
    if not isinstance(event.originator_id, UUID):
        raise ProgrammingError(f"originator_id {event.originator_id!r} is no UUID; the log names streams by UUID")
    return event_row(event.originator_id.bytes, event.originator_version, event.topic, event.state, position)
