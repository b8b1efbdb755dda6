"""Answers about disputes, requests, and the history of a volunteer's record.

Like all answers they repeat their axes. `text` is free text: null if it was erased, or if the reader may not see it.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, JsonValue

from replay.axes.answers import Answer, Basis, Linked, NamesIn, PlaceNamesIn, StationName, omit_none

DisputeState = Literal["open", "answered", "settled"]
Texts = Literal["all", "disputes", "none"]
"""Free texts that a reader may see: `disputes` are those of disputes and of the answers to them."""
RequestState = Literal["open", "approved", "declined", "withdrawn"]


class CaseStep(Linked):
    """A step of a case: the event, who and when; the reason as a code, and as free text."""

    position: int
    at: datetime
    by: str
    reason: str | None = None
    text: str | None = None


class Dispute(Linked):
    """A dispute about a shift, whose record has this `version`. `overdue`: the step not made by its due date.
    `additions`: what was added while it was open; they change no due date.
    """

    volunteer: str
    shift: UUID
    version: int
    station: str | None
    station_name: StationName = omit_none()
    state: DisputeState
    opened: CaseStep
    additions: list[CaseStep] = Field(default_factory=list)
    answer_due: date | None
    settle_due: date | None
    overdue: Literal["answer", "settlement"] | None
    answered: CaseStep | None
    settled: CaseStep | None
    outcome: Literal["upheld", "rejected"] | None


class Disputes(Basis):
    """Disputes in the order in which they were opened; `next_after` continues the list. Due dates are compared with
    `today`.
    """

    today: date
    disputes: list[Dispute]
    next_after: int | None


class ActRequest(Linked):
    """A request for an act that another person has to approve. `act`: the type of command; `fields`: its fields;
    `names`: those of the stations, projects and organisations in them.

    `before` and `after`: the values that it changes, with local times, when it was requested; of other acts `after`
    holds the fields. `minutes`: the change of the shift's raw minutes, null for other acts. `sentence`: that in words.
    `version`: of the request. `record_version`: of the record that the act is about, when it was requested; the request
    is not approved once the record has another. Null in old requests.
    """

    request: str
    version: int
    record_version: int | None
    volunteer: str | None
    act: str
    fields: dict[str, JsonValue]
    names: Annotated[PlaceNamesIn | None, NamesIn(("fields",))] = omit_none()
    before: dict[str, JsonValue] = Field(default_factory=dict)
    after: dict[str, JsonValue] = Field(default_factory=dict)
    minutes: int | None = None
    sentence: str = ""
    state: RequestState
    asked: CaseStep
    decided: CaseStep | None


class ActRequests(Basis):
    """Requests in the order in which they were made; `next_after` continues the list."""

    requests: list[ActRequest]
    next_after: int | None


class MinutesChange(Answer):
    """The effect of an act on the volunteer's credited minutes, under the rules of the answer.

    The sums cover the local days from `first_day` to `last_day` on which it changed minutes, and the days that the act
    is about. An opening balance counts on its own day.
    """

    first_day: date
    last_day: date
    before: int
    after: int
    change: int


class RecordAct(Linked):
    """An act on a volunteer's record.

    `before` and `after`: the fields that it changed; for other acts `after` holds all their fields. `names`: those of
    the stations, projects and organisations in them. `sentence`: what changed in words, with the change of the shift's
    raw minutes. `minutes`: null for acts that never change hours. `volunteer`: the number that it is about, if the
    person has several. `version`: of the record that it changed (a shift, a volunteer, an opening balance, a day's cap,
    a request, an award), after it.
    """

    position: int
    version: int
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
    names: Annotated[PlaceNamesIn | None, NamesIn(("before", "after"))] = omit_none()
    sentence: str
    minutes: MinutesChange | None


class VolunteerHistory(Basis):
    """Every act on a volunteer's record except scans, in log order; `next_after` continues the list."""

    volunteer: str
    acts: list[RecordAct]
    next_after: int | None
