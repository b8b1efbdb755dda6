"""The ground truth: which shifts have which faults, as Parquet, with one row per shift and fault.

Findings of auditors are evaluated against this file. It is not part of the ledger.
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
        pa.field("position", pa.int64(), nullable=False),  # of the event with the fault
        pa.field("check_in_position", pa.int64(), nullable=False),
        pa.field("check_out_position", pa.int64()),  # null: no check-out
        pa.field("other_shift", pa.string()),  # of an overlap: the overlapped shift
        pa.field("seconds", pa.int64()),  # delay, skew, length or overlap; null for kinds without a measure
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
"""Kinds of labels. A shift can have several: one of 13 hours is labelled as longer than 8 and as longer than 12 hours.
The same applies to late uploads, to sold hours (which are also forged entries) and to days too long. A `late-entry` is
not a fault but an honest entry, which a search for forged entries must not report.
"""
SCHEMES = KINDS[-4:]
"""Kinds that involve several shifts, too rare for a small history (replay/synthetic/planning/schemes.py)."""


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
        """Prepare the labels of a plan.

        Args:
            scans, others: the sources of `service`, the same objects as in the timeline.
        """
        self._plan, self._service, self._timeline = plan, service, timeline
        check_ins, self._second_ins, check_outs, self._second_outs = scans
        entries_in, entries_out, _, self._corrections, *_ = others
        self._check_in = self._positions(check_ins, entries_in)
        self._check_out = self._positions(check_outs, entries_out)

    def write(self, path: Path) -> int:
        """Write all labels atomically; return their number."""
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
        schemes = self._plan.schemes
        yield Faults("sold-hours", schemes.sold, check_in[schemes.sold])
        yield Faults("hurried", schemes.hurried, check_in[schemes.hurried], schemes.hurry, schemes.hurried - 1)
        length = times.check_out[schemes.too_long] - times.check_in[schemes.too_long]
        yield Faults("days-too-long", schemes.too_long, check_out[schemes.too_long], length)
        yield Faults("station-clock", schemes.off, check_in[schemes.off], schemes.clock)

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
