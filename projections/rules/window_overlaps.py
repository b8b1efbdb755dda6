"""Window overlaps: which factor windows of a rule set can hold, and which windows earlier ones hide.

The first window in the file wins. The days, weekdays, minutes of the day, kinds of station and projects are divided
wherever a window begins or ends, so that each cell is entirely inside or outside of every window; sets of cells are
boolean arrays.
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
"""Rule sets with more windows, or more cells for a window, are not examined, because it would take seconds."""
CELLS_COMPARED_MAX: Final = 10_000_000
"""The maximum number of cells of a timeline that are compared, for all pairs of windows together: a second's work."""
_KINDS: Final = (*STATION_KINDS, "")
"""The kinds of station, and "" for a station of unknown kind."""


class Reach(NamedTuple):
    """The reach of a window. `before`: the earlier windows that hide a part of it, in the order of the file.

    outside: it holds on no day of its rule set. hidden: earlier windows hide all of it.
    """

    outside: bool
    hidden: bool
    before: list[int]


class TooManyError(Exception):
    """A rule set has too many windows to examine."""


def window_reach(
    factors: Sequence[Factor], first: date | None, until: date | None, cells_max: int = CELLS_COMPARED_MAX
) -> list[Reach]:
    """Return the reach of each window of a rule set.

    Args:
        first, until: the days on which the set holds, as a half-open interval; None is open.
        cells_max: the maximum number of cells to compare, for all pairs of windows together.

    Raises:
        TooManyError: there are too many windows or cells.
    """
    if len(factors) > WINDOWS_MAX:
        raise TooManyError
    span = (day_number(first) if first else 0, day_number(until) if until else DAYS)
    found, remaining = [], cells_max
    for number, factor in enumerate(factors):
        reach, compared = _reach(factors[:number], factor, span, remaining)
        found.append(reach)
        remaining -= compared
    return found


def _reach(earlier: Sequence[Factor], factor: Factor, span: tuple[int, int], cells_max: int) -> tuple[Reach, int]:
    """Return the reach of a window, and the number of cells compared, which is at most `cells_max`."""
    others = [(number, other) for number, other in enumerate(earlier) if _may_overlap(other, factor)]
    low, high = _days(factor, span)
    if low >= high:
        return Reach(outside=True, hidden=False, before=[]), 0
    axes = _Axes.around(factor, [other for _, other in others], (low, high))
    compared = axes.cells * (len(others) + 1)
    if axes.cells > CELLS_MAX or compared > cells_max:
        raise TooManyError
    cells = axes.mask(factor) & axes.occurring()
    if not cells.any():
        return Reach(outside=True, hidden=False, before=[]), compared
    covered, before = np.zeros_like(cells), []
    for number, other in others:
        shared = axes.mask(other) & cells
        if (shared & ~covered).any():
            before.append(number)
            covered |= shared
    return Reach(outside=False, hidden=bool((covered == cells).all()), before=before), compared


def _may_overlap(one: Factor, other: Factor) -> bool:
    """Return False if two windows obviously have nothing in common."""
    for values, other_values in ((one.station_kinds, other.station_kinds), (one.projects, other.projects)):
        if values and other_values and not set(values) & set(other_values):
            return False
    first_day = max(one.first_day or date.min, other.first_day or date.min)
    return first_day <= min(one.last_day or date.max, other.last_day or date.max)


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
    """The edges of the cells: days and minutes (a cell goes from one edge to the next), kinds and projects."""

    days: list[int]
    minutes: list[int]
    kinds: list[str]
    projects: list[str]  # "" stands for all projects that no window names

    @classmethod
    def around(cls, factor: Factor, others: Sequence[Factor], span: tuple[int, int]) -> _Axes:
        """Divide what a window covers wherever other windows begin or end."""
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
        """The number of cells."""
        return (len(self.days) - 1) * 7 * (len(self.minutes) - 1) * len(self.kinds) * len(self.projects)

    def mask(self, window: Factor) -> _Mask:
        """Return the cells in which a window holds: bool[days, weekdays, minutes, kinds, projects]."""
        low, high = _days(window, (self.days[0], self.days[-1]))
        projects = frozenset(window.projects)
        parts = (
            [low <= edge < high for edge in self.days[:-1]],
            [not window.weekdays or weekday in window.weekdays for weekday in range(1, 8)],
            [any(begin <= edge < end for begin, end in _minutes(window)) for edge in self.minutes[:-1]],
            [not window.station_kinds or kind in window.station_kinds for kind in self.kinds],
            [not projects or project in projects for project in self.projects],
        )
        mask = np.ones((1,) * len(parts), bool)
        for axis, part in enumerate(parts):
            shape = [1] * len(parts)
            shape[axis] = len(part)
            mask = mask & np.array(part, bool).reshape(shape)
        return mask

    def occurring(self) -> _Mask:
        """Return the cells whose weekday occurs between their days."""
        mask = np.zeros((len(self.days) - 1, 7, 1, 1, 1), bool)
        for row, low in enumerate(self.days[:-1]):
            for day in range(low, min(self.days[row + 1], low + 7)):
                mask[row, (day + 3) % 7] = True  # day 0 was a Thursday
        return mask
