"""Belonging: what was done in each organisation, added up over the tree, by month and year (docs/organisations.md).

Whoever belongs somewhere does so by days: a station under an organisation, a volunteer as its member, an organisation
under its parent. So a *route* stands for one state of affairs: the *groups* to which a piece is added. An organisation
is several groups: what is its own, what is its own and below it, and its part of what its parent has. A key (a station,
a project, a volunteer) has spans, each with the route that holds from its first day on.

One pass over all volunteers credits them and adds their pieces up; nothing is kept of the pieces. A volunteer counts
once in a group and month, and once in a group and year.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from projections.compiled import inlined, kernel
from projections.kernels.credit import Workspace, credit_volunteer, workspace
from projections.kernels.order import balanced
from projections.kernels.projects import YEAR_SLOTS, first_year, slots_of
from projections.kernels.read_models import day_range
from projections.rules.table import RuleTable
from projections.schema import (
    COUNTED,
    CREDITED,
    DAY,
    FIRST,
    NONE,
    PIECE_COLUMNS,
    PROJECT,
    RAW,
    ROW,
    SCANNED,
    SERVED_DAY,
    SERVED_PEOPLE,
    SERVED_PROJECT,
    SERVED_STATION,
    STATION,
    Ints,
    Longs,
    ShiftTable,
    VolunteerTable,
)

GROUP_COLUMNS = ("shifts", "volunteers", "raw", "counted", "credited", "scanned", "people_served")
_VOLUNTEERS, _PEOPLE = GROUP_COLUMNS.index("volunteers"), GROUP_COLUMNS.index("people_served")
ALWAYS = -(1 << 30)
"""A day before all days."""


class Spans(NamedTuple):
    """`since[first[k]:first[k + 1]]` are the days, ascending, on which the routes of key k begin; before the first one,
    and where a route is `NONE`, it has none.
    """

    first: Ints
    since: Ints
    route: Ints


class Routes(NamedTuple):
    """`groups[first[r]:first[r + 1]]` are the groups of route r."""

    first: Ints
    groups: Ints


class Placed(NamedTuple):
    """Where shifts belong: to the station's route on the day they begin, or if there is none, to the project's; or,
    where `members` is set, each piece to the volunteer's route on its own day. What has no route has `no_route`.
    """

    stations: Spans
    projects: Spans
    volunteers: Spans
    routes: Routes
    no_route: int
    members: bool


class GroupSums(NamedTuple):
    """int64[groups, years, YEAR_SLOTS, GROUP_COLUMNS], years from `first_year` on, month 0 for the whole year."""

    sums: Longs
    first_year: int


class _Work(NamedTuple):
    """What one thread adds up. `months` and `years`: by group, the volunteer and slot last counted there."""

    sums: Longs
    months: Longs
    years: Longs


def spans_of(keys: Iterable[Sequence[tuple[int, int]]]) -> Spans:
    """Return spans of keys in order: of each, the day since which and the route, ascending."""
    rows = list(keys)
    first = np.cumsum([0, *(len(row) for row in rows)]).astype(np.int32)
    flat = np.array([pair for row in rows for pair in row], np.int32).reshape(-1, 2)
    return Spans(first, np.ascontiguousarray(flat[:, 0]), np.ascontiguousarray(flat[:, 1]))


def routes_of(routes: Sequence[Sequence[int]]) -> Routes:
    """Return routes in order: the groups of each."""
    first = np.cumsum([0, *(len(route) for route in routes)]).astype(np.int32)
    return Routes(first, np.array([group for route in routes for group in route], np.int32))


def add_up(
    table: ShiftTable,
    volunteers: VolunteerTable,
    station_kind: Ints,
    rules: RuleTable,
    served: Ints,
    placed: Placed,
    valid_until: int,
    *,
    threads: int = 1,
) -> GroupSums:
    """Credit all volunteers and add up by group.

    Args:
        table, volunteers, station_kind, rules: facts and rules, indexed alike.
        served: int32[n, 4]: station, project (`NONE` without), day, people; of members it is left out.
        placed: where everything belongs; its spans are indexed as the facts are.
        valid_until: the last local day whose results count.
    """
    served = served[(served[:, SERVED_DAY] <= valid_until) & (served[:, SERVED_PEOPLE] > 0)]
    first_day, last_day = day_range(table, served)
    slots, years = slots_of(first_day, last_day)
    groups = int(placed.routes.groups.max(initial=0)) + 1
    ranges = balanced(table.first, threads)
    works = [
        _Work(
            np.zeros((groups, years * YEAR_SLOTS, len(GROUP_COLUMNS)), np.int64),
            np.full(groups, NONE, np.int64),
            np.full(groups, NONE, np.int64),
        )
        for _ in ranges
    ]
    longest = int(np.diff(table.first).max(initial=0))

    def work(number: int) -> None:
        low, high = ranges[number]
        memory = workspace(longest)
        _pass_over(
            low,
            high,
            table,
            volunteers,
            station_kind,
            rules,
            memory,
            placed,
            slots,
            first_day,
            valid_until,
            works[number],
        )

    with ThreadPoolExecutor(max(1, len(ranges))) as pool:
        list(pool.map(work, range(len(ranges))))
    sums = sum((one.sums for one in works[1:]), start=works[0].sums)
    if not placed.members:
        _add_served(served, placed, slots, first_day, sums)
    by_year = sums.reshape(groups, years, YEAR_SLOTS, len(GROUP_COLUMNS))
    of_years = by_year[:, :, 0, _VOLUNTEERS].copy()
    by_year[:, :, 0] = by_year[:, :, 1:].sum(axis=2)
    by_year[:, :, 0, _VOLUNTEERS] = of_years
    return GroupSums(by_year, first_year(first_day))


@inlined
def _route_on(key: int, day: int, spans: Spans) -> int:
    """Return the route of a key on a day, or `NONE`."""
    if key < 0:
        return NONE
    at = spans.first[key + 1] - 1
    while at >= spans.first[key] and spans.since[at] > day:
        at -= 1
    return int(spans.route[at]) if at >= spans.first[key] else NONE


@inlined
def _route_of_place(station: int, project: int, day: int, placed: Placed) -> int:
    route = _route_on(station, day, placed.stations)
    if route == NONE:
        route = _route_on(project, day, placed.projects)
    return route if route != NONE else placed.no_route


@kernel
def _pass_over(
    low: int,
    high: int,
    table: ShiftTable,
    volunteers: VolunteerTable,
    station_kind: Ints,
    rules: RuleTable,
    memory: Workspace,
    placed: Placed,
    slots: Ints,
    first_day: int,
    valid_until: int,
    work: _Work,
) -> None:
    pieces = np.empty((1024, PIECE_COLUMNS), np.int32)
    rows = table.rows
    for volunteer in range(low, high):
        count, pieces = credit_volunteer(volunteer, table, volunteers, station_kind, rules, memory, pieces)
        route = placed.no_route
        for number in range(count):
            day = pieces[number, DAY]
            row = pieces[number, ROW]
            if placed.members:
                route = _route_on(volunteer, day, placed.volunteers)
                if route == NONE:
                    route = placed.no_route
            elif pieces[number, FIRST]:  # a shift's first piece comes first, and the others follow it
                route = _route_of_place(rows[row, STATION], rows[row, PROJECT], day, placed)
            if day <= valid_until:
                _add_piece(volunteer, route, slots[day - first_day], rows[row, SCANNED], pieces, number, placed, work)


@inlined
def _add_piece(
    volunteer: int, route: int, slot: int, scanned: int, pieces: Ints, number: int, placed: Placed, work: _Work
) -> None:
    sums, slots_in_all = work.sums, work.sums.shape[1]
    credited = pieces[number, CREDITED]
    for at in range(placed.routes.first[route], placed.routes.first[route + 1]):
        group = placed.routes.groups[at]
        if pieces[number, FIRST]:
            sums[group, slot, 0] += 1
            stamp = volunteer * slots_in_all + slot
            if work.months[group] != stamp:
                work.months[group] = stamp
                sums[group, slot, 1] += 1
                whole = slot // YEAR_SLOTS * YEAR_SLOTS
                stamp = volunteer * slots_in_all + whole
                if work.years[group] != stamp:
                    work.years[group] = stamp
                    sums[group, whole, 1] += 1
        sums[group, slot, 2] += pieces[number, RAW]
        sums[group, slot, 3] += pieces[number, COUNTED]
        sums[group, slot, 4] += credited
        if scanned:
            sums[group, slot, 5] += credited


@kernel
def _add_served(served: Ints, placed: Placed, slots: Ints, first_day: int, sums: Longs) -> None:
    for row in range(len(served)):
        day = served[row, SERVED_DAY]
        route = _route_of_place(served[row, SERVED_STATION], served[row, SERVED_PROJECT], day, placed)
        for at in range(placed.routes.first[route], placed.routes.first[route + 1]):
            sums[placed.routes.groups[at], slots[day - first_day], _PEOPLE] += served[row, SERVED_PEOPLE]
