"""Reports: the outcome of each line as CSV, and the refused lines in the format of the imported file.

Text in a report never begins with a character that a spreadsheet takes for a formula: an apostrophe is put before it.
Refused lines are copied unchanged, so that the file can be imported after they are corrected.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell

from api.importing.cells import Cell, DayCell, Number, Unreadable, shown
from api.importing.durations.laying import lies
from api.importing.lines import LineReader
from api.importing.mapping import FileForm
from api.importing.running import Outcome
from api.importing.tables import CODECS, Table, has_json_lines, is_excel, is_json
from api.messages.problems import Fault
from replay.durable import atomic_file

REPORT_COLUMNS = (
    "line",
    "outcome",
    "rejection",
    "field",
    "columns",
    "detail",
    "remedy",
    "retry",
    "name",
    "position",
    "shift",
    "lies",
)
WHY_COLUMNS = ("import_line", "import_rejection", "import_detail")
"""The columns that a file of refused lines has in addition to those of the imported file."""

_FORMULA_PREFIXES = ("=", "+", "-", "@", "\t", "\r")


def told_of(outcome: Outcome) -> tuple[str, str]:
    """Return what the directory of persons has otherwise than a line, and what to do. Values are not quoted."""
    said = " and ".join(outcome.differs)
    number = outcome.line.person.volunteer if outcome.line.person else ""
    options = " ".join(f"--{field} …" for field in outcome.differs)
    detail = f"the directory of persons has another {said} of {number}, or none, and an import changes none there"
    return detail, f"compare them; if the line is right, hours persons set {number} {options}"


def escape_formula(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA_PREFIXES) else text


class Report(Protocol):
    """A file to which outcomes are written."""

    def write(self, outcomes: Sequence[Outcome]) -> None:
        """Write the outcomes of a slice."""


# --- every line -----------------------------------------------------------------------------------------------------


class _EveryLine:
    def __init__(self, path: Path, reader: LineReader, stack: ExitStack, *, dry_run: bool) -> None:
        # With the byte order mark by which Excel recognises UTF-8.
        temporary = stack.enter_context(atomic_file(path, export=True))
        self._csv = csv.writer(stack.enter_context(temporary.open("w", encoding="utf-8-sig", newline="")))
        self._csv.writerow(REPORT_COLUMNS)
        self._reader = reader
        self._accepted = "would-be-accepted" if dry_run else "accepted"

    def write(self, outcomes: Sequence[Outcome]) -> None:
        self._csv.writerows(self._row(outcome) for outcome in outcomes)

    def _row(self, outcome: Outcome) -> list[object]:
        line, answer, fault, _ = outcome
        name = "" if isinstance(line.order, Fault) else line.order.name
        if fault is None:
            word = self._accepted if outcome.word == "accepted" else outcome.word
            position, shift = (answer.position, answer.shift) if answer else (None, None)
            detail, remedy = told_of(outcome) if outcome.differs else ("", "")
            where = (position or "", shift or "", lies(line, self._reader.zone))
            return [line.number, word, "", "", "", detail, remedy, "", name, *where]
        texts = (fault.rejection, fault.field or "", self._reader.columns_of(fault.field), fault.detail, fault.remedy)
        return [line.number, outcome.word, *map(escape_formula, texts), str(fault.retry).lower(), name, "", "", ""]


# --- refused lines --------------------------------------------------------------------------------------------------


class _Writer(Protocol):
    def row(self, cells: Sequence[Cell]) -> None: ...


class _CsvWriter:
    def __init__(self, path: Path, form: FileForm, stack: ExitStack) -> None:
        file = stack.enter_context(path.open("w", encoding=CODECS[form.encoding], newline=""))
        self._csv = csv.writer(file, delimiter=form.delimiter)

    def row(self, cells: Sequence[Cell]) -> None:
        self._csv.writerow(["" if cell is None else shown(cell) for cell in cells])


class _JsonWriter:
    """Writes records as an array, or one a line. Cells without a value are left out."""

    def __init__(self, path: Path, names: Sequence[str], form: FileForm, stack: ExitStack, *, lines: bool) -> None:
        self._file = stack.enter_context(path.open("w", encoding=CODECS[form.encoding]))
        self._names = names
        self._before, self._between, self._end = ("", "\n", "\n") if lines else ("[\n", ",\n", "\n]\n")
        stack.callback(lambda: self._file.write(self._end))

    def row(self, cells: Sequence[Cell]) -> None:
        members = [(name, cell) for name, cell in zip(self._names, cells, strict=False) if cell is not None]
        text = _json_of(members, escaped=False)
        if not text.isprintable():  # a lone surrogate cannot be encoded
            text = _json_of(members, escaped=True)
        self._file.write(self._before + text)
        self._before = self._between


def _json_of(members: Sequence[tuple[str, Cell]], *, escaped: bool) -> str:
    """Return a record; its numbers have the digits that they had."""
    texts = (cell if isinstance(cell, Number) else json.dumps(cell, ensure_ascii=escaped) for _, cell in members)
    names = (json.dumps(name, ensure_ascii=escaped) for name, _ in members)
    return "{" + ", ".join(f"{name}: {text}" for name, text in zip(names, texts, strict=True)) + "}"


class _SheetWriter:
    def __init__(self, path: Path, sheet: str | None, stack: ExitStack) -> None:
        book = Workbook(write_only=True)
        self._sheet = book.create_sheet(sheet)
        stack.push(lambda kind, _error, _trace: book.save(path) if kind is None else None)

    def row(self, cells: Sequence[Cell]) -> None:
        self._sheet.append([self._cell(cell) for cell in cells])

    def _cell(self, value: Cell) -> object:
        if isinstance(value, Unreadable):
            value = value.shown
        if isinstance(value, DayCell):
            return value.date()
        if not isinstance(value, str):
            return value
        cell = WriteOnlyCell(self._sheet, value)
        cell.data_type = "s"  # never a formula
        return cell


class _RefusedLines:
    """Writes the refused lines; the file is created with the first of them."""

    def __init__(self, path: Path, table: Table, form: FileForm, sheet: str | None, stack: ExitStack) -> None:
        self._path, self._table, self._form, self._sheet, self._stack = path, table, form, sheet, stack
        # If the imported file is itself a file of refused lines, its old reasons are dropped.
        self._own_places = [place for place, name in enumerate(table.columns) if name not in WHY_COLUMNS]
        self._writer: _Writer | None = None

    def write(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            if outcome.fault is not None:
                self._writer = self._writer or self._begin()
                cells = outcome.line.cells
                more = cells[len(self._table.columns) :]
                self._writer.row([*self._own(cells), *self._why(outcome.line.number, outcome.fault), *more])

    def _why(self, line: int, fault: Fault) -> list[Cell]:
        """Return the additional cells of a line; none if the columns have no names to tell them apart."""
        codec = CODECS[self._form.encoding]
        detail = escape_formula(fault.detail).encode(codec, "replace").decode(codec)
        return [line, fault.rejection, detail] if self._form.header_line or is_json(self._path) else []

    def _own(self, cells: Sequence[Cell]) -> list[Cell]:
        return [cells[place] if place < len(cells) else None for place in self._own_places]

    def _begin(self) -> _Writer:
        """Open the file and write the rows above the lines, so that the same mapping can read it."""
        excel = is_excel(self._path)
        if is_json(self._path):
            names = [*map(str, self._own(self._table.columns)), *WHY_COLUMNS]
            temporary = self._stack.enter_context(atomic_file(self._path, export=True))
            return _JsonWriter(temporary, names, self._form, self._stack, lines=has_json_lines(self._path))
        temporary = self._stack.enter_context(atomic_file(self._path, export=True))
        writer: _Writer = (
            _SheetWriter(temporary, self._sheet, self._stack)
            if excel
            else _CsvWriter(temporary, self._form, self._stack)
        )
        line = 1
        for row in self._table.above:
            for _ in range(row.line - line):
                writer.row([])
            writer.row(row.cells)
            line = row.line + 1 + sum(cell.count("\n") for cell in row.cells if isinstance(cell, str) and not excel)
        for _ in range(self._form.header_line - line):
            writer.row([])
        if self._form.header_line:
            writer.row([*self._own(self._table.columns), *WHY_COLUMNS])
        return writer


@contextmanager
def reports(
    table: Table,
    reader: LineReader,
    form: FileForm,
    report: Path | None,
    refused: Path | None,
    sheet: str | None,
    *,
    dry_run: bool,
) -> Iterator[list[Report]]:
    """Open the requested reports; the files appear under their names when the block ends without an error."""
    with ExitStack() as stack:
        opened: list[Report] = []
        if report:
            opened.append(_EveryLine(report, reader, stack, dry_run=dry_run))
        if refused:
            opened.append(_RefusedLines(refused, table, form, sheet, stack))
        yield opened
