"""Organisations: founded, moved, ended; who stands under whom since when, by the events of each stream.

Decisions keep the tree a tree; whoever adds up over the tree asks where an organisation stood on a day. The parent an
organisation was founded under is its parent from the beginning of time: old records may be of before it was entered.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import Literal
from uuid import UUID

from ledger.deciding.base import Act, Aggregate, Event
from ledger.deciding.case import Case, Decision
from ledger.names import Day, OrganisationId, ReasonCode, stream
from ledger.rejections import Rejection, refuse

OrganisationKind = Literal["district", "subdistrict", "community", "group-member", "ngo"]
Placing = tuple[date, str | None]
"""The first day, and the parent."""


@dataclass(frozen=True, slots=True)
class Organisation(Aggregate):
    """Since when it has stood where, and on which days it has stood at all."""

    placings: tuple[Placing, ...] = ()
    """In the order in which they were said; later ones may be of earlier days."""
    spans: tuple[tuple[date, date], ...] = ()
    """The days on which it stood: from the first to before the second, `date.max` while it does."""
    end: OrganisationEnded | None = None
    """What ended it, unless it has gone on since."""
    ended_on: date = date.min

    def after(self, event: Event) -> Organisation:
        found = replace(self, version=self.version + 1)
        match event:
            case OrganisationFounded() if not self.placings:
                return replace(found, placings=((date.min, event.parent),), spans=((date.min, date.max),))
            case OrganisationFounded():  # it goes on
                placings = (*self.placings, (event.founded_on or self.ended_on, event.parent))
                spans = (*self.spans, (event.founded_on or self.spans[-1][1], date.max))
                return replace(found, placings=placings, spans=spans, end=None)
            case OrganisationMoved():
                return replace(found, placings=(*self.placings, (event.moved_on, event.parent)))
            case OrganisationEnded():
                spans = (*self.spans[:-1], (self.spans[-1][0], event.ended_on))
                return replace(found, spans=spans, end=event, ended_on=event.ended_on)
            case _:
                return found

    def parent_on(self, day: date) -> str | None:
        """Return the parent on a day: the latest placing up to it counts, of several of one day the last one said."""
        known = [(since, number, parent) for number, (since, parent) in enumerate(self.placings) if since <= day]
        return max(known, key=lambda each: each[:2])[2] if known else None

    def has_ended(self, day: date) -> bool:
        """Return whether it has ended by a day."""
        return self.end is not None and self.end.ended_on <= day


class OrganisationEvent(Event):
    AGGREGATE = Organisation
    organisation: OrganisationId

    @property
    def stream_id(self) -> UUID:
        return stream("organisation", self.organisation)


class OrganisationFounded(OrganisationEvent):
    """Founded, under a parent or none. One that had ended stands again from `founded_on`, or as if it had not ended."""

    TOPIC = "organisation-founded.v1"
    kind: OrganisationKind
    parent: OrganisationId | None = None
    founded_on: Day | None = None


class OrganisationMoved(OrganisationEvent):
    """From this day on it stands under another parent, or under none."""

    TOPIC = "organisation-moved.v1"
    parent: OrganisationId | None = None
    moved_on: Day
    reason: ReasonCode


class OrganisationEnded(OrganisationEvent):
    """From this day on it has no members. What happened stays where it was."""

    TOPIC = "organisation-ended.v1"
    ended_on: Day
    reason: ReasonCode


def organisation_of(case: Case, organisation: str) -> Organisation:
    """Return an organisation as its events leave it."""
    return case.stream(Organisation, "organisation", organisation)


def has_ended(case: Case, organisation: str, day: date) -> bool:
    """Return whether an organisation that is known has ended by a day."""
    return organisation_of(case, organisation).has_ended(day)


class FoundOrganisation(Act):
    """A new organisation; or one that had ended goes on from `founded_on`, without it as if it had never ended."""

    TYPE = "found-organisation"
    organisation: OrganisationId
    kind: OrganisationKind
    parent: OrganisationId | None = None
    founded_on: Day | None = None

    def decide(self, case: Case) -> Decision:
        if refused := case.unknown(self, parent="organisation") or case.future(self, "occurred_at", "founded_on"):
            return refused
        known = organisation_of(case, self.organisation)
        if known.version and known.end is None:
            return refuse(Rejection.ALREADY_FOUNDED, "organisation", self.organisation)
        day = self.founded_on or (known.end.ended_on if known.end else case.day_of(self.occurred_at))
        if self.parent is not None and has_ended(case, self.parent, day):
            return refuse(Rejection.ORGANISATION_ENDED, "parent", self.parent)
        if known.end is not None and _leads_back(case, self.organisation, self.parent, day):
            return refuse(Rejection.BELOW_ITSELF, "parent", self.parent)
        return [case.event(OrganisationFounded, self)]


class MoveOrganisation(Act):
    """From `moved_on` it stands under `parent`, or under none. What was done before that day stays where it was."""

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
        if _leads_back(case, self.organisation, self.parent, self.moved_on):
            return refuse(Rejection.BELOW_ITSELF, "parent", self.parent)
        return [case.event(OrganisationMoved, self)]


class EndOrganisation(Act):
    """It is dissolved: from `ended_on` it has no members, and nothing new may name it."""

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


def _leads_back(case: Case, organisation: str, parent: str | None, since: date) -> bool:
    """Return whether, with `parent` above it, an organisation would ever stand below itself from a day on.

    Moves may be entered late, so the way up is walked on each day on which a parent above changes.
    """
    days, seen, ahead = {since}, {organisation}, [parent]
    while ahead:
        above = ahead.pop()
        if above is None or above in seen:
            continue
        seen.add(above)
        placings = organisation_of(case, above).placings
        days |= {day for day, _ in placings if day > since}
        ahead += [one for _, one in placings]
    own = [day for day, _ in organisation_of(case, organisation).placings if day > since]
    until = min(own, default=date.max)  # a later move that is known already ends what this one says
    return any(_climbs_to(case, organisation, parent, day) for day in days if day < until)


def _climbs_to(case: Case, organisation: str, above: str | None, day: date) -> bool:
    while above is not None:
        if above == organisation:
            return True
        above = organisation_of(case, above).parent_on(day)
    return False
