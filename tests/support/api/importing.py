"""Helpers of the tests of imports: mappings, and tables as CSV and Excel files."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from openpyxl import Workbook, load_workbook

from api.importing.columns import Columns
from api.importing.lines import Line, LineReader
from api.importing.mapping import parse_mapping
from api.importing.tables import Row, open_table
from ledger.aggregates import Order

SHIFT_COLUMNS = ("No.", "Number", "Station", "Date", "From", "To", "Remarks")
SHIFTS = """\
command = "attest-shift"
source = "/imports/lists"
key = "No."
time_zone = "Asia/Shanghai"

[fields]
volunteer = "Number"
station = { column = "Station", values = { "East gate" = "C01", "Library" = "C02" } }
check_in = { date = "Date", time = "From" }
check_out = { date = "Date", time = "To" }
evidence = { constant = "service-list" }
text = "Remarks"
"""
KEYLESS = SHIFTS.replace('key = "No."\n', "")


def read(mapping: str, columns: Sequence[str], *cells: Any) -> Line:
    """Read one line, the second of its file."""
    return LineReader(parse_mapping(mapping), Columns(columns), "person:keeper").read(Row(2, cells))


def read_file(mapping: str, path: Path) -> list[Line]:
    """Read the lines of a file."""
    parsed = parse_mapping(mapping)
    with open_table(path, parsed.file) as table:
        reader = LineReader.of_table(parsed, table, "person:keeper")
        return [reader.read(row) for row in table.rows]


def order(line: Line) -> Order:
    assert isinstance(line.order, Order), line.order
    return line.order


def detail(line: Line) -> str:
    assert not isinstance(line.order, Order), line.order
    return line.order.detail


def write_csv(path: Path, *rows: Sequence[Any], encoding: str = "utf-8", delimiter: str = ",") -> Path:
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    return path


def write_json(path: Path, columns: Sequence[str], *rows: Sequence[Any]) -> Path:
    records = [dict(zip(columns, row, strict=False)) for row in rows]
    path.write_text(json.dumps(records, ensure_ascii=False), "utf-8")
    return path


def read_csv(path: Path, encoding: str = "utf-8-sig") -> list[dict[str, str]]:
    with path.open(encoding=encoding, newline="") as file:
        return list(csv.DictReader(file))


def write_sheets(path: Path, sheets: dict[str, Iterable[Sequence[Any]]]) -> Path:
    book = Workbook(write_only=True)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(list(row))
    book.save(path)
    return path


def read_sheet(path: Path) -> list[tuple[Any, ...]]:
    book = load_workbook(path)
    return [tuple(cell.value for cell in row) for row in book.worksheets[0].iter_rows()]
