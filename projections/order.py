"""Order: the shifts that can earn something, volunteer by volunteer, in the order in which the rules take them.

The order is that of check-in minute, end minute and shift id, never that of the log (DESIGN.md). The end may depend
on rules (a missing check-out), so the table is ordered by check-in minute, and equal ones carry the rank of their
shift ids (`tie`) from which the credit kernel finishes the order.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np

from ledger.compiled import inlined, kernel
from projections.schema import (
    END,
    MOVED,
    NO_INSTANT,
    NONE,
    PROJECT,
    SCANNED,
    SCANNED_IN,
    SCANNED_OUT,
    SHIFT,
    SHIFT_COLUMNS,
    START,
    STATION,
    TIE,
    VOID,
    Ints,
    Longs,
    ResolvedShifts,
    ShiftTable,
    Words,
)

ShiftKeys = Callable[[Ints], tuple[Words, Words]]
"""Given surrogates of shifts, their ids as two uint64 halves, high and low."""


def order_shifts(shifts: ResolvedShifts, volunteers: int, shift_keys: ShiftKeys, *, threads: int = 1) -> ShiftTable:
    """Build the table the credit kernel reads, from resolved shifts in any order.

    Shifts that are void, or have no check-in or no station in force, are left out: they hold no time and earn nothing.
    """
    first = np.zeros(volunteers + 1, np.int64)
    _count(shifts, first)
    rows = np.empty((int(first[-1]), SHIFT_COLUMNS), np.int32)
    ranges, free = balanced(first, threads), first[:-1].copy()
    with ThreadPoolExecutor(len(ranges)) as pool:
        tied = list(pool.map(lambda cut: _place(cut[0], cut[1], shifts, first, free, rows), ranges))
    table = ShiftTable(first, rows)
    if any(tied):
        _rank_ties(table, shift_keys)
    return table


def balanced(first: Longs, parts: int) -> list[tuple[int, int]]:
    """Cut the volunteers into ranges with about equal numbers of shifts."""
    marks = np.searchsorted(first, np.linspace(0, first[-1], max(parts, 1) + 1)[1:-1])
    edges = [0, *(int(mark) for mark in marks), len(first) - 1]
    return [(low, max(low, high)) for low, high in pairwise(edges)]


@inlined
def _can_earn(check_in: int, station: int, flags: int) -> bool:
    return bool(check_in != NO_INSTANT and station >= 0 and not flags & VOID)


@kernel
def _count(shifts: ResolvedShifts, first: Longs) -> None:
    owners, stations, check_ins, flags = shifts.volunteer, shifts.station, shifts.check_in, shifts.flags
    for shift in range(len(flags)):
        if _can_earn(check_ins[shift], stations[shift], flags[shift]):
            first[owners[shift] + 1] += 1
    for volunteer in range(1, len(first)):
        first[volunteer] += first[volunteer - 1]


@kernel
def _place(low: int, high: int, shifts: ResolvedShifts, first: Longs, free: Longs, rows: Ints) -> bool:
    """Put each shift of the volunteers from `low` to `high` among its volunteer's, in order of check-in minute; tell
    whether any two are equal.

    Shifts come nearly in order of time, so that an insertion moves little.
    """
    owners, check_ins, check_outs, flags = shifts.volunteer, shifts.check_in, shifts.check_out, shifts.flags
    stations, projects = shifts.station, shifts.project
    scanned = SCANNED_IN | SCANNED_OUT
    tied = False
    for shift in range(len(flags)):
        volunteer = owners[shift]
        if volunteer < low or volunteer >= high or not _can_earn(check_ins[shift], stations[shift], flags[shift]):
            continue
        row = free[volunteer]
        free[volunteer] += 1
        start = np.int32(check_ins[shift] // 60)
        begin = first[volunteer]
        while row > begin and rows[row - 1, START] > start:
            for column in range(SHIFT_COLUMNS):
                rows[row, column] = rows[row - 1, column]
            row -= 1
        if row > begin and rows[row - 1, START] == start:
            tied = True
        rows[row, SHIFT] = shift
        rows[row, START] = start
        rows[row, END] = NONE if check_outs[shift] == NO_INSTANT else np.int32(check_outs[shift] // 60)
        rows[row, STATION] = stations[shift]
        rows[row, PROJECT] = projects[shift]
        rows[row, SCANNED] = 1 if flags[shift] & scanned == scanned and not flags[shift] & MOVED else 0
        rows[row, TIE] = 0
    return tied


def _rank_ties(table: ShiftTable, shift_keys: ShiftKeys) -> None:
    """Give shifts of one volunteer that begin in one minute the rank of their ids. They are few, so only their ids
    are read.
    """
    volunteer = np.repeat(np.arange(len(table.first) - 1, dtype=np.int32), np.diff(table.first))
    same = (table.start[1:] == table.start[:-1]) & (volunteer[1:] == volunteer[:-1])
    rows = np.flatnonzero(np.append(same, False) | np.insert(same, 0, False))
    high, low = shift_keys(table.shift[rows])
    table.rows[rows[np.lexsort((low, high))], TIE] = np.arange(len(rows), dtype=np.int32)
