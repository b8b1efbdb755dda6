"""Ranks: the order of volunteers or projects in a year.

Pure functions over columns, not kernels, because a year has few rows. The order of a ranking is total: by the keys, the
greatest first, then by the names, which are unique, the smallest first. So the same rows always give the same ranks.
The SQL that reads ranks from an index (`replay/generations/ranking_indexes.py`) must use the same order.
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
    """A year's ranking: all who reach the minimums, from rank 1 on, including those after the last place.

    names: object[n]: volunteer numbers or project ids; rank r is at index r - 1. figures: int64[n, k]: their figures of
    that year, with the columns `keys` (`VOLUNTEER_KEYS`, or `PROJECT_KEYS` including the score).
    """

    names: npt.NDArray[np.object_]
    figures: Longs
    keys: tuple[str, ...]


def rankings_of(timeline: RuleTimeline, year: int) -> dict[str, Ranking]:
    """Return the rankings of a year by id, from the rule set in force on its last day."""
    last_day, in_force = date(year, 12, 31), timeline.rule_sets[0]
    for rule_set in timeline.rule_sets[1:]:
        if rule_set.holds_from <= last_day:
            in_force = rule_set
    return {ranking.id: ranking for ranking in in_force.rankings}


def all_rankings(timeline: RuleTimeline) -> dict[str, Ranking]:
    """Return the latest form of each ranking by id, in order of first appearance."""
    return {ranking.id: ranking for rule_set in timeline.rule_sets for ranking in rule_set.rankings}


def rank_volunteers(names: Names, hours: Longs, ranking: Ranking, year: int) -> Ranks:
    """Rank volunteers.

    Args:
        names: the volunteer of each row.
        hours: int64[n, 7]: year, then `HOURS_COLUMNS`.
    """
    rows = np.flatnonzero(hours[:, 0] == year)
    columns = [1 + HOURS_COLUMNS.index(key.removesuffix("_minutes")) for key in VOLUNTEER_KEYS]
    return _ranked(_select(names, rows), hours[rows][:, columns], VOLUNTEER_KEYS, ranking)


def rank_projects(names: Names, months: Longs, ranking: Ranking, year: int) -> Ranks:
    """Rank projects.

    Args:
        names: the project of each row.
        months: int64[n, 8]: year, month (0 for the whole year), then `PROJECT_COLUMNS`.
    """
    rows = np.flatnonzero(months[:, 0] == year)
    names_of_year, of_year = _select(names, rows), months[rows]
    shifts = 2 + PROJECT_COLUMNS.index("shifts")
    is_total = of_year[:, 1] == 0
    active = names_of_year[~is_total & (of_year[:, shifts] > 0)]
    months_active = dict(zip(*np.unique(active.astype(str), return_counts=True), strict=True))
    figures = [
        np.array([months_active.get(name, 0) for name in names_of_year[is_total]], np.int64)
        if key == "months_active"
        else of_year[is_total, 2 + PROJECT_COLUMNS.index(key.removesuffix("_minutes"))]
        for key in PROJECT_KEYS[1:]
    ]
    return rank_project_years(names_of_year[is_total], np.stack(figures, axis=1), ranking)


def rank_project_years(names: Names, figures: Longs, ranking: Ranking) -> Ranks:
    """Rank projects by their figures of a year: one row for each, int64[n, k] by `PROJECT_KEYS` without the score."""
    weights = ranking.score.model_dump() if ranking.score else {}
    columns = dict(zip(PROJECT_KEYS[1:], figures.T, strict=True))
    columns["credited_hours"] = columns["credited_minutes"] // 60
    score = np.zeros(len(figures), np.int64)
    for key, weight in weights.items():
        score += weight * columns[key]
    return _ranked(_select(names, np.arange(len(figures))), np.column_stack([score, figures]), PROJECT_KEYS, ranking)


def meeting_minimums(ranks: Ranks, ranking: Ranking) -> Ranks:
    """Return those who reach the minimums, in the same order."""
    met = np.ones(len(ranks.names), bool)
    for key, minimum in ranking.minimums.items():
        met &= ranks.figures[:, ranks.keys.index(key)] >= minimum
    return Ranks(ranks.names[met], ranks.figures[met], ranks.keys)


def _select(names: Names, rows: Longs | Ints) -> npt.NDArray[np.object_]:
    return np.array([*names], object)[rows] if not isinstance(names, np.ndarray) else names[rows]


def _ranked(names: npt.NDArray[np.object_], figures: Longs, keys: tuple[str, ...], ranking: Ranking) -> Ranks:
    names, figures, _ = meeting_minimums(Ranks(names, figures, keys), ranking)
    # Names are ASCII, so sorting their bytes sorts the names.
    by_keys: Iterable[npt.NDArray[np.generic]] = [-figures[:, keys.index(key)] for key in reversed(ranking.order)]
    order = np.lexsort([names.astype("S"), *by_keys])
    return Ranks(names[order], figures[order], keys)
