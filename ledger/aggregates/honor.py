"""Honours: announced, objected to, awarded, revoked.

    announced -> notice runs -> awarded -> revoked
                 objections, each settled: rejected, or upheld, which rules the award out

An honour can be awarded once its notice has ended, if no objection is open and none was upheld. Its evidence is
verified against the log and the text of the rules. Whether the minutes agree with the read models is left to reports
(replay/awards/reports.py). Imported old records are accepted as they are, and marked as imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, NamedTuple, Self
from uuid import UUID

from pydantic import Field, model_validator

from ledger.aggregates.four_eyes.permission import own_numbers, recipient, same_person
from ledger.aggregates.rules import TIMELINE, published_rules
from ledger.aggregates.volunteer import volunteer_of
from ledger.deciding.base import Act, Aggregate, Event, Noted
from ledger.deciding.case import Case, Decision
from ledger.deciding.honor_policies import NO_POLICIES, HonorPolicies, honor_policies
from ledger.names import (
    AS_WRITTEN,
    AwardId,
    Day,
    Digest,
    HonorId,
    HonorYear,
    LogPosition,
    Minutes,
    Outcome,
    ProjectId,
    Rank,
    ReasonCode,
    RulesVersion,
    VolunteerNumber,
    stream,
)
from ledger.rejections import Refused, Rejection, refuse


@dataclass(frozen=True, slots=True)
class Award(Aggregate):
    """The life of an award."""

    announced: HonorAnnounced | None = None
    objections: tuple[HonorObjected, ...] = ()
    settled: Mapping[int, str] = field(default_factory=dict)
    """The outcomes of the objections that were settled, by number from 1."""
    awarded: HonorAwarded | None = None
    revoked: HonorRevoked | None = None

    def after(self, event: Event) -> Award:
        award = replace(self, version=self.version + 1)
        match event:
            case HonorAnnounced():
                return replace(award, announced=event)
            case HonorObjected():
                return replace(award, objections=(*self.objections, event))
            case HonorObjectionSettled():
                return replace(award, settled={**self.settled, event.objection: event.outcome})
            case HonorAwarded():
                return replace(award, awarded=event)
            case HonorRevoked():
                return replace(award, revoked=event)
            case _:
                return award


# --- events ----------------------------------------------------------------------------------------------------------


class HonorEvent(Event):
    AGGREGATE = Award
    STREAM_FIELD = "award"
    award: AwardId

    @property
    def stream_id(self) -> UUID:
        return stream("honor", self.award)


class HonorAnnounced(HonorEvent):
    """Public notice that an honour will be awarded to a volunteer or a project, with its evidence: the rules version,
    the log position, the credited minutes at that position, and the day on which a threshold was reached or the year
    and rank of a ranking.

    The notice runs to the end of the local day `notice_until`. Old announcements have neither that day nor evidence.
    """

    TOPIC = "honor-announced.v1"
    honor: HonorId
    volunteer: VolunteerNumber | None = None
    project: ProjectId | None = None
    rules_version: RulesVersion | None = None
    evidence_position: LogPosition | None = None
    credited_minutes: Minutes | None = None
    reached_on: Day | None = None
    year: HonorYear | None = None
    rank: Rank | None = None
    notice_until: Day | None = None


class HonorObjected(HonorEvent):
    TOPIC = "honor-objected.v1"
    EVENTS_MAX = 400
    reason: ReasonCode
    note: Digest | None = None


class HonorObjectionSettled(HonorEvent):
    """The outcome of an objection, identified by its number within the award, from 1. An upheld objection rules the
    award out.
    """

    TOPIC = "honor-objection-settled.v1"
    objection: Annotated[int, Field(strict=True, ge=1)]
    outcome: Outcome
    reason: ReasonCode
    note: Digest | None = None


class HonorAwarded(HonorEvent):
    """The award with its evidence on the day of the award; see `HonorAnnounced`."""

    TOPIC = "honor-awarded.v1"
    honor: HonorId
    volunteer: VolunteerNumber | None = None
    project: ProjectId | None = None
    awarded_on: Day
    rules_version: Annotated[int, Field(strict=True, ge=0)]
    evidence_position: Annotated[int, Field(strict=True, ge=0)]
    credited_minutes: Minutes
    reached_on: Day | None = None
    year: HonorYear | None = None
    rank: Rank | None = None


class HonorRevoked(HonorEvent):
    TOPIC = "honor-revoked.v1"
    reason: ReasonCode


# --- shared by the commands ------------------------------------------------------------------------------------------


def award_of(case: Case, award: str) -> Award:
    """Return the current state of an award."""
    return case.stream(Award, "honor", award)


def honored(case: Case, award: str) -> str | None:
    """Return the volunteer whom an award honours, if it was announced and has one."""
    announced = award_of(case, award).announced
    return recipient(case, announced.volunteer, announced.project) if announced else None


def about_award(case: Case, award: str) -> list[str]:
    """Return the volunteers whom a text about an award is about."""
    volunteer = honored(case, award)
    return [volunteer] if volunteer else []


def _policies(case: Case, version: int | None = None) -> HonorPolicies:
    """Return the honour policies of one version of the rules, or of those in force."""
    published = published_rules(case)
    rules = published.in_force if version is None else published.of_version(version)
    return honor_policies(rules.text) if rules else NO_POLICIES


class _Claim(NamedTuple):
    """An honour, its recipient, and the evidence given for it."""

    honor: str
    volunteer: str | None
    project: str | None
    year: int | None
    rank: int | None
    rules_version: int | None
    evidence_position: int | None
    credited_minutes: int | None


def _is_own(case: Case, volunteer: str | None, project: str | None) -> bool:
    """Return whether the caller would receive the honour."""
    honored = recipient(case, volunteer, project)
    return honored is not None and any(own_numbers(case, lambda: [honored]))


def _unsound_evidence(claim: _Claim, case: Case) -> Refused | None:
    """Return the refusal of evidence that contradicts the log or the rules. Imported old records are not verified."""
    if case.order.imported:
        return None
    if claim.rules_version is None or claim.evidence_position is None or claim.credited_minutes is None:
        missing = next(name for name in _EVIDENCE if getattr(claim, name) is None)
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


# --- commands --------------------------------------------------------------------------------------------------------


class AnnounceHonor(Act):
    """Give public notice that an honour will be awarded to a volunteer or a project, with its evidence.

    The evidence is the rules version, the log position, the credited minutes at that position, and for a ranking the
    year and the rank. `POST /v1/honors/{honor}/announcements` computes it; evidence posted here is verified against
    the log and the rules. The ledger determines when the notice ends.
    """

    TYPE = "announce-honor"
    award: AwardId
    honor: HonorId
    volunteer: VolunteerNumber | None = None
    project: ProjectId | None = None
    rules_version: RulesVersion | None = None
    evidence_position: LogPosition | None = None
    credited_minutes: Minutes | None = None
    reached_on: Day | None = None
    year: HonorYear | None = None
    rank: Rank | None = None

    @model_validator(mode="after")
    def _one_recipient(self) -> Self:
        if (self.volunteer is None) == (self.project is None):
            raise ValueError("volunteer and project: name one of them, not both")
        if (self.year is None) != (self.rank is None):
            raise ValueError("year and rank: name both, or neither")
        return self

    def decide(self, case: Case) -> Decision:
        if refused := case.unknown(self, volunteer="volunteer", project="project") or case.future(self, "occurred_at"):
            return refused
        if self.volunteer is not None and not case.order.imported and volunteer_of(case, self.volunteer).merge:
            return refuse(Rejection.ALREADY_MERGED, "volunteer", self.volunteer)
        if self.rules_version is not None and case.streams.version(TIMELINE) < self.rules_version:
            return refuse(Rejection.UNKNOWN_RULES, "rules_version", self.rules_version)
        if award_of(case, self.award).version:
            return refuse(Rejection.AWARD_EXISTS, "award", self.award)
        if _is_own(case, self.volunteer, self.project):
            return refuse(Rejection.OWN_HONOR, "award", self.award)
        claim = _Claim(**{name: getattr(self, name) for name in _Claim._fields})
        if refused := _unsound_evidence(claim, case):
            return refused
        # A notice is public from the moment it is recorded; only that of an imported record ran at its own date.
        begins = self.occurred_at if case.order.imported and self.occurred_at is not None else case.now
        return [case.event(HonorAnnounced, self, notice_until=_policies(case).notice_until(begins))]


class ObjectToHonor(Act, Noted):
    """Object to an announced honour. It cannot be awarded while the objection is open, nor after it was upheld."""

    TYPE = "object-to-honor"
    award: AwardId
    reason: ReasonCode

    def about(self, case: Case) -> list[str]:
        return about_award(case, self.award)

    def decide(self, case: Case) -> Decision:
        if refused := case.future(self, "occurred_at"):
            return refused
        award = award_of(case, self.award)
        if not award.version:
            return refuse(Rejection.UNKNOWN_AWARD, "award", self.award)
        if award.awarded:
            return refuse(Rejection.ALREADY_AWARDED, "award", self.award)
        if award.revoked:
            return refuse(Rejection.ALREADY_REVOKED, "award", self.award)
        return [case.event(HonorObjected, self)]


class SettleHonorObjection(Act, Noted):
    """Settle an objection, identified by its number within the award, from 1. The caller must be neither the person
    who announced the honour nor the one who objected.
    """

    TYPE = "settle-honor-objection"
    award: AwardId
    objection: Annotated[int, Field(strict=True, ge=1, le=10_000), AS_WRITTEN]
    outcome: Outcome
    reason: ReasonCode

    def about(self, case: Case) -> list[str]:
        return about_award(case, self.award)

    def decide(self, case: Case) -> Decision:
        if refused := case.future(self, "occurred_at"):
            return refused
        award = award_of(case, self.award)
        if not award.announced:
            return refuse(Rejection.UNKNOWN_AWARD, "award", self.award)
        if award.revoked:
            return refuse(Rejection.ALREADY_REVOKED, "award", self.award)
        if self.objection > len(award.objections):
            return refuse(Rejection.UNKNOWN_OBJECTION, "objection", self.objection)
        if _is_own(case, award.announced.volunteer, award.announced.project):
            return refuse(Rejection.OWN_HONOR, "award", self.award)
        if same_person(case, [award.announced, award.objections[self.objection - 1]]):
            return refuse(Rejection.SAME_HANDS, "objection", self.objection)
        if self.objection in award.settled:
            return refuse(Rejection.OBJECTION_SETTLED, "objection", self.objection)
        return [case.event(HonorObjectionSettled, self)]


class AwardHonor(Act):
    """Award an announced honour on the given evidence, once its notice has ended and no objection is open."""

    TYPE = "award-honor"
    award: AwardId
    awarded_on: Day
    rules_version: RulesVersion
    evidence_position: LogPosition
    credited_minutes: Minutes
    reached_on: Day | None = None
    rank: Rank | None = None

    def decide(self, case: Case) -> Decision:
        if refused := case.future(self, "occurred_at", "awarded_on"):
            return refused
        if case.streams.version(TIMELINE) < self.rules_version:
            return refuse(Rejection.UNKNOWN_RULES, "rules_version", self.rules_version)
        award = award_of(case, self.award)
        announced = award.announced
        if not announced:
            return refuse(Rejection.UNKNOWN_AWARD, "award", self.award)
        if award.awarded:
            return refuse(Rejection.ALREADY_AWARDED, "award", self.award)
        if award.revoked:
            return refuse(Rejection.ALREADY_REVOKED, "award", self.award)
        if _is_own(case, announced.volunteer, announced.project):
            return refuse(Rejection.OWN_HONOR, "award", self.award)
        rank = self.rank or announced.rank
        recipients = announced.volunteer, announced.project
        evidence = self.rules_version, self.evidence_position, self.credited_minutes
        if refused := _unsound_evidence(_Claim(announced.honor, *recipients, announced.year, rank, *evidence), case):
            return refused
        today = _policies(case).day_of(case.now)
        if announced.notice_until is not None and min(today, self.awarded_on) <= announced.notice_until:
            return refuse(Rejection.NOTICE_RUNS, "award", f"{self.award} (until {announced.notice_until})")
        if len(award.settled) < len(award.objections):
            return refuse(Rejection.OBJECTION_OPEN, "award", self.award)
        if "upheld" in award.settled.values():
            return refuse(Rejection.OBJECTION_UPHELD, "award", self.award)
        return [
            case.event(
                HonorAwarded,
                self,
                honor=announced.honor,
                volunteer=announced.volunteer,
                project=announced.project,
                reached_on=self.reached_on or announced.reached_on,
                year=announced.year,
                rank=rank,
            )
        ]


class RevokeHonor(Act):
    """Revoke an honour that was announced or awarded."""

    TYPE = "revoke-honor"
    award: AwardId
    reason: ReasonCode

    def decide(self, case: Case) -> Decision:
        if refused := case.future(self, "occurred_at"):
            return refused
        award = award_of(case, self.award)
        if not award.version:
            return refuse(Rejection.UNKNOWN_AWARD, "award", self.award)
        if award.revoked:
            return refuse(Rejection.ALREADY_REVOKED, "award", self.award)
        return [case.event(HonorRevoked, self)]
