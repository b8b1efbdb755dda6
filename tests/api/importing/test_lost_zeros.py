"""What a spreadsheet changes: lost zeros, parts of a day, more than 24 hours, days beside times, and years."""

# ruff: noqa: DTZ001 - cells have no zone

from __future__ import annotations

from datetime import date, datetime, time
from typing import Any

import pytest

from api.importing.cells import Cell, CellError
from api.importing.forms.moments import day_of, moment_of, seconds_of, seconds_on
from api.importing.forms.numbers import minutes_of_hours


@pytest.mark.parametrize(
    ("cell", "sentence"),
    [
        (9.3, "has fewer digits than %H.%M, and may be 9.03 or 9.30; write the one that is meant, as text"),
        ("11.2", "has fewer digits than %H.%M, and may be 11.02 or 11.20; write the one that is meant, as text"),
        (0.25, "may be a part of a day; format the column as a time, or as text"),
        (1, "may be a part of a day; format the column as a time, or as text"),
    ],
)
def test_a_time_with_two_readings_is_refused(cell: Cell, sentence: str) -> None:
    with pytest.raises(CellError) as refused:
        seconds_of(cell, ("%H.%M",))
    assert str(refused.value).endswith(sentence)


@pytest.mark.parametrize(
    ("cell", "time"),
    [
        ("9.30", (9, 30)),
        ("9.03", (9, 3)),
        (12.25, (12, 25)),
        ("0.25", (0, 25)),
        (11, (11, 0)),
        ("9", (9, 0)),
        (9.6, (9, 6)),
        (0.395833, (9, 30)),
    ],
)
def test_a_time_with_one_reading_is_read(cell: Cell, time: tuple[int, int]) -> None:
    assert divmod(seconds_of(cell, ("%H.%M",)), 3600) == (time[0], 60 * time[1])


@pytest.mark.parametrize(("cell", "minutes"), [(datetime(1900, 1, 1, 2, 30), 1590), (datetime(1900, 1, 4, 4), 6000)])
def test_a_duration_of_more_than_a_day_may_be_formatted_as_a_time(cell: Cell, minutes: int) -> None:
    assert minutes_of_hours(cell, ".") == minutes


# --- days beside times ----------------------------------------------------------------------------------------------

DAY = date(2015, 3, 13)


@pytest.mark.parametrize(
    ("cell", "hours"),
    [
        (datetime(2015, 3, 13, 9), 9),
        ("2015-03-13 09:00", 9),
        ("2015/3/13 上午9:00", 9),
        (datetime(1899, 12, 30, 9), 9),  # without a day, as spreadsheets store it
        ("1899-12-30 09:00:00", 9),
        ("1900-01-01 09:00:00", 9),  # as databases write it
        (time(9), 9),
        ("09:00", 9),
    ],
)
def test_a_time_may_repeat_its_day(cell: Cell, hours: int) -> None:
    assert seconds_on(DAY, cell) == hours * 3600
    assert seconds_on(DAY, cell, ends=True) == hours * 3600


def test_a_format_of_times_may_have_a_day() -> None:
    form = "%d.%m.%Y %H:%M"
    assert seconds_on(DAY, "13.03.2015 09:00", (form,)) == seconds_on(DAY, "09:00:00 AM", ("%I:%M:%S %p",)) == 32_400
    assert seconds_on(DAY, "14.03.2015 06:00", (form,), ends=True) == 30 * 3600
    with pytest.raises(CellError, match=r'"14\.03\.2015 09:00" is on another day than 2015-03-13'):
        seconds_on(DAY, "14.03.2015 09:00", (form,))


def test_a_time_may_name_its_day_in_the_calendar_of_the_mapping() -> None:
    assert seconds_on(DAY, "104/3/13 09:00", roc=True) == 32_400
    with pytest.raises(CellError, match="on another day than 2015-03-13"):
        seconds_on(DAY, "103/3/13 09:00", roc=True)


@pytest.mark.parametrize(
    "cell",
    [
        datetime(2015, 3, 14, 9),
        datetime(2015, 3, 12, 9),
        "2015-03-14 09:00",
        datetime(2011, 3, 12, 9),
    ],
)
def test_a_time_of_another_day_is_refused_and_both_days_are_named(cell: Cell) -> None:
    with pytest.raises(CellError) as refused:
        seconds_on(DAY, cell)
    assert refused.value.sentence == f'"{cell}" is on another day than 2015-03-13'
    assert refused.value.remedy == "correct the day, or write the time alone, as 09:00"


@pytest.mark.parametrize("cell", [datetime(2015, 3, 14, 6), "2015-03-14 06:00"])
def test_an_end_past_midnight_may_name_the_next_day(cell: Cell) -> None:
    assert seconds_on(DAY, cell, ends=True) == 30 * 3600
    with pytest.raises(CellError, match="on another day"):
        seconds_on(DAY, datetime(2015, 3, 15, 6), ends=True)


# --- years ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("year", [104, 1904, 1993, 1999])
def test_a_date_cell_that_may_have_been_a_year_of_the_republic_is_refused(year: int) -> None:
    """A spreadsheet makes 1993 of 93/3/13, which is 2004, and some make 104 or 1904 of 0104/03/13, which is 2015."""
    for cell in (datetime(year, 3, 13), date(year, 3, 13)):
        with pytest.raises(CellError, match=f'"{year:04}-03-13" (has a year before 1900|is a date cell)') as refused:
            day_of(cell, roc=True)
        assert "text, 104/03/13" in refused.value.remedy
    with pytest.raises(CellError, match=f"{year:04}-03-13"):
        moment_of(datetime(year, 3, 13, 9), roc=True)


@pytest.mark.parametrize("read", [day_of, moment_of])
def test_a_date_cell_before_1900_is_refused_in_any_calendar(read: Any) -> None:
    with pytest.raises(CellError, match='"0104-03-13" has a year before 1900; correct it; if 104 means 2015, set'):
        read(datetime(104, 3, 13, 9))


def test_other_date_cells_count_from_the_common_era() -> None:
    assert day_of(datetime(2015, 3, 13), roc=True) == day_of(date(2015, 3, 13)) == DAY
    assert day_of(datetime(1993, 3, 13)) == date(1993, 3, 13)
    assert day_of("1993-03-13", roc=True) == date(1993, 3, 13)


@pytest.mark.parametrize("cell", ["2015-03-13 00:00:00", "2015-03-13T00:00:00", "2015/3/13 14:22:10"])
def test_a_day_beside_a_time_is_its_day(cell: str) -> None:
    assert day_of(cell) == DAY
