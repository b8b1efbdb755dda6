"""Progress: what long work tells whoever waits for it, and how it is stopped.

Long work calls its `Progress` often. To stop it, let the callback raise `StoppedError`: the work passes it on and
leaves nothing half done. A `Meter` makes a rate and the remaining time of what it is told.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

Progress = Callable[[str, int, int], None]
"""Told the stage (a phrase such as "reading the archive"), how much is done, and of how much; 0 of 0 if unknown."""


class StoppedError(Exception):
    """Whoever waited asked to stop."""

    def __init__(self) -> None:
        super().__init__("stopped; nothing was changed")


def ignore(_stage: str, _done: int, _in_all: int) -> None:
    """Tell nobody."""


class Pace(NamedTuple):
    """How far a stage is: `rate` per second since the stage began, and the seconds it still takes at that rate."""

    stage: str
    done: int
    in_all: int
    rate: float | None
    remaining_seconds: float | None


class Meter:
    """A `Progress` that measures what it is told, by a clock in seconds. Any thread may read `pace`."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began = clock()
        self._first = 0
        self.pace = Pace("", 0, 0, None, None)

    def __call__(self, stage: str, done: int, in_all: int) -> None:
        """Take in how far the work is."""
        now = self._clock()
        if stage != self.pace.stage:
            self._began, self._first = now, done
        seconds, more = now - self._began, done - self._first
        rate = more / seconds if seconds > 0 and more > 0 else None
        remaining = (in_all - done) / rate if rate and in_all >= done else None
        self.pace = Pace(stage, done, in_all, rate, remaining)
