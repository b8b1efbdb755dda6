"""Intake: many orders, one transaction.

    lock -> read what the orders touch -> decide each in memory -> COPY events and commands -> commit -> answer

Nothing is remembered between batches, so several processes may take orders. An order is answered once its events are on
disk. The same order again is answered as the first time and appends nothing; refusals are not remembered.

Errors: psycopg's, when the database cannot be reached or another writer holds the lock too long; nothing is known then
of the orders, and sending them again is safe. A single order that the ledger fails at is answered `Rejection.FAILED`.
"""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple
from uuid import UUID

import psycopg
from psycopg import Cursor
from psycopg.rows import TupleRow

from ledger.codec import decode, encode
from ledger.commands import Order
from ledger.database import Database
from ledger.decide import decide
from ledger.decide.case import Case, Decision
from ledger.names import Position
from ledger.persons import Text, keep_texts
from ledger.prepare import Prepared, prepare
from ledger.rejections import Refused, Rejection, refuse
from ledger.streams import BatchStreams
from ledger.writing import Row, take_lock, write_events

BATCH_ORDERS_MAX = 5000
"""An import of any size holds the writers' lock for a fraction of a second at a time, so a counter is never starved."""

TERMS_ORDERS_MAX = 1000
"""An atomic submission or a dry run is executed alone, so it must not keep the others waiting for long."""

ATTEMPTS_MAX = 3
"""How often a batch is tried whose connection was lost."""

_LAST_EVENT = "SELECT notification_id, topic, state FROM ledger.stored_events ORDER BY notification_id DESC LIMIT 1"
_ANSWERED = """
SELECT commands.name, commands.content, commands.position, topic, state
FROM ledger.commands JOIN ledger.stored_events ON notification_id = commands.position
WHERE commands.name = ANY(%s::uuid[])
"""
_COPY_COMMANDS = "COPY ledger.commands (name, content, position) FROM STDIN"

logger = logging.getLogger(__name__)


class Terms(NamedTuple):
    """How a submission is to be taken.

    atomic: all of it or nothing. When one order is refused, the others are refused as `NOT_ALONE`.
    dry_run: decided as if, with the orders before it in the submission, and nothing is written.
    """

    atomic: bool = False
    dry_run: bool = False


ONE_BY_ONE = Terms()


class Accepted(NamedTuple):
    """The order is in the log: its last event's position, whether it was there already, and the shift it is about.

    An order whose commit was hidden by a lost connection also counts as there already. In a dry run the position of
    what is not there already is None.
    """

    position: Position | None
    duplicate: bool
    shift: UUID | None


Answer = Accepted | Refused
Clock = Callable[[], int]


def system_clock() -> int:
    """Return the time in epoch seconds."""
    return int(time.time())


class ConnectionLostError(psycopg.OperationalError):
    """The connection broke, perhaps in mid-commit."""


class Intake:
    """Takes orders for one ledger."""

    def __init__(self, database: Database, clock: Clock = system_clock) -> None:
        self._pool = database.pool
        self._clock = clock

    def execute(self, orders: Sequence[Order], terms: Terms = ONE_BY_ONE) -> list[Answer]:
        """Decide and record orders, one after the other; return their answers in the same order.

        Raises:
            ValueError: more orders than a batch holds, on terms that need them in one.
        """
        require_one_batch(len(orders), terms)
        if terms != ONE_BY_ONE:
            return self.execute_prepared([prepare(order) for order in orders], terms)
        answers: list[Answer] = []
        with _collector_paused():
            for start in range(0, len(orders), BATCH_ORDERS_MAX):
                answers += self.execute_prepared([prepare(order) for order in orders[start : start + BATCH_ORDERS_MAX]])
        return answers

    def execute_prepared(self, orders: Sequence[Prepared], terms: Terms = ONE_BY_ONE) -> list[Answer]:
        """Execute orders together; when that fails, halve them until the one at fault fails alone."""
        try:
            with _collector_paused():
                return self._read_back(orders, terms)
        except psycopg.OperationalError:
            raise  # the database's trouble, not an order's
        except Exception:
            if len(orders) == 1 or terms != ONE_BY_ONE:
                logger.exception("order %s failed", orders[0].order.name)
                return [refuse(Rejection.FAILED, "command", one.order.name) for one in orders]
        middle = len(orders) // 2
        return self.execute_prepared(orders[:middle]) + self.execute_prepared(orders[middle:])

    def _read_back(self, orders: Sequence[Prepared], terms: Terms) -> list[Answer]:
        """Execute orders; when the connection is lost, read back before answering.

        To execute them again is to read back: the lock is granted only when the lost transaction has ended, one way or
        the other, and the table of commands then says which way.
        """
        for _ in range(ATTEMPTS_MAX - 1):
            try:
                return self._transact(orders, terms)
            except ConnectionLostError:
                logger.warning("connection lost; reading back %d orders", len(orders))
        return self._transact(orders, terms)

    def _transact(self, orders: Sequence[Prepared], terms: Terms) -> list[Answer]:
        with self._pool.connection() as connection:
            try:
                with connection.transaction() as transaction, connection.cursor(binary=True) as cursor:
                    work = _Transaction(cursor, orders, self._clock)
                    answers = work.execute()
                    if terms.atomic and any(isinstance(answer, Refused) for answer in answers):
                        answers = work.not_alone()
                        raise psycopg.Rollback(transaction)
                    if terms.dry_run:
                        answers = work.as_if()
                        raise psycopg.Rollback(transaction)
            except psycopg.OperationalError as error:
                if connection.broken:
                    raise ConnectionLostError from error
                raise
        return answers


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Keep Python's garbage collector away from a batch: it makes many objects and no cycles.

    The collector would look at all of them again and again, and at every object of the process (measured: a decision
    took 28 microseconds instead of 9).
    """
    paused = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if paused:
            gc.enable()


class _Transaction:
    """One transaction's work."""

    def __init__(self, cursor: Cursor[TupleRow], orders: Sequence[Prepared], clock: Clock) -> None:
        take_lock(cursor)
        self._cursor = cursor
        self._orders = orders
        self._head, last_recorded_at = _head(cursor)
        self._clock = clock()
        self._now = max(self._clock, last_recorded_at)  # recorded_at never goes back, even when the clock does
        self._known = _known(cursor, [one.name for one in orders])
        self._streams = BatchStreams(cursor, orders)
        self._answers: list[Answer] = []
        self._commands: list[str] = []
        self._texts: list[Text] = []

    def execute(self) -> list[Answer]:
        """Decide the orders one after the other, and write what they come to."""
        rows: Iterable[Row] = self._decide_all()
        if not self._streams.complete:
            rows = list(rows)  # a decision may have to read, which it cannot do in the middle of a COPY
        write_events(self._cursor, rows, self._head + 1)
        with self._cursor.copy(_COPY_COMMANDS) as copy:
            copy.write("".join(self._commands))
        keep_texts(self._cursor, self._texts)
        return self._answers

    def not_alone(self) -> list[Answer]:
        """Answer orders of which some were refused and so none is recorded; what was there before is still there."""
        return [
            refuse(Rejection.NOT_ALONE, "command", prepared.order.name) if self._is_new(answer) else answer
            for prepared, answer in zip(self._orders, self._answers, strict=True)
        ]

    def as_if(self) -> list[Answer]:
        """Answer orders that were decided and are not recorded: they have no positions."""
        return [
            answer._replace(position=None) if isinstance(answer, Accepted) and self._is_new(answer) else answer
            for answer in self._answers
        ]

    def _is_new(self, answer: Answer) -> bool:
        return isinstance(answer, Accepted) and answer.position is not None and answer.position > self._head

    def _decide_all(self) -> Iterator[Row]:
        position = self._head
        for prepared in self._orders:
            if known := self._known.get(prepared.name):
                self._answers.append(_answer_again(prepared, *known))
                continue
            decision = self._decide(prepared)
            if isinstance(decision, Refused):
                self._answers.append(decision)
                continue
            for event in decision:
                stream_id, version = self._streams.append(event)
                yield stream_id, version, *encode(event)
            position = Position(position + len(decision))
            answer = Accepted(position, duplicate=False, shift=getattr(decision[-1], "shift", None))
            self._known[prepared.name] = prepared.content, answer
            self._answers.append(answer)
            self._commands.append(f"{prepared.name}\t{prepared.content}\t{position}\n")

    def _decide(self, prepared: Prepared) -> Decision:
        if not prepared.text:
            return decide(Case(prepared.order, self._streams, self._now, None, self._clock))
        decision = decide(Case(prepared.order, self._streams, self._now, prepared.text.digest, self._clock))
        if not isinstance(decision, Refused):
            self._texts.append(prepared.text)
        return decision


def _answer_again(prepared: Prepared, content: str, answer: Accepted) -> Answer:
    """Answer a name that was answered before."""
    if content != prepared.content:
        return refuse(Rejection.NAME_TAKEN, "id", prepared.order.name)
    return answer._replace(duplicate=True)


def require_one_batch(orders: int, terms: Terms) -> None:
    """Hold a submission whose terms concern all of it to what is executed together.

    Raises:
        ValueError: it is larger than that.
    """
    if terms != ONE_BY_ONE and orders > TERMS_ORDERS_MAX:
        raise ValueError(f"{orders} orders are more than the {TERMS_ORDERS_MAX} of an atomic submission or a dry run")


def _head(cursor: Cursor[TupleRow]) -> tuple[Position, int]:
    """Return the last event's position and instant of recording, zeros for an empty log."""
    row = cursor.execute(_LAST_EVENT).fetchone()
    return (Position(row[0]), decode(row[1], row[2]).recorded_at) if row else (Position(0), 0)


def _known(cursor: Cursor[TupleRow], names: list[str]) -> dict[str, tuple[str, Accepted]]:
    """Return the content and the answer of those names that were answered before."""
    return {
        name.hex: (content.hex, Accepted(position, duplicate=True, shift=getattr(decode(topic, state), "shift", None)))
        for name, content, position, topic, state in cursor.execute(_ANSWERED, ("{" + ",".join(names) + "}",))
    }
