"""The unmodified eventsourcing library, reading the ledger's log: the peer of replays and rebuilds.

Its application recorder reads `ledger.stored_events` directly, because the columns are the library's own. Its mapper
decodes the JSON of an event into a plain object, because each topic is registered with a class. The projections add up
only the minutes between check-in and check-out by volunteer: no rules, no corrections, no stations, no honours. So they
compute much less than the ledger.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter, sleep
from typing import Any, TypeVar
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.dispatch import singledispatchmethod
from eventsourcing.persistence import InfrastructureFactory, Mapper, Tracking, TrackingRecorder
from eventsourcing.popo import POPOTrackingRecorder
from eventsourcing.postgres import PostgresDatastore, PostgresTrackingRecorder
from eventsourcing.projection import Projection, ProjectionRunner
from eventsourcing.utils import Environment, register_topic
from psycopg import connect, sql
from psycopg.sql import SQL, Identifier

from ledger.aggregates import EVENTS
from ledger.store.application import library_environment

BENCH_SCHEMA = "bench_stock"
PAGE_EVENTS = 1_000

View = TypeVar("View", bound=TrackingRecorder)


class StoredLog(Application[UUID]):
    """The library's application on the ledger's log. The name selects the table `stored_events`."""

    name = "stored"


# --- events -----------------------------------------------------------------------------------------------------------


class StockEvent:
    """An event decoded by the library's mapper: a plain object with the stored fields."""

    originator_id: UUID
    originator_version: int
    occurred_at: int
    volunteer: str
    shift: str


class CheckedIn(StockEvent):
    """A check-in."""


class CheckedOut(StockEvent):
    """A check-out."""


_KINDS: dict[str, type[StockEvent]] = {"checked-in.v1": CheckedIn, "checked-out.v1": CheckedOut}

for _topic in EVENTS:
    register_topic(_topic, _KINDS.get(_topic, StockEvent))


def stock_environment(url: str) -> dict[str, str]:
    """Return the environment of the library's own recorder on the ledger's log."""
    return {
        **library_environment(url),
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "STORED_CREATE_TABLE": "no",  # the log exists
        "IN_MEMORY_PERSISTENCE_MODULE": "eventsourcing.popo",
        "IN_POSTGRES_POSTGRES_SCHEMA": BENCH_SCHEMA,
    }


# --- hours in memory --------------------------------------------------------------------------------------------------


class MemoryView(POPOTrackingRecorder):
    """Hours by volunteer in a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.begun: dict[str, int] = {}
        self.minutes: dict[str, int] = {}

    def check_in(self, event: CheckedIn, tracking: Tracking) -> None:
        self.insert_tracking(tracking)
        self.begun.setdefault(event.shift, event.occurred_at)

    def check_out(self, event: CheckedOut, tracking: Tracking) -> None:
        self.insert_tracking(tracking)
        if (begun := self.begun.pop(event.shift, None)) is not None:
            minutes = (event.occurred_at - begun) // 60
            self.minutes[event.volunteer] = self.minutes.get(event.volunteer, 0) + minutes


class MemoryHours(Projection[MemoryView]):
    name = "in_memory"

    @singledispatchmethod
    def process_event(self, domain_event: Any, tracking: Tracking) -> None:  # noqa: ARG002 - the library's signature
        self.view.insert_tracking(tracking)

    @process_event.register
    def _(self, domain_event: CheckedIn, tracking: Tracking) -> None:
        self.view.check_in(domain_event, tracking)

    @process_event.register
    def _(self, domain_event: CheckedOut, tracking: Tracking) -> None:
        self.view.check_out(domain_event, tracking)


# --- hours in PostgreSQL ----------------------------------------------------------------------------------------------


class PostgresView(PostgresTrackingRecorder):
    """Hours by volunteer in a table; each event and its tracking in one transaction, as the library recommends."""

    def __init__(self, datastore: PostgresDatastore, *, tracking_table_name: str, **kwargs: Any) -> None:
        super().__init__(datastore, tracking_table_name=tracking_table_name, **kwargs)
        tables = {
            "begun": "(shift uuid PRIMARY KEY, occurred_at bigint NOT NULL)",
            "hours": "(volunteer text PRIMARY KEY, minutes bigint NOT NULL)",
        }
        for table, columns in tables.items():
            statement = SQL("CREATE TABLE IF NOT EXISTS {} " + columns)
            self.sql_create_statements.append(statement.format(Identifier(datastore.schema, table)))
        begun, hours = Identifier(datastore.schema, "begun"), Identifier(datastore.schema, "hours")
        self._check_in = SQL("INSERT INTO {} VALUES (%s, %s) ON CONFLICT DO NOTHING").format(begun)
        self._check_out = SQL(
            "INSERT INTO {hours} AS h SELECT %s, (%s - occurred_at) / 60 FROM {begun} WHERE shift = %s "
            "ON CONFLICT (volunteer) DO UPDATE SET minutes = h.minutes + EXCLUDED.minutes"
        ).format(hours=hours, begun=begun)

    def check_in(self, event: CheckedIn, tracking: Tracking) -> None:
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, tracking)
            cursor.execute(self._check_in, (event.shift, event.occurred_at), prepare=True)

    def check_out(self, event: CheckedOut, tracking: Tracking) -> None:
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, tracking)
            cursor.execute(self._check_out, (event.volunteer, event.occurred_at, event.shift), prepare=True)


class PostgresHours(Projection[PostgresView]):
    name = "in_postgres"

    @singledispatchmethod
    def process_event(self, domain_event: Any, tracking: Tracking) -> None:  # noqa: ARG002 - the library's signature
        self.view.insert_tracking(tracking)

    @process_event.register
    def _(self, domain_event: CheckedIn, tracking: Tracking) -> None:
        self.view.check_in(domain_event, tracking)

    @process_event.register
    def _(self, domain_event: CheckedOut, tracking: Tracking) -> None:
        self.view.check_out(domain_event, tracking)


# --- running ----------------------------------------------------------------------------------------------------------


def memory_projection(url: str, after: int, head: int, seconds: float) -> float:
    """Run the library's projection runner with the view in memory, from a position towards the head for a limited time;
    return events per second.
    """
    return _run(MemoryHours, MemoryView, stock_environment(url), after, head, seconds)


def postgres_projection(url: str, after: int, head: int, seconds: float, *, durable: bool = True) -> float:
    """Run the library's projection runner with the view in PostgreSQL; return events per second.

    Without `durable`, commits do not wait for the disk; data lost in a crash could be projected again.
    """
    with _bench_schema(url), _synchronous_commit(on=durable):
        return _run(PostgresHours, PostgresView, stock_environment(url), after, head, seconds)


def _run(
    projection_class: type[Projection[View]],
    view_class: type[View],
    environment: dict[str, str],
    after: int,
    head: int,
    seconds: float,
) -> float:
    class StartingView(view_class):  # type: ignore[valid-type,misc] # the runner creates the view and reads its start
        """The view, with a tracking position to start from."""

        def max_tracking_id(self, application_name: str) -> int | None:
            known: int | None = super().max_tracking_id(application_name)
            return after if known is None and application_name == StoredLog.name else known

    begun = perf_counter()
    runner_class: Any = ProjectionRunner  # its type parameter cannot be a local class
    with runner_class(
        application_class=StoredLog, projection_class=projection_class, view_class=StartingView, env=environment
    ) as runner:
        position, elapsed = after, 0.0
        # At least one event must be processed, also on a busy machine.
        while (elapsed < seconds or position == after) and position < head and not runner.is_interrupted.is_set():
            sleep(min(0.1, seconds / 20))
            position = runner.view.max_tracking_id(StoredLog.name)
            elapsed = perf_counter() - begun
    return (position - after) / elapsed


@contextmanager
def _bench_schema(url: str) -> Iterator[None]:
    """Create a schema for the peer's tables; drop it at the end."""
    name = sql.Identifier(BENCH_SCHEMA)
    with connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(name))
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(name))
        try:
            yield
        finally:
            connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(name))


@contextmanager
def _synchronous_commit(*, on: bool) -> Iterator[None]:
    """Set synchronous_commit for connections opened within the context."""
    before = os.environ.get("PGOPTIONS")
    os.environ["PGOPTIONS"] = f"-c synchronous_commit={'on' if on else 'off'}"
    try:
        yield
    finally:
        if before is None:
            del os.environ["PGOPTIONS"]
        else:
            os.environ["PGOPTIONS"] = before


def read_and_decode(url: str, after: int, seconds: float) -> float:
    """Read the log after a position through the library's recorder, in pages, and decode it with its mapper; return
    events per second.
    """
    factory: InfrastructureFactory[Any] = InfrastructureFactory.construct(
        Environment(StoredLog.name, stock_environment(url))
    )
    with factory:
        recorder = factory.application_recorder()
        mapper: Mapper[UUID] = factory.mapper()
        position, begun = after, perf_counter()
        while perf_counter() - begun < seconds:
            page = recorder.select_notifications(start=position, limit=PAGE_EVENTS, inclusive_of_start=False)
            for notification in page:
                mapper.to_domain_event(notification)
            if not page:
                break
            position = page[-1].id
        return (position - after) / (perf_counter() - begun)
