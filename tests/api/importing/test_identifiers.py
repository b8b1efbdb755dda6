"""Identifiers: what a spreadsheet has damaged does not become a permanent name, in any column of any kind of file."""

# ruff: noqa: DTZ001 - cells have no zone

from __future__ import annotations

import csv
from collections.abc import Sequence
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import pytest

from api.importing.cells import CellError
from api.importing.columns import Columns
from api.importing.identifiers import identifier_of, label_of
from api.importing.lines import Line
from ledger.aggregates import Order
from ledger.aggregates.shift_acts import AttestShift
from tests.support.api.importing import (
    SHIFT_COLUMNS,
    SHIFTS,
    detail,
    order,
    read,
    read_file,
    write_csv,
    write_json,
    write_sheets,
)

ZERO_WIDTH = "\u200b"


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("1.0", "1"),
        ("442.00", "442"),
        ("1,0", "1"),
        (1.0, "1"),
        (1, "1"),
        ("1.000", "1.000"),  # it may be a thousand
        ("1.10", "1.10"),
        ("0012", "0012"),
        ('="0012"', "0012"),
        ("1.5", "1.5"),
        (1.5, "1.5"),
        (20_000_000_000.0, "20000000000"),
        (999_999_999_999_999, "999999999999999"),
        ("20150313000000001", "20150313000000001"),  # text keeps all digits
        ('="20150313000000000"', "20150313000000000"),
        ("1234567890123450", "1234567890123450"),
        ("12E3", "12E3"),
        ("V-1E5", "V-1E5"),
        ("\u00a0V1\u3000", "V1"),  # blanks that are no spaces
        ("张\u3000三", "张 三"),
        ("ABC", "ABC"),
        ("MAR-05", "MAR-05"),
        ('="Mar-05"', "Mar-05"),
        (None, ""),
    ],
)
def test_an_identifier_is_read_as_it_was_meant(cell: Any, text: str) -> None:
    assert identifier_of(cell) == text


DAMAGED: list[tuple[Any, str]] = [
    (
        20_150_313_000_000_001,
        "is a number of more than 15 digits, which a spreadsheet rounds; format the column as text",
    ),
    (2.0150313000000001e16, "is a number of more than 15 digits"),
    (1e300, "is a number of more than 15 digits"),
    (0.1 + 0.2, "is a number of more than 15 digits"),
    (1e-7, "is a number of more than 15 digits"),
    ("2.0E+10", '"2.0E+10" is a number that a spreadsheet has shortened; format the column as text'),
    ("=A1+1", '"=A1+1" is a formula, not its result; save the file with the values of its formulas'),
    ("2e+10", "is a number that a spreadsheet has shortened"),
    ("2,01503E+16", "is a number that a spreadsheet has shortened"),
    ("2.0E10", "is a number that a spreadsheet has shortened"),
    ("2.1E-05", "is a number that a spreadsheet has shortened"),
    ("20150313000000000", "may have lost digits: a spreadsheet keeps 15; write it again; if it does end in zeros"),
    ("20150313000000000.0", "may have lost digits"),
    (f"V1{ZERO_WIDTH}", "contains the invisible character U+200B (zero width space); remove it"),
    ("\ufeffV1", "contains the invisible character U+FEFF"),
    ("V\u00ad1", "U+00AD (soft hyphen)"),
    ("\u202eV1", "U+202E"),
    ("V1\ufe0f", "U+FE0F"),
    ("V\u31641", "U+1160"),
    ("V\U000e01001", "U+E0100"),
    ("V\U000e00411", "U+E0041"),
    ("V\uffff1", "U+FFFF"),
    ("V\u28001", "U+2800"),
    ("V\x001", "U+0000"),
    ("V\n1", "U+000A"),
    ("V\ud8001", "U+D800"),
    ("#N/A", "contains the spreadsheet error #N/A"),
    ("#BEZUG!", "contains the spreadsheet error #BEZUG!"),
    ("#SPILL!", "contains the spreadsheet error #SPILL!"),
    ("#####", "contains the spreadsheet error #####"),
    ("Err:502", "contains the spreadsheet error Err:502"),
    (float("nan"), '"nan" is not a number'),
    (float("inf"), '"inf" is not a number'),
    (True, '"TRUE" is a truth value, not a name'),
    (datetime(2015, 5, 3), '"2015-05-03 00:00:00" is a day or time, which a spreadsheet may have made of a name'),
    (date(2015, 5, 3), "is a day or time"),
    ("5-Mar", '"5-Mar" is a day or time, which a spreadsheet may have made of a name'),
    ("Mar-15", "is a day or time"),
    ("05-Mar-15", "is a day or time"),
    ("3月5日", "is a day or time"),
    (time(3, 5), "is a day or time"),
]


@pytest.mark.parametrize(("cell", "told"), DAMAGED)
def test_a_damaged_identifier_is_refused(cell: Any, told: str) -> None:
    with pytest.raises(CellError) as raised:
        identifier_of(cell)
    assert told in str(raised.value)
    assert str(raised.value).isprintable()


def test_a_day_may_be_a_part_of_a_key() -> None:
    mapping = SHIFTS.replace('key = "No."', 'key = ["Number", "Date", "From"]')
    line = read(mapping, SHIFT_COLUMNS, 1, "V1", "Library", datetime(2015, 3, 5), time(9), "12:00", "")
    assert order(line).id == "V1:2015-03-05%2000%3A00%3A00:09%3A00%3A00"


def shift(line: Line) -> AttestShift:
    command = order(line).command
    assert isinstance(command, AttestShift)
    return command


def test_a_table_of_values_may_hold_what_no_identifier_may_be() -> None:
    mapping = SHIFTS.replace(
        '"East gate" = "C01"', f'"TRUE" = "C01", "#N/A" = "C02", "1" = "C03", "x{ZERO_WIDTH}" = "C04"'
    )

    def station(cell: Any) -> Any:
        return read(mapping, SHIFT_COLUMNS, 1, "V1", cell, "2015-03-05", "9:00", "12:00", "")

    found = [shift(station(cell)).station for cell in (True, "#N/A", 1.0, "1.0", f"x{ZERO_WIDTH}")]
    assert found == ["C01", "C02", "C03", "C03", "C04"]
    assert "contains the invisible character U+200B" in detail(station(f"Library{ZERO_WIDTH}"))
    with pytest.raises(CellError, match="is a number of more than 15 digits"):
        label_of(20_150_313_000_000_001)


def test_the_name_of_a_column_is_found_without_what_nobody_sees() -> None:
    assert Columns([f"No.{ZERO_WIDTH}", "\ufeffNumber"]).names == ["No.", "Number"]


# --- every column of an identifier, in every kind of file -----------------------------------------------------------

COLUMNS = ("Key", "Number", "Station", "Project", "Organisation", "Phone", "Email")
ATTEST = """
command = "attest-shift"
source = "/imports/lists"
key = "Key"
time_zone = "Asia/Shanghai"
[fields]
volunteer = "Number"
station = "Station"
project = "Project"
check_in = { constant = 1425517200 }
check_out = { column = "Email" }
evidence = { constant = "service-list" }
"""
REGISTER = """
command = "register-volunteer"
source = "/imports/cards"
key = "Key"
fields = { volunteer = "Number", registered_on = { constant = 2015-03-05 } }
person = { name = "Station", phone = "Phone", email = "Email" }
"""
JOIN = """
command = "join-organisation"
source = "/imports/members"
fields = { volunteer = "Number", organisation = "Organisation", joined_on = { constant = 2015-03-05 } }
"""
PLACES = [
    (ATTEST, "key", 0),
    (ATTEST, "volunteer", 1),
    (ATTEST, "station", 2),
    (ATTEST, "project", 3),
    (REGISTER, "key", 0),
    (REGISTER, "volunteer", 1),
    (REGISTER, "phone", 5),
    (REGISTER, "email", 6),
    (JOIN, "organisation", 4),
]
SOUND = ("K1", "V1", "C1", "P1", "O1", "075512345678", "2015-03-05 12:00")


def files(tmp_path: Path, cells: Sequence[Any]) -> list[Path]:
    """Write a table with one line as CSV, as an Excel file and as JSON."""
    sheet = write_sheets(tmp_path / "table.xlsx", {"1": [COLUMNS, cells]})
    return [
        write_csv(tmp_path / "table.csv", COLUMNS, cells),
        sheet,
        write_json(tmp_path / "table.json", COLUMNS, cells),
    ]


@pytest.mark.parametrize(("mapping", "field", "place"), PLACES)
@pytest.mark.parametrize("cell", ["2.0E+10", f"V1{ZERO_WIDTH}", "#REF!", "20150313000000000"])
def test_a_damaged_cell_of_any_identifier_is_refused_with_its_line(
    tmp_path: Path, mapping: str, field: str, place: int, cell: str
) -> None:
    cells = list(SOUND)
    cells[place] = cell
    for path in files(tmp_path, cells):
        (line,) = read_file(mapping, path)
        assert detail(line).startswith(f"{field} ")
        assert getattr(line.order, "field", None) == field


@pytest.mark.parametrize(("mapping", "field", "place"), PLACES)
def test_a_whole_number_with_decimals_is_the_whole_number(tmp_path: Path, mapping: str, field: str, place: int) -> None:
    names = []
    for cell in ("1", "1.0", 1, 1.0):
        cells: list[Any] = list(SOUND)
        cells[place] = cell
        for path in files(tmp_path, cells):
            (line,) = read_file(mapping, path)
            names.append((order(line).id, order(line).command, line.person))
    assert names.count(names[0]) == len(names) == 12


def test_two_numbers_that_a_spreadsheet_rounds_do_not_become_one_volunteer(tmp_path: Path) -> None:
    lines = [(f"K{last}", 20_150_313_000_000_000 + last, *SOUND[2:]) for last in (1, 2)]
    sheet = write_sheets(tmp_path / "table.xlsx", {"1": [COLUMNS, *lines]})
    assert all("is a number of more than 15 digits" in detail(line) for line in read_file(JOIN, sheet))
    texts = [[str(cell) for cell in line] for line in lines]
    for path in (
        write_csv(tmp_path / "table.csv", COLUMNS, *texts),
        write_sheets(tmp_path / "texts.xlsx", {"1": [COLUMNS, *texts]}),
    ):
        found = [line.order for line in read_file(JOIN, path)]
        assert len({each.id for each in found if isinstance(each, Order)}) == 2


def test_the_columns_of_a_person_are_named(tmp_path: Path) -> None:
    (line,) = read_file(REGISTER, write_csv(tmp_path / "t.csv", COLUMNS, ("K1", "V1", "Chen\x00", "", "", "", "")))
    assert detail(line) == 'name "Chen\ufffd" contains the invisible character U+0000; remove it'
    joined = ("K1", "V1", "\u0646\u0627\u0645\u200c\u0647", "", "", "", "")  # a joiner, as Persian writes it
    (line,) = read_file(REGISTER, files(tmp_path, joined)[0])
    assert line.person == ("V1", joined[2], None, None)


@pytest.mark.parametrize("char", ["\U0002ebf0", "\U00031350", "\ue5e5", "\U000f0000"])
def test_a_rare_character_of_a_name_is_not_invisible(tmp_path: Path, char: str) -> None:
    """It may have a private code, or one that Python does not know yet."""
    for path in files(tmp_path, ("K1", "V1", f"陈{char}", "", "", "", "")):
        (line,) = read_file(REGISTER, path)
        assert line.person == ("V1", f"陈{char}", None, None)


def test_a_damaged_key_is_refused_in_a_csv_file_of_a_spreadsheet(tmp_path: Path) -> None:
    path = tmp_path / "shifts.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([SHIFT_COLUMNS, ("1.38E+10", "V1", "Library", "2015-03-05", "9:00", "12:00", "")])
    (line,) = read_file(SHIFTS, path)
    assert detail(line).startswith('key "1.38E+10" is a number that a spreadsheet has shortened')
