"""Lines: one line of a table as an order of the ledger, or what is wrong with it and what to do.

An order is named by the columns of the mapping's key, or else by its content, so a record has the same name in any line
of any file. Therefore a file can be sorted, split, extended and imported again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Mapping as Dictionary
from hashlib import blake2b
from typing import NamedTuple
from urllib.parse import quote
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from api.importing.cells import (
    Cell,
    CellError,
    Unreadable,
    is_empty,
    quoted,
)
from api.importing.columns import Columns
from api.importing.fields import CHECK_IN_WALL, LAID, FieldReaders, Fields, as_written
from api.importing.identifiers import first_invisible, identifier_of
from api.importing.mapping import Mapping
from api.importing.sources import KINDS
from api.importing.tables import Row
from api.messages.problems import Fault, fault, fault_of_validation
from ledger.aggregates import Order, Sender
from ledger.intake.prepare import content_digest
from ledger.names import not_personal
from ledger.store.persons import Person

ID_LENGTH_MAX = 120
CELL_LENGTH_MAX = 131_072
"""Characters; a spreadsheet holds 32,767 in a cell."""


class Line(NamedTuple):
    """A line: its number, its order or what is wrong with it, the personal data in it, and its cells.

    `laid`: whether it has a duration and no clock times, so that `laying` decides where it lies in its day.
    """

    number: int
    order: Order | Fault
    person: Person | None
    cells: Sequence[Cell]
    laid: bool = False


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
        self._single = {*self._key, *(columns.place(name) for name in counted if name)}

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
            return Line(row.line, order, None, row.cells)
        person = self._person(order, cells)
        if isinstance(person, Fault):
            return Line(row.line, person, None, row.cells)
        return Line(row.line, order, person, row.cells, LAID in fields)

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
            return self._fault_of(error)
        try:
            record = self._record(cells) if self._key else content_digest(command).hex()
        except CellError as error:
            return fault("invalid", f"key {error}", field="key", remedy=error.remedy)
        try:
            return self._sender.order(command, source=self._mapping.source, id=record, imported=True)
        except ValidationError as error:
            return fault_of_validation(error.errors())

    def _fault_of(self, error: ValidationError) -> Fault:
        found = fault_of_validation(error.errors())
        if error.errors()[0]["type"] != "missing":
            return found
        columns = self.columns_of(found.field)
        remedy = "fill it in"
        return fault("invalid", f"{found.field} is empty: {columns}; {remedy}", field=found.field, remedy=remedy)

    def _record(self, cells: Sequence[Cell]) -> str:
        """Return the columns of the key as the id of a command: as text, or as a digest if they are too long."""
        texts = [identifier_of(cells[place], days=True) for place in self._key]
        if not all(texts):
            raise CellError("is empty", "fill in all columns of the key, so that the record has a name")
        for text in texts:
            try:
                not_personal(text)
            except ValueError:
                raise CellError("looks like a phone or identity number", "name another column as key") from None
        record = ":".join(text if text.isascii() and text.isalnum() else quote(text, safe="/") for text in texts)
        if len(record) > ID_LENGTH_MAX:
            return "digest:" + blake2b(record.encode(), digest_size=16).hexdigest()
        return record

    def _person(self, order: Order, cells: Sequence[Cell]) -> Person | Fault | None:
        columns = self._mapping.person
        if columns is None:
            return None
        found: dict[str, str | None] = {}
        for field, read in _PERSON_READERS.items():
            column = getattr(columns, field)
            try:
                found[field] = None if column is None else read(cells[self._columns.place(column)])
            except CellError as error:
                return fault("invalid", f"{field} {error}", field=field, remedy=error.remedy)
        name = found["name"]
        return Person(getattr(order.command, "volunteer", ""), name, found["phone"], found["email"]) if name else None


def _shows_nothing(cell: Cell) -> bool:
    return cell.shown is None if isinstance(cell, Unreadable) else is_empty(cell)


def _person_name(cell: Cell) -> str | None:
    """Return the name of a person as written. Letters of some scripts are joined by characters that are not seen."""
    name = as_written(cell)
    if name and (unseen := first_invisible(name.translate(_JOINERS))):
        raise CellError(f"{quoted(name)} contains the invisible character U+{ord(unseen):04X}", "remove it")
    return name


_JOINERS = dict.fromkeys((0x200C, 0x200D), "")
_PERSON_READERS: dict[str, Callable[[Cell], str | None]] = {
    "name": _person_name,
    "phone": lambda cell: identifier_of(cell) or None,
    "email": lambda cell: identifier_of(cell) or None,
}
