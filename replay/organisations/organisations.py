"""Organisations for readers: the tree, and the service in each node and by its members, under any axes.

Nothing here writes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from datetime import date
from typing import NamedTuple, TypeVar

import numpy as np

from ledger.aggregates.organisation import (
    OrganisationEnded,
    OrganisationFounded,
    OrganisationMoved,
    OrganisationRenamed,
)
from ledger.aggregates.project import ProjectLaunched
from ledger.aggregates.station import StationOpened
from ledger.store.database import Database
from projections.kernels.organisations import (
    EVERYTHING,
    NO_ORGANISATION,
    OWN,
    PART,
    WITH_BELOW,
    Group,
    Membership,
    Tree,
    of_persons,
    organisation_on,
)
from projections.local_time import day_number
from projections.rules.timeline import RuleTimeline
from projections.schema import COUNTED, CREDITED, DAY, FIRST, RAW, ROW
from replay.axes.as_known import cohort_known_at, position_known, rules_used
from replay.cohorts.cohort import Cohort, read_cohort
from replay.on_demand.organisation_sums import Sums
from replay.organisations.answers import (
    ActivityPart,
    ActivityRow,
    By,
    DistrictActivity,
    Led,
    Member,
    MembersPart,
    Of,
    Organisation,
    OrganisationActivity,
    OrganisationAnswer,
    OrganisationChange,
    OrganisationMembers,
    Organisations,
    ServiceRow,
)
from replay.queries.queries import Axes, Queries, UnknownNameError
from replay.records.belonging import Places, Recorded, read_members, read_places

R = TypeVar("R", bound=ServiceRow)


class RowFilter(NamedTuple):
    """Which rows: of one year or all, by year or by month, of places or of projects."""

    year: int | None = None
    by: By = "year"
    of: Of = "places"


# --- the tree -------------------------------------------------------------------------------------------------------


def organisations(queries: Queries, database: Database, today: date, axes: Axes) -> Organisations:
    """Return all organisations on `valid_at` (by default `today`)."""
    day = axes.valid_at or today
    with queries.snapshot() as (connection, generation):
        places = read_places(connection, position_known(axes, generation))
        basis = queries.basis(axes, rules_used(database.log, axes, generation), generation)
    below = _children(places.tree, day)
    found = [_organisation(places, name, below, day) for name in sorted(places.tree.histories)]
    return Organisations(**dict(basis), day=day, organisations=found)


def organisation(queries: Queries, database: Database, name: str, today: date, axes: Axes) -> OrganisationAnswer:
    """Return an organisation on `valid_at` (by default `today`), with its stations, projects and members.

    Raises:
        UnknownNameError: the ledger did not know it then.
    """
    day = axes.valid_at or today
    with queries.snapshot() as (connection, generation):
        known_at = position_known(axes, generation)
        rules = rules_used(database.log, axes, generation)
        places = read_places(connection, known_at)
        tree = _require_known(places, name)
        members = read_members(connection, tree, known_at)
        basis = queries.basis(axes, rules, generation)
    members = of_persons(members, queries.merged(known_at))
    stations, projects = places.leaders(rules.timeline())
    below = {other for other in tree.histories if name in tree.path(other, day)}
    of = [{each.organisation for each in found if each.since <= day < each.until} for found in members.values()]
    return OrganisationAnswer(
        **dict(basis),
        day=day,
        organisation=_organisation(places, name, _children(tree, day), day),
        path=tree.path(name, day)[::-1],
        stations=[
            Led(name=station, open=isinstance(places.stations[station][-1], StationOpened))
            for station, led in sorted(stations.items())
            if organisation_on(led, day) == name
        ],
        projects=[
            Led(name=project, open=isinstance(places.projects[project][-1], ProjectLaunched))
            for project, led in sorted(projects.items())
            if organisation_on(led, day) == name
        ],
        members=sum(name in names for names in of),
        members_with_below=sum(not below.isdisjoint(names) for names in of),
        history=[_change(recorded, first=not number) for number, recorded in enumerate(places.changes[name])],
    )


def _require_known(places: Places, name: str) -> Tree:
    if name not in places.tree.histories:
        raise UnknownNameError("organisation", name)
    return places.tree


def _children(tree: Tree, day: date) -> dict[str | None, list[str]]:
    below: dict[str | None, list[str]] = {}
    for name in sorted(tree.histories):
        below.setdefault(tree.parent(name, day), []).append(name)
    return below


def _organisation(places: Places, name: str, below: dict[str | None, list[str]], day: date) -> Organisation:
    tree = places.tree
    _, until = [span for span in tree.active(name) if span[0] <= day][-1]
    return Organisation(
        organisation=name,
        kind=tree.kind(name),
        parent=tree.parent(name, day),
        children=below.get(name, []),
        ended_on=until if until <= day else None,
        version=len(places.changes[name]),
    )


def _change(recorded: Recorded, *, first: bool) -> OrganisationChange:
    event = recorded.event
    common = {"by": event.by, "position": recorded.position}
    match event:
        case OrganisationMoved():
            return OrganisationChange(
                what="moved", day=event.moved_on, parent=event.parent, reason=event.reason, **common
            )
        case OrganisationEnded():
            return OrganisationChange(what="ended", day=event.ended_on, parent=None, reason=event.reason, **common)
        case OrganisationRenamed():
            return OrganisationChange(what="renamed", day=None, parent=None, reason=None, name=event.name, **common)
        case OrganisationFounded():
            day = None if first else event.founded_on
            return OrganisationChange(
                what="founded", day=day, parent=event.parent, reason=None, name=event.name, **common
            )
        case _:
            raise AssertionError(event)


# --- the service of organisations -----------------------------------------------------------------------------------


def activity(queries: Queries, database: Database, name: str, query: RowFilter, axes: Axes) -> OrganisationActivity:
    """Return the service in an organisation and all below it, and in each part of it.

    Raises:
        UnknownNameError: the ledger did not know it then.
    """
    with queries.snapshot() as (connection, generation):
        known_at, rules = position_known(axes, generation), rules_used(database.log, axes, generation)
        _require_known(read_places(connection, known_at), name)
        basis = queries.basis(axes, rules, generation)
    sums = queries.organisation_sums.of(known_at, rules, axes.valid_until, query.of)
    return OrganisationActivity(
        **dict(basis),
        organisation=name,
        by=query.by,
        of=query.of,
        rows=_rows(sums, (WITH_BELOW, name), query, _activity_row),
        own=_rows(sums, (OWN, name), query, _activity_row),
        parts=_parts(sums, name, query),
    )


def district(queries: Queries, database: Database, query: RowFilter, axes: Axes) -> DistrictActivity:
    """Return the service in the whole district, in each organisation at the top of the tree, and in none."""
    with queries.snapshot() as (_, generation):
        known_at, rules = position_known(axes, generation), rules_used(database.log, axes, generation)
        basis = queries.basis(axes, rules, generation)
    sums = queries.organisation_sums.of(known_at, rules, axes.valid_until, query.of)
    return DistrictActivity(
        **dict(basis),
        by=query.by,
        of=query.of,
        rows=_rows(sums, EVERYTHING, query, _activity_row),
        no_organisation=_rows(sums, NO_ORGANISATION, query, _activity_row),
        parts=_parts(sums, "", query),
    )


def _parts(sums: Sums, above: str, query: RowFilter) -> list[ActivityPart]:
    found = (
        ActivityPart(organisation=name, rows=_rows(sums, (PART, name, above), query, _activity_row))
        for name in _below(sums, above)
    )
    return [part for part in found if part.rows]


def _below(sums: Sums, above: str) -> list[str]:
    """Return the ids of the organisations that were ever directly below one, sorted."""
    return sorted(group[1] for group in sums.groups if group[0] == PART and group[2] == above)


def _rows(sums: Sums, group: Group, query: RowFilter, make: Callable[[int, int, list[int]], R]) -> list[R]:
    """Return the rows of a group in chronological order; periods without service have none."""
    number = sums.groups.get(group)
    if number is None:
        return []
    years, slots = np.nonzero(sums.sums[number].any(axis=2))
    return [
        make(year + sums.first_year, slot, sums.sums[number, year, slot].tolist())
        for year, slot in zip(years.tolist(), slots.tolist(), strict=True)
        if (slot > 0) == (query.by == "month") and query.year in {None, year + sums.first_year}
    ]


def _service(year: int, month: int, sums: list[int]) -> dict[str, int | None]:
    shifts, volunteers, raw, counted, credited, scanned, _ = sums
    return {
        "year": year,
        "month": month or None,
        "shifts": shifts,
        "volunteers": volunteers,
        "raw_minutes": raw,
        "counted_minutes": counted,
        "credited_minutes": credited,
        "scanned_minutes": scanned,
        "attested_minutes": credited - scanned,
    }


def _service_row(year: int, month: int, sums: list[int]) -> ServiceRow:
    return ServiceRow.model_validate(_service(year, month, sums))


def _activity_row(year: int, month: int, sums: list[int]) -> ActivityRow:
    return ActivityRow.model_validate({**_service(year, month, sums), "people_served": sums[-1]})


# --- the service of members -----------------------------------------------------------------------------------------


def members(
    queries: Queries,
    database: Database,
    name: str,
    query: RowFilter,
    axes: Axes,
    *,
    limit: int = 100,
    after: str | None = None,
) -> OrganisationMembers:
    """Return the service of the members of an organisation and of all below it during their membership, and a page of
    the memberships, of the requested year or of all years.

    Args:
        limit: volunteers at most; no volunteer is split between two pages.
        after: `next_after` of the page before.

    Raises:
        UnknownNameError: the ledger did not know it then.
    """
    with queries.snapshot() as (connection, generation):
        known_at, rules = position_known(axes, generation), rules_used(database.log, axes, generation)
        tree = _require_known(read_places(connection, known_at), name)
        everybody = of_persons(read_members(connection, tree, known_at), queries.merged(known_at))
        found = _memberships(tree, name, everybody, query.year)
        names = sorted(found)
        begin = bisect_right(names, after) if after is not None else 0
        page = names[begin : begin + limit]
        cohort = read_cohort(connection, page)
        basis, is_past = queries.basis(axes, rules, generation), known_at < generation.position
    timeline = rules.timeline()
    if is_past:
        cohort = cohort_known_at(database.log, cohort, known_at, timeline)
    sums = queries.organisation_sums.of(known_at, rules, axes.valid_until, "members")
    listed = [
        _member(cohort, volunteer, membership, timeline, query.year, axes.valid_until)
        for volunteer in page
        for membership in found[volunteer]
    ]
    return OrganisationMembers(
        **dict(basis),
        organisation=name,
        by=query.by,
        rows=_rows(sums, (WITH_BELOW, name), query, _service_row),
        own=_rows(sums, (OWN, name), query, _service_row),
        parts=[
            MembersPart(organisation=below, rows=_rows(sums, (PART, below, name), query, _service_row))
            for below in _below(sums, name)
        ],
        members=listed,
        next_after=page[-1] if page and page[-1] != names[-1] else None,
    )


def _memberships(
    tree: Tree, name: str, everybody: dict[str, list[Membership]], year: int | None
) -> dict[str, list[Membership]]:
    """Return the memberships of an organisation and of others while they were below it, in a year or in all years."""
    first, last = (date.min, date.max) if year is None else (date(year, 1, 1), date(year + 1, 1, 1))
    below = {other: tree.below(name, other) for other in tree.histories}
    chosen: dict[str, list[Membership]] = {}
    for volunteer, found in everybody.items():
        for each in found:
            for low, high in _joined(below[each.organisation]):
                since, until = max(each.since, low), min(each.until, high)
                if since < until and since < last and until > first:
                    chosen.setdefault(volunteer, []).append(Membership(each.organisation, since, until))
    return chosen


def _joined(spans: Iterable[tuple[date, date]]) -> list[tuple[date, date]]:
    """Return spans in order; adjacent spans are joined."""
    whole: list[tuple[date, date]] = []
    for low, high in spans:
        if whole and whole[-1][1] == low:
            whole[-1] = whole[-1][0], high
        else:
            whole.append((low, high))
    return whole


def _member(
    cohort: Cohort, volunteer: str, membership: Membership, timeline: RuleTimeline, year: int | None, valid_until: int
) -> Member:
    """Return a membership with the service during it, within the requested year."""
    since, until = membership.since, membership.until
    if year is not None:
        since, until = max(since, date(year, 1, 1)), min(until, date(year + 1, 1, 1))
    tables = cohort.tables.paired(timeline)
    pieces = tables.pieces(volunteer)
    days = pieces[:, DAY]
    pieces = pieces[(days >= day_number(since)) & (days < day_number(until)) & (days <= valid_until)]
    credited = int(pieces[:, CREDITED].sum())
    scanned = int(pieces[tables.table.scanned[pieces[:, ROW]] == 1, CREDITED].sum())
    return Member(
        volunteer=volunteer,
        organisation=membership.organisation,
        since=membership.since,
        until=None if membership.until == date.max else membership.until,
        shifts=int(pieces[:, FIRST].sum()),
        raw_minutes=int(pieces[:, RAW].sum()),
        counted_minutes=int(pieces[:, COUNTED].sum()),
        credited_minutes=credited,
        scanned_minutes=scanned,
        attested_minutes=credited - scanned,
    )


__all__ = ["RowFilter", "activity", "district", "members", "organisation", "organisations"]
