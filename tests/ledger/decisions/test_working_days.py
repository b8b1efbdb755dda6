"""Working days: known dates of the Chinese calendar, and the count of days after a day."""

from datetime import date, timedelta

import pytest

from ledger.deciding import working_days
from ledger.deciding.working_days import is_working_day, working_days_after

KNOWN = {
    date(2018, 2, 11): True,  # a Sunday, worked for the Spring Festival
    date(2018, 2, 14): True,
    date(2018, 2, 15): False,  # New Year's Eve
    date(2018, 2, 21): False,  # the seventh day of the festival
    date(2018, 2, 22): True,
    date(2018, 2, 24): True,  # a Saturday, worked for the Spring Festival
    date(2018, 2, 25): False,
    date(2017, 9, 30): True,  # a Saturday, worked for National Day
    date(2017, 10, 2): False,
    date(2017, 10, 8): False,  # eight days with the Mid-Autumn Festival
    date(2017, 10, 9): True,
    date(2005, 12, 31): True,  # a Saturday, worked for the New Year of the year after
    date(2018, 12, 31): False,
    date(2026, 10, 10): True,  # a Saturday, worked for National Day
    date(2027, 5, 3): False,  # statutory days of a year that is yet to be announced
    date(1949, 10, 3): True,  # before the calendar begins, a Monday
    date(2101, 10, 1): False,  # after it ends, a Saturday
    date(2101, 10, 3): True,  # and the Monday after, though it is a holiday today
}


@pytest.mark.parametrize("day", KNOWN, ids=str)
def test_known_days_are_worked_or_not(day: date) -> None:
    assert is_working_day(day) is KNOWN[day]


@pytest.mark.parametrize(
    ("day", "count", "due"),
    [
        (date(2018, 2, 14), 1, date(2018, 2, 22)),
        (date(2018, 2, 14), 3, date(2018, 2, 24)),  # the Saturday counts
        (date(2018, 2, 17), 1, date(2018, 2, 22)),  # from within the festival
        (date(2017, 9, 29), 2, date(2017, 10, 9)),
        (date(2017, 12, 29), 1, date(2018, 1, 2)),  # over the turn of the year
        (date(2018, 3, 5), 10, date(2018, 3, 19)),
        (date(2018, 1, 1), 600, date(2020, 5, 29)),
        (date(2100, 12, 31), 1, date(2101, 1, 3)),
    ],
)
def test_working_days_are_counted_from_the_day_after(day: date, count: int, due: date) -> None:
    assert working_days_after(day, count) == due
    later = [day + timedelta(ahead) for ahead in range(1, (due - day).days + 1)]
    assert sum(is_working_day(one) for one in later) == count


@pytest.mark.parametrize("count", [0, -1])
def test_no_working_days_cannot_be_counted(count: int) -> None:
    with pytest.raises(ValueError, match="counted from 1"):
        working_days_after(date(2018, 3, 5), count)


def test_the_calendar_of_a_year_is_computed_once() -> None:
    days = [date(2010, 1, 1) + timedelta(ahead) for ahead in range(3 * 365)]
    working_days._working_days_of.cache_clear()
    assert sum(map(is_working_day, days)) > 700
    assert all(working_days_after(day, 10) > day for day in days)
    assert working_days._working_days_of.cache_info().misses == 4
