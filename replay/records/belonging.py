"""Belonging: the events about who belongs where, read from the log. They are few, and an index finds them by topic.

What was known at a position never changes, so no snapshot is needed. Nothing here writes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime
from typing import Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

from psycopg import Connection

from ledger.aggregates import Event
from ledger.aggregates.organisation import (
    OrganisationEnded,
    OrganisationEvent,
    OrganisationFounded,
    OrganisationMoved,
    OrganisationRenamed,
)
from ledger.aggregates.project import ProjectEnded, ProjectLaunched
from ledger.aggregates.station import StationClosed, StationOpened
from ledger.aggregates.volunteer import OrganisationJoined, OrganisationLeft, VolunteerRegistered, VolunteerWithdrawn
from ledger.names import Position
from ledger.store.log_queries import LogReader
from ledger.store.mapper import decode
from projections.kernels.organisations import (
    Membership,
    MembershipChange,
    OrganisationHistory,
    Tree,
    memberships,
    organisation_history,
    organisation_on,
)
from projections.rules.timeline import RuleTimeline

_OF_TREE = (OrganisationFounded, OrganisationMoved, OrganisationEnded, OrganisationRenamed)
_OF_PLACES = (StationOpened, StationClosed, ProjectLaunched, ProjectEnded)
_OF_MEMBERS: dict[str, Literal["registered", "withdrawn", "joined", "left"]] = {
    VolunteerRegistered.TOPIC: "registered",
    VolunteerWithdrawn.TOPIC: "withdrawn",
    OrganisationJoined.TOPIC: "joined",
    OrganisationLeft.TOPIC: "left",
}


class Recorded(NamedTuple):
    """An event with its position."""

    position: Position
    event: Event


class Places(NamedTuple):
    """The tree, and the histories of stations and projects, as known at a position."""

    tree: Tree
    changes: dict[str, list[Recorded]]
    """The events of each organisation, in log order."""
    stations: dict[str, list[StationOpened | StationClosed]]
    projects: dict[str, list[ProjectLaunched | ProjectEnded]]

    def leaders(self, timeline: RuleTimeline) -> tuple[dict[str, OrganisationHistory], dict[str, OrganisationHistory]]:
        """Return by which organisation each station, and each project, was led from which day on."""
        day_of = local_days(timeline)
        return (
            {
                name: organisation_history((event for event in events if isinstance(event, StationOpened)), day_of)
                for name, events in self.stations.items()
            },
            {
                name: organisation_history((event for event in events if isinstance(event, ProjectLaunched)), day_of)
                for name, events in self.projects.items()
            },
        )

    def belongs(self, organisation: str, timeline: RuleTimeline) -> Callable[[str | None, str | None, date], bool]:
        """Return a predicate of a station, a project and a day: whether what begins there then belongs to an
        organisation or one below it. That of the station counts or, if the station has none, that of the project.
        """
        stations, projects = self.leaders(timeline)
        below = {name: self.tree.below(organisation, name) for name in self.tree.histories}

        def belongs(station: str | None, project: str | None, day: date) -> bool:
            leader = organisation_on(stations.get(station or "", []), day)
            if leader is None:
                leader = organisation_on(projects.get(project or "", []), day)
            return leader is not None and any(low <= day < high for low, high in below[leader])

        return belongs


def local_days(timeline: RuleTimeline) -> Callable[[int], date]:
    """Return a function from an instant (epoch seconds) to its local day."""
    zone = ZoneInfo(timeline.time_zone)
    return lambda instant: datetime.fromtimestamp(instant, UTC).astimezone(zone).date()


def read_places(connection: Connection[Any], until: Position) -> Places:
    """Read the tree, stations and projects as known at a position."""
    rows = LogReader(connection).of_topics([kind.TOPIC for kind in (*_OF_TREE, *_OF_PLACES)], until)
    return places_of(Recorded(row.position, decode(row.topic, row.state)) for row in rows)


def read_tree(connection: Connection[Any], until: Position) -> Tree:
    """Read the tree alone as known at a position."""
    rows = LogReader(connection).of_topics([kind.TOPIC for kind in _OF_TREE], until)
    events = (decode(row.topic, row.state) for row in rows)
    return Tree(event for event in events if isinstance(event, OrganisationEvent))


def places_of(recorded: Iterable[Recorded]) -> Places:
    """Group events, given in log order, by organisation, station and project."""
    changes: defaultdict[str, list[Recorded]] = defaultdict(list)
    stations: defaultdict[str, list[StationOpened | StationClosed]] = defaultdict(list)
    projects: defaultdict[str, list[ProjectLaunched | ProjectEnded]] = defaultdict(list)
    for each in recorded:
        match each.event:
            case OrganisationEvent() as event:
                changes[event.organisation].append(each)
            case StationOpened() | StationClosed() as event:
                stations[event.station].append(event)
            case ProjectLaunched() | ProjectEnded() as event:
                projects[event.project].append(event)
            case _:
                pass
    of_tree = (each.event for history in changes.values() for each in history)
    tree = Tree(event for event in of_tree if isinstance(event, OrganisationEvent))
    return Places(tree, dict(changes), dict(stations), dict(projects))


def read_members(connection: Connection[Any], tree: Tree, until: Position) -> dict[str, list[Membership]]:
    """Read the memberships of every volunteer number as known at a position."""
    histories: defaultdict[str, list[MembershipChange]] = defaultdict(list)
    for volunteer, topic, organisation, day in LogReader(connection).memberships(_OF_MEMBERS, until):
        histories[volunteer].append(MembershipChange(_OF_MEMBERS[topic], date.fromisoformat(day), organisation))
    return {volunteer: memberships(tree, history) for volunteer, history in histories.items()}
