"""Segments: a range of the log as four Parquet files in one folder, written once.

    00000000001-00000262144/
        shift-events.parquet   events of shifts, one row each            (ShiftEvents, and the volunteer)
        other-events.parquet   all other events                          (OtherEvents)
        shifts.parquet         shifts first met here: id, volunteer      (in the order of their numbers)
        names.parquet          names first met here: kind, name          (in the order of their numbers)

Instants are epoch seconds (uint32), days are days since 1970-01-01 (int32); a number is the surrogate of a name. A
null is what the event does not say. This module knows the format and nothing of where folders lie or why they are
written.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from projections.schema import Array, Ints, OtherEvents, ShiftEvents, Words

SHIFT_EVENTS, OTHER_EVENTS, SHIFTS, NAMES = (
    "shift-events.parquet",
    "other-events.parquet",
    "shifts.parquet",
    "names.parquet",
)
NAME_KINDS = ("volunteer", "station", "project", "key")
_NULLABLE = {
    "station": -1,
    "project": -1,
    "check_in": 0,
    "check_out": 0,
    "volunteer": -1,
    "key": -1,
    "day": -1,
    "amount": -1,
}
"""Columns that may be null, with the sentinel that stands for null in memory."""


class NewNames(NamedTuple):
    """What a segment adds to the dictionaries."""

    shift_volunteer: Ints
    shift_high: Words
    shift_low: Words
    names: dict[str, list[str]]  # by kind


def folder_name(first: int, last: int) -> str:
    """Return the name of a segment's folder: its first and last position."""
    return f"{first:011d}-{last:011d}"


def write_segment(
    folder: Path, shift_events: ShiftEvents, shift_volunteer: Ints, other_events: OtherEvents, new: NewNames
) -> None:
    """Write all files of a segment and flush them to disk.

    Raises:
        OSError: the disk is full or not writable; the caller removes the folder.
    """
    columns = {**shift_events._asdict(), "volunteer": shift_volunteer}
    _write(folder / SHIFT_EVENTS, _arrow(columns, always={"volunteer"}))
    _write(folder / OTHER_EVENTS, _arrow(other_events._asdict(), always=set()))
    ids = np.stack([new.shift_high, new.shift_low], axis=1).astype(">u8").tobytes()
    shift_ids = pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(new.shift_low), [None, pa.py_buffer(ids)])
    _write(folder / SHIFTS, pa.table({"shift": shift_ids, "volunteer": new.shift_volunteer}))
    kinds = [kind for kind in NAME_KINDS for _ in new.names[kind]]
    names = [name for kind in NAME_KINDS for name in new.names[kind]]
    _write(folder / NAMES, pa.table({"kind": pa.array(kinds, pa.string()), "name": pa.array(names, pa.string())}))
    _flush_folder(folder)


def _arrow(columns: dict[str, Array], always: set[str]) -> Any:
    arrays = {}
    for name, values in columns.items():
        mask = values == _NULLABLE[name] if name in _NULLABLE and name not in always else None
        arrays[name] = pa.array(values, mask=mask)
    return pa.table(arrays)


def _write(path: Path, table: Any) -> None:
    with path.open("xb") as file:
        pq.write_table(
            table,
            file,
            compression="zstd",
            compression_level=1,
            use_dictionary=["code", "changes", "marks", "station", "project", "kind"],
            row_group_size=1 << 20,
            write_page_checksum=True,
        )
        file.flush()
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_columns(path: Path, columns: list[str]) -> dict[str, Array]:
    """Read columns of a Parquet file of a segment as numpy arrays, nulls as their sentinels.

    Raises:
        OSError, pyarrow.ArrowInvalid: a file is missing or damaged; each page carries a checksum.
    """
    table = pq.read_table(path, columns=columns, page_checksum_verification=True, use_threads=False)
    return {name: _numpy(table[name], _NULLABLE.get(name, 0)) for name in columns}


def _numpy(column: Any, sentinel: int) -> Array:
    whole = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    if whole.null_count == len(whole):
        return np.full(len(whole), sentinel, whole.type.to_pandas_dtype())
    if whole.null_count:
        whole = whole.fill_null(sentinel)
    array: Array = whole.to_numpy(zero_copy_only=False)
    return array


def read_shifts(path: Path) -> tuple[Ints, Words, Words]:
    """Read volunteer and id halves of the shifts a segment adds."""
    table = pq.read_table(path, page_checksum_verification=True)
    ids = table["shift"].combine_chunks()
    halves = np.frombuffer(ids.buffers()[1], ">u8", 2 * len(ids), ids.offset * 16).reshape(-1, 2).astype(np.uint64)
    return table["volunteer"].to_numpy().astype(np.int32), halves[:, 0], halves[:, 1]


def read_names(path: Path) -> dict[str, list[str]]:
    """Read the names a segment adds, by kind."""
    table = pq.read_table(path, page_checksum_verification=True).to_pydict()
    names: dict[str, list[str]] = {kind: [] for kind in NAME_KINDS}
    for kind, name in zip(table["kind"], table["name"], strict=True):
        names[kind].append(name)
    return names
