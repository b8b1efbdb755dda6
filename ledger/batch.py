"""One batch of orders in one transaction: what is read, how each is decided, and what is written.

    lock -> read what the orders touch and no earlier batch learned -> decide each in memory -> COPY events and commands

Plain scans come as blocks (`ledger/plain/`) and are recorded as they stand; every other order, and any scan that is not
recorded as it stands, goes up the ladder of its command. `ledger/intake.py` begins and ends the transaction.

Errors: psycopg's; `UniqueViolation` when what was remembered of the log is no longer true, and `ForgottenError` when a
refused order bears a name that was answered before. Nothing is written then.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import groupby

import numpy as np
from psycopg import Cursor
from psycopg.rows import TupleRow

from ledger.answers import Accepted, Answer
from ledger.codec import decode, encode
from ledger.commands import Order
from ledger.decide import decide
from ledger.decide.case import CLOCK_SKEW_SECONDS_MAX, Case
from ledger.events import Event, ShiftEvent
from ledger.names import Position
from ledger.persons import Text, keep_texts
from ledger.plain.block import PENDING, SMALL_BLOCK_SCANS_MAX, Block, Joined
from ledger.plain.deciding import (
    Deciding,
    Learned,
    entries_of,
    learn,
    learned_for,
    remember,
    remembered,
    rows_of_names,
    wanted,
)
from ledger.plain.tables import ENTRY, Memory, Table, entry_of
from ledger.prepare import Prepared, Ready
from ledger.rejections import Refused, Rejection, refuse
from ledger.streams import BatchStreams
from ledger.writing import copied_rows, copy_commands, copy_events, copy_row, notify, take_lock

EVENTS_MAX = 8
"""More events than any one order comes to."""

_LAST_EVENT = "SELECT notification_id, topic, state FROM ledger.stored_events ORDER BY notification_id DESC LIMIT 1"
_ANSWERED = "SELECT name, content, position FROM ledger.commands WHERE name = ANY(%s::uuid[])"
_ANSWERED_WITH_EVENT = """
SELECT commands.name, commands.content, commands.position, topic, state
FROM ledger.commands JOIN ledger.stored_events ON notification_id = commands.position
WHERE commands.name = ANY(%s::uuid[])
"""
_EVENT = "SELECT topic, state FROM ledger.stored_events WHERE notification_id = %s"

Clock = Callable[[], int]

Told = Answer | Block
"""The answer to an order, or a block whose rows say what became of them."""


class ForgottenError(Exception):
    """An order was refused whose name the log has an answer for, which nobody here remembers."""


class Batch:
    """One transaction's work."""

    def __init__(
        self,
        cursor: Cursor[TupleRow],
        items: Sequence[Ready],
        clock: Clock,
        memory: Memory,
        *,
        careful: bool,
    ) -> None:
        take_lock(cursor)
        self._cursor = cursor
        self._items = _joined(items)
        self._memory = memory
        self._careful = careful
        self._blocks = [one for one in self._items if isinstance(one, Block)]
        self._others = [one for one in self._items if isinstance(one, Prepared)]
        self._head, last_recorded_at = read_head(cursor)
        self._clock = clock()
        self._now = max(self._clock, last_recorded_at)  # recorded_at never goes back, even when the clock does
        self._streams = BatchStreams(cursor, memory)
        self._events: list[bytes] = []
        self._new_names: Table = np.empty(0, ENTRY)
        self._new_versions: list[Table] = []
        self._shift_at: dict[int, int | None] = {}
        self._texts: list[Text] = []
        self._refused: list[str] = []
        self.repeats = False
        """Whether there were old orders, which nobody remembered."""
        self.recorded = True
        """Whether the transaction is to be committed."""

    def execute(self) -> list[Told]:
        """Decide the orders one after the other, and write what they come to."""
        with self._memory.lock:
            self._read()
            if not self._others and self._deciding.takes_as_they_stand(self._blocks):
                copy_events(self._cursor, self._rows_of_blocks())
                told: list[Told] = list(self._blocks)
            else:  # a decision may have to read, which it cannot do in the middle of a COPY
                told = self._decide_all()
                if self._refused and not self._careful and self._answers_of(self._refused):
                    raise ForgottenError  # no unique index would object: nothing is written under these names
                if self._events:
                    copy_events(self._cursor, [b"".join(self._events)])
        if self._deciding.position > self._head:
            self._new_names = self._deciding.answered_behind(self._head)
            copy_commands(self._cursor, rows_of_names(self._new_names))
            keep_texts(self._cursor, self._texts)
            notify(self._cursor, self._deciding.position)
        return [each for one in told for each in (one.hand_back() if isinstance(one, Joined) else (one,))]

    def remember(self) -> None:
        """Remember what this transaction learned, once it has been committed."""
        with self._memory.lock:
            remember(self._memory, self._blocks, self._learned)
            self._memory.names.put(self._new_names)
            for version in self._new_versions:
                self._memory.versions.put(version)

    def _read(self) -> None:
        """Read what deciding will ask, as far as it is not remembered."""
        scans = sum(map(len, self._blocks))
        known = remembered(self._memory, careful=self._careful)
        self._learned: Learned = learned_for(scans, EVENTS_MAX * len(self._others))
        answered = self._recall() if self._careful else ()
        asked = wanted(self._blocks, known, careful=self._careful)
        self._learn(self._learned.versions, asked.shifts)
        self._learn(self._learned.known, asked.known)
        self._streams.read_for(one for one in self._others if one.name not in answered)
        latest = self._clock + CLOCK_SKEW_SECONDS_MAX
        self._deciding = Deciding(known, self._learned, int(self._head), self._now, latest)

    def _rows_of_blocks(self) -> Iterator[bytes]:
        """Yield the rows of each block: the server stores one block's while the next is decided."""
        for block in self._blocks:
            self._take_block(block)
            yield b"".join(self._events)
            self._events.clear()

    def _decide_all(self) -> list[Told]:
        return [
            self._take_block(one) if isinstance(one, Block) else self._take(one, one.order, one.name, one.content)
            for one in self._items
        ]

    def _recall(self) -> Collection[str]:
        """Read which names were answered before, instead of what is remembered of them; return those of no block."""
        found = answered_before(self._cursor, [one.name for one in self._others])
        for name, (content, answer) in found.items():
            position = answer.position or 0
            learn(self._learned.names, entry_of(name, position, content))
            self._shift_at[position] = answer.shift_number
        rows = self._answers_of([name for block in self._blocks for name in block.names()])
        for name, content, position in rows:
            learn(self._learned.names, entry_of(name.hex, position, content.hex))
        self.repeats = bool(found or rows)
        return found

    def _answers_of(self, names: Sequence[str]) -> list[TupleRow]:
        return self._cursor.execute(_ANSWERED, ("{" + ",".join(names) + "}",)).fetchall()

    def _learn(self, table: Table, keys: Collection[str]) -> None:
        """Ask the log how long streams are, and note those there are."""
        if keys:
            self._streams.read_versions(keys)
            found = {key: version for key in keys if (version := self._streams.versions[key])}
            if found:
                learn(table, entries_of(list(found), list(found.values())))

    def _take_block(self, block: Block) -> Block:
        """Record the rows of a block; those that cannot be recorded as they stand go up the ladder."""
        block.answers.clear()
        row = 0
        while row < len(block):
            begun = row
            row, events = self._deciding.decide(block, begun)
            if events:
                self._events.append(events)
                if self._others:
                    self._keep(events)
            if row < len(block):
                block.answer_row(row, self._answer_otherwise(block, row))
                row += 1
        return block

    def _keep(self, events: bytes) -> None:
        """Keep the events of a block, which a later order of the batch may ask for."""
        for stream, version, topic, state in copied_rows(events):
            self._streams.keep(stream.hex(), version, json.loads(state)["volunteer"], topic, state)

    def _answer_otherwise(self, block: Block, row: int) -> Answer:
        if block.rows["outcome"][row] == PENDING:
            name, content = block.digests(row)
            return self._take(None, block.order(row), name, content)
        return refuse(Rejection.NAME_TAKEN, "id", block.order(row).name)

    def _take(self, prepared: Prepared | None, order: Order, name: str, content: str) -> Answer:
        """Answer an order by the ladder of its command, or as the first time."""
        if (before := self._deciding.answered(name)) is not None:
            position, said = before
            if said != content:
                return refuse(Rejection.NAME_TAKEN, "id", order.name)
            return Accepted(Position(position), True, self._shift_of(position))  # noqa: FBT003 - by position
        text = prepared.text if prepared else None
        decision = decide(Case(order, self._streams, self._now, text.digest if text else None, self._clock, self._head))
        if isinstance(decision, Refused):
            self._refused.append(name)
            return decision
        if text:  # it is erased with whom it is about, whom a decision about a request has found out
            about = (getattr(event, "volunteer", None) for event in decision)
            self._texts.append(text._replace(volunteer=text.volunteer or next(filter(None, about), None)))
        for event in decision:
            topic, state = encode(event)
            stream, version = self._streams.append(event, topic, state)
            self._deciding.position += 1
            self._events.append(copy_row(bytes.fromhex(stream), version, topic, state, self._deciding.position))
            length = entry_of(stream, version)
            if isinstance(event, ShiftEvent):
                learn(self._learned.versions, length)
                self._new_versions.append(length)
            else:  # whoever it registers, and whatever it opens, is known from now on
                learn(self._learned.known, length)
        position = self._deciding.position
        learn(self._learned.names, entry_of(name, position, content))
        last = decision[-1]
        self._shift_at[position] = _shift_number(last)
        return Accepted(Position(position), False, self._shift_at[position])  # noqa: FBT003 - by position

    def _shift_of(self, position: int) -> int | None:
        """Return the shift that the event at a position is about."""
        if position in self._shift_at:
            return self._shift_at[position]
        if position > self._head:  # a scan of this batch
            for block in self._blocks:
                for row in (block.rows["position"] == position).nonzero()[0]:
                    return block.shift_number(int(row))
        row = self._cursor.execute(_EVENT, (position,)).fetchone()
        event = decode(*row) if row else None
        return event.shift.int if isinstance(event, ShiftEvent) else None

    def not_alone(self, answers: Sequence[Answer], orders: Sequence[str]) -> list[Answer]:
        """Answer orders, given by name, of which some were refused and so none is recorded; what was there is there."""
        self.recorded = False
        return [
            refuse(Rejection.NOT_ALONE, "command", name) if self._is_new(answer) else answer
            for name, answer in zip(orders, answers, strict=True)
        ]

    def as_if(self, answers: Sequence[Answer]) -> list[Answer]:
        """Answer orders that were decided and are not recorded: they have no positions."""
        self.recorded = False
        return [
            answer._replace(position=None) if isinstance(answer, Accepted) and self._is_new(answer) else answer
            for answer in answers
        ]

    def _is_new(self, answer: Answer) -> bool:
        return isinstance(answer, Accepted) and answer.position is not None and answer.position > self._head


def _joined(items: Sequence[Ready]) -> list[Ready]:
    """Return the items, small blocks that follow one another as one."""
    joined: list[Ready] = []
    for small, run in groupby(items, lambda one: isinstance(one, Block) and len(one) <= SMALL_BLOCK_SCANS_MAX):
        blocks = list(run)
        if small and len(blocks) > 1:
            joined.append(Joined([one for one in blocks if isinstance(one, Block)]))
        else:
            joined += blocks
    return joined


def answered_before(cursor: Cursor[TupleRow], names: Collection[str]) -> dict[str, tuple[str, Accepted]]:
    """Return the content and the answer of those names that were answered before."""
    rows = cursor.execute(_ANSWERED_WITH_EVENT, ("{" + ",".join(names) + "}",)).fetchall() if names else []
    return {
        name.hex: (content.hex, Accepted(position, duplicate=True, shift_number=_shift_number(decode(topic, state))))
        for name, content, position, topic, state in rows
    }


def _shift_number(event: Event) -> int | None:
    return event.shift.int if isinstance(event, ShiftEvent) else None


def read_head(cursor: Cursor[TupleRow]) -> tuple[Position, int]:
    """Return the last event's position and instant of recording, zeros for an empty log."""
    row = cursor.execute(_LAST_EVENT).fetchone()
    return (Position(row[0]), decode(row[1], row[2]).recorded_at) if row else (Position(0), 0)
