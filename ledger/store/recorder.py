"""The recorder: the only access to the stored events, a subclass of the eventsourcing library's PostgreSQL recorder.

It differs from the library's in three ways: an advisory lock replaces the table lock (which blocks VACUUM and has no
timeout), COPY replaces INSERT (five times as fast), and dense positions replace those of a sequence. `append` opens the
transaction in which the intake reads, decides and writes. `LogQueries` has the queries beyond single streams and pages
of notifications. The library's database functions must be off: they take no lock, and followers missed events
(measured).
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
        """Create missing tables of the ledger, and upgrade older ones to this version."""
        with self.datastore.pool.connection() as connection:
            create_tables(connection)

    @contextmanager
    def append(self) -> Iterator[Append]:
        """Hold the writers' lock during the block, whose transaction is committed at its end.

        Raises:
            ConnectionLostError: the connection was lost, and the transaction may have been committed.
            ReadOnlyError: the database is read-only.
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
            except ReadOnlySqlTransaction as error:  # an InternalError in psycopg
                raise ReadOnlyError("the database is read-only") from error

    def insert_events(self, stored_events: Sequence[StoredEvent], **_: object) -> Sequence[int]:
        """Append events, and return their positions. Unlike the library's, this does not retry on a lost connection."""
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
        """Append trusted, encoded history, and return the new head. A chunk holds rows of `copy_format.text_rows`.

        Each chunk is one transaction. Nothing is decided or decoded; only the positions are checked, which must
        continue from the head without a gap. If a chunk is refused, the earlier ones stay.

        Raises:
            ValueError: the positions of a chunk leave a gap.
        """
        head = Position(0)
        for chunk in chunks:
            with self.append() as append:
                before = append.log.head()
                append.lines(chunk)
                head = append.log.head()
                append.notify(head)
                # Positions are unique, and those up to `before` are in use, so equality rules out a gap.
                if head != before + chunk.count(b"\n"):
                    raise ValueError(
                        f"history must continue at position {before + 1} without a gap; this chunk was not stored"
                    )
        return head

    def rows(
        self, query: str, values: Sequence[object] | dict[str, object], row_factory: BaseRowFactory[Any] = tuple_row
    ) -> list[Any]:
        """Run a statement that reads, and return its rows."""
        with self.datastore.pool.connection() as connection:
            return LogReader(connection).rows(query, values, row_factory)

    def analyze_if_needed(self) -> None:
        """Run ANALYZE if the log has no statistics yet, as after loading a history. Without them the server scans the
        whole log for a few streams, and autovacuum would collect them only after a minute.
        """
        with self.datastore.pool.connection() as connection:
            if LogReader(connection).rows(_COUNTED, ())[0][0] < 0:
                connection.execute("ANALYZE ledger.stored_events")


def _row(event: StoredEvent, position: int) -> bytes:
    if not isinstance(event.originator_id, UUID):
        raise ProgrammingError(f"originator_id {event.originator_id!r} is not a UUID; stream ids must be UUIDs")
    return event_row(event.originator_id.bytes, event.originator_version, event.topic, event.state, position)
