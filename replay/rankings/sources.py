"""Sources of ranks: a generation's rows through their index, or the rows of a replay in memory.

Both have the same interface for one ranking of one year. Projects are few, so they are ranked in memory in both cases;
volunteers of a generation are counted by the index. Nothing here writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from psycopg import Connection

from projections.kernels.rankings import Ranks, meeting_minimums, rank_project_years, rank_projects, rank_volunteers
from projections.rules.rankings import VOLUNTEER_KEYS, Ranking
from projections.schema import Longs
from replay.generations import ranking_indexes
from replay.generations.named_rows import Rows
from replay.rankings.answers import Ranked


class Near(NamedTuple):
    """A rank, and its neighbours before and after it, the nearest first."""

    rank: int
    before: list[Ranked]
    after: list[Ranked]


class YearRanking(Protocol):
    """One ranking of one year."""

    def count(self) -> int:
        """Return how many reach the minimums."""

    def page(self, place: int, limit: int) -> list[Ranked]:
        """Return at most `limit` of the ranked, from rank `place` on."""

    def figures(self, name: str) -> dict[str, int] | None:
        """Return the figures of a name in the year, ranked or not; None if it has none."""

    def near(self, name: str, figures: dict[str, int], around: int) -> Near:
        """Return the rank of a ranked name, and `around` of its neighbours on each side."""


def ranks(rows: Rows, ranking: Ranking, year: int) -> Ranks:
    """Rank everybody who reaches the minimums of a ranking in a year, from the rows of a replay.

    Returns:
        names, object[n], in the order of their ranks (rank r is at r - 1); their figures of the year, int64[n, k];
        and the figures' keys. `ranking.places` says how many of them are honoured. The ranking of a year is
        `projections.kernels.rankings.rankings_of(timeline, year)[id]`.
    """
    if ranking.of == "volunteers":
        return rank_volunteers(rows.hours_volunteer, rows.hours, ranking, year)
    return rank_projects(rows.project, rows.projects, ranking, year)


class Listed:
    """A ranking in memory. `everybody`: all with figures in the year, in the order of the ranking."""

    def __init__(self, everybody: Ranks, ranking: Ranking) -> None:
        self._everybody = everybody
        self._ranked = meeting_minimums(everybody, ranking)

    def count(self) -> int:
        return len(self._ranked.names)

    def page(self, place: int, limit: int) -> list[Ranked]:
        return self._slice(place - 1, place - 1 + limit)

    def figures(self, name: str) -> dict[str, int] | None:
        found = np.flatnonzero(self._everybody.names == name)
        return _figures(self._everybody.keys, self._everybody.figures[found[0]]) if len(found) else None

    def near(self, name: str, figures: dict[str, int], around: int) -> Near:
        del figures  # the name is enough to find the rank
        at = int(np.flatnonzero(self._ranked.names == name)[0])
        return Near(at + 1, self._slice(max(at - around, 0), at)[::-1], self._slice(at + 1, at + 1 + around))

    def _slice(self, low: int, high: int) -> list[Ranked]:
        names, figures, keys = self._ranked
        return _entries(keys, low + 1, zip(names[low:high], figures[low:high], strict=True))


class Indexed:
    """A ranking of volunteers, read through a generation's index."""

    def __init__(self, connection: Connection[Any], schema: str, ranking: Ranking, year: int) -> None:
        self._connection = connection
        self._schema, self._ranking, self._year = schema, ranking, year

    def count(self) -> int:
        return self._scalar(ranking_indexes.count_volunteers(self._schema, self._ranking, self._year))

    def page(self, place: int, limit: int) -> list[Ranked]:
        statement = ranking_indexes.list_volunteers(self._schema, self._ranking, self._year, place - 1, limit)
        return self._entries(statement, place)

    def figures(self, name: str) -> dict[str, int] | None:
        row = self._connection.execute(ranking_indexes.one_volunteer(self._schema, name, self._year)).fetchone()
        return _figures(VOLUNTEER_KEYS, row) if row else None

    def near(self, name: str, figures: dict[str, int], around: int) -> Near:
        place = (self._schema, self._ranking, self._year, figures, name)
        rank = 1 + self._scalar(ranking_indexes.count_before(*place))
        before = self._entries(ranking_indexes.neighbours(*place, around, before=True), rank - 1, step=-1)
        return Near(rank, before, self._entries(ranking_indexes.neighbours(*place, around, before=False), rank + 1))

    def _scalar(self, statement: ranking_indexes.Statement) -> int:
        row = self._connection.execute(statement).fetchone()
        return int(row[0]) if row else 0

    def _entries(self, statement: ranking_indexes.Statement, first: int, step: int = 1) -> list[Ranked]:
        found = self._connection.execute(statement).fetchall()
        return _entries(VOLUNTEER_KEYS, first, ((row[0], row[1:]) for row in found), step)


def stored(connection: Connection[Any], schema: str, ranking: Ranking, year: int) -> YearRanking:
    """Return a ranking from a generation's rows."""
    if ranking.of == "volunteers":
        return Indexed(connection, schema, ranking, year)
    found = connection.execute(ranking_indexes.project_years(schema, year)).fetchall()
    figures: Longs = np.array([row[1:] for row in found], np.int64).reshape(-1, 7)  # also if there are none
    everybody = rank_project_years([row[0] for row in found], figures, ranking.without_minimums())
    return Listed(everybody, ranking)


def replayed(rows: Rows, ranking: Ranking, year: int) -> YearRanking:
    """Return a ranking from the rows of a replay."""
    return Listed(ranks(rows, ranking.without_minimums(), year), ranking)


def latest_stored(connection: Connection[Any], schema: str, ranking: Ranking) -> int | None:
    """Return the latest year with anybody ranked, from a generation's rows."""
    if ranking.of == "volunteers":
        row = connection.execute(ranking_indexes.latest_year(schema, ranking)).fetchone()
        return row[0] if row else None
    years = [row[0] for row in connection.execute(ranking_indexes.years_of_projects(schema))]
    return next((year for year in years if stored(connection, schema, ranking, year).count()), None)


def latest_replayed(rows: Rows, ranking: Ranking) -> int | None:
    """Return the latest year with anybody ranked, from the rows of a replay."""
    columns = rows.hours if ranking.of == "volunteers" else rows.projects
    years = sorted({*np.unique(columns[:, 0]).tolist()} - {0}, reverse=True)
    return next((year for year in years if len(ranks(rows, ranking, year).names)), None)


def _figures(keys: Sequence[str], row: Iterable[Any]) -> dict[str, int]:
    return {key: int(value) for key, value in zip(keys, row, strict=True)}


def _entries(keys: Sequence[str], first: int, rows: Iterable[tuple[str, Iterable[Any]]], step: int = 1) -> list[Ranked]:
    return [
        Ranked(rank=first + step * number, name=name, figures=_figures(keys, row))
        for number, (name, row) in enumerate(rows)
    ]
