"""The events of the ledger, version 1: what was said, by whom, when, by which command.

An event is a frozen pydantic model. Its `TOPIC` is a storage format and never changes; a new shape gets a new topic
and an upcaster in `ledger/codec.py`. Defaults are not written, so an optional field costs nothing where it is not used.
All instants are epoch seconds (UTC), all durations whole minutes, all days ISO dates in the ledger's time zone.

No event holds a name, a phone number or free text (DOMAIN.md, "Personal data"): reasons are codes, and a text is kept
in the erasable `texts` table while the event holds its salted digest.

This module knows nothing of PostgreSQL, of rules or of read models.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from ledger.names import (
    AS_WRITTEN,
    Actor,
    AwardId,
    CommandName,
    Day,
    Digest,
    EpochSeconds,
    HonorId,
    HonorYear,
    KeyNumber,
    LogPosition,
    Minutes,
    OrganisationId,
    ProjectId,
    RaiseId,
    Rank,
    ReasonCode,
    RequestId,
    RulesVersion,
    ServiceDay,
    StationId,
    VolunteerNumber,
    shift_stream,
    stream,
)

StationKind = Literal["city", "community", "special"]
OrganisationKind = Literal["district", "subdistrict", "community", "group-member", "ngo"]
TrainingTier = Literal["basic", "professional", "leader"]
CorrectedField = Literal["check_in", "check_out", "station", "project"]
People = Annotated[int, Field(strict=True, ge=0, le=100_000_000), AS_WRITTEN]


class Event(BaseModel):
    """What every event says. `stream_id` tells the stream it belongs to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    TOPIC: ClassVar[str]

    occurred_at: EpochSeconds
    recorded_at: EpochSeconds
    by: Actor
    command: CommandName
    imported: bool = False  # an old record brought in: it is not "late"
    key: KeyNumber | None = None  # the API key that was used, where one was
    approved_by: Actor | None = None  # who approved it, where another had to: `by` asked for it
    by_volunteer: VolunteerNumber | None = None  # the volunteer whose key it was; scans never say it

    @property
    def stream_id(self) -> UUID:
        """The stream this event belongs to."""
        raise NotImplementedError


# --- volunteer ------------------------------------------------------------------------------------------------------


class VolunteerEvent(Event):
    volunteer: VolunteerNumber

    @property
    def stream_id(self) -> UUID:
        return stream("volunteer", self.volunteer)


class VolunteerRegistered(VolunteerEvent):
    TOPIC = "volunteer-registered.v1"
    registered_on: Day
    organisation: OrganisationId | None = None


class VolunteerWithdrawn(VolunteerEvent):
    TOPIC = "volunteer-withdrawn.v1"
    withdrawn_on: Day
    reason: ReasonCode


class VolunteerMerged(VolunteerEvent):
    """Two numbers of one person: this one goes on as `into`."""

    TOPIC = "volunteer-merged.v1"
    into: VolunteerNumber
    reason: ReasonCode


class VolunteerMergeUndone(VolunteerEvent):
    """The two were not one person after all: this number goes on as itself again, with whatever was merged into it."""

    TOPIC = "volunteer-merge-undone.v1"
    into: VolunteerNumber
    reason: ReasonCode


class TrainingCompleted(VolunteerEvent):
    """A training record (Order 67, Art. 8): content, learning time, provider, date."""

    TOPIC = "training-completed.v1"
    tier: TrainingTier
    content: ReasonCode
    learning_minutes: Minutes
    provider: OrganisationId
    completed_on: Day


class TrainingVoided(VolunteerEvent):
    """A training record entered in error, named by what it says; of several that say the same it takes back one."""

    TOPIC = "training-voided.v1"
    tier: TrainingTier
    content: ReasonCode
    provider: OrganisationId
    completed_on: Day
    reason: ReasonCode


class OrganisationJoined(VolunteerEvent):
    TOPIC = "organisation-joined.v1"
    organisation: OrganisationId
    joined_on: Day


class OrganisationLeft(VolunteerEvent):
    TOPIC = "organisation-left.v1"
    organisation: OrganisationId
    left_on: Day


# --- organisation, station, project ---------------------------------------------------------------------------------


class OrganisationEvent(Event):
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


class StationEvent(Event):
    station: StationId

    @property
    def stream_id(self) -> UUID:
        return stream("station", self.station)


class StationOpened(StationEvent):
    TOPIC = "station-opened.v1"
    kind: StationKind
    theme: ReasonCode | None = None
    organisation: OrganisationId | None = None


class StationClosed(StationEvent):
    TOPIC = "station-closed.v1"
    reason: ReasonCode


class ProjectEvent(Event):
    project: ProjectId

    @property
    def stream_id(self) -> UUID:
        return stream("project", self.project)


class ProjectLaunched(ProjectEvent):
    TOPIC = "project-launched.v1"
    content: ReasonCode
    in_charge: VolunteerNumber | None = None
    organisation: OrganisationId | None = None


class ProjectEnded(ProjectEvent):
    TOPIC = "project-ended.v1"
    reason: ReasonCode


# --- shift ----------------------------------------------------------------------------------------------------------


class ShiftEvent(Event):
    """Every event of a shift repeats its volunteer, so that the log can be cut by volunteer without a join."""

    volunteer: VolunteerNumber
    shift: UUID

    @property
    def stream_id(self) -> UUID:
        return shift_stream(self.volunteer, self.shift)


class CheckedIn(ShiftEvent):
    """A check-in: `occurred_at` is its instant. Scanned unless `evidence` says on what grounds it was attested."""

    TOPIC = "checked-in.v1"
    station: StationId
    project: ProjectId | None = None
    evidence: ReasonCode | None = None
    replaces: VolunteerNumber | None = None  # moved here: the volunteer whose shift of the same id it replaces
    note: Digest | None = None


class CheckedOut(ShiftEvent):
    """A check-out: `occurred_at` is its instant. The station is where it was scanned; the shift keeps its own."""

    TOPIC = "checked-out.v1"
    station: StationId
    evidence: ReasonCode | None = None
    note: Digest | None = None


class ShiftCorrected(ShiftEvent):
    """`changes` names the fields this correction sets; one named without a value is cleared. The last one wins."""

    TOPIC = "shift-corrected.v1"
    changes: tuple[CorrectedField, ...]
    check_in: EpochSeconds | None = None
    check_out: EpochSeconds | None = None
    station: StationId | None = None
    project: ProjectId | None = None
    reason: ReasonCode
    note: Digest | None = None


class ShiftVoided(ShiftEvent):
    TOPIC = "shift-voided.v1"
    reason: ReasonCode
    replaced_by: VolunteerNumber | None = None
    note: Digest | None = None


class ShiftReinstated(ShiftEvent):
    TOPIC = "shift-reinstated.v1"
    reason: ReasonCode
    note: Digest | None = None


class ShiftDisputed(ShiftEvent):
    """A dispute is opened, or more is said in one that is open, which changes no due date."""

    TOPIC = "shift-disputed.v1"
    reason: ReasonCode
    note: Digest | None = None
    answer_due: Day | None = None  # by the rules published when it was opened
    settle_due: Day | None = None


class DisputeAnswered(ShiftEvent):
    TOPIC = "dispute-answered.v1"
    reason: ReasonCode
    note: Digest | None = None


class DisputeSettled(ShiftEvent):
    """The dispute has ended. What it led to was recorded with it: the events of the same command."""

    TOPIC = "dispute-settled.v1"
    outcome: Literal["upheld", "rejected"]
    reason: ReasonCode
    note: Digest | None = None


# --- opening balance, day cap, people served ------------------------------------------------------------------------


class OpeningBalanceEvent(Event):
    volunteer: VolunteerNumber

    @property
    def stream_id(self) -> UUID:
        return stream("opening-balance", self.volunteer)


class OpeningBalanceRecorded(OpeningBalanceEvent):
    """Attested minutes of the paper era up to and including the day `as_of`. One stands at a time."""

    TOPIC = "opening-balance-recorded.v1"
    minutes: Minutes
    as_of: Day
    evidence: ReasonCode


class OpeningBalanceVoided(OpeningBalanceEvent):
    TOPIC = "opening-balance-voided.v1"
    reason: ReasonCode


class DayCapEvent(Event):
    volunteer: VolunteerNumber
    day: ServiceDay
    raise_id: RaiseId

    @property
    def stream_id(self) -> UUID:
        return stream("day-cap", self.volunteer, self.day.isoformat())


class DayCapRaised(DayCapEvent):
    """More than the day's cap was approved; the greatest raise in force replaces the cap for this volunteer and day."""

    TOPIC = "day-cap-raised.v1"
    minutes: Annotated[int, Field(strict=True, ge=1, le=1440)]
    reason: ReasonCode


class DayCapRaiseWithdrawn(DayCapEvent):
    TOPIC = "day-cap-raise-withdrawn.v1"
    reason: ReasonCode


class PeopleServedCounted(Event):
    """People served at a station on a day (and for a project): the last count for the same three stands.

    They are people helped (服务人次), never volunteers. `reason`: why an earlier count is corrected.
    """

    TOPIC = "people-served-counted.v1"
    station: StationId
    project: ProjectId | None = None
    day: ServiceDay
    people: People
    reason: ReasonCode | None = None  # of a recount

    @property
    def stream_id(self) -> UUID:
        return stream("people-served", self.station, self.project or "", self.day.isoformat())


# --- requests -------------------------------------------------------------------------------------------------------


class RequestEvent(Event):
    """Each request has a stream of its own. `volunteer`: whose record it is about, where it is anybody's."""

    request: RequestId
    volunteer: VolunteerNumber | None = None

    @property
    def stream_id(self) -> UUID:
        return stream("request", self.request)


class ActRequested(RequestEvent):
    """Somebody asks for an act that another is to approve: the type of the command, and its fields without texts."""

    TOPIC = "act-requested.v1"
    act: str
    fields: dict[str, JsonValue]
    note: Digest | None = None


class ActApproved(RequestEvent):
    """The events of the act stand behind it, by the same command."""

    TOPIC = "act-approved.v1"
    note: Digest | None = None


class ActDeclined(RequestEvent):
    TOPIC = "act-declined.v1"
    reason: ReasonCode
    note: Digest | None = None


class ActWithdrawn(RequestEvent):
    """Who asked has thought better of it."""

    TOPIC = "act-withdrawn.v1"
    reason: ReasonCode
    note: Digest | None = None


# --- rules and honours ----------------------------------------------------------------------------------------------


class RulesPublished(Event):
    """A rule timeline as TOML text, whole; `version` counts from 1."""

    TOPIC = "rules-published.v1"
    version: Annotated[int, Field(strict=True, ge=1)]
    digest: Digest
    text: str

    @property
    def stream_id(self) -> UUID:
        return stream("rules", "timeline")


class HonorEvent(Event):
    award: AwardId

    @property
    def stream_id(self) -> UUID:
        return stream("honor", self.award)


class HonorAnnounced(HonorEvent):
    """Public notice that an honour is to be conferred on a volunteer (or a project), with its evidence: the rules'
    version and the log position it rests on, the minutes found then, and the day on which a threshold was reached or
    the year and rank of a ranking.

    The notice runs to the end of the local day `notice_until`; old announcements have no such day, and no evidence.
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
    reason: ReasonCode
    note: Digest | None = None


class HonorObjectionSettled(HonorEvent):
    """The answer to an objection, which is named by its number within the award, from 1. Upheld, it ends the matter."""

    TOPIC = "honor-objection-settled.v1"
    objection: Annotated[int, Field(strict=True, ge=1)]
    outcome: Literal["upheld", "rejected"]
    reason: ReasonCode
    note: Digest | None = None


class HonorAwarded(HonorEvent):
    """The award with its evidence, as it stood on the day of the award; see `HonorAnnounced`."""

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


EVENTS: tuple[type[Event], ...] = (
    VolunteerRegistered,
    VolunteerWithdrawn,
    VolunteerMerged,
    VolunteerMergeUndone,
    TrainingCompleted,
    TrainingVoided,
    OrganisationJoined,
    OrganisationLeft,
    OrganisationFounded,
    OrganisationMoved,
    OrganisationEnded,
    StationOpened,
    StationClosed,
    ProjectLaunched,
    ProjectEnded,
    CheckedIn,
    CheckedOut,
    ShiftCorrected,
    ShiftVoided,
    ShiftReinstated,
    ShiftDisputed,
    DisputeAnswered,
    DisputeSettled,
    OpeningBalanceRecorded,
    OpeningBalanceVoided,
    DayCapRaised,
    DayCapRaiseWithdrawn,
    PeopleServedCounted,
    ActRequested,
    ActApproved,
    ActDeclined,
    ActWithdrawn,
    RulesPublished,
    HonorAnnounced,
    HonorObjected,
    HonorObjectionSettled,
    HonorAwarded,
    HonorRevoked,
)
"""All events of version 1. The order is free; the columnar schema numbers them itself."""
