"""Fields: functions that read a field of a command from the cells of a line, as a mapping says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta

from api.importing.cells import Cell, CellError, is_empty, quoted, short_text_of, text_of
from api.importing.columns import Columns
from api.importing.forms.moments import at_second, day_of, moment_of, seconds_of, seconds_on
from api.importing.forms.numbers import minutes_of, minutes_of_hours, whole_of
from api.importing.identifiers import identifier_of, label_of
from api.importing.instants import instant_of, repeats_after
from api.importing.mapping import Check, Mapping
from api.importing.sources import KINDS, FieldSource
from ledger.instants import FIRST_YEAR

Fields = dict[str, object]
"""The fields of a line that were read so far, by name."""
ReadField = Callable[[Sequence[Cell], Fields], object]
"""Read a field from the cells of a line, with the fields read before; None if its cells are empty."""
CHECK_IN_WALL = " check-in in local time"
LAID = " laid"
FORMER_ID = " former id"
FIRST_DAY_YEAR = 1930
_DAY_SECONDS = 86_400
_OF_ORGANISATIONS = {"founded_on", "moved_on", "ended_on"}
"""Extra entries in `Fields`, under names that no field can have; the second tells that the line has no clock times."""


class FieldReaders:
    """Makes the functions that read the fields of one file by one mapping."""

    def __init__(self, mapping: Mapping, columns: Columns) -> None:
        self._mapping = mapping
        self._columns = columns

    def reader(self, name: str) -> ReadField:
        """Return a function that reads a field."""
        source = self._mapping.fields[name]
        if source.constant is not None:
            value = _constant(name, source, roc=self._mapping.roc)
            return lambda _cells, _fields: value
        if KINDS[name] in {"instant", "end"}:
            return self._instant_reader(name, source)
        if KINDS[name] == "minutes":
            return self._minutes_reader(source)
        if KINDS[name] == "day":
            day = self._day_reader(source)
            return lambda cells, _fields: _plausible(name, day(cells))
        place = self._columns.place(source.column or "")
        if KINDS[name] == "text":
            return _text_reader(name, source, place)
        return lambda cells, _fields: None if is_empty(cells[place]) else whole_of(cells[place])

    def checker(self, check: Check) -> Callable[[Sequence[Cell], Fields], None]:
        """Return a function that refuses a line whose times contradict its duration; an empty duration says nothing."""
        duration = self._minutes_reader(check.source)
        columns = " and ".join(map(quoted, check.source.columns))

        def require(cells: Sequence[Cell], fields: Fields) -> None:
            said, begin, end = duration(cells, fields), fields.get("check_in"), fields.get("check_out")
            if not isinstance(said, int) or not isinstance(begin, int) or not isinstance(end, int):
                return
            if abs(end - begin - 60 * said) > 60 * check.tolerance_minutes:
                sentence = f"{columns} says {_length(60 * said)}, and the times make {_length(end - begin)}"
                raise CellError(sentence, "correct what is wrong, or set a higher tolerance_minutes under check")

        return require

    def _instant_reader(self, name: str, source: FieldSource) -> ReadField:
        if source.hours or source.minutes:
            duration = self._duration_reader(source)
            return self._end_or_duration(source, duration) if source.day_columns else duration
        return self._clock_reader(name, source)

    def _end_or_duration(self, source: FieldSource, duration: ReadField) -> ReadField:
        """Return a function that reads an end where there is one, and otherwise a duration."""
        end = self._clock_reader("check_out", source)
        place = self._columns.place(source.time or source.hour or "")

        def has_time(cells: Sequence[Cell]) -> bool:
            return not is_empty(cells[place])

        def read(cells: Sequence[Cell], fields: Fields) -> object:
            if LAID in fields and has_time(cells):
                raise CellError("has an end, and the line has no begin", "fill in the begin, or clear the end")
            found = None if LAID in fields else end(cells, fields)
            return duration(cells, fields) if found is None else found

        return read

    def _clock_reader(self, name: str, source: FieldSource) -> ReadField:
        zone, ambiguous = self._mapping.zone, self._mapping.ambiguous
        moment = self._moment_reader(name, source)

        def read(cells: Sequence[Cell], fields: Fields) -> int | None:
            wall = moment(cells, fields)
            if wall is None:
                return None
            instant = instant_of(wall, zone, ambiguous, check_in=_check_in(name, fields))
            if wall.year < FIRST_YEAR:
                remedy = "correct the year, or enter hours of that time as an opening balance"
                before = f"is before the year {FIRST_YEAR}, the first of which the ledger records shifts"
                raise CellError(f"{wall} {before}", remedy)
            if name == "check_in":
                fields[CHECK_IN_WALL] = wall
            elif name == "check_out":
                _require_length(source.hours_max, fields.get("check_in"), instant)
            return instant

        return read

    def _moment_reader(self, name: str, source: FieldSource) -> Callable[[Sequence[Cell], Fields], datetime | None]:
        """Return a function that reads a day and time in local time."""
        roc = self._mapping.roc
        if source.column:
            place = self._columns.place(source.column)
            return lambda cells, _fields: (
                None if is_empty(cells[place]) else moment_of(cells[place], source.format, roc=roc)
            )
        # If both have the same columns of the day, a check-out before the check-in is on the next day.
        check_in = self._mapping.fields.get("check_in")
        over_midnight = name == "check_out" and check_in is not None and check_in.day_columns == source.day_columns
        day_of_cells, time_of_cells = self._day_reader(source), self._time_reader(source, ends=over_midnight)
        zone = self._mapping.zone
        starts = None if source.starts is None else seconds_of(source.starts)

        def read(cells: Sequence[Cell], fields: Fields) -> datetime | None:
            day = day_of_cells(cells)
            seconds = None if day is None else time_of_cells(cells, day)
            if seconds is None and starts is not None:
                seconds = starts
                fields[LAID] = True
            if day is None or seconds is None:
                return None
            wall = at_second(day, seconds)
            check_in_wall = fields.get(CHECK_IN_WALL)
            if seconds > _DAY_SECONDS and isinstance(check_in_wall, datetime):
                _require_less_than_a_day(wall, check_in_wall)
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

    def _day_reader(self, source: FieldSource) -> Callable[[Sequence[Cell]], date | None]:
        """Return a function that reads a day from one column, or from those of its year, month and day."""
        roc = self._mapping.roc
        places = [self._columns.place(name) for name in source.day_columns or filter(None, [source.column])]
        if len(places) == 1:
            (place,) = places
            return lambda cells: None if is_empty(cells[place]) else day_of(cells[place], source.format, roc=roc)

        def read(cells: Sequence[Cell]) -> date | None:
            parts = [short_text_of(cells[place]).rstrip("年月日号號 ") for place in places]
            if not all(parts):
                return None
            try:
                return day_of("-".join(parts), roc=roc)
            except CellError as error:
                raise _of_parts(error, "cannot be read as a day", "write numbers, the year with all digits") from None

        return read

    def _time_reader(self, source: FieldSource, *, ends: bool) -> Callable[[Sequence[Cell], date], int | None]:
        """Return a function that reads the time of a day; an empty minute beside an hour is 0."""
        if source.at is not None:
            fixed = seconds_of(source.at)
            return lambda _cells, _day: fixed
        if source.time:
            place, formats, roc = self._columns.place(source.time), source.time_format, self._mapping.roc
            return lambda cells, day: (
                None if is_empty(cells[place]) else seconds_on(day, cells[place], formats, roc=roc, ends=ends)
            )
        if not source.hour:
            return lambda _cells, _day: None
        hour, minute = self._columns.place(source.hour), self._columns.place(source.minute or "")

        def read(cells: Sequence[Cell], _day: date) -> int | None:
            if is_empty(cells[hour]):
                return None
            texts = text_of(cells[hour]).rstrip("时時点點 "), text_of(cells[minute]).rstrip("分 ").zfill(2)
            try:
                return seconds_of(":".join(texts))
            except CellError as error:
                raise _of_parts(error, "is not a time of day", "write hours up to 24, and minutes up to 59") from None

        return read

    def _hours_and_minutes_reader(self, source: FieldSource) -> ReadField:
        """Return a function that adds a column of hours and one of minutes; of the two, one may be empty."""
        hours = self._part_reader(source.hours or "", source.decimal, minutes_of_hours)
        minutes = self._part_reader(source.minutes or "", source.decimal, minutes_of)

        def read(cells: Sequence[Cell], _fields: Fields) -> int | None:
            whole, rest = hours(cells), minutes(cells)
            if whole is None or rest is None:
                return rest if whole is None else whole
            if whole and rest and (rest > 59 or whole % 60):
                remedy = f'write whole hours in "{source.hours}" and minutes below 60 in "{source.minutes}"'
                sentence = f"{_length(60 * whole)} and {rest} minutes are added, and look like one duration twice"
                raise CellError(sentence, f"{remedy}, or map one column only")
            return whole + rest

        return read

    def _part_reader(
        self, name: str, decimal: str, parse: Callable[[Cell, str], int]
    ) -> Callable[[Sequence[Cell]], int | None]:
        """Return a function that reads one of two columns of a duration, whose messages name the column."""
        place = self._columns.place(name)

        def read(cells: Sequence[Cell]) -> int | None:
            try:
                return None if is_empty(cells[place]) else parse(cells[place], decimal)
            except CellError as error:
                raise CellError(f"in the column {quoted(name)}: {error.sentence}", error.remedy) from None

        return read

    def _minutes_reader(self, source: FieldSource) -> ReadField:
        """Return a function that reads a duration in minutes."""
        if source.hours and source.minutes:
            return self._hours_and_minutes_reader(source)
        place = self._columns.place(source.hours or source.minutes or source.column or "")
        parse = minutes_of_hours if source.hours else minutes_of
        return lambda cells, _fields: None if is_empty(cells[place]) else parse(cells[place], source.decimal)

    def _duration_reader(self, source: FieldSource) -> ReadField:
        duration = self._minutes_reader(source)
        places = [self._columns.place(name) for name in (source.hours, source.minutes) if name]

        def read(cells: Sequence[Cell], fields: Fields) -> int | None:
            check_in, minutes = fields.get("check_in"), duration(cells, fields)
            if not isinstance(minutes, int) or not isinstance(check_in, int):
                return None
            if minutes == 0:
                shown = " and ".join(quoted(cells[place]) for place in places if not is_empty(cells[place]))
                raise CellError(f"{shown} is a duration of 0 minutes", "write how long it lasted, or delete the line")
            instant = check_in + 60 * minutes
            _require_length(source.hours_max, check_in, instant)
            return instant

        return read


def _require_less_than_a_day(end: datetime, begin: datetime) -> None:
    """Refuse an end that names the day after that of its line, and is not in the night between."""
    if end - begin >= timedelta(days=1):
        sentence = f"{end} is a day or more after the begin, {begin}"
        raise CellError(sentence, "correct the end; a shift of more than a day needs a column for the day of its end")


def _of_parts(error: CellError, ending: str, remedy: str) -> CellError:
    """Return an error of parts in several columns, to which no format applies."""
    return CellError(error.sentence, remedy) if error.sentence.endswith(ending) else error


def _check_in(name: str, fields: Fields) -> int | None:
    """Return the check-in of a line whose check-out is read."""
    check_in = fields.get("check_in")
    return check_in if name == "check_out" and isinstance(check_in, int) else None


def as_written(cell: Cell) -> str | None:
    """Return a cell's text as written, or None if it is empty; names of people are not normalised."""
    text = text_of(cell)
    return (cell.strip() if isinstance(cell, str) else text) or None


def _text_reader(name: str, source: FieldSource, place: int) -> ReadField:
    is_code = name != "name" or source.values or source.prefix or source.digits
    if name == "text" or not is_code:
        return lambda cells, _fields: as_written(cells[place])
    table = None if source.values is None else {label_of(key): value for key, value in source.values.items()}
    return lambda cells, _fields: _name_of(name, source, table, cells[place])


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
    return source.prefix + _without_prefix(text, source.prefix).zfill(source.digits)


def _without_prefix(text: str, prefix: str) -> str:
    """Return an identifier without its prefix, if people wrote it: L-17 beside 17. A prefix of digits may be a part."""
    rest = text[len(prefix) :]
    written = prefix and not prefix.isdigit() and text.casefold().startswith(prefix.casefold())
    return rest if written and rest.isdigit() else text


def _plausible(name: str, day: date | None) -> date | None:
    """Return a day that can be meant: nobody who served in this century was registered, or trained, long before it."""
    if day is not None and day.year < FIRST_DAY_YEAR and name not in _OF_ORGANISATIONS:
        remedy = 'correct the year; a year such as 104 is written 104/03/13, with calendar = "roc"'
        raise CellError(f"{day} is before the year {FIRST_DAY_YEAR}", remedy)
    return day


def _constant(name: str, source: FieldSource, *, roc: bool) -> object:
    value = source.constant
    if KINDS[name] == "day" and isinstance(value, str):
        return day_of(value, source.format, roc=roc)
    return value.isoformat() if isinstance(value, date) and KINDS[name] != "day" else value


def _require_length(hours_max: int | None, check_in: object, check_out: int) -> None:
    if hours_max is not None and isinstance(check_in, int) and check_out - check_in > 3600 * hours_max:
        length = _length(check_out - check_in)
        raise CellError(f"would make a shift of {length}, more than hours_max = {hours_max}", "check both times")


def _length(seconds: int) -> str:
    """Return a length of time for a message."""
    minutes = abs(seconds) // 60
    return f"{'-' if seconds < 0 else ''}{minutes // 60}:{minutes % 60:02} hours"
