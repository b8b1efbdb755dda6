"""Local time for kernels, which cannot use a time zone database.

A zone is compiled to a table of its offsets between 2000 and 2101. Between local midnights and clock changes the offset
is constant, so daylight saving needs no special case elsewhere.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from projections.compiled import inlined, kernel
from projections.schema import DAYS, Ints

EPOCH = date(1970, 1, 1)


class ZoneTable(NamedTuple):
    """The offsets of a zone in minutes, and the UTC minute from which each holds; ascending, the first before all
    instants.
    """

    since: Ints
    offset: Ints


def day_number(day: date) -> int:
    """Return the number of days since 1970-01-01."""
    return (day - EPOCH).days


def day_of_number(number: int) -> date:
    """Return the date of a day number."""
    return EPOCH + timedelta(days=number)


@lru_cache(maxsize=16)
def zone_table(name: str) -> ZoneTable:
    """Compile a time zone to its changes of offset between 2000 and 2101, to the minute."""
    zone = ZoneInfo(name)

    def offset(minute: int) -> int:
        shift = datetime.fromtimestamp(minute * 60, UTC).astimezone(zone).utcoffset()
        return 0 if shift is None else int(shift.total_seconds() // 60)

    first = day_number(date(1999, 12, 30)) * 1440
    since, offsets = [first], [offset(first)]
    for week in range(first, DAYS * 1440, 7 * 1440):  # no zone has changed its clocks twice within a week since 2000
        low, high = week, week + 7 * 1440
        if offset(low) == offset(high):
            continue
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if offset(middle) == offset(week) else (low, middle)
        since.append(high)
        offsets.append(offset(high))
    return ZoneTable(np.array(since, np.int32), np.array(offsets, np.int32))


def date_goes_back(name: str) -> bool:
    """Return whether a zone's clocks ever went back over midnight, so that a shift's days would not be in order."""
    zone = zone_table(name)
    before, after = (zone.since[1:] - 1 + zone.offset[:-1]) // 1440, (zone.since[1:] + zone.offset[1:]) // 1440
    return bool((after < before).any())


@inlined
def local_span(minute: int, zone: ZoneTable) -> tuple[int, int, int]:
    """Return, for a UTC minute, the local day, the minute of that day, and the UTC minute at which the day or the
    offset ends.
    """
    since, offsets = zone
    low, high = 0, len(since)
    if minute >= since[high - 1]:
        low = high - 1  # in most zones the last change was long before the first shift
    while high - low > 1:
        middle = (low + high) // 2
        if since[middle] <= minute:
            low = middle
        else:
            high = middle
    local = minute + offsets[low]
    day = local // 1440
    within = local - day * 1440
    until = minute + 1440 - within
    if low + 1 < len(since) and since[low + 1] < until:
        until = since[low + 1]
    return day, within, until


@kernel
def civil(day: int) -> tuple[int, int, int]:
    """Return (year, month, day of month) of a day number, by the proleptic Gregorian calendar."""
    shifted = day + 719_468  # days since 0000-03-01: years then end with the leap day
    era = shifted // 146_097
    day_of_era = shifted - era * 146_097
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month_from_march = (5 * day_of_year + 2) // 153
    day_of_month = day_of_year - (153 * month_from_march + 2) // 5 + 1
    month = month_from_march + 3 if month_from_march < 10 else month_from_march - 9
    return year_of_era + era * 400 + (1 if month <= 2 else 0), month, day_of_month


@kernel
def number_of(year: int, month: int, day_of_month: int) -> int:
    """Return the day number of a date."""
    shifted_year = year - 1 if month <= 2 else year
    era = shifted_year // 400
    year_of_era = shifted_year - era * 400
    month_from_march = month - 3 if month > 2 else month + 9
    day_of_year = (153 * month_from_march + 2) // 5 + day_of_month - 1
    return era * 146_097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719_468


@kernel
def months_later(day: int, months: int) -> int:
    """Return the day number a number of calendar months later. The last day of a month leads to the last day of the
    later month, and so does a day that the later month lacks.
    """
    year, month, day_of_month = civil(day)
    if civil(day + 1)[2] == 1:
        day_of_month = 31
    months += month - 1
    year += months // 12
    month = months - months // 12 * 12 + 1
    last = number_of(year + 1, 1, 1) - 1 if month == 12 else number_of(year, month + 1, 1) - 1
    return min(number_of(year, month, 1) + day_of_month - 1, last)
