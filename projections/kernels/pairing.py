"""Pairing: which scans without a shift id belong together (docs/rules-of-credit.md, step 1).

A punch is a scan of a card at an instant, with a direction if the reader knows one. It is paired over the person, with
punches and with shifts that have no check-out, in order of the scans' own instants, by the rule set in force on the
local date of the earlier scan. So late uploads and merges pair again, and other rules pair otherwise. Shifts with a
check-in and a check-out of the same id stay as they are; a punch beside one of their scans is the same scan.

The table of shifts contains everything that takes part, in order of time. The result has one row per shift again.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from projections.compiled import inlined, kernel
from projections.kernels.credit import rule_set_of
from projections.kernels.order import balanced, can_earn, end_minute
from projections.kernels.scans import (
    IN,
    KNOWN_IN,
    KNOWN_OUT,
    OUT,
    SETTLED_IN,
    UNDIRECTED,
    VOID_UNDIRECTED,
    Scans,
    gather,
    insert,
)
from projections.local_time import local_span
from projections.rules.table import RuleTable
from projections.schema import (
    CHECK_OUT_ALONE,
    DOUBLE_TAP,
    END,
    MOVED,
    NO_INSTANT,
    NONE,
    PAIRED,
    PUNCH,
    PUNCHED_OUT,
    SCANNED,
    SCANNED_IN,
    SCANNED_OUT,
    SHIFT,
    SHIFT_COLUMNS,
    START,
    VOID,
    Flags,
    Ints,
    Longs,
    ResolvedShifts,
    ShiftTable,
)

Involved = npt.NDArray[np.bool_]

_LONG_AGO: Final = -(1 << 40)


class Paired(NamedTuple):
    """Shifts as paired by some rules.

    table: those that can earn something. shifts: the state of each shift and punch; a punch that begins no shift has a
    check-out and no check-in. partner: int32[n], for a shift the punch that ends it, for that punch the shift; `NONE`
    for others; empty if nothing was paired.
    """

    table: ShiftTable
    shifts: ResolvedShifts
    partner: Ints

    def ended_by(self, rows: Ints) -> Ints:
        """Return for each row of a shift or punch the shift that it ends, or itself."""
        if not len(self.partner):
            return rows
        is_end = (self.shifts.flags[rows] & PUNCH > 0) & (self.shifts.check_in[rows] == NO_INSTANT)
        return np.where(is_end & (self.partner[rows] != NONE), self.partner[rows], rows)


def pair(table: ShiftTable, shifts: ResolvedShifts, rules: RuleTable, *, threads: int = 1) -> Paired:
    """Pair punches, and check-ins without a check-out.

    Args:
        table: the shifts and punches that take part, by person (`projections.kernels.order.order_shifts`).
        shifts: the state of each before pairing; it is not changed.
    """
    involved: Involved = np.zeros(len(table.first) - 1, np.bool_)
    punches = int(np.count_nonzero(shifts.flags & PUNCH))
    ranges = balanced(table.first, threads)
    with ThreadPoolExecutor(len(ranges)) as pool:
        nearest = int(rules.pairing.double_tap_seconds.max())
        found = list(
            pool.map(lambda cut: _find(cut[0], cut[1], table, shifts.flags, punches, nearest, involved), ranges)
        )
        if not any(found):
            return Paired(table, shifts, np.empty(0, np.int32))
        paired = shifts._replace(
            check_in=shifts.check_in.copy(), check_out=shifts.check_out.copy(), flags=shifts.flags.copy()
        )
        partner = np.full(len(shifts.flags), NONE, np.int32)
        first = np.zeros(len(table.first), np.int64)
        list(pool.map(lambda cut: _pair(cut[0], cut[1], table, paired, rules, involved, partner, first), ranges))
        np.cumsum(first, out=first)
        rows = np.empty((int(first[-1]), SHIFT_COLUMNS), np.int32)
        list(pool.map(lambda cut: _copy(cut[0], cut[1], table, paired, involved, first, rows), ranges))
    return Paired(ShiftTable(first, rows), paired, partner)


@kernel
def _find(low: int, high: int, table: ShiftTable, flags: Flags, punches: int, nearest: int, involved: Involved) -> bool:
    """Mark the persons whose scans pairing may change: those with a punch or a void shift, and those with a check-in
    without a check-out beside another check-in.
    """
    rows, first = table.rows, table.first
    near = nearest // 60 + 1
    found = False
    for person in range(low, high):
        begin, end = first[person], first[person + 1]
        for row in range(begin, end):
            hit = punches and flags[rows[row, SHIFT]] & (PUNCH | VOID)
            if not hit and nearest and rows[row, END] == NONE:
                hit = (row > begin and rows[row, START] - rows[row - 1, START] <= near) or (
                    row + 1 < end and rows[row + 1, START] - rows[row, START] <= near
                )
            if hit:
                involved[person] = found = True
                break
    return found


@kernel
def _pair(
    low: int,
    high: int,
    table: ShiftTable,
    shifts: ResolvedShifts,
    rules: RuleTable,
    involved: Involved,
    partner: Ints,
    kept: Longs,
) -> None:
    """Pair the scans of the persons from `low` to `high`; write the number of rows of each to `kept[person + 1]`."""
    first, rows = table.first, table.rows
    longest = 0
    for person in range(low, high):
        longest = max(longest, first[person + 1] - first[person])
    scans = Scans(
        np.empty(2 * longest + 1, np.int64), np.empty(2 * longest + 1, np.int32), np.empty(2 * longest + 1, np.int32)
    )
    for person in range(low, high):
        begin, end = first[person], first[person + 1]
        if not involved[person]:
            kept[person + 1] = end - begin
            continue
        count = gather(begin, end, rows, shifts, scans)
        _choose_first_and_last(count, rows, shifts.station, rules, scans)
        _pair_scans(count, rows, shifts, rules, scans, partner)
        for row in range(begin, end):
            shift = rows[row, SHIFT]
            kept[person + 1] += can_earn(shifts.check_in[shift], shifts.flags[shift])


@inlined
def _rule_set_at(instant: int, rules: RuleTable) -> int:
    return rule_set_of(local_span(instant // 60, rules.zone)[0], rules)


@kernel
def _choose_first_and_last(count: int, rows: Ints, stations: Ints, rules: RuleTable, scans: Scans) -> None:
    """Where the rules say so, turn the first punch without direction of a local day into a check-in, and the last into
    a check-out. The kinds of the others are negative afterwards. Equal instants are then in the order of their new
    kinds.
    """
    for at in range(count):
        void = scans.kind[at] == VOID_UNDIRECTED
        if not void and scans.kind[at] != UNDIRECTED:
            continue
        day = local_span(scans.instant[at] // 60, rules.zone)[0]
        number = rule_set_of(day, rules)
        if not rules.pairing.first_and_last[number]:
            continue
        last = at
        seconds = rules.pairing.double_tap_seconds[number]
        for later in range(at + 1, count):
            if local_span(scans.instant[later] // 60, rules.zone)[0] != day:
                break
            apart = scans.instant[later] - scans.instant[at] > seconds
            undirected = scans.kind[later] == UNDIRECTED
            if apart and undirected and _together(at, later, number, rows, stations, rules, scans):
                last = later
        for later in range(at + 1, last):
            if scans.kind[later] == UNDIRECTED and _together(at, later, number, rows, stations, rules, scans):
                scans.kind[later] = -1 - UNDIRECTED
        scans.kind[at] = SETTLED_IN if void else IN
        if last > at:
            scans.kind[last] = OUT
    for at in range(count):
        insert(at, scans.instant[at], scans.kind[at], scans.row[at], rows, scans)


@inlined
def _together(one: int, other: int, number: int, rows: Ints, stations: Ints, rules: RuleTable, scans: Scans) -> bool:
    """Return whether two scans may belong to one shift as far as their stations go."""
    here, there = stations[rows[scans.row[one], SHIFT]], stations[rows[scans.row[other], SHIFT]]
    return bool(rules.pairing.across_stations[number] or here == there)


@kernel
def _pair_scans(count: int, rows: Ints, shifts: ResolvedShifts, rules: RuleTable, scans: Scans, partner: Ints) -> None:
    """Walk over a person's scans in order of time, with the one shift that is open.

    A punch out ends the shift that was open before its instant. If none was, it ends the one that begins at its
    instant, but only if no later one does, and then that shift has no time.
    """
    kinds, instants = scans.kind, scans.instant
    opened = NONE
    last_in = last_out = np.int64(_LONG_AGO)
    next_in = next_out = 0
    for at in range(count):
        kind, instant, shift = kinds[at], instants[at], rows[scans.row[at], SHIFT]
        if kind == KNOWN_IN:
            last_in = instant
            continue
        if kind == KNOWN_OUT:
            last_out = instant
            continue
        if kind < 0:  # between the first and the last of its day
            shifts.flags[shift] |= DOUBLE_TAP | PAIRED
            continue
        seconds = rules.pairing.double_tap_seconds[_rule_set_at(instant, rules)]
        next_in = _next(next_in, at, count, KNOWN_IN, kinds)
        next_out = _next(next_out, at, count, KNOWN_OUT, kinds)
        same_in = seconds > 0 and (
            instant - last_in <= seconds or (next_in < count and instants[next_in] - instant <= seconds)
        )
        same_out = seconds > 0 and (
            instant - last_out <= seconds or (next_out < count and instants[next_out] - instant <= seconds)
        )
        undirected = kind in (UNDIRECTED, VOID_UNDIRECTED)
        if (same_in and (kind == IN or undirected)) or (same_out and (kind == OUT or undirected)):
            shifts.flags[shift] |= DOUBLE_TAP
            if kind == OUT:
                shifts.check_in[shift] = NO_INSTANT
            continue
        ends = opened != NONE and _may_end(opened, at, rows, shifts.station, rules, scans)
        if kind == VOID_UNDIRECTED and ends:
            continue
        if kind == OUT or (kind == UNDIRECTED and ends):
            shifts.check_out[shift] = instant
            shifts.check_in[shift] = NO_INSTANT
            last_out = instant
            if ends:
                _end(opened, at, rows, shifts, scans, partner)
                opened = NONE
            else:
                shifts.flags[shift] |= CHECK_OUT_ALONE
            continue
        _end_at_once(opened, count, rows, shifts, rules, scans, partner)
        opened = at
        last_in = instant
    _end_at_once(opened, count, rows, shifts, rules, scans, partner)


@inlined
def _end_at_once(
    opened: int, count: int, rows: Ints, shifts: ResolvedShifts, rules: RuleTable, scans: Scans, partner: Ints
) -> None:
    """End the shift that stays open with the first punch out at its instant that has ended nothing, if there is one."""
    if opened == NONE:
        return
    number, at = _rule_set_at(scans.instant[opened], rules), opened
    while at > 0 and scans.instant[at - 1] == scans.instant[opened]:
        at -= 1
    while at < count and scans.instant[at] == scans.instant[opened]:
        alone = scans.kind[at] == OUT and shifts.flags[rows[scans.row[at], SHIFT]] & CHECK_OUT_ALONE
        if alone and _together(opened, at, number, rows, shifts.station, rules, scans):
            _end(opened, at, rows, shifts, scans, partner)
            return
        at += 1


@inlined
def _end(opened: int, at: int, rows: Ints, shifts: ResolvedShifts, scans: Scans, partner: Ints) -> None:
    """End the open shift with a punch, unless its end is settled."""
    begun, shift = rows[scans.row[opened], SHIFT], rows[scans.row[at], SHIFT]
    shifts.flags[shift] = (shifts.flags[shift] & ~CHECK_OUT_ALONE) | PAIRED
    partner[shift] = begun
    if scans.kind[opened] in (SETTLED_IN, VOID_UNDIRECTED):
        return
    out_alone = shifts.flags[shift] & PUNCH == PUNCHED_OUT
    scanned = shifts.flags[shift] & (SCANNED_OUT if out_alone else SCANNED_IN)
    shifts.check_out[begun] = scans.instant[at]
    shifts.flags[begun] |= PAIRED | (SCANNED_OUT if scanned else 0)
    partner[begun] = shift


@inlined
def _next(found: int, at: int, count: int, kind: int, kinds: Ints) -> int:
    """Return the next scan of a kind after `at`, or `count`; `found` is the answer for an earlier scan, so that a walk
    over all scans reads each once.
    """
    if found > at:
        return found
    later = at + 1
    while later < count and kinds[later] != kind:
        later += 1
    return later


@inlined
def _may_end(opened: int, at: int, rows: Ints, stations: Ints, rules: RuleTable, scans: Scans) -> bool:
    """Return whether a scan can end the open shift, by the rule set of the check-in's date."""
    number = _rule_set_at(scans.instant[opened], rules)
    passed = scans.instant[at] - scans.instant[opened]
    return bool(
        0 < passed <= rules.pairing.open_seconds_max[number]
        and _together(opened, at, number, rows, stations, rules, scans)
    )


@kernel
def _copy(
    low: int, high: int, table: ShiftTable, shifts: ResolvedShifts, involved: Involved, first: Longs, rows: Ints
) -> None:
    """Write the rows of the paired shifts."""
    old_first, old_rows = table.first, table.rows
    scanned = SCANNED_IN | SCANNED_OUT
    for person in range(low, high):
        free = first[person]
        for row in range(old_first[person], old_first[person + 1]):
            shift = old_rows[row, SHIFT]
            flags = shifts.flags[shift]
            if involved[person] and not can_earn(shifts.check_in[shift], flags):
                continue
            for column in range(SHIFT_COLUMNS):
                rows[free, column] = old_rows[row, column]
            if involved[person]:
                rows[free, END] = end_minute(rows[free, START], shifts.check_out[shift])
                rows[free, SCANNED] = 1 if flags & scanned == scanned and not flags & MOVED else 0
            free += 1
