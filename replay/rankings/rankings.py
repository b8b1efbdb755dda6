"""Rankings for readers: the first of a year, and where one volunteer or project stands, under any three axes.

Ranks are not stored. The follower replaces rows of touched volunteers and projects, and each generation has an index
for every order its rules rank by, so the first hundred are the index's first hundred, and a rank is a count of what
stands before. Under other axes the same follows from a replay in memory. Nothing here writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Literal, NamedTuple

import numpy as np
from psycopg import Connection, sql

from ledger.names import Position, stream
from ledger.store.log_queries import LogQueries
from projections.kernels.rankings import all_rankings, rankings_of
from projections.rules.rankings import Ranking
from projections.rules.timeline import RuleTimeline
from replay.axes.answers import Basis
from replay.generations.named_rows import Rows
from replay.published import Rules
from replay.queries.queries import NOW, Axes, Queries, UnknownNameError
from replay.rankings.answers import Place, Places, RankingOfYear, RankingTerms
from replay.rankings.sources import YearRanking, latest_replayed, latest_stored, replayed, stored

Of = Literal["volunteers", "projects"]
Year = int | None
"""By default the year of `valid_at`, else the latest in which anybody is ranked."""


class RankingNotInForceError(UnknownNameError):
    """The rules have this ranking, but not for that year."""

    def __init__(self, name: str, year: int) -> None:
        super().__init__("ranking", name)
        self.args = (f"the rules in force at the end of {year} have no ranking {name}; ask for another year",)


def reads_rows(axes: Axes, year: Year) -> bool:
    """Tell whether rows answer; otherwise it takes a replay, of seconds for a whole district.

    `valid_at` cuts a year, unless it lies on or behind the year's last day.
    """
    if axes.valid_at is None:
        return axes.current
    return axes.current and axes.valid_at >= date(axes.valid_at.year if year is None else year, 12, 31)


def ranking(
    queries: Queries, name: str, year: Year = None, axes: Axes = NOW, *, place: int = 1, limit: int | None = None
) -> RankingOfYear:
    """Return a page of a ranking.

    Args:
        place: the rank to begin with.
        limit: how many, by default as many as there are places.

    Raises:
        UnknownNameError: the rules have no such ranking, or not for that year. store.NoGenerationError
    """
    with opened(queries, axes, year) as reading:
        known = all_rankings(reading.timeline).get(name)
        if known is None:
            raise UnknownNameError("ranking", name)
        year = reading.year([known])
        asked = rankings_of(reading.timeline, year).get(name)
        if asked is None:
            raise RankingNotInForceError(name, year)
        of_year = reading.of_year(asked, year)
        ranked, entries = of_year.count(), of_year.page(place, asked.places if limit is None else limit)
        following = place + len(entries)
        return RankingOfYear(
            **dict(reading.basis),
            **_terms(asked, year),
            ranked=ranked,
            entries=entries,
            next_place=following if entries and following <= ranked else None,
        )


def places(
    queries: Queries, log: LogQueries, of: Of, name: str, year: Year = None, axes: Axes = NOW, *, around: int = 1
) -> Places:
    """Return where a volunteer or project stands in every ranking of a year.

    Args:
        around: how many to name on either side.

    Raises:
        UnknownNameError: the ledger did not know the volunteer or project then. store.NoGenerationError
    """
    with opened(queries, axes, year) as reading:
        kind = of.removesuffix("s")
        if not log.read_streams([stream(kind, name)], until=Position(reading.basis.known_at)):
            raise UnknownNameError(kind, name)
        year = reading.year([one for one in all_rankings(reading.timeline).values() if one.of == of])
        asked = [one for one in rankings_of(reading.timeline, year).values() if one.of == of]
        ranked = queries.going_on(name, Position(reading.basis.known_at)) if of == "volunteers" else name
        found = [_place(reading.of_year(one, year), one, year, ranked, around) for one in asked]
        going_on = None if ranked == name else ranked
        return Places(**dict(reading.basis), name=name, goes_on_as=going_on, year=year, ranks=found)


def _place(of_year: YearRanking, ranking: Ranking, year: int, name: str, around: int) -> Place:
    figures = of_year.figures(name)
    known = figures or dict.fromkeys(ranking.keys, 0)
    lacking = {key: least - known[key] for key, least in ranking.minimums.items() if known[key] < least}
    near = of_year.near(name, figures, around) if figures is not None and not lacking else None
    last = of_year.page(ranking.places, 1)
    return Place(
        **_terms(ranking, year),
        name=name,
        rank=near.rank if near else None,
        ranked=of_year.count(),
        honored=near is not None and near.rank <= ranking.places,
        figures=known,
        lacking=lacking,
        before=near.before if near else [],
        after=near.after if near else [],
        last_place=last[0] if last else None,
    )


def _terms(ranking: Ranking, year: int) -> dict[str, Any]:
    return dict(
        RankingTerms(
            ranking=ranking.id,
            title=ranking.title,
            of=ranking.of,
            year=year,
            places=ranking.places,
            order=list(ranking.order),
            minimums=ranking.minimums,
            score=ranking.score,
        )
    )


class Tables(NamedTuple):
    """A generation's rows, in one snapshot."""

    connection: Connection[Any]
    schema: str


@dataclass(frozen=True)
class Opened:
    """What one answer rests on, and where its rows come from: a generation's tables, or a replay."""

    basis: Basis
    rules: Rules
    asked: Year
    source: Tables | Rows

    @property
    def timeline(self) -> RuleTimeline:
        """The rules it rests on, as models."""
        return self.rules.timeline()

    def year(self, rankings: list[Ranking]) -> int:
        """Return the year asked for, or that which is meant where none is."""
        if self.asked is not None:
            return self.asked
        if self.basis.valid_at is not None:
            return self.basis.valid_at.year
        found = [year for one in rankings if (year := self._latest_year(one)) is not None]
        return max(found, default=self.timeline.rule_sets[-1].holds_from.year)

    def _latest_year(self, ranking: Ranking) -> int | None:
        if isinstance(self.source, Tables):
            return latest_stored(*self.source, ranking)
        return latest_replayed(self.source, ranking)

    def of_year(self, ranking: Ranking, year: int) -> YearRanking:
        """Return one ranking of one year."""
        if isinstance(self.source, Tables):
            return stored(*self.source, ranking, year)
        return replayed(self.source, ranking, year)

    def project_rows(self, project: str) -> list[tuple[int, ...]]:
        """Return a project's rows: year, month (0 for the whole year), then `PROJECT_COLUMNS`."""
        if isinstance(self.source, Tables):
            statement = sql.SQL("SELECT * FROM {} WHERE project = %s").format(
                sql.Identifier(self.source.schema, "project_activity")
            )
            return [row[1:] for row in self.source.connection.execute(statement, (project,))]
        mine = np.flatnonzero(np.asarray(self.source.project, object) == project)
        return [tuple(row) for row in self.source.projects[mine].tolist()]


@contextmanager
def opened(queries: Queries, axes: Axes, year: Year) -> Iterator[Opened]:
    """Open one snapshot for an answer about a year, or about all of them; replay where rows cannot answer."""
    with queries.snapshot() as (connection, generation):
        rules = Rules(generation.rules_version, generation.rules_digest, generation.rules_text)
        if reads_rows(axes, year):
            basis = queries.basis(axes, rules, generation)
            yield Opened(basis, rules, year, Tables(connection, generation.schema))
            return
    # A replay takes seconds, for which no snapshot is held open. Where only `valid_at` cuts, the rules stay those of
    # the generation.
    rules, rows = queries.replayed(generation, replace(axes, rules=rules) if axes.current else axes)
    yield Opened(queries.basis(axes, rules, generation), rules, year, rows)
