"""Rank changes: who enters or leaves the honoured places of a year, or moves within them, between two replays.

Ranks are computed from the rows of both sides of a comparison (`projections.kernels.rankings`). Those who are behind
the last place on both sides are left out, because they are not honoured.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np

from projections.compare.differences import Differences
from projections.compare.sides import AFTER, BEFORE
from projections.kernels.rankings import Ranks, rank_projects, rank_volunteers, rankings_of
from projections.rules.rankings import Ranking
from projections.rules.timeline import RuleTimeline
from projections.schema import HOURS_COLUMNS, Array, Longs


class RankChange(NamedTuple):
    """A volunteer or project whose rank in a year changes; a rank is None if it is not ranked.

    `places`: how many places are honoured, before and after.
    """

    ranking: str
    title: str
    of: Literal["volunteers", "projects"]
    year: int
    name: str
    before: int | None
    after: int | None
    places: tuple[int, int]

    @property
    def kind(self) -> Literal["enters", "leaves", "moves"]:
        """The effect on the honour."""
        inside = [rank is not None and rank <= places for rank, places in zip(self[5:7], self.places, strict=True)]
        if inside[AFTER] and not inside[BEFORE]:
            return "enters"
        return "moves" if inside[AFTER] else "leaves"


def rank_changes(
    found: Differences, timelines: Sequence[RuleTimeline], volunteers: Sequence[str], projects: Sequence[str]
) -> list[RankChange]:
    """Return all rank changes, by ranking, year and rank (the rank after, else the one before)."""
    names = {"volunteers": np.array([*volunteers], object), "projects": np.array([*projects], object)}
    years = {int(year) for year in np.unique(found.years[:, 1])}
    years |= {
        found.first_year + int(year) for side in found.projects for year in np.flatnonzero(side.any(axis=(0, 2, 3)))
    }
    changes: list[RankChange] = []
    for year in sorted(years):
        in_force = [rankings_of(timeline, year) for timeline in timelines]
        for ranking_id in dict.fromkeys([*in_force[BEFORE], *in_force[AFTER]]):
            pair = in_force[BEFORE].get(ranking_id), in_force[AFTER].get(ranking_id)
            ranks = [_ranks(found, side, ranking, year, names) for side, ranking in enumerate(pair)]
            changes += _changes(pair, ranks, year)
    return sorted(
        changes, key=lambda change: (change.ranking, change.year, change.after or change.before or 0, change.name)
    )


def _ranks(found: Differences, side: int, ranking: Ranking | None, year: int, names: dict[str, Array]) -> Ranks | None:
    if ranking is None:
        return None
    if ranking.of == "volunteers":
        numbers, hours = _hours(found, side, year)
        return rank_volunteers(names["volunteers"][numbers], hours, ranking, year)
    numbers, months = _months(found, side, year)
    return rank_projects(names["projects"][numbers], months, ranking, year)


def _hours(found: Differences, side: int, year: int) -> tuple[Longs, Longs]:
    """Return the volunteers of a year, and their rows: year, then `HOURS_COLUMNS`."""
    low = 2 + side * len(HOURS_COLUMNS)
    rows = found.years[found.years[:, 1] == year]
    hours = rows[:, low : low + len(HOURS_COLUMNS)]
    known = hours.any(axis=1)
    return rows[known, 0], np.concatenate([rows[known, 1:2], hours[known]], axis=1)


def _months(found: Differences, side: int, year: int) -> tuple[Longs, Longs]:
    """Return the projects of a year, and their rows: year, month, then `PROJECT_COLUMNS`."""
    offset = year - found.first_year
    sums = found.projects[side]
    if not 0 <= offset < sums.shape[1]:
        return np.empty(0, np.int64), np.empty((0, 2 + sums.shape[3]), np.int64)
    project, month = np.nonzero(sums[:, offset].any(axis=2))
    period = np.stack([np.full(len(month), year), month], axis=1)
    return project, np.concatenate([period, sums[project, offset, month]], axis=1)


def _changes(
    pair: tuple[Ranking | None, Ranking | None], ranks: Sequence[Ranks | None], year: int
) -> Iterator[RankChange]:
    places = (pair[0].places if pair[0] else 0, pair[1].places if pair[1] else 0)
    known = pair[AFTER] or pair[BEFORE]
    if known is None:
        return
    before, after = ({name: rank for rank, name in enumerate(side.names, 1)} if side else {} for side in ranks)
    honored = [name for name, rank in before.items() if rank <= places[BEFORE]]
    honored += [name for name, rank in after.items() if rank <= places[AFTER]]
    for name in dict.fromkeys(honored):
        ranked = before.get(name), after.get(name)
        if ranked[BEFORE] != ranked[AFTER]:
            yield RankChange(known.id, known.title, known.of, year, name, *ranked, places)
