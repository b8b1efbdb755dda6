"""Organisations: founded, moved, ended; joined and left by volunteers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from ledger.commands import (
    EndOrganisation,
    FoundOrganisation,
    JoinOrganisation,
    LeaveOrganisation,
    MoveOrganisation,
)
from ledger.decide.case import Case, Decision, last_of
from ledger.events import (
    Event,
    OrganisationEnded,
    OrganisationFounded,
    OrganisationJoined,
    OrganisationLeft,
    OrganisationMoved,
    VolunteerRegistered,
)
from ledger.names import stream
from ledger.placings import parent_on, placings
from ledger.rejections import Rejection, refuse


def _history(case: Case, organisation: str) -> Sequence[Event]:
    return case.streams.events(stream("organisation", organisation))


def _end(case: Case, organisation: str) -> OrganisationEnded | None:
    standing = last_of(_history(case, organisation), OrganisationFounded, OrganisationEnded)
    return standing if isinstance(standing, OrganisationEnded) else None


def has_ended(case: Case, organisation: str, day: date) -> bool:
    """Return whether an organisation that is known has ended by a day."""
    end = _end(case, organisation)
    return end is not None and end.ended_on <= day


# --- the tree -------------------------------------------------------------------------------------------------------


def found_organisation(command: FoundOrganisation, case: Case) -> Decision:
    if command.parent is not None and not case.knows("organisation", command.parent):
        return refuse(Rejection.UNKNOWN_ORGANISATION, "parent", command.parent)
    if case.is_future(command.occurred_at):
        return refuse(Rejection.FUTURE, "occurred_at", command.occurred_at)
    if command.founded_on is not None and case.is_future_day(command.founded_on):
        return refuse(Rejection.FUTURE, "founded_on", command.founded_on)
    known = case.knows("organisation", command.organisation)
    end = _end(case, command.organisation) if known else None
    if known and end is None:
        return refuse(Rejection.ALREADY_FOUNDED, "organisation", command.organisation)
    day = command.founded_on or (case.day_of(command.occurred_at) if end is None else end.ended_on)
    if command.parent is not None and has_ended(case, command.parent, day):
        return refuse(Rejection.ORGANISATION_ENDED, "parent", command.parent)
    if end is not None and _leads_back(case, command.organisation, command.parent, day):
        return refuse(Rejection.BELOW_ITSELF, "parent", command.parent)
    return [
        OrganisationFounded(
            **case.said(command.occurred_at),
            organisation=command.organisation,
            kind=command.kind,
            parent=command.parent,
            founded_on=command.founded_on,
        )
    ]


def move_organisation(command: MoveOrganisation, case: Case) -> Decision:
    if not case.knows("organisation", command.organisation):
        return refuse(Rejection.UNKNOWN_ORGANISATION, "organisation", command.organisation)
    if command.parent is not None and not case.knows("organisation", command.parent):
        return refuse(Rejection.UNKNOWN_ORGANISATION, "parent", command.parent)
    if case.is_future(command.occurred_at):
        return refuse(Rejection.FUTURE, "occurred_at", command.occurred_at)
    if case.is_future_day(command.moved_on):
        return refuse(Rejection.FUTURE, "moved_on", command.moved_on)
    for field, organisation in (("organisation", command.organisation), ("parent", command.parent)):
        if organisation is not None and has_ended(case, organisation, command.moved_on):
            return refuse(Rejection.ORGANISATION_ENDED, field, organisation)
    if parent_on(_history(case, command.organisation), command.moved_on) == command.parent:
        return refuse(Rejection.STANDS_THERE, "parent", command.parent)
    if _leads_back(case, command.organisation, command.parent, command.moved_on):
        return refuse(Rejection.BELOW_ITSELF, "parent", command.parent)
    return [
        OrganisationMoved(
            **case.said(command.occurred_at),
            organisation=command.organisation,
            parent=command.parent,
            moved_on=command.moved_on,
            reason=command.reason,
        )
    ]


def end_organisation(command: EndOrganisation, case: Case) -> Decision:
    if not case.knows("organisation", command.organisation):
        return refuse(Rejection.UNKNOWN_ORGANISATION, "organisation", command.organisation)
    if case.is_future(command.occurred_at):
        return refuse(Rejection.FUTURE, "occurred_at", command.occurred_at)
    if case.is_future_day(command.ended_on):
        return refuse(Rejection.FUTURE, "ended_on", command.ended_on)
    if _end(case, command.organisation) is not None:
        return refuse(Rejection.ENDED_ALREADY, "organisation", command.organisation)
    return [
        OrganisationEnded(
            **case.said(command.occurred_at),
            organisation=command.organisation,
            ended_on=command.ended_on,
            reason=command.reason,
        )
    ]


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
        found = placings(_history(case, above))
        days |= {day for day, _ in found if day > since}
        ahead += [one for _, one in found]
    own = [day for day, _ in placings(_history(case, organisation)) if day > since]
    until = min(own, default=date.max)  # a later move that is known already ends what this one says
    return any(_climbs_to(case, organisation, parent, day) for day in days if day < until)


def _climbs_to(case: Case, organisation: str, above: str | None, day: date) -> bool:
    while above is not None:
        if above == organisation:
            return True
        above = parent_on(_history(case, above), day)
    return False


# --- members --------------------------------------------------------------------------------------------------------


def _is_member(case: Case, volunteer: str, organisation: str) -> bool:
    member = False
    for event in case.streams.events(stream("volunteer", volunteer)):
        match event:
            case VolunteerRegistered() | OrganisationJoined() if event.organisation == organisation:
                member = True
            case OrganisationLeft() if event.organisation == organisation:
                member = False
            case _:
                pass
    return member


def join_organisation(command: JoinOrganisation, case: Case) -> Decision:
    if not case.knows("volunteer", command.volunteer):
        return refuse(Rejection.UNKNOWN_VOLUNTEER, "volunteer", command.volunteer)
    if not case.knows("organisation", command.organisation):
        return refuse(Rejection.UNKNOWN_ORGANISATION, "organisation", command.organisation)
    if case.is_future(command.occurred_at):
        return refuse(Rejection.FUTURE, "occurred_at", command.occurred_at)
    if case.is_future_day(command.joined_on):
        return refuse(Rejection.FUTURE, "joined_on", command.joined_on)
    if _is_member(case, command.volunteer, command.organisation):
        return refuse(Rejection.ALREADY_MEMBER, "organisation", command.organisation)
    if has_ended(case, command.organisation, command.joined_on):
        return refuse(Rejection.ORGANISATION_ENDED, "organisation", command.organisation)
    return [
        OrganisationJoined(
            **case.said(command.occurred_at),
            volunteer=command.volunteer,
            organisation=command.organisation,
            joined_on=command.joined_on,
        )
    ]


def leave_organisation(command: LeaveOrganisation, case: Case) -> Decision:
    if not case.knows("volunteer", command.volunteer):
        return refuse(Rejection.UNKNOWN_VOLUNTEER, "volunteer", command.volunteer)
    if not case.knows("organisation", command.organisation):
        return refuse(Rejection.UNKNOWN_ORGANISATION, "organisation", command.organisation)
    if case.is_future(command.occurred_at):
        return refuse(Rejection.FUTURE, "occurred_at", command.occurred_at)
    if case.is_future_day(command.left_on):
        return refuse(Rejection.FUTURE, "left_on", command.left_on)
    if not _is_member(case, command.volunteer, command.organisation):
        return refuse(Rejection.NOT_A_MEMBER, "organisation", command.organisation)
    return [
        OrganisationLeft(
            **case.said(command.occurred_at),
            volunteer=command.volunteer,
            organisation=command.organisation,
            left_on=command.left_on,
        )
    ]
