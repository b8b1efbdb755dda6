"""Volunteers: registered, withdrawn, merged (and that taken back), trained."""

from __future__ import annotations

from collections.abc import Sequence

from ledger.commands import (
    MergeVolunteer,
    RecordTraining,
    RegisterVolunteer,
    UndoMerge,
    VoidTraining,
    WithdrawVolunteer,
)
from ledger.decide.case import Case, Decision, last_of
from ledger.decide.merges import merge_in_force
from ledger.decide.organisations import has_ended
from ledger.events import (
    Event,
    TrainingCompleted,
    TrainingVoided,
    VolunteerMerged,
    VolunteerMergeUndone,
    VolunteerRegistered,
    VolunteerWithdrawn,
)
from ledger.names import stream
from ledger.rejections import Rejection, refuse


def _history(case: Case, volunteer: str) -> Sequence[Event]:
    return case.streams.events(stream("volunteer", volunteer))


def register_volunteer(command: RegisterVolunteer, case: Case) -> Decision:
    if command.organisation is not None and not case.knows("organisation", command.organisation):
        return refuse(Rejection.UNKNOWN_ORGANISATION, "organisation", command.organisation)
    if case.is_future(command.occurred_at):
        return refuse(Rejection.FUTURE, "occurred_at", command.occurred_at)
    if case.is_future_day(command.registered_on):
        return refuse(Rejection.FUTURE, "registered_on", command.registered_on)
    standing = last_of(_history(case, command.volunteer), VolunteerRegistered, VolunteerWithdrawn)
    if isinstance(standing, VolunteerRegistered):
        return refuse(Rejection.ALREADY_REGISTERED, "volunteer", command.volunteer)
    if command.organisation is not None and has_ended(case, command.organisation, command.registered_on):
        return refuse(Rejection.ORGANISATION_ENDED, "organisation", command.organisation)
    return [
        VolunteerRegistered(
            **case.said(command.occurred_at),
            volunteer=command.volunteer,
            registered_on=command.registered_on,
            organisation=command.organisation,
        )
    ]


def withdraw_volunteer(command: WithdrawVolunteer, case: Case) -> Decision:
    if not case.knows("volunteer", command.volunteer):
        return refuse(Rejection.UNKNOWN_VOLUNTEER, "volunteer", command.volunteer)
    if case.is_future(command.occurred_at):
        return refuse(Rejection.FUTURE, "occurred_at", command.occurred_at)
    if case.is_future_day(command.withdrawn_on):
        return refuse(Rejection.FUTURE, "withdrawn_on", command.withdrawn_on)
    standing = last_of(_history(case, command.volunteer), VolunteerRegistered, VolunteerWithdrawn)
    if isinstance(standing, VolunteerWithdrawn):
        return refuse(Rejection.ALREADY_WITHDRAWN, "volunteer", command.volunteer)
    return [
        VolunteerWithdrawn(
            **case.said(command.occurred_at),
            volunteer=command.volunteer,
            withdrawn_on=command.withdrawn_on,
            reason=command.reason,
        )
    ]


def merge_volunteer(command: MergeVolunteer, case: Case) -> Decision:
    for field in ("volunteer", "into"):
        if not case.knows("volunteer", getattr(command, field)):
            return refuse(Rejection.UNKNOWN_VOLUNTEER, field, getattr(command, field))
    if command.into == command.volunteer:
        return refuse(Rejection.SAME_VOLUNTEER, "into", command.into)
    if case.is_future(command.occurred_at):
        return refuse(Rejection.FUTURE, "occurred_at", command.occurred_at)
    for field in ("volunteer", "into"):  # a number that goes on is never itself merged, so merges make no ring
        if merge_in_force(case, getattr(command, field)):
            return refuse(Rejection.ALREADY_MERGED, field, getattr(command, field))
    return [
        VolunteerMerged(
            **case.said(command.occurred_at),
            volunteer=command.volunteer,
            into=command.into,
            reason=command.reason,
        )
    ]


def undo_merge(command: UndoMerge, case: Case) -> Decision:
    for field in ("volunteer", "into"):
        if not case.knows("volunteer", getattr(command, field)):
            return refuse(Rejection.UNKNOWN_VOLUNTEER, field, getattr(command, field))
    if case.is_future(command.occurred_at):
        return refuse(Rejection.FUTURE, "occurred_at", command.occurred_at)
    merge = merge_in_force(case, command.volunteer)
    if merge is None:
        return refuse(Rejection.NOT_MERGED, "volunteer", command.volunteer)
    if merge.into != command.into:
        return refuse(Rejection.NOT_MERGED, "into", command.into)
    return [
        VolunteerMergeUndone(
            **case.said(command.occurred_at),
            volunteer=command.volunteer,
            into=command.into,
            reason=command.reason,
        )
    ]


def record_training(command: RecordTraining, case: Case) -> Decision:
    if not case.knows("volunteer", command.volunteer):
        return refuse(Rejection.UNKNOWN_VOLUNTEER, "volunteer", command.volunteer)
    if case.is_future(command.occurred_at):
        return refuse(Rejection.FUTURE, "occurred_at", command.occurred_at)
    if case.is_future_day(command.completed_on):
        return refuse(Rejection.FUTURE, "completed_on", command.completed_on)
    return [
        TrainingCompleted(
            **case.said(command.occurred_at),
            volunteer=command.volunteer,
            tier=command.tier,
            content=command.content,
            learning_minutes=command.learning_minutes,
            provider=command.provider,
            completed_on=command.completed_on,
        )
    ]


def void_training(command: VoidTraining, case: Case) -> Decision:
    if not case.knows("volunteer", command.volunteer):
        return refuse(Rejection.UNKNOWN_VOLUNTEER, "volunteer", command.volunteer)
    if case.is_future(command.occurred_at):
        return refuse(Rejection.FUTURE, "occurred_at", command.occurred_at)
    wanted = (command.tier, command.content, command.provider, command.completed_on)
    standing = 0
    for event in _history(case, command.volunteer):
        if isinstance(event, TrainingCompleted | TrainingVoided):
            same = (event.tier, event.content, event.provider, event.completed_on) == wanted
            standing += same if isinstance(event, TrainingCompleted) else -same
    if standing < 1:
        return refuse(Rejection.UNKNOWN_TRAINING, "content", command.content)
    return [
        TrainingVoided(
            **case.said(command.occurred_at),
            volunteer=command.volunteer,
            tier=command.tier,
            content=command.content,
            provider=command.provider,
            completed_on=command.completed_on,
            reason=command.reason,
        )
    ]
