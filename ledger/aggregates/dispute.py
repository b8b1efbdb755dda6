"""Disputes about shifts: opened, answered, settled (Order 67, Art. 13). Their events are a shift's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Self

from pydantic import JsonValue, model_validator

from ledger.aggregates.permission import policies, same_person
from ledger.aggregates.shift import CheckedIn, CheckedOut, DisputeAnswered, DisputeSettled, Shift, ShiftDisputed
from ledger.aggregates.shift_acts import ShiftAct, shift_of
from ledger.deciding.base import Event, command_of
from ledger.deciding.case import Case, Decision
from ledger.names import Upheld, shift_stream
from ledger.rejections import Refused, Rejection, refuse


class DisputeShift(ShiftAct):
    """Somebody disputes the record (Order 67, Art. 13)."""

    TYPE = "dispute-shift"

    def decide(self, case: Case) -> Decision:
        """A dispute that is open can be gone on with, which moves no due date."""
        if refused := self.not_recorded(case):
            return refused
        opened = shift_of(case, self.volunteer, self.shift).disputed
        due = (opened.answer_due, opened.settle_due) if opened else policies(case).due(self.occurred_at or case.now)
        answer_due, settle_due = due or (None, None)
        return [case.event(ShiftDisputed, self, answer_due=answer_due, settle_due=settle_due)]


class AnswerDispute(ShiftAct):
    """The organisation answers an open dispute (Order 67, Art. 13); it stays open."""

    TYPE = "answer-dispute"

    def decide(self, case: Case) -> Decision:
        if refused := self.not_recorded(case):
            return refused
        if not shift_of(case, self.volunteer, self.shift).disputed:
            return refuse(Rejection.NO_OPEN_DISPUTE, "shift", self.shift)
        return [case.event(DisputeAnswered, self)]


class SettleDispute(ShiftAct):
    """The dispute was looked into. Where it is upheld, `act` and `fields` say what is to be done about the shift, which
    is done with it or not at all: a command on the shift, without its volunteer, shift and reason.
    """

    TYPE = "settle-dispute"
    outcome: Upheld
    act: Literal["correct-shift", "void-shift", "reinstate-shift", "move-shift"] | None = None
    fields: dict[str, JsonValue] = {}  # noqa: RUF012 - pydantic copies it

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

    @property
    def acts(self) -> tuple[str, ...]:
        return (self.TYPE,) if self.act is None else (self.TYPE, self.act)

    def concerned(self, case: Case) -> list[str]:
        follows = self.follows()
        return follows.concerned(case) if follows else super().concerned(case)

    def decide(self, case: Case) -> Decision:
        """What follows from a dispute that is upheld is decided as its own command, and is recorded with it."""
        if refused := self.not_recorded(case):
            return refused
        events = case.streams.events(shift_stream(self.volunteer, self.shift))
        opened = Shift.of(events).disputed
        if opened is None:
            return refuse(Rejection.NO_OPEN_DISPUTE, "shift", self.shift)
        if same_person(case, [opened]):
            return refuse(Rejection.OWN_DISPUTE, "shift", self.shift)
        if same_person(case, _disputed_entry(events, opened)):
            return refuse(Rejection.OWN_ENTRY, "shift", self.shift)
        settled = case.event(DisputeSettled, self)
        follows = self.follows()
        if follows is None:
            return [settled]
        decided = follows.decide(case._replace(note=None))  # the text is the settlement's
        return decided if isinstance(decided, Refused) else [settled, *decided]


def _disputed_entry(events: Sequence[Event], opened: ShiftDisputed) -> list[Event]:
    """Return what people had made of the shift when it was disputed: its entry by hand, and every act on it."""
    before = events[: list(events).index(opened)]
    scans = (CheckedIn, CheckedOut)
    talk = (ShiftDisputed, DisputeAnswered, DisputeSettled)
    return [
        event
        for event in before
        if not isinstance(event, talk) and not (isinstance(event, scans) and event.evidence is None)
    ]
