"""Remedies: whoever does what a message advises succeeds."""

# ruff: noqa: DTZ001 - cells have no zone

from __future__ import annotations

import csv
import json
import re
import zipfile
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from openpyxl import Workbook

from api.importing.durations.laying import lay_out
from api.importing.lines import LineReader
from api.importing.mapping import MappingError, parse_mapping
from api.importing.tables import BrokenTableError, UnreadableTableError, open_table
from ledger.aggregates import Order
from tests.support.api.importing import write_sheets

HEADER = ("No.", "Number", "Date", "From", "To", "Remarks")
MAPPING = """\
command = "attest-shift"
source = "/imports/lists"
key = "No."
time_zone = "Europe/Berlin"

[file]
delimiter = ","

[fields]
volunteer = "Number"
station = { constant = "C01" }
check_in = { date = "Date", time = "From" }
check_out = { date = "Date", time = "To" }
evidence = { constant = "service-list" }
"""
LASTING = MAPPING.replace('{ date = "Date", time = "To" }', '{ hours = "To" }')
MINUTES = MAPPING.replace('{ date = "Date", time = "To" }', '{ minutes = "To" }')
CELL = MAPPING.replace('{ date = "Date", time = "From" }', '{ column = "From" }').replace(
    '{ date = "Date", time = "To" }', '{ column = "To" }'
)
LAID = LASTING.replace('time = "From"', 'time = "From", starts = "09:00"')
ENDING = LAID.replace('{ hours = "To" }', '{ date = "Date", time = "To", hours = "Remarks" }')
LINE: tuple[Any, ...] = ("1", "V1", "2015-03-05", "09:00", "11:00", "")
Change = tuple[str, str]


def line(**cells: Any) -> tuple[Any, ...]:
    names = ("no", "number", "date", "begin", "end", "remarks")
    return tuple(cells.get(name, LINE[place]) for place, name in enumerate(names))


def told(mapping: str, path: Path) -> list[str]:
    """Return what is wrong with a mapping, a file, or its lines."""
    try:
        parsed = parse_mapping(mapping)
        with open_table(path, parsed.file) as table:
            reader = LineReader.of_table(parsed, table, "person:keeper")
            lines = list(map(reader.read, table.rows))
    except (MappingError, UnreadableTableError, BrokenTableError) as error:
        return [str(error)]
    laid = map(lay_out(lines, parsed.zone, None).lay, lines)
    return [each.order.detail for each in laid if not isinstance(each.order, Order)]


def write(folder: Path, cells: Sequence[Sequence[Any]]) -> Path:
    """Write lines as CSV, or as Excel where cells are not text."""
    if all(isinstance(cell, str) for each in cells for cell in each):
        path = folder / "old.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows((HEADER, *cells))
        return path
    return write_sheets(folder / "old.xlsx", {"old": [HEADER, *cells]})


# --- lines ----------------------------------------------------------------------------------------------------------


class Advice(NamedTuple):
    """A line that is refused, the end of the message, and what is done: other cells, or a change of the mapping."""

    cells: tuple[Any, ...]
    message: str
    mended: tuple[Any, ...] | Change
    mapping: str = MAPPING


DIGITS = MAPPING.replace('time = "From"', 'time = "From", format = "%d%m%Y"').replace(
    'time = "To"', 'time = "To", format = "%d%m%Y"'
)
ROC = MAPPING.replace("time_zone", 'calendar = "roc"\ntime_zone')
CHECKED = MAPPING.replace("time_zone", 'check = { hours = "Remarks" }\ntime_zone')
PARTS = MAPPING.replace('{ date = "Date", time = "To" }', '{ hours = "To", minutes = "Remarks" }')
VALUES = MAPPING.replace('{ constant = "C01" }', '{ column = "Remarks", values = { East = "C01" } }')
MAX = MAPPING.replace('time = "To"', 'time = "To", hours_max = 1')
COMMA = LASTING.replace('hours = "To"', 'hours = "To", decimal = ","')
DOTTED = MAPPING.replace('time = "From"', 'time = "From", time_format = "%H.%M"')
SINCE = """
command = "register-volunteer"
source = "/imports/cards"
key = "No."
fields = { volunteer = "Number", registered_on = "Date" }
"""
DAYS = ('date = "Date"', 'date = "Date", format = "%d/%m/%Y"')
ADVICE = [
    Advice(line(date="5/3/2015"), 'write 2018-12-04, or set the format of days: format = "%d/%m/%Y"', line()),
    Advice(line(date="5/3/2015"), 'set the format of days: format = "%d/%m/%Y"', DAYS),
    Advice(line(date="5.3.2015"), 'format = "%d.%m.%Y"', ('date = "Date"', 'date = "Date", format = "%d.%m.%Y"')),
    Advice(line(date="3-15-2015"), 'format = "%m-%d-%Y"', ('date = "Date"', 'date = "Date", format = "%m-%d-%Y"')),
    Advice(line(date="15/3/5"), 'format = "%y/%m/%d"', ('date = "Date"', 'date = "Date", format = "%y/%m/%d"')),
    Advice(
        line(date="1040305"),
        'set calendar = "roc" if it has a year such as 104',
        ("time_zone", 'calendar = "roc"\ntime_zone'),
    ),
    Advice(line(date="20153"), "format the column as a date and save the file again", line(date=datetime(2015, 3, 5))),
    Advice(
        line(date="05032015"),
        'or set format = "%d%m%Y" if it is a day',
        ('date = "Date"', 'date = "Date", format = "%d%m%Y"'),
    ),
    Advice(line(date="1122014"), "write the one that is meant", line(date="01122014"), DIGITS),
    Advice(line(date="x"), "write it as %d%m%Y", line(date="05032015"), DIGITS),
    Advice(line(date="2015-02-30"), "correct it", line(date="2015-02-28")),
    Advice(line(date="104/03/05"), 'set calendar = "roc" in the mapping', ("time_zone", 'calendar = "roc"\ntime_zone')),
    Advice(line(date="5.3.104"), "write 104/12/04", line(date="104/03/05"), ROC),
    Advice(
        line(date=datetime(1904, 3, 5)),
        "write the day as text, 104/03/13, or 1904-03-05 if it is meant",
        line(date="104/03/05"),
        ROC,
    ),
    Advice(
        line(date="1904-03-05"),
        'correct the year; a year such as 104 is written 104/03/13, with calendar = "roc"',
        line(date="2015-03-05"),
        SINCE,
    ),
    Advice(
        line(begin=datetime(2015, 3, 6, 9)),
        '"2015-03-06 09:00:00" is on another day than 2015-03-05; correct the day',
        line(begin=datetime(2015, 3, 5, 9)),
    ),
    Advice(line(begin="2015-03-06 09:00"), "or write the time alone, as 09:00", line(begin="09:00")),
    Advice(line(begin="9.3"), "may be 9.03 or 9.30; write the one that is meant, as text", line(begin="9.30"), DOTTED),
    Advice(line(begin=0.25), "format the column as a time, or as text", line(begin=time(6)), DOTTED),
    Advice(line(begin=0.3), "write 07:12, or the time that is meant", line(begin="07:12")),
    Advice(
        line(begin=42068.375, end="2015-03-05 11:00"),
        "format the column as a date with a time",
        line(begin=datetime(2015, 3, 5, 9), end="2015-03-05 11:00"),
        CELL,
    ),
    Advice(line(date=time(9)), "is a time, not a day; check the column", line(date=datetime(2015, 3, 5))),
    Advice(line(begin="9.30"), 'write 09:30, or set the format of times: time_format = "%H.%M"', line(begin="09:30")),
    Advice(line(begin="9.30"), 'time_format = "%H.%M"', ('time = "From"', 'time = "From", time_format = "%H.%M"')),
    Advice(line(begin="0930"), 'time_format = "%H%M"', ('time = "From"', 'time = "From", time_format = "%H%M"')),
    Advice(line(begin="9"), 'time_format = "%H.%M"', ('time = "From"', 'time = "From", time_format = "%H.%M"')),
    Advice(line(begin="9-30"), 'time_format = "%H-%M"', ('time = "From"', 'time = "From", time_format = "%H-%M"')),
    Advice(line(begin="9;30"), "is not a time of day; write 09:30", line(begin="09:30")),
    Advice(line(begin="9:30-11:00"), "write the begin and the end in columns of their own", line(begin="9:30")),
    Advice(line(begin="25:30"), "write 01:30 with the next day", line(date="2015-03-06", begin="01:30")),
    Advice(line(begin=timedelta(hours=26)), "write 02:00 with the next day", line(date="2015-03-06", begin=time(2))),
    Advice(
        line(begin=datetime(1900, 1, 1, 2)),
        '"26:00" is not a time of day; write 02:00 with the next day',
        line(date="2015-03-06", begin=time(2)),
    ),
    Advice(
        line(end="2015-03-06 10:00"),
        "2015-03-06 10:00:00 is a day or more after the begin, 2015-03-05 09:00:00; correct the end",
        line(end="10:00"),
    ),
    Advice(
        line(end="2015-03-06 10:00"),
        "a shift of more than a day needs a column for the day of its end",
        ('{ date = "Date", time = "To" }', '{ column = "To" }'),
    ),
    Advice(line(begin="上午12:30"), "write it with 24 hours, as 00:30 or 12:30", line(begin="00:30")),
    Advice(line(begin=timedelta(hours=60)), "is not a time of day; check the column", line(begin=timedelta(hours=9))),
    Advice(
        line(begin="5/3/2015 9:00", end="2015-03-05 11:00"),
        "write 2018-12-04 09:30",
        line(begin="2015-03-05 9:00", end="2015-03-05 11:00"),
        CELL,
    ),
    Advice(
        line(begin="5/3/2015 9:00", end="2015-03-05 11:00"),
        'or set the format of days with times: format = "%d/%m/%Y %H:%M"',
        ('{ column = "From" }', '{ column = "From", format = "%d/%m/%Y %H:%M" }'),
        CELL,
    ),
    Advice(
        line(begin="5.3.104 9:00", end="104/3/5 11:00"),
        "write 104/12/04 09:30",
        line(begin="104/3/5 9:00", end="104/3/5 11:00"),
        CELL.replace("time_zone", 'calendar = "roc"\ntime_zone'),
    ),
    Advice(
        line(begin="2015-03-05", end="2015-03-05 11:00"),
        "cannot be read as a day and a time; write 2018-12-04 09:30",
        line(begin="2015-03-05 09:00", end="2015-03-05 11:00"),
        CELL,
    ),
    Advice(
        line(begin=date(2015, 3, 5), end="2015-03-05 11:00"),
        '"2015-03-05" is a day without a time; write 2018-12-04 09:30',
        line(begin=datetime(2015, 3, 5, 9), end="2015-03-05 11:00"),
        CELL,
    ),
    Advice(
        line(begin="9:00", end="2015-03-05 11:00"),
        "is a time without a day; write 2018-12-04 09:30, or name two columns",
        ('{ column = "From" }', '{ date = "Date", time = "From" }'),
        CELL,
    ),
    Advice(line(begin=date(2015, 3, 5)), '"2015-03-05" is a day, not a time; check the column', line(begin=time(9))),
    Advice(line(end="three"), "write one such as 3.5", line(end="3.5"), LASTING),
    Advice(line(end="3,5"), 'or set decimal = ","', ('hours = "To"', 'hours = "To", decimal = ","'), LASTING),
    Advice(line(end="3,5"), 'write 3.5, or set decimal = ","', line(end="3.5"), LASTING),
    Advice(line(end="3.5"), 'or set decimal = "."', (', decimal = ","', ""), COMMA),
    Advice(line(end="3.5"), 'write 3,5, or set decimal = "."', line(end="3,5"), COMMA),
    Advice(line(end="3.5h"), "is not a number; write one such as 3,5", line(end="3,5"), COMMA),
    Advice(line(end="1,500"), "may be 1500 or 1.5; write the one that is meant", line(end="1500"), MINUTES),
    Advice(line(end="1.500"), "may be 1500 or 1,5; write the one that is meant", line(end="1,5"), COMMA),
    Advice(line(end="1,234.5"), "separates thousands; write 1234.5", line(end="1234.5"), MINUTES),
    Advice(line(end="1.234,5"), "separates thousands; write 1234.5", line(end="1234.5"), MINUTES),
    Advice(line(end="1,234,567"), "separates thousands; write 1234567", line(end="1234567"), MINUTES),
    Advice(line(end="2,5", remarks="0"), "has a decimal comma; write 2.5", line(end="2.5", remarks="0"), PARTS),
    Advice(line(end="1,000", remarks="0"), "may be 1000 or 1; write the one", line(end="1000", remarks="0"), PARTS),
    Advice(line(end="2h", remarks="0"), "is not a number; write one such as 3.5", line(end="3.5", remarks="0"), PARTS),
    Advice(line(end="0.145833333"), "write the one that is meant as 3:30", line(end="3:30"), LASTING),
    Advice(line(end="0"), "is a duration of 0 minutes; write how long it lasted", line(end="2"), LASTING),
    Advice(line(end="-2"), "is negative; correct it", line(end="2"), LASTING),
    Advice(line(end="NaN"), "is out of range; correct it", line(end="2"), LASTING),
    Advice(line(end=datetime(2015, 3, 5)), "format the column as a number", line(end=2), MINUTES),
    Advice(line(end="1.5", remarks="30"), 'write whole hours in "To"', line(end="1", remarks="30"), PARTS),
    Advice(line(end="2", remarks="120"), 'and minutes below 60 in "Remarks"', line(end="2", remarks="0"), PARTS),
    Advice(line(end="2", remarks="120"), "or map one column only", (', minutes = "Remarks"', ""), PARTS),
    Advice(line(end="#N/A"), "correct its formula, or clear the cell", line(end="11:00")),
    Advice(line(begin=""), "check_in is empty: Date, From; fill it in", line()),
    Advice(line(no=""), "fill in all columns of the key", line()),
    Advice(line(no="13812345678"), "name another column as key", ('key = "No."', 'key = "Number"')),
    Advice((*LINE, "x"), "put a cell that holds the delimiter in quotation marks", line(remarks=",x")),
    Advice(line(remarks="x" * 200_000), "shorten it", line(remarks="x" * 2000)),
    Advice(line(number="2.0E+10"), "format the column as text, and write it again", line(number="20000000001")),
    Advice(line(number="=A1"), "save the file with the values of its formulas", line()),
    Advice(line(number="V\u200b1"), "remove it", line()),
    Advice(
        line(number=2015031300000000123),
        "format the column as text, and write it again",
        line(number="V2015031300000000123"),
    ),
    Advice(line(number=True), "write the name as text", line(number="V1")),
    Advice(line(number=datetime(2015, 3, 5)), "format the column as text, and write the name again", line(number="V1")),
    Advice(
        line(remarks="West"), "add it to fields.station.values", ('East = "C01"', 'East = "C01", West = "C02"'), VALUES
    ),
    Advice(line(), "more than hours_max = 1; check both times", line(end="10:00"), MAX),
    Advice(
        line(date="2015-03-29", begin="02:30"),
        "the clocks went forward then; correct it",
        line(date="2015-03-29", begin="03:30"),
    ),
    Advice(
        line(date="2015-10-25", begin="02:30"),
        'or set ambiguous = "earlier" or "later"',
        ("time_zone", 'ambiguous = "later"\ntime_zone'),
    ),
    Advice(
        line(begin="2015-10-25 02:30", end="2015-10-25 05:00"),
        "write the offset (2018-10-28T02:30+01:00)",
        line(begin="2015-10-25T02:30+01:00", end="2015-10-25 05:00"),
        CELL,
    ),
    Advice(line(remarks="73.68"), "correct what is wrong", line(remarks="2"), CHECKED),
    Advice(
        line(remarks="2.1"),
        "set a higher tolerance_minutes under check",
        ('"Remarks" }', '"Remarks", tolerance_minutes = 6 }'),
        CHECKED,
    ),
    Advice(
        line(begin="", end="25"),
        "is 25:00 hours after the begin, and the day has 24:00 hours; correct the duration",
        line(begin="", end="2.5"),
        LAID,
    ),
    Advice(line(begin="", remarks="2"), "fill in the begin", line(), ENDING),
    Advice(line(begin="", remarks="2"), "or clear the end", line(begin="", end="", remarks="2"), ENDING),
]


@pytest.mark.parametrize("advice", ADVICE, ids=lambda advice: advice.message)
def test_a_line_is_read_once_its_remedy_is_followed(tmp_path: Path, advice: Advice) -> None:
    (message,) = told(advice.mapping, write(tmp_path, [advice.cells]))
    assert advice.message in message
    mapping, cells = advice.mapping, advice.cells
    if len(advice.mended) == 2:
        old, new = advice.mended
        mapping = mapping.replace(old, new)
    else:
        cells = advice.mended
    assert told(mapping, write(tmp_path, [cells])) == []


BALANCE = """
command = "record-opening-balance"
source = "/imports/balances"
key = "No."
fields = { volunteer = "Number", minutes = { hours = "To" }, as_of = "Date", evidence = { constant = "service-list" } }
"""


def test_hours_of_an_early_year_are_an_opening_balance(tmp_path: Path) -> None:
    path = write(tmp_path, [line(date="1999-03-05", end="120")])
    (message,) = told(LASTING, path)
    assert "is before the year 2000" in message
    assert "correct the year, or enter hours of that time as an opening balance" in message
    assert told(LASTING, write(tmp_path, [line(date="2009-03-05", end="120")])) == []
    assert told(BALANCE, path) == []


# --- mappings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message", "mended"),
    [
        (('key = "No."', 'kee = "No."'), "did you mean key?", ("kee", "key")),
        (("[fields]", '[fields]\ncalendar = "roc"'), "move calendar above [file]", ('calendar = "roc"\n', "")),
        (
            ("[fields]", '[fields]\ncheck = { hours = "Remarks" }'),
            "move check above [file]",
            ('check = { hours = "Remarks" }\n', ""),
        ),
        (("time_zone", 'encoding = "big5"\ntime_zone'), "move encoding under [file]", ('encoding = "big5"\n', "")),
        (
            ("time_zone", 'format = "%Y"\ntime_zone'),
            "move format into a field, as in check_in",
            ('format = "%Y"\n', ""),
        ),
        (("[file]", "[file]\nxyzzy = 1"), "remove it; the keys here are encoding", ("xyzzy = 1\n", "")),
        (
            ('time_zone = "Europe/Berlin"\n', ""),
            'check_in needs it: time_zone = "Asia/Shanghai"',
            ("[file]", 'time_zone = "Asia/Shanghai"\n[file]'),
        ),
        (('"Europe/Berlin"', '"Berlin"'), 'write one such as "Asia/Shanghai"', ('"Berlin"', '"Asia/Shanghai"')),
        (
            ('evidence = { constant = "service-list" }\n', ""),
            'needs it: evidence = "the column"',
            ("[fields]", '[fields]\nevidence = "Kind"'),
        ),
        (("attest-shift", "attest-shifts"), "did you mean attest-shift?", ("attest-shifts", "attest-shift")),
        (("attest-shift", "check-in"), "use punch, or attest-shift", ("check-in", "attest-shift")),
        (("volunteer =", "volunter ="), "did you mean volunteer?", ("volunter =", "volunteer =")),
        ((', time = "From"', ""), "or { date = …, at = … }", ('{ date = "Date" }', '{ date = "Date", at = "09:00" }')),
        (('time = "From"', 'minutes = "From"'), "{ date = …, time = … }", ('minutes = "From"', 'time = "From"')),
        (('"From" }', '"From", time_format = "%M" }'), "use %H and %M", ("%M", "%H:%M")),
        (('"From" }', '"From", format = "%d.%m" }'), "use %Y, %m and %d", ("%d.%m", "%Y-%m-%d")),
        (('"From" }', '"From", format = "%" }'), 'write one such as "%d/%m/%Y"', ('"%"', '["%d/%m/%Y"]')),
        (('delimiter = ","', 'columns = ["a"]'), "set header_line = 0", ('columns = ["a"]', "")),
        (
            ("time_zone", "check = {}\ntime_zone"),
            'write check = { hours = "…" }',
            ("check = {}", 'check = { hours = "Remarks" }'),
        ),
        (
            ('{ date = "Date", time = "From" }', '{ date = "Date", starts = "09:00" }'),
            'give check_out a column of them: hours = "…"',
            ('{ date = "Date", time = "To" }', '{ hours = "Hours" }'),
        ),
        (('"C01"', '"C 01"'), "correct it", ("C 01", "C01")),
        (('"Number"', '"Numbers"'), "did you mean Number?", ("Numbers", "Number")),
        (('"Number"', '"Card"'), "its columns are: No., Number", ("Card", "Number")),
        (('delimiter = ","', 'delimiter = ";"'), "set file.delimiter: its header is one column", ('";"', '","')),
        (("[file]", "[file]\nheader_line = 9"), "beyond its end; set file.header_line in the mapping", ("= 9", "= 1")),
        (
            ("[file]", "[file]\nheader_line = 2"),
            "set header_line = 1 under [file]",
            ("header_line = 2", "header_line = 1"),
        ),
        (("[file]", '[file]\nrecords = "x"'), "remove records under [file]", ('records = "x"\n', "")),
    ],
)
def test_a_mapping_fits_once_its_remedy_is_followed(
    tmp_path: Path, change: Change, message: str, mended: Change
) -> None:
    path = tmp_path / "old.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([(*HEADER, "Hours", "Kind"), (*LINE[:5], "2", "2", "service-list")])
    assert told(MAPPING, path) == []
    assert change[0] in MAPPING
    mapping = MAPPING.replace(*change, 1)
    (found,) = told(mapping, path)
    assert message in found
    assert mended[0] in mapping
    assert told(mapping.replace(*mended), path) == []


# --- files ----------------------------------------------------------------------------------------------------------

CSV = "".join(",".join(each) + "\n" for each in (HEADER, LINE))
RECORD = dict(zip(HEADER, LINE, strict=True))


def as_encoding(encoding: str) -> Callable[[str], str]:
    return lambda mapping: mapping.replace("[file]", f'[file]\nencoding = "{encoding}"')


@pytest.mark.parametrize(
    ("name", "content", "message", "mended", "mapping"),
    [
        (
            "old.csv",
            CSV.replace("Remarks", "备注").encode("gb18030"),
            'set encoding = "gb18030" under [file]',
            None,
            as_encoding("gb18030"),
        ),
        ("old.csv", CSV.encode("utf-16"), 'set encoding = "utf-16" under [file]', None, as_encoding("utf-16")),
        (
            "old.csv",
            CSV.encode() + b'2,"V1',
            "a quotation mark in line 3 is never closed",
            ("old.csv", CSV.encode()),
            None,
        ),
        ("old.csv", json.dumps([RECORD]).encode(), "name it .json", ("old.json", json.dumps([RECORD]).encode()), None),
        (
            "old.csv",
            json.dumps(RECORD).encode(),
            "name it .ndjson if each line is a record",
            ("old.ndjson", json.dumps(RECORD).encode()),
            None,
        ),
        (
            "old.json",
            json.dumps(RECORD).encode(),
            "or name the file .ndjson",
            ("old.ndjson", json.dumps(RECORD).encode()),
            None,
        ),
        (
            "old.json",
            json.dumps(RECORD).encode(),
            "save the records as an array of objects",
            ("old.json", json.dumps([RECORD]).encode()),
            None,
        ),
        (
            "old.json",
            json.dumps([list(RECORD)]).encode(),
            "write each record as an object",
            ("old.json", json.dumps([RECORD]).encode()),
            None,
        ),
        (
            "old.json",
            json.dumps([RECORD]).encode()[:-3],
            "save the file again as JSON",
            ("old.json", json.dumps([RECORD]).encode()),
            None,
        ),
        ("old.json", b'[{"a": 1, "a": 2}]', "keep one", ("old.json", json.dumps([RECORD]).encode()), None),
        (
            "old.json",
            json.dumps({"days": [1], "shifts": [RECORD]}).encode(),
            "write each record as an object",
            None,
            lambda mapping: mapping.replace("[file]", '[file]\nrecords = "shifts"'),
        ),
    ],
)
def test_a_file_is_read_once_its_remedy_is_followed(
    tmp_path: Path,
    name: str,
    content: bytes,
    message: str,
    mended: tuple[str, bytes] | None,
    mapping: Callable[[str], str] | None,
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    (found,) = told(MAPPING, path)
    assert message in found
    if mended:
        path.unlink()
        path = tmp_path / mended[0]
        path.write_bytes(mended[1])
    assert told(mapping(MAPPING) if mapping else MAPPING, path) == []


@pytest.mark.parametrize("name", ["old.csv", "old.xls", "old.ods"])
def test_a_spreadsheet_of_another_name_or_form_is_read_once_it_is_saved_as_xlsx(tmp_path: Path, name: str) -> None:
    saved = write_sheets(tmp_path / "old.xlsx", {"old": [HEADER, LINE]})
    path = tmp_path / name
    path.write_bytes(saved.read_bytes())
    (found,) = told(MAPPING, path)
    assert "save it as .xlsx" in found
    assert told(MAPPING, saved) == []


# --- cells of Excel -------------------------------------------------------------------------------------------------


def sheet(path: Path, *lines: Sequence[Any], merged: str = "") -> Path:
    book = Workbook()
    cells = book.worksheets[0]
    for each in (HEADER, *lines):
        cells.append(list(each))
    if merged:
        cells.merge_cells(merged)
    book.save(path)
    return path


@pytest.mark.parametrize(
    ("merged", "message", "cells"),
    [
        ("A2:A3", "unmerge them, and write the value of each line", [line(no="1"), line(no=None)]),
        ("D2:E2", "unmerge them, and write the value of each column", [line(begin="09:00", end=None)]),
    ],
)
def test_merged_cells_are_read_once_they_are_no_longer_merged(
    tmp_path: Path, merged: str, message: str, cells: list[tuple[Any, ...]]
) -> None:
    found = told(MAPPING, sheet(tmp_path / "old.xlsx", *cells, merged=merged))
    assert message in found[0]
    written = [line(no=str(number)) for number in range(1, len(cells) + 1)]
    assert told(MAPPING, sheet(tmp_path / "old.xlsx", *written)) == []


def test_a_formula_is_read_once_its_result_is_stored(tmp_path: Path) -> None:
    path = sheet(tmp_path / "old.xlsx", line(begin='=TEXT(0.375,"hh:mm")'))
    (found,) = told(MAPPING, path)
    assert "open the file in Excel and save it, or write the value" in found
    with zipfile.ZipFile(path) as book:
        parts = {name: book.read(name) for name in book.namelist()}
    name = "xl/worksheets/sheet1.xml"
    text = parts[name].decode()
    assert "</f><v></v>" in text or "</f><v />" in text or "</f><v/>" in text
    parts[name] = re.sub(
        r'<c r="D2"([^>]*)>(<f>.*?</f>)<v ?/?>(</v>)?', r'<c r="D2"\1 t="str">\2<v>09:00</v>', text
    ).encode()
    with zipfile.ZipFile(path, "w") as book:
        for part, content in parts.items():
            book.writestr(part, content)
    assert told(MAPPING, path) == []
