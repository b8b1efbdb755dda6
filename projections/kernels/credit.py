"""Credit: the credited pieces of one volunteer's shifts (docs/rules-of-credit.md, steps 2 to 7).

One plain loop over a volunteer's shifts. Everything that computes minutes uses it, from the update after a check-out to
the replay of the whole history. Only an explanation recomputes a day minute by minute (`replay/explain/stretches.py`),
and it is compared with this kernel each time; so is the oracle in the tests.

The kernels take the columns that they need out of the tables before their loops: a lookup in a loop counts references,
which took half of the total time (docs/decisions/0006).

A *piece* is the part of a shift on one local day. Each raw minute of a piece is in exactly one column: superseded, too
short, clipped, overlapped, capped or counted. Intervals are half-open, in UTC minutes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from projections.compiled import inlined, kernel
from projections.kernels.station_kinds import StationKinds, kind_on
from projections.local_time import local_span
from projections.rules.table import RuleTable
from projections.schema import (
    CAPPED,
    CLIPPED,
    COUNTED,
    CREDITED,
    DAY,
    DAYS,
    END,
    FIRST,
    NO_DAY,
    NONE,
    NUMBER,
    OVERLAPPED,
    PIECE_COLUMNS,
    PROJECT,
    RAW,
    ROW,
    SCANNED,
    SHARE,
    START,
    STATION,
    SUPERSEDED,
    TIE,
    TOO_SHORT,
    Ints,
    ShiftTable,
    VolunteerTable,
)


class Workspace(NamedTuple):
    """Working memory of one thread, reused for each volunteer, with room for the volunteer with the most shifts."""

    order: Ints  # rows of the ShiftTable in the final order
    end: Ints
    stop: Ints  # where the surviving minutes end, at the start of the shift if none survive
    rule_set: Ints
    fate: Ints  # the column of minutes that do not survive: SUPERSEDED, TOO_SHORT or CLIPPED
    first_piece: Ints
    union_start: Ints  # the union of the scanned shifts, as disjoint intervals in order
    union_end: Ints
    day_used: Ints  # by day: counted minutes; zero between volunteers


def workspace(shifts_max: int) -> Workspace:
    """Allocate working memory for volunteers with at most `shifts_max` shifts."""
    by_shift = [np.zeros(shifts_max + 1, np.int32) for _ in range(len(Workspace._fields) - 1)]
    return Workspace._make([*by_shift, np.zeros(DAYS, np.int32)])


@inlined
def rule_set_of(day: int, rules: RuleTable) -> int:
    """Return the index of the rule set in force on a local day."""
    number = len(rules.holds_from) - 1
    while number > 0 and rules.holds_from[number] > day:
        number -= 1
    return number


@kernel
def credit_volunteer(
    volunteer: int,
    table: ShiftTable,
    volunteers: VolunteerTable,
    station_kind: StationKinds,
    rules: RuleTable,
    work: Workspace,
    pieces: Ints,
) -> tuple[int, Ints]:
    """Credit one person's shifts.

    Args:
        volunteer: the surrogate of the person's number.
        table, volunteers, station_kind, rules: the facts and the rules.
        work: working memory, clean afterwards.
        pieces: int32[capacity, PIECE_COLUMNS], written to; if it is too small, a larger array replaces it.

    Returns:
        The number of pieces, and the array that holds them, by shift in the order of the rules and by day.
    """
    low, high = table.first[volunteer], table.first[volunteer + 1]
    several = volunteers.several[volunteer]
    opening_day = NO_DAY if several else volunteers.superseded_until[volunteer]
    _settle_intervals(low, high, table, opening_day, rules, work)
    if several:
        _supersede(low, high, table, volunteers, rules, work)
    count, pieces = _cut_into_days(low, high, table, rules, work, pieces)
    unions = _unite_scanned(low, high, table, work)
    for grade in (1, 0):  # all scanned minutes fill the day cap before any attested one
        held = 0 if grade else unions
        _count_minutes(grade, volunteer, held, table, volunteers, station_kind, rules, work, pieces)
    _round(high - low, rules, work, pieces)
    for number in range(count):
        work.day_used[pieces[number, DAY]] = 0
    return count, pieces


@inlined
def _settle_intervals(
    low: int, high: int, table: ShiftTable, opening_day: int, rules: RuleTable, work: Workspace
) -> None:
    """Apply steps 2 and 3: the end of each shift, whether it is superseded or too short, where it is clipped, and the
    final order.
    """
    starts, ends, zone = table.rows[:, START], table.rows[:, END], rules.zone
    order, settled, stops, fates, sets = work.order, work.end, work.stop, work.fate, work.rule_set
    shortest, longest, missing = rules.shift_minutes_min, rules.shift_minutes_max, rules.missing_check_out_minutes
    later = -1  # the check-in minute of the next shift with a strictly later one
    in_order = True
    for row in range(high - 1, low - 1, -1):
        place = row - low
        start = starts[row]
        if row + 1 < high:
            if starts[row + 1] > start:
                later = starts[row + 1]
            else:
                in_order = False
        day = local_span(start, zone)[0]
        number = rule_set_of(day, rules)
        end = ends[row]
        if end == NONE:
            end = start + missing[number]
            if later >= 0 and later < end:
                end = later
        end = max(end, start)
        order[place], settled[place], sets[place] = row, end, number
        if opening_day != NO_DAY and day <= opening_day:
            fates[place], stops[place] = SUPERSEDED, start
        elif end - start < shortest[number]:
            fates[place], stops[place] = TOO_SHORT, start
        else:
            fates[place], stops[place] = CLIPPED, min(end, start + longest[number])
    if in_order:
        return
    for place in range(1, high - low):
        at = place
        while at > 0 and _before(work, table, at, at - 1):
            _swap(work, at)
            at -= 1


@kernel
def _supersede(
    low: int, high: int, table: ShiftTable, volunteers: VolunteerTable, rules: RuleTable, work: Workspace
) -> None:
    """Apply step 3 for a person with several numbers: an opening balance covers only the shifts of its own number.

    Such persons are few; checking the number of every shift would slow down all others.
    """
    starts, numbers, until = table.rows[:, START], table.rows[:, NUMBER], volunteers.superseded_until
    for place in range(high - low):
        row = work.order[place]
        opening_day = until[numbers[row]]
        if opening_day != NO_DAY and local_span(starts[row], rules.zone)[0] <= opening_day:
            work.fate[place], work.stop[place] = SUPERSEDED, starts[row]


@inlined
def _before(work: Workspace, table: ShiftTable, one: int, other: int) -> bool:
    """Return whether one shift precedes another; only those with equal check-in minutes can be out of order here."""
    row, other_row = work.order[one], work.order[other]
    if table.rows[row, START] != table.rows[other_row, START]:
        return False
    if work.end[one] != work.end[other]:
        return bool(work.end[one] < work.end[other])
    return bool(table.rows[row, TIE] < table.rows[other_row, TIE])


@inlined
def _swap(work: Workspace, at: int) -> None:
    for column in (work.order, work.end, work.stop, work.rule_set, work.fate):
        column[at - 1], column[at] = column[at], column[at - 1]


@inlined
def _cut_into_days(
    low: int, high: int, table: ShiftTable, rules: RuleTable, work: Workspace, pieces: Ints
) -> tuple[int, Ints]:
    """Write the pieces of each shift, one per local day, with the raw minutes and those that do not survive step 3."""
    starts, zone = table.rows[:, START], rules.zone
    order, ends, stops, fates, first_piece = work.order, work.end, work.stop, work.fate, work.first_piece
    count = 0
    for place in range(high - low):
        row = order[place]
        end, stop, fate = ends[place], stops[place], fates[place]
        first_piece[place] = count
        minute, last_day = starts[row], -1
        while True:
            day, _, until = local_span(minute, zone)
            until = min(until, end)
            if day != last_day:
                if count == len(pieces):
                    pieces = _enlarged(pieces)
                pieces[count] = 0
                pieces[count, ROW] = row
                pieces[count, DAY] = day
                pieces[count, FIRST] = 1 if last_day < 0 else 0
                count += 1
                last_day = day
            pieces[count - 1, RAW] += until - minute
            pieces[count - 1, fate] += until - max(minute, min(stop, until))
            minute = until
            if minute >= end:
                break
    work.first_piece[high - low] = count
    return count, pieces


@kernel
def _enlarged(pieces: Ints) -> Ints:
    """Return the pieces in an array twice as large. The copy is a loop: assigning a slice compiles for seconds."""
    larger = np.empty((2 * len(pieces) + 16, PIECE_COLUMNS), np.int32)
    for number in range(len(pieces)):
        for column in range(PIECE_COLUMNS):
            larger[number, column] = pieces[number, column]
    return larger


@inlined
def _unite_scanned(low: int, high: int, table: ShiftTable, work: Workspace) -> int:
    """Write the union of the scanned shifts, as disjoint intervals in order; return their number."""
    starts, scanned = table.rows[:, START], table.rows[:, SCANNED]
    order, stops, union_start, union_end = work.order, work.stop, work.union_start, work.union_end
    unions = 0
    for place in range(high - low):
        row = order[place]
        start, stop = starts[row], stops[place]
        if not scanned[row] or stop <= start:
            continue
        if unions and start <= union_end[unions - 1]:
            union_end[unions - 1] = max(union_end[unions - 1], stop)
        else:
            union_start[unions], union_end[unions] = start, stop
            unions += 1
    return unions


@inlined
def _count_minutes(
    grade: int,
    volunteer: int,
    unions: int,
    table: ShiftTable,
    volunteers: VolunteerTable,
    station_kind: StationKinds,
    rules: RuleTable,
    work: Workspace,
    pieces: Ints,
) -> None:
    """Apply steps 4 to 6 to the shifts of one grade, in order: the minutes that each holds, how many count, and what
    they earn.

    A minute is already held if an earlier shift of the same grade covers it (`held_until`), or one of the first
    `unions` intervals of the workspace.
    """
    low, high = table.first[volunteer], table.first[volunteer + 1]
    starts, grades = table.rows[:, START], table.rows[:, SCANNED]
    stations, projects = table.rows[:, STATION], table.rows[:, PROJECT]
    order, stops, first_piece, day_used = work.order, work.stop, work.first_piece, work.day_used
    union_start, union_end = work.union_start, work.union_end
    caps, zone = rules.day_minutes_max, rules.zone
    held_until = -1
    for place in range(high - low):
        row = order[place]
        minute, stop = starts[row], stops[place]
        if grades[row] != grade or stop <= minute:
            continue
        held_before, held_until = held_until, max(held_until, stop)
        union = _first_union_after(minute, unions, union_end)
        number = first_piece[place]
        while minute < stop:
            day, within, until = local_span(minute, zone)
            until = min(until, stop)
            if pieces[number, DAY] != day:
                number += 1
            rule_set = rule_set_of(day, rules)
            cap = _cap_of(day, volunteer, volunteers, caps[rule_set])
            at, overlapped = minute, 0
            while at < until:  # one stretch of minutes, either held already or free
                while union < unions and union_end[union] <= at:
                    union += 1
                upto = until
                if at < held_before:
                    upto = min(upto, held_before)
                    overlapped += upto - at
                elif union < unions and union_start[union] <= at:
                    upto = min(upto, union_end[union])
                    overlapped += upto - at
                else:
                    if union < unions:
                        upto = min(upto, union_start[union])
                    counted = min(upto - at, max(cap - day_used[day], 0))
                    day_used[day] += counted
                    pieces[number, COUNTED] += counted
                    pieces[number, CAPPED] += upto - at - counted
                    first = within + at - minute
                    kind, project = kind_on(stations[row], day, station_kind), projects[row]
                    pieces[number, SHARE] += _percentages(first, first + counted, day, rule_set, kind, project, rules)
                at = upto
            pieces[number, OVERLAPPED] += overlapped
            minute = until


@inlined
def _first_union_after(minute: int, unions: int, union_end: Ints) -> int:
    """Return the index of the first interval of scanned shifts that ends after a minute."""
    low, high = 0, unions
    while low < high:
        middle = (low + high) // 2
        if union_end[middle] <= minute:
            low = middle + 1
        else:
            high = middle
    return low


@inlined
def _cap_of(day: int, volunteer: int, volunteers: VolunteerTable, cap: int) -> int:
    """Return the day cap of a volunteer: `cap`, or the greatest raise in force if that is more."""
    for row in range(volunteers.raises[volunteer], volunteers.raises[volunteer + 1]):
        if volunteers.raise_day[row] == day:
            return max(cap, int(volunteers.raise_minutes[row]))
    return cap


@inlined
def _percentages(
    minute: int, until: int, day: int, rule_set: int, station_kind: int, project: int, rules: RuleTable
) -> int:
    """Return the sum of the percentages of the minutes of a day from `minute` to `until`: each that of the first window
    that holds, or else 100.
    """
    factors = rules.factors
    low, high = factors.first[rule_set], factors.first[rule_set + 1]
    weekday = 1 << ((day + 3) % 7)  # day 0 was a Thursday
    total = 0
    while minute < until:
        percent, upto = 100, until
        for row in range(low, high):
            if (
                day < factors.first_day[row]
                or day > factors.last_day[row]
                or not factors.weekdays[row] & weekday
                or not factors.station_kinds[row] & station_kind
                or not factors.project[row, project + 1]
            ):
                continue
            begin, finish = factors.minute_from[row], factors.minute_until[row]
            through_midnight = finish <= begin
            holds = (minute >= begin or minute < finish) if through_midnight else begin <= minute < finish
            # The percentage stays the same until the next edge of a window.
            if begin > minute:
                upto = min(upto, begin)
            if finish > minute:
                upto = min(upto, finish)
            if holds:
                percent = factors.percent[row]
                break
        total += percent * (upto - minute)
        minute = upto
    return total


@inlined
def _round(shifts: int, rules: RuleTable, work: Workspace, pieces: Ints) -> None:
    """Apply step 7: convert percentages to shares, and round each shift's running sum down to its rule set's unit."""
    first_piece, rule_set, units = work.first_piece, work.rule_set, rules.credit_unit_minutes
    for place in range(shifts):
        unit = units[rule_set[place]]
        running = rounded = 0
        for number in range(first_piece[place], first_piece[place + 1]):
            pieces[number, SHARE] //= 100
            running += pieces[number, SHARE]
            whole = running // unit * unit if unit > 1 else running
            pieces[number, CREDITED] = whole - rounded
            rounded = whole
