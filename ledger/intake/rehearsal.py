"""Rehearsal: decide any number of orders, in any number of parts, without recording them.

Each order is decided on the current log and the orders rehearsed before it. The writers' lock is not taken, so a
rehearsal delays nobody. What others record between the rehearsal and the execution is not considered.

A rehearsal holds about 200 bytes per order in memory, and the events of those orders that do not enter a new shift.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar
from uuid import UUID

from psycopg import Connection
from psycopg.rows import TupleRow

from ledger.aggregates import Aggregate, Case, Event, Order, decide
from ledger.aggregates.four_eyes.effects import compares_days
from ledger.aggregates.shift import ShiftEvent
from ledger.aggregates.shift_acts import AttestShift
from ledger.aggregates.volunteer import VolunteerMerged
from ledger.intake.answers import Accepted, Answer
from ledger.intake.batch import Clock, answered_before, answered_formerly, read_head, repeat_answer
from ledger.intake.intake import system_clock
from ledger.intake.memory import Answered, Memory
from ledger.intake.prepare import Prepared, prepare_all
from ledger.intake.streams import BatchStreams, refused_as_full, refused_as_too_large
from ledger.names import shift_stream_ranges, stream_key
from ledger.rejections import Refused
from ledger.store.database import Database
from ledger.store.log_queries import LogReader, Stored
from ledger.store.mapper import decode, encode

A = TypeVar("A", bound=Aggregate)

_SNAPSHOT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"


class Rehearsal:
    """Decides orders, part by part, without recording them."""

    def __init__(self, database: Database, clock: Clock = system_clock) -> None:
        self._pool = database.pool
        self._clock = clock
        self._empty_memory = Memory()
        """Not used as a cache, because rehearsed orders are not in the log."""
        self._contents: dict[bytes, bytes] = {}
        """The content digests of accepted orders, by the digests of their names."""
        self._rehearsed = _Rehearsed()

    def execute(self, orders: Sequence[Order]) -> list[Answer]:
        """Decide orders in sequence; return their answers, without positions for new ones."""
        prepared = prepare_all(orders)
        with self._pool.connection() as connection, connection.transaction():
            connection.execute(_SNAPSHOT)
            return self._decide_all(connection, prepared)

    def _decide_all(self, connection: Connection[TupleRow], prepared: Sequence[Prepared]) -> list[Answer]:
        log = LogReader(connection)
        clock = self._clock()
        now = max(clock, read_head(log)[1])
        recorded = answered_before(log, [item.name for item in prepared]) | answered_formerly(log, prepared)
        of_log = BatchStreams(log, self._empty_memory, careful=True)
        of_log.read_for(prepared)
        streams = _RehearsalStreams(of_log, self._rehearsed)
        answers: list[Answer] = []
        for item in prepared:
            if answered := recorded.get(item.name) or self._answered(item.name):
                answers.append(repeat_answer(item, answered))
                continue
            note = item.text.digest if item.text else None
            case = Case(item.order, streams, now, note, clock, digests=item.digests)
            decision = decide(case)
            if not isinstance(decision, Refused):
                full = refused_as_full(decision, lambda event: streams.version(event.stream_id))
                stored = [encode(event) for event in decision]
                decision = full or refused_as_too_large(item.order.command, stored) or decision
            if isinstance(decision, Refused):
                answers.append(decision)
                continue
            self._contents[item.name] = item.content
            self._store(case, decision)
            answers.append(Accepted(None, duplicate=False, shift=None))
        return answers

    def _answered(self, name: bytes) -> Answered | None:
        content = self._contents.get(name)
        return Answered(content, 0, None) if content else None

    def _store(self, case: Case, events: Iterable[Event]) -> None:
        """Store the events that a later order may read: none can refer to a shift whose id was generated here, but the
        rules may compare the minutes of its day.
        """
        command = case.order.command
        if isinstance(command, AttestShift) and command.shift is None and not compares_days(case):
            return
        for event in events:
            self._rehearsed.add(event)


class _Rehearsed:
    """The events of rehearsed orders that a later order may read."""

    def __init__(self) -> None:
        self.events: defaultdict[bytes, list[Stored]] = defaultdict(list)
        """By stream."""
        self.shifts: defaultdict[str, set[bytes]] = defaultdict(set)
        """The streams of shifts, by volunteer."""
        self.merged_into: defaultdict[str, set[str]] = defaultdict(set)
        """The numbers that were merged into a number."""

    def add(self, event: Event) -> None:
        """Add an event."""
        self.events[event.stream_key].append(Stored(*encode(event)))
        if isinstance(event, ShiftEvent):
            self.shifts[event.volunteer].add(event.stream_key)
        elif isinstance(event, VolunteerMerged):
            self.merged_into[event.into].add(event.volunteer)


class _RehearsalStreams:
    """Implements `ledger.deciding.case.Streams` with the log and the events of rehearsed orders."""

    def __init__(self, stored: BatchStreams, new: _Rehearsed) -> None:
        self._stored = stored
        self._new = new

    def knows(self, kind: str, key: str) -> bool:
        return stream_key(kind, key) in self._new.events or self._stored.knows(kind, key)

    def version(self, stream_id: UUID) -> int:
        return self._stored.version(stream_id) + len(self._new.events.get(stream_id.bytes, ()))

    def events(self, stream_id: UUID) -> Sequence[Event]:
        new = self._new.events.get(stream_id.bytes, ())
        return [*self._stored.events(stream_id), *(decode(*stored) for stored in new)]

    def state(self, aggregate: type[A], stream_id: UUID) -> A:
        new = self._new.events.get(stream_id.bytes, ())
        return self._stored.state(aggregate, stream_id).after_all(decode(*stored) for stored in new)

    def shifts(
        self, aggregate: type[A], volunteer: str, first_day: int, last_day: int, where: Callable[[A], bool]
    ) -> Sequence[A] | None:
        stored = self._stored.shift_keys(volunteer, first_day, last_day)
        if stored is None:
            return None
        ranges = shift_stream_ranges(volunteer, first_day, last_day)
        new = {
            key for key in self._new.shifts[volunteer] if any(low.bytes <= key <= high.bytes for low, high in ranges)
        }
        states = [self.state(aggregate, UUID(bytes=key)) for key in new.union(stored)]
        return [state for state in states if where(state)]

    def merged_into(self, volunteer: str) -> Sequence[str] | None:
        stored = self._stored.merged_into(volunteer)
        return None if stored is None else [*stored, *self._new.merged_into[volunteer].difference(stored)]
