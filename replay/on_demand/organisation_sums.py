"""Organisation sums: the service in every organisation and by its members, under any axes.

Which stations, projects and members belong to an organisation, and its place in the tree, change from day to day, and
each volunteer is counted once, so rows of read models could not be added up. The sums of all organisations are
therefore computed by a replay (`projections/kernels/belonging.py`), which takes about as long as any other. The latest
results are cached. Nothing here writes.
"""

from __future__ import annotations

import os
from datetime import date
from typing import Literal, NamedTuple, get_args

from ledger.names import Position
from ledger.store.database import Database
from projections.kernels.belonging import Placement, add_up, spans_of
from projections.kernels.facts import Facts
from projections.kernels.organisations import (
    Group,
    Membership,
    OrganisationHistory,
    RouteBuilder,
    belonging_of,
    of_persons,
)
from projections.rules.timeline import RuleTimeline
from projections.schema import Longs
from replay.on_demand.cache import ResultCache
from replay.on_demand.replays import Replays
from replay.progress import checkpoint
from replay.published import Rules
from replay.records.belonging import Places, read_members, read_places

RESULTS_MAX = 8
"""Cached results, of one to a few megabytes each."""


What = Literal["places", "projects", "members"]
"""What is added up: service by the organisation of the station (of the project, if the station has none); service in
the projects that organisations lead, at any station; or service of members on the days of their membership.
"""
WHAT: tuple[What, ...] = get_args(What)


class Sums(NamedTuple):
    """Sums of all groups: int64[groups, years, YEAR_SLOTS, GROUP_COLUMNS]."""

    groups: dict[Group, int]
    sums: Longs
    first_year: int


class OrganisationSums:
    """Sums of one ledger's organisations."""

    def __init__(self, database: Database, replays: Replays) -> None:
        self._database = database
        self._replays = replays
        self._cache: ResultCache[tuple[int, str, int, What], Sums] = ResultCache(lambda sums: len(sums) > RESULTS_MAX)

    def of(self, known_at: Position, rules: Rules, valid_until: int, what: What) -> Sums:
        """Return sums of results dated up to the day `valid_until`.

        Raises:
            replay.archive.archive.ArchiveError: the archive cannot be read.
        """
        key = int(known_at), rules.digest, valid_until, what
        return self._cache.get(key, lambda: self._added_up(known_at, rules.timeline(), valid_until, what))

    def _added_up(self, known_at: Position, timeline: RuleTimeline, valid_until: int, what: What) -> Sums:
        facts = self._replays.facts(known_at)
        checkpoint()
        with self._database.pool.connection() as connection:
            places = read_places(connection, known_at)
            members = read_members(connection, places.tree, known_at) if what == "members" else {}
        return sums_of(facts, places, members, timeline, valid_until, what, threads=os.cpu_count() or 1)


def sums_of(
    facts: Facts,
    places: Places,
    members: dict[str, list[Membership]],
    timeline: RuleTimeline,
    valid_until: int,
    what: What,
    *,
    threads: int = 1,
) -> Sums:
    """Add up the service of all organisations; `members`: the memberships of every number, for `what` = members."""
    checkpoint()
    book = RouteBuilder(places.tree)
    if what == "members":
        placed = _members(book, facts, members)
    else:
        placed = _places(book, facts, places, timeline, by_stations=what == "places")
    checkpoint()
    rules = facts.rules(timeline)
    found = add_up(
        facts.paired(rules, threads=threads).table,
        facts.volunteer_table(),
        facts.station_kinds(timeline),
        rules,
        facts.served_counts(),
        placed,
        valid_until,
        threads=threads,
    )
    return Sums(book.groups, found.sums, found.first_year)


_NOWHERE = spans_of(())


def _places(
    book: RouteBuilder, facts: Facts, places: Places, timeline: RuleTimeline, *, by_stations: bool
) -> Placement:
    of_stations, of_projects = places.leaders(timeline)
    stations, projects = (
        book.spans(names.texts(), {name: _belonging(led) for name, led in of.items()})
        for names, of in ((facts.stations, of_stations if by_stations else {}), (facts.projects, of_projects))
    )
    return Placement(stations, projects, _NOWHERE, book.routes(), book.no_route, members=False)


def _belonging(led: OrganisationHistory) -> list[tuple[date, frozenset[str]]]:
    return [(since, frozenset([organisation] if organisation else [])) for since, organisation in led]


def _members(book: RouteBuilder, facts: Facts, members: dict[str, list[Membership]]) -> Placement:
    names, person_of = facts.volunteers.texts(), facts.person_of()
    merged = {} if person_of is None else {names[one]: names[into] for one, into in enumerate(person_of) if one != into}
    memberships = of_persons(members, merged).items()
    spans = book.spans(names, {name: belonging_of(found) for name, found in memberships})
    return Placement(_NOWHERE, _NOWHERE, spans, book.routes(), book.no_route, members=True)
