"""Window overlaps: which factor windows of a rule set ever hold, and which of two wins where both would.

The first window in the file wins. Whether one is ever reached is a question about sets: of days, weekdays, minutes of
the day, kinds of station and projects. They are cut where any window begins or ends, so that each cell lies inside or
outside every window, and counted as arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from projections.local_time import day_number
from projections.rules.timeline import Factor
from projections.schema import DAYS, STATION_KINDS

_Mask = npt.NDArray[np.bool_]

WINDOWS_MAX: Final = 100
CELLS_MAX: Final = 200_000
"""Rule sets with more windows, or windows cut into more cells, are not looked into: it would take seconds."""
_KINDS: Final = (*STATION_KINDS, "")
"""Kinds of station, and a station of which none is known."""


class Reach(NamedTuple):
    """How far a window reaches. `before`: earlier windows that take some of it, in the order of the file.

    outside: it never holds at all, on no day of its rule set. hidden: earlier windows leave nothing of it.
    """

    outside: bool
    hidden: bool
    before: list[int]


class TooManyError(Exception):
    """A rule set has more windows than can be looked into."""


def reaches(factors: Sequence[Factor], first: date | None, until: date | None) -> list[Reach]:
    """Return how far each window of a rule set reaches.

    Args:
        first, until: the days on which the set holds; `until` is not one of them; None is open.

    Raises:
        TooManyError
    """
    if len(factors) > WINDOWS_MAX:
        raise TooManyError
    span = (day_number(first) if first else 0, day_number(until) if until else DAYS)
    return [_reach(factors[:number], factor, span) for number, factor in enumerate(factors)]


def _reach(earlier: Sequence[Factor], factor: Factor, span: tuple[int, int]) -> Reach:
    others = [(number, other) for number, other in enumerate(earlier) if _may_meet(other, factor)]
    low, high = _days(factor, span)
    if low >= high:
        return Reach(outside=True, hidden=False, before=[])
    axes = _Axes.around(factor, [other for _, other in others], (low, high))
    if axes.cells > CELLS_MAX:
        raise TooManyError
    mine = axes.mask(factor) & axes.occurring()
    if not mine.any():
        return Reach(outside=True, hidden=False, before=[])
    taken, before = np.zeros_like(mine), []
    for number, other in others:
        theirs = axes.mask(other) & mine
        if (theirs & ~taken).any():
            before.append(number)
            taken |= theirs
    return Reach(outside=False, hidden=bool((taken == mine).all()), before=before)


def _may_meet(one: Factor, other: Factor) -> bool:
    """Tell quickly of most windows that they have nothing in common."""
    for ours, theirs in ((one.station_kinds, other.station_kinds), (one.projects, other.projects)):
        if ours and theirs and not set(ours) & set(theirs):
            return False
    days = max(one.first_day or date.min, other.first_day or date.min)
    return days <= min(one.last_day or date.max, other.last_day or date.max)


def _days(factor: Factor, span: tuple[int, int]) -> tuple[int, int]:
    low = max(span[0], day_number(factor.first_day)) if factor.first_day else span[0]
    high = min(span[1], day_number(factor.last_day) + 1) if factor.last_day else span[1]
    return low, high


def _minutes(factor: Factor) -> list[tuple[int, int]]:
    """Return the minutes of the day in which a window holds, as half-open intervals."""
    if factor.minute_until > factor.minute_from:
        return [(factor.minute_from, factor.minute_until)]
    return [(0, factor.minute_until), (factor.minute_from, 1440)]


class _Axes(NamedTuple):
    """The edges of all cells: days and minutes (each cell from one edge to the next), kinds, projects."""

    days: list[int]
    minutes: list[int]
    kinds: list[str]
    projects: list[str]  # "" stands for all that no window names

    @classmethod
    def around(cls, factor: Factor, others: Sequence[Factor], span: tuple[int, int]) -> _Axes:
        """Cut what a window covers where others begin or end."""
        windows = [factor, *others]
        days = {edge for window in windows for edge in _days(window, span)}
        minutes = {0, 1440} | {edge for window in windows for part in _minutes(window) for edge in part}
        named = dict.fromkeys(name for window in windows for name in window.projects)
        return cls(
            sorted(edge for edge in days if span[0] <= edge <= span[1]),
            sorted(minutes),
            list(factor.station_kinds or _KINDS),
            list(factor.projects or ["", *named]),
        )

    @property
    def cells(self) -> int:
        """How many cells there are."""
        return (len(self.days) - 1) * 7 * (len(self.minutes) - 1) * len(self.kinds) * len(self.projects)

    def mask(self, window: Factor) -> _Mask:
        """Return the cells in which a window holds: bool[days, weekdays, minutes, kinds, projects]."""
        low, high = _days(window, (self.days[0], self.days[-1]))
        parts = (
            [low <= edge < high for edge in self.days[:-1]],
            [not window.weekdays or weekday in window.weekdays for weekday in range(1, 8)],
            [any(begin <= edge < end for begin, end in _minutes(window)) for edge in self.minutes[:-1]],
            [not window.station_kinds or kind in window.station_kinds for kind in self.kinds],
            [not window.projects or project in window.projects for project in self.projects],
        )
        mask = np.ones((1,) * len(parts), bool)
        for axis, part in enumerate(parts):
            shape = [1] * len(parts)
            shape[axis] = len(part)
            mask = mask & np.array(part, bool).reshape(shape)
        return mask

    def occurring(self) -> _Mask:
        """Return the cells whose weekday occurs between their days."""
        found = np.zeros((len(self.days) - 1, 7, 1, 1, 1), bool)
        for row, low in enumerate(self.days[:-1]):
            for day in range(low, min(self.days[row + 1], low + 7)):
                found[row, (day + 3) % 7] = True  # day 0 was a Thursday
        return found
