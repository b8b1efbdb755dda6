"""Intake: many orders, one transaction.

    lock -> read what the orders need -> decide each in memory -> COPY events and commands -> commit -> answer

An order is answered once its events are on disk. A repeated order gets the same answer and appends nothing; refusals
are not stored.

A batch is first decided with the cache of earlier batches (`ledger/intake/memory.py`), which avoids nearly all reads.
If the cache is out of date, because another process has written or an old order is repeated, a unique index of the log
or a lookup of the refused names detects it. Nothing is written then, and the batch is decided again on the log. So
several processes may record orders.

Errors: psycopg's, if the database cannot be reached or another writer holds the lock too long. The outcome of the
orders is then unknown, and sending them again is safe. A single order that makes the ledger fail is answered
`Rejection.FAILED`.
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
"""Limits how long a batch holds the writers' lock, to a fraction of a second, so no import blocks a counter."""

ATTEMPTS_MAX = 3
"""How often a batch is tried if its connection is lost."""

logger = logging.getLogger(__name__)


def system_clock() -> int:
    """Return the time in epoch seconds."""
    return int(time.time())


class Intake:
    """Executes orders for one ledger."""

    def __init__(self, database: Database, clock: Clock = system_clock) -> None:
        self._recorder = database.recorder
        self._clock = clock
        self._memory = Memory()
        self._careful = False
        """Whether the last batch had repeated orders that were not cached: such orders come in long runs."""

    def execute(self, orders: Sequence[Order], terms: Terms = ONE_BY_ONE) -> list[Answer]:
        """Decide and record orders in sequence; return their answers in the same order.

        Raises:
            ValueError: an atomic submission or a dry run has too many orders.
        """
        require_one_batch(len(orders), terms)
        answers: list[Answer] = []
        with _collector_paused():
            for start in range(0, len(orders), BATCH_ORDERS_MAX):
                answers += self.execute_prepared(prepare_all(orders[start : start + BATCH_ORDERS_MAX]), terms)
        return answers

    def execute_prepared(self, items: Sequence[Prepared], terms: Terms = ONE_BY_ONE) -> list[Answer]:
        """Execute orders together; if that fails, halve the batch until the order at fault fails alone."""
        try:
            with _collector_paused():
                return self._read_back(items, terms)
        except psycopg.OperationalError:
            raise  # the database's fault, not an order's
        except Exception:
            if terms != ONE_BY_ONE or len(items) == 1:
                # The name is the caller's text, so only its digest, as in ledger.commands, is logged.
                logger.exception("an order failed", extra={"fields": {"command": items[0].name.hex()}})
                return [refuse(Rejection.FAILED, "command", item.order.name) for item in items]
        middle = len(items) // 2
        return self.execute_prepared(items[:middle]) + self.execute_prepared(items[middle:])

    def _read_back(self, items: Sequence[Prepared], terms: Terms) -> list[Answer]:
        """Execute orders; if the connection is lost, find out whether they were committed.

        Executing them again does that: the lock is granted only after the lost transaction has ended, and the table of
        commands then shows whether it was committed.
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
                self._memory.invalidate()
        return self._write(items, terms, careful=True)

    def _write(self, items: Sequence[Prepared], terms: Terms, *, careful: bool) -> list[Answer]:
        if not items:
            return []
        with self._recorder.append() as append:
            batch = Batch(append, self._recorder, items, self._clock, self._memory, careful=careful)
            answers = batch.execute()
            if terms.atomic and any(isinstance(answer, Refused) for answer in answers):
                answers = batch.refuse_new(answers)
            if terms.dry_run:
                answers = batch.without_positions(answers)
            if not batch.recorded:
                append.cancel()
        if batch.recorded:
            batch.update_memory()
        self._careful = careful and batch.repeats
        return answers


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Disable Python's garbage collector during a batch, which makes many objects and no cycles.

    The collector would scan them, and every other object of the process, repeatedly (measured: a decision took 28
    microseconds instead of 9).
    """
    paused = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if paused:
            gc.enable()
