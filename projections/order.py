"""Order: the shifts that can earn something, volunteer by volunteer, in the order in which the rules take them.

The order is that of check-in minute, end minute and shift id, never that of the log (DESIGN.md). The end may depend
on rules (a missing check-out), so the table is ordered by check-in minute, and equal ones carry the rank of their
shift ids (`tie`) from which the credit kernel finishes the order.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from projections.compiled import inlined, kernel
from projections.schema import (
    MOVED,
    NO_INSTANT,
    NONE,
    SCANNED_IN,
    SCANNED_OUT,
    VOID,
    Ints,
    Longs,
    ResolvedShifts,
    ShiftTable,
    Words,
)

ShiftKeys = Callable[[Ints], tuple[Words, Words]]
"""Given surrogates of shifts, their ids as two uint64 halves, high and low."""


def order_shifts(shifts: ResolvedShifts, volunteers: int, shift_keys: ShiftKeys) -> ShiftTable:
    """Build the table the credit kernel reads, from resolved shifts in any order.

    Shifts that are void, or have no check-in or no station in force, are left out: they hold no time and earn nothing.
    """
    first = np.zeros(volunteers + 1, np.int64)
    _count(shifts, first)
    rows = int(first[-1])
    table = ShiftTable(
        first=first,
        shift=np.empty(rows, np.int32),
        start=np.empty(rows, np.int32),
        end=np.empty(rows, np.int32),
        station=np.empty(rows, np.int32),
        project=np.empty(rows, np.int32),
        scanned=np.empty(rows, np.uint8),
        tie=np.zeros(rows, np.int32),
    )
    tied = _place(shifts, first[:-1].copy(), table)
    if tied:
        _rank_ties(table, shift_keys)
    return table


@inlined
def _can_earn(shifts: ResolvedShifts, shift: int) -> bool:
    return bool(shifts.check_in[shift] != NO_INSTANT and shifts.station[shift] >= 0 and not shifts.flags[shift] & VOID)


@kernel
def _count(shifts: ResolvedShifts, first: Longs) -> None:
    for shift in range(len(shifts.flags)):
        if _can_earn(shifts, shift):
            first[shifts.volunteer[shift] + 1] += 1
    for volunteer in range(1, len(first)):
        first[volunteer] += first[volunteer - 1]


@kernel
def _place(shifts: ResolvedShifts, free: Longs, table: ShiftTable) -> bool:
    """Put each shift among its volunteer's, then sort these by check-in minute; tell whether any two are equal.

    Shifts come nearly in order of time, so that an insertion sort moves little.
    """
    owners, check_ins, check_outs, flags = shifts.volunteer, shifts.check_in, shifts.check_out, shifts.flags
    first, placed, starts = table.first, table.shift, table.start
    for shift in range(len(flags)):
        if not _can_earn(shifts, shift):
            continue
        volunteer = owners[shift]
        row = free[volunteer]
        free[volunteer] += 1
        start = np.int32(check_ins[shift] // 60)
        low = first[volunteer]
        while row > low and starts[row - 1] > start:
            starts[row], placed[row] = starts[row - 1], placed[row - 1]
            row -= 1
        starts[row], placed[row] = start, shift
    ends, stations, projects, grades = table.end, table.station, table.project, table.scanned
    shift_stations, shift_projects = shifts.station, shifts.project
    scanned = SCANNED_IN | SCANNED_OUT
    tied = False
    for volunteer in range(len(first) - 1):
        for row in range(first[volunteer], first[volunteer + 1]):
            shift = placed[row]
            ends[row] = NONE if check_outs[shift] == NO_INSTANT else np.int32(check_outs[shift] // 60)
            stations[row] = shift_stations[shift]
            projects[row] = shift_projects[shift]
            grades[row] = 1 if flags[shift] & scanned == scanned and not flags[shift] & MOVED else 0
            if row > first[volunteer] and starts[row] == starts[row - 1]:
                tied = True
    return tied


def _rank_ties(table: ShiftTable, shift_keys: ShiftKeys) -> None:
    """Give shifts of one volunteer that begin in one minute the rank of their ids. They are few, so only their ids
    are read.
    """
    volunteer = np.repeat(np.arange(len(table.first) - 1, dtype=np.int32), np.diff(table.first))
    same = (table.start[1:] == table.start[:-1]) & (volunteer[1:] == volunteer[:-1])
    rows = np.flatnonzero(np.append(same, False) | np.insert(same, 0, False))
    high, low = shift_keys(table.shift[rows])
    table.tie[rows[np.lexsort((low, high))]] = np.arange(len(rows), dtype=np.int32)
