"""Requests: an act is asked for by one and approved, declined or withdrawn; approving records the act.

What is asked for is decided twice as a command of its own: when it is asked for, so that nobody is asked to approve
what cannot be; and when it is approved, as things stand then. A refusal of the act refuses the approval. The events of
the act say who asked (`by`) and who approved (`approved_by`), and carry the text of the request.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from pydantic import JsonValue, ValidationInfo, field_validator

from ledger.aggregates.honor import honored
from ledger.aggregates.permission import same_person
from ledger.aggregates.shift import AttestShift
from ledger.deciding.base import Act, Aggregate, Command, Event, Noted, command_of
from ledger.deciding.case import Case, Decision
from ledger.deciding.policies import ApprovableAct
from ledger.names import Digest, ReasonCode, RequestId, VolunteerNumber, shift_id_for, stream
from ledger.rejections import Refused, Rejection, refuse


@dataclass(frozen=True, slots=True)
class Request(Aggregate):
    """What was asked for, and what became of it."""

    asked: ActRequested | None = None
    ended: ActApproved | ActDeclined | ActWithdrawn | None = None

    def after(self, event: Event) -> Request:
        request = replace(self, version=self.version + 1)
        match event:
            case ActRequested():
                return replace(request, asked=event)
            case ActApproved() | ActDeclined() | ActWithdrawn():
                return replace(request, ended=event)
            case _:
                return request


class RequestEvent(Event):
    """Each request has a stream of its own. `volunteer`: whose record it is about, where it is anybody's."""

    AGGREGATE = Request
    request: RequestId
    volunteer: VolunteerNumber | None = None

    @property
    def stream_id(self) -> UUID:
        return stream("request", self.request)


class ActRequested(RequestEvent):
    """Somebody asks for an act that another is to approve: the type of the command, and its fields without texts."""

    TOPIC = "act-requested.v1"
    act: str
    fields: dict[str, Any]
    note: Digest | None = None

    def asked_command(self) -> Command:
        """Return the command that was asked for."""
        return command_of(self.act, self.fields)


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

    def concerned(self, case: Case) -> list[str]:
        return self.asked().concerned(case)

    def decide(self, case: Case) -> Decision:
        if refused := case.future(self, "occurred_at"):
            return refused
        if case.streams.version(stream("request", self.request)):
            return refuse(Rejection.REQUEST_EXISTS, "request", self.request)
        asked = self.asked()
        if isinstance(asked, AttestShift) and asked.shift is None:  # the id is made of the name that asks, once for all
            asked = asked.model_copy(update={"shift": shift_id_for(asked.check_in, case.order.name)})
        would_be = asked.decide(case._replace(order=case.order._replace(command=asked)))
        if isinstance(would_be, Refused):
            return would_be
        about = asked.concerned(case)
        return [
            case.event(
                ActRequested,
                self,
                fields=asked.model_dump(mode="json", exclude_defaults=True),
                volunteer=about[0] if about else None,
            )
        ]


class RequestDecision(Act, Noted):
    """A decision about what was asked for and is still open."""

    request: RequestId

    def open_request(self, case: Case) -> ActRequested | Refused:
        """Return what was asked for and is still open: the rungs that all decisions about a request begin with."""
        if refused := case.future(self, "occurred_at"):
            return refused
        request = case.stream(Request, "request", self.request)
        if request.asked is None:
            return refuse(Rejection.UNKNOWN_REQUEST, "request", self.request)
        if request.ended:
            return refuse(Rejection.REQUEST_ENDED, "request", self.request)
        return request.asked

    def concerned(self, case: Case) -> list[str]:
        asked = case.stream(Request, "request", self.request).asked
        if asked is None:
            return []
        act = asked.asked_command()
        award = getattr(act, "award", None)
        recipient = honored(case, award) if award else None
        return act.concerned(case) + ([recipient] if recipient else [])


class ApproveAct(RequestDecision):
    """What was asked for is right: it is decided now, and recorded with the approval or not at all."""

    TYPE = "approve-act"

    def decide(self, case: Case) -> Decision:
        asked = self.open_request(case)
        if isinstance(asked, Refused):
            return asked
        if same_person(case, [asked]):
            return refuse(Rejection.OWN_REQUEST, "request", self.request)
        command = asked.asked_command()
        order = case.order._replace(
            command=command,
            by=asked.by,
            key=asked.key,
            by_volunteer=asked.by_volunteer,
            imported=asked.imported,
        )
        decided = command.decide(case._replace(order=order, note=asked.note, approval=case.order))
        if isinstance(decided, Refused):
            return decided
        return [case.event(ActApproved, self, volunteer=asked.volunteer), *decided]


class DeclineAct(RequestDecision):
    TYPE = "decline-act"
    reason: ReasonCode

    def decide(self, case: Case) -> Decision:
        asked = self.open_request(case)
        if isinstance(asked, Refused):
            return asked
        if same_person(case, [asked]):
            return refuse(Rejection.OWN_REQUEST, "request", self.request)
        return [case.event(ActDeclined, self, volunteer=asked.volunteer)]


class WithdrawRequest(RequestDecision):
    """Who asked has thought better of it."""

    TYPE = "withdraw-request"
    reason: ReasonCode

    def decide(self, case: Case) -> Decision:
        asked = self.open_request(case)
        if isinstance(asked, Refused):
            return asked
        if not same_person(case, [asked]):
            return refuse(Rejection.ANOTHERS_REQUEST, "request", self.request)
        return [case.event(ActWithdrawn, self, volunteer=asked.volunteer)]
