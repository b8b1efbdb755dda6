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

from ledger.answers import ONE_BY_ONE, Answer, Terms, require_one_batch
from ledger.batch import Told
from ledger.commands import Order
from ledger.intake import BATCH_ORDERS_MAX, Intake, flat
from ledger.plain.block import BLOCK_SCANS_MAX, Block
from ledger.prepare import Ready, count_orders, prepare
from ledger.tally import Tally, tally

SLICE_ORDERS_MAX = BLOCK_SCANS_MAX
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
    def __init__(self, items: Sequence[Ready], terms: Terms) -> None:
        self._items = deque(items)
        self.terms = terms
        self.waiting = sum(map(count_orders, items))
        self._told: list[Told] = []
        self.future: Future[list[Told]] = Future()
        self.future.set_running_or_notify_cancel()  # an order cannot be taken back

    def take(self, room: int) -> list[Ready]:
        """Take what comes next, as far as there is room."""
        room, taken = min(room, SLICE_ORDERS_MAX), list[Ready]()
        while self._items and (count := count_orders(self._items[0])) <= room:
            taken.append(self._items.popleft())
            self.waiting -= count
            room -= count
        return taken

    def answer(self, told: Sequence[Told]) -> None:
        self._told += told
        if not self._items:
            self.future.set_result(self._told)


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

    def submit(self, orders: Sequence[Order], terms: Terms = ONE_BY_ONE) -> Future[list[Answer]]:
        """Queue orders; the future holds their answers once they are on disk, or the database's error.

        Orders of one submission are decided in order; so are submissions that fit in a slice. An atomic submission or a
        dry run is executed alone.

        Raises:
            QueueFull
            ValueError: more orders than terms that concern all of them allow.
        """
        require_one_batch(len(orders), terms)
        answers: Future[list[Answer]] = Future()
        answers.set_running_or_notify_cancel()
        if not orders:
            answers.set_result([])
            return answers

        def tell(done: Future[list[Told]]) -> None:
            if error := done.exception():
                answers.set_exception(error)
            else:
                answers.set_result(flat(done.result()))

        self._queue_up(_Submission(prepare(orders), terms)).add_done_callback(tell)
        return answers

    def submit_block(self, block: Block) -> Future[list[Told]]:
        """Queue a block with its digests; when the future is done, its rows say what became of them.

        Raises:
            QueueFull
        """
        return self._queue_up(_Submission([block], ONE_BY_ONE))

    def _queue_up(self, submission: _Submission) -> Future[list[Told]]:
        count = submission.waiting
        with self._changed:
            if self._closed:
                raise RuntimeError("the ledger is closing and takes no more orders")
            if self._waiting + count > self.queue_orders_max:
                raise QueueFull(f"{self._waiting} orders are waiting, of at most {self.queue_orders_max}; try again")
            self._waiting += count
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
            try:
                terms = batch[0][0].terms
                told = self._intake.execute_prepared([one for _, items in batch for one in items], terms)
            except Exception as error:  # noqa: BLE001 - whoever submitted the orders gets it
                for submission, _ in batch:
                    self._give_up(submission, error)
                continue
            if terms != ONE_BY_ONE:  # one submission alone, with an answer for each order
                batch[0][0].answer(told)
                if not terms.dry_run:
                    self._tell(told, time.monotonic() - began)
                continue
            start = 0
            for submission, items in batch:
                submission.answer(told[start : start + len(items)])
                start += len(items)
            self._tell(told, time.monotonic() - began)

    def _tell(self, told: Sequence[Told], seconds: float) -> None:
        """Tell of a commit, after its callers: they are who waits."""
        found = tally(told)
        self._observer(found, seconds)
        level = logging.WARNING if seconds >= SLOW_COMMIT_SECONDS else logging.DEBUG
        if logger.isEnabledFor(level):
            fields = {"commands": found.commands, "milliseconds": round(seconds * 1000, 2)}
            logger.log(level, "a slow commit" if level == logging.WARNING else "commit", extra={"fields": fields})

    def _next_batch(self) -> list[tuple[_Submission, list[Ready]]]:
        """Wait for submissions; return a slice of each, up to a full batch. Nothing is left when that is empty."""
        batch: list[tuple[_Submission, list[Ready]]] = []
        room = BATCH_ORDERS_MAX
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closed)
            unfinished: list[_Submission] = []
            while self._queue and room:
                if batch and (batch[0][0].terms != ONE_BY_ONE or self._queue[0].terms != ONE_BY_ONE):
                    break
                submission, whole_slice = self._queue[0], room >= SLICE_ORDERS_MAX
                items = submission.take(room)
                if not items:  # a block does not fit
                    break
                self._queue.popleft()
                batch.append((submission, items))
                room -= sum(map(count_orders, items))
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
