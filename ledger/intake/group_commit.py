"""Group commit: orders that arrive while a commit is under way share the next one.

One thread writes. Callers prepare their orders in their own threads, submit them, and get a future. The queue is
bounded: when it is full the caller is told at once, rather than waiting without end. A large submission is taken a
slice at a time, and its rest goes to the back of the queue, so an import never keeps a counter waiting for more than a
batch.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from threading import Condition, Thread
from types import TracebackType
from typing import Self

from ledger.intake.answers import ONE_BY_ONE, Answer, Tally, Terms, require_one_batch, tally
from ledger.intake.intake import BATCH_ORDERS_MAX, Intake
from ledger.intake.prepare import Prepared

SLICE_ORDERS_MAX = 1000
"""At most so many orders of one submission enter a batch."""

QUEUE_ORDERS_MAX = 50_000
"""About two seconds of work: more than that is better turned away than kept waiting."""


BUSY_SECONDS = 0.05

SLOW_COMMIT_SECONDS = 1.0
"""A commit that takes longer keeps every counter waiting: it is told, whatever is logged otherwise."""

Observer = Callable[[Tally, float], None]
"""Told of each batch that was committed, and how many seconds it took."""

logger = logging.getLogger(__name__)


def _unobserved(_tally: Tally, _seconds: float) -> None:
    """Tell nobody."""


class QueueFull(Exception):  # noqa: N818 - named as the standard library names it
    """Too many orders are waiting; try again in a moment, or submit fewer at a time."""


class _Submission:
    def __init__(self, items: Sequence[Prepared], terms: Terms) -> None:
        self._items = items
        self._taken = 0
        self.terms = terms
        self._answers: list[Answer] = []
        self.future: Future[list[Answer]] = Future()
        self.future.set_running_or_notify_cancel()  # an order cannot be taken back

    @property
    def waiting(self) -> int:
        return len(self._items) - self._taken

    def take(self, room: int) -> Sequence[Prepared]:
        """Take what comes next, as far as there is room."""
        items = self._items[self._taken : self._taken + min(room, SLICE_ORDERS_MAX)]
        self._taken += len(items)
        return items

    def answer(self, answers: Sequence[Answer]) -> None:
        self._answers += answers
        if not self.waiting:
            self.future.set_result(self._answers)


class GroupCommit:
    """A thread that executes what is submitted, as much at a time as has come. Close it, or use it as a context."""

    def __init__(
        self, intake: Intake, queue_orders_max: int = QUEUE_ORDERS_MAX, observer: Observer = _unobserved
    ) -> None:
        self._intake = intake
        self._observer = observer
        self.queue_orders_max = queue_orders_max
        self._queue: deque[_Submission] = deque()
        self._waiting = 0
        self._closed = False
        self._last_at = 0.0
        self._changed = Condition()
        self._thread = Thread(target=self._run, name="group-commit")
        self._thread.start()

    def submit(self, orders: Sequence[Prepared], terms: Terms = ONE_BY_ONE) -> Future[list[Answer]]:
        """Queue orders; the future holds their answers once they are on disk, or the database's error.

        Orders of one submission are decided in order; so are submissions that fit in a slice. An atomic submission or a
        dry run is executed alone.

        Raises:
            QueueFull
            ValueError: more orders than terms that concern all of them allow.
        """
        require_one_batch(len(orders), terms)
        submission = _Submission(orders, terms)
        if not orders:
            submission.answer(())
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

    @property
    def is_busy(self) -> bool:
        """Whether orders wait, or some were recorded a moment ago."""
        return self._waiting > 0 or time.monotonic() - self._last_at < BUSY_SECONDS

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
            self._last_at = began = time.monotonic()
            terms = batch[0][0].terms
            try:
                answers = self._intake.execute_prepared([one for _, items in batch for one in items], terms)
            except Exception as error:  # noqa: BLE001 - whoever submitted the orders gets it
                for submission, _ in batch:
                    self._give_up(submission, error)
                continue
            start = 0
            for submission, items in batch:
                submission.answer(answers[start : start + len(items)])
                start += len(items)
            if not terms.dry_run:
                self._observe(answers, time.monotonic() - began)

    def _observe(self, answers: Sequence[Answer], seconds: float) -> None:
        """Tell of a commit, after its callers: they are who waits."""
        found = tally(answers)
        self._observer(found, seconds)
        level = logging.WARNING if seconds >= SLOW_COMMIT_SECONDS else logging.DEBUG
        if logger.isEnabledFor(level):
            fields = {"commands": found.commands, "milliseconds": round(seconds * 1000, 2)}
            logger.log(level, "a slow commit" if level == logging.WARNING else "commit", extra={"fields": fields})

    def _next_batch(self) -> list[tuple[_Submission, Sequence[Prepared]]]:
        """Wait for submissions; return a slice of each, up to a full batch. Nothing is left when that is empty."""
        batch: list[tuple[_Submission, Sequence[Prepared]]] = []
        room = BATCH_ORDERS_MAX
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closed)
            unfinished: list[_Submission] = []
            while self._queue and room:
                if batch and (batch[0][0].terms != ONE_BY_ONE or self._queue[0].terms != ONE_BY_ONE):
                    break
                submission, whole_slice = self._queue.popleft(), room >= SLICE_ORDERS_MAX
                items = submission.take(room)
                batch.append((submission, items))
                room -= len(items)
                if submission.waiting and whole_slice:
                    unfinished.append(submission)
                elif submission.waiting:  # the batch is full; its turn is not over
                    self._queue.appendleft(submission)
            self._queue.extend(unfinished)
            self._waiting -= BATCH_ORDERS_MAX - room
        return batch

    def _give_up(self, submission: _Submission, error: Exception) -> None:
        """Fail a submission and drop its rest; what was committed stays, and is answered if sent again."""
        with self._changed:
            if submission in self._queue:
                self._queue.remove(submission)
                self._waiting -= submission.waiting
        submission.future.set_exception(error)
