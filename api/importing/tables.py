"""Tables: the lines of a CSV, Excel or JSON file as a stream, with the line numbers that an editor or Excel shows.

Memory use does not depend on the length of the file, except for the shared strings of Excel. A file with any byte that
is not valid in its encoding is refused before its first line is read.

    UnreadableTableError   the file cannot be read at all; the message says what to do
    BrokenTableError       the file cannot be read from some line on; the lines before have been yielded
"""

from __future__ import annotations

import codecs
import csv
import io
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import openpyxl
from openpyxl.utils.exceptions import InvalidFileException

from api.importing.cells import Cell, CellError, Unreadable, plain_text
from api.importing.forms.json_records import JsonError, column_names, records
from api.importing.mapping import Encoding, FileForm
from api.importing.sheets import COLUMNS_MAX, DAMAGE, NOTHING_MERGED, DamagedSheetError, rows_of

CODECS: dict[Encoding, str] = {
    "utf-8": "utf-8-sig",  # with or without the byte order mark that Excel writes
    "utf-16": "utf-16",
    "gb18030": "gb18030",
    "gbk": "gb18030",  # a superset of gbk
    "big5": "big5hkscs",
    "cp1252": "cp1252",
}
_CELL_CHARACTERS_MAX = 1 << 24
"""A cell of more is a quotation mark that is never closed. (`lines` refuses each line with a cell that is long.)"""
_GUESSED: tuple[Encoding, ...] = ("utf-8", "gb18030", "big5")
_BLOCK_BYTES = 1 << 20
_READ_AHEAD_BYTES = 1 << 16
"""Small, so that the progress of reading is accurate."""
_EXCEL = {".xlsx", ".xlsm"}
_JSON = {".json"}
_JSON_LINES = {".ndjson", ".jsonl"}
_OTHER_SPREADSHEETS = {".xls", ".xlsb", ".ods", ".et", ".numbers"}
_CONTAINERS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
"""The first bytes of spreadsheets: a zip archive, or a file of Excel before 2007."""


class UnreadableTableError(Exception):
    """The file cannot be read; the message says why and what to do."""


class BrokenTableError(Exception):
    """The file cannot be read from here on."""


class Row(NamedTuple):
    """A line: its number in the file, from 1, its cells, and the merged ranges that filled them, by their places.

    A line with a defect could not be divided into cells: it has its text as one cell.
    """

    line: int
    cells: Sequence[Cell]
    merged: Mapping[int, str] = NOTHING_MERGED
    defect: Unreadable | None = None


class Table(NamedTuple):
    """An open table: its header as in the file, the rows above it, and the rows below it, which can be read once.

    `done()` returns how much of `size` has been read; `size` is 0 if it is unknown.
    """

    columns: Sequence[str]
    above: Sequence[Row]
    rows: Iterator[Row]
    size: int
    done: Callable[[], int]


def is_excel(path: Path) -> bool:
    """Return whether a file is an Excel file by its name."""
    return path.suffix.lower() in _EXCEL


def is_json(path: Path) -> bool:
    """Return whether a file is a JSON file by its name."""
    return path.suffix.lower() in _JSON | _JSON_LINES


def ending_of(path: Path) -> str:
    """Return how the name of a file of the same form ends."""
    if is_json(path):
        return ".ndjson" if has_json_lines(path) else ".json"
    return ".xlsx" if is_excel(path) else ".csv"


def has_json_lines(path: Path) -> bool:
    """Return whether a JSON file has a record after the other, instead of an array, by its name."""
    return path.suffix.lower() in _JSON_LINES


@contextmanager
def open_table(path: Path, form: FileForm, sheet: str | None = None) -> Iterator[Table]:
    """Open a CSV, Excel or JSON file.

    Args:
        sheet: the name of the sheet, instead of the one in `form`.

    Raises:
        UnreadableTableError: the file cannot be read, or has no header.
    """
    if not path.is_file():
        raise UnreadableTableError(f"{path} is not an existing file; check the path")
    suffix = path.suffix.lower()
    if suffix in _OTHER_SPREADSHEETS:
        older = (
            "has the format of Excel before 2007" if suffix == ".xls" else f"is a spreadsheet in the format {suffix}"
        )
        raise UnreadableTableError(f"{path} {older}; save it as .xlsx")
    if form.records and not is_json(path):
        raise UnreadableTableError(
            f"{path} is not JSON, so it has no array {form.records}; remove records under [file]"
        )
    if is_excel(path):
        opened = _open_sheet(path, form, sheet)
    else:
        opened = _open_json(path, form) if is_json(path) else _open_text(path, form)
    with opened as table:
        yield table


class _Peekable:
    """Rows of which the first can be looked at."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self._rows = rows
        self._first: Row | None = None

    def __iter__(self) -> Iterator[Row]:
        return self

    def __next__(self) -> Row:
        first, self._first = self._first, None
        return first if first is not None else next(self._rows)

    def peek(self) -> Row | None:
        """Return the next row without taking it; None at the end."""
        if self._first is None:
            self._first = next(self._rows, None)
        return self._first


def _numbered(rows: Iterator[Row]) -> list[str]:
    """Return the numbers of the columns of the first row, from 1, as names."""
    first = rows.peek() if isinstance(rows, _Peekable) else None
    return [str(number) for number in range(1, len(first.cells if first else ()) + 1)]


def _header(path: Path, form: FileForm, rows: Iterator[Row]) -> tuple[list[str], list[Row]]:
    """Read up to the header; return the header and the rows above it."""
    columns, above = _columns_and_above(path, form, rows)
    if len(columns) > COLUMNS_MAX:
        raise UnreadableTableError(f"{path} has {len(columns):,} columns, more than {COLUMNS_MAX:,}; keep those needed")
    return columns, above


def _columns_and_above(path: Path, form: FileForm, rows: Iterator[Row]) -> tuple[list[str], list[Row]]:
    if not form.header_line:
        return list(form.columns) or _numbered(rows), []
    above: list[Row] = []
    found = "which is beyond its end"
    remedy = "set file.header_line in the mapping"
    for row in rows:
        if row.line == form.header_line:
            if row.defect:
                raise UnreadableTableError(
                    f"{path}: its header {row.defect.sentence}; check file.delimiter in the mapping"
                )
            return [_name_of_column(cell) for cell in row.cells], above
        if row.line > form.header_line:
            found, remedy = "which is empty", f"{remedy}: the next line with cells is {row.line}"
            break
        above.append(row)
    raise UnreadableTableError(f"{path} has no header in line {form.header_line}, {found}; {remedy}")


def _name_of_column(cell: Cell) -> str:
    try:
        return plain_text(cell)
    except CellError:
        return ""


# --- text -----------------------------------------------------------------------------------------------------------


@contextmanager
def _open_text(path: Path, form: FileForm) -> Iterator[Table]:
    _require_table(path, form.encoding)
    _require_encoding(path, form.encoding)
    with path.open("rb", buffering=0) as raw:
        text = io.TextIOWrapper(io.BufferedReader(raw, _READ_AHEAD_BYTES), CODECS[form.encoding], newline="")
        rows = _Peekable(_csv_rows(text, form.delimiter))
        try:
            columns, above = _header(path, form, rows)
        except BrokenTableError as error:
            raise UnreadableTableError(f"{path}: {error}; check file.delimiter in the mapping") from None
        yield Table(columns, above, rows, path.stat().st_size, raw.tell)


def _csv_rows(text: io.TextIOWrapper, delimiter: str) -> Iterator[Row]:
    csv.field_size_limit(_CELL_CHARACTERS_MAX)
    texts: list[str] = []
    reader = csv.reader(_remembered(text, texts), delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        texts.clear()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if "unexpected end" in str(error):
                raise BrokenTableError(
                    f"a quotation mark in line {line} is never closed, or the file is cut off"
                ) from None
            if "field limit" in str(error):
                length = f"more than {_CELL_CHARACTERS_MAX:,} characters"
                raise BrokenTableError(f"a cell of line {line} has {length}; close its quotation mark") from None
            more = f", as far as line {reader.line_num}," if reader.line_num > line else ""
            remedy = "write a quotation mark in a cell twice, and the cell in quotation marks"
            defect = Unreadable(f"is{more} not valid CSV: {error}", remedy)
            yield Row(line, ["".join(texts).rstrip("\r\n")], defect=defect)
            continue
        if any(cells):
            yield Row(line, cells)


def _remembered(text: Iterable[str], texts: list[str]) -> Iterator[str]:
    """Yield the lines of a text, and remember them in a list."""
    for line in text:
        texts.append(line)
        yield line


def _require_encoding(path: Path, encoding: Encoding) -> None:
    """Refuse a file that is not valid in its encoding, and name encodings in which it is."""
    if (line := _undecodable_line(path, encoding)) is None:
        return
    candidates = [other for other in _GUESSED if other != encoding and _undecodable_line(path, other) is None]
    with path.open("rb") as file:
        if file.read(2) in {codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE}:
            candidates.insert(0, "utf-16")
    remedy = (
        f'it may be {" or ".join(candidates)}: set encoding = "{candidates[0]}" under [file] in the mapping'
        if candidates
        else "save it as UTF-8"
    )
    raise UnreadableTableError(f"{path} is not valid {encoding} in line {line}; {remedy}")


def _undecodable_line(path: Path, encoding: Encoding) -> int | None:
    """Return the number of the first line that cannot be decoded, or None."""
    decoder = codecs.getincrementaldecoder(CODECS[encoding])()
    line = 1
    with path.open("rb") as file:
        while True:
            block = file.read(_BLOCK_BYTES)
            try:
                line += decoder.decode(block, final=not block).count("\n")
            except UnicodeError as error:
                at = error.start if isinstance(error, UnicodeDecodeError) else 0
                return line + block[:at].count(b"\n")
            if not block:
                return None


def _require_table(path: Path, encoding: Encoding) -> None:
    """Refuse a file whose name does not tell its form."""
    with path.open("rb") as file:
        start = file.read(400)
    if start.startswith(_CONTAINERS):
        raise UnreadableTableError(
            f"{path} is a spreadsheet by its content; save it as .xlsx, or name it so if it is one"
        )
    found = start.decode(CODECS[encoding], "ignore").lstrip()
    if found.startswith("{") or (found[:1] == "[" and found[1:].lstrip().startswith("{")):
        name = ".json" if found.startswith("[") else ".ndjson if each line is a record, else .json"
        raise UnreadableTableError(f"{path} is JSON by its content; name it {name}")


# --- JSON -----------------------------------------------------------------------------------------------------------


@contextmanager
def _open_json(path: Path, form: FileForm) -> Iterator[Table]:
    """Open a JSON file. Its lines are the records; the whole file is read for the names of their members before."""
    _require_encoding(path, form.encoding)
    lines = has_json_lines(path)
    with path.open("rb", buffering=0) as raw:
        try:
            with path.open(encoding=CODECS[form.encoding]) as file:
                names = column_names(file, form.records, lines=lines)
        except JsonError as error:
            raise UnreadableTableError(f"{path}: {error}") from None
        text = io.TextIOWrapper(io.BufferedReader(raw, _READ_AHEAD_BYTES), CODECS[form.encoding])
        rows = (
            Row(number, [], defect=record)
            if isinstance(record, Unreadable)
            else Row(number, [record.get(name) for name in names])
            for number, record in enumerate(records(text, form.records, lines=lines), 1)
        )
        yield Table(names, [], rows, path.stat().st_size, raw.tell)


# --- Excel ----------------------------------------------------------------------------------------------------------


@contextmanager
def _open_sheet(path: Path, form: FileForm, sheet: str | None) -> Iterator[Table]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about styles and extensions, which are not used
            book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except (InvalidFileException, *DAMAGE) as error:
        raise UnreadableTableError(
            f"{path} cannot be read as an Excel file ({error}); "
            "open it in Excel, and save it as .xlsx without a password"
        ) from None
    try:
        worksheet = _sheet(path, book, sheet or form.sheet)
        size = worksheet.max_row or 0
        last = _LastRow()
        rows = _Peekable(_sheet_rows(worksheet, form.header_line, last))
        columns, above = _header(path, form, rows)
        yield Table(columns, above, rows, size, lambda: last.number)
    finally:
        book.close()


class _LastRow:
    """The number of the last row that was read from a sheet."""

    number = 0


def _sheet_rows(worksheet: Any, header_line: int, last: _LastRow) -> Iterator[Row]:
    try:
        for number, cells, merged in rows_of(worksheet, header_line):
            last.number = number
            yield Row(number, cells, merged)
    except DamagedSheetError as error:
        raise BrokenTableError(f"the sheet is damaged: {error}") from None


def _sheet(path: Path, book: Any, requested: str | None) -> Any:
    names = [sheet.title for sheet in book.worksheets]
    if requested is None and len(names) == 1:
        return book.worksheets[0]
    if requested in names:
        return book[requested]
    defect = f"has no sheet {requested}" if requested else "has several sheets"
    raise UnreadableTableError(f"{path} {defect}; name one with --sheet: {', '.join(names)}")
