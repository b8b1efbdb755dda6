"""Traces: a resolved shift and its pieces as an answer.

Each minute of a shift is in exactly one column, and each irregularity of the shift has a flag that can be searched for.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime

from projections.local_time import day_of_number, local_span, zone_table
from projections.rules.timeline import RuleTimeline
from projections.schema import (
    CAPPED,
    CHECK_OUT_ALONE,
    CHECK_OUT_BEFORE_CHECK_IN,
    CLIPPED,
    CORRECTED_IN,
    CORRECTED_OUT,
    COUNTED,
    CREDITED,
    DAY,
    DOUBLE_TAP,
    FROM_IMPORT,
    IN_DISPUTE,
    MOVED,
    OVERLAPPED,
    PAIRED,
    PUNCH,
    RAW,
    SCANNED_IN,
    SCANNED_OUT,
    SHARE,
    SUPERSEDED,
    TOO_SHORT,
    TWO_CHECK_INS,
    TWO_CHECK_OUTS,
    VOID,
)
from replay.axes import answers
from replay.cohorts.cohort import Shift
from replay.explain.evidence import BehindShift

_FLAGS = {
    VOID: "void",
    IN_DISPUTE: "in-dispute",
    MOVED: "moved",
    CORRECTED_IN: "check-in-corrected",
    CORRECTED_OUT: "check-out-corrected",
    TWO_CHECK_INS: "two-check-ins",
    TWO_CHECK_OUTS: "two-check-outs",
    CHECK_OUT_BEFORE_CHECK_IN: "check-out-before-check-in",
    CHECK_OUT_ALONE: "check-out-without-check-in",
    FROM_IMPORT: "imported",
    DOUBLE_TAP: "double-tap",
}
_MINUTES_FLAGS = {
    "superseded": "superseded",
    "too_short": "too-short",
    "clipped": "over-shift-maximum",
    "overlapped": "overlapped",
    "capped": "over-day-cap",
}


def _instant(epoch_seconds: int | None) -> datetime | None:
    return None if epoch_seconds is None else datetime.fromtimestamp(epoch_seconds, UTC)


def began_at(shift: Shift) -> int:
    """Return when a shift began, in epoch seconds: at its check-in; a check-out without one, punched or not, at its
    instant (`check_outs_alone.as_scanned`); anything else when its first event was recorded.
    """
    alone = shift.check_out if shift.flags & (PUNCH | CHECK_OUT_ALONE) else None
    return shift.check_in or alone or shift.recorded_at


def shift_day(shift: Shift, timeline: RuleTimeline) -> date:
    """Return the local day on which a shift began."""
    minute = began_at(shift) // 60
    return day_of_number(local_span(minute, zone_table(timeline.time_zone))[0])


def is_scanned(shift: Shift) -> bool:
    """Return whether both instants in force are scans and the shift was never moved."""
    return bool(shift.flags & SCANNED_IN and shift.flags & SCANNED_OUT and not shift.flags & MOVED)


def piece_trace(piece: Sequence[int]) -> answers.PieceTrace:
    """Return the trace of a row of `projections.kernels.read_models.pieces_of`."""
    return answers.PieceTrace(
        day=day_of_number(piece[DAY]),
        raw=piece[RAW],
        superseded=piece[SUPERSEDED],
        too_short=piece[TOO_SHORT],
        clipped=piece[CLIPPED],
        overlapped=piece[OVERLAPPED],
        capped=piece[CAPPED],
        counted=piece[COUNTED],
        factor_change=piece[SHARE] - piece[COUNTED],
        rounding=piece[SHARE] - piece[CREDITED],
        credited=piece[CREDITED],
    )


def trace_sum(parts: Sequence[answers.Trace]) -> answers.Trace:
    """Return the sum of traces."""
    if len(parts) == 1:  # nearly all shifts: validating the ten columns again would take longer than everything else
        (part,) = parts
        return answers.Trace.model_construct(**{name: part.__dict__[name] for name in answers.Trace.model_fields})
    return answers.Trace(**{name: sum(getattr(part, name) for part in parts) for name in answers.Trace.model_fields})


def shift_trace(
    shift: Shift,
    pieces: Sequence[Sequence[int]],
    behind: BehindShift,
    volunteer: str | None = None,
    *,
    late: bool,
) -> answers.ShiftTrace:
    """Return a shift with its trace.

    Args:
        pieces: its rows of `projections.kernels.read_models.pieces_of`.
        behind: the events behind it.
        volunteer: the number under which it was recorded, if the person has several.
        late: whether it was recorded too late (projections/rules/late_entries.py).
    """
    parts = [piece_trace(piece) for piece in pieces]
    whole = trace_sum(parts)
    return answers.ShiftTrace(
        shift=shift.shift,
        volunteer=volunteer,
        station=shift.station,
        project=shift.project,
        check_in=_instant(shift.check_in),
        check_out=_instant(shift.check_out),
        first_recorded_at=datetime.fromtimestamp(shift.recorded_at, UTC),
        grade="scanned" if is_scanned(shift) else "attested",
        flags=_flags(shift, whole, late=late),
        positions=list(behind.positions),
        version=behind.version,
        trace=whole,
        pieces=parts,
    )


def _flags(shift: Shift, whole: answers.Trace, *, late: bool) -> list[str]:
    """Return the flags of a shift: its irregularities, for auditors."""
    flags = [name for bit, name in _FLAGS.items() if shift.flags & bit]
    if shift.flags & PUNCH:
        flags.append("punched")
    if shift.flags & PAIRED and not shift.flags & DOUBLE_TAP:
        flags.append("paired-by-rule")
    if shift.flags & PAIRED and shift.flags & DOUBLE_TAP:
        flags = [*(flag for flag in flags if flag != "double-tap"), "between-first-and-last"]
    if shift.check_in is None and not shift.flags & CHECK_OUT_ALONE:
        flags.append("no-check-in")
    if shift.check_in is not None and shift.check_out is None and not shift.flags & DOUBLE_TAP:
        flags.append("no-check-out")
    if shift.check_in is not None and shift.station is None:
        flags.append("no-station")
    flags += [name for column, name in _MINUTES_FLAGS.items() if getattr(whole, column) > 0]
    if late:
        flags.append("late")
    return flags
