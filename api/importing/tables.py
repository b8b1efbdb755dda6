"""Tables: the lines of a CSV or Excel file as a stream, with their numbers as an editor or Excel shows them.

A file of any length takes the same memory, apart from the texts that Excel keeps together. A file that is not in its
encoding to the last byte is refused before its first line is read.

    MistakenTableError   it cannot be read at all; the sentence says what to do
    BrokenTableError     it cannot be read from some line on; what stands before has been yielded
"""

from __future__ import annotations

import codecs
import csv
import io
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import openpyxl
from openpyxl.utils.exceptions import InvalidFileException

from api.importing.cells import Cell
from api.importing.mapping import Encoding, FileForm

CODECS: dict[Encoding, str] = {
    "utf-8": "utf-8-sig",  # with or without the mark that Excel writes first
    "utf-16": "utf-16",
    "gb18030": "gb18030",
    "gbk": "gb18030",  # which is gbk and all that was added since
    "big5": "big5hkscs",
    "cp1252": "cp1252",
}
_GUESSED: tuple[Encoding, ...] = ("utf-8", "gb18030", "big5")
_BLOCK_BYTES = 1 << 20
_READ_AHEAD_BYTES = 1 << 16
"""Little, so that it can be told how far the reading is."""
_SHEET_ROWS = 500
_EXCEL = {".xlsx", ".xlsm"}


class MistakenTableError(Exception):
    """The file cannot be read; the message says why and what to do."""


class BrokenTableError(Exception):
    """The file cannot be read from here on."""


class Row(NamedTuple):
    """A line: its number in the file, from 1, and its cells."""

    line: int
    cells: Sequence[Cell]


class Table(NamedTuple):
    """A table that is open: its header as it stands in the file, what stands above it, and its lines, to be read once.

    `done()` tells how much of `size` has been read; 0 if nobody knows how much there is.
    """

    columns: Sequence[str]
    above: Sequence[Row]
    rows: Iterator[Row]
    size: int
    done: Callable[[], int]


def is_excel(path: Path) -> bool:
    """Return whether a file is Excel's by its name."""
    return path.suffix.lower() in _EXCEL


@contextmanager
def open_table(path: Path, form: FileForm, sheet: str | None = None) -> Iterator[Table]:
    """Open a CSV or Excel file; `sheet` goes before the mapping's.

    Raises:
        MistakenTableError
    """
    if not path.is_file():
        raise MistakenTableError(f"{path} is no file that is there; check the path")
    if path.suffix.lower() == ".xls":
        raise MistakenTableError(f"{path} is of Excel before 2007; save it as .xlsx")
    with _open_sheet(path, form, sheet) if is_excel(path) else _open_text(path, form) as table:
        yield table


def _header(path: Path, form: FileForm, rows: Iterator[Row]) -> tuple[list[str], list[Row]]:
    """Read up to the header; return it, and what stands above."""
    if not form.header_line:
        return list(form.columns), []
    above: list[Row] = []
    for row in rows:
        if row.line == form.header_line:
            return ["" if cell is None else str(cell) for cell in row.cells], above
        if row.line > form.header_line:
            break
        above.append(row)
    raise MistakenTableError(f"{path} has no header in line {form.header_line}; set file.header_line in the mapping")


# --- text -----------------------------------------------------------------------------------------------------------


@contextmanager
def _open_text(path: Path, form: FileForm) -> Iterator[Table]:
    _check_encoding(path, form.encoding)
    with path.open("rb", buffering=0) as raw:
        text = io.TextIOWrapper(io.BufferedReader(raw, _READ_AHEAD_BYTES), CODECS[form.encoding], newline="")
        rows = _csv_rows(text, form.delimiter)
        try:
            columns, above = _header(path, form, rows)
        except BrokenTableError as error:
            raise MistakenTableError(f"{path}: {error}; is file.delimiter what the mapping says?") from None
        yield Table(columns, above, rows, path.stat().st_size, raw.tell)


def _csv_rows(text: io.TextIOWrapper, delimiter: str) -> Iterator[Row]:
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if "unexpected end" in str(error):
                raise BrokenTableError(
                    f"a quotation mark in line {line} is never closed, or the file is cut off"
                ) from None
            raise BrokenTableError(f"line {line} is no CSV: {error}") from None
        if any(cells):
            yield Row(line, cells)


def _check_encoding(path: Path, encoding: Encoding) -> None:
    """Refuse a file that is not in its encoding, and say which it may be in."""
    if (place := _undecodable(path, encoding)) is None:
        return
    fitting = [other for other in _GUESSED if other != encoding and _undecodable(path, other) is None]
    with path.open("rb") as file:
        if file.read(2) in {codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE}:
            fitting.insert(0, "utf-16")
    remedy = (
        f'it may be {" or ".join(fitting)}: set encoding = "{fitting[0]}" under [file] in the mapping'
        if fitting
        else "save it as UTF-8 again"
    )
    raise MistakenTableError(f"{path} is not {encoding}, in line {place}; {remedy}")


def _undecodable(path: Path, encoding: Encoding) -> int | None:
    """Return the line on which a file cannot be decoded, if there is one."""
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


# --- Excel ----------------------------------------------------------------------------------------------------------


@contextmanager
def _open_sheet(path: Path, form: FileForm, sheet: str | None) -> Iterator[Table]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about styles and extensions, which nobody here needs
            book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except (zipfile.BadZipFile, InvalidFileException, KeyError, ValueError, SyntaxError, EOFError) as error:
        raise MistakenTableError(
            f"{path} cannot be read as an Excel file ({error}); "
            "open it in Excel, and save it as .xlsx without a password"
        ) from None
    try:
        found = _sheet(path, book, sheet or form.sheet)
        size = found.max_row or 0
        found.reset_dimensions()  # some programs write wrong ones
        last = _Last()
        rows = _sheet_rows(found.iter_rows(values_only=True), last)
        columns, above = _header(path, form, rows)
        yield Table(columns, above, rows, size, lambda: last.row)
    finally:
        book.close()


class _Last:
    """The last row of a sheet that was read."""

    row = 0


def _sheet_rows(cells: Iterator[Sequence[Cell]], last: _Last) -> Iterator[Row]:
    while rows := _quietly(cells):
        for row in rows:
            last.row += 1
            if any(cell is not None for cell in row):
                yield Row(last.row, row)


def _sheet(path: Path, book: Any, wanted: str | None) -> Any:
    names = [sheet.title for sheet in book.worksheets]
    if wanted is None and len(names) == 1:
        return book.worksheets[0]
    if wanted in names:
        return book[wanted]
    said = f"has no sheet {wanted}" if wanted else "has several sheets"
    raise MistakenTableError(f"{path} {said}; name one with --sheet: {', '.join(names)}")


def _quietly(cells: Iterator[Sequence[Cell]]) -> list[Sequence[Cell]]:
    """Read some rows; what the library warns of (a date that is none, say) is seen in the cell."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return list(islice(cells, _SHEET_ROWS))
        except (zipfile.BadZipFile, ValueError, SyntaxError, EOFError, KeyError) as error:
            raise BrokenTableError(f"the sheet is damaged: {error}") from None
