"""Intake: many orders, one transaction.

    lock -> read what the orders touch -> decide each in memory -> COPY events and commands -> commit -> answer

An order is answered once its events are on disk. The same order again is answered as the first time and appends
nothing; refusals are not remembered.

A batch is first decided on what earlier batches learned (`ledger/memory.py`), which spares nearly all reading. Should
another process have written meanwhile, or an order be an old one sent again, a unique index of the log refuses the
batch, nothing is written, and it is decided again on what the log says. So several processes may take orders.

Errors: psycopg's, when the database cannot be reached or another writer holds the lock too long; nothing is known then
of the orders, and sending them again is safe. A single order that the ledger fails at is answered `Rejection.FAILED`.
"""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg
from psycopg.errors import UniqueViolation

from ledger.answers import ONE_BY_ONE, Answer, Answered, Terms, require_one_batch
from ledger.batch import Batch, Clock
from ledger.commands import Order
from ledger.database import Database
from ledger.memory import Memory
from ledger.prepare import Ready, prepare
from ledger.rejections import Refused, Rejection, refuse
from ledger.scans import Scan

BATCH_ORDERS_MAX = 5000
"""An import of any size holds the writers' lock for a fraction of a second at a time, so a counter is never starved."""

ATTEMPTS_MAX = 3
"""How often a batch is tried whose connection was lost."""

logger = logging.getLogger(__name__)


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
        self._memory: Memory[Answered] = Memory()
        self._careful = False
        """Whether the last batch held orders that nobody remembered: old orders that are sent again come in rows."""

    def execute(self, orders: Sequence[Order | Scan], terms: Terms = ONE_BY_ONE) -> list[Answer]:
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

    def execute_prepared(self, orders: Sequence[Ready], terms: Terms = ONE_BY_ONE) -> list[Answer]:
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

    def _read_back(self, orders: Sequence[Ready], terms: Terms) -> list[Answer]:
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

    def _transact(self, orders: Sequence[Ready], terms: Terms) -> list[Answer]:
        if not self._careful:
            try:
                return self._write(orders, terms, careful=False)
            except UniqueViolation:
                self._memory.doubt()
        return self._write(orders, terms, careful=True)

    def _write(self, orders: Sequence[Ready], terms: Terms, *, careful: bool) -> list[Answer]:
        with self._pool.connection() as connection:
            try:
                with connection.transaction() as transaction, connection.cursor(binary=True) as cursor:
                    work = Batch(cursor, orders, self._clock, self._memory, careful=careful)
                    answers = work.execute()
                    if terms.atomic and any(isinstance(answer, Refused) for answer in answers):
                        answers = work.not_alone()
                    if terms.dry_run:
                        answers = work.as_if()
                    if not work.recorded:
                        raise psycopg.Rollback(transaction)
            except psycopg.OperationalError as error:
                if connection.broken:
                    raise ConnectionLostError from error
                raise
        if work.recorded:
            work.remember()
        self._careful = careful and work.repeats
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
