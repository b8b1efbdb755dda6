"""Sources: the fields of the commands that can be imported, their kinds, and where a mapping can take them from."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

Kind = Literal["text", "day", "number", "minutes", "instant", "end"]
"""`text`: names and codes; `end`: an instant that can also be given as a duration."""

KINDS: dict[str, Kind] = {
    "check_in": "instant",
    "check_out": "end",
    "occurred_at": "instant",
    "registered_on": "day",
    "withdrawn_on": "day",
    "joined_on": "day",
    "left_on": "day",
    "completed_on": "day",
    "founded_on": "day",
    "moved_on": "day",
    "ended_on": "day",
    "as_of": "day",
    "day": "day",
    "minutes": "minutes",
    "learning_minutes": "minutes",
    "people": "number",
    "volunteer": "text",
    "station": "text",
    "project": "text",
    "organisation": "text",
    "parent": "text",
    "provider": "text",
    "in_charge": "text",
    "shift": "text",
    "direction": "text",
    "raise_id": "text",
    "kind": "text",
    "theme": "text",
    "name": "text",
    "tier": "text",
    "content": "text",
    "evidence": "text",
    "reason": "text",
    "text": "text",
}
"""The kind of every field of these commands."""

Day = date
"""`date` under another name, for classes with a field `date`."""


def _number_as_name(value: object) -> object:
    """Accept a column's number, from 1, where the file has no header."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) and value > 0 else value


def several(value: object) -> object:
    """Accept a single value without brackets."""
    return (value,) if isinstance(value, str | int) else value


FORMATS_MAX = 20
"""Formats of one field: each is tried on every cell."""
Formats = Annotated[tuple[str, ...], Field(max_length=FORMATS_MAX), BeforeValidator(several)]
ColumnName = Annotated[str, BeforeValidator(_number_as_name), StringConstraints(min_length=1, max_length=200)]
TimeOfDay = Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]


class Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FieldSource(Strict):
    """The source of a field's value. It is given in exactly one of the ways in `WAYS`."""

    column: ColumnName | None = None
    constant: str | int | Day | None = None
    values: dict[str, str] | None = None
    values_file: Annotated[str, StringConstraints(min_length=1, max_length=400)] | None = None
    prefix: str = ""
    digits: Annotated[int, Field(strict=True, ge=0, le=32)] = 0
    format: Formats = ()
    date: ColumnName | None = None
    year: ColumnName | None = None
    month: ColumnName | None = None
    day: ColumnName | None = None
    time: ColumnName | None = None
    hour: ColumnName | None = None
    minute: ColumnName | None = None
    at: TimeOfDay | None = None
    starts: TimeOfDay | None = None
    time_format: Formats = ()
    hours: ColumnName | None = None
    minutes: ColumnName | None = None
    decimal: Literal[".", ","] = "."
    hours_max: Annotated[int, Field(strict=True, ge=1, le=168)] | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it is read from."""
        return tuple(name for key in COLUMN_KEYS if (name := getattr(self, key)))

    @property
    def day_columns(self) -> tuple[str, ...]:
        """The columns of its day, if they are not those of its time too."""
        return tuple(name for name in (self.date, self.year, self.month, self.day) if name)


COLUMN_KEYS = ("column", "date", "year", "month", "day", "time", "hour", "minute", "hours", "minutes")
"""The keys of a source that name a column."""
_DAYS = (("date",), ("year", "month", "day"))
_CLOCKS = (("time",), ("hour", "minute"))
_DURATIONS = (("hours",), ("minutes",), ("hours", "minutes"))
_BEGINS = tuple((*day, *at) for day in _DAYS for at in (*_CLOCKS, ("at",)))
_LAID = tuple((*day, *clock, "starts") for day in _DAYS for clock in (*_CLOCKS, ()))
_ENDS_OR_DURATIONS = tuple((*day, *clock, *length) for day in _DAYS for clock in _CLOCKS for length in _DURATIONS)
WAYS: dict[Kind, tuple[tuple[str, ...], ...]] = {
    "text": (("column",), ("constant",)),
    "day": (("column",), ("year", "month", "day"), ("constant",)),
    "number": (("column",), ("constant",)),
    "minutes": (("column",), ("hours",), ("hours", "minutes"), ("constant",)),
    "instant": (("column",), *_BEGINS, *_LAID, ("constant",)),
    "end": (("column",), *_BEGINS, *_DURATIONS, *_ENDS_OR_DURATIONS),
}
"""For each kind of field, the sets of keys that can define its source."""

EXTRAS: dict[Kind, set[str]] = {
    "text": {"values", "values_file", "prefix", "digits"},
    "day": {"format"},
    "number": set(),
    "minutes": {"decimal"},
    "instant": {"format", "time_format"},
    "end": {"format", "time_format", "decimal", "hours_max"},
}


_DAY_AND_TIME = (
    "{ date = …, time = … } or { date = …, at = … }, where year, month, day and hour, minute may be columns too"
)
_IN_WORDS: dict[Kind, str] = {
    "instant": f"{{ column = … }} or {{ constant = … }} or {_DAY_AND_TIME}",
    "end": f"{{ column = … }} or {{ hours = … }} or {{ minutes = … }} or {_DAY_AND_TIME}",
}


def ways_in_words(kind: Kind) -> str:
    """Return how the source of a field is given."""
    listed = " or ".join("{ " + ", ".join(f"{key} = …" for key in way) + " }" for way in WAYS[kind])
    return "write " + _IN_WORDS.get(kind, listed)
