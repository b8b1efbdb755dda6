"""The organisation tree, and which stations, projects and volunteers belong to each organisation, day by day.

    Tree                  the parent of each organisation on a day
    organisation_history  the organisations of a station or project over time
    memberships           the memberships of a volunteer
    RouteBuilder          all of these as routes and groups for `projections.kernels.belonging`

The first organisation of a station or project counts from the beginning of time, because old records may date from
before it was entered. The last day of a membership does not belong to it.

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

OrganisationHistory = list[tuple[date, str | None]]
"""The first day of each organisation, and the organisation, ascending; `date.min` for the first."""
Group = tuple[str, ...]
OWN, WITH_BELOW, PART = "own", "with below", "part"
EVERYTHING: Group = ("everything",)
NO_ORGANISATION: Group = ("no organisation",)


class Membership(NamedTuple):
    """A membership from `since` until before `until`, which is `date.max` if it has not ended."""

    organisation: str
    since: date
    until: date


class Tree:
    """The tree of organisations, by the events of their streams in log order."""

    def __init__(self, events: Iterable[OrganisationEvent]) -> None:
        self.histories: dict[str, list[Event]] = {}
        self._folded: dict[str, Organisation] = {}
        for event in events:
            self.histories.setdefault(event.organisation, []).append(event)

    def _organisation(self, name: str) -> Organisation:
        """Return an organisation, folded when it is first asked for: most answers are about a few of hundreds."""
        if name not in self._folded:
            self._folded[name] = Organisation.of(self.histories[name])
        return self._folded[name]

    def kind(self, organisation: str) -> str:
        """Return the kind as which an organisation was last founded."""
        founded = [event for event in self.histories[organisation] if isinstance(event, OrganisationFounded)]
        return founded[-1].kind

    def parent(self, organisation: str, day: date) -> str | None:
        """Return the parent of an organisation on a day."""
        return self._organisation(organisation).parent_on(day)

    def path(self, organisation: str, day: date) -> list[str]:
        """Return an organisation and its ancestors on a day, itself first. Decisions refuse cycles, so this ends."""
        path = [organisation]
        while (above := self.parent(path[-1], day)) is not None:
            path.append(above)
        return path

    def active(self, organisation: str) -> tuple[tuple[date, date], ...]:
        """Return the days on which an organisation was active, as half-open intervals."""
        return self._organisation(organisation).spans

    @cached_property
    def changes(self) -> list[date]:
        """The days on which any organisation changes its parent."""
        days = {day for name in self.histories for day, _ in self._organisation(name).placings}
        return sorted(days - {date.min})

    def below(self, organisation: str, other: str) -> list[tuple[date, date]]:
        """Return the half-open intervals in which `other` was below an organisation, or is the organisation itself."""
        edges = [date.min, *self.changes, date.max]
        return [(low, high) for low, high in pairwise(edges) if organisation in self.path(other, low)]


def organisation_history(
    openings: Iterable[StationOpened | ProjectLaunched], day_of: Callable[[int], date]
) -> OrganisationHistory:
    """Return the organisations of a station or project over time, by its openings in log order.

    Args:
        day_of: returns the local day of an instant.
    """
    by_day: dict[date, str | None] = {}
    for number, event in enumerate(openings):
        by_day[day_of(event.occurred_at) if number else date.min] = event.organisation
    return sorted(by_day.items(), key=lambda entry: entry[0])


def organisation_on(history: OrganisationHistory, day: date) -> str | None:
    """Return the organisation of a station or project on a day."""
    return next((organisation for since, organisation in reversed(history) if since <= day), None)


class MembershipChange(NamedTuple):
    """A change of a volunteer's memberships; `organisation` if the event names one."""

    what: Literal["registered", "withdrawn", "joined", "left"]
    day: date
    organisation: str | None = None


def membership_changes(events: Iterable[Event]) -> list[MembershipChange]:
    """Return the changes of memberships by the events of a volunteer's stream."""
    changes: list[MembershipChange] = []
    for event in events:
        match event:
            case VolunteerRegistered():
                changes.append(MembershipChange("registered", event.registered_on, event.organisation))
            case VolunteerWithdrawn():
                changes.append(MembershipChange("withdrawn", event.withdrawn_on))
            case OrganisationJoined():
                changes.append(MembershipChange("joined", event.joined_on, event.organisation))
            case OrganisationLeft():
                changes.append(MembershipChange("left", event.left_on, event.organisation))
            case _:
                pass
    return changes


def memberships(tree: Tree, changes: Iterable[MembershipChange]) -> list[Membership]:
    """Return a volunteer's memberships in order of time, given the changes in log order.

    Nobody is a member while withdrawn, nor of an organisation that has ended.
    """
    marks: dict[str, list[tuple[date, int, bool]]] = defaultdict(list)
    withdrawals: list[tuple[date, int, bool]] = []
    for number, change in enumerate(changes):
        if change.what in {"registered", "withdrawn"}:
            withdrawals.append((change.day, number, change.what == "withdrawn"))
        if change.organisation is not None:
            marks[change.organisation].append((change.day, number, change.what != "left"))
    withdrawn = _spans(withdrawals)
    result = [
        Membership(organisation, *span)
        for organisation, of_organisation in marks.items()
        for span in _without(withdrawn, _within(tree.active(organisation), _spans(of_organisation)))
    ]
    return sorted(result, key=lambda membership: (membership.since, membership.organisation))


def of_persons(members: Mapping[str, Sequence[Membership]], merged: Mapping[str, str]) -> dict[str, list[Membership]]:
    """Return memberships by person: those of one organisation under several numbers are united if they overlap or meet.

    Args:
        members: memberships by volunteer number, in order of time.
        merged: the person's number of each merged number.
    """
    by_person: dict[str, list[Membership]] = {}
    for number, of_number in members.items():
        by_person.setdefault(merged.get(number, number), []).extend(of_number)
    for person in {merged[number] for number in members.keys() & merged.keys()}:
        by_person[person] = _united(by_person[person])
    return by_person


def _united(several: Iterable[Membership]) -> list[Membership]:
    united: list[Membership] = []
    for membership in sorted(several):
        last = united[-1] if united else None
        if last is not None and last.organisation == membership.organisation and membership.since <= last.until:
            united[-1] = last._replace(until=max(last.until, membership.until))
        else:
            united.append(membership)
    return sorted(united, key=lambda membership: (membership.since, membership.organisation))


_Span = tuple[date, date]


def _spans(marks: Iterable[tuple[date, int, bool]]) -> list[_Span]:
    """Return the spans of days that marks begin and end; of several marks on one day, the last one recorded counts."""
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
    if outer == _ALWAYS:  # nearly always the case
        return inner
    cut = [(max(low, since), min(high, until)) for low, high in outer for since, until in inner]
    return [(low, high) for low, high in cut if low < high]


def _without(excluded: Sequence[_Span], spans: Sequence[_Span]) -> Sequence[_Span]:
    remaining = _ALWAYS
    for low, high in excluded:
        remaining = [
            part for since, until in remaining for part in ((since, min(until, low)), (max(since, high), until))
        ]
    return _within(remaining, spans)


# --- routes and groups ----------------------------------------------------------------------------------------------


class RouteBuilder:
    """Assigns numbers to groups and routes. A group is `(OWN, id)`, `(WITH_BELOW, id)`, `(PART, id, parent)` (`parent`
    is "" if there is none), `EVERYTHING` or `NO_ORGANISATION`.
    """

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self.groups: dict[Group, int] = {}
        self._routes: dict[tuple[int, ...], int] = {}
        self._cache: dict[tuple[frozenset[str], int], int] = {}
        self.no_route = self._route([EVERYTHING, NO_ORGANISATION])

    def routes(self) -> Routes:
        """Return all routes numbered so far."""
        return routes_of(list(self._routes))

    def spans(self, names: Iterable[str], values: dict[str, list[tuple[date, frozenset[str]]]]) -> Spans:
        """Return the spans of keys in order. `values`: by name, the organisations of the key from each day on,
        ascending; no organisations means no route.
        """
        return spans_of(self._span(values.get(name, ())) for name in names)

    def _span(self, values: Sequence[tuple[date, frozenset[str]]]) -> list[tuple[int, int]]:
        span: list[tuple[int, int]] = []
        days_and_end = [*(since for since, _ in values), date.max]
        for (_, organisations), (since, until) in zip(values, pairwise(days_and_end), strict=True):
            days = [since, *(day for day in self._tree.changes if since < day < until)] if organisations else [since]
            for day in days:
                route = self._route_on(organisations, day)
                if not span or span[-1][1] != route:
                    span.append((ALWAYS if day == date.min else day_number(day), route))
        return span

    def _route_on(self, organisations: frozenset[str], day: date) -> int:
        if not organisations:
            return -1
        state = sum(change <= day for change in self._tree.changes)
        key = organisations, state
        if key not in self._cache:
            groups: list[Group] = [EVERYTHING]
            for organisation in sorted(organisations):
                path = self._tree.path(organisation, day)
                groups.append((OWN, organisation))
                groups += [(WITH_BELOW, ancestor) for ancestor in path]
                groups += [(PART, ancestor, above) for ancestor, above in pairwise([*path, ""])]
            self._cache[key] = self._route(groups)
        return self._cache[key]

    def _route(self, groups: Iterable[Group]) -> int:
        numbers = dict.fromkeys(self.groups.setdefault(group, len(self.groups)) for group in groups)
        return self._routes.setdefault(tuple(numbers), len(self._routes))


def belonging_of(members: Sequence[Membership]) -> list[tuple[date, frozenset[str]]]:
    """Return the organisations of a volunteer from each day on, given all memberships."""
    days = sorted({day for one in members for day in (one.since, one.until)} - {date.max})
    return [(day, frozenset(one.organisation for one in members if one.since <= day < one.until)) for day in days]
