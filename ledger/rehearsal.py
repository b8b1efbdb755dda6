"""Rehearsal: what would become of orders, in however many parts they come, without recording any.

Each order is decided by the same ladders as ever, on the log as it stands and as the orders rehearsed before would have
left it. The writers' lock is not taken, so nobody waits for a rehearsal; what others record between a rehearsal and
the performance, it cannot know.

Of each order about 200 bytes are remembered, and of those that do not enter a shift their events.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from uuid import UUID

from psycopg import Cursor
from psycopg.rows import TupleRow

from ledger.answers import Accepted, Answer
from ledger.batch import Clock, answered_before, read_head
from ledger.codec import decode, encode
from ledger.commands import AttestShift, CheckIn, CheckOut, Order
from ledger.database import Database
from ledger.decide import decide
from ledger.decide.case import Case
from ledger.events import Event
from ledger.intake import system_clock
from ledger.names import stream
from ledger.plain.tables import Memory
from ledger.prepare import Prepared, prepare_by_ladder
from ledger.rejections import Refused, Rejection, refuse
from ledger.streams import BatchStreams, Stored

_SNAPSHOT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"


class Rehearsal:
    """Decides orders, part by part, and records nothing."""

    def __init__(self, database: Database, clock: Clock = system_clock) -> None:
        self._pool = database.pool
        self._clock = clock
        self._nothing = Memory()
        """A rehearsal asks the log alone: what it would learn is not so yet."""
        self._names: dict[bytes, bytes] = {}
        """The digests of the names that would have been accepted, and of what they said."""
        self._said: defaultdict[str, list[Stored]] = defaultdict(list)
        """The events there would be, by stream, as far as a later order may ask for them."""

    def execute(self, orders: Sequence[Order]) -> list[Answer]:
        """Decide orders, one after the other; return their answers, without positions where they would be new.

        Raises:
            ValueError: an order is a scan: those are not rehearsed.
        """
        if any(isinstance(order.command, CheckIn | CheckOut) for order in orders):
            raise ValueError("scans are not rehearsed: they are facts already")
        prepared = [prepare_by_ladder(order) for order in orders]
        with self._pool.connection() as connection, connection.transaction(), connection.cursor(binary=True) as cursor:
            cursor.execute(_SNAPSHOT)
            return self._decide_all(cursor, prepared)

    def _decide_all(self, cursor: Cursor[TupleRow], prepared: Sequence[Prepared]) -> list[Answer]:
        clock = self._clock()
        now = max(clock, read_head(cursor)[1])
        recorded = answered_before(cursor, [one.name for one in prepared])
        stored = BatchStreams(cursor, self._nothing)
        stored.read_for(prepared)
        streams = _AsIf(stored, self._said)
        answers: list[Answer] = []
        for one in prepared:
            name = bytes.fromhex(one.name)
            if known := recorded.get(one.name):
                answers.append(_answer_again(one, *known))
            elif name in self._names:
                answers.append(_answer_again(one, self._names[name].hex(), Accepted(None, True, None)))  # noqa: FBT003
            else:
                note = one.text.digest if one.text else None
                decision = decide(Case(one.order, streams, now, note, clock))
                if isinstance(decision, Refused):
                    answers.append(decision)
                    continue
                self._names[name] = bytes.fromhex(one.content)
                self._keep(one.order, decision)
                answers.append(Accepted(None, duplicate=False, shift_number=None))
        return answers

    def _keep(self, order: Order, events: Iterable[Event]) -> None:
        """Keep what a later order may ask for: of a shift that got its id here nobody can know."""
        if isinstance(order.command, AttestShift) and order.command.shift is None:
            return
        for event in events:
            self._said[event.stream_id.hex].append(encode(event))


class _AsIf:
    """Implements `ledger.decide.case.Streams` with the log and the events there would be."""

    def __init__(self, stored: BatchStreams, said: dict[str, list[Stored]]) -> None:
        self._stored = stored
        self._said = said

    def knows(self, kind: str, key: str) -> bool:
        return stream(kind, key).hex in self._said or self._stored.knows(kind, key)

    def version(self, stream_id: UUID) -> int:
        return self._stored.version(stream_id) + len(self._said.get(stream_id.hex, ()))

    def events(self, stream_id: UUID) -> Sequence[Event]:
        said = self._said.get(stream_id.hex, ())
        return [*self._stored.events(stream_id), *(decode(topic, state) for topic, state in said)]

    def shifts(self, volunteer: str, first_day: int, last_day: int) -> Iterable[Sequence[Event]]:
        """Only a check-out without a shift id looks for shifts, and scans are not rehearsed."""
        raise NotImplementedError


def _answer_again(prepared: Prepared, content: str, answer: Accepted) -> Answer:
    """Answer a name that was answered before."""
    if content != prepared.content:
        return refuse(Rejection.NAME_TAKEN, "id", prepared.order.name)
    return answer._replace(duplicate=True)
