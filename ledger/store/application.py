"""The ledger as an application of the eventsourcing library.

    application = ServiceHours(library_environment(url))
    shift = application.repository.get(shift_stream("V0000001", shift_id))

The library's `ProjectionRunner` can follow it (docs/projections.md). Its `recorder` is the one that the intake appends
with. There is no `save`: commands are submitted to `ledger.intake.intake.Intake`, which decides them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.persistence import Transcoder
from eventsourcing.postgres import PostgresDatastore, PostgresFactory
from eventsourcing.utils import Environment, EnvType
from psycopg import Connection
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import DictRow, dict_row, tuple_row

from ledger.store.mapper import CompactJson, EventMapper
from ledger.store.pool import Pool, open_pool
from ledger.store.recorder import SCHEMA, LedgerRecorder

RESERVED_SIZE_MAX = 6
"""One for the writer, one for reads during its COPY, two for the follower, the rest for keys."""

_URL = "LEDGER_URL"
"""The setting that holds the whole URL; the library's own settings have no place for most parameters of a URL."""
_PARTS = ("dbname", "host", "port", "user", "password")


def library_environment(url: str) -> dict[str, str]:
    """Return the settings with which the library's applications use the ledger at a libpq URL."""
    parts = conninfo_to_dict(url)
    return {
        "PERSISTENCE_MODULE": "ledger.store.application:LedgerFactory",
        "POSTGRES_SCHEMA": SCHEMA,
        _URL: url,
        **{f"POSTGRES_{name.upper()}": str(parts.get(name) or "") for name in _PARTS},
    }


class ServiceHours(Application[UUID]):
    """The ledger of service hours."""

    def construct_transcoder(self) -> Transcoder:
        """Return the transcoder for the ledger's compact JSON."""
        return CompactJson()

    def construct_mapper(self) -> EventMapper:
        """Return the mapper between events and their stored form."""
        return EventMapper(self.construct_transcoder())

    @property
    def datastore(self) -> LedgerDatastore:
        """The datastore of the recorder."""
        assert isinstance(self.factory, LedgerFactory)  # noqa: S101 - set by `library_environment`
        return self.factory.datastore

    @property
    def ledger(self) -> LedgerRecorder:
        """The recorder, as a `LedgerRecorder`."""
        assert isinstance(self.recorder, LedgerRecorder)  # noqa: S101 - the factory makes no other
        return self.recorder


class LedgerDatastore(PostgresDatastore):
    """The library's datastore with the ledger's own pool, which supports every parameter of the URL."""

    pool: Pool  # type: ignore[assignment]

    def __init__(
        self,
        url: str,
        name: str,
        size_max: int,
        schema: str = SCHEMA,
        *,
        statement_seconds_max: int | None = None,
        **settings: Any,
    ) -> None:
        super().__init__("", "", "", "", "", schema=schema, **settings)
        self.pool = open_pool(url, name, size_max, statement_seconds_max)

    @contextmanager
    def get_connection(self) -> Iterator[Connection[DictRow]]:
        """Yield a connection for the library's own methods, which need rows as dictionaries."""
        with super().get_connection() as connection:
            connection.row_factory = dict_row
            try:
                yield connection
            finally:
                connection.row_factory = tuple_row  # type: ignore[assignment]


class LedgerFactory(PostgresFactory):
    """Makes the library's applications use the ledger's log, which all applications of a database share."""

    datastore: LedgerDatastore

    def __init__(self, env: Environment | EnvType | None) -> None:
        super().__init__(env)
        original = self.datastore
        parts: dict[str, Any] = {name: self.env.get(f"POSTGRES_{name.upper()}") or None for name in _PARTS}
        self.datastore = LedgerDatastore(
            self.env.get(_URL) or make_conninfo(**parts),
            "reserved",
            RESERVED_SIZE_MAX,
            original.schema,
            enable_db_functions=original.enable_db_functions,
        )

    def application_recorder(self) -> LedgerRecorder:
        """Return the recorder of the log, after creating its tables if the settings say so."""
        recorder = LedgerRecorder(self.datastore)
        if self.env_create_table():
            recorder.create_table()
        return recorder
