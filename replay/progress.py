"""Progress of long-running work: reporting it, and stopping the work.

Long-running work calls its `Progress` often. To stop the work, raise `StoppedError` from that callback: the error
propagates and no partial result is left behind. A `Meter` computes the rate and the remaining time from these calls.

Work for a request has no `Progress`, but a `Stop`: it calls `checkpoint` between its steps. Both are cooperative,
because replays share their memory, caches and compiled kernels with the process: a process of its own would read
gigabytes anew for each request. The steps between two checkpoints are bounded by the size of the ledger and the limits
of rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple, TypeVar

Progress = Callable[[str, int, int], None]
"""Callback with the stage (such as "reading the archive"), the amount done and the total; 0 of 0 if unknown."""


T = TypeVar("T")


class StoppedError(Exception):
    """The caller stopped the work."""

    def __init__(self, sentence: str = "stopped; nothing was changed") -> None:
        super().__init__(sentence)


class OutOfTimeError(StoppedError):
    """The work took longer than allowed."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the computation took longer than {seconds:g} s and was stopped; nothing was changed")


class Stop:
    """A request to stop some work, made by any thread; the work meets it at its next checkpoint."""

    def __init__(self) -> None:
        self.reason: StoppedError | None = None

    def request(self, reason: StoppedError | None = None) -> None:
        """Request the work to stop; the first reason counts."""
        self.reason = self.reason or reason or StoppedError()

    def check(self) -> None:
        """Raise the reason if the work is to stop."""
        if self.reason is not None:
            raise self.reason


_current: ContextVar[Stop | None] = ContextVar("stop", default=None)


@contextmanager
def stopped_by(stop: Stop) -> Iterator[None]:
    """Let a `Stop` end the work of the block, at its checkpoints in this thread."""
    token = _current.set(stop)
    try:
        yield
    finally:
        _current.reset(token)


def checkpoint() -> None:
    """Raise `StoppedError` if the work of which this is a step is to stop. It costs less than a microsecond."""
    stop = _current.get()
    if stop is not None:
        stop.check()


def ignore(_stage: str, _done: int, _total: int) -> None:
    """Ignore the progress."""


def with_checkpoints(items: Iterable[T], every: int = 10_000) -> Iterator[T]:
    """Yield items, with a checkpoint before each `every` of them."""
    for number, item in enumerate(items):
        if number % every == 0:
            checkpoint()
        yield item


def checked(_stage: str, _done: int, _total: int) -> None:
    """Take each report of progress as a checkpoint."""
    checkpoint()


class Pace(NamedTuple):
    """Progress of a stage: `done` of `in_all`, the rate per second since its start, and the remaining seconds."""

    stage: str
    done: int
    in_all: int
    rate: float | None
    remaining_seconds: float | None


class Meter:
    """A `Progress` that measures the pace, with a clock in seconds. Any thread may read `pace`."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began = clock()
        self._first = 0
        self.pace = Pace("", 0, 0, None, None)

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Update the pace."""
        now = self._clock()
        if stage != self.pace.stage:
            self._began, self._first = now, done
        seconds, more = now - self._began, done - self._first
        rate = more / seconds if seconds > 0 and more > 0 else None
        remaining = (total - done) / rate if rate and total >= done else None
        self.pace = Pace(stage, done, total, rate, remaining)
