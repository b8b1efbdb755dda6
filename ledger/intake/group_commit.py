"""Group commit: orders that arrive during a commit share the next one.

One thread writes. Callers prepare their orders in their own threads, submit them and get a future. The queue is
bounded: if it is full, a submission fails at once instead of waiting. A large submission is executed in slices, and its
remainder goes to the back of the queue, so an import never delays a counter by more than one batch.
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
"""The maximum number of orders of one submission in a batch."""

QUEUE_ORDERS_MAX = 50_000
"""About two seconds of work; beyond that, refusing is better than waiting."""


BUSY_SECONDS = 0.05

SLOW_COMMIT_SECONDS = 1.0
"""A slower commit delays every counter, so it is logged as a warning."""

Observer = Callable[[Tally, float], None]
"""Called after each commit with the outcome of the batch and its duration in seconds."""

logger = logging.getLogger(__name__)


def _unobserved(_tally: Tally, _seconds: float) -> None:
    """Do nothing."""


class QueueFull(Exception):  # noqa: N818 - named as the standard library names it
    """Too many orders are waiting; try again in a moment, or submit fewer at a time."""


class _Submission:
    def __init__(self, items: Sequence[Prepared], terms: Terms) -> None:
        self._items = items
        self._taken = 0
        self.terms = terms
        self._answers: list[Answer] = []
        self.future: Future[list[Answer]] = Future()
        self.future.set_running_or_notify_cancel()  # a submission cannot be cancelled

    @property
    def waiting(self) -> int:
        return len(self._items) - self._taken

    def take(self, room: int) -> Sequence[Prepared]:
        """Return the next slice, at most `room` orders."""
        items = self._items[self._taken : self._taken + min(room, SLICE_ORDERS_MAX)]
        self._taken += len(items)
        return items

    def answer(self, answers: Sequence[Answer]) -> None:
        self._answers += answers
        if not self.waiting:
            self.future.set_result(self._answers)


class GroupCommit:
    """A thread that executes submissions in batches. Close it, or use it as a context manager."""

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

        Orders of one submission are decided in order, as are submissions that fit in a slice. An atomic submission or a
        dry run is executed alone.

        Raises:
            QueueFull: the queue has no room for the orders.
            ValueError: an atomic submission or a dry run has too many orders.
            RuntimeError: the group commit was closed.
        """
        require_one_batch(len(orders), terms)
        submission = _Submission(orders, terms)
        if not orders:
            submission.answer(())
            return submission.future
        with self._changed:
            if self._closed:
                raise RuntimeError("the ledger is closing and accepts no more orders")
            if self._waiting + len(orders) > self.queue_orders_max:
                raise QueueFull(f"{self._waiting} orders are waiting, of at most {self.queue_orders_max}; try again")
            self._waiting += len(orders)
            self._queue.append(submission)
            self._changed.notify()
        return submission.future

    @property
    def waiting(self) -> int:
        """The number of orders that wait for a batch."""
        return self._waiting

    @property
    def is_busy(self) -> bool:
        """Whether orders are waiting, or a batch was executed a moment ago."""
        return self._waiting > 0 or time.monotonic() - self._last_at < BUSY_SECONDS

    def close(self) -> None:
        """Accept no more orders, and return once the waiting ones have been executed."""
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
                answers = self._intake.execute_prepared([item for _, items in batch for item in items], terms)
            except Exception as error:  # noqa: BLE001 - the callers get it
                for submission, _ in batch:
                    self._fail(submission, error)
                continue
            start = 0
            for submission, items in batch:
                submission.answer(answers[start : start + len(items)])
                start += len(items)
            if not terms.dry_run:
                self._observe(answers, time.monotonic() - began)

    def _observe(self, answers: Sequence[Answer], seconds: float) -> None:
        """Notify the observer of a commit, and log it; the waiting callers have their answers by then."""
        outcome = tally(answers)
        self._observer(outcome, seconds)
        level = logging.WARNING if seconds >= SLOW_COMMIT_SECONDS else logging.DEBUG
        if logger.isEnabledFor(level):
            fields = {"commands": outcome.commands, "milliseconds": round(seconds * 1000, 2)}
            logger.log(level, "a slow commit" if level == logging.WARNING else "commit", extra={"fields": fields})

    def _next_batch(self) -> list[tuple[_Submission, Sequence[Prepared]]]:
        """Wait for submissions; return a slice of each, up to a full batch. Empty once closed and all is executed."""
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
                elif submission.waiting:  # the batch was full before the slice was: it stays first
                    self._queue.appendleft(submission)
            self._queue.extend(unfinished)
            self._waiting -= BATCH_ORDERS_MAX - room
        return batch

    def _fail(self, submission: _Submission, error: Exception) -> None:
        """Fail a submission and drop its remainder. Committed orders stay, and are answered if they are sent again."""
        with self._changed:
            if submission in self._queue:
                self._queue.remove(submission)
                self._waiting -= submission.waiting
        submission.future.set_exception(error)
