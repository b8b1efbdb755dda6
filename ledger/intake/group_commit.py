"""Group commit: orders that arrive during a commit share the next one.

One thread writes. Callers prepare their orders in their own threads, submit them and get a future. The queue is
bounded: if it is full, a submission fails at once instead of waiting. A large submission is executed in slices, and its
remainder goes to the back of the queue. Small submissions are those of counters, where somebody waits: they go first,
and while they keep coming a batch holds few orders of large submissions. So an import never delays a counter by more
than a short batch.
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

COUNTER_ORDERS_MAX = 10
"""The maximum number of orders of a small submission."""

COUNTER_SECONDS = 1.0
"""How long after a small submission more of them are expected."""

SHORT_BATCH_ORDERS_MAX = 100
"""The maximum number of orders of large submissions in a batch while small ones are expected: about as much work as a
commit takes."""

QUEUE_ORDERS_MAX = 50_000
"""About two seconds of work; beyond that, refusing is better than waiting."""

COUNTERS_SHARE = 10
"""One part in so many of the queue is kept for small submissions, so that uploads which fill it refuse no counter."""

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

    @property
    def is_small(self) -> bool:
        return len(self._items) <= COUNTER_ORDERS_MAX and self.terms == ONE_BY_ONE

    @property
    def had_its_slice(self) -> bool:
        return self._taken % SLICE_ORDERS_MAX == 0

    def take(self, room: int) -> Sequence[Prepared]:
        """Return the next orders of the current slice, at most `room`."""
        items = self._items[self._taken : self._taken + min(room, SLICE_ORDERS_MAX - self._taken % SLICE_ORDERS_MAX)]
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
        self._large_orders_max = queue_orders_max - queue_orders_max // COUNTERS_SHARE
        self._small: deque[_Submission] = deque()
        self._large: deque[_Submission] = deque()
        self._small_at = -COUNTER_SECONDS
        self._deferred = False
        """Whether a large submission that has to be executed alone has let small ones go first."""
        self._waiting = 0
        self._closed = False
        self._last_at = 0.0
        self._changed = Condition()
        self._thread = Thread(target=self._run, name="group-commit")
        self._thread.start()

    def submit(self, orders: Sequence[Prepared], terms: Terms = ONE_BY_ONE) -> Future[list[Answer]]:
        """Queue orders; the future holds their answers once they are on disk, or the database's error.

        Orders of one submission are decided in order, as are large submissions that fit in a slice, and small ones
        among themselves. An atomic submission or a dry run is executed alone.

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
            room = self.queue_orders_max if submission.is_small else self._large_orders_max
            if self._waiting + len(orders) > room:
                raise QueueFull(f"{self._waiting} orders are waiting, of at most {room}; try again")
            self._waiting += len(orders)
            (self._small if submission.is_small else self._large).append(submission)
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
        """Wait for submissions; return small ones and slices of large ones. Empty once closed and all is executed."""
        batch: list[tuple[_Submission, Sequence[Prepared]]] = []
        with self._changed:
            self._changed.wait_for(lambda: self._small or self._large or self._closed)
            now = time.monotonic()
            self._small_at = now if self._small else self._small_at
            alone = bool(self._large) and self._large[0].terms != ONE_BY_ONE
            self._deferred = alone and bool(self._small) and not self._deferred
            room = BATCH_ORDERS_MAX
            if not alone or self._deferred:
                room -= self._take(self._small, room // 2 if self._large else room, batch)
            if now - self._small_at < COUNTER_SECONDS and not alone:
                room = min(room, SHORT_BATCH_ORDERS_MAX)
            self._take(self._large, room, batch)
            self._waiting -= sum(len(items) for _, items in batch)
        return batch

    def _take(self, queue: deque[_Submission], room: int, batch: list[tuple[_Submission, Sequence[Prepared]]]) -> int:
        """Move at most `room` orders from a queue to a batch; return their number."""
        left, unfinished = room, list[_Submission]()
        while queue and left:
            if batch and (batch[0][0].terms != ONE_BY_ONE or queue[0].terms != ONE_BY_ONE):
                break
            submission = queue.popleft()
            items = submission.take(left)
            batch.append((submission, items))
            left -= len(items)
            if submission.waiting and submission.had_its_slice:
                unfinished.append(submission)
            elif submission.waiting:  # the batch was full before the slice was: it stays first
                queue.appendleft(submission)
        queue.extend(unfinished)
        return room - left

    def _fail(self, submission: _Submission, error: Exception) -> None:
        """Fail a submission and drop its remainder. Committed orders stay, and are answered if they are sent again."""
        with self._changed:
            for queue in (self._small, self._large):
                if submission in queue:
                    queue.remove(submission)
                    self._waiting -= submission.waiting
        submission.future.set_exception(error)
