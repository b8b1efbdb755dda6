"""Shifts as columns: resolved shifts of some volunteers in the form of the kernels, with the names of the surrogates.

A batch of events affects thousands of volunteers and tens of thousands of shifts, and creating a Python object for each
took half of its time. So shifts remain columns from the store to the kernels, and `Shift` objects are created on
demand. This module reads rows and rearranges columns; it depends on neither events nor rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
import numpy.typing as npt
from psycopg import Connection

from projections.schema import Array, Ints, Longs, ResolvedShifts, Words
from projections.surrogates import Names

ShiftKey = tuple[str, UUID]
_LOW_HALF = (1 << 64) - 1
_DTYPES = (np.int32, np.int32, np.int32, np.uint32, np.uint32, np.uint32, np.uint16)
"""Of the columns of `ResolvedShifts`."""


@dataclass(frozen=True)
class Shift:
    """A resolved shift with its names. Instants are epoch seconds; `flags` as in projections/schema.py."""

    volunteer: str
    shift: UUID
    station: str | None
    project: str | None
    check_in: int | None
    check_out: int | None
    recorded_at: int
    flags: int


class ShiftNames(NamedTuple):
    """The names of the surrogates in columns. Several tables may share them; equal numbers then mean equal names."""

    volunteers: Names
    stations: Names
    projects: Names

    @classmethod
    def starting_with(cls, volunteers: Iterable[str] = (), stations: Iterable[str] = ()) -> ShiftNames:
        """Return new names, numbered from the given ones on."""
        return cls(Names(volunteers), Names(stations), Names())


class Shifts(Mapping[ShiftKey, Shift]):
    """Resolved shifts: columns of length n with ids as two uint64 halves, and also a mapping to `Shift` objects."""

    def __init__(self, names: ShiftNames, columns: ResolvedShifts, high: Words, low: Words) -> None:
        self.names = names
        self.columns = columns
        self.high = high
        self.low = low

    @classmethod
    def of(cls, shifts: Iterable[Shift]) -> Shifts:
        """Return the columns of shift objects, in their order."""
        names = ShiftNames.starting_with()
        rows = [
            (
                names.volunteers.add(shift.volunteer),
                names.stations.add(shift.station),
                names.projects.add(shift.project),
                shift.check_in or 0,
                shift.check_out or 0,
                shift.recorded_at,
                shift.flags,
                shift.shift.int,
            )
            for shift in shifts
        ]
        columns = list(zip(*rows, strict=True)) or [()] * (len(_DTYPES) + 1)
        return cls(names, _resolved(columns[:-1]), *_halves(columns[-1]))

    @classmethod
    def joined(cls, names: ShiftNames, parts: Sequence[Shifts]) -> Shifts:
        """Return the shifts of all parts, concatenated and numbered by `names`, to which missing names are added."""
        numbered = [part.numbered(names) for part in parts]
        columns = ResolvedShifts._make(np.concatenate(column) for column in zip(*numbered, strict=True))
        return cls(
            names, columns, np.concatenate([part.high for part in parts]), np.concatenate([part.low for part in parts])
        )

    def numbered(self, names: ShiftNames) -> ResolvedShifts:
        """Return the columns numbered by other `names`, to which missing names are added."""
        if names is self.names:
            return self.columns
        volunteer, station, project = (
            _renumbered(column, mine, theirs)
            for column, mine, theirs in zip(self.columns[:3], self.names, names, strict=True)
        )
        return self.columns._replace(volunteer=volunteer, station=station, project=project)

    def where(self, chosen: npt.NDArray[Any]) -> Shifts:
        """Return the rows selected by a mask or by their numbers."""
        columns = ResolvedShifts._make(column[chosen] for column in self.columns)
        return Shifts(self.names, columns, self.high[chosen], self.low[chosen])

    def without(self, others: Shifts) -> Shifts:
        """Return the shifts that are not among others."""
        volunteers, keys = self.names.volunteers, set(others._ids())
        names = volunteers.texts()
        remaining = np.ones(len(self), bool)
        for row in np.flatnonzero(np.isin(self.low, others.low)):  # a prefilter with almost no false matches
            key = names[self.columns.volunteer[row]], int(self.high[row]), int(self.low[row])
            remaining[row] = key not in keys
        return self.where(remaining)

    def _ids(self) -> Iterator[tuple[str, int, int]]:
        names = self.names.volunteers.texts()
        owners = (names[number] for number in self.columns.volunteer.tolist())
        return zip(owners, self.high.tolist(), self.low.tolist(), strict=True)

    # --- as a mapping -----------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.high)

    def __iter__(self) -> Iterator[ShiftKey]:
        return iter(self._rows)

    def __getitem__(self, key: ShiftKey) -> Shift:
        return self.shift(self._rows[key])

    def row(self, key: ShiftKey) -> int:
        """Return the row of a shift."""
        return self._rows[key]

    def check_in(self, key: ShiftKey) -> int:
        """Return a shift's check-in in epoch seconds, or 0 if it has none."""
        return int(self.columns.check_in[self._rows[key]])

    def shift(self, row: int) -> Shift:
        """Return one row as an object."""
        volunteer, station, project, check_in, check_out, recorded_at, flags = (
            int(column[row]) for column in self.columns
        )
        volunteers, stations, projects = self._texts
        return Shift(
            volunteers[volunteer],
            UUID(int=int(self.high[row]) << 64 | int(self.low[row])),
            stations[station] if station >= 0 else None,
            projects[project] if project >= 0 else None,
            check_in or None,
            check_out or None,
            recorded_at,
            flags,
        )

    @cached_property
    def _rows(self) -> dict[ShiftKey, int]:
        return {(name, UUID(int=high << 64 | low)): row for row, (name, high, low) in enumerate(self._ids())}

    @cached_property
    def _texts(self) -> list[list[str]]:
        return [names.texts() for names in self.names]


def _renumbered(column: Ints, mine: Names, theirs: Names) -> Ints:
    """Convert a column of surrogates from one table of names to another; -1 stays -1."""
    numbers = np.array([*(theirs.add(name) for name in mine.texts()), -1], np.int32)
    return numbers[column]


def _resolved(columns: Sequence[Any]) -> ResolvedShifts:
    return ResolvedShifts._make(
        np.ascontiguousarray(np.asarray(column, np.int64), dtype)
        for column, dtype in zip(columns, _DTYPES, strict=True)
    )


def _halves(ids: Sequence[int]) -> tuple[Words, Words]:
    return (
        np.array([number >> 64 for number in ids], np.uint64),
        np.array([number & _LOW_HALF for number in ids], np.uint64),
    )


# --- from the store -------------------------------------------------------------------------------------------------

_COLUMNS = """
SELECT string_agg(int4send(requested.number::int), ''::bytea), string_agg(uuid_send(known.shift), ''::bytea),
       string_agg(coalesce(known.station, ''), ','), string_agg(coalesce(known.project, ''), ','),
       string_agg(int8send(coalesce(known.check_in, 0)), ''::bytea),
       string_agg(int8send(coalesce(known.check_out, 0)), ''::bytea),
       string_agg(int8send(known.recorded_at), ''::bytea), string_agg(int4send(known.flags), ''::bytea)
"""
_WHOLE = f"""
{_COLUMNS} FROM unnest(%s::text[]) WITH ORDINALITY AS requested(volunteer, number)
JOIN replay.shifts AS known ON known.volunteer = requested.volunteer
"""
_WITHIN = f"""
{_COLUMNS}
FROM unnest(%s::text[], %s::bigint[], %s::bigint[]) WITH ORDINALITY AS requested(volunteer, low, high, number)
JOIN replay.shifts AS known
  ON known.volunteer = requested.volunteer AND known.check_in BETWEEN requested.low AND requested.high
"""


def read_shifts(
    connection: Connection[Any], volunteers: Sequence[str], windows: tuple[Longs, Longs] | None = None
) -> Shifts:
    """Read shifts from the store: all of these volunteers, or those with a check-in within each volunteer's window.

    PostgreSQL joins each column into one value, because parsing one row per shift would take twenty times as long.

    Args:
        windows: the first and the last epoch second of each volunteer's window, int64[volunteers] each.
    """
    if not volunteers:
        return Shifts.of(())
    names = ShiftNames.starting_with(volunteers)
    if windows is None:
        statement, values = _WHOLE, [text_array(volunteers)]
    else:
        statement, values = _WITHIN, [text_array(volunteers), *(integer_array(edge) for edge in windows)]
    with connection.cursor(binary=True) as cursor:
        found = cursor.execute(statement, values).fetchone()
    if found is None or found[0] is None:
        return Shifts.of(())
    numbers, ids, stations, projects, *rest = found
    columns = [_integers(numbers, 4) - 1, _numbers(stations, names.stations), _numbers(projects, names.projects)]
    columns += [_integers(column, width) for column, width in zip(rest, (8, 8, 8, 4), strict=True)]
    halves = np.frombuffer(ids, ">u8").astype(np.uint64).reshape(-1, 2)
    high, low = np.ascontiguousarray(halves[:, 0]), np.ascontiguousarray(halves[:, 1])
    return Shifts(names, _resolved(columns), high, low)


def _integers(octets: bytes, width: int) -> Array:
    return np.frombuffer(octets, f">i{width}")


def _numbers(texts: str, names: Names) -> list[int]:
    """Return the surrogates of names joined by commas; -1 for an empty one."""
    known: dict[str, int] = {"": -1}
    return [known[text] if text in known else known.setdefault(text, names.add(text)) for text in texts.split(",")]


# --- parameters -----------------------------------------------------------------------------------------------------


def text_array(texts: Iterable[str]) -> str:
    """Return names as a parameter for `%s::text[]`; adapting a list would take the driver longer.

    Names in the ledger contain no quotation marks and backslashes (ledger/names.py), but names in requests may.
    """
    plain = "\n".join(texts := list(texts))
    if '"' in plain or "\\" in plain:
        texts = [text.replace("\\", "\\\\").replace('"', '\\"') for text in texts]
    return "{" + ",".join([f'"{text}"' for text in texts]) + "}"


def integer_array(numbers: npt.NDArray[Any]) -> str:
    """Return integers as a parameter for `%s::bigint[]`."""
    return "{" + ",".join(map(str, numbers.tolist())) + "}"
