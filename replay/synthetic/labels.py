"""The ground truth: which shifts suffer from which fault, as Parquet, one row per shift and fault.

An auditor's finding is right or wrong by this file. It stands beside the ledger and is never part of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from replay.synthetic.events.service import Service
from replay.synthetic.events.sources import Source
from replay.synthetic.events.timeline import Timeline
from replay.synthetic.planning.plan import Plan
from replay.synthetic.planning.randomness import Array
from replay.synthetic.planning.shifts import Shape

SCHEMA = pa.schema(
    [
        pa.field("kind", pa.dictionary(pa.int8(), pa.string()), nullable=False),
        pa.field("volunteer", pa.string(), nullable=False),
        pa.field("shift", pa.string(), nullable=False),
        pa.field("position", pa.int64(), nullable=False),  # of the event in which the fault shows
        pa.field("check_in_position", pa.int64(), nullable=False),
        pa.field("check_out_position", pa.int64()),  # null: nobody checked out
        pa.field("other_shift", pa.string()),  # of an overlap: the shift that was overlapped
        pa.field("seconds", pa.int64()),  # delay, skew, length or overlap; null where the kind has no measure
    ]
)
KINDS = (
    "missing-check-out",
    "duplicate-scan",
    "late-upload",
    "late-upload-over-10-working-days",
    "clock-skew",
    "overlap",
    "longer-than-8-hours",
    "longer-than-12-hours",
    "across-midnight",
    "forged-entry",
    "late-entry",
    "correction",
    "sold-hours",
    "hurried",
    "days-too-long",
    "station-clock",
)
"""Kinds of label. A shift of 13 hours is labelled as longer than 8 hours and as longer than 12; so with late uploads,
with sold hours, which are forged entries, and with days too long. A `late-entry` is no fault: it is an honest entry,
which a hunt for forged ones must leave alone.
"""
SCHEMES = KINDS[-4:]
"""Kinds of several shifts together, too rare for a small history (replay/synthetic/planning/schemes.py)."""


class Faults(NamedTuple):
    """Shifts with one kind of fault; parallel arrays. `seconds` and `other` (rows) may be missing."""

    kind: str
    rows: Array
    position: Array
    seconds: Array | None = None
    other: Array | None = None


class Labels:
    """Labels of a history."""

    def __init__(
        self, plan: Plan, service: Service, timeline: Timeline, scans: Sequence[Source], others: Sequence[Source]
    ) -> None:
        """Take a plan, its timeline, and the sources of `service` as the timeline has them."""
        self._plan, self._service, self._timeline = plan, service, timeline
        check_ins, self._second_ins, check_outs, self._second_outs = scans
        entries_in, entries_out, _, self._corrections, *_ = others
        self._check_in = self._positions(check_ins, entries_in)
        self._check_out = self._positions(check_outs, entries_out)

    def write(self, path: Path) -> int:
        """Write all labels and return how many there are; the file appears whole or not at all."""
        partial = path.with_name(path.name + ".partial")
        count = 0
        with pq.ParquetWriter(partial, SCHEMA, compression="zstd") as writer:
            for faults in self.faults():
                table = self._table(faults)
                writer.write_table(table)
                count += len(table)
        partial.replace(path)
        return count

    def faults(self) -> Iterator[Faults]:
        """Yield the faults, kind by kind, in the order of `KINDS`."""
        plan, times = self._plan.shifts, self._plan.times
        check_in, check_out = self._check_in, self._check_out

        def shaped(*shapes: Shape) -> Array:
            return np.flatnonzero(np.isin(plan.shape, shapes))

        yield Faults("missing-check-out", times.missing, check_in[times.missing])
        yield Faults("duplicate-scan", times.duplicate, self._second_scans(), times.duplicate_after)
        for kind, rows in (("late-upload", times.late), ("late-upload-over-10-working-days", times.very_late)):
            has_end = check_out[rows] > 0
            position = np.where(has_end, check_out[rows], check_in[rows])
            yield Faults(
                kind,
                rows,
                position,
                times.sent_in[rows] - np.where(has_end, times.check_out[rows], times.check_in[rows]),
            )
        yield Faults("clock-skew", times.skewed, check_in[times.skewed], times.skew)
        rows, other = shaped(Shape.OVERLAPPING), plan.overlapped
        shared = np.minimum(times.check_out[rows], times.check_out[other]) - times.check_in[rows]
        yield Faults("overlap", rows, check_in[rows], shared, other)
        for kind, shapes in (
            ("longer-than-8-hours", (Shape.LONG, Shape.VERY_LONG)),
            ("longer-than-12-hours", (Shape.VERY_LONG,)),
            ("across-midnight", (Shape.MIDNIGHT,)),
        ):
            rows = shaped(*shapes)
            yield Faults(kind, rows, check_out[rows], times.check_out[rows] - times.check_in[rows])
        for kind, shape in (("forged-entry", Shape.FORGED), ("late-entry", Shape.LATE_ENTRY)):
            rows = shaped(shape)
            yield Faults(kind, rows, check_in[rows])
        yield Faults("correction", self._plan.amendments.corrected, self._timeline.positions(self._corrections))
        together = self._plan.schemes
        yield Faults("sold-hours", together.sold, check_in[together.sold])
        yield Faults("hurried", together.hurried, check_in[together.hurried], together.hurry, together.hurried - 1)
        length = times.check_out[together.too_long] - times.check_in[together.too_long]
        yield Faults("days-too-long", together.too_long, check_out[together.too_long], length)
        yield Faults("station-clock", together.off, check_in[together.off], together.clock)

    def _positions(self, scans: Source, entries: Source) -> Array:
        """Return the position of each shift's first scan or entry, 0 for none."""
        positions = np.zeros(len(self._plan.shifts), np.int64)
        for source in (scans, entries):
            positions[source.stream] = self._timeline.positions(source)
        return positions

    def _second_scans(self) -> Array:
        of_check_out = self._plan.times.duplicate_of_check_out
        positions = np.empty(len(of_check_out), np.int64)
        positions[~of_check_out] = self._timeline.positions(self._second_ins)
        positions[of_check_out] = self._timeline.positions(self._second_outs)
        return positions

    def _table(self, faults: Faults) -> pa.Table:
        rows = faults.rows
        ids, numbers = self._service.ids, self._service.numbers
        check_out = self._check_out[rows]
        codes = pa.array(np.full(len(rows), KINDS.index(faults.kind), np.int8))
        columns = [
            pa.DictionaryArray.from_arrays(codes, pa.array(KINDS)),
            pa.array([numbers[volunteer] for volunteer in self._plan.shifts.volunteer[rows].tolist()], pa.string()),
            pa.array(ids.texts(rows), pa.string()),
            pa.array(faults.position, pa.int64()),
            pa.array(self._check_in[rows], pa.int64()),
            pa.array(check_out, pa.int64(), mask=check_out == 0),
            pa.nulls(len(rows), pa.string()) if faults.other is None else pa.array(ids.texts(faults.other)),
            pa.nulls(len(rows), pa.int64()) if faults.seconds is None else pa.array(faults.seconds, pa.int64()),
        ]
        return pa.table(columns, schema=SCHEMA)
