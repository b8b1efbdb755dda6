"""Rule timelines, and honours: announced, objected to, awarded, revoked.

    announced -> notice runs -> awarded -> revoked
                 objections, each settled: rejected, or upheld, which ends it

An honour is awarded once its notice has ended, with no objection open and none upheld. Its evidence is held to what the
log and the text of the rules say; whether the minutes are those the read models find is for reports
(replay/award_reports.py). Old records that are imported say what they say, and are marked so.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

from ledger.commands import (
    AnnounceHonor,
    AwardHonor,
    ObjectToHonor,
    PublishRules,
    RevokeHonor,
    SettleHonorObjection,
)
from ledger.decide.case import Case, Decision, last_of
from ledger.decide.merges import merge_in_force
from ledger.decide.permission import own_numbers, recipient, same_person
from ledger.events import (
    Event,
    HonorAnnounced,
    HonorAwarded,
    HonorObjected,
    HonorObjectionSettled,
    HonorRevoked,
    RulesPublished,
)
from ledger.honor_policies import NO_POLICIES, HonorPolicies, honor_policies
from ledger.names import stream
from ledger.policies import TIMELINE
from ledger.rejections import Refused, Rejection, refuse


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


def _policies(case: Case, version: int | None = None) -> HonorPolicies:
    """Return what the rules of a version, or those in force, say of honours."""
    published = [event for event in case.streams.events(TIMELINE) if isinstance(event, RulesPublished)]
    found = [event.text for event in published if version is None or event.version == version]
    return honor_policies(found[-1]) if found else NO_POLICIES


class _Claim(NamedTuple):
    """An honour, for whom, and the evidence that is named for it."""

    honor: str
    volunteer: str | None
    project: str | None
    year: int | None
    rank: int | None
    rules_version: int | None
    evidence_position: int | None
    credited_minutes: int | None


def _is_own(case: Case, volunteer: str | None, project: str | None) -> bool:
    """Whether whoever acts is whom the honour is for."""
    honored = recipient(case, volunteer, project)
    return honored is not None and any(own_numbers(case, lambda: [honored]))


def _unsound_evidence(claim: _Claim, case: Case) -> Refused | None:
    """The rungs that hold evidence to what the ledger knows. Old records name what they have."""
    if case.order.imported:
        return None
    if claim.rules_version is None or claim.evidence_position is None or claim.credited_minutes is None:
        missing = next(field for field in _EVIDENCE if getattr(claim, field) is None)
        return refuse(Rejection.NO_EVIDENCE, missing, "is missing")
    honor = _policies(case, claim.rules_version).honors.get(claim.honor)
    if honor is None:
        return refuse(Rejection.UNKNOWN_HONOR, "honor", claim.honor)
    if (claim.project is not None) != (honor.of == "projects"):
        named = "volunteer" if claim.project is None else "project"
        return refuse(Rejection.WRONG_RECIPIENT, named, claim.volunteer or claim.project)
    if (claim.year is None) != (honor.places is None):
        return refuse(Rejection.WRONG_YEAR, "year", claim.year or "is missing")
    if case.head is not None and claim.evidence_position > case.head:
        return refuse(Rejection.EVIDENCE_AHEAD, "evidence_position", claim.evidence_position)
    if claim.credited_minutes < honor.minutes_min:
        return refuse(Rejection.BELOW_MINIMUM, "credited_minutes", claim.credited_minutes)
    if honor.places is not None and claim.rank is not None and claim.rank > honor.places:
        return refuse(Rejection.BEHIND_LAST_PLACE, "rank", claim.rank)
    return None


_EVIDENCE = ("rules_version", "evidence_position", "credited_minutes")


def announce_honor(command: AnnounceHonor, case: Case) -> Decision:
    if command.volunteer is not None and not case.knows("volunteer", command.volunteer):
        return refuse(Rejection.UNKNOWN_VOLUNTEER, "volunteer", command.volunteer)
    if command.project is not None and not case.knows("project", command.project):
        return refuse(Rejection.UNKNOWN_PROJECT, "project", command.project)
    if case.is_future(command.occurred_at):
        return refuse(Rejection.FUTURE, "occurred_at", command.occurred_at)
    if command.volunteer is not None and not case.order.imported and merge_in_force(case, command.volunteer):
        return refuse(Rejection.ALREADY_MERGED, "volunteer", command.volunteer)
    if command.rules_version is not None and case.streams.version(TIMELINE) < command.rules_version:
        return refuse(Rejection.UNKNOWN_RULES, "rules_version", command.rules_version)
    if _history(case, command.award):
        return refuse(Rejection.AWARD_EXISTS, "award", command.award)
    if _is_own(case, command.volunteer, command.project):
        return refuse(Rejection.OWN_HONOR, "award", command.award)
    said = command.model_dump(include={"award", *_Claim._fields})
    claim = _Claim(**{field: said[field] for field in _Claim._fields})
    if refused := _unsound_evidence(claim, case):
        return refused
    # A notice is public from the moment it is recorded; only that of an old record ran when it says.
    begins = command.occurred_at if case.order.imported and command.occurred_at is not None else case.now
    return [
        HonorAnnounced(
            **case.said(command.occurred_at),
            **said,
            reached_on=command.reached_on,
            notice_until=_policies(case).notice_until(begins),
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


def settle_honor_objection(command: SettleHonorObjection, case: Case) -> Decision:
    if case.is_future(command.occurred_at):
        return refuse(Rejection.FUTURE, "occurred_at", command.occurred_at)
    history = _history(case, command.award)
    announced = last_of(history, HonorAnnounced)
    if not announced:
        return refuse(Rejection.UNKNOWN_AWARD, "award", command.award)
    if last_of(history, HonorRevoked):
        return refuse(Rejection.ALREADY_REVOKED, "award", command.award)
    objections = [event for event in history if isinstance(event, HonorObjected)]
    if command.objection > len(objections):
        return refuse(Rejection.UNKNOWN_OBJECTION, "objection", command.objection)
    if _is_own(case, announced.volunteer, announced.project):
        return refuse(Rejection.OWN_HONOR, "award", command.award)
    if same_person(case, [announced, objections[command.objection - 1]]):
        return refuse(Rejection.SAME_HANDS, "objection", command.objection)
    if command.objection in _settled(history):
        return refuse(Rejection.OBJECTION_SETTLED, "objection", command.objection)
    return [
        HonorObjectionSettled(
            **case.said(command.occurred_at),
            award=command.award,
            objection=command.objection,
            outcome=command.outcome,
            reason=command.reason,
            note=case.note,
        )
    ]


def _settled(history: Sequence[Event]) -> dict[int, str]:
    """Return the outcomes of the objections that were settled, by number."""
    return {event.objection: event.outcome for event in history if isinstance(event, HonorObjectionSettled)}


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
    if _is_own(case, announced.volunteer, announced.project):
        return refuse(Rejection.OWN_HONOR, "award", command.award)
    rank = command.rank or announced.rank
    honored = announced.volunteer, announced.project
    evidence = command.rules_version, command.evidence_position, command.credited_minutes
    if refused := _unsound_evidence(_Claim(announced.honor, *honored, announced.year, rank, *evidence), case):
        return refused
    today = _policies(case).day_of(case.now)
    if announced.notice_until is not None and min(today, command.awarded_on) <= announced.notice_until:
        return refuse(Rejection.NOTICE_RUNS, "award", f"{command.award} (until {announced.notice_until})")
    settled = _settled(history)
    if len(settled) < sum(isinstance(event, HonorObjected) for event in history):
        return refuse(Rejection.OBJECTION_OPEN, "award", command.award)
    if "upheld" in settled.values():
        return refuse(Rejection.OBJECTION_UPHELD, "award", command.award)
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
            reached_on=command.reached_on or announced.reached_on,
            year=announced.year,
            rank=rank,
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
