"""Organisations: founded, renamed, moved, ended, and their parents over time, by the events of each stream.

Decisions keep the tree free of cycles. Sums over the tree use the parent of each day. The parent at founding counts
from the beginning of time, because old records may date from before the organisation was entered.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import Literal
from uuid import UUID

from ledger.deciding.base import Act, Aggregate, Event
from ledger.deciding.case import Case, Decision
from ledger.names import Day, OrganisationId, PlaceName, ReasonCode, stream
from ledger.rejections import RefusedError, Rejection, refuse

OrganisationKind = Literal["district", "subdistrict", "community", "group-member", "ngo"]
Placing = tuple[date, str | None]
"""The first day, and the parent."""


@dataclass(frozen=True, slots=True)
class Organisation(Aggregate):
    """An organisation's parents over time, and the days on which it was active."""

    placings: tuple[Placing, ...] = ()
    """In log order; later ones may have earlier days."""
    spans: tuple[tuple[date, date], ...] = ()
    """The days on which it was active, as half-open intervals; `date.max` while it has not ended."""
    end: OrganisationEnded | None = None
    """The event that ended it, unless it was founded again since."""
    ended_on: date = date.min
    name: str | None = None

    def after(self, event: Event) -> Organisation:
        organisation = replace(self, version=self.version + 1)
        if isinstance(event, OrganisationFounded | OrganisationRenamed):
            organisation = replace(organisation, name=event.name or self.name)
        match event:
            case OrganisationFounded() if not self.placings:
                return replace(organisation, placings=((date.min, event.parent),), spans=((date.min, date.max),))
            case OrganisationFounded():  # founded again
                placings = (*self.placings, (event.founded_on or self.ended_on, event.parent))
                spans = (*self.spans, (event.founded_on or self.spans[-1][1], date.max))
                return replace(organisation, placings=placings, spans=spans, end=None)
            case OrganisationMoved():
                return replace(organisation, placings=(*self.placings, (event.moved_on, event.parent)))
            case OrganisationEnded():
                spans = (*self.spans[:-1], (self.spans[-1][0], event.ended_on))
                return replace(organisation, spans=spans, end=event, ended_on=event.ended_on)
            case _:
                return organisation

    def parent_on(self, day: date) -> str | None:
        """Return the parent on a day: that of the latest placing up to it; of several on one day, the last recorded."""
        earlier = [(since, number, parent) for number, (since, parent) in enumerate(self.placings) if since <= day]
        return max(earlier, key=lambda placing: placing[:2])[2] if earlier else None

    def has_ended(self, day: date) -> bool:
        """Return whether the organisation has ended by a day."""
        return self.end is not None and self.end.ended_on <= day


class OrganisationEvent(Event):
    AGGREGATE = Organisation
    STREAM_FIELD = "organisation"
    EVENTS_MAX = 60
    organisation: OrganisationId

    @property
    def stream_id(self) -> UUID:
        return stream("organisation", self.organisation)


class OrganisationFounded(OrganisationEvent):
    """Founded, with or without a parent. One that had ended is active again from `founded_on`, or without a gap."""

    TOPIC = "organisation-founded.v1"
    kind: OrganisationKind
    parent: OrganisationId | None = None
    founded_on: Day | None = None
    name: PlaceName | None = None


class OrganisationRenamed(OrganisationEvent):
    TOPIC = "organisation-renamed.v1"
    EVENTS_MAX = 50
    name: PlaceName


class OrganisationMoved(OrganisationEvent):
    """From `moved_on` the organisation has another parent, or none."""

    TOPIC = "organisation-moved.v1"
    parent: OrganisationId | None = None
    moved_on: Day
    reason: ReasonCode


class OrganisationEnded(OrganisationEvent):
    """From `ended_on` the organisation has no members. Earlier service stays credited to it."""

    TOPIC = "organisation-ended.v1"
    ended_on: Day
    reason: ReasonCode


ANCESTORS_MAX = 60
"""The number of organisations that may be above another, on any day."""


def organisation_of(case: Case, organisation: str) -> Organisation:
    """Return the current state of an organisation."""
    return case.stream(Organisation, "organisation", organisation)


def has_ended(case: Case, organisation: str, day: date) -> bool:
    """Return whether a known organisation has ended by a day."""
    return organisation_of(case, organisation).has_ended(day)


class FoundOrganisation(Act):
    """Found an organisation, or reopen one that has ended: from `founded_on`, or without a gap if it is left out.

    Reopened without a new name it keeps the one it had.
    """

    TYPE = "found-organisation"
    organisation: OrganisationId
    kind: OrganisationKind
    parent: OrganisationId | None = None
    founded_on: Day | None = None
    name: PlaceName | None = None

    def decide(self, case: Case) -> Decision:
        if refused := case.unknown(self, parent="organisation") or case.future(self, "occurred_at", "founded_on"):
            return refused
        existing = organisation_of(case, self.organisation)
        if existing.version and existing.end is None:
            return refuse(Rejection.ALREADY_FOUNDED, "organisation", self.organisation)
        day = self.founded_on or (existing.end.ended_on if existing.end else case.day_of(self.occurred_at))
        if self.parent is not None and has_ended(case, self.parent, day):
            return refuse(Rejection.ORGANISATION_ENDED, "parent", self.parent)
        if existing.end is not None and _creates_cycle(case, self.organisation, self.parent, day):
            return refuse(Rejection.BELOW_ITSELF, "parent", self.parent)
        return [case.event(OrganisationFounded, self)]


class RenameOrganisation(Act):
    """Give an organisation a name, or another one."""

    TYPE = "rename-organisation"
    organisation: OrganisationId
    name: PlaceName

    def decide(self, case: Case) -> Decision:
        if refused := case.unknown(self, organisation="organisation") or case.future(self, "occurred_at"):
            return refused
        if organisation_of(case, self.organisation).name == self.name:
            return refuse(Rejection.ALREADY_NAMED, "name", self.name)
        return [case.event(OrganisationRenamed, self)]


class MoveOrganisation(Act):
    """Move an organisation under `parent`, or under none, from `moved_on`. Earlier service stays where it was."""

    TYPE = "move-organisation"
    organisation: OrganisationId
    parent: OrganisationId | None = None
    moved_on: Day
    reason: ReasonCode

    def decide(self, case: Case) -> Decision:
        if refused := case.unknown(self, organisation="organisation", parent="organisation") or case.future(
            self, "occurred_at", "moved_on"
        ):
            return refused
        for field, organisation in (("organisation", self.organisation), ("parent", self.parent)):
            if organisation is not None and has_ended(case, organisation, self.moved_on):
                return refuse(Rejection.ORGANISATION_ENDED, field, organisation)
        if organisation_of(case, self.organisation).parent_on(self.moved_on) == self.parent:
            return refuse(Rejection.STANDS_THERE, "parent", self.parent)
        if _creates_cycle(case, self.organisation, self.parent, self.moved_on):
            return refuse(Rejection.BELOW_ITSELF, "parent", self.parent)
        return [case.event(OrganisationMoved, self)]


class EndOrganisation(Act):
    """Dissolve an organisation: from `ended_on` it has no members, and nothing new may refer to it."""

    TYPE = "end-organisation"
    organisation: OrganisationId
    ended_on: Day
    reason: ReasonCode

    def decide(self, case: Case) -> Decision:
        if refused := case.unknown(self, organisation="organisation") or case.future(self, "occurred_at", "ended_on"):
            return refused
        if organisation_of(case, self.organisation).end is not None:
            return refuse(Rejection.ENDED_ALREADY, "organisation", self.organisation)
        return [case.event(OrganisationEnded, self)]


def _creates_cycle(case: Case, organisation: str, parent: str | None, since: date) -> bool:
    """Return whether `parent`, from a day on, would make an organisation its own ancestor on any day.

    Moves may be recorded late, so the ancestors are checked on each day on which one of them changes its parent.
    """
    days, seen, pending = {since}, {organisation}, [parent]
    while pending:
        ancestor = pending.pop()
        if ancestor is None or ancestor in seen:
            continue
        seen.add(ancestor)
        if len(seen) > ANCESTORS_MAX:
            raise RefusedError(refuse(Rejection.TREE_TOO_LARGE, "parent", parent))
        placings = organisation_of(case, ancestor).placings
        days |= {day for day, _ in placings if day > since}
        pending += [above for _, above in placings]
    own = [day for day, _ in organisation_of(case, organisation).placings if day > since]
    until = min(own, default=date.max)  # a later move that is already recorded replaces this parent
    return any(_is_ancestor(case, organisation, parent, day) for day in days if day < until)


def _is_ancestor(case: Case, organisation: str, below: str | None, day: date) -> bool:
    """Return whether an organisation is `below` itself or one of its ancestors on a day."""
    while below is not None:
        if below == organisation:
            return True
        below = organisation_of(case, below).parent_on(day)
    return False
