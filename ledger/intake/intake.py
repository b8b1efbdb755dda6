"""Intake: many orders, one transaction.

    lock -> read what the orders touch -> decide each in memory -> COPY events and commands -> commit -> answer

An order is answered once its events are on disk. The same order again is answered as the first time and appends
nothing; refusals are not remembered.

A batch is first decided on what earlier batches learned (`ledger/intake/memory.py`), which spares nearly all reading.
Should another process have written meanwhile, or an order be an old one sent again, a unique index of the log refuses
the batch, or a look at the names of what was refused; nothing is written, and it is decided again on what the log
says. So several processes may take orders.

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

from ledger.aggregates import Order
from ledger.intake.answers import ONE_BY_ONE, Answer, Terms, require_one_batch
from ledger.intake.batch import Batch, Clock, ForgottenError
from ledger.intake.memory import Memory
from ledger.intake.prepare import Prepared, prepare_all
from ledger.rejections import Refused, Rejection, refuse
from ledger.store.append import ConnectionLostError
from ledger.store.database import Database

BATCH_ORDERS_MAX = 5000
"""An import of any size holds the writers' lock for a fraction of a second at a time, so a counter is never starved."""

ATTEMPTS_MAX = 3
"""How often a batch is tried whose connection was lost."""

logger = logging.getLogger(__name__)


def system_clock() -> int:
    """Return the time in epoch seconds."""
    return int(time.time())


class Intake:
    """Takes orders for one ledger."""

    def __init__(self, database: Database, clock: Clock = system_clock) -> None:
        self._recorder = database.recorder
        self._clock = clock
        self._memory = Memory()
        self._careful = False
        """Whether the last batch held orders that nobody remembered: old orders that are sent again come in rows."""

    def execute(self, orders: Sequence[Order], terms: Terms = ONE_BY_ONE) -> list[Answer]:
        """Decide and record orders, one after the other; return their answers in the same order.

        Raises:
            ValueError: more orders than a batch holds, on terms that need them in one.
        """
        require_one_batch(len(orders), terms)
        answers: list[Answer] = []
        with _collector_paused():
            for start in range(0, len(orders), BATCH_ORDERS_MAX):
                answers += self.execute_prepared(prepare_all(orders[start : start + BATCH_ORDERS_MAX]), terms)
        return answers

    def execute_prepared(self, items: Sequence[Prepared], terms: Terms = ONE_BY_ONE) -> list[Answer]:
        """Execute orders together; when that fails, halve them until the one at fault fails alone."""
        try:
            with _collector_paused():
                return self._read_back(items, terms)
        except psycopg.OperationalError:
            raise  # the database's trouble, not an order's
        except Exception:
            if terms != ONE_BY_ONE or len(items) == 1:
                # Its name is its caller's wording, so the log has what ledger.commands has of it.
                logger.exception("an order failed", extra={"fields": {"command": items[0].name.hex()}})
                return [refuse(Rejection.FAILED, "command", one.order.name) for one in items]
        middle = len(items) // 2
        return self.execute_prepared(items[:middle]) + self.execute_prepared(items[middle:])

    def _read_back(self, items: Sequence[Prepared], terms: Terms) -> list[Answer]:
        """Execute orders; when the connection is lost, read back before answering.

        To execute them again is to read back: the lock is granted only when the lost transaction has ended, one way or
        the other, and the table of commands then says which way.
        """
        for _ in range(ATTEMPTS_MAX - 1):
            try:
                return self._transact(items, terms)
            except ConnectionLostError:
                logger.warning("connection lost; reading back %d orders", len(items))
        return self._transact(items, terms)

    def _transact(self, items: Sequence[Prepared], terms: Terms) -> list[Answer]:
        if not self._careful:
            try:
                return self._write(items, terms, careful=False)
            except (UniqueViolation, ForgottenError):
                self._memory.doubt()
        return self._write(items, terms, careful=True)

    def _write(self, items: Sequence[Prepared], terms: Terms, *, careful: bool) -> list[Answer]:
        if not items:
            return []
        with self._recorder.append() as append:
            batch = Batch(append, self._recorder, items, self._clock, self._memory, careful=careful)
            answers = batch.execute()
            if terms.atomic and any(isinstance(answer, Refused) for answer in answers):
                answers = batch.not_alone(answers)
            if terms.dry_run:
                answers = batch.as_if(answers)
            if not batch.recorded:
                append.cancel()
        if batch.recorded:
            batch.remember()
        self._careful = careful and batch.repeats
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
