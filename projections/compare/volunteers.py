"""The kernels behind `differences`: compare each volunteer under two sides, and write the rows of those that differ.

Both sides are credited by the same kernel as everywhere, while the shifts are still in the processor's cache. What is
the same on both sides is added up once. Functions that run once per volunteer are not inlined, so that they are
compiled only once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from projections.compare.sides import AFTER, BEFORE, BOTH, Side
from projections.compare.tallies import OPENING_SUM, PIECE_SUMS, SCANNED_SUM, SUMS, VOLUNTEERS_SUM, Rows, Sums
from projections.compare.window_effects import Windows, add_effects, add_plain_effects, add_shares, weigh
from projections.compiled import inlined, kernel
from projections.kernels.credit import Workspace, credit_volunteer
from projections.kernels.honors import HonorWorkspace, reach_honors
from projections.kernels.persons import last_balance
from projections.kernels.projects import YEAR_SLOTS, add_project_months
from projections.schema import (
    COUNTED,
    CREDITED,
    DAY,
    DAYS,
    FIRST,
    HOURS_COLUMNS,
    NO_DAY,
    NONE,
    PIECE_COLUMNS,
    PROJECT,
    RAW,
    ROW,
    SCANNED,
    SHARE,
    STATION,
    Ints,
    Longs,
    ShiftTable,
    VolunteerTable,
)

_HOURS = len(HOURS_COLUMNS)


class Shared(NamedTuple):
    """What holds for all volunteers of a comparison.

    credit: the sides differ at most in honours, so the same credit holds for both. honors: the facts and the
    requirements of honours are the same, too. minutes_min: for each side, the fewest minutes that any honour requires.
    """

    credit: bool
    honors: bool
    first_day: int
    first_year: int
    valid_until: int
    minutes_min: tuple[int, int]


@kernel
def compare(  # noqa: PLR0912 - one volunteer, from top to bottom
    low: int,
    high: int,
    before: Side,
    after: Side,
    shared: Shared,
    sums: Sums,
    windows: tuple[Windows, Windows],
    memory: Workspace,
    honors: HonorWorkspace,
    rows: Rows,
) -> None:
    """Compare the volunteers of a range, and write the differences to `rows`."""
    pieces = np.empty((1024, PIECE_COLUMNS), np.int32)
    others = np.empty((1024, PIECE_COLUMNS), np.int32)
    space = np.empty((1024, PIECE_COLUMNS), np.int32)
    trace, reached, used = sums.trace, sums.reached, rows.used
    first_day, valid_until = shared.first_day, shared.valid_until
    table, volunteers, station_kind, rules = before.table, before.volunteers, before.station_kind, before.rules
    other_table, other_volunteers, other_kind, other_rules = (
        after.table,
        after.volunteers,
        after.station_kind,
        after.rules,
    )
    first, other_first = table.first, other_table.first
    reached_before = reached[BEFORE, : len(rules.honors.minutes)]
    reached_after = reached[AFTER, : len(other_rules.honors.minutes)]
    for volunteer in range(low, high):
        count = other_count = 0
        if first[volunteer + 1] > first[volunteer]:
            count, pieces = credit_volunteer(volunteer, table, volunteers, station_kind, rules, memory, pieces)
            count = _drop_later(valid_until, pieces, count)
        if not shared.credit and other_first[volunteer + 1] > other_first[volunteer]:
            other_count, others = credit_volunteer(
                volunteer, other_table, other_volunteers, other_kind, other_rules, memory, others
            )
            other_count = _drop_later(valid_until, others, other_count)
        opening = _opening(volunteer, volunteers, valid_until)
        other_opening = _opening(volunteer, other_volunteers, valid_until)
        same = shared.credit or (
            opening == other_opening and _same_pieces(table, pieces, count, other_table, others, other_count)
        )
        index, other_index = (BOTH, BOTH) if same else (BEFORE, AFTER)
        factors = _add(volunteer, index, opening, table, pieces, count, first_day, sums)
        other_factors = factors
        if not same:
            other_factors = _add(
                volunteer, other_index, other_opening, other_table, others, other_count, first_day, sums
            )
        _clear_honors(reached)
        minutes = _opening(volunteer, volunteers, NO_DAY) + trace[index, CREDITED - FIRST]
        if minutes >= shared.minutes_min[BEFORE]:
            reach_honors(volunteer, table, volunteers, rules, pieces, count, honors, reached_before)
        if same and shared.honors:
            for honor in range(reached.shape[1]):
                reached[AFTER, honor] = reached[BEFORE, honor]
        elif (
            _opening(volunteer, other_volunteers, NO_DAY) + trace[other_index, CREDITED - FIRST]
            >= shared.minutes_min[AFTER]
        ):
            if shared.credit:
                reach_honors(volunteer, table, volunteers, other_rules, pieces, count, honors, reached_after)
            else:
                reach_honors(
                    volunteer, other_table, other_volunteers, other_rules, others, other_count, honors, reached_after
                )
        place = used[0]
        _write(volunteer, index, other_index, before.honors, after.honors, valid_until, sums, rows, shared.first_year)
        if same or used[0] == place or not _factor_differs(trace):
            continue
        for number in range(2):
            side, sign, has_factors = (before, -1, factors) if number == BEFORE else (after, 1, other_factors)
            side_pieces = pieces if number == BEFORE else others
            side_count = count if number == BEFORE else other_count
            if not has_factors or add_plain_effects(
                sign, windows[number], side.table, side.station_kind, side_pieces, side_count, rows.windows, place
            ):
                continue
            space = _add_counted(
                sign, volunteer, side, windows[number], side_pieces, side_count, valid_until, memory, space, rows, place
            )


@kernel
def _add_counted(
    sign: int,
    volunteer: int,
    side: Side,
    windows: Windows,
    pieces: Ints,
    count: int,
    valid_until: int,
    memory: Workspace,
    space: Ints,
    rows: Rows,
    place: int,
) -> Ints:
    """Add what each window changed, from the minutes counted in it; return the space, which may have grown."""
    exact = np.zeros((count, rows.windows.shape[1]), np.int64)
    for group in range(0, len(windows.at), 2):
        weigh(windows, group)
        weighted, space = credit_volunteer(
            volunteer, side.table, side.volunteers, side.station_kind, windows.rules, memory, space
        )
        weighted = _drop_later(valid_until, space, weighted)
        add_shares(group, windows, space, min(weighted, count), exact)
    add_effects(sign, windows, pieces, count, exact, rows.windows, place)
    return space


@inlined
def _factor_differs(trace: Longs) -> bool:
    share, counted = SHARE - FIRST, COUNTED - FIRST
    change = trace[BEFORE, share] - trace[BEFORE, counted]
    return bool(change != trace[AFTER, share] - trace[AFTER, counted])


@inlined
def _clear_honors(reached: Ints) -> None:
    for side in range(2):
        for honor in range(reached.shape[1]):
            reached[side, honor] = NO_DAY


@kernel
def _drop_later(valid_until: int, pieces: Ints, count: int) -> int:
    """Drop the pieces of days after `valid_until`, moving the others to the front; return their number."""
    if valid_until == NO_DAY:
        return count
    remaining = 0
    for number in range(count):
        if pieces[number, DAY] <= valid_until:
            for column in range(PIECE_COLUMNS):
                pieces[remaining, column] = pieces[number, column]
            remaining += 1
    return remaining


@kernel
def _opening(volunteer: int, volunteers: VolunteerTable, valid_until: int) -> int:
    """Return the total minutes of the opening balances dated up to a day."""
    balance = last_balance(volunteer, volunteers, valid_until)
    return int(volunteers.balance_minutes[balance]) if balance >= 0 else 0


@kernel
def _same_pieces(
    table: ShiftTable, pieces: Ints, count: int, other: ShiftTable, others: Ints, other_count: int
) -> bool:
    """Return whether two lists of pieces are equal, including station, project and grade of their shifts; the rows of
    the shifts may differ.
    """
    if count != other_count:
        return False
    stations, projects, grades = table.rows[:, STATION], table.rows[:, PROJECT], table.rows[:, SCANNED]
    other_stations, other_projects, other_grades = (
        other.rows[:, STATION],
        other.rows[:, PROJECT],
        other.rows[:, SCANNED],
    )
    for number in range(count):
        for column in range(DAY, PIECE_COLUMNS):
            if pieces[number, column] != others[number, column]:
                return False
        row, other_row = pieces[number, ROW], others[number, ROW]
        if (
            stations[row] != other_stations[other_row]
            or projects[row] != other_projects[other_row]
            or grades[row] != other_grades[other_row]
        ):
            return False
    return True


@kernel
def _add(
    volunteer: int, side: int, opening: int, table: ShiftTable, pieces: Ints, count: int, first_day: int, sums: Sums
) -> bool:
    """Add pieces to a volunteer's trace and years, and to the stations and projects of a side; return whether a factor
    changed any of them.
    """
    stations, grades = table.rows[:, STATION], table.rows[:, SCANNED]
    trace, by_year, at_station, stamps = sums.trace[side], sums.by_year[side], sums.stations[side], sums.stamps[side]
    projects = sums.projects[side]
    slots = projects.slots
    factors = False
    for column in range(SUMS):
        trace[column] = 0
    for number in range(count):
        station, day = stations[pieces[number, ROW]], pieces[number, DAY]
        credited = pieces[number, CREDITED]
        scanned = credited if grades[pieces[number, ROW]] else 0
        factors |= pieces[number, SHARE] != pieces[number, COUNTED]
        for column in range(PIECE_SUMS):
            trace[column] += pieces[number, FIRST + column]
        trace[SCANNED_SUM] += scanned
        if station >= 0:
            for column in range(PIECE_SUMS):
                at_station[station, column] += pieces[number, FIRST + column]
            at_station[station, SCANNED_SUM] += scanned
            if pieces[number, FIRST]:
                stamp = volunteer * DAYS + day  # shifts come in order of time, so equal days are adjacent
                if stamps[station] != stamp:
                    stamps[station] = stamp
                    at_station[station, VOLUNTEERS_SUM] += 1
        year = slots[day - first_day] // YEAR_SLOTS
        by_year[year, 0] += pieces[number, FIRST]
        by_year[year, 1] += pieces[number, RAW]
        by_year[year, 2] += pieces[number, COUNTED]
        by_year[year, 3] += credited
        by_year[year, 4] += scanned
        by_year[year, 5] += credited - scanned
    if count:
        add_project_months(volunteer, table, pieces, count, first_day, projects)
    trace[OPENING_SUM] = opening
    totals = sums.totals[side]
    for column in range(SUMS):
        totals[column] += trace[column]
    return factors


@kernel
def _write(
    volunteer: int,
    before: int,
    after: int,
    honors: Ints,
    other_honors: Ints,
    valid_until: int,
    sums: Sums,
    rows: Rows,
    first_year: int,
) -> None:
    """Write a volunteer's years, and the rest if anything differs. Days after `valid_until` count as never."""
    used, reached, trace = rows.used, sums.reached, sums.trace
    differs = False
    if trace[before, 0] or trace[before, 1] or trace[after, 0] or trace[after, 1]:
        differs = _write_years(volunteer, before, after, first_year, sums.by_year, rows.years, used)
    for honor in range(len(honors)):
        day = NO_DAY if honors[honor] == NONE else reached[BEFORE, honors[honor]]
        other_day = NO_DAY if other_honors[honor] == NONE else reached[AFTER, other_honors[honor]]
        day = day if day <= valid_until else NO_DAY
        other_day = other_day if other_day <= valid_until else NO_DAY
        if day != other_day:
            row = used[4]
            rows.honors[row, 0], rows.honors[row, 1] = volunteer, honor
            rows.honors[row, 2], rows.honors[row, 3] = day, other_day
            used[4] += 1
            differs = True
    for column in range(SUMS):
        differs |= trace[before, column] != trace[after, column]
    if differs:
        rows.volunteers[used[0]] = volunteer
        for column in range(SUMS):
            rows.traces[used[0], BEFORE, column] = trace[before, column]
            rows.traces[used[0], AFTER, column] = trace[after, column]
        for column in range(3):
            used[column] += 1


@inlined
def _write_years(
    volunteer: int, before: int, after: int, first_year: int, by_year: Longs, years: Longs, used: Longs
) -> bool:
    """Write the years of a volunteer that are not all zero, and return whether any differs."""
    differs = False
    for year in range(by_year.shape[1]):
        nonzero = False
        for column in range(_HOURS):
            nonzero |= by_year[before, year, column] != 0 or by_year[after, year, column] != 0
            differs |= by_year[before, year, column] != by_year[after, year, column]
        if not nonzero:
            continue
        row = used[3]
        years[row, 0], years[row, 1] = volunteer, first_year + year
        for column in range(_HOURS):
            years[row, 2 + column] = by_year[before, year, column]
            years[row, 2 + _HOURS + column] = by_year[after, year, column]
        for column in range(_HOURS):
            by_year[before, year, column] = by_year[after, year, column] = 0
        used[3] += 1
    return differs
