"""Read models: one pass over all volunteers.

The pass credits each volunteer (`projections.kernels.credit`) and adds up the pieces, which are not stored. Volunteers
are independent of one another, so ranges of volunteers run in parallel; shared sums, such as station days, are combined
at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from projections.compiled import inlined, kernel
from projections.kernels.credit import Workspace, credit_volunteer, workspace
from projections.kernels.honors import HonorWorkspace, honor_workspace, reach_honors
from projections.kernels.order import balanced
from projections.kernels.persons import last_balance
from projections.kernels.projects import ProjectTotals, add_project_months, combine_totals, first_year, project_totals
from projections.kernels.station_kinds import StationKinds
from projections.local_time import civil, number_of
from projections.rules.table import RuleTable
from projections.schema import (
    COUNTED,
    CREDITED,
    DAY,
    DAYS,
    END,
    FIRST,
    HOURS_COLUMNS,
    NO_DAY,
    NONE,
    PIECE_COLUMNS,
    RAW,
    ROW,
    SCANNED,
    SERVED_DAY,
    SERVED_PEOPLE,
    SERVED_STATION,
    START,
    STATION,
    STATION_COLUMNS,
    Ints,
    Longs,
    ShiftTable,
    VolunteerTable,
)

_YEAR_ZERO = 1999
"""The first year of the table of years. A minute belongs to its local year, and instants are accepted from the first
hour of 2000 anywhere, when it is still 1999 in other time zones.
"""
_PIECES = len(HOURS_COLUMNS)
_CREDITED = 2 + HOURS_COLUMNS.index("credited")
_ATTESTED = 2 + HOURS_COLUMNS.index("attested")


class ReadModels(NamedTuple):
    """All read models of one replay, as columns.

    hours: int64[n, 8]: volunteer, year (0 for all years, with the opening balance), then `HOURS_COLUMNS`; sorted by
    volunteer and year. stations: int64[stations, days, len(STATION_COLUMNS)]: local days from `first_day` on.
    without_station: int64[days, len(STATION_COLUMNS)]: the same for shifts without a station, which no table holds.
    standings: int32[n, 3]: volunteer, honour (row of the HonorTable), day reached; sorted by volunteer and honour.
    projects: int64[projects, years, YEAR_SLOTS, len(PROJECT_COLUMNS)]: years from `first_year` on, month 0 for the
    whole year.
    """

    hours: Longs
    stations: Longs
    without_station: Longs
    first_day: int
    standings: Ints
    projects: Longs
    first_year: int


class Totals(NamedTuple):
    """The sums of one thread. Hours and standings are filled from the front; `used` has the number of rows of each."""

    hours: Longs
    standings: Ints
    stations: Ints  # int32 suffices for the minutes of one station and day; the last row is that of no station
    stamps: Longs  # by station: the volunteer and day counted last
    years: Longs  # by year from 1999 on: HOURS_COLUMNS and the number of pieces; zero between volunteers
    reached: Ints
    used: Longs
    projects: ProjectTotals


def compute(
    table: ShiftTable,
    volunteers: VolunteerTable,
    station_kind: StationKinds,
    rules: RuleTable,
    served: Ints,
    *,
    threads: int = 1,
    valid_until: int = NO_DAY,
) -> ReadModels:
    """Compute all read models.

    Args:
        table, volunteers, station_kind, rules: facts and rules, with the same indices.
        served: int32[n, 4]: station, project (`NONE` without), day, people served.
        threads: the number of ranges of volunteers that run in parallel.
        valid_until: the last local day whose results count (the axis `valid_at`); it filters results, never events.
    """
    served = served[(served[:, SERVED_DAY] <= valid_until) & (served[:, SERVED_PEOPLE] > 0)]
    first_day, last_day = day_range(table, served)
    ranges = balanced(table.first, threads)
    rows = (last_day - first_day + 1) // 365 + 4  # the maximum for a volunteer: one for each year, and one for all
    hours = np.empty((len(table.first) * rows, 2 + len(HOURS_COLUMNS)), np.int64)  # unused rows stay virtual memory
    totals = [
        _allocate(hours[low * rows : high * rows], high - low, len(station_kind.kind), first_day, last_day, rules)
        for low, high in ranges
    ]
    longest = int(np.diff(table.first).max(initial=0))

    def work(number: int) -> None:
        low, high = ranges[number]
        memory, honors = workspace(longest), honor_workspace()
        _pass_over(
            low, high, table, volunteers, station_kind, rules, first_day, valid_until, memory, honors, totals[number]
        )

    with ThreadPoolExecutor(len(ranges)) as pool:
        list(pool.map(work, range(len(ranges))))
    stations = np.zeros(totals[0].stations.shape, np.int64)
    for total in totals:
        stations += total.stations
    people = stations[:, :, STATION_COLUMNS.index("people_served")]
    np.add.at(people, (served[:, SERVED_STATION], served[:, SERVED_DAY] - first_day), served[:, SERVED_PEOPLE])
    return ReadModels(
        hours=_compacted(hours, [(low * rows, total.used[0]) for (low, _), total in zip(ranges, totals, strict=True)]),
        stations=stations[:-1],
        without_station=stations[-1],
        first_day=first_day,
        standings=np.concatenate([total.standings[: total.used[1]] for total in totals]),
        projects=combine_totals([total.projects for total in totals], served, first_day),
        first_year=first_year(first_day),
    )


def pieces_of(
    volunteer: int, table: ShiftTable, volunteers: VolunteerTable, station_kind: StationKinds, rules: RuleTable
) -> Ints:
    """Return the pieces of one volunteer, int32[n, PIECE_COLUMNS]."""
    shifts = int(table.first[volunteer + 1] - table.first[volunteer])
    count, pieces = credit_volunteer(
        volunteer,
        table,
        volunteers,
        station_kind,
        rules,
        workspace(shifts),
        np.empty((shifts + 16, PIECE_COLUMNS), np.int32),
    )
    return pieces[:count]


def day_range(table: ShiftTable, served: Ints) -> tuple[int, int]:
    """Return the first and last local day that results can have: those in UTC, and a margin on both sides."""
    earliest, latest = _edges(table)
    # A shift without a check-out may last up to a day.
    days = [earliest // 1440 - 1, latest // 1440 + 2] if len(table.rows) else []
    days += [int(edge) for edge in (served[:, SERVED_DAY].min(), served[:, SERVED_DAY].max())] if len(served) else []
    return (min(days), max(days)) if days else (0, 0)


@kernel
def _edges(table: ShiftTable) -> tuple[int, int]:
    """Return the first and last minute of all shifts."""
    starts, ends = table.rows[:, START], table.rows[:, END]
    earliest, latest = np.int64(1 << 40), np.int64(0)
    for row in range(len(starts)):
        earliest = min(earliest, starts[row])
        latest = max(latest, starts[row], ends[row])
        if ends[row] != NONE:
            earliest = min(earliest, ends[row])
    return int(earliest), int(latest)


def _compacted(rows: Longs, parts: Sequence[tuple[int, int]]) -> Longs:
    """Move parts of an array, each given by its first row and its number of rows, to the front; return them."""
    end = 0
    for first, count in parts:
        rows[end : end + count] = rows[first : first + count]
        end += count
    return rows[:end]


def _allocate(hours: Longs, volunteers: int, stations: int, first_day: int, last_day: int, rules: RuleTable) -> Totals:
    days = last_day - first_day + 1
    return Totals(
        hours=hours,
        standings=np.empty((volunteers * len(rules.honors.minutes), 3), np.int32),
        stations=np.zeros((stations + 1, days, len(STATION_COLUMNS)), np.int32),
        stamps=np.full(stations + 1, -1, np.int64),
        years=np.zeros((DAYS // 365 + 2, _PIECES + 1), np.int64),
        reached=np.empty(len(rules.honors.minutes), np.int32),
        used=np.zeros(2, np.int64),
        projects=project_totals(rules.factors.project.shape[1] - 1, first_day, last_day),
    )


@kernel
def _pass_over(
    low: int,
    high: int,
    table: ShiftTable,
    volunteers: VolunteerTable,
    station_kind: StationKinds,
    rules: RuleTable,
    first_day: int,
    valid_until: int,
    memory: Workspace,
    honors: HonorWorkspace,
    totals: Totals,
) -> None:
    pieces = np.empty((1024, PIECE_COLUMNS), np.int32)
    for volunteer in range(low, high):
        count, pieces = credit_volunteer(volunteer, table, volunteers, station_kind, rules, memory, pieces)
        if valid_until != NO_DAY:
            count = _drop_later(valid_until, pieces, count)
        balance = last_balance(volunteer, volunteers, valid_until)
        opening = volunteers.balance_minutes[balance] if balance >= 0 else 0
        if count or balance >= 0:
            _add_hours(volunteer, opening, table, pieces, count, totals)
            _add_station_days(volunteer, table, pieces, count, first_day, totals)
            add_project_months(volunteer, table, pieces, count, first_day, totals.projects)
        reach_honors(volunteer, table, volunteers, rules, pieces, count, honors, totals.reached)
        for honor in range(len(totals.reached)):
            if totals.reached[honor] != NO_DAY and totals.reached[honor] <= valid_until:
                row = totals.used[1]
                totals.standings[row, 0] = volunteer
                totals.standings[row, 1] = honor
                totals.standings[row, 2] = totals.reached[honor]
                totals.used[1] += 1


@inlined
def _drop_later(valid_until: int, pieces: Ints, count: int) -> int:
    """Drop the pieces of days after `valid_until`, moving the others to the front; return their number."""
    remaining = 0
    for number in range(count):
        if pieces[number, DAY] <= valid_until:
            for column in range(PIECE_COLUMNS):
                pieces[remaining, column] = pieces[number, column]
            remaining += 1
    return remaining


@inlined
def _add_hours(volunteer: int, opening: int, table: ShiftTable, pieces: Ints, count: int, totals: Totals) -> None:
    """Add up the pieces by year; the row of year 0 is their total plus the opening balance."""
    scanned, hours, years = table.rows[:, SCANNED], totals.hours, totals.years
    first_year, last_year = 0, -1
    since, until, year = 1, 0, 0  # the days of the current year, which seldom changes: pieces come nearly in order
    for number in range(count):
        day = pieces[number, DAY]
        if not since <= day < until:
            calendar_year = civil(day)[0]
            year = calendar_year - _YEAR_ZERO
            since, until = number_of(calendar_year, 1, 1), number_of(calendar_year + 1, 1, 1)
            first_year = year if last_year < 0 else min(first_year, year)
            last_year = max(last_year, year)
        credited = pieces[number, CREDITED]
        years[year, 0] += pieces[number, FIRST]
        years[year, 1] += pieces[number, RAW]
        years[year, 2] += pieces[number, COUNTED]
        years[year, 3] += credited
        years[year, 4 if scanned[pieces[number, ROW]] else 5] += credited
        years[year, _PIECES] += 1
    total_row = row = totals.used[0]
    hours[total_row, 0] = volunteer
    hours[total_row, 1:] = 0
    hours[total_row, _CREDITED] = hours[total_row, _ATTESTED] = opening
    for year in range(first_year, last_year + 1):
        if years[year, _PIECES] == 0:
            continue
        row += 1
        hours[row, 0] = volunteer
        hours[row, 1] = year + _YEAR_ZERO
        for column in range(_PIECES):
            hours[row, 2 + column] = years[year, column]
            hours[total_row, 2 + column] += years[year, column]
        years[year] = 0
    totals.used[0] = row + 1


@inlined
def _add_station_days(
    volunteer: int, table: ShiftTable, pieces: Ints, count: int, first_day: int, totals: Totals
) -> None:
    """Add each piece to its station and day. A volunteer counts once per station and day on which a shift begins.

    A shift without a station has the number `NONE`, -1, which is the index of the last row.
    """
    rows, sums, stamps = table.rows[:, STATION], totals.stations, totals.stamps
    for number in range(count):
        day = pieces[number, DAY]
        station = rows[pieces[number, ROW]]
        at = day - first_day
        if pieces[number, FIRST]:
            sums[station, at, 0] += 1
            stamp = volunteer * DAYS + day  # shifts come in order of time, so equal days are adjacent
            if stamps[station] != stamp:
                stamps[station] = stamp
                sums[station, at, 1] += 1
        sums[station, at, 2] += pieces[number, RAW]
        sums[station, at, 3] += pieces[number, COUNTED]
        sums[station, at, 4] += pieces[number, CREDITED]
