"""The table of docs/import.md: forms in which people have their records, each read or refused as the page says."""

# ruff: noqa: DTZ001 - cells have no zone

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from openpyxl import Workbook
from openpyxl.utils.datetime import CALENDAR_MAC_1904

from api.importing.columns import Columns
from api.importing.durations.laying import lay_out
from api.importing.lines import Line, LineReader
from api.importing.mapping import parse_mapping
from api.importing.tables import UnreadableTableError, open_table
from ledger.aggregates import Order
from ledger.aggregates.scans import Punch
from ledger.aggregates.shift_acts import AttestShift
from ledger.names import instant_text

PAGE = (Path(__file__).parents[3] / "docs" / "import.md").read_text("utf-8")
MAPPING = """\
command = "attest-shift"
source = "/imports/lists"
key = "No."
time_zone = "Asia/Shanghai"
{above}

[file]
{file}

[fields]
volunteer = "Number"
station = {{ constant = "C01" }}
check_in = {check_in}
check_out = {check_out}
evidence = {{ constant = "service-list" }}
"""
CLOCKS = ('{ date = "Date", time = "From" }', '{ date = "Date", time = "To" }')
HEADER = ("No.", "Number", "Date", "From", "To")
LINE = ("1", "V1", "2015-03-05", "09:00", "11:00")
MORNING = "2015-03-05T01:00:00Z 120"
"""From 9:00 in China, two hours."""


class Form(NamedTuple):
    """A form: a file, its mapping, and what each of its lines becomes: an instant and minutes, or a message."""

    make: Callable[[Path], Path]
    outcomes: Sequence[str]
    mapping: str


def mapped(above: str = "", file: str = "", check_in: str = CLOCKS[0], check_out: str = CLOCKS[1]) -> str:
    return MAPPING.format(above=above, file=file, check_in=check_in, check_out=check_out)


def text(content: str, name: str = "old.csv", encoding: str = "utf-8") -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content.encode(encoding))
        return path

    return make


def table(*lines: Sequence[Any], header: Sequence[str] = HEADER, delimiter: str = ",") -> str:
    return "".join(delimiter.join(map(str, line)) + "\n" for line in (header, *lines))


def sheet(
    *lines: Sequence[Any], header: Sequence[str] = HEADER, merged: str = "", mac: bool = False
) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        book = Workbook()
        if mac:
            book.epoch = CALENDAR_MAC_1904
        cells = book.worksheets[0]
        for line in (header, *lines):
            cells.append(list(line))
        if merged:
            cells.merge_cells(merged)
        book.save(folder / "old.xlsx")
        return folder / "old.xlsx"

    return make


def with_times(begin: str, end: str) -> str:
    return table((*LINE[:3], begin, end))


def with_days(*days: str) -> str:
    return table(*((number, "V1", day, "09:00", "11:00") for number, day in enumerate(days, 1)))


DURATIONS = ("No.", "Number", "Date", "Hours")
LASTING = '{ hours = "Hours" }'
STARTING = '{ date = "Date", starts = "09:00" }'
AT_NINE = '{ date = "Date", at = "09:00" }'
DIGITS = ', format = "%d%m%Y" }'
DOTTED = ', time_format = "%H.%M" }'
TWO = ', time_format = ["%H.%M", "%H-%M"] }'
DAY = datetime(2015, 3, 5)

FORMS: dict[str, Form] = {
    "merged cells": Form(
        sheet((*LINE[:2], DAY, time(9), time(11)), ("2", "V2", None, time(9), time(11)), merged="C2:C3"),
        [MORNING, MORNING],
        mapped(),
    ),
    "a formula without a stored result": Form(
        sheet((*LINE[:3], "=A1", time(11))), ["without a stored result; open the file in Excel and save it"], mapped()
    ),
    "times as parts of a day": Form(
        sheet((*LINE[:2], DAY, timedelta(days=0.395833), timedelta(hours=12))), ["2015-03-05T01:30:00Z 150"], mapped()
    ),
    "times as plain numbers, 0.375 and 0.3": Form(
        sheet((*LINE[:2], DAY, 0.375, 11 / 24), ("2", "V1", DAY, 0.3, 11 / 24)),
        [MORNING, '"0.3" may be a part of a day, or hours and minutes; write 07:12, or the time that is meant'],
        mapped(),
    ),
    "times that lost their last zeros, 11 and 9.3": Form(
        sheet((*LINE[:2], DAY, 9, 11), ("2", "V1", DAY, 9.3, 11)),
        [MORNING, "may be 9.03 or 9.30; write the one that is meant, as text"],
        mapped(check_in=CLOCKS[0].replace(" }", DOTTED), check_out=CLOCKS[1].replace(" }", DOTTED)),
    ),
    "times with a day, that of their line or another": Form(
        sheet(
            (*LINE[:2], DAY, datetime(2015, 3, 5, 9), "2015-03-05 11:00"),
            ("2", "V1", DAY, datetime(2015, 3, 6, 9), datetime(2015, 3, 6, 11)),
        ),
        [MORNING, '"2015-03-06 09:00:00" is on another day than 2015-03-05; correct the day, or write the time alone'],
        mapped(),
    ),
    "a day with a time, 2015-03-05 00:00:00": Form(text(with_days("2015-03-05 00:00:00")), [MORNING], mapped()),
    "keys that lost their zeros, `007` and 7": Form(
        sheet(("007", "V1", DAY, time(9), time(11)), (7, "V1", DAY, time(9), time(11))), [MORNING] * 2, mapped()
    ),
    "numbers with and without their prefix, `L-7` and 7": Form(
        text(table(("1", "L-7", *LINE[2:]), ("2", "7", *LINE[2:]))),
        [MORNING] * 2,
        mapped().replace('"Number"', '{ column = "Number", prefix = "L-", digits = 4 }'),
    ),
    "durations with seconds, `1:30:45` beside 1.5125": Form(
        text(table(("1", "V1", "2015-03-05", "1:30:45"), ("2", "V2", "2015-03-05", "1.5125"), header=DURATIONS)),
        ["2015-03-05T01:00:00Z 91"] * 2,
        mapped(check_in=AT_NINE, check_out=LASTING),
    ),
    "numbers of more than 15 digits in a spreadsheet": Form(
        sheet((20150313000000001, *LINE[1:])), ["more than 15 digits, which a spreadsheet rounds"], mapped()
    ),
    "card numbers as `2.0E+10`": Form(
        text(table(("2.0E+10", *LINE[1:]))), ["is a number that a spreadsheet has shortened"], mapped()
    ),
    "days as digits that lost a zero, 1122014": Form(
        text(with_days("1122014", "5032015")),
        ["has fewer digits than %d%m%Y, and may be", MORNING],
        mapped(check_in=CLOCKS[0].replace(" }", DIGITS), check_out=CLOCKS[1].replace(" }", DIGITS)),
    ),
    "two durations of a day": Form(
        text(table(("1", "V1", "2015-03-05", "1.5"), ("2", "V1", "2015-03-05", "2"), header=DURATIONS)),
        ["2015-03-05T01:00:00Z 90", "2015-03-05T02:30:00Z 120"],
        mapped(check_in=STARTING, check_out=LASTING),
    ),
    "durations as parts of a day, 0.145833333": Form(
        text(table(("1", "V1", "2015-03-05", "0.145833333"), header=DURATIONS)),
        ["may be a part of a day, 3:30 hours, or 0:09 hours; write the one that is meant as 3:30"],
        mapped(check_in=STARTING, check_out=LASTING),
    ),
    "times in two notations, 9.30 and 09-30": Form(
        text(table((*LINE[:3], "9.00", "11-00"))),
        [MORNING],
        mapped(check_in=CLOCKS[0].replace(" }", TWO), check_out=CLOCKS[1].replace(" }", TWO)),
    ),
    "a cell of 200,000 characters": Form(
        text(table(("x" * 200_000, *LINE[1:]), ("2", *LINE[1:]))), ["has 200,000 characters", MORNING], mapped()
    ),
    "an end in a repeated hour": Form(
        text(table(("1", "V1", "2015-10-25", "02:30", "02:10"))),
        ["2015-10-25T00:30:00Z 40"],
        mapped(above='ambiguous = "earlier"').replace("Asia/Shanghai", "Europe/Berlin"),
    ),
    "上午9:00, 下午5:30, 中午, 晚上, 凌晨": Form(
        text(with_times("上午9:00", "下午5:30")), [MORNING[:-3] + "510"], mapped()
    ),
    "`9:00 AM`, `5.30pm`": Form(text(with_times("9:00 AM", "5.30pm")), [MORNING[:-3] + "510"], mapped()),
    "hours and minutes in two columns": Form(
        text(table(("1", "V1", "2015-03-05", "2", "0"), header=("No.", "Number", "Date", "H", "M"))),
        [MORNING],
        mapped(check_in=AT_NINE, check_out='{ hours = "H", minutes = "M" }'),
    ),
    "hour and minute of the clock in two columns": Form(
        text(
            table(("1", "V1", "2015-03-05", "9", "0", "11", ""), header=("No.", "Number", "Date", "h", "m", "H", "M"))
        ),
        [MORNING],
        mapped(
            check_in='{ date = "Date", hour = "h", minute = "m" }',
            check_out='{ date = "Date", hour = "H", minute = "M" }',
        ),
    ),
    "year, month and day in three columns": Form(
        text(table(("1", "V1", "104", "3", "5", "2"), header=("No.", "Number", "Y", "M", "D", "Hours"))),
        [MORNING],
        mapped('calendar = "roc"', "", '{ year = "Y", month = "M", day = "D", at = "09:00" }', LASTING),
    ),
    "years of the Republic of China, 104/3/5 or 0104/03/05": Form(
        text(with_days("104/3/5", "0104/03/05", "1040305")), [MORNING] * 3, mapped('calendar = "roc"')
    ),
    "date cells of the years 104, 1904 and 1993": Form(
        sheet(*(("1", "V1", date(year, 3, 5), time(9), time(11)) for year in (104, 1904, 1993))),
        [
            '"0104-03-05" has a year before 1900; write the day as text, 104/03/13',
            '"1904-03-05" is a date cell, which may have been typed as a year such as 104 or 93; write the day as text',
            "write the day as text, 104/03/13, or 1993-03-05 if it is meant",
        ],
        mapped('calendar = "roc"'),
    ),
    "民國104年3月5日": Form(text(with_days("民國104年3月5日")), [MORNING], mapped()),
    "a year before 1900 without `calendar`": Form(
        text(with_days("0104/03/05")),
        ['has a year before 1900; correct it; if 104 means 2015, set calendar = "roc"'],
        mapped(),
    ),
    "a JSON array of shifts": Form(
        text(json.dumps([dict(zip(HEADER, LINE, strict=True))]), "old.json"), [MORNING], mapped()
    ),
    "a JSON object that holds the array": Form(
        text(json.dumps({"page": 1, "shifts": [dict(zip(HEADER, LINE, strict=True))]}), "old.json"), [MORNING], mapped()
    ),
    "a JSON record in each line": Form(
        text(json.dumps(dict(zip(HEADER, LINE, strict=True))) + "\n", "old.ndjson"), [MORNING], mapped()
    ),
    "JSON under the name .csv": Form(
        text(json.dumps([dict(zip(HEADER, LINE, strict=True))])), ["is JSON by its content; name it .json"], mapped()
    ),
    "an end that contradicts a duration in its line": Form(
        text(table((*LINE[:3], "09:00", "10:41", "73.68"), header=(*HEADER, "Hours"))),
        ['"Hours" says 73:41 hours, and the times make 1:41 hours'],
        mapped('check = { hours = "Hours" }'),
    ),
    "semicolons and decimal commas": Form(
        text(table(("1", "V1", "2015-03-05", "3,5"), header=DURATIONS, delimiter=";")),
        [MORNING[:-3] + "210"],
        mapped("", 'delimiter = ";"', AT_NINE, '{ hours = "Hours", decimal = "," }'),
    ),
    "number cells beside texts with decimal commas": Form(
        sheet(*((number, "V1", DAY, hours) for number, hours in enumerate((3.5, "3,5", "3.5"))), header=DURATIONS),
        [MORNING[:-3] + "210"] * 2 + ['"3.5" has a decimal point; write 3,5, or set decimal = "." for the column'],
        mapped("", "", AT_NINE, '{ hours = "Hours", decimal = "," }'),
    ),
    "GB18030, as Excel in China saves CSV": Form(
        text(table((*LINE, "雨"), header=(*HEADER, "备注")), encoding="gb18030"),
        [MORNING],
        mapped(file='encoding = "gb18030"'),
    ),
    "GB18030 without `encoding`": Form(
        text(table((*LINE, "雨"), header=(*HEADER, "备注")), encoding="gb18030"),
        ['is not valid utf-8 in line 1; it may be gb18030 or big5: set encoding = "gb18030" under [file]'],
        mapped(),
    ),
    "Big5": Form(
        text(table((*LINE, "門"), header=(*HEADER, "備註")), encoding="big5"),
        [MORNING],
        mapped(file='encoding = "big5"'),
    ),
    "Unicode text of Excel: UTF-16 with tabs": Form(
        text(table(LINE, delimiter="\t"), encoding="utf-16"),
        [MORNING],
        mapped(file='encoding = "utf-16"\ndelimiter = "\\t"'),
    ),
    "Excel with days from 1904 on": Form(sheet((*LINE[:2], DAY, time(9), time(11)), mac=True), [MORNING], mapped()),
    "Excel before 2007, OpenDocument": Form(
        text("", "old.ods"), ["is a spreadsheet in the format .ods; save it as .xlsx"], mapped()
    ),
    "two header lines": Form(text(",,Day,Service,\n" + table(LINE)), [MORNING], mapped(file="header_line = 2")),
    "a title and blank lines above the header": Form(
        text("Lists of 2015\n\n" + table(LINE)), [MORNING], mapped(file="header_line = 3")
    ),
    "`sep=;` in the first line": Form(
        text("sep=;\n" + table(LINE, delimiter=";")), [MORNING], mapped(file='header_line = 2\ndelimiter = ";"')
    ),
    "a footer with totals": Form(
        text(table(LINE) + "Total,,,,2:00\n"),
        [MORNING, 'the line may hold totals, because of "Total"; delete it if so'],
        mapped(),
    ),
    "blank lines between": Form(
        text(table(LINE) + "\n,,,,\n" + ",".join(("2", *LINE[1:])) + "\n"), [MORNING] * 2, mapped()
    ),
    "line breaks in quoted cells": Form(
        text(table((*LINE, '"rain,\nthen ""sun"""'), ("2", *LINE[1:], ""), header=(*HEADER, "Remarks"))),
        [MORNING] * 2,
        mapped(),
    ),
    "delimiters at the end of each line": Form(text(table((*LINE, "", ""), header=HEADER)), [MORNING], mapped()),
    "2015年3月5日, 2015.3.5, 20150305": Form(
        text(with_days("2015年3月5日", "2015.3.5", "20150305")), [MORNING] * 3, mapped()
    ),
    "3/5/2015 without `format`": Form(
        text(with_days("3/5/2015")), ["cannot be read as a day; write 2018-12-04, or set the format of days"], mapped()
    ),
    "day and time in one cell, 2015/3/5 下午 02:30:00": Form(
        text(table(("1", "V1", "2015/3/5 上午 09:00:00", "2015/3/5 11:00"), header=("No.", "Number", "In", "Out"))),
        [MORNING],
        mapped(check_in='{ column = "In" }', check_out='{ column = "Out" }'),
    ),
    "instants with an offset, 2015-03-05T02:00:00+01:00": Form(
        text(
            table(
                ("1", "V1", "2015-03-05T02:00:00+01:00", "2015-03-05T03:00:00Z"), header=("No.", "Number", "In", "Out")
            )
        ),
        [MORNING],
        mapped(check_in='{ column = "In" }', check_out='{ column = "Out" }'),
    ),
    "a night, 22:00 to 06:00": Form(text(with_times("22:00", "06:00")), ["2015-03-05T14:00:00Z 480"], mapped()),
    '`="0012"`, by which zeros are kept': Form(text(table(('"=""0012"""', *LINE[1:]))), [MORNING], mapped()),
    "thousands, `1,500` minutes": Form(
        text(table(("1", "V1", "2015-03-05", '"1,500"'), header=DURATIONS)),
        ["may be 1500 or 1.5; write the one that is meant"],
        mapped(check_in=AT_NINE, check_out='{ minutes = "Hours" }'),
    ),
    "the log of a punch clock, with tabs and no header": Form(
        text("4711\t1425517200\t1\n4711\t1425524400\t1\n", "old.tsv"),
        ["2015-03-05T01:00:00Z", "2015-03-05T03:00:00Z"],
        'command = "punch"\nsource = "/imports/clock"\nkey = [1, 2]\ntime_zone = "Asia/Shanghai"\n'
        'file = { delimiter = "\\t", header_line = 0 }\n'
        'fields = { volunteer = 1, station = { constant = "C01" }, occurred_at = { column = 2, format = "epoch" } }\n',
    ),
}


def outcomes(path: Path, mapping: str) -> list[str]:
    parsed = parse_mapping(mapping)
    try:
        with open_table(path, parsed.file) as opened:
            reader = LineReader(parsed, Columns(opened.columns), "person:keeper")
            lines = list(map(reader.read, opened.rows))
    except UnreadableTableError as error:
        return [str(error)]
    return [outcome(line) for line in map(lay_out(lines, parsed.zone, None).lay, lines)]


def outcome(line: Line) -> str:
    if not isinstance(line.order, Order):
        return line.order.detail
    command = line.order.command
    if isinstance(command, Punch):
        return instant_text(command.occurred_at)
    assert isinstance(command, AttestShift)
    return f"{instant_text(command.check_in)} {(command.check_out - command.check_in) // 60}"


@pytest.mark.parametrize("form", FORMS)
def test_a_form_is_read_or_refused_as_the_page_says(tmp_path: Path, form: str) -> None:
    make, expected, mapping = FORMS[form]
    found = outcomes(make(tmp_path), mapping)
    assert len(found) == len(expected)
    for one, told in zip(found, expected, strict=True):
        assert told in one


def test_the_page_lists_every_form_that_was_tried_and_whether_it_is_refused() -> None:
    section = PAGE.partition("## Forms that were tried")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (.+?) \| (.+?) \| (.*?) ?\|$", section, re.MULTILINE)[2:]
    listed = {form: what for form, what, _ in rows}
    assert list(listed) == list(FORMS)
    for form, what in listed.items():
        refused = [not re.match(r"\d{4}-", told) for told in FORMS[form].outcomes]
        assert "refused" in what or not any(refused), form
        assert (re.search(r"\bread\b", what) is not None) == (not all(refused)), form
