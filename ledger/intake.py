"""Intake: many orders, one transaction.

    lock -> read what the orders touch -> decide each in memory -> COPY events and commands -> commit -> answer

Nothing is remembered between batches, so several processes may take orders. An order is answered once its events are on
disk. The same order again is answered as the first time and appends nothing; refusals are not remembered.

Errors: psycopg's, when the database cannot be reached or another writer holds the lock too long; nothing is known then
of the orders, and sending them again is safe. A single order that the ledger fails at is answered `Rejection.FAILED`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import NamedTuple
from uuid import UUID

import psycopg
from psycopg import Cursor
from psycopg.rows import TupleRow

from ledger.codec import decode
from ledger.commands import Command, Noted, Order
from ledger.database import Database
from ledger.decide import decide
from ledger.decide.case import Case
from ledger.names import Position
from ledger.persons import Text, keep_texts, salted
from ledger.rejections import Refused, Rejection, refuse
from ledger.streams import BatchStreams
from ledger.writing import Row, take_lock, write_events

BATCH_ORDERS_MAX = 5000
"""An import of any size holds the writers' lock for a fraction of a second at a time, so a counter is never starved."""

ATTEMPTS_MAX = 3
"""How often a batch is tried whose connection was lost."""

_LAST_EVENT = "SELECT notification_id, topic, state FROM ledger.stored_events ORDER BY notification_id DESC LIMIT 1"
_ANSWERED = """
SELECT commands.name, commands.content, commands.position, topic, state
FROM ledger.commands JOIN ledger.stored_events ON notification_id = commands.position WHERE commands.name = ANY(%s)
"""
_COPY_COMMANDS = "COPY ledger.commands (name, content, position) FROM STDIN"

logger = logging.getLogger(__name__)


class Accepted(NamedTuple):
    """The order is in the log: its last event's position, whether it was there before, and the shift it was about."""

    position: Position
    duplicate: bool
    shift: UUID | None


Answer = Accepted | Refused
Clock = Callable[[], int]


def system_clock() -> int:
    """Return the time in epoch seconds."""
    return int(time.time())


class ConnectionLostError(Exception):
    """The connection broke, perhaps in mid-commit."""


class Intake:
    """Takes orders for one ledger."""

    def __init__(self, database: Database, clock: Clock = system_clock) -> None:
        self._pool = database.pool
        self._clock = clock

    def execute(self, orders: Sequence[Order]) -> list[Answer]:
        """Decide and record orders, one after the other; return their answers in the same order."""
        answers: list[Answer] = []
        for start in range(0, len(orders), BATCH_ORDERS_MAX):
            answers += self._isolate(orders[start : start + BATCH_ORDERS_MAX])
        return answers

    def _isolate(self, orders: Sequence[Order]) -> list[Answer]:
        """Execute orders together; when that fails, halve them until the one at fault fails alone."""
        try:
            return self._read_back(orders)
        except psycopg.OperationalError:
            raise  # the database's trouble, not an order's
        except Exception:
            if len(orders) == 1:
                logger.exception("order %s failed", orders[0].name)
                return [refuse(Rejection.FAILED, "command", orders[0].name)]
        middle = len(orders) // 2
        return self._isolate(orders[:middle]) + self._isolate(orders[middle:])

    def _read_back(self, orders: Sequence[Order]) -> list[Answer]:
        """Execute orders; when the connection is lost, read back before answering.

        To execute them again is to read back: the lock is granted only when the lost transaction has ended, one way or
        the other, and the table of commands then says which way.
        """
        for _ in range(ATTEMPTS_MAX - 1):
            try:
                return self._transact(orders)
            except ConnectionLostError:
                logger.warning("connection lost; reading back %d orders", len(orders))
        return self._transact(orders)

    def _transact(self, orders: Sequence[Order]) -> list[Answer]:
        with self._pool.connection() as connection:
            try:
                with connection.transaction(), connection.cursor(binary=True) as cursor:
                    return _Batch(cursor, orders, self._clock).execute()
            except psycopg.OperationalError as error:
                if connection.broken:
                    raise ConnectionLostError from error
                raise


class _Answered(NamedTuple):
    """What the table of commands says of a name."""

    content: UUID
    answer: Accepted


class _Batch:
    """One transaction's work."""

    def __init__(self, cursor: Cursor[TupleRow], orders: Sequence[Order], clock: Clock) -> None:
        take_lock(cursor)
        self._cursor = cursor
        self._orders = orders
        self._names = [_digest(order.name) for order in orders]
        self._head, self._now = _head(cursor)
        self._now = max(self._now, clock())  # recorded_at never goes back, even when the clock does
        self._answered = _answered(cursor, self._names)
        self._streams = BatchStreams(cursor, orders)
        self._rows: list[Row] = []
        self._commands: list[str] = []
        self._texts: list[Text] = []

    def execute(self) -> list[Answer]:
        """Decide the orders one after the other, then write what they come to."""
        answers = [self._answer(order, name) for order, name in zip(self._orders, self._names, strict=True)]
        if self._rows:
            write_events(self._cursor, self._rows, self._head + 1)
            with self._cursor.copy(_COPY_COMMANDS) as copy:
                copy.write("".join(self._commands))
            if self._texts:
                keep_texts(self._cursor, self._texts)
        return answers

    def _answer(self, order: Order, name: UUID) -> Answer:
        content = content_digest(order.command)
        if known := self._answered.get(name):
            if known.content != content:
                return refuse(Rejection.NAME_TAKEN, "id", order.name)
            return known.answer._replace(duplicate=True)
        text = _text(order.command)
        decision = decide(Case(order, self._streams, self._now, text.digest if text else None))
        if isinstance(decision, Refused):
            return decision
        for event in decision:
            stream_id, version = self._streams.append(event)
            self._rows.append((stream_id, version, event.TOPIC, event.model_dump_json(exclude_defaults=True)))
        position = Position(self._head + len(self._rows))
        answer = Accepted(position, duplicate=False, shift=getattr(decision[-1], "shift", None))
        self._answered[name] = _Answered(content, answer)
        self._commands.append(f"{name.hex}\t{content.hex}\t{position}\n")
        if text:
            self._texts.append(text)
        return answer


def content_digest(command: Command) -> UUID:
    """Return 128 bits that stand for what a command says: a storage format, as a repeated order is compared with it.

    A new field of a command must have a default and come last, or old orders look changed. The free text is left out:
    it is erasable, and a digest without a salt would outlive it.
    """
    exclude = {"text"} if isinstance(command, Noted) else None
    return _digest(f"{command.TYPE} {command.model_dump_json(exclude_defaults=True, exclude=exclude)}")


def _digest(text: str) -> UUID:
    return UUID(bytes=blake2b(text.encode(), digest_size=16).digest())


def _head(cursor: Cursor[TupleRow]) -> tuple[Position, int]:
    """Return the last event's position and instant of recording, zeros for an empty log."""
    row = cursor.execute(_LAST_EVENT).fetchone()
    return (Position(row[0]), decode(row[1], row[2]).recorded_at) if row else (Position(0), 0)


def _answered(cursor: Cursor[TupleRow], names: list[UUID]) -> dict[UUID, _Answered]:
    """Return what was answered to these names before."""
    return {
        name: _Answered(content, Accepted(position, duplicate=True, shift=getattr(decode(topic, state), "shift", None)))
        for name, content, position, topic, state in cursor.execute(_ANSWERED, (names,))
    }


def _text(command: Command) -> Text | None:
    """Return a command's free text, salted, with whom it is about."""
    if not isinstance(command, Noted) or command.text is None:
        return None
    return salted(command.text, getattr(command, "volunteer", None))
