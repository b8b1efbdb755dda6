"""Disputes about shifts: opened, answered, settled (Order 67, Art. 13). Their events are in the shift's stream."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import JsonValue, model_validator

from ledger.aggregates.four_eyes.permission import policies, same_person
from ledger.aggregates.shift import DisputeAnswered, DisputeSettled, ShiftDisputed
from ledger.aggregates.shift_acts import ShiftAct, shift_of
from ledger.deciding.base import command_of
from ledger.deciding.case import Case, Decision
from ledger.names import Outcome
from ledger.rejections import Refused, Rejection, refuse

_OF_THE_SETTLEMENT = {"volunteer", "shift", "reason", "text", "occurred_at", "expected_version"}
"""What a settlement gives to the command that follows from it, or compares itself."""

STATEMENTS_MAX = 10
"""The number of statements in an open dispute. Only its settlement, by another person, makes room for more."""


class DisputeShift(ShiftAct):
    """Dispute the record of a shift (Order 67, Art. 13)."""

    TYPE = "dispute-shift"

    def decide(self, case: Case) -> Decision:
        """Open a dispute, or add to an open one, which keeps its due dates."""
        if refused := self.not_recorded(case):
            return refused
        shift = shift_of(case, self.volunteer, self.shift)
        opened = shift.disputed
        if opened and shift.statements >= STATEMENTS_MAX:
            return refuse(Rejection.DISPUTE_FULL, "shift", self.shift)
        due = (opened.answer_due, opened.settle_due) if opened else policies(case).due(self.occurred_at or case.now)
        answer_due, settle_due = due or (None, None)
        return [case.event(ShiftDisputed, self, answer_due=answer_due, settle_due=settle_due)]


class AnswerDispute(ShiftAct):
    """Answer an open dispute for the organisation (Order 67, Art. 13); the dispute stays open."""

    TYPE = "answer-dispute"

    def decide(self, case: Case) -> Decision:
        if refused := self.not_recorded(case):
            return refused
        if not shift_of(case, self.volunteer, self.shift).disputed:
            return refuse(Rejection.NO_OPEN_DISPUTE, "shift", self.shift)
        return [case.event(DisputeAnswered, self)]


class SettleDispute(ShiftAct):
    """Settle a dispute after investigation. If it is upheld, `act` and `fields` name the command to execute on the
    shift, without its volunteer, shift and reason. Both are recorded together or not at all.
    """

    TYPE = "settle-dispute"
    outcome: Outcome
    act: Literal["correct-shift", "void-shift", "reinstate-shift", "move-shift"] | None = None
    fields: dict[str, JsonValue] = {}  # noqa: RUF012 - pydantic copies it

    @model_validator(mode="after")
    def _act_follows(self) -> Self:
        if self.act is None:
            if self.fields:
                raise ValueError("fields needs an act; name the act, or leave fields out")
            return self
        if self.outcome == "rejected":
            raise ValueError("act is only for a dispute that is upheld; leave it out, or set outcome to upheld")
        if reserved := sorted(_OF_THE_SETTLEMENT & set(self.fields)):
            raise ValueError(f"fields.{reserved[0]} is taken from the settlement; leave it out")
        self.resulting_command()
        return self

    def resulting_command(self) -> ShiftAct | None:
        """Return the command to execute on the shift, if any."""
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
        command = self.resulting_command()
        return command.concerned(case) if command else super().concerned(case)

    def decide(self, case: Case) -> Decision:
        """Settle the dispute; decide the resulting command, if any, and record its events with the settlement."""
        if refused := self.not_recorded(case):
            return refused
        shift = shift_of(case, self.volunteer, self.shift)
        opened = shift.disputed
        if opened is None:
            return refuse(Rejection.NO_OPEN_DISPUTE, "shift", self.shift)
        if same_person(case, [opened]):
            return refuse(Rejection.OWN_DISPUTE, "shift", self.shift)
        if same_person(case, shift.entered_before):
            return refuse(Rejection.OWN_ENTRY, "shift", self.shift)
        settled = case.event(DisputeSettled, self)
        command = self.resulting_command()
        if command is None:
            return [settled]
        decided = command.decide(case._replace(note=None))  # the text belongs to the settlement
        return decided if isinstance(decided, Refused) else [settled, *decided]
