"""Notations: a time or day that people write in their own way has one meaning; what has two is refused."""

# ruff: noqa: DTZ001, RUF001 - cells have no zone, and are written in full width as keyboards of Chinese do

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import pytest

from api.importing.cells import CellError
from api.importing.forms.moments import day_of, moment_of, seconds_of
from api.importing.mapping import MappingError, parse_mapping
from ledger.aggregates.opening_balance import RecordOpeningBalance
from ledger.aggregates.shift_acts import AttestShift
from ledger.aggregates.volunteer import RegisterVolunteer
from ledger.names import instant_text
from tests.support.api.importing import SHIFTS, detail, order, read


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("上午9:00", "09:00"),
        ("上午 9:00:30", "09:00"),
        ("上午９：００", "09:00"),
        ("９：００ 上午", "09:00"),
        ("9∶00", "09:00"),
        ("早上8点半", "08:30"),
        ("上午11時45分", "11:45"),
        ("下午5:30", "17:30"),
        ("下午5点一刻", "17:15"),
        ("下午三刻", None),
        ("下午12:15", "12:15"),
        ("下午17:30", "17:30"),
        ("中午12:00", "12:00"),
        ("中午1点", "13:00"),
        ("中午11:30", "11:30"),
        ("中午5:00", None),
        ("晚上8:00", "20:00"),
        ("晚上12:00", "24:00"),
        ("晚上12:30", None),
        ("晚上2:00", None),
        ("凌晨1:30", "01:30"),
        ("凌晨12:05", "00:05"),
        ("凌晨9:00", None),
        ("傍晚6點整", "18:00"),
        ("上午12:30", None),
        ("上午13:00", None),
        ("午後3時", "15:00"),
        ("오전 9시 30분", "09:30"),
        ("9:00 AM", "09:00"),
        ("9:00\u202fam", "09:00"),
        ("9:00 a.m.", "09:00"),
        ("AM 9:00", "09:00"),
        ("9am", "09:00"),
        ("9.30Pm", "21:30"),
        ("12:00 AM", "00:00"),
        ("12:30 PM", "12:30"),
        ("0:30 PM", "12:30"),
        ("13:00 AM", None),
        ("AM 9:00 PM", None),
        ("9:61 AM", None),
        ("9点", "09:00"),
        ("9点5分", "09:05"),
        ("9", None),
        ("9.30", None),
    ],
)
def test_a_time_in_words_has_one_meaning_or_none(cell: str, expected: str | None) -> None:
    if expected is None:
        with pytest.raises(CellError, match=r"write (it with 24 hours, as 00:30 or 12:30|09:30)"):
            seconds_of(cell)
    else:
        seconds = seconds_of(cell)
        assert f"{seconds // 3600:02}:{seconds // 60 % 60:02}" == expected


@pytest.mark.parametrize(
    "cell",
    ["104/11/22", "0104/11/22", "0104-11-22", "104.11.22", "104年11月22日", "民國104年11月22日", "民国 104/11/22",
     "中華民國104年11月22號", "ROC 104-11-22", "1041122", "01041122", 1041122, "2015/11/22", "20151122",
     datetime(2015, 11, 22), "１０４／１１／２２"],
)  # fmt: skip
def test_years_of_the_republic_are_read_where_the_mapping_says_so(cell: Any) -> None:
    assert day_of(cell, roc=True) == date(2015, 11, 22)


def test_years_of_two_digits_are_years_of_the_republic_too() -> None:
    assert day_of("98/5/3", roc=True) == day_of("980503", roc=True) == day_of("098-05-03", roc=True) == date(2009, 5, 3)
    assert day_of("0105/02/29", roc=True) == date(2016, 2, 29)
    with pytest.raises(CellError, match="is not a day of the calendar"):
        day_of("104/02/29", roc=True)
    with pytest.raises(CellError, match="cannot be read as a day; write 104/12/04"):
        day_of("22/11/104", roc=True)


@pytest.mark.parametrize("cell", ["0104/11/22", "104/11/22", "0104-11-22"])
def test_a_year_before_1900_is_refused_and_the_calendar_is_named(cell: str) -> None:
    for reading in (day_of, moment_of):
        with pytest.raises(
            CellError, match='has a year before 1900; correct it; if 104 means 2015, set calendar = "roc"'
        ):
            reading(cell + " 09:00" if reading is moment_of else cell)
    with pytest.raises(CellError, match="before 1900"):
        day_of("0104/11/22", ("%Y/%m/%d",))
    assert day_of("民國104年11月22日") == date(2015, 11, 22)


@pytest.mark.parametrize(
    "cell",
    ["2015/11/22 下午 02:30:00", "2015/11/22下午2:30", "2015年11月22日14:30", "2015-11-22 2:30 PM", "2015-11-22T14:30",
     "民國104年11月22日 下午2點半", "2015/11/22 2:30pm"],
)  # fmt: skip
def test_a_day_with_a_time_in_words_is_read_from_one_cell(cell: str) -> None:
    assert moment_of(cell) == datetime(2015, 11, 22, 14, 30)
    assert moment_of("104/11/22 14:30", roc=True) == datetime(2015, 11, 22, 14, 30)
    assert moment_of("0104-11-22T14:30", roc=True) == datetime(2015, 11, 22, 14, 30)


@pytest.mark.parametrize(
    "cell",
    [
        "2015/3/5(四)",
        "2015/3/5（四）",
        "2015-03-05 星期四",
        "2015年3月5日 周四",
        "2015年3月5日(週四)",
        "2015年3月5日星期四",
    ],
)
def test_a_weekday_beside_its_day_is_compared(cell: str) -> None:
    assert day_of(cell) == date(2015, 3, 5)
    assert moment_of(f"{cell} 9:30") == moment_of(f"{cell}上午9:30") == datetime(2015, 3, 5, 9, 30)
    with pytest.raises(CellError, match="was another day of the week; correct the day, or the day of the week"):
        day_of(cell.replace("四", "三"))
    assert day_of("104/3/8(日)", roc=True) == day_of("5.3.2015 星期四", ("%d.%m.%Y",)) + timedelta(days=3)
    assert day_of("2015-03-08 礼拜天") == date(2015, 3, 8)


# --- by mapping keys ------------------------------------------------------------------------------------------------

IN_COLUMNS = """
command = "attest-shift"
source = "/imports/lists"
key = "No."
time_zone = "Asia/Taipei"
calendar = "roc"

[fields]
volunteer = "Number"
station = { constant = "C01" }
check_in = { year = "Y", month = "M", day = "D", hour = "h", minute = "m" }
check_out = { hours = "H", minutes = "Min" }
evidence = { constant = "service-list" }
"""
COLUMNS = ("No.", "Number", "Y", "M", "D", "h", "m", "H", "Min")


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (("104", "11", "22", "9", "5", "1", "45"), ("2015-11-22T01:05:00Z", "2015-11-22T02:50:00Z")),
        ((104, 11.0, 22, 9, None, 2, None), ("2015-11-22T01:00:00Z", "2015-11-22T03:00:00Z")),
        (("104", "11", "22", "9", "5", "1.5", ""), ("2015-11-22T01:05:00Z", "2015-11-22T02:35:00Z")),
        (("104", "11", "22", "9", "5", "1:30", "0"), ("2015-11-22T01:05:00Z", "2015-11-22T02:35:00Z")),
        (("2015", "11", "22", "下午2", "30", "", "90"), ("2015-11-22T06:30:00Z", "2015-11-22T08:00:00Z")),
    ],
)
def test_days_times_and_durations_are_read_from_several_columns(cells: Any, expected: tuple[str, str]) -> None:
    command = order(read(IN_COLUMNS, COLUMNS, "1", "V1", *cells)).command
    assert isinstance(command, AttestShift)
    assert (instant_text(command.check_in), instant_text(command.check_out)) == expected


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        (
            ("104", "11", "22", "9", "5", "1", "90"),
            "1:00 hours and 90 minutes are added, and look like one duration twice",
        ),
        (
            ("104", "11", "22", "9", "5", "1.5", "30"),
            "1:30 hours and 30 minutes are added, and look like one duration twice",
        ),
        (("104", "11", "22", "9", "5", "x", "30"), 'check_out in the column "H": "x" is not a number'),
        (("104", "11", "22", "9", "5", "1", "x"), 'check_out in the column "Min": "x" is not a number'),
        (("104", "11", "22", "9", "5", "0.145833333", ""), 'in the column "H": "0.145833333" may be a part of a day'),
        (("104", "11", "22", "25", "0", "1", "0"), "is not a time of day"),
        (("104", "11", "", "9", "0", "1", "0"), "check_in is empty: Y, M, D, h, m; fill it in"),
        (("104", "11", "22", "9", "0", "", ""), "check_out is empty: H, Min; fill it in"),
    ],
)
def test_parts_that_make_no_sense_together_are_told(cells: Any, told: str) -> None:
    assert told in detail(read(IN_COLUMNS, COLUMNS, "1", "V1", *cells))


def test_every_kind_of_field_follows_the_calendar_and_the_columns() -> None:
    registering = """
    command = "register-volunteer"
    source = "/imports/cards"
    calendar = "roc"
    fields = { volunteer = "Number", registered_on = "Since" }
    """
    command = order(read(registering, ("Number", "Since"), "V1", "98.5.3")).command
    assert isinstance(command, RegisterVolunteer)
    assert command.registered_on == date(2009, 5, 3)
    balances = """
    command = "record-opening-balance"
    source = "/imports/balances"
    calendar = "roc"
    [fields]
    volunteer = "Number"
    minutes = { hours = "H", minutes = "Min" }
    as_of = { year = "Y", month = "M", day = "D" }
    evidence = { constant = "service-list" }
    """
    columns = ("Number", "H", "Min", "Y", "M", "D")
    balance = order(read(balances, columns, "V1", "120", "30", "104", "1", "1")).command
    assert isinstance(balance, RecordOpeningBalance)
    assert (balance.minutes, balance.as_of) == (7230, date(2015, 1, 1))


def test_an_end_before_the_begin_is_on_the_next_day_of_the_same_columns() -> None:
    mapping = IN_COLUMNS.replace(
        '{ hours = "H", minutes = "Min" }', '{ year = "Y", month = "M", day = "D", at = "06:00" }'
    )
    command = order(read(mapping, COLUMNS, "1", "V1", "104", "11", "22", "22", "0", "", "")).command
    assert isinstance(command, AttestShift)
    assert instant_text(command.check_out) == "2015-11-22T22:00:00Z"


def test_a_format_beside_the_calendar_is_refused() -> None:
    mapping = IN_COLUMNS.replace('{ hours = "H", minutes = "Min" }', '{ column = "H", format = "%d/%m/%Y %H:%M" }')
    with pytest.raises(MappingError, match='format does not apply with calendar = "roc"'):
        parse_mapping(mapping)


def test_am_and_pm_need_no_format() -> None:
    columns = ("No.", "Number", "Station", "Date", "From", "To", "Remarks")
    command = order(read(SHIFTS, columns, "1", "V1", "Library", "2015-03-05", "9:00 AM", "下午5:30", "")).command
    assert isinstance(command, AttestShift)
    assert (command.check_out - command.check_in) // 60 == 510
