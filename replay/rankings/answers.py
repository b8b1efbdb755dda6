"""Answers about rankings and projects, each with the axes it rests on (replay/axes/answers.py)."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from projections.rules.rankings import Score
from replay.axes.answers import Basis, Linked, NameOfEntry, ProjectName, omit_none


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class RankingTerms(_Answer):
    """The sort keys of a ranking in a year, the most significant first, and the minimums required to be ranked.

    Greater values rank first; ties in all keys are broken by number or id, the smaller first. `places`: how many ranks
    are honoured. `score`: points for each of a project's figures.
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
    """An entry of a year's ranking: a volunteer number or a project's id, and the figures of that year by key."""

    rank: int
    name: str
    project_name: NameOfEntry = omit_none()
    figures: dict[str, int]


class RankingOfYear(Basis, RankingTerms):
    """A page of a year's ranking. `ranked`: how many reach the minimums. `next_place` continues the list."""

    ranked: int
    entries: list[Ranked]
    next_place: int | None


class Place(RankingTerms):
    """The place of a volunteer or project in a ranking of a year.

    `rank`: null if the minimums are not reached; `lacking`: the missing amount by key. `before` and `after`: the
    neighbours, the nearest first. `last_place`: the entry at the last honoured place.
    """

    name: str
    project_name: NameOfEntry = omit_none()
    rank: int | None
    ranked: int
    honored: bool
    figures: dict[str, int]
    lacking: dict[str, int]
    before: list[Ranked]
    after: list[Ranked]
    last_place: Ranked | None


class Places(Basis):
    """The places of a volunteer or project in all rankings of a year. `goes_on_as`: the person's number, which
    is ranked, if the volunteer's was merged into another.
    """

    name: str
    goes_on_as: str | None = omit_none()
    year: int
    ranks: list[Place]


class ProjectMonth(Linked):
    """A project in one month, or (`month` null) in a whole year. Shifts and volunteers are those that began there. Each
    volunteer counts once, so the number of a year can be less than the sum of its months.
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
    """A project's years, and their months in `months`; the latest year last."""

    project: str
    project_name: ProjectName = omit_none()
    years: list[ProjectMonth]
    months: list[ProjectMonth]
