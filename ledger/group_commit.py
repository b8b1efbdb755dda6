"""Group commit: orders that arrive while a commit is under way share the next one.

One thread writes. Callers prepare their orders in their own threads, submit them, and get a future. The queue is
bounded: when it is full the caller is told at once, rather than waiting without end. A large submission is taken a
slice at a time, and its rest goes to the back of the queue, so an import never keeps a counter waiting for more than a
batch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from threading import Condition, Thread
from types import TracebackType
from typing import Self

from ledger.answers import ONE_BY_ONE, Answer, Terms, require_one_batch
from ledger.commands import Order
from ledger.intake import BATCH_ORDERS_MAX, Intake
from ledger.prepare import Ready, prepare
from ledger.scans import Scan

SLICE_ORDERS_MAX = 1000
"""At most so many orders of one submission enter a batch."""

QUEUE_ORDERS_MAX = 50_000
"""About two seconds of work: more than that is better turned away than kept waiting."""


class QueueFull(Exception):  # noqa: N818 - named as the standard library names it
    """Too many orders are waiting; try again in a moment, or submit fewer at a time."""


class _Submission:
    def __init__(self, orders: Sequence[Ready], terms: Terms) -> None:
        self.orders = orders
        self.terms = terms
        self.taken = 0
        self.answers: list[Answer] = []
        self.future: Future[list[Answer]] = Future()
        self.future.set_running_or_notify_cancel()  # an order cannot be taken back

    def take(self, room: int) -> Sequence[Ready]:
        slice_ = self.orders[self.taken : self.taken + min(room, SLICE_ORDERS_MAX)]
        self.taken += len(slice_)
        return slice_

    def answer(self, answers: Sequence[Answer]) -> None:
        self.answers += answers
        if len(self.answers) == len(self.orders):
            self.future.set_result(self.answers)


class GroupCommit:
    """A thread that executes what is submitted, as much at a time as has come. Close it, or use it as a context."""

    def __init__(self, intake: Intake, queue_orders_max: int = QUEUE_ORDERS_MAX) -> None:
        self._intake = intake
        self.queue_orders_max = queue_orders_max
        self._queue: deque[_Submission] = deque()
        self._waiting = 0
        self._closed = False
        self._changed = Condition()
        self._thread = Thread(target=self._run, name="group-commit")
        self._thread.start()

    def submit(self, orders: Sequence[Order | Scan], terms: Terms = ONE_BY_ONE) -> Future[list[Answer]]:
        """Queue orders; the future holds their answers once they are on disk, or the database's error.

        Orders of one submission are decided in order; so are submissions that fit in a slice. An atomic submission or a
        dry run is executed alone.

        Raises:
            QueueFull
            ValueError: more orders than terms that concern all of them allow.
        """
        require_one_batch(len(orders), terms)
        submission = _Submission([prepare(order) for order in orders], terms)
        if not orders:
            submission.future.set_result([])
            return submission.future
        with self._changed:
            if self._closed:
                raise RuntimeError("the ledger is closing and takes no more orders")
            if self._waiting + len(orders) > self.queue_orders_max:
                raise QueueFull(f"{self._waiting} orders are waiting, of at most {self.queue_orders_max}; try again")
            self._waiting += len(orders)
            self._queue.append(submission)
            self._changed.notify()
        return submission.future

    @property
    def waiting(self) -> int:
        """How many orders wait for a batch."""
        return self._waiting

    def close(self) -> None:
        """Take no more orders, and return when those that wait have been executed."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        while batch := self._next_batch():
            try:
                prepared = [order for _, orders in batch for order in orders]
                answers = self._intake.execute_prepared(prepared, batch[0][0].terms)
            except Exception as error:  # noqa: BLE001 - whoever submitted the orders gets it
                for submission, _ in batch:
                    self._give_up(submission, error)
                continue
            start = 0
            for submission, orders in batch:
                submission.answer(answers[start : start + len(orders)])
                start += len(orders)

    def _next_batch(self) -> list[tuple[_Submission, Sequence[Ready]]]:
        """Wait for submissions; return a slice of each, up to a full batch. Nothing is left when that is empty."""
        batch: list[tuple[_Submission, Sequence[Ready]]] = []
        room = BATCH_ORDERS_MAX
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closed)
            unfinished: list[_Submission] = []
            while self._queue and room:
                if batch and (batch[0][0].terms != ONE_BY_ONE or self._queue[0].terms != ONE_BY_ONE):
                    break
                submission = self._queue.popleft()
                orders = submission.take(room)
                batch.append((submission, orders))
                room -= len(orders)
                if submission.taken < len(submission.orders):
                    unfinished.append(submission)
            self._queue.extend(unfinished)
            self._waiting -= BATCH_ORDERS_MAX - room
        return batch

    def _give_up(self, submission: _Submission, error: Exception) -> None:
        """Fail a submission and drop its rest; what was committed stays, and is answered if sent again."""
        with self._changed:
            if submission in self._queue:
                self._queue.remove(submission)
                self._waiting -= len(submission.orders) - submission.taken
        submission.future.set_exception(error)
