"""Resolve: the state of each shift by all its known events (docs/rules-of-credit.md, step 1).

Scans may arrive in any order and more than once, so the earliest one counts; corrections are decisions, so the last one
in the log counts. Nothing here depends on rules: the result is valid for every timeline.

Events are processed in chunks while the next chunk is read, so that millions of them are never in memory together. What
depends on the final check-in is processed at the end: corrections, and the second and later check-outs of a shift,
which are few.
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
    CORRECTED_IN,
    CORRECTED_OUT,
    DISPUTED,
    FROM_IMPORT,
    GOING_IN,
    GOING_OUT,
    IMPORTED,
    IN_DISPUTE,
    MOVED,
    NO_INSTANT,
    PUNCH,
    PUNCHED,
    PUNCHED_IN,
    PUNCHED_OUT,
    REINSTATED,
    REPLACES,
    SCANNED_IN,
    SCANNED_OUT,
    SETTLED,
    TWO_CHECK_INS,
    TWO_CHECK_OUTS,
    VOID,
    VOIDED,
    Array,
    Corrections,
    Instants,
    Ints,
    Longs,
    ResolvedShifts,
    ShiftEvents,
)


class Resolver:
    """Folds events of shifts, in log order, into resolved shifts."""

    def __init__(self, volunteer: Ints, recorded_at: Instants, station_rank: Ints, project_rank: Ints) -> None:
        """Begin with shifts without events.

        Args:
            volunteer, recorded_at: the volunteer of each shift, and the instant at which it was first recorded.
            station_rank, project_rank: the rank of each name among all names, sorted: a tie-break that does not depend
                on the order of first appearance.
        """
        count = len(volunteer)
        self._shifts = ResolvedShifts(
            volunteer=volunteer,
            station=np.full(count, -1, np.int32),
            project=np.full(count, -1, np.int32),
            check_in=np.full(count, NO_INSTANT, np.uint32),
            check_out=np.full(count, NO_INSTANT, np.uint32),
            recorded_at=recorded_at,
            flags=np.full(count, 0, np.uint16),  # unlike np.zeros, it gets huge pages (measured)
        )
        self._ranks = station_rank, project_rank
        self._later: list[Longs] = []

    def take(self, events: ShiftEvents) -> None:
        """Process the next chunk of events."""
        # Columns from Arrow are read-only, others are not; the kernel is compiled for read-only ones.
        events = ShiftEvents._make(_read_only(column) for column in events)
        later = np.empty((len(events.code), 4), np.int64)
        count = _take(events, self._shifts, *self._ranks, later)
        self._later.append(later[:count].copy())

    def finish(self, corrections: Corrections) -> ResolvedShifts:
        """Apply the corrections, and return one row per shift or punch. The check-in is 0 if a shift has none, or if it
        was cleared.
        """
        later = np.concatenate(self._later or [np.empty((0, 4), np.int64)])
        corrected = np.unique(corrections.shift[corrections.changes & CHANGES_CHECK_IN > 0])
        without_check_in = corrected[self._shifts.check_in[corrected] == NO_INSTANT]
        _correct(corrections, self._shifts)
        self._set_stations(without_check_in, corrections, later)
        _judge_check_outs(self._shifts, later)
        _correct_check_outs(corrections, self._shifts)
        _place_punches_out(self._shifts)
        return self._shifts

    def _set_stations(self, shifts: Ints, corrections: Corrections, later: Longs) -> None:
        """Set the stations of shifts whose check-in only a correction tells, unless a correction names the station:
        that of the check-out that counts, or else of the earliest check-out.
        """
        check_ins, stations = self._shifts.check_in, self._shifts.station
        named = corrections.shift[corrections.changes & CHANGES_STATION > 0]
        shifts = shifts[(check_ins[shifts] != NO_INSTANT) & ~np.isin(shifts, named)]
        shift, instant, scanned, station = later[np.isin(later[:, 0], shifts)].T
        before, rank = 1 + np.sign(check_ins[shift].astype(np.int64) - instant), self._ranks[0][station]
        order = np.lexsort((rank, scanned == 0, instant, before, shift))
        of_shift, first = np.unique(shift[order], return_index=True)
        stations[of_shift] = station[order][first]


def _read_only(column: Array) -> Array:
    view = column.view()
    view.flags.writeable = False
    return view


@inlined
def _rank(number: int, ranks: Ints) -> int:
    return -1 if number < 0 else ranks[number]


@kernel
def _take(  # noqa: C901, PLR0912, PLR0915 - one list of cases, read from top to bottom
    events: ShiftEvents, shifts: ResolvedShifts, station_rank: Ints, project_rank: Ints, later: Longs
) -> int:
    """Set each shift's earliest check-in, with station and project, its first check-out in the log, and whether it is
    void or disputed. Write check-outs to `later` (shift, instant, scanned, station) if they are not a shift's first or
    its check-in is not known yet, and return their number.
    """
    codes, numbers, instants, marks = events.code, events.shift, events.occurred_at, events.marks
    stations, projects = events.station, events.project
    check_ins, check_outs, flags = shifts.check_in, shifts.check_out, shifts.flags
    shift_stations, shift_projects = shifts.station, shifts.project
    further = 0
    for row in range(len(codes)):
        shift = numbers[row]
        code = int(codes[row])
        mark = marks[row]
        if code == PUNCHED:  # like the scan that it is in its direction, until it is paired
            if mark & GOING_OUT:
                flags[shift] |= PUNCHED_OUT
                if shift_stations[shift] < 0:
                    shift_stations[shift] = stations[row]
                code = CHECKED_OUT
            else:
                flags[shift] |= PUNCHED_IN if mark & GOING_IN else PUNCH
                code = CHECKED_IN
        if mark & IMPORTED and code <= CHECKED_OUT:  # imported acts do not make the shift an old record
            flags[shift] |= FROM_IMPORT
        if code == CHECKED_OUT:
            scanned = 0 if mark & ATTESTED else SCANNED_OUT
            first = check_outs[shift] == NO_INSTANT
            if first:
                check_outs[shift] = instants[row]
                flags[shift] |= scanned
            if not first or check_ins[shift] == NO_INSTANT:
                later[further, 0], later[further, 1], later[further, 2] = shift, instants[row], scanned
                later[further, 3] = stations[row]
                further += 1
        elif code == CHECKED_IN:
            if mark & REPLACES:
                flags[shift] |= MOVED
            instant = instants[row]
            known = check_ins[shift]
            scanned = 0 if mark & ATTESTED else SCANNED_IN
            if known != NO_INSTANT:
                if instant != known:
                    flags[shift] |= TWO_CHECK_INS
                if instant > known:
                    continue
                if instant == known:
                    # Of equal instants a scan wins, then the smaller name, so the order of uploading has no effect.
                    was_scanned = flags[shift] & SCANNED_IN
                    if was_scanned > scanned:
                        continue
                    if was_scanned == scanned:
                        rank = _rank(stations[row], station_rank)
                        known_rank = _rank(shift_stations[shift], station_rank)
                        if rank > known_rank:
                            continue
                        if rank == known_rank and _rank(projects[row], project_rank) >= _rank(
                            shift_projects[shift], project_rank
                        ):
                            continue
            check_ins[shift] = instant
            shift_stations[shift] = stations[row]
            shift_projects[shift] = projects[row]
            flags[shift] = (flags[shift] & ~SCANNED_IN) | scanned
        elif code == VOIDED:
            flags[shift] |= VOID | MOVED if mark & REPLACES else VOID
        elif code == REINSTATED:
            flags[shift] &= ~VOID
        elif code == DISPUTED:
            flags[shift] |= IN_DISPUTE
        elif code == SETTLED:
            flags[shift] &= ~IN_DISPUTE
    return further


@kernel
def _correct(corrections: Corrections, shifts: ResolvedShifts) -> None:
    """Apply corrections in log order: the last one that names a field wins, and may clear it."""
    for row in range(len(corrections.shift)):
        shift = corrections.shift[row]
        changes = corrections.changes[row]
        if changes & CHANGES_CHECK_IN:
            shifts.check_in[shift] = corrections.check_in[row]
            shifts.flags[shift] = (shifts.flags[shift] & ~SCANNED_IN) | CORRECTED_IN
        if changes & CHANGES_STATION:
            shifts.station[shift] = corrections.station[row]
        if changes & CHANGES_PROJECT:
            shifts.project[shift] = corrections.project[row]


@inlined
def _goes_before(instant: int, known: int, check_in: int) -> bool:
    """Return whether a check-out counts rather than the one known: the earlier, but any before one at the check-in."""
    if known == check_in:
        return bool(instant > check_in)
    return bool(check_in < instant < known)


@kernel
def _judge_check_outs(shifts: ResolvedShifts, later: Longs) -> None:  # noqa: PLR0912 - one list of cases, as above
    """Set each shift's check-out to the earliest one after the check-in in force, or else to one at that instant."""
    check_ins, check_outs, flags = shifts.check_in, shifts.check_out, shifts.flags
    for shift in range(len(flags)):
        check_in, check_out = check_ins[shift], check_outs[shift]
        if check_out == NO_INSTANT or (check_in != NO_INSTANT and check_out >= check_in):
            continue
        if check_in == NO_INSTANT and flags[shift] & PUNCH == PUNCHED_OUT:
            continue  # it may end another shift
        flags[shift] |= CHECK_OUT_ALONE if check_in == NO_INSTANT else CHECK_OUT_BEFORE_CHECK_IN
        flags[shift] &= ~SCANNED_OUT
        check_outs[shift] = NO_INSTANT
    for row in range(len(later)):
        shift, instant, scanned = later[row, 0], later[row, 1], later[row, 2]
        known = check_outs[shift]
        if check_ins[shift] == NO_INSTANT and flags[shift] & PUNCH == PUNCHED_OUT:
            if instant < known:
                check_outs[shift] = instant
                flags[shift] = (flags[shift] & ~SCANNED_OUT) | scanned
            elif instant == known:
                flags[shift] |= scanned
        elif check_ins[shift] == NO_INSTANT:
            flags[shift] |= CHECK_OUT_ALONE
        elif instant < check_ins[shift]:
            flags[shift] |= CHECK_OUT_BEFORE_CHECK_IN
        elif known == NO_INSTANT or _goes_before(instant, known, check_ins[shift]):
            if known != NO_INSTANT:
                flags[shift] |= TWO_CHECK_OUTS
            check_outs[shift] = instant
            flags[shift] = (flags[shift] & ~SCANNED_OUT) | scanned
        elif instant == known:
            flags[shift] |= scanned
        else:
            flags[shift] |= TWO_CHECK_OUTS


@kernel
def _correct_check_outs(corrections: Corrections, shifts: ResolvedShifts) -> None:
    """Apply corrections of check-outs, which replace scanned ones."""
    flags = shifts.flags
    for row in range(len(corrections.shift)):
        if corrections.changes[row] & CHANGES_CHECK_OUT:
            shift = corrections.shift[row]
            shifts.check_out[shift] = corrections.check_out[row]
            flags[shift] = (flags[shift] & ~(SCANNED_OUT | TWO_CHECK_OUTS)) | CORRECTED_OUT
    for row in range(len(corrections.shift)):
        shift = corrections.shift[row]
        check_out = shifts.check_out[shift]
        if flags[shift] & CORRECTED_OUT and check_out != NO_INSTANT and check_out < shifts.check_in[shift]:
            flags[shift] |= CHECK_OUT_BEFORE_CHECK_IN


@kernel
def _place_punches_out(shifts: ResolvedShifts) -> None:
    """Give the punches out that end no shift of their own id an instant in `check_in` too: they are found by it."""
    check_ins, check_outs, flags = shifts.check_in, shifts.check_out, shifts.flags
    for shift in range(len(flags)):
        if flags[shift] & PUNCH == PUNCHED_OUT and check_ins[shift] == NO_INSTANT:
            check_ins[shift] = check_outs[shift]
            flags[shift] &= ~CORRECTED_IN
