"""Ranks: from the rows of a year to who stands where.

Pure functions over columns; no kernel, for a year has few rows. A ranking's order is total: keys from the greatest to
the smallest, and names, of which no two are alike, from the smallest on. So the same rows give the same ranks
everywhere; SQL that reads ranks from an index (`replay.rankings.rankings`) must say the same order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from projections.rules.rankings import PROJECT_KEYS, VOLUNTEER_KEYS, Ranking
from projections.rules.timeline import RuleTimeline
from projections.schema import HOURS_COLUMNS, PROJECT_COLUMNS, Ints, Longs

Names = Sequence[str] | npt.NDArray[np.object_]


class Ranks(NamedTuple):
    """A year's ranking: everybody who reaches the minimums, from rank 1 on, also behind the last place.

    names: object[n]: volunteer numbers or project ids; rank r is at r - 1. figures: int64[n, k] beside them: the
    figures of that year, by the columns `keys` (`VOLUNTEER_KEYS`, or `PROJECT_KEYS` with the score among them).
    """

    names: npt.NDArray[np.object_]
    figures: Longs
    keys: tuple[str, ...]


def rankings_of(timeline: RuleTimeline, year: int) -> dict[str, Ranking]:
    """Return the rankings of a year by id: those of the rule set in force on its last day."""
    last_day, in_force = date(year, 12, 31), timeline.rule_sets[0]
    for rule_set in timeline.rule_sets[1:]:
        if rule_set.holds_from <= last_day:
            in_force = rule_set
    return {ranking.id: ranking for ranking in in_force.rankings}


def all_rankings(timeline: RuleTimeline) -> dict[str, Ranking]:
    """Return the rankings of all rule sets by id, in order of first appearance; of each the latest."""
    return {ranking.id: ranking for rule_set in timeline.rule_sets for ranking in rule_set.rankings}


def rank_volunteers(names: Names, hours: Longs, ranking: Ranking, year: int) -> Ranks:
    """Rank volunteers.

    Args:
        names: of volunteers, one a row.
        hours: int64[n, 7]: year, then `HOURS_COLUMNS`.
    """
    rows = np.flatnonzero(hours[:, 0] == year)
    columns = [1 + HOURS_COLUMNS.index(key.removesuffix("_minutes")) for key in VOLUNTEER_KEYS]
    return _ranked(_taken(names, rows), hours[rows][:, columns], VOLUNTEER_KEYS, ranking)


def rank_projects(names: Names, months: Longs, ranking: Ranking, year: int) -> Ranks:
    """Rank projects.

    Args:
        names: of projects, one a row.
        months: int64[n, 8]: year, month (0 for the whole year), then `PROJECT_COLUMNS`.
    """
    rows = np.flatnonzero(months[:, 0] == year)
    taken, of_year = _taken(names, rows), months[rows]
    shifts = 2 + PROJECT_COLUMNS.index("shifts")
    whole = of_year[:, 1] == 0
    active = taken[~whole & (of_year[:, shifts] > 0)]
    months_active = dict(zip(*np.unique(active.astype(str), return_counts=True), strict=True))
    figures = [
        np.array([months_active.get(name, 0) for name in taken[whole]], np.int64)
        if key == "months_active"
        else of_year[whole, 2 + PROJECT_COLUMNS.index(key.removesuffix("_minutes"))]
        for key in PROJECT_KEYS[1:]
    ]
    return rank_project_years(taken[whole], np.stack(figures, axis=1), ranking)


def rank_project_years(names: Names, figures: Longs, ranking: Ranking) -> Ranks:
    """Rank projects by what they did in a year: one a row, int64[n, k] by `PROJECT_KEYS` without the score."""
    weights = ranking.score.model_dump() if ranking.score else {}
    known = dict(zip(PROJECT_KEYS[1:], figures.T, strict=True))
    known["credited_hours"] = known["credited_minutes"] // 60
    score = np.zeros(len(figures), np.int64)
    for key, weight in weights.items():
        score += weight * known[key]
    return _ranked(_taken(names, np.arange(len(figures))), np.column_stack([score, figures]), PROJECT_KEYS, ranking)


def reaching(everybody: Ranks, ranking: Ranking) -> Ranks:
    """Return those who reach the minimums, in the order in which they stand."""
    reached = np.ones(len(everybody.names), bool)
    for key, least in ranking.minimums.items():
        reached &= everybody.figures[:, everybody.keys.index(key)] >= least
    return Ranks(everybody.names[reached], everybody.figures[reached], everybody.keys)


def _taken(names: Names, rows: Longs | Ints) -> npt.NDArray[np.object_]:
    return np.array([*names], object)[rows] if not isinstance(names, np.ndarray) else names[rows]


def _ranked(names: npt.NDArray[np.object_], figures: Longs, keys: tuple[str, ...], ranking: Ranking) -> Ranks:
    names, figures, _ = reaching(Ranks(names, figures, keys), ranking)
    # Names are ASCII, so their bytes are in the order of their letters.
    by_weight: Iterable[npt.NDArray[np.generic]] = [-figures[:, keys.index(key)] for key in reversed(ranking.order)]
    order = np.lexsort([names.astype("S"), *by_weight])
    return Ranks(names[order], figures[order], keys)
