"""Lines: one line of a table as an order of the ledger, or what is wrong with it and what to do.

An order is named by the columns of the mapping's key, or else by its content, so a record has the same name in any line
of any file. Therefore a file can be sorted, split, extended and imported again.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Mapping as Dictionary
from dataclasses import replace
from hashlib import blake2b
from itertools import islice
from typing import NamedTuple
from urllib.parse import quote
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from api.importing.cells import (
    Cell,
    CellError,
    Unreadable,
    is_empty,
    plain_text,
    quoted,
)
from api.importing.columns import HEADER_ROWS, Columns, header_line_of
from api.importing.fields import CHECK_IN_WALL, FORMER_ID, LAID, FieldReaders, Fields, as_written
from api.importing.identifiers import first_invisible, identifier_of
from api.importing.mapping import Mapping, MappingError
from api.importing.sources import KINDS
from api.importing.tables import BrokenTableError, Row, Table
from api.messages.problems import Fault, fault, fault_of_validation
from ledger.aggregates import Order, Sender
from ledger.intake.prepare import content_digest
from ledger.names import holds_identity_number, not_personal
from ledger.store.persons import Person, PersonField
from projections.rules.errors import Finding
from projections.rules.toml_places import line_of

ID_LENGTH_MAX = 120
CELL_LENGTH_MAX = 131_072
"""Characters; a spreadsheet holds 32,767 in a cell."""


class Line(NamedTuple):
    """A line: its number, its order or what is wrong with it, the personal data in it, and its cells.

    `laid`: whether it has a duration and no clock times, so that `laying` decides where it lies in its day.
    `former_id`: the id that earlier versions gave its record, if it is another: they kept the zeros of 007.
    """

    number: int
    order: Order | Fault
    person: Person | None
    cells: Sequence[Cell]
    laid: bool = False
    former_id: str | None = None


class LineReader:
    """Reads the lines of one file by one mapping."""

    def __init__(self, mapping: Mapping, columns: Columns, by: str) -> None:
        columns.require(mapping)
        self._mapping = mapping
        self._columns = columns
        self._sender = Sender.of_operator(by)
        self._command = mapping.command_type
        readers = FieldReaders(mapping, columns)
        # In the order of the command's fields, so that the check-in is read before the check-out.
        mapped = [name for name in self._command.model_fields if name in mapping.fields]
        self._fields = [(name, readers.reader(name)) for name in mapped]
        self._check = None if mapping.check is None else readers.checker(mapping.check)
        self._key = [columns.place(name) for name in mapping.key]
        amounts = [source for name, source in mapping.fields.items() if KINDS[name] in {"minutes", "number"}]
        counted = {source.column for source in amounts}
        sources = [*mapping.fields.values(), *([mapping.check.source] if mapping.check else [])]
        counted |= {name for source in sources for name in (source.hours, source.minutes)}
        required = [name for name, field in self._command.model_fields.items() if field.is_required()]
        naming = [mapping.fields[name] for name in required if KINDS[name] not in {"minutes", "number", "end"}]
        self._identifying = {columns.place(name) for source in naming for name in source.columns} - {
            columns.place(name) for name in counted if name
        }
        self._single = {*self._key, *(columns.place(name) for name in counted if name)}

    @classmethod
    def of_table(cls, mapping: Mapping, table: Table, by: str) -> LineReader:
        """Return the reader of a table, whose lines are read only if its columns do not fit.

        Raises:
            MappingError: the table lacks a column; the message names the line that has all of them, if one does.
        """
        try:
            return cls(mapping, Columns(table.columns), by)
        except MappingError:
            line = mapping.file.header_line and header_line_of(mapping, [*table.above, *_first(table.rows)])
            if not line:
                raise
        sentence = f"the names of the columns are in line {line} of the file, not in line {mapping.file.header_line}"
        place = line_of(mapping.lines, ("file", "header_line"))
        finding = Finding(place, "file.header_line", "error", sentence, f"set header_line = {line} under [file]")
        raise MappingError([finding])

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of days with times."""
        return self._mapping.zone

    def read(self, row: Row) -> Line:
        """Read a line."""
        width, cells = len(self._columns.names), row.cells
        if row.defect:
            sentence, remedy, _ = row.defect
            return Line(row.line, fault("malformed", f"the line {sentence}; {remedy}", remedy=remedy), None, cells)
        if len(cells) > width and not all(map(_shows_nothing, cells[width:])):
            detail = f"the line has {len(cells)} cells, the header {width}"
            remedy = "put a cell that holds the delimiter in quotation marks"
            return Line(row.line, fault("malformed", f"{detail}; {remedy}", remedy=remedy), None, cells)
        if len(cells) < width:
            cells = [*cells, *[None] * (width - len(cells))]
        if too_long := self._too_long(cells):
            return Line(row.line, too_long, None, cells)
        if row.merged:
            cells = self._without_shared(cells, row.merged)
        fields: Fields = {}
        order = self._order(cells, fields)
        if isinstance(order, Fault):
            return Line(row.line, of_totals(order, cells), None, row.cells)
        former_id = fields.get(FORMER_ID)
        person = self._person(order, cells)
        if isinstance(person, Fault):
            return Line(row.line, person, None, row.cells)
        former = former_id if isinstance(former_id, str) else None
        return Line(row.line, order, person, row.cells, LAID in fields, former)

    def columns_of(self, field: str | None) -> str:
        """Return the names of the columns that a field is read from, for messages; "" if there are none."""
        source = self._mapping.fields.get(field or "")
        if field == "key":
            return ", ".join(self._mapping.key)
        if field == "check" and self._mapping.check:
            source = self._mapping.check.source
        if source is None and self._mapping.person and field in _PERSON_READERS:
            return getattr(self._mapping.person, field) or ""
        return ", ".join(source.columns) if source else ""

    def _too_long(self, cells: Sequence[Cell]) -> Fault | None:
        for place, cell in enumerate(cells):
            if isinstance(cell, str) and len(cell) > CELL_LENGTH_MAX:
                name = quoted(self._columns.names[place]) if place < len(self._columns.names) else str(place + 1)
                detail = f"the cell of column {name} has {len(cell):,} characters, more than {CELL_LENGTH_MAX:,}"
                return fault("malformed", f"{detail}; shorten it", remedy="shorten it")
        return None

    def _without_shared(self, cells: Sequence[Cell], merged: Dictionary[int, str]) -> list[Cell]:
        """Return the cells of a line without the values that cannot be those of several lines."""
        found = list(cells)
        for place, name in merged.items():
            if place in self._single:
                sentence = f"is in the merged cells {name}, and several lines cannot share it"
                found[place] = Unreadable(sentence, "unmerge them, and write the value of each line")
        return found

    def _order(self, cells: Sequence[Cell], fields: Fields) -> Order | Fault:
        for name, read in self._fields:
            try:
                value = read(cells, fields)
            except CellError as error:
                return fault("invalid", f"{name} {error}", field=name, remedy=error.remedy)
            if value is not None:
                fields[name] = value
        try:
            if self._check:
                self._check(cells, fields)
        except CellError as error:
            return fault("invalid", f"check {error}", field="check", remedy=error.remedy)
        fields.pop(CHECK_IN_WALL, None)
        try:
            named = fields if LAID not in fields else {name: fields[name] for name in fields if name != LAID}
            command = self._command.model_validate(named)
        except ValidationError as error:
            return self._fault_of(error, cells)
        try:
            record = self._record(cells, fields) if self._key else content_digest(command).hex()
        except CellError as error:
            return fault("invalid", f"key {error}", field="key", remedy=error.remedy)
        try:
            return self._sender.order(command, source=self._mapping.source, id=record, imported=True)
        except ValidationError as error:
            return fault_of_validation(error.errors())

    def _fault_of(self, error: ValidationError, cells: Sequence[Cell]) -> Fault:
        found = fault_of_validation(error.errors())
        if error.errors()[0]["type"] != "missing":
            return self._with_cell(found, cells)
        columns = self.columns_of(found.field)
        remedy = "fill it in" if any(not is_empty(cells[place]) for place in self._identifying) else _NO_RECORD
        return fault("invalid", f"{found.field} is empty: {columns}; {remedy}", field=found.field, remedy=remedy)

    def _with_cell(self, found: Fault, cells: Sequence[Cell]) -> Fault:
        """Return a fault with the cell of its value, if the mapping has changed it."""
        source = self._mapping.fields.get(found.field or "")
        if source is None or not source.column or not (source.prefix or source.digits):
            return found
        text = plain_text(cells[self._columns.place(source.column)])
        return (
            found if _is_personal(text) else replace(found, detail=f"{found.field} of {quoted(text)}: {found.detail}")
        )

    def _record(self, cells: Sequence[Cell], fields: Fields) -> str:
        """Return the columns of the key as the id of a command: as text, or as a digest if they are too long.

        Zeros before a number do not count: a spreadsheet drops those of 007, and one record would become two.
        """
        texts = [identifier_of(cells[place], days=True) for place in self._key]
        if not all(texts):
            raise CellError("is empty", "fill in all columns of the key, so that the record has a name")
        plain = [_without_zeros(text) for text in texts]
        if any(map(_is_personal, {*texts, *plain})):
            raise CellError("looks like a phone or identity number", "name another column as key")
        if plain != texts:
            fields[FORMER_ID] = _id_of(texts)
        return _id_of(plain)

    def _person(self, order: Order, cells: Sequence[Cell]) -> Person | Fault | None:
        columns = self._mapping.person
        if columns is None:
            return None
        found: dict[str, str | None] = {}
        for field, read in _PERSON_READERS.items():
            column = getattr(columns, field)
            try:
                value = None if column is None else read(cells[self._columns.place(column)])
                found[field] = _without_identity_number(field, value)
            except CellError as error:
                return fault("invalid", f"{field} {error}", field=field, remedy=error.remedy)
        name = found["name"]
        return Person(getattr(order.command, "volunteer", ""), name, found["phone"], found["email"]) if name else None


def _first(rows: Iterator[Row]) -> Iterator[Row]:
    """Yield the first rows, as far as they can be read."""
    try:
        yield from islice(rows, HEADER_ROWS)
    except BrokenTableError:
        return


def _is_personal(text: str) -> bool:
    try:
        not_personal(text)
    except ValueError:
        return True
    return False


def _without_zeros(text: str) -> str:
    return text.lstrip("0") or "0" if text[0] == "0" and text.isascii() and text.isdigit() else text


def _id_of(texts: Sequence[str]) -> str:
    record = ":".join(text if text.isascii() and text.isalnum() else quote(text, safe="/") for text in texts)
    if len(record) > ID_LENGTH_MAX:
        return "digest:" + blake2b(record.encode(), digest_size=16).hexdigest()
    return record


def of_totals(found: Fault, cells: Sequence[Cell]) -> Fault:
    """Return the fault of a line, which says so if the line may hold totals."""
    word = next((cell for cell in cells if isinstance(cell, str) and _TOTALS.fullmatch(cell.strip())), None)
    if word is None:
        return found
    detail = f"the line may hold totals, because of {quoted(word.strip())}; delete it if so ({found.detail})"
    return replace(found, detail=detail, remedy="delete the line if it holds totals")


_TOTALS = re.compile(
    r"(?:[合总總小累共]\s*[计計]|(?:(?:grand|sub)[ -]?)?totals?|sum|summe|gesamt)\s*[:\uff1a]?", re.IGNORECASE
)
_NO_RECORD = "fill it in, or delete the line if it is no record"


def _shows_nothing(cell: Cell) -> bool:
    return cell.shown is None if isinstance(cell, Unreadable) else is_empty(cell)


def _person_name(cell: Cell) -> str | None:
    """Return the name of a person as written, blanks of any kind as plain ones. Letters of some scripts are joined by
    characters that are not seen.
    """
    name = as_written(cell)
    name = name and "".join(" " if unicodedata.category(char) == "Zs" else char for char in name)
    if name and (unseen := first_invisible(name.translate(_JOINERS))):
        raise CellError(f"{quoted(name)} contains the invisible character U+{ord(unseen):04X}", "remove it")
    return name


_JOINERS = dict.fromkeys((0x200C, 0x200D), "")
_PERSON_READERS: dict[PersonField, Callable[[Cell], str | None]] = {
    "name": _person_name,
    "phone": lambda cell: identifier_of(cell) or None,
    "email": lambda cell: identifier_of(cell) or None,
}


def _without_identity_number(field: PersonField, value: str | None) -> str | None:
    """Return a person's data, which hold no identity number: as keys and numbers, it is kept nowhere."""
    if value and holds_identity_number(value):
        raise CellError("looks like an identity number, which the ledger keeps nowhere", f"write the {field}")
    return value
