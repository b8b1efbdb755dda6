"""Segments: a range of the log as six Parquet files in one folder, written once.

    00000000001-00001048576/
        shift-events.parquet   shift events, one row each
        corrections.parquet    the fields set by the corrections among them
        other-events.parquet   all other events
        shifts.parquet         shifts that first appear here: number, id, volunteer, when recorded
        names.parquet          names that first appear here: kind, number, name
        rules.parquet          rule timelines published here, as text, and those put in force here

Instants are epoch seconds (uint32), days are days since 1970-01-01 (int32); a number is the surrogate of a name. Null
means that the event does not have the field. docs/analysts.md describes each column. Each row group is one part of the
log as it was read; pages have checksums. LZ4 with delta encoding was measured to decode in half the time of Zstandard,
with a twentieth more bytes (docs/decisions/0009).

This module defines the format; where folders are and why segments are written is decided elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from projections.schema import NONE, Array, Corrections, Instants, Ints, OtherEvents, ShiftEvents, Words

SHIFT_EVENTS, CORRECTIONS, OTHER_EVENTS, SHIFTS, NAMES, RULES = (
    "shift-events.parquet",
    "corrections.parquet",
    "other-events.parquet",
    "shifts.parquet",
    "names.parquet",
    "rules.parquet",
)
MERGED_ROWS = 1 << 18
"""Rows of a row group of merged segments: decoded at once, and small enough for a processor's cache."""
NAME_KINDS = ("volunteer", "station", "project", "key")
_T = TypeVar("_T", ShiftEvents, Corrections, OtherEvents)

_NUMBER, _INSTANT, _BYTE, _LONG, _TEXT = pa.int32(), pa.uint32(), pa.uint8(), pa.int64(), pa.string()


def _schema(required: dict[str, Any], nullable: dict[str, Any] | None = None) -> Any:
    fields = [pa.field(name, kind, nullable=False) for name, kind in required.items()]
    return pa.schema(fields + [pa.field(name, kind) for name, kind in (nullable or {}).items()])


SCHEMAS = {
    SHIFT_EVENTS: _schema(
        {
            "position": _LONG,
            "recorded_at": _INSTANT,
            "occurred_at": _INSTANT,
            "code": _BYTE,
            "volunteer": _NUMBER,
            "shift": _NUMBER,
            "marks": _BYTE,
        },
        {"station": _NUMBER, "project": _NUMBER},
    ),
    CORRECTIONS: _schema(
        {"position": _LONG, "shift": _NUMBER, "changes": _BYTE, "reason": _TEXT},
        {"station": _NUMBER, "project": _NUMBER, "check_in": _INSTANT, "check_out": _INSTANT},
    ),
    OTHER_EVENTS: _schema(
        {"position": _LONG, "recorded_at": _INSTANT, "topic": _TEXT, "code": _BYTE},
        dict.fromkeys(("volunteer", "station", "project", "key", "day", "amount", "into"), _NUMBER)
        | {"opened_at": _INSTANT},
    ),
    SHIFTS: _schema({"number": _NUMBER, "shift": pa.binary(16), "volunteer": _NUMBER, "recorded_at": _INSTANT}),
    NAMES: _schema({"kind": _TEXT, "number": _NUMBER, "name": _TEXT}),
    RULES: _schema(
        {"position": _LONG, "recorded_at": _INSTANT, "version": _NUMBER, "digest": _TEXT, "text": _TEXT},
        {"act": _TEXT},
    ),
}
_SENTINELS = {"check_in": 0, "check_out": 0, "opened_at": 0}
"""The values that represent null in memory, where it is not `NONE`."""
_DICTIONARY = ["code", "changes", "marks", "station", "project", "kind", "topic", "reason"]
_DELTA = ("position", "recorded_at", "occurred_at", "shift", "number")


class NewNames(NamedTuple):
    """The names that a part of the log adds to the dictionaries, each kind numbered from its first number on."""

    first_shift: int
    shift_volunteer: Ints
    shift_high: Words
    shift_low: Words
    shift_recorded_at: Instants
    first_name: dict[str, int]  # by kind
    names: dict[str, list[str]]


class RulesRow(NamedTuple):
    """A rule timeline as published: TOML text, and its SHA-256; or put in force, without its text.

    `act`: None if it is in force since it was published, as in segments of format 6, which have no such column;
    `PUBLISHED_ONLY`, or `PUT_IN_FORCE`.
    """

    position: int
    recorded_at: int
    version: int
    digest: str
    text: str
    act: str | None = None


PUBLISHED_ONLY, PUT_IN_FORCE = "published", "put-in-force"


class Part(NamedTuple):
    """A part of the log as columns: those for kernels, and (`*_more`) those for auditors and analysts only."""

    shift_events: ShiftEvents
    shift_more: dict[str, Array]  # position, recorded_at, volunteer
    corrections: Corrections
    correction_more: dict[str, Any]  # position, reason
    other_events: OtherEvents
    other_more: dict[str, Array]  # position, recorded_at, topic
    new: NewNames
    rules: list[RulesRow]

    def recorded_at(self) -> tuple[int, int]:
        """Return when the first and the last event were recorded."""
        instants = [more["recorded_at"] for more in (self.shift_more, self.other_more) if len(more["recorded_at"])]
        return int(min(each[0] for each in instants)), int(max(each[-1] for each in instants))


def tables_of(part: Part) -> dict[str, Any]:
    """Return the Arrow tables of a part, by file name."""
    new = part.new
    ids = np.stack([new.shift_high, new.shift_low], axis=1).astype(">u8").tobytes()
    shifts = pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(ids) // 16, [None, pa.py_buffer(ids)])
    names = [named for kind in NAME_KINDS for named in enumerate(new.names[kind], new.first_name[kind])]
    columns: dict[str, dict[str, Any]] = {
        SHIFT_EVENTS: {**part.shift_events._asdict(), **part.shift_more},
        CORRECTIONS: {**part.corrections._asdict(), **part.correction_more},
        OTHER_EVENTS: {**part.other_events._asdict(), **part.other_more},
        SHIFTS: {
            "number": np.arange(new.first_shift, new.first_shift + len(shifts), dtype=np.int32),
            "shift": shifts,
            "volunteer": new.shift_volunteer,
            "recorded_at": new.shift_recorded_at,
        },
        NAMES: {
            "kind": [kind for kind in NAME_KINDS for _ in new.names[kind]],
            "number": [number for number, _ in names],
            "name": [name for _, name in names],
        },
        RULES: {name: [row[at] for row in part.rules] for at, name in enumerate(RulesRow._fields)},
    }
    return {
        file: pa.table([_arrow(columns[file][field.name], field) for field in schema], schema=schema)
        for file, schema in SCHEMAS.items()
    }


# --- writing --------------------------------------------------------------------------------------------------------


class SegmentWriter:
    """Writes the files of one segment, part by part."""

    def __init__(self, writers: dict[str, Any]) -> None:
        self._writers = writers

    def add(self, part: Part) -> None:
        """Append a part as a row group of each file.

        Raises:
            OSError: the disk is full or not writable; the code that opened the segment removes the folder.
        """
        for file, table in tables_of(part).items():
            self._writers[file].write_table(table, row_group_size=1 << 30)


@contextmanager
def writing_segment(folder: Path) -> Iterator[SegmentWriter]:
    """Open the files of a new segment in an empty folder; flush all of them to disk at the end."""
    with ExitStack() as stack:
        files = {name: stack.enter_context((folder / name).open("xb")) for name in SCHEMAS}
        writers = {}
        for name, file in files.items():
            writers[name] = _parquet_writer(file, SCHEMAS[name])
            stack.callback(_close_quietly, writers[name])
        yield SegmentWriter(writers)
        for name, file in files.items():
            writers[name].close()
            file.flush()
            os.fsync(file.fileno())


def _close_quietly(writer: Any) -> None:
    """Close a writer after an error, without hiding that error. Does nothing to a closed writer."""
    with suppress(OSError, pa.ArrowException):
        writer.close()


def merge_segments(folders: Sequence[Path], folder: Path, read: Callable[[Path], Any]) -> None:
    """Write consecutive segments as one segment in an empty folder, with row groups of `MERGED_ROWS`. `read` is
    `read_table`, or a function that raises other errors.

    Raises:
        OSError: a file cannot be written. Also any error that `read` raises.
    """
    for name, schema in SCHEMAS.items():
        whole = pa.concat_tables([read(part / name) for part in folders])
        with (folder / name).open("xb") as file:
            writer = _parquet_writer(file, schema)
            writer.write_table(whole.cast(schema), row_group_size=MERGED_ROWS)
            writer.close()
            file.flush()
            os.fsync(file.fileno())


def _parquet_writer(file: Any, schema: Any) -> Any:
    return pq.ParquetWriter(
        file,
        schema,
        compression="lz4",
        use_dictionary=[name for name in schema.names if name in _DICTIONARY],
        column_encoding={
            field.name: "DELTA_BINARY_PACKED"
            for field in schema
            if field.name in _DELTA and pa.types.is_integer(field.type)
        },
        write_page_checksum=True,
    )


def _arrow(values: Any, field: Any) -> Any:
    if not isinstance(values, np.ndarray):
        return pa.array(values, field.type) if isinstance(values, list) else values
    mask = values == _SENTINELS.get(field.name, NONE) if field.nullable else None
    return pa.array(values, field.type, mask=mask)


# --- reading --------------------------------------------------------------------------------------------------------


def read_table(path: Path) -> Any:
    """Read a whole file as an Arrow table; columns that its format did not have are null. Raises as `read_part`."""
    with _open(path) as file:
        table = file.read()
    for field in SCHEMAS.get(path.name, ()):
        if field.name not in table.column_names:
            table = table.append_column(field, pa.nulls(len(table), field.type))
    return table


def row_groups(path: Path) -> int:
    """Return the number of row groups of a file."""
    with _open(path) as file:
        return int(file.num_row_groups)


def read_part(path: Path, group: int, table: type[_T]) -> _T:
    """Read the columns for kernels of one row group.

    Raises:
        OSError, pyarrow.ArrowException: the file is missing, or damaged (by the checksums of its pages).
    """
    with _open(path) as file:
        read = file.read_row_group(group, columns=list(table._fields), use_threads=False)
    return table._make(_numpy(read[name], _SENTINELS.get(name, NONE)) for name in table._fields)


def read_columns(path: Path, columns: list[str], group: int | None = None) -> dict[str, Array]:
    """Read numeric columns of one row group, or of all, as numpy arrays, with nulls as sentinels. Raises as
    `read_part`.
    """
    with _open(path) as file:
        groups = range(file.num_row_groups) if group is None else [group]
        read = file.read_row_groups(groups, columns=columns, use_threads=False)
    return {name: _numpy(read[name], _SENTINELS.get(name, NONE)) for name in columns}


def _open(path: Path) -> Any:
    return pq.ParquetFile(path, page_checksum_verification=True)


def _numpy(column: Any, sentinel: int) -> Array:
    whole = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    if whole.null_count and whole.null_count == len(whole):
        return np.full(len(whole), sentinel, whole.type.to_pandas_dtype())
    if whole.null_count:
        whole = whole.fill_null(sentinel)
    array: Array = whole.to_numpy(zero_copy_only=False)
    return array


def read_shifts(path: Path) -> tuple[Ints, Words, Words]:
    """Read the volunteers and the id halves of the shifts that a segment adds. Raises as `read_part`."""
    with _open(path) as file:
        table = file.read(columns=["shift", "volunteer"])
    ids = table["shift"].combine_chunks()
    halves = np.frombuffer(ids.buffers()[1], ">u8", 2 * len(ids), ids.offset * 16).reshape(-1, 2).astype(np.uint64)
    return table["volunteer"].to_numpy().astype(np.int32), halves[:, 0], halves[:, 1]


def read_names(path: Path) -> dict[str, list[str]]:
    """Read the names a segment adds, by kind. Raises as `read_part`."""
    with _open(path) as file:
        table = file.read()
    kinds, names = table["kind"].to_pylist(), table["name"].to_pylist()
    by_kind: dict[str, list[str]] = {kind: [] for kind in NAME_KINDS}
    for kind, name in zip(kinds, names, strict=True):
        by_kind[kind].append(name)
    return by_kind


def read_rules(path: Path) -> list[RulesRow]:
    """Read the rule timelines published or put in force in a segment. Raises as `read_part`."""
    return [RulesRow(**row) for row in read_table(path).to_pylist()]
