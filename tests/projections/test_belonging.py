"""Rolling up equals summing down, and both equal an oracle that walks from each piece up the tree, day by day."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.aggregates import Event
from ledger.aggregates.organisation import OrganisationEnded, OrganisationFounded, OrganisationMoved
from ledger.aggregates.people_served import PeopleServedCounted
from ledger.aggregates.project import ProjectLaunched
from ledger.aggregates.station import StationOpened
from ledger.aggregates.volunteer import (
    OrganisationJoined,
    OrganisationLeft,
    VolunteerEvent,
    VolunteerRegistered,
    VolunteerWithdrawn,
)
from ledger.names import Position
from projections.kernels.belonging import GROUP_COLUMNS
from projections.kernels.facts import facts_of
from projections.kernels.organisations import (
    EVERYTHING,
    NO_ORGANISATION,
    OWN,
    PART,
    WITH_BELOW,
    Group,
    Membership,
    Tree,
    membership_changes,
    memberships,
)
from projections.local_time import day_number
from projections.schema import NO_DAY
from replay.on_demand.organisation_sums import WHAT, Sums, What, sums_of
from replay.records.belonging import Recorded, places_of
from tests.projections.test_persons import persons_of
from tests.support.examples import examples
from tests.support.oracle import oracle
from tests.support.oracle.histories import Case, as_text, cases, make, noon, patiently, stamped

ORGANISATIONS = ("O1", "O2", "O3", "O4")
Cells = dict[tuple[Group, int, int], tuple[int, ...]]


# --- histories with a tree ------------------------------------------------------------------------------------------


@st.composite
def trees(draw: st.DrawFn) -> tuple[Case, list[Event]]:
    """A history, and what happens to four organisations meanwhile. A parent is always one of a smaller number, so that
    whatever is moved, and however late it is said, there is no ring.
    """
    case = draw(cases(shifts_max=6))
    base = datetime.fromtimestamp(max(event.occurred_at for event in case.events), UTC).date()

    def pick(options: Sequence[Any]) -> Any:
        return draw(st.sampled_from(options))

    def day() -> date:
        return base + timedelta(days=draw(st.integers(-40, 3)))

    def parent(number: int) -> str | None:
        return draw(st.sampled_from([None, *ORGANISATIONS[:number]]))

    more: list[Event] = [
        make(OrganisationFounded, noon(base), organisation=name, kind="ngo", parent=parent(number))
        for number, name in enumerate(ORGANISATIONS)
    ]
    stations = sorted({event.station for event in case.events if isinstance(event, StationOpened)})
    projects = sorted({event.project for event in case.events if isinstance(event, ProjectLaunched)})
    volunteers = sorted({event.volunteer for event in case.events if isinstance(event, VolunteerRegistered)})
    for _ in range(draw(st.integers(0, 8))):
        number, on = draw(st.integers(0, 3)), day()
        name = ORGANISATIONS[number]
        match pick(("moved", "moved", "ended", "station", "station", "project", "joined", "joined", "left", "away")):
            case "moved":
                more.append(make(OrganisationMoved, noon(on), organisation=name, parent=parent(number), moved_on=on))
            case "ended":
                more += [
                    make(OrganisationEnded, noon(on), organisation=name, ended_on=on),
                    make(
                        OrganisationFounded,
                        noon(on),
                        organisation=name,
                        kind="ngo",
                        parent=parent(number),
                        founded_on=pick([None, on + timedelta(days=2)]),
                    ),
                ][: pick((1, 2))]
            case "station":
                owner = pick([None, name, name])
                more.append(make(StationOpened, noon(on), station=pick(stations), kind="city", organisation=owner))
            case "project" if projects:
                more.append(make(ProjectLaunched, noon(on), project=pick(projects), content="x", organisation=name))
            case "joined":
                more.append(
                    make(OrganisationJoined, noon(on), volunteer=pick(volunteers), organisation=name, joined_on=on)
                )
            case "left":
                more.append(make(OrganisationLeft, noon(on), volunteer=pick(volunteers), organisation=name, left_on=on))
            case "away":
                more.append(make(VolunteerWithdrawn, noon(on), volunteer=pick(volunteers), withdrawn_on=on))
            case _:
                pass
    first = [
        msgspec.structs.replace(event, organisation=pick([None, "O3", "O4"]))
        if isinstance(event, StationOpened | ProjectLaunched | VolunteerRegistered)
        else event
        for event in case.events
    ]
    return Case(case.events, case.timeline), stamped([*more[:4], *first, *more[4:]])


# --- the oracle -----------------------------------------------------------------------------------------------------


class Walker:
    """Where things belong, looked up day by day in all events."""

    def __init__(self, events: Sequence[Event], zone: str) -> None:
        self.events = events
        self.zone = ZoneInfo(zone)
        self.merged = persons_of(events)

    def parent(self, organisation: str, day: date) -> str | None:
        best: tuple[date, str | None] | None = None
        ended = date.min
        for event in self.events:
            if getattr(event, "organisation", None) != organisation:
                continue
            placed: tuple[date, str | None] | None = None
            match event:
                case OrganisationFounded():
                    placed = (date.min if best is None else event.founded_on or ended), event.parent
                case OrganisationMoved():
                    placed = event.moved_on, event.parent
                case OrganisationEnded():
                    ended = event.ended_on
                case _:
                    pass
            if placed is not None and placed[0] <= day and (best is None or placed[0] >= best[0]):
                best = placed
        return best[1] if best else None

    def groups(self, owners: Iterable[str], day: date) -> set[Group]:
        found: set[Group] = {EVERYTHING}
        for owner in owners:
            found.add((OWN, owner))
            at: str | None = owner
            while at is not None:
                above = self.parent(at, day)
                found |= {(WITH_BELOW, at), (PART, at, above or "")}
                at = above
        return found if len(found) > 1 else {EVERYTHING, NO_ORGANISATION}

    def owner(self, kind: type[Event], name: str | None, day: date) -> str | None:
        best: tuple[date, str | None] | None = None
        for event in self.events:
            if (
                name
                and isinstance(event, kind)
                and name in {getattr(event, "station", None), getattr(event, "project", None)}
            ):
                since = datetime.fromtimestamp(event.occurred_at, self.zone).date() if best else date.min
                if best is None or best[0] <= since <= day:
                    best = since, getattr(event, "organisation")  # noqa: B009 - of a kind that has one
        return best[1] if best else None

    def owners(self, station: str | None, project: str | None, day: date, what: What) -> list[str]:
        of_station = self.owner(StationOpened, station, day) if what == "places" else None
        owner = of_station or self.owner(ProjectLaunched, project, day)
        return [owner] if owner else []

    def is_member(self, person: str, organisation: str, day: date) -> bool:
        numbers = {person, *(number for number, into in self.merged.items() if into == person)}
        return any(self.is_member_as(number, organisation, day) for number in numbers)

    def is_member_as(self, volunteer: str, organisation: str, day: date) -> bool:
        """Play the days up to this one: on each, what was said of it, in log order."""
        said = [event for event in self.events if isinstance(event, VolunteerEvent) and event.volunteer == volunteer]
        member = away = False
        dated = sorted(
            (getattr(event, field), number, event)
            for number, event in enumerate(said)
            for field in ("registered_on", "withdrawn_on", "joined_on", "left_on")
            if getattr(event, field, None) is not None
        )
        for on, _, event in dated:
            if on > day:
                break
            match event:
                case VolunteerRegistered():
                    away = False
                    member = member or event.organisation == organisation
                case VolunteerWithdrawn():
                    away = True
                case OrganisationJoined() | OrganisationLeft() if event.organisation == organisation:
                    member = isinstance(event, OrganisationJoined)
                case _:
                    pass
        return member and not away and self.stands(organisation, day)

    def stands(self, organisation: str, day: date) -> bool:
        stands, ended = True, date.min
        for event in self.events:
            if isinstance(event, OrganisationEnded) and event.organisation == organisation:
                ended, stands = event.ended_on, event.ended_on > day
            if isinstance(event, OrganisationFounded) and event.organisation == organisation and ended > date.min:
                stands = stands or day >= (event.founded_on or ended)
        return stands


def walked(walker: Walker, pieces: Sequence[oracle.Piece], last: date, what: What) -> Cells:
    sums: defaultdict[tuple[Group, int, int], Counter[str]] = defaultdict(Counter)
    people: defaultdict[tuple[Group, int, int], set[str]] = defaultdict(set)
    began = {(piece.volunteer, piece.shift): piece.day for piece in pieces if piece.first}
    for piece in pieces:
        if piece.day > last:
            continue
        if what == "members":
            owners = [name for name in ORGANISATIONS if walker.is_member(piece.person, name, piece.day)]
            groups = walker.groups(owners, piece.day)
        else:
            day = began[piece.volunteer, piece.shift]
            groups = walker.groups(walker.owners(piece.station, piece.project, day, what), day)
        for group in groups:
            for month in (0, piece.day.month):
                cell = group, piece.day.year, month
                sums[cell] += Counter(raw=piece.raw, counted=piece.counted, credited=piece.credited)
                sums[cell] += Counter(scanned=piece.credited * piece.scanned, shifts=piece.first)
                if piece.first:
                    people[cell].add(piece.person)
    if what != "members":
        counts = {
            (event.station, event.project, event.day): event.people
            for event in walker.events
            if isinstance(event, PeopleServedCounted)
        }
        for (station, project, day), count in counts.items():
            for group in walker.groups(walker.owners(station, project, day, what), day) if day <= last else ():
                for month in (0, day.month):
                    sums[group, day.year, month] += Counter(people_served=count)
    return {
        cell: row
        for cell in {*sums, *people}
        if any(row := tuple({**sums[cell], "volunteers": len(people[cell])}.get(name, 0) for name in GROUP_COLUMNS))
    }


def cells(found: Sums) -> Cells:
    return {
        (group, year + found.first_year, month): tuple(row)
        for group, number in found.groups.items()
        for year, months in enumerate(found.sums[number].tolist())
        for month, row in enumerate(months)
        if any(row)
    }


def computed(events: Sequence[Event], case: Case, valid_until: int, what: What) -> Sums:
    places = places_of(Recorded(Position(number), event) for number, event in enumerate(events, 1))
    members = members_of(places.tree, events)
    return sums_of(facts_of(events), places, members, case.timeline, valid_until, what)


def members_of(tree: Tree, events: Sequence[Event]) -> dict[str, list[Membership]]:
    streams: defaultdict[str, list[Event]] = defaultdict(list)
    for event in events:
        if isinstance(event, VolunteerEvent):
            streams[event.volunteer].append(event)
    return {volunteer: memberships(tree, membership_changes(stream)) for volunteer, stream in streams.items()}


# --- the laws -------------------------------------------------------------------------------------------------------


@settings(patiently, max_examples=examples(20))
@given(drawn=trees(), cut=st.none() | st.integers(-3, 3))
def test_what_belongs_to_an_organisation_is_what_a_walk_up_the_tree_finds(
    drawn: tuple[Case, list[Event]], cut: int | None
) -> None:
    case, events = drawn
    last = date.max
    if cut is not None:
        last = datetime.fromtimestamp(case.events[-1].occurred_at, UTC).date() + timedelta(days=cut)
    valid_until = NO_DAY if cut is None else day_number(last)
    pieces = oracle.credit(events, case.timeline).pieces
    walker = Walker(events, case.timeline.time_zone)
    for what in WHAT:
        found = cells(computed(events, case, valid_until, what))
        assert found == walked(walker, pieces, last, what), as_text(case.events, case.timeline.time_zone)


ADDS_UP = [place for place, name in enumerate(GROUP_COLUMNS) if name != "volunteers"]


def summed(rows: Iterable[tuple[int, ...]]) -> list[int]:
    found = list(rows)
    return [sum(row[place] for row in found) for place in ADDS_UP]


@settings(patiently, max_examples=examples(20))
@given(drawn=trees(), what=st.sampled_from(["places", "projects"]))
def test_rolling_up_equals_summing_down(drawn: tuple[Case, list[Event]], what: What) -> None:
    case, events = drawn
    found = cells(computed(events, case, NO_DAY, what))
    times = {(year, month) for _, year, month in found}
    for year, month in times:
        here = {group: row for (group, *at), row in found.items() if at == [year, month]}
        for name in ORGANISATIONS:
            parts = [row for group, row in here.items() if group[0] == PART and group[2] == name]
            whole = here.get((WITH_BELOW, name), (0,) * len(GROUP_COLUMNS))
            own = here.get((OWN, name), (0,) * len(GROUP_COLUMNS))
            assert summed([own, *parts]) == summed([whole])
            assert summed(row for group, row in here.items() if group[:2] == (PART, name)) == summed([whole])
            assert max(row[1] for row in [own, *parts]) <= whole[1] <= own[1] + sum(row[1] for row in parts)
        top = [row for group, row in here.items() if group[0] == PART and group[2] == ""]
        nobody = here.get(NO_ORGANISATION, (0,) * len(GROUP_COLUMNS))
        assert summed([nobody, *top]) == summed([here[EVERYTHING]])
