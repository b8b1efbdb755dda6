"""Order: the shifts that can earn something, by person, in the order in which the rules apply to them.

They are sorted by check-in minute, end minute and shift id, never by the log (docs/rules-of-credit.md). The end may
depend on rules (a missing check-out), so the table is sorted by check-in minute. Shifts with equal ones have the rank
of their ids (TIE), with which the credit kernel completes the order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np

from projections.compiled import inlined, kernel
from projections.schema import (
    CORRECTED_OUT,
    DOUBLE_TAP,
    END,
    LASTS_MINUTES_MAX,
    MOVED,
    NO_INSTANT,
    NONE,
    NUMBER,
    PROJECT,
    PUNCH,
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
from projections.surrogates import Names

ShiftKeys = Callable[[Ints], tuple[Words, Words]]
"""Returns the ids of shifts, given by surrogate, as two uint64 halves, high and low."""


def order_shifts(
    shifts: ResolvedShifts,
    volunteers: Names,
    shift_keys: ShiftKeys,
    *,
    person_of: Ints | None = None,
    threads: int = 1,
) -> ShiftTable:
    """Build the table that the credit kernel reads, from resolved shifts in any order.

    Shifts that are void or have no check-in in force are left out: they hold no time and earn nothing.
    If there are punches, the table also has those that take part in pairing (`projections/kernels/pairing.py`).
    `person_of`: the person's number of each number (`projections.kernels.persons.person_numbers`).
    """
    persons = shifts.volunteer if person_of is None else person_of[shifts.volunteer]
    first = np.zeros(len(volunteers) + 1, np.int64)
    punches = int(np.count_nonzero(shifts.flags & PUNCH))
    _count(persons, shifts, punches, first)
    rows = np.empty((int(first[-1]), SHIFT_COLUMNS), np.int32)
    ranges, free = balanced(first, threads), first[:-1].copy()
    with ThreadPoolExecutor(len(ranges)) as pool:
        tied = list(pool.map(lambda cut: _place(cut[0], cut[1], persons, shifts, punches, first, free, rows), ranges))
    table = ShiftTable(first, rows)
    if any(tied):
        _rank_ties(table, shift_keys, None if person_of is None else volunteers.texts())
    return table


def balanced(first: Longs, parts: int) -> list[tuple[int, int]]:
    """Divide the persons into ranges with about equal numbers of shifts."""
    marks = np.searchsorted(first, np.linspace(0, first[-1], max(parts, 1) + 1)[1:-1])
    edges = [0, *(int(mark) for mark in marks), len(first) - 1]
    return [(low, max(low, high)) for low, high in pairwise(edges)]


@inlined
def can_earn(check_in: int, flags: int) -> bool:
    """Return whether a shift holds time."""
    return bool(check_in != NO_INSTANT and not flags & (VOID | DOUBLE_TAP))


@inlined
def _takes_part(check_in: int, check_out: int, flags: int, punches: int) -> bool:
    """Return whether a shift holds time, or takes part in pairing: a void one still has the scan that would end it."""
    if can_earn(check_in, flags):
        return True
    if not punches or check_in == NO_INSTANT:
        return False
    return bool(check_out == NO_INSTANT or flags & (PUNCH | CORRECTED_OUT))


@inlined
def end_minute(start: int, check_out: int) -> int:
    """Return the minute in which a shift ends, `NONE` without a check-out; it lasts no longer than is ever credited."""
    if check_out == NO_INSTANT:
        return NONE
    return int(min(check_out // 60, start + LASTS_MINUTES_MAX))


@kernel
def _count(persons: Ints, shifts: ResolvedShifts, punches: int, first: Longs) -> None:
    check_ins, check_outs, flags = shifts.check_in, shifts.check_out, shifts.flags
    for shift in range(len(flags)):
        if _takes_part(check_ins[shift], check_outs[shift], flags[shift], punches):
            first[persons[shift] + 1] += 1
    for person in range(1, len(first)):
        first[person] += first[person - 1]


@kernel
def _place(
    low: int, high: int, persons: Ints, shifts: ResolvedShifts, punches: int, first: Longs, free: Longs, rows: Ints
) -> bool:
    """Insert the shifts of the persons from `low` to `high`, sorted by check-in minute within each person; return
    whether any person has two with the same minute.

    Shifts come nearly in order of time, so insertion moves few rows.
    """
    owners, check_ins, check_outs, flags = shifts.volunteer, shifts.check_in, shifts.check_out, shifts.flags
    stations, projects = shifts.station, shifts.project
    scanned = SCANNED_IN | SCANNED_OUT
    tied = False
    for shift in range(len(flags)):
        person = persons[shift]
        if (
            person < low
            or person >= high
            or not _takes_part(check_ins[shift], check_outs[shift], flags[shift], punches)
        ):
            continue
        row = free[person]
        free[person] += 1
        start = np.int32(check_ins[shift] // 60)
        begin = first[person]
        while row > begin and rows[row - 1, START] > start:
            for column in range(SHIFT_COLUMNS):
                rows[row, column] = rows[row - 1, column]
            row -= 1
        if row > begin and rows[row - 1, START] == start:
            tied = True
        rows[row, SHIFT] = shift
        rows[row, START] = start
        rows[row, END] = end_minute(int(start), check_outs[shift])
        rows[row, STATION] = stations[shift]
        rows[row, PROJECT] = projects[shift]
        rows[row, SCANNED] = 1 if flags[shift] & scanned == scanned and not flags[shift] & MOVED else 0
        rows[row, TIE] = 0
        rows[row, NUMBER] = owners[shift]
    return tied


def _rank_ties(table: ShiftTable, shift_keys: ShiftKeys, names: Sequence[str] | None) -> None:
    """Set TIE to the rank of the ids of shifts of one person with the same check-in minute. They are few, so only their
    ids are read. Two numbers of a person may each have a shift with the same id; by `names`, the smaller number comes
    first.
    """
    person = np.repeat(np.arange(len(table.first) - 1, dtype=np.int32), np.diff(table.first))
    same = (table.start[1:] == table.start[:-1]) & (person[1:] == person[:-1])
    rows = np.flatnonzero(np.append(same, False) | np.insert(same, 0, False))
    high, low = shift_keys(table.shift[rows])
    numbers, place = np.unique(table.number[rows], return_inverse=True)
    texts = [] if names is None else [names[number] for number in numbers.tolist()]
    rank = np.argsort(np.argsort(np.array(texts, object))) if texts else np.zeros(len(numbers), np.int64)
    table.rows[rows[np.lexsort((rank[place], low, high))], TIE] = np.arange(len(rows), dtype=np.int32)
