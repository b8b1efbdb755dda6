"""Organisation sums: what was done in every organisation, and by its members, under any axes.

What belongs to an organisation is told by days, of stations, projects, members and the tree itself, and its volunteers
are counted once each; no row of the read models could say all that. So it is replayed
(`projections/kernels/belonging.py`), which takes about as long as any other replay, for all organisations at once. The
last results are kept: positions never change what they mean, and rules are named by their digest. Nothing here writes.
"""

from __future__ import annotations

import os
from datetime import date
from typing import Literal, NamedTuple, get_args

from ledger.names import Position
from ledger.store.database import Database
from projections.kernels.belonging import Placed, add_up, spans_of
from projections.kernels.facts import Facts
from projections.kernels.organisations import Book, Group, Led, Membership, belonging_of, of_persons
from projections.rules.table import rule_table
from projections.rules.timeline import RuleTimeline
from projections.schema import Longs
from replay.on_demand.cache import ResultCache
from replay.on_demand.replays import Replays
from replay.published import Rules
from replay.records.belonging import Places, read_members, read_places

KEPT = 8
"""Results that are kept: a megabyte or a few each."""


What = Literal["places", "projects", "members"]
"""What is added up: what belongs to organisations by station (and by project, where the station has none); what was
done in the projects they lead, wherever it was; or what their members did on the days of their membership.
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
        self._kept: ResultCache[tuple[int, str, int, What], Sums] = ResultCache(lambda kept: len(kept) > KEPT)

    def of(self, known_at: Position, rules: Rules, valid_until: int, what: What) -> Sums:
        """Return sums of results dated up to the day `valid_until`.

        Raises:
            replay.archive.archive.ArchiveError: the archive cannot be read.
        """
        key = int(known_at), rules.digest, valid_until, what
        return self._kept.of(key, lambda: self._added_up(known_at, rules.timeline(), valid_until, what))

    def _added_up(self, known_at: Position, timeline: RuleTimeline, valid_until: int, what: What) -> Sums:
        facts = self._replays.facts(known_at)
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
    """Add up what belongs to organisations; `members`: the memberships of every number, where it is about them."""
    book = Book(places.tree)
    if what == "members":
        placed = _members(book, facts, members)
    else:
        placed = _places(book, facts, places, timeline, by_stations=what == "places")
    found = add_up(
        facts.ordered(facts.resolved(), threads=threads),
        facts.volunteer_table(),
        facts.station_kinds(),
        rule_table(timeline, facts.projects.number),
        facts.served_counts(),
        placed,
        valid_until,
        threads=threads,
    )
    return Sums(book.groups, found.sums, found.first_year)


_NOWHERE = spans_of(())


def _places(book: Book, facts: Facts, places: Places, timeline: RuleTimeline, *, by_stations: bool) -> Placed:
    of_stations, of_projects = places.leaders(timeline)
    stations, projects = (
        book.spans(names.texts(), {name: _belonging(led) for name, led in of.items()})
        for names, of in ((facts.stations, of_stations if by_stations else {}), (facts.projects, of_projects))
    )
    return Placed(stations, projects, _NOWHERE, book.routes(), book.no_route, members=False)


def _belonging(led: Led) -> list[tuple[date, frozenset[str]]]:
    return [(since, frozenset([organisation] if organisation else [])) for since, organisation in led]


def _members(book: Book, facts: Facts, members: dict[str, list[Membership]]) -> Placed:
    names, goes_on = facts.volunteers.texts(), facts.goes_on()
    merged = {} if goes_on is None else {names[one]: names[into] for one, into in enumerate(goes_on) if one != into}
    of_each = of_persons(members, merged).items()
    spans = book.spans(names, {name: belonging_of(found) for name, found in of_each})
    return Placed(_NOWHERE, _NOWHERE, spans, book.routes(), book.no_route, members=True)
