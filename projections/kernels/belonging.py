"""Belonging: sums for each organisation, over the tree, by month and year (docs/organisations.md).

Relations hold by days: a station is led by an organisation, a volunteer is its member, an organisation is below its
parent. A *route* is the list of *groups* to which a piece is added on some day. An organisation has several groups: its
own pieces, its own and those of all organisations below it, and its part of its parent's. A key (a station, a project,
a volunteer) has spans, each with the route that holds from the first day of the span on.

One pass over all volunteers credits them and adds up their pieces, which are not stored. A volunteer counts once in a
group and month, and once in a group and year.
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
from projections.kernels.station_kinds import StationKinds
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
"""A day number before all days."""


class Spans(NamedTuple):
    """The routes of keys over time: `since[first[k]:first[k + 1]]` are the days, ascending, on which routes of key k
    begin. The key has no route before the first of them, or if the route is `NONE`.
    """

    first: Ints
    since: Ints
    route: Ints


class Routes(NamedTuple):
    """The groups of routes: `groups[first[r]:first[r + 1]]` are those of route r."""

    first: Ints
    groups: Ints


class Placement(NamedTuple):
    """The routes of shifts: that of the station on the day the shift begins, or else that of the project. If `members`
    is set, each piece has the route of the volunteer on its own day instead. Without any route, `no_route` applies.
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
    """The sums of one thread. `months` and `years`: by group, the volunteer and slot counted last."""

    sums: Longs
    months: Longs
    years: Longs


def spans_of(keys: Iterable[Sequence[tuple[int, int]]]) -> Spans:
    """Return the spans of keys in order, given each key's pairs of first day and route, ascending."""
    rows = list(keys)
    first = np.cumsum([0, *(len(row) for row in rows)]).astype(np.int32)
    flat = np.array([pair for row in rows for pair in row], np.int32).reshape(-1, 2)
    return Spans(first, np.ascontiguousarray(flat[:, 0]), np.ascontiguousarray(flat[:, 1]))


def routes_of(routes: Sequence[Sequence[int]]) -> Routes:
    """Return routes in order, given the groups of each."""
    first = np.cumsum([0, *(len(route) for route in routes)]).astype(np.int32)
    return Routes(first, np.array([group for route in routes for group in route], np.int32))


def add_up(
    table: ShiftTable,
    volunteers: VolunteerTable,
    station_kind: StationKinds,
    rules: RuleTable,
    served: Ints,
    placement: Placement,
    valid_until: int,
    *,
    threads: int = 1,
) -> GroupSums:
    """Credit all volunteers, and add up their pieces by group.

    Args:
        table, volunteers, station_kind, rules: facts and rules, with the same indices.
        served: int32[n, 4]: station, project (`NONE` without), day, people; ignored for members.
        placement: the routes; its spans have the indices of the facts.
        valid_until: the last local day whose results count.
    """
    served = served[(served[:, SERVED_DAY] <= valid_until) & (served[:, SERVED_PEOPLE] > 0)]
    first_day, last_day = day_range(table, served)
    slots, years = slots_of(first_day, last_day)
    groups = int(placement.routes.groups.max(initial=0)) + 1
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
            placement,
            slots,
            first_day,
            valid_until,
            works[number],
        )

    with ThreadPoolExecutor(max(1, len(ranges))) as pool:
        list(pool.map(work, range(len(ranges))))
    sums = sum((work.sums for work in works[1:]), start=works[0].sums)
    if not placement.members:
        _add_served(served, placement, slots, first_day, sums)
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
def _route_of_place(station: int, project: int, day: int, placement: Placement) -> int:
    route = _route_on(station, day, placement.stations)
    if route == NONE:
        route = _route_on(project, day, placement.projects)
    return route if route != NONE else placement.no_route


@kernel
def _pass_over(
    low: int,
    high: int,
    table: ShiftTable,
    volunteers: VolunteerTable,
    station_kind: StationKinds,
    rules: RuleTable,
    memory: Workspace,
    placement: Placement,
    slots: Ints,
    first_day: int,
    valid_until: int,
    work: _Work,
) -> None:
    pieces = np.empty((1024, PIECE_COLUMNS), np.int32)
    rows = table.rows
    for volunteer in range(low, high):
        count, pieces = credit_volunteer(volunteer, table, volunteers, station_kind, rules, memory, pieces)
        route = placement.no_route
        for number in range(count):
            day = pieces[number, DAY]
            row = pieces[number, ROW]
            if placement.members:
                route = _route_on(volunteer, day, placement.volunteers)
                if route == NONE:
                    route = placement.no_route
            elif pieces[number, FIRST]:  # the pieces of a shift are adjacent, the first one first
                route = _route_of_place(rows[row, STATION], rows[row, PROJECT], day, placement)
            if day <= valid_until:
                _add_piece(
                    volunteer, route, slots[day - first_day], rows[row, SCANNED], pieces, number, placement, work
                )


@inlined
def _add_piece(
    volunteer: int, route: int, slot: int, scanned: int, pieces: Ints, number: int, placement: Placement, work: _Work
) -> None:
    sums, slots_total = work.sums, work.sums.shape[1]
    credited = pieces[number, CREDITED]
    for at in range(placement.routes.first[route], placement.routes.first[route + 1]):
        group = placement.routes.groups[at]
        if pieces[number, FIRST]:
            sums[group, slot, 0] += 1
            stamp = volunteer * slots_total + slot
            if work.months[group] != stamp:
                work.months[group] = stamp
                sums[group, slot, 1] += 1
                year_slot = slot // YEAR_SLOTS * YEAR_SLOTS
                stamp = volunteer * slots_total + year_slot
                if work.years[group] != stamp:
                    work.years[group] = stamp
                    sums[group, year_slot, 1] += 1
        sums[group, slot, 2] += pieces[number, RAW]
        sums[group, slot, 3] += pieces[number, COUNTED]
        sums[group, slot, 4] += credited
        if scanned:
            sums[group, slot, 5] += credited


@kernel
def _add_served(served: Ints, placement: Placement, slots: Ints, first_day: int, sums: Longs) -> None:
    for row in range(len(served)):
        day = served[row, SERVED_DAY]
        route = _route_of_place(served[row, SERVED_STATION], served[row, SERVED_PROJECT], day, placement)
        for at in range(placement.routes.first[route], placement.routes.first[route + 1]):
            sums[placement.routes.groups[at], slots[day - first_day], _PEOPLE] += served[row, SERVED_PEOPLE]
