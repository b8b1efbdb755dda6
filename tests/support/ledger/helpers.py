"""Helpers of the ledger's tests: a ledger in memory, rows for the log, and a way to wait for a writer held up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import count
from threading import Event as Flag
from typing import Any, TypeVar
from uuid import UUID

import psycopg
from eventsourcing.persistence import StoredEvent

from ledger.aggregates import EVENTS, Aggregate, Case, Command, Decision, Event, decide
from ledger.aggregates.scans import Scan
from ledger.aggregates.shift import ShiftEvent
from ledger.aggregates.volunteer import VolunteerMerged
from ledger.names import shift_stream_ranges, stream
from ledger.rejections import Refused
from ledger.store.copy_format import Row
from ledger.store.database import Database
from tests.support.ledger.orders import order_of

HEAD = 1_000
"""The last position there is, as decisions are told."""
NOW = 1_543_888_800  # 2018-12-04T10:00:00+08:00


A = TypeVar("A", bound=Aggregate)
Given = Command | dict[str, Any]
"""A command of person:p1, or what its order says."""


def by(who: str, command: Command, **more: Any) -> dict[str, Any]:
    """Return a command as another person's."""
    return {"by": f"person:{who}", "command": command, **more}


class Memory:
    """Decides commands and keeps their events: `ledger.deciding.case.Streams` over a dictionary."""

    def __init__(self) -> None:
        self.streams: dict[UUID, list[Event]] = {}
        self._ids = count(1)

    def knows(self, kind: str, key: str) -> bool:
        return self.version(stream(kind, key)) > 0

    def version(self, stream_id: UUID) -> int:
        return len(self.events(stream_id))

    def events(self, stream_id: UUID) -> Sequence[Event]:
        return self.streams.get(stream_id, [])

    def state(self, aggregate: type[A], stream_id: UUID) -> A:
        return aggregate.of(self.events(stream_id))

    def shifts(
        self, aggregate: type[A], volunteer: str, first_day: int, last_day: int, where: Callable[[A], bool]
    ) -> Sequence[A]:
        ranges = shift_stream_ranges(volunteer, first_day, last_day)
        found = (
            aggregate.of(events)
            for low, high in ranges
            for stream_id, events in self.streams.items()
            if low <= stream_id <= high
        )
        return [state for state in found if where(state)]

    def merged_into(self, volunteer: str) -> Sequence[str]:
        events = [event for events in self.streams.values() for event in events]
        merged = [event for event in events if isinstance(event, VolunteerMerged)]
        return sorted({event.volunteer for event in merged if event.into == volunteer})

    def decide(
        self,
        given: Given,
        now: int = NOW,
        note: str | None = None,
        by: str | None = None,
        *,
        imported: bool = False,
    ) -> Decision:
        """Decide a command, and keep what it comes to. A scan is its station's, anything else p1's."""
        said: dict[str, Any] = {"imported": imported}
        said |= {"command": given} if isinstance(given, Command) else given
        scan = said["command"] if isinstance(said["command"], Scan) else None
        said.setdefault("by", by or (f"station:{scan.station}" if scan else "person:p1"))
        order = order_of(source="test", id=str(next(self._ids)), **said)
        decision = decide(Case(order, self, now, note, head=HEAD))
        if not isinstance(decision, Refused):
            for event in decision:
                self.streams.setdefault(event.stream_id, []).append(event)
        return decision

    def given(self, *commands: Given) -> Memory:
        """Decide commands that must be granted."""
        for command in commands:
            decision = self.decide(command)
            assert not isinstance(decision, Refused), f"{command!r} was refused: {decision.detail}"
        return self

    def shift_events(self, volunteer: str) -> list[Event]:
        """Return all events of a volunteer's shifts."""
        return [
            event
            for events in self.streams.values()
            for event in events
            if isinstance(event, ShiftEvent) and event.volunteer == volunteer
        ]


def older_topics() -> dict[str, type[Event]]:
    """Return the topics of older shapes of events, which nobody writes any more, and the classes they are read as."""
    return {
        f"{kind.TOPIC.rpartition('.v')[0]}.v{name.split('_')[1].removeprefix('v')}": kind
        for kind in EVENTS.values()
        for name in dir(kind)
        if name.startswith("upcast_v")
    }


def append_rows(database: Database, rows: Iterable[Row]) -> None:
    """Append rows to the log as they are, in one transaction: stream, version, topic and state of each.

    Raises:
        eventsourcing.persistence.IntegrityError: a stream has that version already.
    """
    database.recorder.insert_events(
        [
            StoredEvent(stream_id, version, topic, state.encode() if isinstance(state, str) else state)
            for stream_id, version, topic, state in rows
        ]
    )


def wait_until_somebody_is_held_up(url: str, unless: Flag) -> None:
    """Wait until some transaction waits for a lock, or until the flag is set."""
    with psycopg.connect(url, autocommit=True) as observer:
        while not observer.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone():
            if unless.wait(timeout=0.01):
                return
