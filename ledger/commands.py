"""What callers may ask of the ledger: commands, in the imperative, checked field by field.

A command says what is wanted; whether it is granted is decided against the log (`ledger/decide`). Its `TYPE` is part
of the public interface: as a CloudEvent it is `org.service-hours.<TYPE>.v1`. Instants may be given as epoch seconds or
as ISO 8601 text with a zone. `occurred_at` may be left out where a command is the act itself: it then happens when it
is recorded.

Errors: pydantic's `ValidationError`, which names the field.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self
from uuid import UUID

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from ledger.events import CorrectedField, OrganisationKind, People, StationKind, TrainingTier
from ledger.names import (
    AS_WRITTEN,
    AwardId,
    CallingActor,
    CommandId,
    Day,
    HonorId,
    HonorYear,
    Instant,
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
    Source,
    StationId,
    VolunteerNumber,
    command_name,
)

FreeText = Annotated[str, StringConstraints(min_length=1, max_length=2000, pattern=r"^[^\x00]*$")]
"""What a person wrote; PostgreSQL keeps no NUL character."""


class Command(BaseModel):
    """What every command may say."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    TYPE: ClassVar[str]


class Act(Command):
    """A command that is itself what happened, at `occurred_at` or else when it is recorded."""

    occurred_at: Instant | None = None


class Noted(Command):
    """A command that may carry a free text. The text is kept apart and erasable; the event holds its salted digest."""

    text: FreeText | None = None


class Order(BaseModel):
    """A command with its envelope: the name its caller gave it, who gives it with which key, and whether it is an old
    record.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    command: Command
    source: Source
    id: CommandId
    by: CallingActor
    imported: bool = False
    key: KeyNumber | None = None
    by_volunteer: VolunteerNumber | None = None  # whose key it is, where it is a volunteer's

    @property
    def name(self) -> str:
        """The name of the command, unique for ever: source and id."""
        return command_name(self.source, self.id)


# --- scans ----------------------------------------------------------------------------------------------------------


class CheckIn(Command):
    """A scan: the volunteer begins a shift. Without `shift` the ledger makes its id from the instant and the name."""

    TYPE = "check-in"
    volunteer: VolunteerNumber
    station: StationId
    occurred_at: Instant
    shift: UUID | None = None
    project: ProjectId | None = None


class CheckOut(Command):
    """A scan: the volunteer ends a shift. Without `shift` it is matched to the volunteer's one open shift."""

    TYPE = "check-out"
    volunteer: VolunteerNumber
    station: StationId
    occurred_at: Instant
    shift: UUID | None = None


# --- shifts ---------------------------------------------------------------------------------------------------------


class AttestShift(Noted):
    """A late entry: a whole shift, entered by a person on some evidence."""

    TYPE = "attest-shift"
    volunteer: VolunteerNumber
    station: StationId
    check_in: Instant
    check_out: Instant
    evidence: ReasonCode
    shift: UUID | None = None
    project: ProjectId | None = None


class ShiftAct(Act, Noted):
    """An act on a recorded shift, with its reason."""

    volunteer: VolunteerNumber
    shift: UUID
    reason: ReasonCode


class CorrectShift(ShiftAct):
    """`changes` names what is corrected; a name in it without a value clears that field (but never the station)."""

    TYPE = "correct-shift"
    changes: Annotated[tuple[CorrectedField, ...], Field(min_length=1)]
    check_in: Instant | None = None
    check_out: Instant | None = None
    station: StationId | None = None
    project: ProjectId | None = None

    @model_validator(mode="after")
    def _changes_match(self) -> Self:
        if len(set(self.changes)) < len(self.changes):
            raise ValueError("changes names a field twice; name each field once")
        for field in ("check_in", "check_out", "station", "project"):
            if getattr(self, field) is not None and field not in self.changes:
                raise ValueError(f"{field} has a value but changes does not name it; add it to changes")
        if "station" in self.changes and self.station is None:
            raise ValueError("station cannot be cleared; name the station")
        return self


class VoidShift(ShiftAct):
    """The shift was entered in error: it earns nothing from now on."""

    TYPE = "void-shift"


class ReinstateShift(ShiftAct):
    """The void was an error."""

    TYPE = "reinstate-shift"


class MoveShift(ShiftAct):
    """The shift is another volunteer's: it is voided here and entered there, under the same id."""

    TYPE = "move-shift"
    to_volunteer: VolunteerNumber


class DisputeShift(ShiftAct):
    """Somebody disputes the record (Order 67, Art. 13)."""

    TYPE = "dispute-shift"


class AnswerDispute(ShiftAct):
    """The organisation answers an open dispute (Order 67, Art. 13); it stays open."""

    TYPE = "answer-dispute"


class SettleDispute(ShiftAct):
    """The dispute was looked into. Where it is upheld, `act` and `fields` say what is to be done about the shift, which
    is done with it or not at all: a command on the shift, without its volunteer, shift and reason.
    """

    TYPE = "settle-dispute"
    outcome: Literal["upheld", "rejected"]
    act: Literal["correct-shift", "void-shift", "reinstate-shift", "move-shift"] | None = None
    fields: dict[str, JsonValue] = {}

    @model_validator(mode="after")
    def _act_follows(self) -> Self:
        if self.act is None:
            if self.fields:
                raise ValueError("fields are of no act; name the act, or leave them out")
            return self
        if self.outcome == "rejected":
            raise ValueError("act follows from a dispute that is upheld; leave it out, or write upheld")
        if said := sorted({"volunteer", "shift", "reason", "text", "occurred_at"} & set(self.fields)):
            raise ValueError(f"fields.{said[0]} is the settlement's own; leave it out")
        self.follows()
        return self

    def follows(self) -> ShiftAct | None:
        """Return what is to be done about the shift, if anything."""
        if self.act is None:
            return None
        own = {"volunteer": self.volunteer, "shift": str(self.shift), "reason": self.reason}
        command = command_of(self.act, {**self.fields, **own, "occurred_at": self.occurred_at})
        assert isinstance(command, ShiftAct)  # noqa: S101 - all four are
        return command


# --- volunteers and organisations -----------------------------------------------------------------------------------


class RegisterVolunteer(Act):
    TYPE = "register-volunteer"
    volunteer: VolunteerNumber
    registered_on: Day
    organisation: OrganisationId | None = None


class WithdrawVolunteer(Act):
    TYPE = "withdraw-volunteer"
    volunteer: VolunteerNumber
    withdrawn_on: Day
    reason: ReasonCode


class MergeVolunteer(Act):
    """Two numbers of one person: `volunteer` goes on as `into`."""

    TYPE = "merge-volunteer"
    volunteer: VolunteerNumber
    into: VolunteerNumber
    reason: ReasonCode


class UndoMerge(Act):
    """Take back that `volunteer` goes on as `into`: this one step, not what else was merged into either."""

    TYPE = "undo-merge"
    volunteer: VolunteerNumber
    into: VolunteerNumber
    reason: ReasonCode


class RecordTraining(Act):
    """A training record (Order 67, Art. 8). The provider may be an organisation the ledger does not know."""

    TYPE = "record-training"
    volunteer: VolunteerNumber
    tier: TrainingTier
    content: ReasonCode
    learning_minutes: Minutes
    provider: OrganisationId
    completed_on: Day


class VoidTraining(Act):
    """The training record that says this was entered in error."""

    TYPE = "void-training"
    volunteer: VolunteerNumber
    tier: TrainingTier
    content: ReasonCode
    provider: OrganisationId
    completed_on: Day
    reason: ReasonCode


class JoinOrganisation(Act):
    TYPE = "join-organisation"
    volunteer: VolunteerNumber
    organisation: OrganisationId
    joined_on: Day


class LeaveOrganisation(Act):
    TYPE = "leave-organisation"
    volunteer: VolunteerNumber
    organisation: OrganisationId
    left_on: Day


class FoundOrganisation(Act):
    """A new organisation; or one that had ended goes on from `founded_on`, without it as if it had never ended."""

    TYPE = "found-organisation"
    organisation: OrganisationId
    kind: OrganisationKind
    parent: OrganisationId | None = None
    founded_on: Day | None = None


class MoveOrganisation(Act):
    """From `moved_on` it stands under `parent`, or under none. What was done before that day stays where it was."""

    TYPE = "move-organisation"
    organisation: OrganisationId
    parent: OrganisationId | None = None
    moved_on: Day
    reason: ReasonCode


class EndOrganisation(Act):
    """It is dissolved: from `ended_on` it has no members, and nothing new may name it."""

    TYPE = "end-organisation"
    organisation: OrganisationId
    ended_on: Day
    reason: ReasonCode


# --- stations and projects ------------------------------------------------------------------------------------------


class OpenStation(Act):
    TYPE = "open-station"
    station: StationId
    kind: StationKind
    theme: ReasonCode | None = None
    organisation: OrganisationId | None = None


class CloseStation(Act):
    TYPE = "close-station"
    station: StationId
    reason: ReasonCode


class LaunchProject(Act):
    TYPE = "launch-project"
    project: ProjectId
    content: ReasonCode
    in_charge: VolunteerNumber | None = None
    organisation: OrganisationId | None = None


class EndProject(Act):
    TYPE = "end-project"
    project: ProjectId
    reason: ReasonCode


class CountPeopleServed(Act):
    """People helped at a station on a day, and for a project: the last count for the same three stands. Whoever counts
    anew what was counted, but for the station itself, gives a reason.
    """

    TYPE = "count-people-served"
    station: StationId
    day: ServiceDay
    people: People
    project: ProjectId | None = None
    reason: ReasonCode | None = None


# --- balances and caps ----------------------------------------------------------------------------------------------


class RecordOpeningBalance(Act):
    """Minutes of the paper era, up to and including the day `as_of`."""

    TYPE = "record-opening-balance"
    volunteer: VolunteerNumber
    minutes: Minutes
    as_of: Day
    evidence: ReasonCode


class VoidOpeningBalance(Act):
    TYPE = "void-opening-balance"
    volunteer: VolunteerNumber
    reason: ReasonCode


class RaiseDayCap(Act):
    """More than the day's cap is approved for this volunteer and day, under an id of the approver's choice."""

    TYPE = "raise-day-cap"
    volunteer: VolunteerNumber
    day: ServiceDay
    raise_id: RaiseId
    minutes: Annotated[int, Field(strict=True, ge=1, le=1440), AS_WRITTEN]
    reason: ReasonCode


class WithdrawDayCapRaise(Act):
    TYPE = "withdraw-day-cap-raise"
    volunteer: VolunteerNumber
    day: ServiceDay
    raise_id: RaiseId
    reason: ReasonCode


# --- two pairs of eyes ----------------------------------------------------------------------------------------------

ApprovableAct = Literal[
    "attest-shift",
    "correct-shift",
    "void-shift",
    "reinstate-shift",
    "move-shift",
    "settle-dispute",
    "merge-volunteer",
    "undo-merge",
    "record-training",
    "count-people-served",
    "record-opening-balance",
    "void-opening-balance",
    "raise-day-cap",
    "withdraw-day-cap-raise",
    "award-honor",
    "revoke-honor",
]
"""Types of commands that another may have to approve. Scans are facts, and never are among them."""


class RequestAct(Act, Noted):
    """Ask for an act under an id of your choice; another approves it. `fields` are those of the command, without
    `text`: what you have to say about it is the text of the request, which goes with the act.
    """

    TYPE = "request-act"
    request: RequestId
    act: ApprovableAct
    fields: dict[str, JsonValue]

    @field_validator("fields")
    @classmethod
    def _are_a_command_s(cls, fields: dict[str, JsonValue], others: ValidationInfo) -> dict[str, JsonValue]:
        if "text" in fields:
            raise ValueError("text would be kept for ever; make it the text of the request")
        if "act" in others.data:
            command_of(others.data["act"], fields)
        return fields

    def asked(self) -> Command:
        """Return the command that is asked for."""
        return command_of(self.act, self.fields)


class ApproveAct(Act, Noted):
    """What was asked for is right: it is decided now, and recorded with the approval or not at all."""

    TYPE = "approve-act"
    request: RequestId


class DeclineAct(Act, Noted):
    TYPE = "decline-act"
    request: RequestId
    reason: ReasonCode


class WithdrawRequest(Act, Noted):
    """Who asked has thought better of it."""

    TYPE = "withdraw-request"
    request: RequestId
    reason: ReasonCode


# --- rules and honours ----------------------------------------------------------------------------------------------


class PublishRules(Act):
    """A rule timeline as TOML text. Its content is checked by the caller: the ledger knows no rules."""

    TYPE = "publish-rules"
    text: Annotated[str, StringConstraints(min_length=1, max_length=1_000_000)]


class AnnounceHonor(Act):
    """Public notice that an honour is to be conferred, on a volunteer or on a project, with its evidence.

    The evidence is the rules' version and the log position it rests on, the minutes found then, and of a ranking the
    year and the rank. `POST /v1/honors/{honor}/announcements` finds it; posted here, it is held to what the ledger
    knows. The ledger says until when the notice runs.
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


class ObjectToHonor(Act, Noted):
    """Object to an announced honour: it cannot be awarded while the objection is open, nor once it was upheld."""

    TYPE = "object-to-honor"
    award: AwardId
    reason: ReasonCode


class SettleHonorObjection(Act, Noted):
    """Answer an objection, named by its number within the award, from 1. Neither who announced the honour may do so nor
    who objected.
    """

    TYPE = "settle-honor-objection"
    award: AwardId
    objection: Annotated[int, Field(strict=True, ge=1, le=10_000), AS_WRITTEN]
    outcome: Literal["upheld", "rejected"]
    reason: ReasonCode


class AwardHonor(Act):
    """Confer an announced honour on the evidence named, once its notice has ended and no objection is open."""

    TYPE = "award-honor"
    award: AwardId
    awarded_on: Day
    rules_version: RulesVersion
    evidence_position: LogPosition
    credited_minutes: Minutes
    reached_on: Day | None = None
    rank: Rank | None = None


class RevokeHonor(Act):
    TYPE = "revoke-honor"
    award: AwardId
    reason: ReasonCode


_ALL: tuple[type[Command], ...] = (
    CheckIn,
    CheckOut,
    AttestShift,
    CorrectShift,
    VoidShift,
    ReinstateShift,
    MoveShift,
    DisputeShift,
    AnswerDispute,
    SettleDispute,
    RegisterVolunteer,
    WithdrawVolunteer,
    MergeVolunteer,
    UndoMerge,
    RecordTraining,
    VoidTraining,
    JoinOrganisation,
    LeaveOrganisation,
    FoundOrganisation,
    MoveOrganisation,
    EndOrganisation,
    OpenStation,
    CloseStation,
    LaunchProject,
    EndProject,
    CountPeopleServed,
    RecordOpeningBalance,
    VoidOpeningBalance,
    RaiseDayCap,
    WithdrawDayCapRaise,
    RequestAct,
    ApproveAct,
    DeclineAct,
    WithdrawRequest,
    PublishRules,
    AnnounceHonor,
    ObjectToHonor,
    SettleHonorObjection,
    AwardHonor,
    RevokeHonor,
)
COMMANDS: dict[str, type[Command]] = {command.TYPE: command for command in _ALL}
"""Every command by its type."""


def command_of(command_type: str, fields: dict[str, Any]) -> Command:
    """Return the command that a type and its fields say.

    Raises:
        ValueError: a sentence that names the field.
    """
    try:
        return COMMANDS[command_type].model_validate(fields)
    except ValidationError as error:
        (first, *_) = error.errors()
        place = ".".join(map(str, first["loc"]))
        message = first["msg"].removeprefix("Value error, ")
        raise ValueError(f"do not make a {command_type}: {place + ': ' if place else ''}{message}") from None
