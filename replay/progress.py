"""Progress of long-running work: reporting it, and stopping the work.

Long-running work calls its `Progress` often. To stop the work, raise `StoppedError` from that callback: the error
propagates and no partial result is left behind. A `Meter` computes the rate and the remaining time from these calls.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

Progress = Callable[[str, int, int], None]
"""Callback with the stage (such as "reading the archive"), the amount done and the total; 0 of 0 if unknown."""


class StoppedError(Exception):
    """The caller stopped the work."""

    def __init__(self) -> None:
        super().__init__("stopped; nothing was changed")


def ignore(_stage: str, _done: int, _total: int) -> None:
    """Ignore the progress."""


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
