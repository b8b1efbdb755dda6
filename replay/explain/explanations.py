"""Explanations: what a reader is told about one day of a volunteer, and about the days in brief.

Like all answers they repeat their axes; every number names the rule and the events behind it. Intervals are half-open,
instants carry the ledger's time zone, minutes are whole minutes.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from replay.axes.answers import Answer, Grade, Linked, OfPerson, OpeningBalance, PieceTrace, Trace, omit_none

Fate = Literal["superseded", "too-short", "clipped", "overlapped", "capped", "counted"]
EndedBy = Literal["check-out", "missing-check-out", "next-check-in"]


class RuleCited(Answer):
    """A line of the rules: the key of the rule set that holds from that service date, and its value.

    `name`: of a factor window. `version`: of the timeline; 0 is a candidate that is not published.
    """

    version: int
    holds_from: date
    key: str
    value: int
    name: str | None = None


class EventBehind(Linked):
    """An event behind a number. `decides` names what stands because of it: nothing, where another event counts."""

    position: int
    topic: str
    occurred_at: datetime
    recorded_at: datetime
    by: str
    decides: list[str]
    reason: str | None = None
    evidence: str | None = None


class ExplainedStretch(Answer):
    """Minutes [from, until) of a shift with one fate, the rule that took or gave them, and the events behind it.

    `percent`: what each minute earns. `held_by`: the shift that holds overlapped minutes, and `held_by_volunteer` under
    which number it was recorded, where the person has several.
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
    """How counted minutes become credited ones: percentages sum up to a share, and the running sum of the shift's
    shares, from its first day on, is rounded down to the unit.
    """

    percentages: int
    share: int
    shares_before: int
    credited_before: int
    unit: RuleCited
    credited: int


class ExplainedShift(Linked):
    """A shift's part on the day. `begin` and `end` are the whole shift's, to the minute, as the rules take it.

    `volunteer`: the number under which it was recorded, where the person has several. `late`: it was recorded too late
    (Order 67, Art. 11), which takes nothing away.
    """

    shift: UUID
    volunteer: str | None = omit_none()
    station: str
    station_kind: str | None
    project: str | None
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
    """A shift of the day that holds no time at all, and why."""

    shift: UUID
    volunteer: str | None = omit_none()
    because: str
    events: list[EventBehind]


class DayCap(Answer):
    """How many minutes may count on the day: the rule's, or those of a raise, which is an event."""

    minutes: int
    rule: RuleCited
    raised_by: EventBehind | None


class OpeningBehind(OpeningBalance):
    """An opening balance, which has taken in every shift of its number up to its day."""

    event: EventBehind


class DayExplanation(OfPerson):
    """Every minute of a volunteer's local day. The stretches of each shift sum to its trace, and those to the day's.

    `opening_balance`: the latest of all numbers; their other ones stand in `more_opening_balances`.
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


class DayInBrief(Trace, Linked):
    """What a day was worth, and of how many shifts."""

    day: date
    shifts: int


class VolunteerDays(OfPerson):
    """A volunteer's days of service, the latest first; `next_before` continues the list."""

    days: list[DayInBrief]
    next_before: date | None
