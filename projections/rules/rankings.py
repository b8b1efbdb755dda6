"""Rankings, as rules: the number of places, the keys of the order, and the minimums.

"Top hundred volunteers" and "ten best projects" are data, not code: each is a table `[[rule_sets.rankings]]` of a rule
set, and the set in force on the last day of a year applies to that year. This module defines the models;
`projections.kernels.rankings` computes ranks.

Errors: `ValueError` during pydantic's validation, which `projections.rules.timeline` converts to a `RulesError`.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ledger.names import HonorId

VOLUNTEER_KEYS: Final = (
    "credited_minutes",
    "scanned_minutes",
    "attested_minutes",
    "counted_minutes",
    "raw_minutes",
    "shifts",
)
PROJECT_KEYS: Final = (
    "score",
    "credited_minutes",
    "counted_minutes",
    "raw_minutes",
    "shifts",
    "volunteers",
    "people_served",
    "months_active",
)

Key = Literal[
    "score",
    "credited_minutes",
    "scanned_minutes",
    "attested_minutes",
    "counted_minutes",
    "raw_minutes",
    "shifts",
    "volunteers",
    "people_served",
    "months_active",
]
Weight = Annotated[int, Field(strict=True, ge=0, le=1_000_000)]
Least = Annotated[int, Field(strict=True, ge=0, le=1_000_000_000)]


class _Rules(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Score(_Rules):
    """The score of a project's year: the sum of each figure times its weight. `credited_hours` are whole hours, rounded
    down; `months_active` is the number of months in which a shift began.
    """

    credited_hours: Weight = 0
    """Points for each whole hour credited."""
    credited_minutes: Weight = 0
    """Points for each minute credited."""
    shifts: Weight = 0
    """Points for each shift."""
    volunteers: Weight = 0
    """Points for each volunteer."""
    people_served: Weight = 0
    """Points for each person served."""
    months_active: Weight = 0
    """Points for each month in which a shift began."""


class Ranking(_Rules):
    """A ranking: the first `places` of a local year, among those who reach every minimum.

    `order` names the keys by priority; greater values come first. Ties in all keys are broken by number (volunteers) or
    id (projects), the smaller first, so no two share a place. A minimum of 0 has no effect. Opening balances belong to
    no year and count in no ranking.
    """

    id: HonorId
    """The id, by which awards name the honour; other than those of thresholds."""
    title: str
    """The title, as people read it."""
    of: Literal["volunteers", "projects"]
    """Who is ranked."""
    period: Literal["year"] = "year"
    """The period; there is one."""
    places: Annotated[int, Field(strict=True, ge=1, le=10_000)]
    """How many are honoured."""
    order: tuple[Key, ...]
    """The keys by priority, greater values first. Volunteers have no score, volunteers, people_served or months_active;
    projects have no scanned_minutes or attested_minutes.
    """
    score: Score | None = None
    """The weights of the score of projects; needs "score" in order."""
    credited_minutes_min: Least
    """The credited minutes of the year that are required."""
    scanned_minutes_min: Least = 0
    """The scanned minutes of the year; volunteers only."""
    shifts_min: Least = 0
    """The shifts of the year."""
    volunteers_min: Least = 0
    """The volunteers of the year; projects only."""
    people_served_min: Least = 0
    """The people served in the year; projects only."""
    months_active_min: Annotated[int, Field(strict=True, ge=0, le=12)] = 0
    """The months in which a shift began; projects only."""

    @property
    def minimums(self) -> dict[str, int]:
        """The minimums by key, without those that are 0."""
        minimums = {key: getattr(self, f"{key}_min", 0) for key in self.keys}
        return {key: minimum for key, minimum in minimums.items() if minimum}

    def without_minimums(self) -> Ranking:
        """Return the same ranking without minimums, which orders all, including those who do not reach them."""
        return self.model_copy(update=dict.fromkeys((f"{key}_min" for key in self.minimums), 0))

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of this kind of ranking."""
        return VOLUNTEER_KEYS if self.of == "volunteers" else PROJECT_KEYS

    @model_validator(mode="after")
    def _consistent(self) -> Ranking:
        if not self.order:
            raise ValueError(f"order is empty; name at least one of {', '.join(self.keys)}")
        for place, key in enumerate(self.order):
            if key not in self.keys:
                raise ValueError(f"order names {key}, which {self.of} do not have; they have {', '.join(self.keys)}")
            if key in self.order[:place]:
                raise ValueError(f"order names {key} twice, and the second has no effect; remove it")
        named = {name.removesuffix("_min") for name in self.model_fields_set if name.endswith("_min")}
        for unknown in sorted(named - set(self.keys)):
            if getattr(self, f"{unknown}_min"):
                raise ValueError(f"{unknown}_min does not apply to {self.of}; remove it")
        if "score" in self.order and not (self.score and any(self.score.model_dump().values())):
            raise ValueError("order names score, but no figure has a weight; add [rule_sets.rankings.score]")
        if self.score is not None and "score" not in self.order:
            raise ValueError(
                'score has weights, but order does not name it; add "score" to order, or remove the weights'
            )
        return self


def check_ids(thresholds: Iterable[str], rankings: Iterable[Ranking]) -> None:
    """Require that each id of a timeline belongs to one kind of honour: awards refer to all kinds by id.

    Raises:
        ValueError: an id is used for several kinds.
    """
    kinds = {(name, "a threshold") for name in thresholds}
    kinds |= {(ranking.id, f"a ranking of {ranking.of}") for ranking in rankings}
    for (name, kind), (other_name, other) in pairwise(sorted(kinds)):
        if name == other_name:
            raise ValueError(f"{name} is the id of {kind} and of {other}; give each its own")
