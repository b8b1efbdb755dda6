"""Check-outs without a check-in: when and where they were scanned.

A shift that has only a check-out holds no time, so the kernels resolve it to neither an instant nor a station. People
ask what was scanned all the same: the check-in may be missing because a reader was off. The log has it; this module
reads it for those shifts alone, which are few.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ledger.aggregates.shift import CheckedOut
from ledger.names import shift_stream
from ledger.store.log_queries import LogQueries
from ledger.store.mapper import decode
from projections.schema import CHECK_OUT_ALONE, CORRECTED_OUT, NO_INSTANT, PUNCH
from replay.axes.as_known import Known
from replay.cohorts.cohort import Shift


class ScannedOut(NamedTuple):
    """The check-out of a shift without a check-in: its instant, and its station."""

    instant: int
    station: str | None


ScansAlone = Mapping[int, ScannedOut]
"""By the row of the shift among `Known.tables.columns`."""


def scans_alone(log: LogQueries, known: Known) -> ScansAlone:
    """Return the earliest check-out of each shift of a person that has no check-in, and none that was corrected."""
    columns = known.tables.columns.columns
    alone = (columns.flags & CHECK_OUT_ALONE > 0) & (columns.flags & (PUNCH | CORRECTED_OUT) == 0)
    rows = np.flatnonzero(alone & (columns.check_in == NO_INSTANT) & (columns.check_out == NO_INSTANT)).tolist()
    if not rows:
        return {}
    shifts = [known.tables.columns.shift(row) for row in rows]
    row_of = {shift_stream(shift.volunteer, shift.shift): row for row, shift in zip(rows, shifts, strict=True)}
    found: dict[int, ScannedOut] = {}
    for stream_id, recorded in log.read_streams([*row_of], until=known.position).items():
        events = [decode(one.topic, one.state) for one in recorded]
        scans = [ScannedOut(one.occurred_at, one.station) for one in events if isinstance(one, CheckedOut)]
        if scans:
            found[row_of[stream_id]] = min(scans, key=lambda scan: (scan.instant, scan.station or ""))
    return found


def as_scanned(shift: Shift, scan: ScannedOut | None) -> Shift:
    """Return a shift with the check-out that it has without a check-in, and with its station unless it has another."""
    return shift if scan is None else replace(shift, check_out=scan.instant, station=shift.station or scan.station)
