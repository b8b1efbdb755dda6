"""Working days of mainland China, for deadlines.

The library `holidays` provides the holidays, the days off granted by the State Council, and the Saturdays and Sundays
worked in exchange, for the years 1950 to 2100. Announced years, from 2001 on, are exact. For later years only statutory
days are known, so a newer version of the library may change them once they are announced; promised dates are therefore
stored. Outside these years only weekends are days off. No clock is read.
"""

from bisect import bisect_left, bisect_right
from datetime import date
from functools import cache

_SATURDAY = 5  # in the numbering of `date.weekday`; the day with ordinal 1 is a Monday


def is_working_day(day: date) -> bool:
    """Return whether a day is a working day."""
    days, ordinal = _working_days_of(day.year), day.toordinal()
    place = bisect_left(days, ordinal)
    return place < len(days) and days[place] == ordinal


def working_days_after(day: date, count: int) -> date:
    """Return the date of the `count`-th working day after `day`, not counting `day` itself.

    Raises:
        ValueError: `count` is less than 1, or the date lies after the year 9999.
    """
    if count < 1:
        raise ValueError(f"count is {count}, but working days are counted from 1")
    year, days = day.year, _working_days_of(day.year)
    place = bisect_right(days, day.toordinal()) + count - 1
    while place >= len(days):
        place -= len(days)
        year += 1
        days = _working_days_of(year)
    return date.fromordinal(days[place])


@cache
def _working_days_of(year: int) -> tuple[int, ...]:
    """Return the working days of a year in order, as ordinals, including worked weekend days."""
    # Importing the library takes a good part of a second, so it is imported on first use.
    from holidays.countries.china import China  # noqa: PLC0415 - see above

    days = range(date(year, 1, 1).toordinal(), date(year, 12, 31).toordinal() + 1)
    off: set[int] = set()
    worked: set[int] = set()
    if China.start_year <= year <= China.end_year:
        calendar = China(years=year, expand=False)  # type: ignore[no-untyped-call]
        off = {day.toordinal() for day in calendar}
        worked = {day.toordinal() for day in calendar.weekend_workdays}
    return tuple(day for day in days if day in worked or ((day - 1) % 7 < _SATURDAY and day not in off))
