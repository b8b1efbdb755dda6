"""Resolve: what is true of a shift, by all events known of it (DESIGN.md, "The rules of credit", step 1).

Scans may arrive in any order and more than once, so of them only the earliest counts; corrections are decisions, so of
them the last in the log counts. Nothing here depends on rules: the result serves every timeline.
"""

from __future__ import annotations

import numpy as np

from projections.compiled import inlined, kernel
from projections.schema import (
    ATTESTED,
    CHANGES_CHECK_IN,
    CHANGES_CHECK_OUT,
    CHANGES_PROJECT,
    CHANGES_STATION,
    CHECK_OUT_ALONE,
    CHECK_OUT_BEFORE_CHECK_IN,
    CHECKED_IN,
    CHECKED_OUT,
    CORRECTED,
    CORRECTED_IN,
    CORRECTED_OUT,
    DISPUTED,
    FROM_IMPORT,
    IMPORTED,
    IN_DISPUTE,
    MOVED,
    NO_INSTANT,
    REINSTATED,
    REPLACES,
    SCANNED_IN,
    SCANNED_OUT,
    SETTLED,
    TWO_CHECK_INS,
    TWO_CHECK_OUTS,
    VOID,
    VOIDED,
    Ints,
    ResolvedShifts,
    ShiftEvents,
)


def resolve(events: ShiftEvents, volunteer: Ints, station_rank: Ints, project_rank: Ints) -> ResolvedShifts:
    """Resolve all shifts.

    Args:
        events: events of shifts in log order; `shift` indexes `volunteer`.
        volunteer: the volunteer of each shift, int32[shifts].
        station_rank, project_rank: the place of each name among all names, sorted: a tie that does not depend on the
            order in which names first appeared.

    Returns:
        One row per shift. A shift that was never checked in has check-in 0; so has one whose check-in was cleared.
    """
    count = len(volunteer)
    shifts = ResolvedShifts(
        volunteer=volunteer,
        station=np.full(count, -1, np.int32),
        project=np.full(count, -1, np.int32),
        check_in=np.zeros(count, np.uint32),
        check_out=np.zeros(count, np.uint32),
        recorded_at=np.zeros(count, np.uint32),
        flags=np.zeros(count, np.uint16),
    )
    _apply_check_ins(events, shifts, station_rank, project_rank)
    _apply_corrections(events, np.flatnonzero(events.code == CORRECTED).astype(np.int32), shifts)
    _apply_check_outs(events, shifts)
    return shifts


@inlined
def _rank(number: int, ranks: Ints) -> int:
    return -1 if number < 0 else ranks[number]


@kernel
def _apply_check_ins(  # noqa: C901, PLR0912 - one ladder, read from top to bottom
    events: ShiftEvents, shifts: ResolvedShifts, station_rank: Ints, project_rank: Ints
) -> None:
    """The earliest check-in of each shift, with its station and project; and whether the shift is void or disputed."""
    flags = shifts.flags
    for row in range(len(events.code)):
        shift = events.shift[row]
        code = events.code[row]
        if shifts.recorded_at[shift] == NO_INSTANT:
            shifts.recorded_at[shift] = events.recorded_at[row]
        if events.marks[row] & IMPORTED:
            flags[shift] |= FROM_IMPORT
        if code == CHECKED_IN:
            if events.marks[row] & REPLACES:
                flags[shift] |= MOVED
            instant = events.occurred_at[row]
            known = shifts.check_in[shift]
            scanned = 0 if events.marks[row] & ATTESTED else SCANNED_IN
            if known != NO_INSTANT:
                if instant != known:
                    flags[shift] |= TWO_CHECK_INS
                if instant > known:
                    continue
                if instant == known:
                    # Equal instants: a scan before an attested one, then by name, so that the order of uploading is
                    # nothing.
                    was_scanned = flags[shift] & SCANNED_IN
                    if was_scanned > scanned:
                        continue
                    if was_scanned == scanned:
                        here = _rank(events.station[row], station_rank)
                        there = _rank(shifts.station[shift], station_rank)
                        if here > there:
                            continue
                        if here == there and _rank(events.project[row], project_rank) >= _rank(
                            shifts.project[shift], project_rank
                        ):
                            continue
            shifts.check_in[shift] = instant
            shifts.station[shift] = events.station[row]
            shifts.project[shift] = events.project[row]
            flags[shift] = (flags[shift] & ~SCANNED_IN) | scanned
        elif code == VOIDED:
            flags[shift] |= VOID
        elif code == REINSTATED:
            flags[shift] &= ~VOID
        elif code == DISPUTED:
            flags[shift] |= IN_DISPUTE
        elif code == SETTLED:
            flags[shift] &= ~IN_DISPUTE


@kernel
def _apply_corrections(events: ShiftEvents, rows: Ints, shifts: ResolvedShifts) -> None:
    """Corrections in log order: the last one that names a field wins, and may clear it."""
    for row in rows:
        shift = events.shift[row]
        changes = events.changes[row]
        if changes & CHANGES_CHECK_IN:
            shifts.check_in[shift] = events.check_in[row]
            shifts.flags[shift] = (shifts.flags[shift] & ~SCANNED_IN) | CORRECTED_IN
        if changes & CHANGES_CHECK_OUT:
            shifts.check_out[shift] = events.check_out[row]
            shifts.flags[shift] |= CORRECTED_OUT
        if changes & CHANGES_STATION:
            shifts.station[shift] = events.station[row]
        if changes & CHANGES_PROJECT:
            shifts.project[shift] = events.project[row]


@kernel
def _apply_check_outs(events: ShiftEvents, shifts: ResolvedShifts) -> None:
    """The earliest check-out after the check-in in force, unless a correction named another."""
    flags = shifts.flags
    for row in range(len(events.code)):
        if events.code[row] != CHECKED_OUT:
            continue
        shift = events.shift[row]
        instant = events.occurred_at[row]
        check_in = shifts.check_in[shift]
        if check_in == NO_INSTANT:
            flags[shift] |= CHECK_OUT_ALONE
            continue
        if instant <= check_in:
            flags[shift] |= CHECK_OUT_BEFORE_CHECK_IN
            continue
        known = shifts.check_out[shift]
        if flags[shift] & CORRECTED_OUT:
            continue
        scanned = 0 if events.marks[row] & ATTESTED else SCANNED_OUT
        if known != NO_INSTANT and instant != known:  # noqa: PLR1714 - numba has no such sets
            flags[shift] |= TWO_CHECK_OUTS
        if known == NO_INSTANT or instant < known:
            shifts.check_out[shift] = instant
            flags[shift] = (flags[shift] & ~SCANNED_OUT) | scanned
        elif instant == known:
            flags[shift] |= scanned
    for shift in range(len(flags)):
        check_out = shifts.check_out[shift]
        if flags[shift] & CORRECTED_OUT and check_out != NO_INSTANT and check_out <= shifts.check_in[shift]:
            flags[shift] |= CHECK_OUT_BEFORE_CHECK_IN
