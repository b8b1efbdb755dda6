"""Answers about rankings and projects: what readers get, each with the axes it rests on (replay/axes/answers.py)."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from projections.rules.rankings import Score
from replay.axes.answers import Basis, Linked, omit_none


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class RankingTerms(_Answer):
    """By which keys a year was ranked, from the weightiest to the lightest, and what was asked for to be ranked at all.

    Of each key the greater stands before; whoever is equal in all of them is told apart by number or id, the smaller
    first. `places` are honoured. `score`: points for each of a project's figures.
    """

    ranking: str
    title: str
    of: Literal["volunteers", "projects"]
    year: int
    places: int
    order: list[str]
    minimums: dict[str, int]
    score: Score | None


class Ranked(Linked):
    """One of a year's ranking: a volunteer number or a project's id, and the figures of that year by key."""

    rank: int
    name: str
    figures: dict[str, int]


class RankingOfYear(Basis, RankingTerms):
    """A page of a year's ranking. `ranked`: how many reach the minimums; `next_place` continues the list."""

    ranked: int
    entries: list[Ranked]
    next_place: int | None


class Place(RankingTerms):
    """Where one volunteer or project stands in a year.

    `rank` is null for who does not reach the minimums, and `lacking` says what each lacks. `before` and `after` stand
    next to it, the nearest first. `last_place` holds the last place that is honoured.
    """

    name: str
    rank: int | None
    ranked: int
    honored: bool
    figures: dict[str, int]
    lacking: dict[str, int]
    before: list[Ranked]
    after: list[Ranked]
    last_place: Ranked | None


class Places(Basis):
    """Where a volunteer or project stands in every ranking of a year. `goes_on_as`: the number that is ranked, where
    the volunteer's was merged into another.
    """

    name: str
    goes_on_as: str | None = omit_none()
    year: int
    ranks: list[Place]


class ProjectMonth(Linked):
    """A project in one month, or (month null) in a whole year. Shifts and volunteers are those that began there; each
    volunteer counts once, so those of a year are fewer than those of its months together.
    """

    year: int
    month: int | None
    shifts: int
    volunteers: int
    raw_minutes: int
    counted_minutes: int
    credited_minutes: int
    people_served: int


class ProjectActivity(Basis):
    """A project's years, each with its months in `months`; the latest year last."""

    project: str
    years: list[ProjectMonth]
    months: list[ProjectMonth]
