"""Requests: one person requests an act; another approves or declines it. Approval records the act.

The requested command is decided twice: at the request, so that nobody has to review an impossible act, and at the
approval, against the log of that moment. If the act is refused, or its record has another version than at the request,
the approval is refused. The events of the act name the
requester (`by`) and the approver (`approved_by`), and carry the text of the request.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from pydantic import JsonValue, ValidationInfo, field_validator

from ledger.aggregates.four_eyes.permission import same_person
from ledger.aggregates.honor import about_award
from ledger.aggregates.shift_acts import AttestShift
from ledger.deciding.base import Act, Aggregate, Command, Event, Noted, command_of
from ledger.deciding.case import Case, Decision
from ledger.deciding.policies import ApprovableAct
from ledger.deciding.versions import changed_since, check_version, version_of
from ledger.names import Digest, ReasonCode, RequestId, VolunteerNumber, shift_id_for, stream
from ledger.rejections import Refused, Rejection, refuse


@dataclass(frozen=True, slots=True)
class Request(Aggregate):
    """A request and its outcome."""

    requested: ActRequested | None = None
    ended: ActApproved | ActDeclined | ActWithdrawn | None = None

    def after(self, event: Event) -> Request:
        request = replace(self, version=self.version + 1)
        match event:
            case ActRequested():
                return replace(request, requested=event)
            case ActApproved() | ActDeclined() | ActWithdrawn():
                return replace(request, ended=event)
            case _:
                return request


class RequestEvent(Event):
    """An event of a request, which has its own stream. `volunteer`: the volunteer whose record it is about, if any."""

    AGGREGATE = Request
    STREAM_FIELD = "request"
    request: RequestId
    volunteer: VolunteerNumber | None = None

    @property
    def stream_id(self) -> UUID:
        return stream("request", self.request)


class ActRequested(RequestEvent):
    """An act was requested for another person's approval: the type of the command, and its fields without text."""

    TOPIC = "act-requested.v1"
    act: str
    fields: dict[str, Any]
    note: Digest | None = None
    record_version: int | None = None  # the version of the act's record when it was requested; None in old requests

    def requested_command(self) -> Command:
        """Return the requested command."""
        return command_of(self.act, self.fields)


class ActApproved(RequestEvent):
    """A request was approved. The events of the act follow, under the same command name."""

    TOPIC = "act-approved.v1"
    note: Digest | None = None


class ActDeclined(RequestEvent):
    TOPIC = "act-declined.v1"
    reason: ReasonCode
    note: Digest | None = None


class ActWithdrawn(RequestEvent):
    """A request was withdrawn by its requester."""

    TOPIC = "act-withdrawn.v1"
    reason: ReasonCode
    note: Digest | None = None


class RequestAct(Act, Noted):
    """Request an act under an id of your choice, for another person's approval. `fields` are those of the command,
    without `text`: the text of the request is recorded with the act.

    `expected_version`: the version of the record that the act is about. The request keeps the version that the record
    has, and is not approved once the record has another.
    """

    TYPE = "request-act"
    request: RequestId
    act: ApprovableAct
    fields: dict[str, JsonValue]

    @field_validator("fields")
    @classmethod
    def _valid_command(cls, fields: dict[str, JsonValue], others: ValidationInfo) -> dict[str, JsonValue]:
        if "text" in fields:
            raise ValueError("text could never be erased from here; make it the text of the request")
        if "act" in others.data:
            command_of(others.data["act"], fields)
        return fields

    def requested_command(self) -> Command:
        """Return the requested command."""
        return command_of(self.act, self.fields)

    @property
    def precondition(self) -> int | None:
        """None: `decide` compares the version of the record that the act is about."""
        return None

    def concerned(self, case: Case) -> list[str]:
        return self.requested_command().concerned(case)

    def about(self, case: Case) -> list[str]:
        return _about(case, self.requested_command())

    def decide(self, case: Case) -> Decision:
        if refused := case.future(self, "occurred_at"):
            return refused
        if case.streams.version(stream("request", self.request)):
            return refuse(Rejection.REQUEST_EXISTS, "request", self.request)
        command = self.requested_command()
        if isinstance(command, AttestShift) and command.shift is None:  # fixed here: approval has another command name
            command = command.model_copy(update={"shift": shift_id_for(command.check_in, case.order.name)})
        decided = command.decide(case._replace(order=case.order._replace(command=command)))
        if isinstance(decided, Refused):
            return decided
        version = version_of(case, decided)
        for expected in (self.expected_version, command.precondition):
            if expected is not None and (refused := changed_since(expected, version, decided[0])):
                return refused
        concerned = command.concerned(case)
        return [
            case.event(
                ActRequested,
                self,
                fields=command.model_dump(mode="json", exclude_defaults=True, exclude={"expected_version"}),
                volunteer=concerned[0] if concerned else None,
                record_version=version,
            )
        ]


class RequestDecision(Act, Noted):
    """A decision about an open request."""

    request: RequestId

    def open_request(self, case: Case) -> ActRequested | Refused:
        """Return the request if it is open, else the refusal."""
        if refused := case.future(self, "occurred_at"):
            return refused
        request = case.stream(Request, "request", self.request)
        if request.requested is None:
            return refuse(Rejection.UNKNOWN_REQUEST, "request", self.request)
        if request.ended:
            return refuse(Rejection.REQUEST_ENDED, "request", self.request)
        return request.requested

    def open_request_of_another(self, case: Case) -> ActRequested | Refused:
        """Return the request if it is open and another person made it, else the refusal."""
        requested = self.open_request(case)
        if isinstance(requested, ActRequested) and same_person(case, [requested]):
            return refuse(Rejection.OWN_REQUEST, "request", self.request)
        return requested

    def concerned(self, case: Case) -> list[str]:
        requested = case.stream(Request, "request", self.request).requested
        if requested is None:
            return []
        return _about(case, requested.requested_command())


def _about(case: Case, command: Command) -> list[str]:
    """Return the volunteers whose record a requested act is about, and the one whom it honours."""
    award = getattr(command, "award", None)
    return command.concerned(case) + (about_award(case, award) if award else [])


class ApproveAct(RequestDecision):
    """Approve a request: the act is decided now, and recorded with the approval or not at all."""

    TYPE = "approve-act"

    def decide(self, case: Case) -> Decision:
        requested = self.open_request_of_another(case)
        if isinstance(requested, Refused):
            return requested
        command = requested.requested_command()
        order = case.order._replace(
            command=command,
            by=requested.by,
            key=requested.key,
            by_volunteer=requested.by_volunteer,
            imported=requested.imported,
        )
        decided = command.decide(case._replace(order=order, note=requested.note, approval=case.order))
        if isinstance(decided, Refused):
            return decided
        if refused := check_version(case, requested.record_version, decided):
            return refused
        return [case.event(ActApproved, self, volunteer=requested.volunteer), *decided]


class DeclineAct(RequestDecision):
    """Decline a request."""

    TYPE = "decline-act"
    reason: ReasonCode

    def decide(self, case: Case) -> Decision:
        requested = self.open_request_of_another(case)
        if isinstance(requested, Refused):
            return requested
        return [case.event(ActDeclined, self, volunteer=requested.volunteer)]


class WithdrawRequest(RequestDecision):
    """Withdraw a request of your own."""

    TYPE = "withdraw-request"
    reason: ReasonCode

    def decide(self, case: Case) -> Decision:
        requested = self.open_request(case)
        if isinstance(requested, Refused):
            return requested
        if not same_person(case, [requested]):
            return refuse(Rejection.ANOTHERS_REQUEST, "request", self.request)
        return [case.event(ActWithdrawn, self, volunteer=requested.volunteer)]
