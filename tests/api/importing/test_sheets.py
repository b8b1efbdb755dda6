"""Sheets: a cell that shows something is not taken for an empty one, and a cell that cannot be read costs its line."""

# ruff: noqa: DTZ001 - cells have no zone

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook
from openpyxl.worksheet.worksheet import Worksheet

from api.importing.lines import CELL_LENGTH_MAX, Line
from api.importing.mapping import FileForm
from api.importing.tables import BrokenTableError, open_table
from ledger.aggregates import Order
from ledger.aggregates.shift_acts import AttestShift
from ledger.names import instant_text
from tests.support.api.importing import SHIFT_COLUMNS, SHIFTS, detail, order, read_file, write_csv

COLUMNS = (*SHIFT_COLUMNS[:6], "Project", "Remarks", "Hours")
MAPPING = SHIFTS.replace("text =", 'project = "Project"\ntext =')
HOURS = MAPPING.replace('{ date = "Date", time = "To" }', '{ hours = "Hours" }')
LINES = [
    [1, "V0000001", "Library", "2015-03-05", "09:00", "12:00", "P1", "rain", 3],
    [2, "V0000002", "Library", "2015-03-05", "09:00", "12:00", "P1", None, 3],
    [3, "V0000003", "Library", "2015-03-05", "09:00", "12:00", "P2", None, 3],
]


def sheet_of(path: Path, change: Callable[[Worksheet], None], lines: list[list[Any]] = LINES) -> Path:
    book = Workbook()
    sheet = book.worksheets[0]
    for line in (COLUMNS, *lines):
        sheet.append(list(line))
    change(sheet)
    book.save(path)
    return path


def change_xml(path: Path, *changes: tuple[str, str], part: str = "worksheets/sheet1") -> Path:
    """Change the XML of a sheet: there are cells that openpyxl does not write."""
    with zipfile.ZipFile(path) as book:
        parts = {name: book.read(name) for name in book.namelist()}
    name = f"xl/{part}.xml"
    text = parts[name].decode()
    for pattern, new in changes:
        assert re.search(pattern, text), (pattern, text)
        text = re.sub(pattern, new, text)
    with zipfile.ZipFile(path, "w") as book:
        for file, content in {**parts, name: text.encode()}.items():
            book.writestr(file, content)
    return path


def shift(line: Line) -> AttestShift:
    command = order(line).command
    assert isinstance(command, AttestShift)
    return command


def accepted(lines: list[Line]) -> list[int]:
    return [line.number for line in lines if isinstance(line.order, Order)]


# --- merged cells ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("merged", "field"),
    [
        ("B2:B3", "volunteer"),
        ("C2:C4", "station"),
        ("D2:D4", "check_in"),
        ("E2:E3", "check_in"),
        ("F2:F3", "check_out"),
        ("G2:G3", "project"),
        ("H2:H4", "text"),
    ],
)
def test_every_line_of_merged_cells_has_their_value(tmp_path: Path, merged: str, field: str) -> None:
    lines = read_file(MAPPING, sheet_of(tmp_path / "shifts.xlsx", lambda sheet: sheet.merge_cells(merged)))
    first = getattr(shift(lines[0]), field)
    rows = range(2, int(merged[-1]) + 1)
    assert first is not None
    assert [getattr(shift(lines[row - 2]), field) for row in rows] == [first] * len(rows)
    assert len(lines) == 3


def test_several_merged_ranges_are_read_in_any_order(tmp_path: Path) -> None:
    def merge(sheet: Worksheet) -> None:
        for cells in ("G4:G5", "G2:G3", "E2:E4", "B6:B9", "C2:C3"):
            sheet.merge_cells(cells)

    lines = [[number, f"V{number}", *LINES[number % 3][2:]] for number in range(1, 9)]
    found = [shift(line) for line in read_file(MAPPING, sheet_of(tmp_path / "shifts.xlsx", merge, lines))]
    assert [each.project for each in found][:5] == ["P1", "P1", "P1", "P1", "P2"]
    assert [each.volunteer for each in found] == ["V1", "V2", "V3", "V4", *["V5"] * 4]


@pytest.mark.parametrize(
    ("mapping", "merged", "told"),
    [
        (
            MAPPING,
            "A2:A3",
            "key is in the merged cells A2:A3, and several lines cannot share it; unmerge them, and write",
        ),
        (HOURS, "I2:I3", "check_out is in the merged cells I2:I3, and several lines cannot share it"),
    ],
)
def test_what_several_lines_cannot_share_is_told_with_the_range(
    tmp_path: Path, mapping: str, merged: str, told: str
) -> None:
    lines = read_file(mapping, sheet_of(tmp_path / "shifts.xlsx", lambda sheet: sheet.merge_cells(merged)))
    assert accepted(lines) == [2, 4]
    assert told in detail(lines[1])


def test_a_value_of_two_columns_belongs_to_neither(tmp_path: Path) -> None:
    lines = read_file(MAPPING, sheet_of(tmp_path / "shifts.xlsx", lambda sheet: sheet.merge_cells("E3:F3")))
    assert accepted(lines) == [2, 4]
    assert "check_out is in the merged cells E3:F3, whose value may belong to either column" in detail(lines[1])


def test_cells_that_are_not_mapped_may_be_merged(tmp_path: Path) -> None:
    lines = read_file(MAPPING, sheet_of(tmp_path / "shifts.xlsx", lambda sheet: sheet.merge_cells("H2:J3")))
    assert accepted(lines) == [2, 3, 4]


def test_a_record_of_two_rows_is_one_line(tmp_path: Path) -> None:
    def merge(sheet: Worksheet) -> None:
        for column in "ABCDEFGHI":
            sheet.merge_cells(f"{column}2:{column}3")

    lines = read_file(MAPPING, sheet_of(tmp_path / "shifts.xlsx", merge))
    assert accepted(lines) == [2, 4]
    assert len(lines) == 2


def test_a_header_of_two_lines_has_merged_names(tmp_path: Path) -> None:
    book = Workbook()
    sheet = book.worksheets[0]
    sheet.append(["List of March"])
    sheet.append(["No.", "Number", "Station", "Date", "Time", None, "Project", "Remarks", "Hours"])
    sheet.append([None, None, None, None, "From", "To"])
    sheet.append(LINES[0])
    for cells in ("A1:I1", "E2:F2", *(f"{column}2:{column}3" for column in "ABCDGHI")):
        sheet.merge_cells(cells)
    book.save(tmp_path / "shifts.xlsx")
    mapping = MAPPING.replace("[fields]", "[file]\nheader_line = 3\n[fields]")
    assert accepted(read_file(mapping, tmp_path / "shifts.xlsx")) == [4]


# --- formulas and odd cells -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("column", ["A", "B", "C", "D", "E", "F", "G", "H"])
def test_a_formula_without_a_stored_result_is_named(tmp_path: Path, column: str) -> None:
    def write(sheet: Worksheet) -> None:
        sheet[f"{column}3"] = f"={column}2"

    lines = read_file(MAPPING, sheet_of(tmp_path / "shifts.xlsx", write))
    assert accepted(lines) == [2, 4]
    assert f'is the formula "={column}2" without a stored result; open the file in Excel and save it' in detail(
        lines[1]
    )


def test_a_formula_whose_result_is_no_text_is_an_empty_cell(tmp_path: Path) -> None:
    def write(sheet: Worksheet) -> None:
        sheet["G3"] = '=IF(A3=2,"","P1")'

    path = sheet_of(tmp_path / "shifts.xlsx", write)
    change_xml(path, (r'<c r="G3"[^>]*>(<f>.*?</f>)<v(?:\s*/>|></v>)', r'<c r="G3" t="str">\1<v></v>'))
    assert shift(read_file(MAPPING, path)[1]).project is None


ODD_XML = [
    ("a number that is none", '<c r="F3"><v>NaN</v></c>', '"NaN" cannot be read'),
    ("infinity", '<c r="F3"><v>1e999</v></c>', '"inf" is not a time of day'),
    ("an error", '<c r="F3" t="e"><v>#REF!</v></c>', "contains the spreadsheet error #REF!"),
    ("a truth value", '<c r="F3" t="b"><v>1</v></c>', '"TRUE" is not a time of day'),
    ("no truth value", '<c r="F3" t="b"><v>maybe</v></c>', '"maybe" cannot be read'),
    ("a text that is nowhere", '<c r="F3" t="s"><v>99999</v></c>', '"99999" cannot be read'),
    ("a day of ISO 8601 that is none", '<c r="F3" t="d"><v>soon</v></c>', '"soon" cannot be read'),
    ("a number", '<c r="F3"><v>12</v></c>', '"12" is not a time of day'),
]


@pytest.mark.parametrize(("cell", "told"), [odd[1:] for odd in ODD_XML], ids=[odd[0] for odd in ODD_XML])
def test_an_odd_cell_costs_its_line(tmp_path: Path, cell: str, told: str) -> None:
    path = change_xml(sheet_of(tmp_path / "shifts.xlsx", lambda _sheet: None), (r'<c r="F3".*?</c>', cell))
    lines = read_file(MAPPING, path)
    assert accepted(lines) == [2, 4]
    assert told in detail(lines[1])


@pytest.mark.parametrize(
    ("serial", "told"),
    [
        ("99999999", '"99999999" is not a day of the calendar; correct the cell'),
        ("-99999999", '"-99999999" is not a day of the calendar'),
        ("1e300", '"1e300" is not a day of the calendar'),
        ("2958465.9999999999", "is not a day of the calendar"),
        ("2958465.99999421", '"9999-12-31 23:59:59.500000" is out of range; check the year'),
        ("-5", '"1899-12-25" has a year before 1900; correct it'),
    ],
)
def test_a_day_beyond_the_calendar_costs_its_line(tmp_path: Path, serial: str, told: str) -> None:
    def write(sheet: Worksheet) -> None:
        sheet["D3"] = 42068
        sheet["D3"].number_format = "yyyy-mm-dd"

    path = change_xml(sheet_of(tmp_path / "shifts.xlsx", write), (r"<v>42068</v>", f"<v>{serial}</v>"))
    lines = read_file(MAPPING, path)
    assert accepted(lines) == [2, 4]
    assert told in detail(lines[1])


def test_a_date_cell_that_shows_no_time_is_no_midnight(tmp_path: Path) -> None:
    """A cell at 0:00 that shows its time is one, and so is a day with a time that it does not show."""
    mapping = MAPPING.replace('{ date = "Date", time = "From" }', '{ column = "From" }').replace(
        '{ date = "Date", time = "To" }', '{ column = "To" }'
    )
    cells = [
        (datetime(2015, 3, 5), "yyyy-mm-dd", "is a day without a time"),
        (datetime(2015, 3, 5), 'm"月"d"日";@', "is a day without a time"),
        (datetime(2015, 3, 5), "mm-dd-yy", "is a day without a time"),
        (datetime(2015, 3, 5), "yyyy-mm-dd h:mm", None),
        (datetime(2015, 3, 5, 9), "yyyy-mm-dd", None),
    ]

    def write(sheet: Worksheet) -> None:
        for row, (value, form, _) in enumerate(cells, 2):
            sheet.cell(row, 5, value).number_format = form

    lines = [[number, "V1", "Library", "", "", "2015-03-05 12:00"] for number in range(1, 6)]
    found = read_file(mapping, sheet_of(tmp_path / "shifts.xlsx", write, lines))
    for line, (_, _, told) in zip(found, cells, strict=True):
        assert (told in detail(line)) if told else order(line)


@pytest.mark.parametrize(("number", "cell"), [(31, "D3"), (58, "D3"), (32, "E3"), (56, "E3")])
def test_a_format_that_east_asian_spreadsheets_do_not_define_is_one_of_days_or_times(
    tmp_path: Path, number: int, cell: str
) -> None:
    def write(sheet: Worksheet) -> None:
        sheet[cell] = 42068 if cell == "D3" else 0.3756944444
        sheet[cell].number_format = "0.00000"

    path = sheet_of(tmp_path / "shifts.xlsx", write)
    change_xml(
        path, ('numFmtId="164" fontId', f'numFmtId="{number}" fontId'), ("<numFmts.*?</numFmts>", ""), part="styles"
    )
    assert instant_text(shift(read_file(MAPPING, path)[1]).check_in) == (
        "2015-03-05T01:00:00Z" if cell == "D3" else "2015-03-05T01:01:00Z"
    )


def test_the_rows_before_damage_are_read(tmp_path: Path) -> None:
    path = change_xml(sheet_of(tmp_path / "shifts.xlsx", lambda _sheet: None), (r'<row r="4".*', '<row r="4"><c'))
    with open_table(path, FileForm()) as table:
        assert next(table.rows).line == 2
        assert next(table.rows).line == 3
        with pytest.raises(BrokenTableError, match="the sheet is damaged"):
            next(table.rows)


# --- odd cells of every kind of file --------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [CELL_LENGTH_MAX + 1, 200_000])
def test_a_long_cell_costs_its_line(tmp_path: Path, length: int) -> None:
    texts = [[str(cell or "") for cell in line] for line in LINES]
    texts[1][7] = "x" * length
    lines = read_file(MAPPING, write_csv(tmp_path / "shifts.csv", COLUMNS, *texts))
    assert accepted(lines) == [2, 4]
    assert detail(lines[1]) == (
        f'the cell of column "Remarks" has {length:,} characters, more than 131,072; shorten it'
    )
    path = sheet_of(tmp_path / "shifts.xlsx", lambda _sheet: None)
    change_xml(
        path,
        (r'<c r="H3".*?/>|$', ""),
        (r'(<c r="G3".*?</c>)', rf'\1<c r="H3" t="inlineStr"><is><t>{"x" * length}</t></is></c>'),
    )
    assert accepted(read_file(MAPPING, path)) == [2, 4]


def test_a_line_of_many_columns_is_quoted_briefly(tmp_path: Path) -> None:
    path = tmp_path / "shifts.csv"
    path.write_text('a,"' + "x" * 5000 + '"\n', "utf-8")
    with pytest.raises(ValueError, match="the file has no column") as raised:
        read_file(MAPPING, path)
    assert max(map(len, re.findall("x+", str(raised.value)))) <= 40
