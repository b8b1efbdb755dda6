"""Credit: what each shift of one volunteer is worth, as pieces (DESIGN.md, "The rules of credit", steps 2 to 7).

One plain loop over one volunteer's shifts. It explains a single minute, updates the live numbers after a check-out and
replays the whole history: there is no second implementation, but for the oracle in the tests.

A *piece* is a shift's part on one local day. Each raw minute of a piece is in exactly one column: superseded, too
short, clipped, overlapped, capped or counted. Intervals are half-open, in UTC minutes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from projections.calendar import local_span
from projections.compiled import kernel
from projections.rule_table import RuleTable
from projections.schema import (
    CAPPED,
    CLIPPED,
    COUNTED,
    CREDITED,
    DAY,
    DAYS,
    FIRST,
    NO_DAY,
    NONE,
    OVERLAPPED,
    PIECE_COLUMNS,
    RAW,
    ROW,
    SHARE,
    SUPERSEDED,
    TOO_SHORT,
    Ints,
    ShiftTable,
    VolunteerTable,
)


class Workspace(NamedTuple):
    """Working memory of one thread, reused from volunteer to volunteer. Arrays by shift hold the largest volunteer's
    shifts.
    """

    order: Ints  # rows of the ShiftTable in the final order
    end: Ints
    stop: Ints  # where the survivable part ends: after it minutes are clipped; at the start, nothing survives
    rule_set: Ints
    fate: Ints  # the column for minutes that do not survive: SUPERSEDED, TOO_SHORT or CLIPPED
    first_piece: Ints
    union_start: Ints  # what scanned shifts hold together, as disjoint intervals in order
    union_end: Ints
    day_used: Ints  # by day: counted minutes, zero between volunteers


def workspace(shifts_max: int) -> Workspace:
    """Allocate working memory for volunteers of at most so many shifts."""
    by_shift = [np.zeros(shifts_max + 1, np.int32) for _ in range(len(Workspace._fields) - 1)]
    return Workspace._make([*by_shift, np.zeros(DAYS, np.int32)])


@kernel
def rule_set_of(day: int, rules: RuleTable) -> int:
    """Return the number of the rule set in force on a local day."""
    number = len(rules.holds_from) - 1
    while number > 0 and rules.holds_from[number] > day:
        number -= 1
    return number


@kernel
def credit_volunteer(
    volunteer: int,
    table: ShiftTable,
    volunteers: VolunteerTable,
    station_kind: Ints,
    rules: RuleTable,
    work: Workspace,
    pieces: Ints,
) -> tuple[int, Ints]:
    """Credit one volunteer's shifts.

    Args:
        volunteer: surrogate.
        table, volunteers, station_kind (bits by station), rules: the facts and the rules.
        work: working memory; left clean.
        pieces: int32[capacity, PIECE_COLUMNS] to write to; a larger one is made where it does not suffice.

    Returns:
        The number of pieces, and the array that holds them: by shift in the order of the rules, then by day.
    """
    low, high = table.first[volunteer], table.first[volunteer + 1]
    _settle_intervals(low, high, table, volunteers.opening_day[volunteer], rules, work)
    count, pieces = _cut_into_days(low, high, table, rules, work, pieces)
    unions = _unite_scanned(low, high, table, work)
    raises = volunteers.raises[volunteer], volunteers.raises[volunteer + 1]
    for scanned in (1, 0):  # the day's cap is filled by all scanned minutes before any attested one
        held_until = -1
        for place in range(high - low):
            row = work.order[place]
            if table.scanned[row] != scanned or work.stop[place] <= table.start[row]:
                continue
            held_from = max(table.start[row], held_until)
            held_until = max(held_until, work.stop[place])
            _count_minutes(
                place,
                row,
                held_from,
                unions if scanned == 0 else 0,
                raises,
                table,
                volunteers,
                station_kind,
                rules,
                work,
                pieces,
            )
    for place in range(high - low):
        _round(place, rules, work, pieces)
    for number in range(count):
        work.day_used[pieces[number, DAY]] = 0
    return count, pieces


@kernel
def _settle_intervals(
    low: int, high: int, table: ShiftTable, opening_day: int, rules: RuleTable, work: Workspace
) -> None:
    """Steps 2 and 3: each shift's end, whether it is superseded or too short, and where it is clipped; then the final
    order.
    """
    later = -1  # the check-in minute of the next shift that begins strictly later
    for row in range(high - 1, low - 1, -1):
        place = row - low
        start = table.start[row]
        if row + 1 < high and table.start[row + 1] > start:
            later = table.start[row + 1]
        day = local_span(start, rules.zone)[0]
        number = rule_set_of(day, rules)
        end = table.end[row]
        if end == NONE:
            end = start + rules.missing_check_out_minutes[number]
            if later >= 0 and later < end:
                end = later
        end = max(end, start)
        work.order[place] = row
        work.end[place] = end
        work.rule_set[place] = number
        work.fate[place] = CLIPPED
        work.stop[place] = min(end, start + rules.shift_minutes_max[number])
        if opening_day != NO_DAY and day <= opening_day:
            work.fate[place] = SUPERSEDED
            work.stop[place] = start
        elif end - start < rules.shift_minutes_min[number]:
            work.fate[place] = TOO_SHORT
            work.stop[place] = start
    for place in range(1, high - low):
        at = place
        while at > 0 and _before(work, table, at, at - 1):
            _swap(work, at)
            at -= 1


@kernel
def _before(work: Workspace, table: ShiftTable, one: int, other: int) -> bool:
    """Order by check-in minute, end and shift id. Only shifts that begin in one minute can be out of order here."""
    row, other_row = work.order[one], work.order[other]
    if table.start[row] != table.start[other_row]:
        return False
    if work.end[one] != work.end[other]:
        return bool(work.end[one] < work.end[other])
    return bool(table.tie[row] < table.tie[other_row])


@kernel
def _swap(work: Workspace, at: int) -> None:
    for column in (work.order, work.end, work.stop, work.rule_set, work.fate):
        column[at - 1], column[at] = column[at], column[at - 1]


@kernel
def _cut_into_days(
    low: int, high: int, table: ShiftTable, rules: RuleTable, work: Workspace, pieces: Ints
) -> tuple[int, Ints]:
    """Lay out the pieces of each shift, one per local day, with raw minutes and those that do not survive step 3."""
    count = 0
    for place in range(high - low):
        row = work.order[place]
        start, end, stop, fate = table.start[row], work.end[place], work.stop[place], work.fate[place]
        work.first_piece[place] = count
        minute = start
        last_day = -1
        while True:
            day, _, until = local_span(minute, rules.zone)
            until = min(until, end)
            if day != last_day:
                if count == len(pieces):
                    larger = np.empty((2 * count + 16, PIECE_COLUMNS), np.int32)
                    larger[:count] = pieces
                    pieces = larger
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
def _unite_scanned(low: int, high: int, table: ShiftTable, work: Workspace) -> int:
    """Collect what scanned shifts hold together, as disjoint intervals in order; return how many."""
    unions = 0
    for place in range(high - low):
        row = work.order[place]
        start, stop = table.start[row], work.stop[place]
        if not table.scanned[row] or stop <= start:
            continue
        if unions and start <= work.union_end[unions - 1]:
            work.union_end[unions - 1] = max(work.union_end[unions - 1], stop)
        else:
            work.union_start[unions] = start
            work.union_end[unions] = stop
            unions += 1
    return unions


@kernel
def _count_minutes(
    place: int,
    row: int,
    held_from: int,
    unions: int,
    raises: tuple[int, int],
    table: ShiftTable,
    volunteers: VolunteerTable,
    station_kind: Ints,
    rules: RuleTable,
    work: Workspace,
    pieces: Ints,
) -> None:
    """Steps 4 to 6 for one shift: which of its surviving minutes it holds, how many the day's cap lets count, what
    they earn.

    Earlier shifts of the same grade hold everything before `held_from`; the first `unions` intervals of the workspace
    are held by scanned shifts.
    """
    minute, stop = table.start[row], work.stop[place]
    number = work.first_piece[place]
    # Where this shift meets the intervals that scanned shifts hold: the first that ends after its start.
    union, beyond = 0, unions
    while union < beyond:
        middle = (union + beyond) // 2
        if work.union_end[middle] <= minute:
            union = middle + 1
        else:
            beyond = middle
    while minute < stop:
        day, within, until = local_span(minute, rules.zone)
        until = min(until, stop)
        if pieces[number, DAY] != day:
            number += 1
        rule_set = rule_set_of(day, rules)
        cap = _cap_of(day, raises, volunteers, rules.day_minutes_max[rule_set])
        held = 0
        at = minute
        while at < until:
            # One stretch that is held, or one that is not.
            while union < unions and work.union_end[union] <= at:
                union += 1
            upto = until
            free = at >= held_from
            if not free:
                upto = min(upto, held_from)
            elif union < unions and work.union_start[union] <= at:
                free = False
                upto = min(upto, work.union_end[union])
            elif union < unions:
                upto = min(upto, work.union_start[union])
            if free:
                held += upto - at
                take = min(upto - at, max(cap - work.day_used[day], 0))
                if take > 0:
                    work.day_used[day] += take
                    pieces[number, COUNTED] += take
                    first = within + at - minute
                    pieces[number, SHARE] += _percentages(
                        first, first + take, day, rule_set, station_kind[table.station[row]], table.project[row], rules
                    )
                pieces[number, CAPPED] += upto - at - take
            at = upto
        pieces[number, OVERLAPPED] += until - minute - held
        minute = until


@kernel
def _cap_of(day: int, raises: tuple[int, int], volunteers: VolunteerTable, cap: int) -> int:
    """Return the day's cap for a volunteer: the greatest raise in force replaces the rule's."""
    for row in range(raises[0], raises[1]):
        if volunteers.raise_day[row] == day:
            return int(volunteers.raise_minutes[row])
    return cap


@kernel
def _percentages(
    minute: int, until: int, day: int, rule_set: int, station_kind: int, project: int, rules: RuleTable
) -> int:
    """Return the sum of percentages of the minutes of a day from `minute` to `until`: of the first window that holds,
    else 100.
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
            # Whatever holds now holds at least until the next edge of a window.
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


@kernel
def _round(place: int, rules: RuleTable, work: Workspace, pieces: Ints) -> None:
    """Step 7: percentages become shares; the shift's running sum of shares is rounded down to the unit of its rule
    set.
    """
    unit = rules.credit_unit_minutes[work.rule_set[place]]
    running = rounded = 0
    for number in range(work.first_piece[place], work.first_piece[place + 1]):
        pieces[number, SHARE] //= 100
        running += pieces[number, SHARE]
        pieces[number, CREDITED] = running // unit * unit - rounded
        rounded = running // unit * unit
