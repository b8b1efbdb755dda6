"""What readers are told of disputes, of requests, and of all that was done to a volunteer's record.

Like all answers they repeat their axes. `text` is what a person wrote: nothing where it was erased, or the reader may
not see it.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal
from uuid import UUID

from pydantic import JsonValue

from replay.axes.answers import Answer, Basis, Linked, omit_none

DisputeState = Literal["open", "answered", "settled"]
RequestState = Literal["open", "approved", "declined", "withdrawn"]


class CaseStep(Linked):
    """A step: by which event, who and when; why, as a code and in words."""

    position: int
    at: datetime
    by: str
    reason: str | None = None
    text: str | None = None


class Dispute(Linked):
    """A dispute about a shift's record. `overdue` says what has not been done by the day it was due."""

    volunteer: str
    shift: UUID
    station: str | None
    state: DisputeState
    opened: CaseStep
    answer_due: date | None
    settle_due: date | None
    overdue: Literal["answer", "settlement"] | None
    answered: CaseStep | None
    settled: CaseStep | None
    outcome: Literal["upheld", "rejected"] | None


class Disputes(Basis):
    """Disputes in the order in which they were opened; `next_after` continues the list. Due dates are held against
    `today`.
    """

    today: date
    disputes: list[Dispute]
    next_after: int | None


class ActRequest(Linked):
    """An act that one asks for and another is to approve. `act` is a type of command, `fields` are its own."""

    request: str
    volunteer: str | None
    act: str
    fields: dict[str, JsonValue]
    state: RequestState
    asked: CaseStep
    decided: CaseStep | None


class ActRequests(Basis):
    """Requests in the order in which they were made; `next_after` continues the list."""

    requests: list[ActRequest]
    next_after: int | None


class MinutesChange(Answer):
    """What an act made of the volunteer's credited minutes, under the rules of the answer: of the local days from
    `first_day` to `last_day` on which it changed any, and of those the act is about. An opening balance counts on its
    own day.
    """

    first_day: date
    last_day: date
    before: int
    after: int
    change: int


class RecordAct(Linked):
    """An act on a volunteer's record. `before` and `after` hold the fields it changed, or what it says alone.

    `minutes` is told of acts that can change hours. `volunteer`: the number it is about, of a person who has several.
    """

    position: int
    topic: str
    recorded_at: datetime
    occurred_at: datetime
    by: str
    approved_by: str | None
    imported: bool
    volunteer: str | None = omit_none()
    shift: UUID | None
    reason: str | None
    text: str | None
    before: dict[str, JsonValue]
    after: dict[str, JsonValue]
    minutes: MinutesChange | None


class VolunteerHistory(Basis):
    """Everything that was done to a volunteer's record but scans, in log order; `next_after` continues it."""

    volunteer: str
    acts: list[RecordAct]
    next_after: int | None
