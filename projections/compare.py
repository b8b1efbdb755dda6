"""Compare: one volunteer under two sides, and what is kept where they differ. The kernels behind `differences`.

Both sides are credited by the one loop that credits everything, while the shifts are still in the processor's cache.
What is the same on both sides is added up once. What runs once per volunteer is a call, not inlined, so that it is
compiled once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from projections.compiled import inlined, kernel
from projections.credit import Workspace, credit_volunteer
from projections.honors import HonorWorkspace, reach_honors
from projections.projects import YEAR_SLOTS, ProjectTotals, add_project_months, project_totals
from projections.schema import (
    CAPPED,
    CLIPPED,
    COUNTED,
    CREDITED,
    DAY,
    DAYS,
    FIRST,
    HOURS_COLUMNS,
    NO_DAY,
    NONE,
    OVERLAPPED,
    PIECE_COLUMNS,
    PROJECT,
    RAW,
    ROW,
    SCANNED,
    SHARE,
    STATION,
    SUPERSEDED,
    TOO_SHORT,
    Ints,
    Longs,
    ShiftTable,
    VolunteerTable,
)
from projections.sides import AFTER, BEFORE, BOTH, STATION_CHANGE_COLUMNS, TRACE_COLUMNS, Side
from projections.windows import Windows, add_effects, weigh

_CREDITED, _SCANNED, _OPENING = (TRACE_COLUMNS.index(name) for name in ("credited", "scanned", "opening_balance"))
_ATTESTED = _SCANNED + 1
_FACTOR = TRACE_COLUMNS.index("factor_change")
_TRACE = len(TRACE_COLUMNS)
_VOLUNTEERS = STATION_CHANGE_COLUMNS.index("volunteers")
_STATION = len(STATION_CHANGE_COLUMNS)
_HOURS = len(HOURS_COLUMNS)


class Sums(NamedTuple):
    """What one thread adds up, and its working memory; the first index of three is before, after, the same on both."""

    stations: Longs  # [3, stations, STATION_CHANGE_COLUMNS]
    totals: Longs  # [3, TRACE_COLUMNS]
    projects: tuple[ProjectTotals, ProjectTotals, ProjectTotals]
    stamps: Longs  # [3, stations]: the volunteer and day last counted there
    trace: Longs  # [3, TRACE_COLUMNS]: of one volunteer
    by_year: Longs  # [3, years, HOURS_COLUMNS]: of one volunteer; zero between volunteers
    reached: Ints  # [2, the most honours of a side]
    part: Longs  # of one piece, in the order of TRACE_COLUMNS


class Rows(NamedTuple):
    """What is kept of one range of volunteers. Rows are written from the front; `used` says how many of each."""

    volunteers: Ints
    traces: Longs
    windows: Longs
    years: Longs
    honors: Ints
    used: Longs


def sums_of(before: Side, after: Side, projects: int, first_day: int, last_day: int) -> Sums:
    stations = len(before.station_kind)
    of_projects = [project_totals(projects, first_day, last_day) for _ in range(3)]
    years = of_projects[0].sums.shape[1] // YEAR_SLOTS
    honors = max(len(side.rules.honors.minutes) for side in (before, after))
    return Sums(
        stations=np.zeros((3, stations, _STATION), np.int64),
        totals=np.zeros((3, _TRACE), np.int64),
        projects=(of_projects[0], of_projects[1], of_projects[2]),
        stamps=np.full((3, stations), -1, np.int64),
        trace=np.zeros((3, _TRACE), np.int64),
        by_year=np.zeros((3, years, _HOURS), np.int64),
        reached=np.empty((2, honors), np.int32),
        part=np.zeros(_TRACE, np.int64),
    )


def room_for(volunteers: int, names: int, honors: int, years: int) -> Rows:
    """Make room for all of a range to differ; memory that no row is written to is never touched."""
    return Rows(
        volunteers=np.empty(volunteers, np.int32),
        traces=np.empty((volunteers, 2, _TRACE), np.int64),
        windows=np.zeros((volunteers, names), np.int64),
        years=np.empty((volunteers * years, 2 + 2 * _HOURS), np.int64),
        honors=np.empty((volunteers * honors, 4), np.int32),
        used=np.zeros(5, np.int64),
    )


def written(rows: Rows) -> Rows:
    """Keep the rows that were written, in memory of their own: the room for them is larger."""
    one, two, three, four, five = rows.used.tolist()
    return Rows(
        volunteers=rows.volunteers[:one].copy(),
        traces=rows.traces[:two].copy(),
        windows=rows.windows[:three].copy(),
        years=rows.years[:four].copy(),
        honors=rows.honors[:five].copy(),
        used=rows.used,
    )


# --- kernels --------------------------------------------------------------------------------------------------------


@kernel
def compare(
    low: int,
    high: int,
    before: Side,
    after: Side,
    same_credit: bool,  # noqa: FBT001 - numba knows no keyword-only arguments
    first_day: int,
    year_zero: int,
    valid_until: int,
    sums: Sums,
    windows: tuple[Windows, Windows],
    memory: Workspace,
    honors: HonorWorkspace,
    rows: Rows,
) -> None:
    pieces = np.empty((1024, PIECE_COLUMNS), np.int32)
    others = np.empty((1024, PIECE_COLUMNS), np.int32)
    reached = sums.reached
    table, volunteers, station_kind, rules = before.table, before.volunteers, before.station_kind, before.rules
    other_table, other_volunteers, other_kind, other_rules = (
        after.table,
        after.volunteers,
        after.station_kind,
        after.rules,
    )
    for volunteer in range(low, high):
        count, pieces = credit_volunteer(volunteer, table, volunteers, station_kind, rules, memory, pieces)
        count = _keep_until(valid_until, pieces, count)
        other_count, same = count, True
        if not same_credit:
            other_count, others = credit_volunteer(
                volunteer, other_table, other_volunteers, other_kind, other_rules, memory, others
            )
            other_count = _keep_until(valid_until, others, other_count)
            same = _same_pieces(table, pieces, count, other_table, others, other_count)
        _reach(volunteer, before, valid_until, pieces, count, honors, reached[BEFORE])
        _reach(volunteer, after, valid_until, pieces if same_credit else others, other_count, honors, reached[AFTER])
        opening = _opening(volunteer, volunteers, valid_until)
        other_opening = _opening(volunteer, other_volunteers, valid_until)
        same &= opening == other_opening
        _add(volunteer, BOTH if same else BEFORE, opening, table, pieces, count, first_day, sums)
        if not same:
            _add(volunteer, AFTER, other_opening, other_table, others, other_count, first_day, sums)
        kept = rows.used[0]
        _keep(volunteer, same, before.honors, after.honors, sums, rows, year_zero)
        if same or rows.used[0] == kept or rows.traces[kept, 0, _FACTOR] == rows.traces[kept, 1, _FACTOR]:
            continue
        for number in range(2):
            side, sign = (before, -1) if number == BEFORE else (after, 1)
            for group in range(0, len(windows[number].at), 2):
                weigh(windows[number], group)
                count, pieces = credit_volunteer(
                    volunteer,
                    side.table,
                    side.volunteers,
                    side.station_kind,
                    windows[number].rules,
                    memory,
                    pieces,
                )
                count = _keep_until(valid_until, pieces, count)
                add_effects(sign, group, windows[number], pieces, count, rows.windows, kept)


@kernel
def _keep_until(valid_until: int, pieces: Ints, count: int) -> int:
    """Move the pieces of days up to `valid_until` to the front; return how many they are."""
    if valid_until == NO_DAY:
        return count
    kept = 0
    for number in range(count):
        if pieces[number, DAY] <= valid_until:
            for column in range(PIECE_COLUMNS):
                pieces[kept, column] = pieces[number, column]
            kept += 1
    return kept


@kernel
def _reach(
    volunteer: int, side: Side, valid_until: int, pieces: Ints, count: int, honors: HonorWorkspace, reached: Ints
) -> None:
    """Write the day on which each honour of one side was reached; a day after `valid_until` is never."""
    own = reached[: len(side.rules.honors.minutes)]
    reach_honors(volunteer, side.table, side.volunteers, side.rules, pieces, count, honors, own)
    for honor in range(len(own)):
        if own[honor] > valid_until:
            own[honor] = NO_DAY


@kernel
def _opening(volunteer: int, volunteers: VolunteerTable, valid_until: int) -> int:
    """Return the minutes of an opening balance that counts."""
    day = volunteers.opening_day[volunteer]
    return int(volunteers.opening_minutes[volunteer]) if day != NO_DAY and day <= valid_until else 0


@kernel
def _same_pieces(
    table: ShiftTable, pieces: Ints, count: int, other: ShiftTable, others: Ints, other_count: int
) -> bool:
    """Tell whether two lists of pieces say the same of the same places; the rows they lie in may differ."""
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
) -> None:
    """Add pieces to a volunteer's trace and years, and to the stations and projects of a side."""
    stations, grades = table.rows[:, STATION], table.rows[:, SCANNED]
    trace, part, by_year, at_station, stamps = sums.trace, sums.part, sums.by_year, sums.stations, sums.stamps
    projects = sums.projects[side]
    slots = projects.slots
    for column in range(_TRACE):
        trace[side, column] = 0
    for number in range(count):
        station, day = stations[pieces[number, ROW]], pieces[number, DAY]
        share, credited, counted = pieces[number, SHARE], pieces[number, CREDITED], pieces[number, COUNTED]
        scanned = credited if grades[pieces[number, ROW]] else 0
        part[0] = pieces[number, FIRST]
        part[1] = pieces[number, RAW]
        part[2] = pieces[number, SUPERSEDED]
        part[3] = pieces[number, TOO_SHORT]
        part[4] = pieces[number, CLIPPED]
        part[5] = pieces[number, OVERLAPPED]
        part[6] = pieces[number, CAPPED]
        part[7] = counted
        part[8] = share - counted
        part[9] = share - credited
        part[10] = credited
        part[11] = scanned
        part[12] = credited - scanned
        for column in range(_OPENING):
            trace[side, column] += part[column]
            at_station[side, station, column] += part[column]
        if part[0]:
            stamp = volunteer * DAYS + day  # shifts come in order of time, so equal days follow one another
            if stamps[side, station] != stamp:
                stamps[side, station] = stamp
                at_station[side, station, _VOLUNTEERS] += 1
        year = slots[day - first_day] // YEAR_SLOTS
        by_year[side, year, 0] += part[0]
        by_year[side, year, 1] += part[1]
        by_year[side, year, 2] += counted
        by_year[side, year, 3] += credited
        by_year[side, year, 4] += scanned
        by_year[side, year, 5] += credited - scanned
    add_project_months(volunteer, table, pieces, count, first_day, projects)
    trace[side, _CREDITED] += opening
    trace[side, _ATTESTED] += opening
    trace[side, _OPENING] = opening
    for column in range(_TRACE):
        sums.totals[side, column] += trace[side, column]


@kernel
def _keep(
    volunteer: int,
    same: bool,  # noqa: FBT001 - as above
    honors: Ints,
    other_honors: Ints,
    sums: Sums,
    rows: Rows,
    first_year: int,
) -> None:
    """Write a volunteer's years, and the rest if anything differs."""
    used, reached, trace = rows.used, sums.reached, sums.trace
    before, after = (BOTH, BOTH) if same else (BEFORE, AFTER)
    differs = _keep_years(volunteer, before, after, first_year, sums.by_year, rows.years, used)
    for honor in range(len(honors)):
        day = NO_DAY if honors[honor] == NONE else reached[BEFORE, honors[honor]]
        other_day = NO_DAY if other_honors[honor] == NONE else reached[AFTER, other_honors[honor]]
        if day != other_day:
            row = used[4]
            rows.honors[row, 0], rows.honors[row, 1] = volunteer, honor
            rows.honors[row, 2], rows.honors[row, 3] = day, other_day
            used[4] += 1
            differs = True
    for column in range(_TRACE):
        differs |= trace[before, column] != trace[after, column]
    if differs:
        rows.volunteers[used[0]] = volunteer
        for column in range(_TRACE):
            rows.traces[used[0], BEFORE, column] = trace[before, column]
            rows.traces[used[0], AFTER, column] = trace[after, column]
        for column in range(3):
            used[column] += 1


@inlined
def _keep_years(
    volunteer: int, before: int, after: int, first_year: int, by_year: Longs, years: Longs, used: Longs
) -> bool:
    """Write the years of a volunteer in which anything is known, and tell whether any differs."""
    differs = False
    for year in range(by_year.shape[1]):
        known = False
        for column in range(_HOURS):
            known |= by_year[before, year, column] != 0 or by_year[after, year, column] != 0
            differs |= by_year[before, year, column] != by_year[after, year, column]
        if not known:
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
