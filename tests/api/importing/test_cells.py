"""Cells: what can be read in one way is read, whoever typed it; all else is told with the way out."""

# ruff: noqa: DTZ001 - cells have no zone

from __future__ import annotations

from contextlib import ExitStack
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest

from api.importing import reports
from api.importing.cells import CellError, Number, plain_text, quoted, text_of
from api.importing.forms.moments import day_of, moment_of, seconds_of
from api.importing.forms.numbers import minutes_of, minutes_of_hours, whole_of
from api.importing.mapping import FileForm

DAY = date(2015, 3, 5)


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (None, ""),
        ("  V0000001 ", "V0000001"),
        ("Ｖ０００１", "V0001"),  # noqa: RUF001 - full width, as Chinese keyboards write it
        (442, "442"),
        (442.0, "442"),
        (1.5, "1.5"),
        (True, "TRUE"),
        ('="0012"', "0012"),
        ("=1+1", "=1+1"),
    ],
)
def test_a_name_is_read_as_it_was_meant(cell: Any, text: str) -> None:
    assert text_of(cell) == text


@pytest.mark.parametrize("cell", ["#N/A", "#REF!", "#VALUE!"])
def test_the_error_of_a_formula_is_no_value(cell: str) -> None:
    with pytest.raises(CellError, match=f"contains the spreadsheet error {cell}; correct its formula"):
        text_of(cell)


@pytest.mark.parametrize(
    ("cell", "formats"),
    [
        ("2015-03-05", ()),
        ("2015-3-5", ()),
        ("2015/3/5", ()),
        ("2015.03.05", ()),
        ("2015年3月5日", ()),
        ("２０１５－０３－０５", ()),  # noqa: RUF001 - full width
        ("20150305", ()),
        (20150305, ()),
        (datetime(2015, 3, 5, 9, 30), ()),
        (DAY, ()),
        ("5.3.2015", ("%d.%m.%Y",)),
        ("03/05/15", ("%d.%m.%Y", "%m/%d/%y")),
        ("2015-03-05", ("%d.%m.%Y",)),
    ],
)
def test_a_day_is_read_in_many_forms(cell: Any, formats: tuple[str, ...]) -> None:
    assert day_of(cell, formats) == DAY


@pytest.mark.parametrize(
    ("cell", "formats", "told"),
    [
        ("5.3.2015", (), "cannot be read as a day; write 2018-12-04, or set the format of days"),
        ("2015-02-29", (), "is not a day of the calendar"),
        ("42068", (), "is a number, not a day; format the column as a date"),
        (42068, (), "is a number, not a day"),
        ("31.4.2015", ("%d.%m.%Y",), "write it as %d.%m.%Y"),
        (time(9), (), "is a time, not a day"),
        ("soon", (), "cannot be read as a day"),
    ],
)
def test_what_is_no_day_is_told(cell: Any, formats: tuple[str, ...], told: str) -> None:
    with pytest.raises(CellError, match=told):
        day_of(cell, formats)


@pytest.mark.parametrize(
    ("cell", "form", "seconds"),
    [
        ("9:30", None, 34_200),
        ("09:30:15", None, 34_215),
        ("９：３０", None, 34_200),  # noqa: RUF001 - full width
        ("9时30分", None, 34_200),
        ("9点", None, 32_400),
        ("24:00", None, 86_400),
        (time(9, 30), None, 34_200),
        (0.375, None, 32_400),  # of a day, as spreadsheets store times
        ("0.395833", None, 34_200),
        (".5", None, 43_200),
        (0.375, "%H:%M", 32_400),
        (0.75, "%H%M", 64_800),
        (timedelta(hours=24), None, 86_400),
        (datetime(1899, 12, 30, 9, 29, 59, 999_900), None, 34_200),  # as spreadsheets count, in parts of a day
        ("9:30 PM", "%I:%M %p", 77_400),
        ("0930", "%H%M", 34_200),
    ],
)
def test_a_time_is_read_in_many_forms(cell: Any, form: str | None, seconds: int) -> None:
    assert seconds_of(cell, (form,) if form else ()) == seconds


@pytest.mark.parametrize(
    "cell", ["9:5", "24:01", "9:61", "noon", "0", 0, 9, 9.5, 1, "0.3", 0.3, timedelta(hours=25), DAY]
)
def test_what_is_no_time_is_told(cell: Any) -> None:
    """9:5 may be a line that was cut off."""
    with pytest.raises(CellError, match="time"):
        seconds_of(cell)


@pytest.mark.parametrize(
    ("cell", "formats"),
    [
        ("2015-03-05 09:30", ()),
        ("2015-03-05T09:30:00", ()),
        ("2015/3/5 9:30", ()),
        ("2015年3月5日 9时30分", ()),
        (datetime(2015, 3, 5, 9, 29, 59, 999_999), ()),
        ("05.03.2015, 09:30", ("%d.%m.%Y, %H:%M",)),
    ],
)
def test_a_day_with_its_time_is_read_from_one_cell(cell: Any, formats: tuple[str, ...]) -> None:
    assert moment_of(cell, formats) == datetime(2015, 3, 5, 9, 30)


def test_an_instant_with_its_zone_keeps_it() -> None:
    assert moment_of("2015-03-05T09:30+02:00").utcoffset() == timedelta(hours=2)


@pytest.mark.parametrize(
    ("cell", "decimal", "minutes"),
    [
        ("3.5", ".", 210),
        ("3,5", ",", 210),
        (3.5, ".", 210),
        (2, ".", 120),
        ("1.33", ".", 80),  # 79.8, which was meant as an hour and twenty
        ("0.33", ".", 20),
        ("0.3333", ".", 20),
        (1 / 3, ".", 20),
        (0.1 + 0.2, ".", 18),
        (7 / 60, ".", 7),
        (0.25, ".", 15),
        ("0.1234", ".", 7),  # whole minutes in neither way
        ("3:30", ".", 210),
        (timedelta(hours=27, minutes=15), ".", 1635),
        (time(3, 30), ".", 210),
        ("0", ".", 0),
    ],
)
def test_hours_are_read_as_minutes(cell: Any, decimal: str, minutes: int) -> None:
    assert minutes_of_hours(cell, decimal) == minutes


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        ("1,500", "may be 1500 or 1.5; write the one that is meant"),
        (3.5 / 24, "may be a part of a day, 3:30 hours, or 0:09 hours; write the one that is meant as 3:30"),
        ("0.145833333", "may be a part of a day, 3:30 hours"),
        ("0.1458", "may be a part of a day, 3:30 hours"),
        (Number("0.104166667"), "may be a part of a day, 2:30 hours"),
        (0.125, "may be a part of a day, 3:00 hours"),
        (0.375, "may be a part of a day, 9:00 hours"),
        ("-2", "is negative"),
        (timedelta(hours=-1), "is negative"),
        ("three", "is not a number"),
        ("1_000", "is not a number"),
        ("NaN", "is out of range"),
        ("Infinity", "is out of range"),
        ("1e300", "is out of range"),
        (DAY, "is a day or time, not a number"),
    ],
)
def test_what_is_no_number_is_told(cell: Any, told: str) -> None:
    with pytest.raises(CellError, match=told):
        minutes_of_hours(cell, ".")


def test_counts_are_whole() -> None:
    assert (whole_of("40"), whole_of(40.0), minutes_of("90", ".")) == (40, 40, 90)
    with pytest.raises(CellError, match="is not a whole number"):
        whole_of("40.5")


def test_messages_quote_cells_briefly_and_obey_no_escape_codes() -> None:
    assert quoted("\x1b[2Jgone") == '"\ufffd[2Jgone"'
    assert len(quoted("long" * 100)) < 50


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (timedelta(hours=25), "25:00"),
        (timedelta(minutes=5), "0:05"),
        (timedelta(hours=1, minutes=30, seconds=45), "1:30:45"),
        (timedelta(hours=-1), "-1:00"),
        (timedelta(days=40, hours=1, microseconds=400_000), "961:00"),
    ],
)
def test_durations_are_shown_as_hours_and_minutes(cell: timedelta, text: str, tmp_path: Path) -> None:
    assert plain_text(cell) == text
    assert quoted(cell) == f'"{text}"'
    with ExitStack() as stack:
        reports._CsvWriter(tmp_path / "refused.csv", FileForm(), stack).row(["V0000001", cell])
    assert (tmp_path / "refused.csv").read_text("utf-8-sig").strip() == f"V0000001,{text}"


def test_a_message_about_a_long_duration_shows_hours() -> None:
    with pytest.raises(CellError, match='"25:00" is not a time of day'):
        seconds_of(timedelta(hours=25))
    with pytest.raises(CellError, match='"25:00" is a time, not a day'):
        day_of(timedelta(hours=25))
