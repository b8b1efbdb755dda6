"""The log as the eventsourcing library sees it.

`LogRecorder` is the library's PostgreSQL recorder on `ledger.stored_events`, with three differences: the writers'
advisory lock instead of a table lock (which keeps VACUUM out and waits for ever), COPY instead of INSERT (five times as
fast), and dense notification ids instead of a sequence's. An `Application` uses it when its `env` is
`library_environment(url)`.

The library's database functions stay off: that path takes no lock, and followers missed events (measured).
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from eventsourcing.persistence import ProgrammingError, StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore, PostgresFactory
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import tuple_row

from ledger.database import create_tables
from ledger.writing import CHANNEL, configure, head_position, take_lock, write_events

SCHEMA = "ledger"


def library_environment(url: str) -> dict[str, str]:
    """Return the environment with which the library's `Application` keeps its events in the ledger at a libpq URL."""
    parts = conninfo_to_dict(url)
    return {
        "PERSISTENCE_MODULE": "ledger.recorder:LogFactory",
        "POSTGRES_SCHEMA": SCHEMA,
        **{
            f"POSTGRES_{name.upper()}": str(parts.get(name) or "")
            for name in ("dbname", "host", "port", "user", "password")
        },
    }


class LogRecorder(PostgresApplicationRecorder):
    """The library's recorder on the ledger's log."""

    def __init__(self, datastore: PostgresDatastore, *, events_table_name: str = "stored_events") -> None:
        if datastore.schema != SCHEMA or datastore.enable_db_functions:
            raise ProgrammingError("the log needs POSTGRES_SCHEMA=ledger and POSTGRES_ENABLE_DB_FUNCTIONS off")
        super().__init__(datastore, events_table_name=events_table_name)
        self.channel_name = CHANNEL

    def create_table(self) -> None:
        """Make the ledger's tables where they are missing."""
        with self.datastore.get_connection() as connection:
            create_tables(connection)

    def insert_events(self, stored_events: Sequence[StoredEvent], **_: object) -> Sequence[int]:
        """Append events and return their positions.

        Unlike the library's this does not try again when the connection is lost: the commit may have happened, so the
        caller must read back first.
        """
        with self.datastore.get_connection() as connection:
            configure(connection)
            with connection.transaction(), connection.cursor(row_factory=tuple_row) as cursor:
                take_lock(cursor)
                first = head_position(cursor) + 1
                write_events(cursor, map(_row, stored_events), first)
        return list(range(first, first + len(stored_events)))


def _row(event: StoredEvent) -> tuple[UUID, int, str, bytes]:
    if not isinstance(event.originator_id, UUID):
        raise ProgrammingError(f"originator_id {event.originator_id!r} is no UUID; the log names streams by UUID")
    return event.originator_id, event.originator_version, event.topic, event.state


class LogFactory(PostgresFactory):
    """Makes the library's `Application` use the log; every application shares the one log of its database."""

    def application_recorder(self) -> LogRecorder:
        """Return the recorder of the log, its tables made."""
        recorder = LogRecorder(self.datastore)
        if self.env_create_table():
            recorder.create_table()
        return recorder
