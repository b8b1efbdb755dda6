"""From recorded events back to the order that they answer, so that the decision can be repeated.

The events of an order follow one another, under one command name and one actor. A command's fields are in its events
under the same names, except what a decision fills in: the table below names the command of each event, and functions
treat those whose events are several. A personal text is replaced by its digest. Other texts and expected versions are
not recorded; nothing recorded depends on them.

Errors: `UnexplainedError` if no single order results in such events.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from pydantic import ValidationError

from ledger.aggregates import Command, Event, Order, rules, scans, shift_acts
from ledger.aggregates import certificate as certificates
from ledger.aggregates import day_cap as caps
from ledger.aggregates import dispute as disputes
from ledger.aggregates import honor as honors
from ledger.aggregates import opening_balance as balances
from ledger.aggregates import organisation as organisations
from ledger.aggregates import people_served as served
from ledger.aggregates import project as projects
from ledger.aggregates import request as requests
from ledger.aggregates import shift as shifts
from ledger.aggregates import station as stations
from ledger.aggregates import volunteer as volunteers
from ledger.sentences import what_is_wrong
from ledger.store.mapper import decode
from replay.auditing.chunks import Recorded

COMMAND_OF: dict[type[Event], type[Command]] = {
    shifts.CheckedIn: scans.CheckIn,
    shifts.CheckedOut: scans.CheckOut,
    shifts.Punched: scans.Punch,
    shifts.ShiftCorrected: shift_acts.CorrectShift,
    shifts.ShiftVoided: shift_acts.VoidShift,
    shifts.ShiftReinstated: shift_acts.ReinstateShift,
    shifts.ShiftDisputed: disputes.DisputeShift,
    shifts.DisputeAnswered: disputes.AnswerDispute,
    shifts.DisputeSettled: disputes.SettleDispute,
    volunteers.VolunteerRegistered: volunteers.RegisterVolunteer,
    volunteers.VolunteerWithdrawn: volunteers.WithdrawVolunteer,
    volunteers.VolunteerMerged: volunteers.MergeVolunteer,
    volunteers.VolunteerMergeUndone: volunteers.UndoMerge,
    volunteers.TrainingCompleted: volunteers.RecordTraining,
    volunteers.TrainingVoided: volunteers.VoidTraining,
    volunteers.OrganisationJoined: volunteers.JoinOrganisation,
    volunteers.OrganisationLeft: volunteers.LeaveOrganisation,
    organisations.OrganisationFounded: organisations.FoundOrganisation,
    organisations.OrganisationRenamed: organisations.RenameOrganisation,
    organisations.OrganisationMoved: organisations.MoveOrganisation,
    organisations.OrganisationEnded: organisations.EndOrganisation,
    stations.StationOpened: stations.OpenStation,
    stations.StationRenamed: stations.RenameStation,
    stations.StationClosed: stations.CloseStation,
    projects.ProjectLaunched: projects.LaunchProject,
    projects.ProjectRenamed: projects.RenameProject,
    projects.ProjectEnded: projects.EndProject,
    served.PeopleServedCounted: served.CountPeopleServed,
    balances.OpeningBalanceRecorded: balances.RecordOpeningBalance,
    balances.OpeningBalanceVoided: balances.VoidOpeningBalance,
    caps.DayCapRaised: caps.RaiseDayCap,
    caps.DayCapRaiseWithdrawn: caps.WithdrawDayCapRaise,
    requests.ActRequested: requests.RequestAct,
    requests.ActApproved: requests.ApproveAct,
    requests.ActDeclined: requests.DeclineAct,
    requests.ActWithdrawn: requests.WithdrawRequest,
    rules.RulesPublished: rules.PublishRules,
    rules.RulesPutInForce: rules.PutRulesInForce,
    honors.HonorAnnounced: honors.AnnounceHonor,
    honors.HonorObjected: honors.ObjectToHonor,
    honors.HonorObjectionSettled: honors.SettleHonorObjection,
    honors.HonorAwarded: honors.AwardHonor,
    honors.HonorRevoked: honors.RevokeHonor,
    certificates.CertificateIssued: certificates.IssueCertificate,
    certificates.CertificateRevoked: certificates.RevokeCertificate,
}
"""The command whose first event is of a type."""

_FIELDS = {
    event: [name for name in command.model_fields if name in event.__struct_fields__]
    for event, command in COMMAND_OF.items()
}


class UnexplainedError(ValueError):
    """No single order results in these events."""


class Found(NamedTuple):
    """An event of the log: position, stream, version, topic, stored and decoded."""

    position: int
    stream: bytes
    version: int
    topic: str
    state: bytes
    event: Event


def grouped(events: Iterable[Found]) -> Iterator[list[Found]]:
    """Group consecutive events of one order. An approval's events name the requester and, as approver, its caller."""
    group: list[Found] = []
    key: tuple[object, ...] = ()
    for found in events:
        of_event = _order_key(found.event)
        if group and (of_event != key or found.position != group[-1].position + 1):
            yield group
            group = []
        group.append(found)
        key = of_event
    if group:
        yield group


def in_one_order(one: Recorded, next_one: Recorded) -> bool:
    """Return whether two recorded events answer one order, one after the other."""
    if next_one.position != one.position + 1:
        return False
    return _order_key(decode(one.topic, one.state)) == _order_key(decode(next_one.topic, next_one.state))


def _order_key(event: Event) -> tuple[object, ...]:
    return event.command, event.approved_by or event.by, event.recorded_at


def order_of(events: Sequence[Event]) -> Order:
    """Return the order that these events answer.

    Raises:
        UnexplainedError
    """
    first = events[0]
    command = COMMAND_OF.get(type(first))
    if command is None:
        raise UnexplainedError(f"no command is known that results in {first.TOPIC}")
    fields: dict[str, Any] = {name: getattr(first, name) for name in _FIELDS[type(first)]}
    match first:
        case shifts.CheckedIn(evidence=evidence) if evidence not in {None, scans.TYPED}:
            command, fields = shift_acts.AttestShift, _attested(events)
        case shifts.CheckedIn(evidence=scans.TYPED) if len(events) == 2:
            command, fields = shift_acts.AttestShift, _attested(events)
        case shifts.ShiftVoided(replaced_by=str()):
            command, fields = shift_acts.MoveShift, {**fields, "to_volunteer": first.replaced_by}
        case shifts.DisputeSettled():
            fields |= _settlement(events[1:])
        case rules.RulesPutInForce():
            fields |= {"rules_version": first.version, "change_time_zone": True}
        case rules.RulesPublished():
            fields |= {"change_time_zone": True}
        case _:
            pass
    try:
        decided = command.model_validate(fields)
    except ValidationError as error:
        (wrong, *_) = error.errors()
        place = ".".join(map(str, wrong["loc"]))
        raise UnexplainedError(
            f"today's program does not accept its {place or 'fields'}: {what_is_wrong(wrong)}"
        ) from None
    source, _, identity = first.command.partition("#")
    return Order(decided, source, identity, first.by, first.imported, first.key, first.by_volunteer)


def _attested(events: Sequence[Event]) -> dict[str, Any]:
    if len(events) != 2:
        raise UnexplainedError(
            "a late entry records a check-in and a check-out together, and there is only one of them"
        )
    begun, ended = events
    if not (isinstance(begun, shifts.CheckedIn) and isinstance(ended, shifts.CheckedOut)):
        raise UnexplainedError("a late entry records a check-in and a check-out, and nothing else")
    return {
        "volunteer": begun.volunteer,
        "station": begun.station,
        "check_in": begun.occurred_at,
        "check_out": ended.occurred_at,
        "evidence": begun.evidence,
        "shift": begun.shift,
        "project": begun.project,
    }


def _settlement(rest: Sequence[Event]) -> dict[str, Any]:
    """Return the act of a settlement, and its fields."""
    match list(rest):
        case []:
            return {}
        case [shifts.ShiftCorrected() as corrected]:
            names = ("check_in", "check_out", "station", "project")
            values = {name: value for name in names if (value := getattr(corrected, name)) is not None}
            return {"act": "correct-shift", "fields": {"changes": list(corrected.changes), **values}}
        case [shifts.ShiftVoided(replaced_by=None)]:
            return {"act": "void-shift"}
        case [shifts.ShiftReinstated()]:
            return {"act": "reinstate-shift"}
        case [shifts.ShiftVoided(replaced_by=str() as other), *_]:
            return {"act": "move-shift", "fields": {"to_volunteer": other}}
        case _:
            raise UnexplainedError("no act that follows from a settlement results in these events")
