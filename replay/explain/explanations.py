"""Explanations: answers about one day of a volunteer, and summaries of days.

Like all answers they repeat their axes. Every number comes with the rule and the events behind it. Intervals are
half-open, instants have the UTC offset of the ledger's time zone, minutes are whole minutes.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from replay.axes.answers import (
    Answer,
    Grade,
    Linked,
    OfPerson,
    OpeningBalance,
    PieceTrace,
    ProjectName,
    StationName,
    Trace,
    omit_none,
)

Fate = Literal["superseded", "too-short", "clipped", "overlapped", "capped", "counted"]
EndedBy = Literal["check-out", "paired-punch", "missing-check-out", "next-check-in"]


class RuleCited(Answer):
    """A key of the rules with its value, in the rule set that holds from a service date.

    `name`: that of a factor window. `version`: that of the timeline; 0 is a candidate that is not published.
    """

    version: int
    holds_from: date
    key: str
    value: int
    name: str | None = None


class EventBehind(Linked):
    """An event behind a number. `decides` names the fields that it decides: none, if other events decide them."""

    position: int
    topic: str
    occurred_at: datetime
    recorded_at: datetime
    by: str
    decides: list[str]
    reason: str | None = None
    evidence: str | None = None


class ExplainedStretch(Answer):
    """Minutes [from, until) of a shift with one fate, the rule that granted or denied them, and the events behind them.

    `percent`: what each minute earns. `held_by`: the shift that holds overlapped minutes. `held_by_volunteer`: the
    number under which that shift was recorded, if the person has several.
    """

    begin: datetime = Field(alias="from")
    until: datetime
    minutes: int
    fate: Fate
    percent: int
    rule: RuleCited | None
    held_by: UUID | None
    held_by_volunteer: str | None = omit_none()
    positions: list[int]
    because: str


class Rounding(Answer):
    """How counted minutes become credited minutes: the sum of their percentages gives the share, and the running sum of
    the shift's shares, from its first day on, is rounded down to the unit.
    """

    percentages: int
    share: int
    shares_before: int
    credited_before: int
    unit: RuleCited
    credited: int


class ExplainedShift(Linked):
    """A shift's part on the day. `begin` and `end` are those of the whole shift under the rules, to the minute.

    `volunteer`: the number under which it was recorded, if the person has several. `late`: whether it was recorded too
    late (Order 67, Art. 11), which does not reduce its credit. `station_kind`: that of the station on the day.
    """

    shift: UUID
    volunteer: str | None = omit_none()
    station: str | None
    station_name: StationName = omit_none()
    station_kind: str | None
    project: str | None
    project_name: ProjectName = omit_none()
    grade: Grade
    late: bool
    check_in: datetime
    check_out: datetime | None
    begin: datetime
    end: datetime
    ended_by: EndedBy
    end_rule: RuleCited | None
    trace: PieceTrace
    stretches: list[ExplainedStretch]
    rounding: Rounding
    events: list[EventBehind]


class ShiftWithoutMinutes(Linked):
    """A shift of the day that holds no time, and why."""

    shift: UUID
    volunteer: str | None = omit_none()
    because: str
    events: list[EventBehind]


class DayCap(Answer):
    """How many minutes may count on the day: those of the rule, or of the raise in `raised_by`."""

    minutes: int
    rule: RuleCited
    raised_by: EventBehind | None


class OpeningBehind(OpeningBalance):
    """An opening balance, which includes every shift of its number up to its day."""

    event: EventBehind


class DayExplanation(OfPerson):
    """Every minute of a volunteer's local day. The stretches of a shift sum to its trace, the traces to the day's.

    `opening_balance`: the latest of all numbers of the person; `more_opening_balances`: the others.
    """

    day: date
    time_zone: str
    begin: datetime = Field(alias="from")
    until: datetime
    rules_published: EventBehind | None
    cap: DayCap
    opening_balance: OpeningBehind | None
    more_opening_balances: list[OpeningBehind] | None = omit_none()
    trace: Trace
    shifts: list[ExplainedShift]
    without_minutes: list[ShiftWithoutMinutes]
    without_minutes_count: int


class DayInBrief(Trace, Linked):
    """The trace of a day, and its number of shifts."""

    day: date
    shifts: int


class VolunteerDays(OfPerson):
    """A volunteer's days of service, the latest first; `next_before` continues the list."""

    days: list[DayInBrief]
    next_before: date | None
