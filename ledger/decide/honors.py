"""Rule timelines, and honours: announced, objected to, awarded, revoked.

An objection is on record and stops nothing by itself: whoever awards has it before them. An award names its evidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from ledger.commands import AnnounceHonor, AwardHonor, ObjectToHonor, PublishRules, RevokeHonor
from ledger.decide.case import Case, Decision, last_of
from ledger.events import (
    Event,
    HonorAnnounced,
    HonorAwarded,
    HonorObjected,
    HonorRevoked,
    RulesPublished,
)
from ledger.names import stream
from ledger.rejections import Rejection, refuse

TIMELINE = stream("rules", "timeline")


def publish_rules(command: PublishRules, case: Case) -> Decision:
    if case.is_future(command.occurred_at):
        return refuse(Rejection.FUTURE, "occurred_at", command.occurred_at)
    last = last_of(case.streams.events(TIMELINE), RulesPublished)
    digest = sha256(command.text.encode()).hexdigest()
    if last and last.digest == digest:
        return refuse(Rejection.ALREADY_PUBLISHED, "text", f"of version {last.version}")
    return [
        RulesPublished(
            **case.said(command.occurred_at),
            version=last.version + 1 if last else 1,
            digest=digest,
            text=command.text,
        )
    ]


def _history(case: Case, award: str) -> Sequence[Event]:
    return case.streams.events(stream("honor", award))


def announce_honor(command: AnnounceHonor, case: Case) -> Decision:
    if command.volunteer is not None and not case.knows("volunteer", command.volunteer):
        return refuse(Rejection.UNKNOWN_VOLUNTEER, "volunteer", command.volunteer)
    if command.project is not None and not case.knows("project", command.project):
        return refuse(Rejection.UNKNOWN_PROJECT, "project", command.project)
    if case.is_future(command.occurred_at):
        return refuse(Rejection.FUTURE, "occurred_at", command.occurred_at)
    if _history(case, command.award):
        return refuse(Rejection.AWARD_EXISTS, "award", command.award)
    return [
        HonorAnnounced(
            **case.said(command.occurred_at),
            award=command.award,
            honor=command.honor,
            volunteer=command.volunteer,
            project=command.project,
        )
    ]


def object_to_honor(command: ObjectToHonor, case: Case) -> Decision:
    if case.is_future(command.occurred_at):
        return refuse(Rejection.FUTURE, "occurred_at", command.occurred_at)
    history = _history(case, command.award)
    if not history:
        return refuse(Rejection.UNKNOWN_AWARD, "award", command.award)
    if last_of(history, HonorAwarded):
        return refuse(Rejection.ALREADY_AWARDED, "award", command.award)
    if last_of(history, HonorRevoked):
        return refuse(Rejection.ALREADY_REVOKED, "award", command.award)
    return [HonorObjected(**case.said(command.occurred_at), award=command.award, reason=command.reason, note=case.note)]


def award_honor(command: AwardHonor, case: Case) -> Decision:
    if case.is_future(command.occurred_at):
        return refuse(Rejection.FUTURE, "occurred_at", command.occurred_at)
    if case.is_future_day(command.awarded_on):
        return refuse(Rejection.FUTURE, "awarded_on", command.awarded_on)
    if case.streams.version(TIMELINE) < command.rules_version:
        return refuse(Rejection.UNKNOWN_RULES, "rules_version", command.rules_version)
    history = _history(case, command.award)
    announced = last_of(history, HonorAnnounced)
    if not announced:
        return refuse(Rejection.UNKNOWN_AWARD, "award", command.award)
    if last_of(history, HonorAwarded):
        return refuse(Rejection.ALREADY_AWARDED, "award", command.award)
    if last_of(history, HonorRevoked):
        return refuse(Rejection.ALREADY_REVOKED, "award", command.award)
    return [
        HonorAwarded(
            **case.said(command.occurred_at),
            award=command.award,
            honor=announced.honor,
            volunteer=announced.volunteer,
            project=announced.project,
            awarded_on=command.awarded_on,
            rules_version=command.rules_version,
            evidence_position=command.evidence_position,
            credited_minutes=command.credited_minutes,
        )
    ]


def revoke_honor(command: RevokeHonor, case: Case) -> Decision:
    """An announced honour can be taken back as well as a conferred one."""
    if case.is_future(command.occurred_at):
        return refuse(Rejection.FUTURE, "occurred_at", command.occurred_at)
    history = _history(case, command.award)
    if not history:
        return refuse(Rejection.UNKNOWN_AWARD, "award", command.award)
    if last_of(history, HonorRevoked):
        return refuse(Rejection.ALREADY_REVOKED, "award", command.award)
    return [HonorRevoked(**case.said(command.occurred_at), award=command.award, reason=command.reason)]
