"""The organisation tree and who belongs where in it, day by day, by the events that say so.

    Tree         under which organisation each one stands on a day
    led_since    since when a station or a project has been whose
    memberships  from when to when a volunteer was a member of what
    Book         all this as routes and groups, as `projections.kernels.belonging` wants it

A station's first organisation is its organisation from the beginning of time, and so is a project's: old records may be
of before it was entered. A membership begins and ends by its own days, the last of which is no day of membership.

Pure: events in, spans out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from functools import cached_property
from itertools import pairwise
from typing import Literal, NamedTuple

from ledger.aggregates import Event
from ledger.aggregates.organisation import Organisation, OrganisationEvent, OrganisationFounded
from ledger.aggregates.project import ProjectLaunched
from ledger.aggregates.station import StationOpened
from ledger.aggregates.volunteer import OrganisationJoined, OrganisationLeft, VolunteerRegistered, VolunteerWithdrawn
from projections.kernels.belonging import ALWAYS, Routes, Spans, routes_of, spans_of
from projections.local_time import day_number

Led = list[tuple[date, str | None]]
"""Since when it has been whose, ascending; `date.min` for the first."""
Group = tuple[str, ...]
OWN, WITH_BELOW, PART = "own", "with below", "part"
EVERYTHING: Group = ("everything",)
NO_ORGANISATION: Group = ("no organisation",)


class Membership(NamedTuple):
    """A volunteer was a member from `since` until before `until`; `date.max` while nothing ends it."""

    organisation: str
    since: date
    until: date


class Tree:
    """Organisations, by the events of their streams in log order."""

    def __init__(self, events: Iterable[OrganisationEvent]) -> None:
        self.histories: dict[str, list[Event]] = {}
        for event in events:
            self.histories.setdefault(event.organisation, []).append(event)

    @cached_property
    def _organisations(self) -> dict[str, Organisation]:
        return {name: Organisation.of(history) for name, history in self.histories.items()}

    def kind(self, organisation: str) -> str:
        """Return the kind it was last founded as."""
        founded = [each for each in self.histories[organisation] if isinstance(each, OrganisationFounded)]
        return founded[-1].kind

    def parent(self, organisation: str, day: date) -> str | None:
        """Return what it stands under on a day."""
        return self._organisations[organisation].parent_on(day)

    def path(self, organisation: str, day: date) -> list[str]:
        """Return it and all that it stands under on a day, itself first. Decisions see to it that this ends."""
        found = [organisation]
        while (above := self.parent(found[-1], day)) is not None:
            found.append(above)
        return found

    @cached_property
    def stood(self) -> dict[str, tuple[tuple[date, date], ...]]:
        """The days on which each stood, from the first to before the second."""
        return {name: organisation.spans for name, organisation in self._organisations.items()}

    @cached_property
    def changes(self) -> list[date]:
        """The days on which anything in the tree changes its place."""
        days = {day for organisation in self._organisations.values() for day, _ in organisation.placings}
        return sorted(days - {date.min})

    def below(self, organisation: str, other: str) -> list[tuple[date, date]]:
        """Return from when to when another organisation stood below one, or was it."""
        edges = [date.min, *self.changes, date.max]
        return [(low, high) for low, high in pairwise(edges) if organisation in self.path(other, low)]


def led_since(openings: Iterable[StationOpened | ProjectLaunched], day_of: Callable[[int], date]) -> Led:
    """Return since when a station or a project has been whose, by its openings in log order.

    Args:
        day_of: the local day of an instant.
    """
    led: dict[date, str | None] = {}
    for number, event in enumerate(openings):
        led[day_of(event.occurred_at) if number else date.min] = event.organisation
    return sorted(led.items(), key=lambda each: each[0])


def leader_on(led: Led, day: date) -> str | None:
    """Return whose a station or a project is on a day."""
    return next((organisation for since, organisation in reversed(led) if since <= day), None)


class MembershipChange(NamedTuple):
    """What an event says of a volunteer's memberships; `organisation` where it names one."""

    what: Literal["registered", "withdrawn", "joined", "left"]
    day: date
    organisation: str | None = None


def said_by(events: Iterable[Event]) -> list[MembershipChange]:
    """Return what the events of a volunteer's stream say of memberships."""
    found: list[MembershipChange] = []
    for event in events:
        match event:
            case VolunteerRegistered():
                found.append(MembershipChange("registered", event.registered_on, event.organisation))
            case VolunteerWithdrawn():
                found.append(MembershipChange("withdrawn", event.withdrawn_on))
            case OrganisationJoined():
                found.append(MembershipChange("joined", event.joined_on, event.organisation))
            case OrganisationLeft():
                found.append(MembershipChange("left", event.left_on, event.organisation))
            case _:
                pass
    return found


def memberships(tree: Tree, said: Iterable[MembershipChange]) -> list[Membership]:
    """Return a volunteer's memberships by what was said, in log order; they come in order of time.

    Nobody is a member while withdrawn, nor of an organisation that has ended.
    """
    marks: dict[str, list[tuple[date, int, bool]]] = defaultdict(list)
    away: list[tuple[date, int, bool]] = []
    for number, each in enumerate(said):
        if each.what in {"registered", "withdrawn"}:
            away.append((each.day, number, each.what == "withdrawn"))
        if each.organisation is not None:
            marks[each.organisation].append((each.day, number, each.what != "left"))
    gone = _spans(away)
    found = [
        Membership(organisation, *span)
        for organisation, of_one in marks.items()
        for span in _without(gone, _within(tree.stood[organisation], _spans(of_one)))
    ]
    return sorted(found, key=lambda each: (each.since, each.organisation))


def of_persons(members: Mapping[str, Sequence[Membership]], merged: Mapping[str, str]) -> dict[str, list[Membership]]:
    """Return memberships by person: those of one organisation under several numbers are one while they overlap or meet.

    Args:
        members: by volunteer number, in order of time.
        merged: as which number each merged one goes on.
    """
    found: dict[str, list[Membership]] = {}
    for number, of_number in members.items():
        found.setdefault(merged.get(number, number), []).extend(of_number)
    for person in {merged[number] for number in members.keys() & merged.keys()}:
        found[person] = _joined(found[person])
    return found


def _joined(several: Iterable[Membership]) -> list[Membership]:
    joined: list[Membership] = []
    for each in sorted(several):
        last = joined[-1] if joined else None
        if last is not None and last.organisation == each.organisation and each.since <= last.until:
            joined[-1] = last._replace(until=max(last.until, each.until))
        else:
            joined.append(each)
    return sorted(joined, key=lambda each: (each.since, each.organisation))


_Span = tuple[date, date]


def _spans(marks: Iterable[tuple[date, int, bool]]) -> list[_Span]:
    """Return the spans of days that marks begin and end; of several of one day the last that was said counts."""
    by_day = {day: begins for day, _, begins in sorted(marks)}
    spans: list[_Span] = []
    since: date | None = None
    for day, begins in by_day.items():
        if begins and since is None:
            since = day
        elif not begins and since is not None:
            spans.append((since, day))
            since = None
    return spans if since is None else [*spans, (since, date.max)]


_ALWAYS = [(date.min, date.max)]


def _within(outer: Sequence[_Span], inner: Sequence[_Span]) -> Sequence[_Span]:
    if outer == _ALWAYS:  # as nearly all are, of everybody in a district
        return inner
    cut = [(max(low, since), min(high, until)) for low, high in outer for since, until in inner]
    return [(low, high) for low, high in cut if low < high]


def _without(gone: Sequence[_Span], spans: Sequence[_Span]) -> Sequence[_Span]:
    left = _ALWAYS
    for low, high in gone:
        left = [part for since, until in left for part in ((since, min(until, low)), (max(since, high), until))]
    return _within(left, spans)


# --- routes and groups ----------------------------------------------------------------------------------------------


class Book:
    """Numbers for groups and routes. A group is `(OWN, id)`, `(WITH_BELOW, id)`, `(PART, id, parent)` (which is "" for
    one that stands under none), `EVERYTHING` or `NO_ORGANISATION`.
    """

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self.groups: dict[Group, int] = {}
        self._routes: dict[tuple[int, ...], int] = {}
        self._known: dict[tuple[frozenset[str], int], int] = {}
        self.no_route = self._route([EVERYTHING, NO_ORGANISATION])

    def routes(self) -> Routes:
        """Return all routes that were asked for."""
        return routes_of(list(self._routes))

    def spans(self, names: Iterable[str], values: dict[str, list[tuple[date, frozenset[str]]]]) -> Spans:
        """Return the spans of keys in order. `values`: since when each has belonged to which organisations, ascending;
        to none means that it has no route.
        """
        return spans_of(self._span(values.get(name, ())) for name in names)

    def _span(self, values: Sequence[tuple[date, frozenset[str]]]) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        days_and_end = [*(since for since, _ in values), date.max]
        for (_, organisations), (since, until) in zip(values, pairwise(days_and_end), strict=True):
            days = [since, *(day for day in self._tree.changes if since < day < until)] if organisations else [since]
            for day in days:
                route = self._route_on(organisations, day)
                if not found or found[-1][1] != route:
                    found.append((ALWAYS if day == date.min else day_number(day), route))
        return found

    def _route_on(self, organisations: frozenset[str], day: date) -> int:
        if not organisations:
            return -1
        state = sum(change <= day for change in self._tree.changes)
        key = organisations, state
        if key not in self._known:
            groups: list[Group] = [EVERYTHING]
            for organisation in sorted(organisations):
                path = self._tree.path(organisation, day)
                groups.append((OWN, organisation))
                groups += [(WITH_BELOW, each) for each in path]
                groups += [(PART, each, above) for each, above in pairwise([*path, ""])]
            self._known[key] = self._route(groups)
        return self._known[key]

    def _route(self, groups: Iterable[Group]) -> int:
        numbers = dict.fromkeys(self.groups.setdefault(group, len(self.groups)) for group in groups)
        return self._routes.setdefault(tuple(numbers), len(self._routes))


def belonging_of(found: Sequence[Membership]) -> list[tuple[date, frozenset[str]]]:
    """Return since when a volunteer has been a member of which organisations, by all memberships."""
    days = sorted({day for each in found for day in (each.since, each.until)} - {date.max})
    return [(day, frozenset(each.organisation for each in found if each.since <= day < each.until)) for day in days]
