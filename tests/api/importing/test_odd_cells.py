"""Odd cells: whatever a cell of any column holds, it costs its line at most, and messages quote little of it."""

# ruff: noqa: DTZ001, DTZ901 - cells have no zone, and these are the first and the last moments

from __future__ import annotations

import csv
import re
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest

from api.importing.cells import Unreadable
from api.importing.lines import CELL_LENGTH_MAX
from api.importing.mapping import MappingError
from api.importing.tables import UnreadableTableError
from ledger.aggregates import Order
from tests.support.api.importing import SHIFT_COLUMNS, SHIFTS, detail, read, read_file, write_csv

SOUND = ("17", "V0000001", "East gate", "2015-03-05", "09:00", "12:00", "rain")
HOURS = SHIFTS.replace('{ date = "Date", time = "To" }', '{ hours = "To", hours_max = 24 }')
MINUTES = SHIFTS.replace('{ date = "Date", time = "To" }', '{ minutes = "To" }')
MOMENTS = SHIFTS.replace('{ date = "Date", time = "From" }', '{ column = "From", format = ["epoch-ms", "%d%m%Y"] }')
FORMATS = SHIFTS.replace('time = "From"', 'time = "From", time_format = "%H%M%S"').replace(
    'date = "Date", time = "To"', 'date = "Date", time = "To", format = ["%d%m%Y", "%Y%m%d"], hours_max = 24'
)
PLAIN = SHIFTS.replace('{ column = "Station", values = { "East gate" = "C01", "Library" = "C02" } }', '"Station"')
BALANCE = """
command = "record-opening-balance"
source = "/imports/paper"
key = "No."
[fields]
volunteer = "Number"
minutes = { hours = "From" }
as_of = { column = "Date", format = "%d%m%y" }
evidence = "Station"
"""
SERVED = """
command = "count-people-served"
source = "/imports/served"
key = "No."
fields = { station = "Station", day = "Date", people = "To" }
"""
CARDS = """
command = "register-volunteer"
source = "/imports/cards"
key = "No."
fields = { volunteer = "Number", registered_on = "Date" }
person = { name = "Remarks", phone = "From", email = "To" }
"""
STATIONS = """
command = "open-station"
source = "/imports/stations"
key = "No."
time_zone = "Asia/Shanghai"
fields = { station = "Number", kind = "Station", name = "Remarks", occurred_at = { date = "Date", time = "From" } }
"""
MAPPINGS = {
    "times": SHIFTS,
    "hours": HOURS,
    "minutes": MINUTES,
    "moments": MOMENTS,
    "formats": FORMATS,
    "plain": PLAIN,
    "balance": BALANCE,
    "served": SERVED,
    "cards": CARDS,
    "stations": STATIONS,
}
ODD: dict[str, Any] = {
    "long": "x" * 200_000,
    "digits": "9" * 5000,
    "surrogate": "\ud800",
    "surrogate inside": "V\udfff1",
    "NUL": "V\x001",
    "escape": "\x1b[2J",
    "nan": float("nan"),
    "infinity": float("inf"),
    "minus infinity": float("-inf"),
    "NaN": "NaN",
    "Infinity": "Infinity",
    "large": 1e300,
    "whole": 10**400,
    "exponent": "1e999999999",
    "small": "1e-999999999",
    "minus zero": "-0",
    "true": True,
    "TRUE": "TRUE",
    "error": "#REF!",
    "last moment": datetime(9999, 12, 31, 23, 59, 59, 500_000),
    "last day": date.max,
    "last day as text": "9999-12-31",
    "first moment": datetime.min,
    "first day as text": "0001-01-01",
    "first moment with a zone": "0001-01-01T00:00+14:00",
    "last moment with a zone": "9999-12-31T23:59:59.9-14:00",
    "last time": time.max,
    "longest": timedelta.max,
    "negative": timedelta.min,
    "no time": "99:99:99",
    "no day": "2015-02-30",
    "zeros": "0" * 40,
    "epoch": "999999999999999",
    "unreadable": Unreadable("cannot be read", "correct the cell"),
}


@pytest.mark.parametrize("mapping", MAPPINGS)
@pytest.mark.parametrize("odd", ODD)
def test_an_odd_cell_of_any_column_costs_its_line_at_most(mapping: str, odd: str) -> None:
    for place in range(len(SOUND)):
        cells = [*SOUND[:place], ODD[odd], *SOUND[place + 1 :]]
        line = read(MAPPINGS[mapping], SHIFT_COLUMNS, *cells)
        if isinstance(line.order, Order):  # it can be stored, and sent
            line.order.name.encode()
            line.order.command.model_dump_json()
            assert "\x00" not in f"{line.order.command} {line.person}"
            "".join(filter(None, line.person or ())).encode()
        else:
            assert line.order.detail.isprintable()
            assert len(line.order.detail) < 260, line.order.detail


@pytest.mark.parametrize("odd", ["long", "surrogate", "NUL", "error", "unreadable"])
@pytest.mark.parametrize("mapping", ["times", "cards", "stations"])
def test_no_column_of_a_text_takes_what_is_none(mapping: str, odd: str) -> None:
    cells = [*SOUND[:-1], ODD[odd]]
    assert detail(read(MAPPINGS[mapping], SHIFT_COLUMNS, *cells))


def test_a_long_cell_is_counted_in_its_message() -> None:
    told = detail(read(SHIFTS, SHIFT_COLUMNS, *SOUND[:-1], "x" * (CELL_LENGTH_MAX + 1)))
    assert told == 'the cell of column "Remarks" has 131,073 characters, more than 131,072; shorten it'


def test_a_long_cell_of_a_file_costs_its_line(tmp_path: Path) -> None:
    lines = [(*SOUND[:1], *SOUND[1:]), ("18", *SOUND[1:-1], "x" * 200_000), ("19", *SOUND[1:])]
    found = read_file(SHIFTS, write_csv(tmp_path / "shifts.csv", SHIFT_COLUMNS, *lines))
    assert [isinstance(line.order, Order) for line in found] == [True, False, True]
    assert [line.number for line in found] == [2, 3, 4]


@pytest.mark.parametrize("text", ['[{"No.": 1, "Number": "%s"}]', '{"%s": [1, 2, 3]}'])
def test_json_in_one_line_is_not_quoted(tmp_path: Path, text: str) -> None:
    path = tmp_path / "shifts.csv"
    path.write_text(text % ("x" * 100_000), "utf-8")
    with pytest.raises(UnreadableTableError, match="is JSON by its content; name it") as raised:
        read_file(SHIFTS, path)
    assert "xx" not in str(raised.value)


def test_a_file_that_is_another_format_is_quoted_once_and_briefly(tmp_path: Path) -> None:
    path = tmp_path / "shifts.csv"
    path.write_text("x" * 100_000, "utf-8")
    assert csv.field_size_limit() >= 100_000
    with pytest.raises(MappingError, match=r'the file has no column "No\."') as raised:
        read_file(SHIFTS, path)
    told = str(raised.value)
    assert len(told) < 2000
    assert [len(run) for run in re.findall("xx+", told)] in ([29], [38], [40])


def test_a_header_of_many_columns_is_listed_in_part(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "shifts.csv", [f"column {number}" for number in range(500)])
    with pytest.raises(MappingError, match="and 470 more") as raised:
        read_file(SHIFTS, path)
    assert str(raised.value).count("column 17,") == 1
