"""Lines: one line of a table as an order of the ledger, or what is wrong with it and what to do.

An order is named by the columns of the mapping's key, or else by its content, so a record has the same name in any line
of any file. Therefore a file can be sorted, split, extended and imported again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Mapping as Dictionary
from datetime import date, datetime
from hashlib import blake2b
from typing import NamedTuple
from urllib.parse import quote

from pydantic import ValidationError

from api.importing.cells import (
    Cell,
    CellError,
    Unreadable,
    at_second,
    day_of,
    is_empty,
    minutes_of,
    minutes_of_hours,
    moment_of,
    quoted,
    seconds_of,
    text_of,
    whole_of,
)
from api.importing.columns import Columns
from api.importing.identifiers import first_invisible, identifier_of, label_of
from api.importing.instants import instant_of, repeats_after
from api.importing.kinds import KINDS
from api.importing.mapping import FieldSource, Mapping
from api.importing.tables import Row
from api.messages.problems import Fault, fault, fault_of_validation
from ledger.aggregates import Order, Sender
from ledger.instants import FIRST_YEAR
from ledger.intake.prepare import content_digest
from ledger.names import not_personal
from ledger.store.persons import Person

ID_LENGTH_MAX = 120
CELL_LENGTH_MAX = 131_072
"""Characters; a spreadsheet holds 32,767 in a cell."""

Fields = dict[str, object]
"""The fields of a line that were read so far, by name."""
ReadField = Callable[[Sequence[Cell], Fields], object]
"""Read a field from the cells of a line, with the fields read before; None if its cells are empty."""


class Line(NamedTuple):
    """A line: its number, its order or what is wrong with it, the personal data in it, and its cells."""

    number: int
    order: Order | Fault
    person: Person | None
    cells: Sequence[Cell]


class LineReader:
    """Reads the lines of one file by one mapping."""

    def __init__(self, mapping: Mapping, columns: Columns, by: str) -> None:
        columns.require(mapping)
        self._mapping = mapping
        self._columns = columns
        self._sender = Sender.of_operator(by)
        self._command = mapping.command_type
        # In the order of the command's fields, so that the check-in is read before the check-out.
        mapped = [name for name in self._command.model_fields if name in mapping.fields]
        self._fields = [(name, self._reader(name, mapping.fields[name])) for name in mapped]
        self._key = [columns.place(name) for name in mapping.key]
        amounts = [source for name, source in mapping.fields.items() if KINDS[name] in {"minutes", "number"}]
        counted = {source.column for source in amounts}
        counted |= {name for source in mapping.fields.values() for name in (source.hours, source.minutes)}
        self._single = {*self._key, *(columns.place(name) for name in counted if name)}

    def read(self, row: Row) -> Line:
        """Read a line."""
        width, cells = len(self._columns.names), row.cells
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
        order = self._order(cells)
        if isinstance(order, Fault):
            return Line(row.line, order, None, row.cells)
        person = self._person(order, cells)
        if isinstance(person, Fault):
            return Line(row.line, person, None, row.cells)
        return Line(row.line, order, person, row.cells)

    def columns_of(self, field: str | None) -> str:
        """Return the names of the columns that a field is read from, for messages; "" if there are none."""
        source = self._mapping.fields.get(field or "")
        if field == "key":
            return ", ".join(self._mapping.key)
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

    def _order(self, cells: Sequence[Cell]) -> Order | Fault:
        fields: Fields = {}
        for name, read in self._fields:
            try:
                value = read(cells, fields)
            except CellError as error:
                return fault("invalid", f"{name} {error}", field=name, remedy=error.remedy)
            if value is not None:
                fields[name] = value
        fields.pop(_CHECK_IN_WALL, None)
        try:
            command = self._command.model_validate(fields)
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
        remedy = "fill it in (a formula needs a stored result: open the file in Excel and save it)"
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

    # --- fields -----------------------------------------------------------------------------------------------------

    def _reader(self, name: str, source: FieldSource) -> ReadField:
        if source.constant is not None:
            value = _constant(name, source)
            return lambda _cells, _fields: value
        if KINDS[name] in {"instant", "end"}:
            return self._instant_reader(name, source)
        place = self._columns.place(source.column or source.hours or "")
        if name == "text":
            return lambda cells, _fields: _as_written(cells[place])
        if KINDS[name] == "text":
            table = None if source.values is None else {label_of(key): value for key, value in source.values.items()}
            return lambda cells, _fields: _name_of(name, source, table, cells[place])
        read = _cell_reader(name, source)
        return lambda cells, _fields: None if is_empty(cells[place]) else read(cells[place])

    def _instant_reader(self, name: str, source: FieldSource) -> ReadField:
        if source.hours or source.minutes:
            return self._duration_reader(source)
        zone, ambiguous = self._mapping.zone, self._mapping.ambiguous
        moment = self._moment_reader(name, source)

        def read(cells: Sequence[Cell], fields: Fields) -> int | None:
            wall = moment(cells, fields)
            if wall is None:
                return None
            instant = instant_of(wall, zone, ambiguous, check_in=_check_in(name, fields))
            if wall.year < FIRST_YEAR:
                remedy = "enter hours of that time as an opening balance"
                before = f"is before the year {FIRST_YEAR}, the first of which the ledger records shifts"
                raise CellError(f"{wall} {before}", remedy)
            if name == "check_in":
                fields[_CHECK_IN_WALL] = wall
            elif name == "check_out":
                _require_length(source.hours_max, fields.get("check_in"), instant)
            return instant

        return read

    def _moment_reader(self, name: str, source: FieldSource) -> Callable[[Sequence[Cell], Fields], datetime | None]:
        """Return a function that reads a day and time in local time."""
        if source.column:
            place = self._columns.place(source.column)
            return lambda cells, _fields: None if is_empty(cells[place]) else moment_of(cells[place], source.format)
        day_place = self._columns.place(source.date or "")
        time_place = self._columns.place(source.time) if source.time else None
        fixed = None if source.at is None else seconds_of(source.at)
        # If both have the same day column, a check-out before the check-in is on the next day.
        check_in = self._mapping.fields.get("check_in")
        over_midnight = name == "check_out" and check_in is not None and check_in.date == source.date
        zone = self._mapping.zone

        def read(cells: Sequence[Cell], fields: Fields) -> datetime | None:
            day, at = cells[day_place], None if time_place is None else cells[time_place]
            if is_empty(day) or (fixed is None and is_empty(at)):
                return None
            wall = at_second(day_of(day, source.format), seconds_of(at, source.time_format) if fixed is None else fixed)
            check_in_wall = fields.get(_CHECK_IN_WALL)
            if (
                over_midnight
                and isinstance(check_in_wall, datetime)
                and check_in_wall.tzinfo is None
                and wall < check_in_wall
                and not repeats_after(wall, zone, _check_in(name, fields))
            ):
                wall = at_second(wall.date(), seconds_of(wall) + 86_400)
            return wall

        return read

    def _duration_reader(self, source: FieldSource) -> ReadField:
        place = self._columns.place(source.hours or source.minutes or "")

        def read(cells: Sequence[Cell], fields: Fields) -> int | None:
            check_in = fields.get("check_in")
            if is_empty(cells[place]) or not isinstance(check_in, int):
                return None
            parse = minutes_of_hours if source.hours else minutes_of
            instant = check_in + 60 * parse(cells[place], source.decimal)
            _require_length(source.hours_max, check_in, instant)
            return instant

        return read


_CHECK_IN_WALL = " check-in in local time"
"""An extra entry in `Fields`, under a name that no field can have."""


def _check_in(name: str, fields: Fields) -> int | None:
    """Return the check-in of a line whose check-out is read."""
    check_in = fields.get("check_in")
    return check_in if name == "check_out" and isinstance(check_in, int) else None


def _cell_reader(name: str, source: FieldSource) -> Callable[[Cell], object]:
    """Return a function that reads a non-empty cell as a day or a number."""
    match KINDS[name]:
        case "day":
            return lambda cell: day_of(cell, source.format)
        case "minutes" if source.hours:
            return lambda cell: minutes_of_hours(cell, source.decimal)
        case "minutes":
            return lambda cell: minutes_of(cell, source.decimal)
        case _:
            return whole_of


def _shows_nothing(cell: Cell) -> bool:
    return cell.shown is None if isinstance(cell, Unreadable) else is_empty(cell)


def _as_written(cell: Cell) -> str | None:
    """Return a cell's text as written, or None if it is empty; names of people are not normalised."""
    text = text_of(cell)
    return (cell.strip() if isinstance(cell, str) else text) or None


def _person_name(cell: Cell) -> str | None:
    """Return the name of a person as written. Letters of some scripts are joined by characters that are not seen."""
    name = _as_written(cell)
    if name and (unseen := first_invisible(name.translate(_JOINERS))):
        raise CellError(f"{quoted(name)} contains the invisible character U+{ord(unseen):04X}", "remove it")
    return name


_JOINERS = dict.fromkeys((0x200C, 0x200D), "")
_PERSON_READERS: dict[str, Callable[[Cell], str | None]] = {
    "name": _person_name,
    "phone": lambda cell: identifier_of(cell) or None,
    "email": lambda cell: identifier_of(cell) or None,
}


def _name_of(name: str, source: FieldSource, table: dict[str, str] | None, cell: Cell) -> str | None:
    if table is not None and (label := label_of(cell)) in table:
        return table[label]
    text = identifier_of(cell)
    if table is not None:
        if text in table:
            return table[text]
        if text:
            raise CellError(f"{quoted(text)} is not in the table of values", f"add it to fields.{name}.values")
    if not text:
        return None
    return source.prefix + text.zfill(source.digits)


def _constant(name: str, source: FieldSource) -> object:
    value = source.constant
    if KINDS[name] == "day" and isinstance(value, str):
        return day_of(value, source.format)
    return value.isoformat() if isinstance(value, date) and KINDS[name] != "day" else value


def _require_length(hours_max: int | None, check_in: object, check_out: int) -> None:
    if hours_max is not None and isinstance(check_in, int) and check_out - check_in > 3600 * hours_max:
        minutes = (check_out - check_in) // 60
        length = f"{minutes // 60}:{minutes % 60:02} hours"
        raise CellError(f"would make a shift of {length}, more than hours_max = {hours_max}", "check both times")
