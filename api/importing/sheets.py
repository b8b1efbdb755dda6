"""Sheets of Excel files: their rows as a stream, with what openpyxl leaves out of it.

A cell that cannot be read costs its line, not the rest of the sheet. A cell that shows something and stores nothing is
not an empty one: the lines of merged cells all have their value, and a formula without a stored result is refused.
"""

from __future__ import annotations

import re
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime, time
from itertools import islice
from typing import Any, NamedTuple

from openpyxl.styles.numbers import BUILTIN_FORMATS, BUILTIN_FORMATS_MAX_SIZE, is_datetime
from openpyxl.utils import column_index_from_string
from openpyxl.worksheet._reader import FORMULA_TAG, VALUE_TAG, WorkSheetParser

from api.importing.cells import Cell, DayCell, Unreadable, quoted

DAMAGE = (zipfile.BadZipFile, zlib.error, ValueError, SyntaxError, EOFError, LookupError, TypeError, AttributeError)
"""What openpyxl raises on a file that is not as it should be."""
COLUMNS_MAX = 16_384
"""As many as Excel has."""
_BATCH_ROWS = 500
_BATCH_CELLS = 1 << 16
_BLOCK_BYTES = 1 << 20
_TAG_BYTES = 256
"""More than the tag of a merged range has."""
_MERGED = re.compile(
    rb"""<(?:\w+:)?mergeCell\s[^<>]*?ref\s*=\s*["']\$?([A-Z]{1,3})\$?(\d{1,7}):\$?([A-Z]{1,3})\$?(\d{1,7})["']"""
)
NOTHING_MERGED: Mapping[int, str] = {}


class DamagedSheetError(Exception):
    """The sheet cannot be read from some row on."""


class SheetRow(NamedTuple):
    """A row: its number, its cells, and the ranges by whose values empty cells were filled, by the cell's place."""

    number: int
    cells: list[Cell]
    merged: Mapping[int, str]


def rows_of(worksheet: Any, header_line: int) -> Iterator[SheetRow]:
    """Yield the rows of a worksheet that was opened for reading only, without those that are empty.

    Raises:
        DamagedSheetError: after the rows that can be read.
    """
    merged = _MergedRanges(_ranges(worksheet), header_line)
    with worksheet._get_source() as source:  # noqa: SLF001 - as the library itself reads rows
        book = worksheet.parent
        parser = _Parser(
            source,
            worksheet._shared_strings,  # noqa: SLF001 - the same
            data_only=True,
            epoch=book.epoch,
            date_formats=book._date_formats | _east_asian_styles(book),  # noqa: SLF001 - the same
            timedelta_formats=book._timedelta_formats,  # noqa: SLF001 - the same
        )
        parser.day_styles = _day_styles(book)
        rows = parser.parse()
        damage: str | None = None
        while damage is None:
            batch, damage = _batch(rows)
            for number, found in batch:
                cells = _in_columns(found)
                if any(cell is not None for cell in cells):
                    yield SheetRow(number, cells, merged.fill(number, cells))
            if not batch:
                break
    if damage is not None:
        raise DamagedSheetError(damage)


def _batch(
    rows: Iterator[tuple[int, list[dict[str, Any]]]],
) -> tuple[list[tuple[int, list[dict[str, Any]]]], str | None]:
    """Read some rows; tell what damage ended the reading. Warnings (of invalid dates, say) are ignored."""
    batch: list[tuple[int, list[dict[str, Any]]]] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            cells = 0
            for row in islice(rows, _BATCH_ROWS):
                batch.append(row)
                cells += len(row[1])
                if cells > _BATCH_CELLS:
                    break
        except DAMAGE as error:
            return batch, str(error)
    return batch, None


def _in_columns(found: list[dict[str, Any]]) -> list[Cell]:
    cells: list[Cell] = [None] * max((cell["column"] for cell in found), default=0)
    for cell in found:
        cells[cell["column"] - 1] = cell["value"]
    return cells


class _Parser(WorkSheetParser):
    """Reads the cells of a sheet. What cannot be read is a cell that tells so.

    `day_styles`: the styles of cells that show a day without a time.
    """

    day_styles: AbstractSet[int] = frozenset()

    def parse_row(self, row: Any) -> tuple[int, list[dict[str, Any]]]:
        """Read a row."""
        if len(row) > COLUMNS_MAX:
            raise ValueError(f"a row has {len(row):,} cells, more than {COLUMNS_MAX:,}")
        found: tuple[int, list[dict[str, Any]]] = super().parse_row(row)
        return found

    def parse_cell(self, element: Any) -> dict[str, Any]:
        """Read a cell."""
        before = self.col_counter
        try:
            cell: dict[str, Any] = super().parse_cell(element)
        except DAMAGE:
            if self.col_counter == before:
                self.col_counter += 1
            return self._unreadable(element, "cannot be read")
        if cell["value"] is None and len(element) and self._lacks_result(element):
            formula = "=" + (element.findtext(FORMULA_TAG) or "")
            sentence = f"is the formula {quoted(formula)} without a stored result"
            remedy = "open the file in Excel and save it, or write the value"
            cell["value"] = Unreadable(sentence, remedy, formula)
        elif cell["data_type"] == "d" and cell["style_id"] in self.day_styles and _is_midnight(cell["value"]):
            cell["value"] = DayCell(*cell["value"].timetuple()[:3])
        elif cell["data_type"] == "e" and element.get("t", "n") == "n":
            return self._unreadable(element, "is not a day of the calendar")
        return cell

    def _unreadable(self, element: Any, what: str) -> dict[str, Any]:
        shown = element.findtext(VALUE_TAG) or ""
        value = Unreadable(f"{quoted(shown)} {what}", "correct the cell", shown)
        return {"row": self.row_counter, "column": self.col_counter, "value": value, "data_type": "e", "style_id": 0}

    def _lacks_result(self, element: Any) -> bool:
        """Return whether an empty cell is a formula that was never computed. (A result can be an empty text.)"""
        if element.find(FORMULA_TAG) is None:
            return False
        return element.get("t") != "str" or element.find(VALUE_TAG) is None


def _is_midnight(value: object) -> bool:
    return isinstance(value, datetime) and value.time() == time()


_EAST_ASIAN_DAYS = frozenset({*range(27, 32), 36, *range(50, 55), 57, 58})
_EAST_ASIAN_TIMES = frozenset({*range(32, 36), 55, 56})
"""Formats by number, such as 31 for 2015年3月5日, which East Asian spreadsheets do not define and the library lacks."""


def _east_asian_styles(book: Any) -> AbstractSet[int]:
    """Return the styles with such formats."""
    styles = enumerate(book._cell_styles)  # noqa: SLF001 - the library has no other access to them
    return {style for style, each in styles if each.numFmtId in _EAST_ASIAN_DAYS | _EAST_ASIAN_TIMES}


def _day_styles(book: Any) -> AbstractSet[int]:
    """Return the styles of date cells that show no time."""
    found: set[int] = set()
    for style, each in enumerate(book._cell_styles):  # noqa: SLF001 - the same
        number = each.numFmtId
        if number in _EAST_ASIAN_DAYS:
            found.add(style)
        elif style in book._date_formats:  # noqa: SLF001 - the same
            custom = number - BUILTIN_FORMATS_MAX_SIZE
            form = BUILTIN_FORMATS.get(number) or book._number_formats[custom]  # noqa: SLF001 - the same
            if is_datetime(form) == "date":
                found.add(style)
    return found


# --- merged cells ---------------------------------------------------------------------------------------------------


class _Range(NamedTuple):
    first_row: int
    last_row: int
    first: int
    """The index of its first column, from 0."""
    last: int
    name: str


def _ranges(worksheet: Any) -> list[_Range]:
    """Return the merged ranges of a sheet in the order of their rows. They are listed behind its rows."""
    found: dict[bytes, _Range] = {}
    tail = b""
    try:
        with worksheet._get_source() as source:  # noqa: SLF001 - the library reads them only with all cells
            while block := source.read(_BLOCK_BYTES):
                text = tail + block
                if b"mergeCell" in text:
                    found |= {match.group(): _range(match) for match in _MERGED.finditer(text)}
                tail = text[-_TAG_BYTES:]
    except DAMAGE:
        pass  # the rows end there, too, and tell it
    return sorted(found.values())


def _range(match: re.Match[bytes]) -> _Range:
    left, top, right, bottom = (part.decode() for part in match.groups())
    first, last = column_index_from_string(left) - 1, column_index_from_string(right) - 1
    return _Range(int(top), int(bottom), first, last, f"{left}{top}:{right}{bottom}")


class _MergedRanges:
    """The merged ranges of a sheet, whose rows are read in order."""

    def __init__(self, ranges: list[_Range], header_line: int) -> None:
        self._ranges = ranges
        self._header_line = header_line
        self._next = 0
        self._open: dict[int, tuple[_Range, Cell]] = {}
        """By the first column: ranges do not overlap."""

    def fill(self, number: int, cells: list[Cell]) -> Mapping[int, str]:
        """Fill the cells of a row below the first of a range; return the names of the ranges by the cells' places."""
        if self._next == len(self._ranges) and not self._open:
            return NOTHING_MERGED
        for place in [place for place, (range_, _) in self._open.items() if range_.last_row < number]:
            del self._open[place]
        while self._next < len(self._ranges) and self._ranges[self._next].first_row <= number:
            range_ = self._ranges[self._next]
            self._next += 1
            begins = range_.first_row == number and range_.first < len(cells)
            if begins and range_.last_row >= number and cells[range_.first] is not None:
                self._open[range_.first] = range_, cells[range_.first]
        merged: dict[int, str] = {}
        for range_, value in self._open.values():
            self._fill(number, cells, range_, value)
            if number > range_.first_row:
                merged[range_.first] = range_.name
        return merged

    def _fill(self, number: int, cells: list[Cell], range_: _Range, value: Cell) -> None:
        if range_.first >= len(cells):
            cells.extend([None] * (range_.first + 1 - len(cells)))
        cells[range_.first] = value
        if number > self._header_line:
            sentence = f"is in the merged cells {range_.name}, whose value may belong to either column"
            beside = Unreadable(sentence, "unmerge them, and write the value of each column")
            for place in range(range_.first + 1, min(range_.last + 1, len(cells))):
                cells[place] = beside
