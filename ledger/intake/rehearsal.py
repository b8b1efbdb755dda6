"""Rehearsal: what would become of orders, in however many parts they come, without recording any.

Each order is decided as it would be, on the log as it stands and as the orders rehearsed before would have
left it. The writers' lock is not taken, so nobody waits for a rehearsal; what others record between a rehearsal and
the performance, it cannot know.

Of each order about 200 bytes are remembered, and of those that do not enter a shift their events.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from uuid import UUID

from psycopg import Connection
from psycopg.rows import TupleRow

from ledger.aggregates import Case, Event, Order, decide
from ledger.aggregates.shift import AttestShift, CheckIn, CheckOut
from ledger.intake.answers import Accepted, Answer
from ledger.intake.batch import Clock, answer_again, answered_before, read_head
from ledger.intake.intake import system_clock
from ledger.intake.memory import Answered, Memory
from ledger.intake.prepare import Prepared, prepare_all
from ledger.intake.streams import BatchStreams
from ledger.names import stream_key
from ledger.rejections import Refused
from ledger.store.database import Database
from ledger.store.log_queries import LogReader, Stored
from ledger.store.mapper import decode, encode

_SNAPSHOT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"


class Rehearsal:
    """Decides orders, part by part, and records nothing."""

    def __init__(self, database: Database, clock: Clock = system_clock) -> None:
        self._pool = database.pool
        self._clock = clock
        self._nothing = Memory()
        """A rehearsal asks the log alone: what it would learn is not so yet."""
        self._contents: dict[bytes, bytes] = {}
        """The digests of the names that would have been accepted, and of what they said."""
        self._events: defaultdict[bytes, list[Stored]] = defaultdict(list)
        """The events there would be, by stream, as far as a later order may ask for them."""

    def execute(self, orders: Sequence[Order]) -> list[Answer]:
        """Decide orders, one after the other; return their answers, without positions where they would be new.

        Raises:
            ValueError: an order is a scan: those are not rehearsed.
        """
        if any(isinstance(order.command, CheckIn | CheckOut) for order in orders):
            raise ValueError("scans are not rehearsed: they are facts already")
        prepared = prepare_all(orders)
        with self._pool.connection() as connection, connection.transaction():
            connection.execute(_SNAPSHOT)
            return self._decide_all(connection, prepared)

    def _decide_all(self, connection: Connection[TupleRow], prepared: Sequence[Prepared]) -> list[Answer]:
        log = LogReader(connection)
        clock = self._clock()
        now = max(clock, read_head(log)[1])
        recorded = answered_before(log, [one.name for one in prepared])
        stored = BatchStreams(log, self._nothing, careful=True)
        stored.read_for(prepared)
        streams = _AsIf(stored, self._events)
        answers: list[Answer] = []
        for one in prepared:
            if before := recorded.get(one.name) or self._answered(one.name):
                answers.append(answer_again(one, before))
                continue
            note = one.text.digest if one.text else None
            decision = decide(Case(one.order, streams, now, note, clock))
            if isinstance(decision, Refused):
                answers.append(decision)
                continue
            self._contents[one.name] = one.content
            self._keep(one.order, decision)
            answers.append(Accepted(None, duplicate=False, shift=None))
        return answers

    def _answered(self, name: bytes) -> Answered | None:
        content = self._contents.get(name)
        return Answered(content, 0, None) if content else None

    def _keep(self, order: Order, events: Iterable[Event]) -> None:
        """Keep what a later order may ask for: of a shift that got its id here nobody can know."""
        if isinstance(order.command, AttestShift) and order.command.shift is None:
            return
        for event in events:
            self._events[event.stream_key].append(Stored(*encode(event)))


class _AsIf:
    """Implements `ledger.deciding.case.Streams` with the log and the events there would be."""

    def __init__(self, stored: BatchStreams, new: dict[bytes, list[Stored]]) -> None:
        self._stored = stored
        self._new = new

    def knows(self, kind: str, key: str) -> bool:
        return stream_key(kind, key) in self._new or self._stored.knows(kind, key)

    def version(self, stream_id: UUID) -> int:
        return self._stored.version(stream_id) + len(self._new.get(stream_id.bytes, ()))

    def events(self, stream_id: UUID) -> Sequence[Event]:
        new = self._new.get(stream_id.bytes, ())
        return [*self._stored.events(stream_id), *(decode(*stored) for stored in new)]

    def shifts(self, volunteer: str, first_day: int, last_day: int) -> list[Sequence[Event]]:
        """Only a check-out without a shift id looks for shifts, and scans are not rehearsed."""
        raise NotImplementedError
