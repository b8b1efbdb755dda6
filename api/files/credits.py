"""Export of credits: every piece of every shift as a file, from the same kernels that credit them.

Pieces are not stored, so the whole history is credited again and written in chunks of some thousand volunteers. The
file is written under a temporary name and renamed when it is complete.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from ledger.names import PlaceKind
from projections.kernels.credit import credit_volunteer, workspace
from projections.kernels.facts import Facts
from projections.rules.timeline import RuleTimeline
from projections.schema import (
    CAPPED,
    CLIPPED,
    COUNTED,
    CREDITED,
    DAY,
    NO_DAY,
    OVERLAPPED,
    PIECE_COLUMNS,
    RAW,
    ROW,
    SHARE,
    SUPERSEDED,
    TOO_SHORT,
    Array,
    Ints,
    ShiftTable,
    Words,
)
from replay.durable import atomic_file

Format = Literal["csv", "parquet"]
NameOf = Callable[[PlaceKind, str], str | None]
"""Returns the name of a station, project or organisation, None if it has none."""
CHUNK_PIECES = 1 << 16
Mask = npt.NDArray[np.bool_]

_MINUTES = {
    "raw_minutes": RAW,
    "superseded_minutes": SUPERSEDED,
    "too_short_minutes": TOO_SHORT,
    "clipped_minutes": CLIPPED,
    "overlapped_minutes": OVERLAPPED,
    "capped_minutes": CAPPED,
    "counted_minutes": COUNTED,
}
_NAME = pa.dictionary(pa.int32(), pa.string())
SCHEMA = pa.schema(
    [
        ("volunteer", _NAME),
        ("shift", pa.string()),
        ("station", _NAME),
        ("station_name", _NAME),
        ("project", _NAME),
        ("project_name", _NAME),
        ("day", pa.date32()),
        *((name, pa.int32()) for name in _MINUTES),
        ("factor_change_minutes", pa.int32()),
        ("rounding_minutes", pa.int32()),
        ("credited_minutes", pa.int32()),
        ("grade", _NAME),
        ("recorded_under", _NAME),
    ]
)
"""One row per shift and local day; raw = the sum of the six columns after it; credited = counted + factor - rounding.

`volunteer` is the number into which the person's numbers were merged, as in the read models; `recorded_under` is the
number under which the shift was recorded, which differs only after a merge.
"""


class Chosen(NamedTuple):
    """Which pieces to write: those of a person (by surrogate), of days, and of shifts at some places.

    `at`: returns a mask of pieces by the surrogates of their stations and projects and the first days of their shifts,
    int32[n] each.
    """

    volunteer: int | None = None
    first_day: int = -NO_DAY
    last_day: int = NO_DAY
    at: Callable[[Ints, Ints, Ints], Mask] | None = None


ALL = Chosen()


class _Writer(Protocol):
    def write_table(self, table: Any) -> None: ...


def write_credits(
    path: Path,
    format: Format,  # noqa: A002 - the option's name
    facts: Facts,
    timeline: RuleTimeline,
    names: NameOf,
    *,
    chosen: Chosen = ALL,
    metadata: dict[str, str] | None = None,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> int:
    """Write the chosen pieces of all volunteers; return how many.

    Raises:
        OSError: the file cannot be written; an existing file stays as it was.
    """
    written = 0
    with atomic_file(path, export=True) as temporary, _writer(temporary, format, metadata or {}) as writer:
        for table in credit_tables(facts, timeline, names, chosen, progress):
            writer.write_table(table)
            written += len(table)
    return written


@contextmanager
def _writer(path: Path, format: Format, metadata: dict[str, str]) -> Iterator[_Writer]:  # noqa: A002 - as above
    if format == "parquet":
        with pq.ParquetWriter(path, SCHEMA.with_metadata(metadata), compression="zstd") as writer:
            yield writer
    else:
        plain = pa.schema([(field.name, _plain(field.type)) for field in SCHEMA])
        with pa_csv.CSVWriter(path, plain, write_options=pa_csv.WriteOptions(quoting_style="needed")) as writer:
            yield _PlainWriter(writer, plain)


class _PlainWriter:
    """Writes tables in a format without dictionaries: they are cast to plain strings."""

    def __init__(self, writer: Any, schema: Any) -> None:
        self._writer, self._schema = writer, schema

    def write_table(self, table: Any) -> None:
        self._writer.write_table(table.cast(self._schema))


def _plain(kind: Any) -> Any:
    return pa.string() if kind == _NAME else kind


def credit_tables(
    facts: Facts, timeline: RuleTimeline, names: NameOf, chosen: Chosen, progress: Callable[[int, int], None]
) -> Iterator[Any]:
    """Credit one person after another; yield the pieces as Arrow tables of `SCHEMA`."""
    rules = facts.rules(timeline)
    table = facts.paired(rules).table
    volunteers, kinds = facts.volunteer_table(), facts.station_kinds(timeline)
    formatter = _Formatter(facts, table, names)
    memory = workspace(int(np.diff(table.first).max(initial=0)))
    space = np.empty((CHUNK_PIECES, PIECE_COLUMNS), np.int32)
    waiting: list[tuple[int, Ints]] = []
    count = 0
    last = len(facts.volunteers) - 1
    served = np.flatnonzero(np.diff(table.first))
    for volunteer in served[(served == chosen.volunteer) | (chosen.volunteer is None)].tolist():
        found, space = credit_volunteer(volunteer, table, volunteers, kinds, rules, memory, space)
        pieces = space[:found]
        pieces = pieces[_mask(pieces, table, chosen)]
        waiting.append((volunteer, pieces.copy()))
        count += len(pieces)
        if count >= CHUNK_PIECES:
            yield formatter.table(waiting)
            progress(volunteer, last)
            waiting, count = [], 0
    if count:
        yield formatter.table(waiting)


def _mask(pieces: Ints, table: ShiftTable, chosen: Chosen) -> Mask:
    """Return which of a volunteer's pieces are chosen."""
    days, rows = pieces[:, DAY], pieces[:, ROW]
    mask = (days >= chosen.first_day) & (days <= chosen.last_day)
    if chosen.at is not None and len(pieces):
        of_row, place = np.unique(rows, return_inverse=True)
        began = np.full(len(of_row), NO_DAY, np.int32)
        np.minimum.at(began, place, days)
        mask &= chosen.at(table.station[rows], table.project[rows], began[place])
    return mask


class _Formatter:
    """Makes Arrow tables of pieces, with names instead of surrogate numbers."""

    def __init__(self, facts: Facts, table: ShiftTable, names: NameOf) -> None:
        self._table = table
        self._names = [
            pa.array(names.texts(), pa.string()) for names in (facts.volunteers, facts.stations, facts.projects)
        ]
        self._station_names = pa.array([names("station", one) for one in facts.stations.texts()], pa.string())
        self._project_names = pa.array([names("project", one) for one in facts.projects.texts()], pa.string())
        self._grades = pa.array(["attested", "scanned"])
        high, low = facts.shift_keys(np.arange(len(facts.shifts.flags), dtype=np.int32))
        self._ids = np.stack([high, low], axis=1)

    def table(self, chunks: list[tuple[int, Ints]]) -> Any:
        pieces = np.concatenate([pieces for _, pieces in chunks])
        volunteer = np.repeat([number for number, _ in chunks], [len(pieces) for _, pieces in chunks]).astype(np.int32)
        rows = pieces[:, ROW]
        table = self._table
        station, project = table.station[rows], table.project[rows]
        names = [
            pa.DictionaryArray.from_arrays(pa.array(numbers, mask=numbers < 0), known)
            for numbers, known in zip((volunteer, station, project), self._names, strict=True)
        ]
        station_name, project_name = (
            known.take(pa.array(numbers, mask=numbers < 0)).dictionary_encode()
            for numbers, known in ((station, self._station_names), (project, self._project_names))
        )
        minutes = [_column(pieces[:, column]) for column in _MINUTES.values()]
        share, counted, credited = pieces[:, SHARE], pieces[:, COUNTED], pieces[:, CREDITED]
        columns = [
            names[0],
            uuid_texts(self._ids[table.shift[rows]]),
            names[1],
            station_name,
            names[2],
            project_name,
            pa.array(np.ascontiguousarray(pieces[:, DAY]), pa.int32()).cast(pa.date32()),
            *minutes,
            *map(_column, (share - counted, share - credited, credited)),
            pa.DictionaryArray.from_arrays(pa.array(table.scanned[rows].astype(np.int32)), self._grades),
            pa.DictionaryArray.from_arrays(pa.array(table.number[rows]), self._names[0]),
        ]
        return pa.table(columns, schema=SCHEMA)


def _column(values: Array) -> Any:
    return pa.array(np.ascontiguousarray(values), pa.int32())


def uuid_texts(halves: Words) -> Any:
    """Return ids, uint64[n, 2], as text: 8-4-4-4-12 hex digits."""
    digits = np.frombuffer(b"0123456789abcdef", np.uint8)
    octets = halves.astype(">u8").view(np.uint8).reshape(len(halves), 16)
    hexadecimal = np.empty((len(halves), 32), np.uint8)
    hexadecimal[:, 0::2], hexadecimal[:, 1::2] = digits[octets >> 4], digits[octets & 15]
    text = np.full((len(halves), 36), ord("-"), np.uint8)
    for start, at in ((0, 0), (8, 9), (12, 14), (16, 19)):
        text[:, at : at + (8 if start == 0 else 4)] = hexadecimal[:, start : start + (8 if start == 0 else 4)]
    text[:, 24:] = hexadecimal[:, 20:]
    offsets = np.arange(0, 36 * len(halves) + 1, 36, dtype=np.int32)
    return pa.StringArray.from_buffers(len(halves), pa.py_buffer(offsets), pa.py_buffer(text.tobytes()))
