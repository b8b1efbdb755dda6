"""Mapping files: what each line of a table becomes, as TOML, validated as strictly as rules.

A mapping names one command, and for each of its fields the column or other source of its value. It does not depend on
the ledger, so the same file and mapping always produce the same commands.

Errors: `MappingError` names line, key and remedy. Whether a file has the columns is checked in `columns`. This module
parses text and opens no files.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping as Dictionary
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from difflib import get_close_matches
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import (
    BeforeValidator,
    Field,
    PrivateAttr,
    StringConstraints,
    ValidationError,
    model_validator,
)

from api.access.roles import IMPORTED_COMMANDS
from api.importing.cells import CellError, quoted
from api.importing.forms.moments import EPOCH_UNITS, day_of
from api.importing.sources import EXTRAS, KINDS, WAYS, ColumnName, Day, FieldSource, Strict, several, ways_in_words
from ledger.aggregates import COMMANDS, Command
from ledger.names import IMPORT_PATTERN
from ledger.sentences import message_of
from projections.rules.errors import Finding, error_at, findings_of, not_toml
from projections.rules.limits import text_exceeds
from projections.rules.toml_places import Place, places

Encoding = Literal["utf-8", "utf-16", "gb18030", "gbk", "big5", "cp1252"]


KEY_COLUMNS_MAX = 20


class MappingError(ValueError):
    """A mapping that cannot be used; the message names the lines, the keys and the remedies."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__(". ".join(map(str, findings)))
        self.findings = tuple(findings)


class FileForm(Strict):
    """The format of the table. `header_line`: the line with the names of the columns; 0 if `columns` names them, or if
    they are numbered from 1.
    """

    encoding: Encoding = "utf-8"
    delimiter: Literal[",", ";", "\t", "|"] = ","
    sheet: str | None = None
    records: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None
    header_line: Annotated[int, Field(strict=True, ge=0, le=1000)] = 1
    columns: tuple[ColumnName, ...] = ()

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.columns and self.header_line:
            raise error_at("columns names the columns of a file without a header; set header_line = 0", "header_line")
        return self


def _column_alone(value: object) -> object:
    """Accept a column's name or number alone as the source of a field."""
    return {"column": value} if isinstance(value, str | int) else value


class Person(Strict):
    """Columns for the directory of persons: personal data, which never become part of an event."""

    name: ColumnName
    phone: ColumnName | None = None
    email: ColumnName | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are set."""
        return tuple(name for name in (self.name, self.phone, self.email) if name)


class Check(Strict):
    """Columns with a duration that the times of the same line must have, give or take `tolerance_minutes`."""

    hours: ColumnName | None = None
    minutes: ColumnName | None = None
    decimal: Literal[".", ","] = "."
    tolerance_minutes: Annotated[int, Field(strict=True, ge=0, le=1440)] = 1

    @property
    def source(self) -> FieldSource:
        """The source of the duration."""
        return FieldSource(hours=self.hours, minutes=self.minutes, decimal=self.decimal)

    @model_validator(mode="after")
    def _named(self) -> Self:
        if not self.hours and not self.minutes:
            raise ValueError('check needs a column with the duration; write check = { hours = "…" }')
        return self


class Mapping(Strict):
    """A mapping. `lines`: the line of each key in its text."""

    command: str
    source: Annotated[str, StringConstraints(pattern=IMPORT_PATTERN)]
    key: Annotated[tuple[ColumnName, ...], Field(max_length=KEY_COLUMNS_MAX), BeforeValidator(several)] = ()
    time_zone: str | None = None
    ambiguous: Literal["refuse", "earlier", "later"] = "refuse"
    calendar: Literal["gregorian", "roc"] = "gregorian"
    file: FileForm = FileForm()
    fields: dict[str, Annotated[FieldSource, BeforeValidator(_column_alone)]]
    person: Person | None = None
    check: Check | None = None

    _lines: dict[Place, int] = PrivateAttr(default_factory=dict)

    @property
    def lines(self) -> Dictionary[Place, int]:
        """The line of each key."""
        return self._lines

    @property
    def command_type(self) -> type[Command]:
        """The command each line becomes."""
        return COMMANDS[self.command]

    @property
    def roc(self) -> bool:
        """Whether years count from the Republic of China."""
        return self.calendar == "roc"

    @property
    def lays(self) -> bool:
        """Whether lines may have a duration without clock times."""
        return any(source.starts for source in self.fields.values())

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of days with times."""
        return ZoneInfo(self.time_zone or "UTC")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        self._check_command()
        for name, source in self.fields.items():
            _check_field(self.command, name, source, roc=self.roc)
            if self.roc and set(source.format) - EPOCH_UNITS.keys():
                sentence = 'format does not apply with calendar = "roc", which reads 104/11/22 and 民國104年11月22日'
                raise error_at(f"{sentence}; remove format", "fields", name, "format")
        for name, field in self.command_type.model_fields.items():
            if field.is_required() and name not in self.fields:
                raise error_at(f'{name} is missing; {self.command} needs it: {name} = "the column"', "fields")
        self._check_laying()
        if self.check and "check_out" not in self.command_type.model_fields:
            raise error_at(f"check compares the times of attest-shift; {self.command} has none; remove it", "check")
        self._check_zone()
        self._check_personal()
        return self

    def _check_command(self) -> None:
        if self.command in IMPORTED_COMMANDS:
            return
        if self.command in {"check-in", "check-out"}:
            sentence = f"{self.command} is a station's scan, which cannot be imported; use punch, or attest-shift"
            raise error_at(sentence, "command")
        similar = get_close_matches(self.command, IMPORTED_COMMANDS, n=1)
        remedy = f"did you mean {similar[0]}?" if similar else f"use one of {', '.join(IMPORTED_COMMANDS)}"
        raise error_at(f'command "{self.command}" cannot be imported; {remedy}', "command")

    def _check_laying(self) -> None:
        for name, source in self.fields.items():
            if source.starts is None:
                continue
            if name != "check_in" or self.command != "attest-shift":
                sentence = "starts is for the check_in of attest-shift; remove it, or write at, which is a fixed time"
                raise error_at(sentence, "fields", name, "starts")
            end = self.fields.get("check_out")
            if end and not (end.hours or end.minutes):
                sentence = 'starts is for durations; give check_out a column of them: hours = "…" or minutes = "…"'
                raise error_at(sentence, "fields", name, "starts")

    def _check_zone(self) -> None:
        instants = [name for name in self.fields if KINDS[name] in {"instant", "end"}]
        if self.time_zone is None:
            if instants:
                raise error_at(f'time_zone is missing; {instants[0]} needs it: time_zone = "Asia/Shanghai"', "fields")
            return
        try:
            ZoneInfo(self.time_zone)
        except (KeyError, ValueError, OSError):
            raise error_at(
                f'"{self.time_zone}" is not a time zone; write one such as "Asia/Shanghai"', "time_zone"
            ) from None

    def _check_personal(self) -> None:
        """Refuse columns with personal data in the key: personal data must not enter events, not even as a name."""
        if self.person is None:
            personal: set[str] = set()
        elif self.command != "register-volunteer":
            raise error_at("person needs register-volunteer; import persons with their registration", "person")
        else:
            personal = set(self.person.columns)
        if text := self.fields.get("text"):
            personal |= set(text.columns)
        for number, column in enumerate(self.key):
            if column in personal:
                sentence = f'"{column}" holds personal data, and keys are stored permanently; use a column of numbers'
                raise error_at(sentence, "key", number)


def _check_field(command: str, name: str, source: FieldSource, *, roc: bool) -> None:
    known = COMMANDS[command].model_fields
    if name not in known:
        similar = get_close_matches(name, known, n=1)
        remedy = _place_of(name) or (f"did you mean {similar[0]}?" if similar else f"it has {', '.join(known)}")
        raise error_at(f"{command} has no field {name}; {remedy}", "fields", name)
    kind = KINDS[name]
    keys = source.model_fields_set
    ways = {key for way in WAYS[kind] for key in way}
    if wrong := sorted(keys - ways - EXTRAS[kind]):
        raise error_at(f"{wrong[0]} does not apply to {name}; {ways_in_words(kind)}", "fields", name, wrong[0])
    if keys & ways not in [set(way) for way in WAYS[kind]]:
        raise error_at(f"{name} needs exactly one source; {ways_in_words(kind)}", "fields", name)
    for form in (*source.format, *source.time_format):
        if source.column and form in EPOCH_UNITS and kind in {"instant", "end"}:
            continue
        _check_format(form, name, whole=form in source.format)
    _check_constants(command, name, source, roc=roc)


def with_values(mapping: Mapping, name: str, values: Dictionary[str, str]) -> Mapping:
    """Return a mapping in which a field's values are those read from its `values_file`.

    Raises:
        MappingError: a value is not valid as this field.
    """
    source = mapping.fields[name]
    merged = source.model_copy(update={"values": {**values, **(source.values or {})}, "values_file": None})
    line = mapping.lines.get(("fields", name, "values_file")) or mapping.lines.get(("fields", name))
    for key, value in values.items():
        if defect := _defect_of(mapping.command, name, value):
            sentence = (
                f"{source.values_file} maps {quoted(key)} to {quoted(value)}, which is not valid as {name}: {defect}"
            )
            raise MappingError([Finding(line or 1, f"fields.{name}.values_file", "error", sentence, "correct it")])
    found = mapping.model_copy(update={"fields": {**mapping.fields, name: merged}})
    found._lines.update(mapping.lines)  # noqa: SLF001 - a copy of the same mapping
    return found


def _check_constants(command: str, name: str, source: FieldSource, *, roc: bool) -> None:
    """Validate the values in the mapping against the command's model; otherwise every line would be refused."""
    values: list[tuple[str | int | Day, tuple[str, ...]]] = [
        (value, ("values", key)) for key, value in (source.values or {}).items()
    ]
    if source.constant is not None:
        values.append((source.constant, ("constant",)))
    for value, place in values:
        try:
            is_day = KINDS[name] == "day" and day_of(value, source.format, roc=roc)
            defect = None if is_day else _defect_of(command, name, value)
        except CellError as error:
            raise error_at(str(error), "fields", name, *place) from None
        if defect:
            raise error_at(f"{quoted(value)} is not valid as {name}: {defect}; correct it", "fields", name, *place)


def _defect_of(command: str, name: str, value: str | int | Day) -> str | None:
    """Return what is wrong with the value of a field, or None."""
    try:
        COMMANDS[command].model_validate({name: value.isoformat() if isinstance(value, Day) else value})
    except ValidationError as error:
        for problem in error.errors():
            if problem["loc"][:1] == (name,):
                return message_of(problem)
    return None


def _check_format(form: str, name: str, *, whole: bool) -> None:
    """Require that a format covers the day, or the time."""
    moment = datetime(2015, 12, 31, 21, 45)  # noqa: DTZ001 - only formatted and parsed again
    key = "format" if whole else "time_format"
    try:
        read = datetime.strptime(moment.strftime(form), form)  # noqa: DTZ007 - the same
    except (ValueError, re.error):  # the latter if a directive is repeated
        raise error_at(f'"{form}" is not a format; write one such as "%d/%m/%Y"', "fields", name, key) from None
    if whole and read.date() != moment.date():
        raise error_at(f'"{form}" lacks year, month or day; use %Y, %m and %d', "fields", name, key)
    if not whole and read.time() != moment.time():
        raise error_at(f'"{form}" lacks hour or minute; use %H and %M, or %I, %M and %p', "fields", name)


# --- parsing --------------------------------------------------------------------------------------------------------


def parse_mapping(text: str) -> Mapping:
    """Parse a mapping.

    Raises:
        MappingError: with all findings.
    """
    if beyond := text_exceeds(text, "mapping"):
        raise MappingError([beyond])
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        finding = not_toml(text, str(error))
        raise MappingError([replace(finding, key="mapping", sentence=f"this is not TOML: {error}")]) from None
    lines = places(text)
    try:
        mapping = Mapping.model_validate(document)
    except ValidationError as error:
        raise MappingError([_for_mapping(finding) for finding in findings_of(error, lines)]) from None
    mapping._lines.update(lines)  # noqa: SLF001 - set once, here
    return mapping


def _for_mapping(finding: Finding) -> Finding:
    """Adapt a finding made for rules: suggest a known key for an unknown one, and name the mapping as the whole."""
    key = finding.key if finding.key != "timeline" else "mapping"
    if finding.sentence == "unknown key" and not finding.remedy.startswith("did you mean"):
        table, _, unknown = key.rpartition(".")
        model = _MODELS.get(table.partition(".")[0], Mapping)
        if similar := get_close_matches(unknown, model.model_fields, n=1):
            return replace(finding, key=key, remedy=f"did you mean {similar[0]}?")
        where = f"the keys here are {', '.join(model.model_fields)}"
        return replace(finding, key=key, remedy=_place_of(unknown) or f"remove it; {where}")
    return replace(finding, key=key)


_MODELS: dict[str, type[Strict]] = {"file": FileForm, "fields": FieldSource, "person": Person, "check": Check}
"""The tables of a mapping."""


def _place_of(key: str) -> str | None:
    """Return where a key belongs, for one that is in another table."""
    if key in Mapping.model_fields:
        return f"move {key} above [file] and [fields]"
    if key in FileForm.model_fields:
        return f"move {key} under [file]"
    if key in FieldSource.model_fields:
        return f'move {key} into a field, as in check_in = {{ date = "…", {key} = … }}'
    return None
