"""Rankings for readers: the first ranks of a year, and the place of a volunteer or project, under any three axes.

Ranks are not stored. The follower replaces the rows of affected volunteers and projects, and each generation has an
index for every order that its rules rank by. So the first hundred ranks are the first hundred entries of the index, and
a rank is one plus the number of entries before it. Under other axes ranks are computed by a replay in memory. Nothing
here writes.
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
"""A year; None is the year of `valid_at`, else the latest year with anybody ranked."""


class RankingNotInForceError(UnknownNameError):
    """The rules have this ranking, but not for the requested year."""

    def __init__(self, name: str, year: int) -> None:
        super().__init__("ranking", name)
        self.args = (f"the rules in force at the end of {year} have no ranking {name}; choose another year",)


def reads_rows(axes: Axes, year: Year) -> bool:
    """Return whether stored rows can answer; otherwise a replay is needed, which takes seconds for a whole district.

    `valid_at` cuts a year unless it is the year's last day or later.
    """
    if axes.valid_at is None:
        return axes.current
    return axes.current and axes.valid_at >= date(axes.valid_at.year if year is None else year, 12, 31)


def ranking(
    queries: Queries, name: str, year: Year = None, axes: Axes = NOW, *, place: int = 1, limit: int | None = None
) -> RankingOfYear:
    """Return a page of a ranking.

    Args:
        place: the first rank of the page.
        limit: entries at most, by default the number of places.

    Raises:
        UnknownNameError: the rules have no such ranking, or not for that year. store.NoGenerationError
    """
    with open_reader(queries, axes, year) as reader:
        known = all_rankings(reader.timeline).get(name)
        if known is None:
            raise UnknownNameError("ranking", name)
        year = reader.year([known])
        in_force = rankings_of(reader.timeline, year).get(name)
        if in_force is None:
            raise RankingNotInForceError(name, year)
        of_year = reader.of_year(in_force, year)
        ranked, entries = of_year.count(), of_year.page(place, in_force.places if limit is None else limit)
        following = place + len(entries)
        return RankingOfYear(
            **dict(reader.basis),
            **_terms(in_force, year),
            ranked=ranked,
            entries=entries,
            next_place=following if entries and following <= ranked else None,
        )


def places(
    queries: Queries, log: LogQueries, of: Of, name: str, year: Year = None, axes: Axes = NOW, *, around: int = 1
) -> Places:
    """Return the place of a volunteer or project in every ranking of a year.

    Args:
        around: how many neighbours to include on either side.

    Raises:
        UnknownNameError: the ledger did not know the volunteer or project then. store.NoGenerationError
    """
    with open_reader(queries, axes, year) as reader:
        kind, known_at = of.removesuffix("s"), Position(reader.basis.known_at)
        if not log.read_streams([stream(kind, name)], until=known_at):
            raise UnknownNameError(kind, name)
        year = reader.year([each for each in all_rankings(reader.timeline).values() if each.of == of])
        in_force = [each for each in rankings_of(reader.timeline, year).values() if each.of == of]
        ranked = queries.person_number(name, known_at) if of == "volunteers" else name
        found = [_place(reader.of_year(each, year), each, year, ranked, around) for each in in_force]
        person = None if ranked == name else ranked
        return Places(**dict(reader.basis), name=name, goes_on_as=person, year=year, ranks=found)


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
class RankingReader:
    """Reads rankings for one answer, from a generation's tables or from a replay. `basis`: what the answer rests on."""

    basis: Basis
    rules: Rules
    requested_year: Year
    source: Tables | Rows

    @property
    def timeline(self) -> RuleTimeline:
        """The rules used, as models."""
        return self.rules.timeline()

    def year(self, rankings: list[Ranking]) -> int:
        """Return the requested year, or the default for these rankings (see `Year`)."""
        if self.requested_year is not None:
            return self.requested_year
        if self.basis.valid_at is not None:
            return self.basis.valid_at.year
        found = [year for ranking in rankings if (year := self._latest_year(ranking)) is not None]
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
        rows = np.flatnonzero(np.asarray(self.source.project, object) == project)
        return [tuple(row) for row in self.source.projects[rows].tolist()]


@contextmanager
def open_reader(queries: Queries, axes: Axes, year: Year) -> Iterator[RankingReader]:
    """Open one snapshot for an answer about a year, or about all of them; replay if the rows cannot answer."""
    with queries.snapshot() as (connection, generation):
        rules = Rules(generation.rules_version, generation.rules_digest, generation.rules_text)
        if reads_rows(axes, year):
            basis = queries.basis(axes, rules, generation)
            yield RankingReader(basis, rules, year, Tables(connection, generation.schema))
            return
    # A replay takes seconds; no snapshot is held open for it. If only `valid_at` cuts, the rules are still those of the
    # generation.
    rules, rows = queries.replayed(generation, replace(axes, rules=rules) if axes.current else axes)
    yield RankingReader(queries.basis(axes, rules, generation), rules, year, rows)
