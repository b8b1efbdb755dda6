"""Volunteers: registrations, withdrawals, merges and their undoing, trainings, and memberships of organisations."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Literal
from uuid import UUID

from ledger.aggregates.organisation import has_ended
from ledger.deciding.base import Act, Aggregate, Event
from ledger.deciding.case import Case, Decision
from ledger.names import Day, Minutes, OrganisationId, ReasonCode, VolunteerNumber, stream
from ledger.rejections import RefusedError, Rejection, refuse

TrainingTier = Literal["basic", "professional", "leader"]
TrainingKey = tuple[str, str, str, date]
"""The tier, content, provider and date of a training record."""


@dataclass(frozen=True, slots=True)
class Volunteer(Aggregate):
    """The current state of a volunteer number."""

    registered: VolunteerRegistered | None = None
    """The registration in force; None once the volunteer has withdrawn."""
    withdrawn: VolunteerWithdrawn | None = None
    merge: VolunteerMerged | None = None
    """The merge in force of this number into another."""
    organisations: frozenset[str] = frozenset()
    trainings: Counter[TrainingKey] = field(default_factory=Counter)
    """The number of training records in force, by their keys."""

    def after(self, event: Event) -> Volunteer:
        volunteer = replace(self, version=self.version + 1)
        match event:
            case VolunteerRegistered():
                joined = self.organisations | ({event.organisation} if event.organisation else set())
                return replace(volunteer, registered=event, withdrawn=None, organisations=joined)
            case VolunteerWithdrawn():
                return replace(volunteer, registered=None, withdrawn=event)
            case VolunteerMerged():
                return replace(volunteer, merge=event)
            case VolunteerMergeUndone():
                return replace(volunteer, merge=None)
            case OrganisationJoined():
                return replace(volunteer, organisations=self.organisations | {event.organisation})
            case OrganisationLeft():
                return replace(volunteer, organisations=self.organisations - {event.organisation})
            case TrainingCompleted():
                return replace(volunteer, trainings=self.trainings + Counter([training_key(event)]))
            case TrainingVoided():
                return replace(volunteer, trainings=self.trainings - Counter([training_key(event)]))
            case _:
                return volunteer


class VolunteerEvent(Event):
    AGGREGATE = Volunteer
    STREAM_FIELD = "volunteer"
    volunteer: VolunteerNumber

    @property
    def stream_id(self) -> UUID:
        return stream("volunteer", self.volunteer)


class VolunteerRegistered(VolunteerEvent):
    TOPIC = "volunteer-registered.v1"
    EVENTS_MAX = 900
    registered_on: Day
    organisation: OrganisationId | None = None


class VolunteerWithdrawn(VolunteerEvent):
    TOPIC = "volunteer-withdrawn.v1"
    withdrawn_on: Day
    reason: ReasonCode


class VolunteerMerged(VolunteerEvent):
    """Two numbers belong to one person: this one was merged into `into`."""

    TOPIC = "volunteer-merged.v1"
    into: VolunteerNumber
    reason: ReasonCode


class VolunteerMergeUndone(VolunteerEvent):
    """A merge was undone: this number stands for itself again, with the numbers that were merged into it."""

    TOPIC = "volunteer-merge-undone.v1"
    into: VolunteerNumber
    reason: ReasonCode


class TrainingCompleted(VolunteerEvent):
    """A training record (Order 67, Art. 8): content, learning time, provider, date."""

    TOPIC = "training-completed.v1"
    EVENTS_MAX = 900
    tier: TrainingTier
    content: ReasonCode
    learning_minutes: Minutes
    provider: OrganisationId
    completed_on: Day


class TrainingVoided(VolunteerEvent):
    """A training record was voided, identified by its key; of several records with the same key, one is voided."""

    TOPIC = "training-voided.v1"
    tier: TrainingTier
    content: ReasonCode
    provider: OrganisationId
    completed_on: Day
    reason: ReasonCode


def training_key(event: TrainingCompleted | TrainingVoided) -> TrainingKey:
    """Return the key by which a training record is identified."""
    return event.tier, event.content, event.provider, event.completed_on


class OrganisationJoined(VolunteerEvent):
    TOPIC = "organisation-joined.v1"
    EVENTS_MAX = 900
    organisation: OrganisationId
    joined_on: Day


class OrganisationLeft(VolunteerEvent):
    TOPIC = "organisation-left.v1"
    organisation: OrganisationId
    left_on: Day


MERGES_MAX = 50
"""The number of merges that are followed from a number to its person's."""


def volunteer_of(case: Case, volunteer: str) -> Volunteer:
    """Return the current state of a volunteer number."""
    return case.stream(Volunteer, "volunteer", volunteer)


def person_number(case: Case, volunteer: str) -> str:
    """Return the number of the person: that into which a number was finally merged, or the number itself.

    Merges in force form no cycle (`MergeVolunteer` refuses one).

    Raises:
        RefusedError: more merges would have to be followed than are.
    """
    number = volunteer
    for _ in range(MERGES_MAX):
        merge = volunteer_of(case, number).merge
        if merge is None:
            return number
        number = merge.into
    raise RefusedError(refuse(Rejection.MERGED_TOO_OFTEN, "volunteer", volunteer))


# --- registrations, withdrawals, merges ------------------------------------------------------------------------------


class RegisterVolunteer(Act):
    """Register a volunteer, as a member of an organisation if one is given."""

    TYPE = "register-volunteer"
    volunteer: VolunteerNumber
    registered_on: Day
    organisation: OrganisationId | None = None

    def decide(self, case: Case) -> Decision:
        if refused := case.unknown(self, organisation="organisation") or case.future(
            self, "occurred_at", "registered_on"
        ):
            return refused
        if volunteer_of(case, self.volunteer).registered:
            return refuse(Rejection.ALREADY_REGISTERED, "volunteer", self.volunteer)
        if self.organisation is not None and has_ended(case, self.organisation, self.registered_on):
            return refuse(Rejection.ORGANISATION_ENDED, "organisation", self.organisation)
        return [case.event(VolunteerRegistered, self)]


class WithdrawVolunteer(Act):
    """End a volunteer's registration."""

    TYPE = "withdraw-volunteer"
    volunteer: VolunteerNumber
    withdrawn_on: Day
    reason: ReasonCode

    def decide(self, case: Case) -> Decision:
        if refused := case.unknown(self, volunteer="volunteer") or case.future(self, "occurred_at", "withdrawn_on"):
            return refused
        if volunteer_of(case, self.volunteer).withdrawn:
            return refuse(Rejection.ALREADY_WITHDRAWN, "volunteer", self.volunteer)
        return [case.event(VolunteerWithdrawn, self)]


class MergeVolunteer(Act):
    """Merge the number `volunteer` into `into`: both belong to one person."""

    TYPE = "merge-volunteer"
    volunteer: VolunteerNumber
    into: VolunteerNumber
    reason: ReasonCode

    def decide(self, case: Case) -> Decision:
        if refused := case.unknown(self, volunteer="volunteer", into="volunteer"):
            return refused
        if self.into == self.volunteer:
            return refuse(Rejection.SAME_VOLUNTEER, "into", self.into)
        if refused := case.future(self, "occurred_at"):
            return refused
        for name in ("volunteer", "into"):  # the target of a merge is never itself merged, so merges form no cycle
            if volunteer_of(case, getattr(self, name)).merge:
                return refuse(Rejection.ALREADY_MERGED, name, getattr(self, name))
        return [case.event(VolunteerMerged, self)]


class UndoMerge(Act):
    """Undo the merge of `volunteer` into `into`. Other merges into either number stay in force."""

    TYPE = "undo-merge"
    volunteer: VolunteerNumber
    into: VolunteerNumber
    reason: ReasonCode

    def decide(self, case: Case) -> Decision:
        if refused := case.unknown(self, volunteer="volunteer", into="volunteer") or case.future(self, "occurred_at"):
            return refused
        merge = volunteer_of(case, self.volunteer).merge
        if merge is None:
            return refuse(Rejection.NOT_MERGED, "volunteer", self.volunteer)
        if merge.into != self.into:
            return refuse(Rejection.NOT_MERGED, "into", self.into)
        return [case.event(VolunteerMergeUndone, self)]


# --- trainings -------------------------------------------------------------------------------------------------------


class RecordTraining(Act):
    """Record a training (Order 67, Art. 8). The provider may be an organisation that the ledger does not know."""

    TYPE = "record-training"
    volunteer: VolunteerNumber
    tier: TrainingTier
    content: ReasonCode
    learning_minutes: Minutes
    provider: OrganisationId
    completed_on: Day

    def decide(self, case: Case) -> Decision:
        if refused := case.unknown(self, volunteer="volunteer") or case.future(self, "occurred_at", "completed_on"):
            return refused
        return [case.event(TrainingCompleted, self)]


class VoidTraining(Act):
    """Void a training record that was entered in error."""

    TYPE = "void-training"
    volunteer: VolunteerNumber
    tier: TrainingTier
    content: ReasonCode
    provider: OrganisationId
    completed_on: Day
    reason: ReasonCode

    def decide(self, case: Case) -> Decision:
        if refused := case.unknown(self, volunteer="volunteer") or case.future(self, "occurred_at"):
            return refused
        voided = case.event(TrainingVoided, self)
        if not volunteer_of(case, self.volunteer).trainings[training_key(voided)]:
            return refuse(Rejection.UNKNOWN_TRAINING, "content", self.content)
        return [voided]


# --- memberships -----------------------------------------------------------------------------------------------------


class JoinOrganisation(Act):
    """Make a volunteer a member of an organisation."""

    TYPE = "join-organisation"
    volunteer: VolunteerNumber
    organisation: OrganisationId
    joined_on: Day

    def decide(self, case: Case) -> Decision:
        if refused := case.unknown(self, volunteer="volunteer", organisation="organisation") or case.future(
            self, "occurred_at", "joined_on"
        ):
            return refused
        if self.organisation in volunteer_of(case, self.volunteer).organisations:
            return refuse(Rejection.ALREADY_MEMBER, "organisation", self.organisation)
        if has_ended(case, self.organisation, self.joined_on):
            return refuse(Rejection.ORGANISATION_ENDED, "organisation", self.organisation)
        return [case.event(OrganisationJoined, self)]


class LeaveOrganisation(Act):
    """End a volunteer's membership of an organisation."""

    TYPE = "leave-organisation"
    volunteer: VolunteerNumber
    organisation: OrganisationId
    left_on: Day

    def decide(self, case: Case) -> Decision:
        if refused := case.unknown(self, volunteer="volunteer", organisation="organisation") or case.future(
            self, "occurred_at", "left_on"
        ):
            return refused
        if self.organisation not in volunteer_of(case, self.volunteer).organisations:
            return refuse(Rejection.NOT_A_MEMBER, "organisation", self.organisation)
        return [case.event(OrganisationLeft, self)]
