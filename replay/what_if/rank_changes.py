"""Rank changes: who enters, leaves or moves within the honoured places of a year, between two replays.

Ranks follow from rows (`projections.kernels.rankings`); here they are taken of both sides of a comparison and held
against one another. Whoever is behind the last place on both sides is left out: there nobody is honoured.
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
    """A volunteer or project whose rank in a year changes; None where it is not ranked. `places`: how many are
    honoured, before and after.
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
        """What it means for the honour."""
        inside = [rank is not None and rank <= places for rank, places in zip(self[5:7], self.places, strict=True)]
        if inside[AFTER] and not inside[BEFORE]:
            return "enters"
        return "moves" if inside[AFTER] else "leaves"


def rank_changes(
    found: Differences, timelines: Sequence[RuleTimeline], volunteers: Sequence[str], projects: Sequence[str]
) -> list[RankChange]:
    """Return all rank changes, by ranking, year and rank (that after, or before where there is none)."""
    names = {"volunteers": np.array([*volunteers], object), "projects": np.array([*projects], object)}
    years = {int(year) for year in np.unique(found.years[:, 1])}
    years |= {
        found.first_year + int(year) for side in found.projects for year in np.flatnonzero(side.any(axis=(0, 2, 3)))
    }
    changes: list[RankChange] = []
    for year in sorted(years):
        asked = [rankings_of(timeline, year) for timeline in timelines]
        for ranking in dict.fromkeys([*asked[BEFORE], *asked[AFTER]]):
            pair = asked[BEFORE].get(ranking), asked[AFTER].get(ranking)
            ranks = [_ranks(found, side, one, year, names) for side, one in enumerate(pair)]
            changes += _changes(pair, ranks, year)
    return sorted(changes, key=lambda one: (one.ranking, one.year, one.after or one.before or 0, one.name))


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
    at = year - found.first_year
    sums = found.projects[side]
    if not 0 <= at < sums.shape[1]:
        return np.empty(0, np.int64), np.empty((0, 2 + sums.shape[3]), np.int64)
    project, month = np.nonzero(sums[:, at].any(axis=2))
    place = np.stack([np.full(len(month), year), month], axis=1)
    return project, np.concatenate([place, sums[project, at, month]], axis=1)


def _changes(
    pair: tuple[Ranking | None, Ranking | None], ranks: Sequence[Ranks | None], year: int
) -> Iterator[RankChange]:
    places = (pair[0].places if pair[0] else 0, pair[1].places if pair[1] else 0)
    known = pair[AFTER] or pair[BEFORE]
    if known is None:
        return
    before, after = ({name: rank for rank, name in enumerate(one.names, 1)} if one else {} for one in ranks)
    honored = [name for name, rank in before.items() if rank <= places[BEFORE]]
    honored += [name for name, rank in after.items() if rank <= places[AFTER]]
    for name in dict.fromkeys(honored):
        ranked = before.get(name), after.get(name)
        if ranked[BEFORE] != ranked[AFTER]:
            yield RankChange(known.id, known.title, known.of, year, name, *ranked, places)
