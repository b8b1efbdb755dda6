"""What-if answers: a comparison of two replays as readers get it.

`before` and `after` are the two sides; a change is after less before. Minutes are whole minutes, days local days. Of
every volunteer the reasons sum to the change of credited minutes. How an answer is made of a comparison stands in
replay/what_if/sentences.py.
"""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from replay.axes.answers import RulesUsed, omit_none

WORDS = {
    "raw": "raw",
    "superseded": "superseded",
    "too_short": "too short",
    "clipped": "clipped",
    "overlapped": "overlap",
    "capped": "day cap",
    "factor_change": "factor",
    "rounding": "rounding",
    "opening_balance": "opening balance",
}
"""How a step of the rules is called where people read it; a factor by its own name besides ("night factor")."""

Kind = Literal["gained", "lost", "moved"]


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class Change(_Answer):
    """A number on both sides."""

    before: int
    after: int
    change: int


class SideUsed(_Answer):
    """What one side rests on."""

    rules: RulesUsed
    known_at: int


class Reason(_Answer):
    """A step of the rules that gave (or took) credited minutes; of a factor, which one."""

    step: str
    factor: str | None = None
    minutes: int

    def words(self) -> str:
        """Return it as people read it: "night factor +120"."""
        return f"{name_of(self.step, self.factor)} {self.minutes:+d}"


def name_of(step: str, factor: str | None) -> str:
    """Return how a step is called where people read it: "night factor"."""
    return f"{factor} factor" if factor else WORDS[step]


class YearChange(_Answer):
    """Credited minutes of a year."""

    year: int
    credited: Change


class GoesOnAs(_Answer):
    """As which number a volunteer's goes on, on both sides."""

    before: str
    after: str


class VolunteerChange(_Answer):
    """A volunteer who differs. `trace` holds the columns that differ, with the opening balance in credited minutes.

    `goes_on_as`: where the two sides differ in whether the number was merged into another, whose hours then hold its.
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
    """A station that differs: the columns that do. `volunteers` are person-times."""

    station: str
    activity: dict[str, Change]


class HonorSummary(_Answer):
    """How many volunteers gain or lose an honour, or reach it on another date."""

    honor: str
    title: str
    gained: int
    lost: int
    moved: int


class HonorChange(_Answer):
    """An honour that one volunteer gains or loses, or reaches on another date (which may lie ahead)."""

    volunteer: str
    honor: str
    kind: Kind
    before: date | None
    after: date | None
    reason: str


class RankChanged(_Answer):
    """A volunteer or project that enters, leaves, or moves within the honoured places of a year."""

    ranking: str
    title: str
    of: Literal["volunteers", "projects"]
    year: int
    name: str
    kind: Literal["enters", "leaves", "moves"]
    before: int | None
    after: int | None


class WhatIf(_Answer):
    """Two replays side by side. Lists of volunteers, honours and ranks are cut to a limit; the counts are of all."""

    before: SideUsed
    after: SideUsed
    valid_at: date | None
    totals: dict[str, Change]
    volunteers_differing: int
    volunteers_gaining: int
    volunteers_losing: int
    volunteers: list[VolunteerChange] = Field(description="The greatest change first.")
    stations: list[StationChange]
    honors: list[HonorSummary]
    honor_changes_in_all: int
    honor_changes: list[HonorChange] = Field(description="By honour, then those of the greatest change first.")
    rank_changes_in_all: int
    rank_changes: list[RankChanged]
