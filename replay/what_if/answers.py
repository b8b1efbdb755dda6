"""What-if answers: the comparison of two replays.

`before` and `after` are the two sides; a change is `after` minus `before`. Minutes are whole minutes, days are local
days. The reasons of a volunteer sum to the change of credited minutes. Answers are made in replay/what_if/sentences.py.
"""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from projections.compare.header_changes import header_changes
from projections.rules.timeline import RuleTimeline
from replay.axes.answers import NameOfEntry, RulesUsed, StationName, omit_none
from replay.what_if.day_spans import DaySpan

STEP_NAMES = {
    "raw": "raw",
    "superseded": "superseded",
    "too_short": "too short",
    "clipped": "clipped",
    "overlapped": "overlap",
    "capped": "day cap",
    "factor_change": "factor",
    "rounding": "rounding",
    "opening_balance": "opening balance",
    "time_zone": "time zone",
}
"""The names of the steps of the rules in texts; a factor is called by its own name ("night factor")."""

Kind = Literal["gained", "lost", "moved"]


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class HeaderChanged(_Answer):
    """A key outside the rule sets that differs between two timelines, such as `time_zone`, with both values as text."""

    key: str
    before: str
    after: str
    sentence: str


def headers_changed(before: RuleTimeline, after: RuleTimeline) -> list[HeaderChanged]:
    """Return what differs between the headers of two timelines, the time zone first."""
    return [HeaderChanged(**one._asdict(), sentence=one.sentence()) for one in header_changes(before, after)]


class Change(_Answer):
    """A number on both sides, and the difference."""

    before: int
    after: int
    change: int


class SideUsed(_Answer):
    """The rules and the position of one side."""

    rules: RulesUsed
    known_at: int


class Reason(_Answer):
    """A step of the rules that changed credited minutes. `factor`: its name, if the step is a factor."""

    step: str
    factor: str | None = None
    minutes: int

    def words(self) -> str:
        """Return the reason as text: "night factor +120"."""
        return f"{name_of(self.step, self.factor)} {self.minutes:+d}"


def name_of(step: str, factor: str | None) -> str:
    """Return the name of a step in texts: "night factor"."""
    return f"{factor} factor" if factor else STEP_NAMES[step]


class YearChange(_Answer):
    """Credited minutes of a year."""

    year: int
    credited: Change


class GoesOnAs(_Answer):
    """The person's number of a volunteer on both sides."""

    before: str
    after: str


class VolunteerChange(_Answer):
    """A volunteer who differs. `trace`: the columns that differ, with the opening balance in credited minutes.

    `goes_on_as`: the person's numbers, if they differ; that number holds the hours of all numbers merged into it.
    """

    volunteer: str
    goes_on_as: GoesOnAs | None = omit_none()
    credited: Change
    reasons: list[Reason]
    reason: str
    trace: dict[str, Change]
    years: list[YearChange]
    honors_gained: list[str]
    honors_lost: list[str]
    honors_moved: list[str]


class StationChange(_Answer):
    """A station that differs, with the columns that do. The column `volunteers` counts person-times."""

    station: str
    station_name: StationName = omit_none()
    activity: dict[str, Change]


class HonorSummary(_Answer):
    """How many volunteers gain an honour, lose it, or reach it on another date."""

    honor: str
    title: str
    gained: int
    lost: int
    moved: int


class HonorChange(_Answer):
    """An honour that a volunteer gains, loses, or reaches on another date (possibly in the future)."""

    volunteer: str
    honor: str
    kind: Kind
    before: date | None
    after: date | None
    reason: str


class RankChanged(_Answer):
    """A volunteer or project that enters or leaves the honoured places of a year, or moves within them."""

    ranking: str
    title: str
    of: Literal["volunteers", "projects"]
    year: int
    name: str
    project_name: NameOfEntry = omit_none()
    kind: Literal["enters", "leaves", "moves"]
    before: int | None
    after: int | None


class ChangeBand(_Answer):
    """How many volunteers gain or lose at least `from_minutes` and less than `to_minutes`; null: there is no limit."""

    direction: Literal["gain", "lose"]
    from_minutes: int
    to_minutes: int | None
    volunteers: int


class WhatIf(_Answer):
    """Two replays compared. Lists of volunteers, honours and ranks are cut to a limit; the counts cover all.

    `as_if_from`: the day from which the new rules of `after` were tried. `not_tried`: from when the changed rule sets
    hold that could not be tried from that day, because a later one holds on it. `note`: why rules that differ change
    nothing, or which are not tried.
    """

    before: SideUsed
    after: SideUsed
    valid_at: date | None
    as_if_from: date | None = omit_none()
    not_tried: list[date] | None = omit_none()
    header_changes: list[HeaderChanged] = Field(description="What differs outside the rule sets, the time zone first.")
    rules_differ_from: date | None = Field(description="The first day of service on which the two sides' rules differ.")
    past_days: list[DaySpan] = Field(
        description="The days up to the last service on which the two sides' rules differ."
    )
    last_service: date | None = Field(description="The day of the last service that is compared.")
    note: str | None = omit_none()
    totals: dict[str, Change]
    volunteers_differing: int
    volunteers_gaining: int
    volunteers_losing: int
    distribution: list[ChangeBand] = Field(
        description="How many gain and lose how much, from the greatest loss to the greatest gain; of all volunteers."
    )
    volunteers: list[VolunteerChange] = Field(description="The greatest change first.")
    stations: list[StationChange]
    honors: list[HonorSummary]
    honor_changes_in_all: int
    honor_changes: list[HonorChange] = Field(description="By honour, then those of the greatest change first.")
    rank_changes_in_all: int
    rank_changes: list[RankChanged]
