"""Organisations for readers: the tree, what is done in each and by its members, under any axes. Nothing here writes."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from datetime import date
from typing import NamedTuple, TypeVar

import numpy as np

from ledger.aggregates.organisation import OrganisationEnded, OrganisationFounded, OrganisationMoved
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
    leader_on,
    of_persons,
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
    """Return all organisations as they stand on `valid_at` (by default `today`)."""
    day = axes.valid_at or today
    with queries.snapshot() as (connection, generation):
        places = read_places(connection, position_known(axes, generation))
        basis = queries.basis(axes, rules_used(database.log, axes, generation), generation)
    below = _children(places.tree, day)
    found = [_organisation(places.tree, name, below, day) for name in sorted(places.tree.histories)]
    return Organisations(**dict(basis), day=day, organisations=found)


def organisation(queries: Queries, database: Database, name: str, today: date, axes: Axes) -> OrganisationAnswer:
    """Return one organisation as it stands on `valid_at` (by default `today`), with all that belongs to it.

    Raises:
        UnknownNameError: the ledger did not know it then.
    """
    day = axes.valid_at or today
    with queries.snapshot() as (connection, generation):
        known_at = position_known(axes, generation)
        rules = rules_used(database.log, axes, generation)
        places = read_places(connection, known_at)
        tree = _known(places, name)
        members = read_members(connection, tree, known_at)
        basis = queries.basis(axes, rules, generation)
    members = of_persons(members, queries.merged(known_at))
    stations, projects = places.leaders(rules.timeline())
    below = {other for other in tree.histories if name in tree.path(other, day)}
    of = [{each.organisation for each in found if each.since <= day < each.until} for found in members.values()]
    return OrganisationAnswer(
        **dict(basis),
        day=day,
        organisation=_organisation(tree, name, _children(tree, day), day),
        path=tree.path(name, day)[::-1],
        stations=[
            Led(name=one, open=isinstance(places.stations[one][-1], StationOpened))
            for one, led in sorted(stations.items())
            if leader_on(led, day) == name
        ],
        projects=[
            Led(name=one, open=isinstance(places.projects[one][-1], ProjectLaunched))
            for one, led in sorted(projects.items())
            if leader_on(led, day) == name
        ],
        members=sum(name in names for names in of),
        members_with_below=sum(not below.isdisjoint(names) for names in of),
        history=[_change(recorded, first=not number) for number, recorded in enumerate(places.changes[name])],
    )


def _known(places: Places, name: str) -> Tree:
    if name not in places.tree.histories:
        raise UnknownNameError("organisation", name)
    return places.tree


def _children(tree: Tree, day: date) -> dict[str | None, list[str]]:
    below: dict[str | None, list[str]] = {}
    for name in sorted(tree.histories):
        below.setdefault(tree.parent(name, day), []).append(name)
    return below


def _organisation(tree: Tree, name: str, below: dict[str | None, list[str]], day: date) -> Organisation:
    _, until = [span for span in tree.stood[name] if span[0] <= day][-1]
    return Organisation(
        organisation=name,
        kind=tree.kind(name),
        parent=tree.parent(name, day),
        children=below.get(name, []),
        ended_on=until if until <= day else None,
    )


def _change(recorded: Recorded, *, first: bool) -> OrganisationChange:
    event = recorded.event
    said = {"by": event.by, "position": recorded.position}
    match event:
        case OrganisationMoved():
            return OrganisationChange(
                what="moved", day=event.moved_on, parent=event.parent, reason=event.reason, **said
            )
        case OrganisationEnded():
            return OrganisationChange(what="ended", day=event.ended_on, parent=None, reason=event.reason, **said)
        case OrganisationFounded():
            day = None if first else event.founded_on
            return OrganisationChange(what="founded", day=day, parent=event.parent, reason=None, **said)
        case _:
            raise AssertionError(event)


# --- what is done ---------------------------------------------------------------------------------------------------


def activity(queries: Queries, database: Database, name: str, wanted: RowFilter, axes: Axes) -> OrganisationActivity:
    """Return what was done in an organisation and in all below it, and in each part of it.

    Raises:
        UnknownNameError: the ledger did not know it then.
    """
    with queries.snapshot() as (connection, generation):
        known_at, rules = position_known(axes, generation), rules_used(database.log, axes, generation)
        _known(read_places(connection, known_at), name)
        basis = queries.basis(axes, rules, generation)
    sums = queries.organisation_sums.of(known_at, rules, axes.valid_until, wanted.of)
    return OrganisationActivity(
        **dict(basis),
        organisation=name,
        by=wanted.by,
        of=wanted.of,
        rows=_rows(sums, (WITH_BELOW, name), wanted, _activity_row),
        own=_rows(sums, (OWN, name), wanted, _activity_row),
        parts=_parts(sums, name, wanted),
    )


def district(queries: Queries, database: Database, wanted: RowFilter, axes: Axes) -> DistrictActivity:
    """Return what was done at all, in each organisation at the top of the tree, and in none."""
    with queries.snapshot() as (_, generation):
        known_at, rules = position_known(axes, generation), rules_used(database.log, axes, generation)
        basis = queries.basis(axes, rules, generation)
    sums = queries.organisation_sums.of(known_at, rules, axes.valid_until, wanted.of)
    return DistrictActivity(
        **dict(basis),
        by=wanted.by,
        of=wanted.of,
        rows=_rows(sums, EVERYTHING, wanted, _activity_row),
        no_organisation=_rows(sums, NO_ORGANISATION, wanted, _activity_row),
        parts=_parts(sums, "", wanted),
    )


def _parts(sums: Sums, above: str, wanted: RowFilter) -> list[ActivityPart]:
    found = (
        ActivityPart(organisation=name, rows=_rows(sums, (PART, name, above), wanted, _activity_row))
        for name in _below(sums, above)
    )
    return [part for part in found if part.rows]


def _below(sums: Sums, above: str) -> list[str]:
    """Return the organisations that ever were a part of one, by id."""
    return sorted(group[1] for group in sums.groups if group[0] == PART and group[2] == above)


def _rows(sums: Sums, group: Group, wanted: RowFilter, make: Callable[[int, int, list[int]], R]) -> list[R]:
    """Return the rows of a group in order of time; where nothing was done there is none."""
    number = sums.groups.get(group)
    if number is None:
        return []
    years, slots = np.nonzero(sums.sums[number].any(axis=2))
    return [
        make(year + sums.first_year, slot, sums.sums[number, year, slot].tolist())
        for year, slot in zip(years.tolist(), slots.tolist(), strict=True)
        if (slot > 0) == (wanted.by == "month") and wanted.year in {None, year + sums.first_year}
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


# --- what members do ------------------------------------------------------------------------------------------------


def members(
    queries: Queries,
    database: Database,
    name: str,
    wanted: RowFilter,
    axes: Axes,
    *,
    limit: int = 100,
    after: str | None = None,
) -> OrganisationMembers:
    """Return what members of an organisation and of all below it did on the days of their membership, and a page of
    the memberships of the year that is wanted, or of all.

    Args:
        limit: volunteers at most; a page ends with a whole volunteer.
        after: `next_after` of the page before.

    Raises:
        UnknownNameError: the ledger did not know it then.
    """
    with queries.snapshot() as (connection, generation):
        known_at, rules = position_known(axes, generation), rules_used(database.log, axes, generation)
        tree = _known(read_places(connection, known_at), name)
        everybody = of_persons(read_members(connection, tree, known_at), queries.merged(known_at))
        found = _memberships(tree, name, everybody, wanted.year)
        names = sorted(found)
        begin = bisect_right(names, after) if after is not None else 0
        page = names[begin : begin + limit]
        circle = read_cohort(connection, page)
        basis, then = queries.basis(axes, rules, generation), known_at < generation.position
    timeline = rules.timeline()
    if then:
        circle = cohort_known_at(database.log, circle, known_at, timeline)
    sums = queries.organisation_sums.of(known_at, rules, axes.valid_until, "members")
    listed = [
        _member(circle, volunteer, one, timeline, wanted.year, axes.valid_until)
        for volunteer in page
        for one in found[volunteer]
    ]
    return OrganisationMembers(
        **dict(basis),
        organisation=name,
        by=wanted.by,
        rows=_rows(sums, (WITH_BELOW, name), wanted, _service_row),
        own=_rows(sums, (OWN, name), wanted, _service_row),
        parts=[
            MembersPart(organisation=one, rows=_rows(sums, (PART, one, name), wanted, _service_row))
            for one in _below(sums, name)
        ],
        members=listed,
        next_after=page[-1] if page and page[-1] != names[-1] else None,
    )


def _memberships(
    tree: Tree, name: str, everybody: dict[str, list[Membership]], year: int | None
) -> dict[str, list[Membership]]:
    """Return the memberships of an organisation and of all below it, while they were below it, in a year or ever."""
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
    """Return spans in order, those that meet as one."""
    whole: list[tuple[date, date]] = []
    for low, high in spans:
        if whole and whole[-1][1] == low:
            whole[-1] = whole[-1][0], high
        else:
            whole.append((low, high))
    return whole


def _member(
    circle: Cohort, volunteer: str, one: Membership, timeline: RuleTimeline, year: int | None, valid_until: int
) -> Member:
    """Return a membership with what was done on its days, within the year that is wanted."""
    since, until = one.since, one.until
    if year is not None:
        since, until = max(since, date(year, 1, 1)), min(until, date(year + 1, 1, 1))
    pieces = circle.tables.pieces(volunteer, timeline)
    days = pieces[:, DAY]
    pieces = pieces[(days >= day_number(since)) & (days < day_number(until)) & (days <= valid_until)]
    credited = int(pieces[:, CREDITED].sum())
    scanned = int(pieces[circle.tables.table.scanned[pieces[:, ROW]] == 1, CREDITED].sum())
    return Member(
        volunteer=volunteer,
        organisation=one.organisation,
        since=one.since,
        until=None if one.until == date.max else one.until,
        shifts=int(pieces[:, FIRST].sum()),
        raw_minutes=int(pieces[:, RAW].sum()),
        counted_minutes=int(pieces[:, COUNTED].sum()),
        credited_minutes=credited,
        scanned_minutes=scanned,
        attested_minutes=credited - scanned,
    )


__all__ = ["RowFilter", "activity", "district", "members", "organisation", "organisations"]
