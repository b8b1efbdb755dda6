"""The days of the synthetic history: 2011-01-01 to 2018-12-04, their weights, Spring Festival and the transport
holidays.

A *day index* counts days from 2011-01-01; it is negative in the paper era. The zone is Asia/Shanghai, which has had
no daylight saving since 1991, so a local midnight is plain arithmetic. The numbers are those of docs/glossary.md, "A
synthetic history that looks like Luohu".
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import NamedTuple

import numpy as np

from replay.synthetic.planning.randomness import Array

FIRST_DAY = date(2011, 1, 1)
LAST_DAY = date(2018, 12, 4)  # the day of the figures in docs/glossary.md
DAY_COUNT = (LAST_DAY - FIRST_DAY).days + 1
YEARS = range(2011, 2019)
YEAR_SHARES = (4, 6, 8, 10, 13, 16, 20, 23)
"""The shares of the years 2011 to 2018 in the electronic hours, in percent."""

DAY = 86_400
FIRST_MIDNIGHT = int(datetime(2011, 1, 1, tzinfo=UTC).timestamp()) - 8 * 3_600
END_INSTANT = FIRST_MIDNIGHT + DAY_COUNT * DAY - 1
"""The last second of the last day: no event is recorded after it."""

SPRING_FESTIVAL = {
    2011: date(2011, 2, 3),
    2012: date(2012, 1, 23),
    2013: date(2013, 2, 10),
    2014: date(2014, 1, 31),
    2015: date(2015, 2, 19),
    2016: date(2016, 2, 8),
    2017: date(2017, 1, 28),
    2018: date(2018, 2, 16),
}
"""New Year's Day of the lunar calendar. The week of the festival begins on its eve."""

TOMB_SWEEPING = {
    2011: date(2011, 4, 3),
    2012: date(2012, 4, 2),
    2013: date(2013, 4, 4),
    2014: date(2014, 4, 5),
    2015: date(2015, 4, 4),
    2016: date(2016, 4, 2),
    2017: date(2017, 4, 2),
    2018: date(2018, 4, 5),
}
"""The first of the three days off at Qingming."""

WEEKEND_WEIGHT = 1.9
SUMMER_WEIGHT = 1.3
LEI_FENG_DAY_WEIGHT = 6.0  # 5 March
VOLUNTEER_DAY_WEIGHT = 8.0  # 5 December
FESTIVAL_WEIGHT = 0.5  # except for transport hubs


def day_index(day: date) -> int:
    """Return the index of a date."""
    return (day - FIRST_DAY).days


def date_of(index: int) -> date:
    """Return the date of a day index."""
    return FIRST_DAY + timedelta(days=index)


def midnight(index: int) -> int:
    """Return the first instant of a local day."""
    return FIRST_MIDNIGHT + index * DAY


class Days(NamedTuple):
    """One row for each day: year (0 is 2011), weekday (1 is Monday), weight without the festival, and flags."""

    year: Array
    weekday: Array
    weight: Array
    festival: Array
    transport: Array


@cache
def days() -> Days:
    """Return the table of days."""
    dates = [date_of(index) for index in range(DAY_COUNT)]
    festival, transport = np.zeros(DAY_COUNT, bool), np.zeros(DAY_COUNT, bool)
    for year, new_year in SPRING_FESTIVAL.items():
        first = day_index(new_year)
        festival[first - 1 : first + 6] = True
        transport[first - 15 : first + 25] = True  # the forty days of Spring Festival travel
        transport[day_index(TOMB_SWEEPING[year]) :][:3] = True
        transport[day_index(date(year, 10, 1)) :][:7] = True
    return Days(
        year=np.array([day.year - 2011 for day in dates], np.int8),
        weekday=np.array([day.isoweekday() for day in dates], np.int8),
        weight=np.array([_weight(day) for day in dates]),
        festival=festival,
        transport=transport,
    )


def _weight(day: date) -> float:
    weight = WEEKEND_WEIGHT if day.isoweekday() >= 6 else 1.0
    if day.month in {7, 8}:
        weight *= SUMMER_WEIGHT
    if (day.month, day.day) == (3, 5):
        weight *= LEI_FENG_DAY_WEIGHT
    if (day.month, day.day) == (12, 5):
        weight *= VOLUNTEER_DAY_WEIGHT
    return weight


def day_shares(shifts_of_year: Array, hub_shifts_of_day: Array) -> Array:
    """Return float64[days]: the year's index plus the share of the year's shifts up to the end of each day.

    In the week of Spring Festival the number of shifts is halved, except for those of transport hubs
    (`hub_shifts_of_day`).
    """
    table = days()
    ends = np.empty(DAY_COUNT)
    for year in range(len(YEARS)):
        rows = np.flatnonzero(table.year == year)
        weight = table.weight[rows]
        per_weight = shifts_of_year[year] / weight.sum()
        hubs = np.minimum(hub_shifts_of_day[rows] / max(per_weight, 1e-9), weight)
        weight = np.where(table.festival[rows], FESTIVAL_WEIGHT * (weight - hubs) + hubs, weight)
        ends[rows] = year + np.cumsum(weight) / weight.sum()
        ends[rows[-1]] = year + 1
    return ends
