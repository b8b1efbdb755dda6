"""Hours of the day by weekday: how much of the time somebody was there, as a table whose cells are shaded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from api.pages.charts.calendar import thresholds


class Cell(NamedTuple):
    """The minutes in an hour of a weekday, over all days, and the shade from 0 to 4."""

    minutes: int
    shade: int


def hours_by_weekday(stays: Iterable[tuple[datetime, datetime]]) -> list[list[Cell]]:
    """Return 24 cells for each of seven weekdays, Monday first, from local instants of arriving and leaving."""
    minutes = [[0] * 24 for _ in range(7)]
    for arrived, left in stays:
        at = arrived
        while at < left:
            until = min(at.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1), left)
            minutes[at.weekday()][at.hour] += round((until - at).total_seconds() / 60)
            at = until
    limits = thresholds([each for row in minutes for each in row])
    return [[Cell(each, _shade(each, limits)) for each in row] for row in minutes]


def _shade(minutes: int, limits: Sequence[int]) -> int:
    return 0 if minutes <= 0 else 1 + sum(minutes >= limit for limit in limits)
