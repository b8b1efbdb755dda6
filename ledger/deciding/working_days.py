"""Working days of mainland China, in which deadlines are counted.

Holidays, the days off that the State Council grants, and the Saturdays and Sundays that are worked for them come from
the library `holidays`, which knows the years 1950 to 2100. What has been announced, year by year since 2001, is exact;
of later years only the statutory days are known, so a newer version of the library may count a year otherwise once it
was announced. Whoever promises a date writes it down. Outside those years weekends alone decide. No clock is read.
"""

from bisect import bisect_left, bisect_right
from datetime import date
from functools import cache

_SATURDAY = 5  # as `date.weekday` has it; the day of ordinal 1 is a Monday


def is_working_day(day: date) -> bool:
    """Whether people are at work on that day."""
    days, ordinal = _working_days_of(day.year), day.toordinal()
    place = bisect_left(days, ordinal)
    return place < len(days) and days[place] == ordinal


def working_days_after(day: date, count: int) -> date:
    """The date of the `count`-th working day after `day`, which itself is never counted.

    Raises ValueError if `count` is less than one, or if that date lies after the year 9999.
    """
    if count < 1:
        raise ValueError(f"working days are counted from 1, not {count}")
    year, days = day.year, _working_days_of(day.year)
    place = bisect_right(days, day.toordinal()) + count - 1
    while place >= len(days):
        place -= len(days)
        year += 1
        days = _working_days_of(year)
    return date.fromordinal(days[place])


@cache
def _working_days_of(year: int) -> tuple[int, ...]:
    """The working days of a year, in order, as ordinals; Sundays that are worked for a holiday are among them."""
    # Loading the library takes a good part of a second, which only those who ask shall wait for.
    from holidays.countries.china import China  # noqa: PLC0415 - see above

    days = range(date(year, 1, 1).toordinal(), date(year, 12, 31).toordinal() + 1)
    off: set[int] = set()
    worked: set[int] = set()
    if China.start_year <= year <= China.end_year:
        calendar = China(years=year, expand=False)  # type: ignore[no-untyped-call]
        off = {day.toordinal() for day in calendar}
        worked = {day.toordinal() for day in calendar.weekend_workdays}
    return tuple(day for day in days if day in worked or ((day - 1) % 7 < _SATURDAY and day not in off))
