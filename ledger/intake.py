"""Intake: many orders, one transaction.

    lock -> read what the orders touch -> decide each in memory -> COPY events and commands -> commit -> answer

An order is answered once its events are on disk. The same order again is answered as the first time and appends
nothing; refusals are not remembered.

A batch is first decided on what earlier batches learned (`ledger/plain/tables.py`), which spares nearly all reading.
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
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import psycopg
from psycopg.errors import ReadOnlySqlTransaction, UniqueViolation

from ledger.answers import ONE_BY_ONE, Answer, Terms, require_one_batch
from ledger.batch import Batch, Clock, ForgottenError, Told
from ledger.commands import Order
from ledger.database import Database
from ledger.plain.block import Block
from ledger.plain.tables import Memory
from ledger.prepare import Ready, count_orders, name_digest, orders_of, prepare
from ledger.rejections import Refused, Rejection, refuse

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


class ReadOnlyError(psycopg.OperationalError):
    """The database takes no writing: it is a standby, or its keeper has said so."""


class Intake:
    """Takes orders for one ledger."""

    def __init__(self, database: Database, clock: Clock = system_clock) -> None:
        self._pool = database.reserved
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
                answers += flat(self.execute_prepared(prepare(orders[start : start + BATCH_ORDERS_MAX]), terms))
        return answers

    def execute_prepared(self, items: Sequence[Ready], terms: Terms = ONE_BY_ONE) -> list[Told]:
        """Execute orders together; when that fails, halve them until the one at fault fails alone.

        Returns an answer for each item; on terms that concern all of them, an answer for each order.
        """
        try:
            with _collector_paused():
                return self._read_back(items, terms)
        except psycopg.OperationalError:
            raise  # the database's trouble, not an order's
        except Exception:
            if terms != ONE_BY_ONE or sum(map(count_orders, items)) == 1:
                orders = orders_of(items)
                # Its name is its caller's wording, so the log has what ledger.commands has of it.
                digest = name_digest(orders[0].name)
                logger.exception("an order failed", extra={"fields": {"command": digest}})
                return [refuse(Rejection.FAILED, "command", order.name) for order in orders]
        if len(items) > 1:
            middle = len(items) // 2
            return self.execute_prepared(items[:middle]) + self.execute_prepared(items[middle:])
        (block,) = items
        assert isinstance(block, Block)  # noqa: S101 - one item of several orders
        return [self._execute_halved(block)]

    def _execute_halved(self, block: Block) -> Block:
        halves = block.halves()
        for half in halves:
            (told,) = self.execute_prepared([half])
            if not isinstance(told, Block):  # one row, at which the ledger failed
                half.answer_row(0, told)
        block.take_answers(*halves)
        return block

    def _read_back(self, orders: Sequence[Ready], terms: Terms) -> list[Told]:
        """Execute orders; when the connection is lost, read back before answering.

        To execute them again is to read back: the lock is granted only when the lost transaction has ended, one way or
        the other, and the table of commands then says which way.
        """
        for _ in range(ATTEMPTS_MAX - 1):
            try:
                return self._transact(orders, terms)
            except ConnectionLostError:
                logger.warning("connection lost; reading back %d orders", sum(map(count_orders, orders)))
        return self._transact(orders, terms)

    def _transact(self, orders: Sequence[Ready], terms: Terms) -> list[Told]:
        if not self._careful:
            try:
                return self._write(orders, terms, careful=False)
            except (UniqueViolation, ForgottenError):
                self._memory.doubt()
        return self._write(orders, terms, careful=True)

    def _write(self, orders: Sequence[Ready], terms: Terms, *, careful: bool) -> list[Told]:
        with self._pool.connection() as connection:
            try:
                with connection.transaction() as transaction, connection.cursor(binary=True) as cursor:
                    work = Batch(cursor, orders, self._clock, self._memory, careful=careful)
                    told = work.execute()
                    if terms != ONE_BY_ONE:
                        told = list(_on_terms(work, flat(told), orders, terms))
                    if not work.recorded:
                        raise psycopg.Rollback(transaction)
            except psycopg.OperationalError as error:
                if connection.broken:
                    raise ConnectionLostError from error
                raise
            except (
                ReadOnlySqlTransaction
            ) as error:  # no fault of an order, though the driver calls it an internal error
                raise ReadOnlyError("the database takes no writing") from error
        if work.recorded:
            work.remember()
        self._careful = careful and work.repeats
        return told


def flat(told: Iterable[Told]) -> list[Answer]:
    """Return an answer for each order, those of blocks among them."""
    answers: list[Answer] = []
    for one in told:
        if isinstance(one, Block):
            answers += one
        else:
            answers.append(one)
    return answers


def _on_terms(work: Batch, answers: list[Answer], items: Sequence[Ready], terms: Terms) -> list[Answer]:
    """Say of a batch that is taken as a whole, or tried out, whether it is to be committed; return its answers."""
    if terms.atomic and any(isinstance(answer, Refused) for answer in answers):
        answers = work.not_alone(answers, [order.name for order in orders_of(items)])
    return work.as_if(answers) if terms.dry_run else answers


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
