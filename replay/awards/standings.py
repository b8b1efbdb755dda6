"""Standings of honours under some axes: who has reached a threshold, when and with how many minutes; and ranks.

By default the rows of the current generation answer, under other axes a replay in memory. Reports about awards and the
evidence of new awards both use this module. Nothing here writes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal, NamedTuple

import numpy as np
from psycopg import sql

from ledger.names import Position
from projections.kernels.rankings import all_rankings, rankings_of
from projections.local_time import day_number, day_of_number
from projections.rules.rankings import Ranking
from projections.rules.timeline import RuleTimeline
from projections.schema import HOURS_COLUMNS
from replay.awards.paging import Page
from replay.axes.as_known import titles_of
from replay.cohorts.shift_columns import text_array
from replay.generations.named_rows import Rows
from replay.progress import checkpoint
from replay.queries.queries import Axes, Queries, UnknownNameError
from replay.rankings.answers import Ranked
from replay.rankings.rankings import RankingNotInForceError, RankingReader, Tables, open_reader

_REACHED = """
SELECT standing.volunteer, standing.reached_on, coalesce(hours.credited_minutes, 0)
FROM {standings} AS standing
LEFT JOIN {hours} AS hours ON hours.volunteer = standing.volunteer AND hours.year = 0
WHERE standing.honor = %s AND standing.reached_on <= %s ORDER BY standing.reached_on, standing.volunteer COLLATE "C"
"""
_DAYS = """
SELECT pair.number, standing.reached_on
FROM unnest(%s::text[], %s::text[]) WITH ORDINALITY AS pair (volunteer, honor, number)
JOIN {standings} AS standing ON standing.volunteer = pair.volunteer AND standing.honor = pair.honor
"""
_COUNT_WITHOUT = """
SELECT count(*) FROM {standings} AS standing
WHERE standing.honor = %(honor)s AND standing.reached_on <= %(upto)s
  AND NOT EXISTS (SELECT FROM unnest(%(held)s::text[]) AS held (name) WHERE held.name = standing.volunteer)
"""
_PAGE_WITHOUT = """
SELECT standing.volunteer, standing.reached_on, coalesce(hours.credited_minutes, 0)
FROM {standings} AS standing
LEFT JOIN {hours} AS hours ON hours.volunteer = standing.volunteer AND hours.year = 0
WHERE standing.honor = %(honor)s AND standing.reached_on BETWEEN %(since)s AND %(upto)s
  AND (standing.reached_on > %(since)s OR standing.volunteer COLLATE "C" > %(after)s)
  AND NOT EXISTS (SELECT FROM unnest(%(held)s::text[]) AS held (name) WHERE held.name = standing.volunteer)
ORDER BY standing.reached_on, standing.volunteer COLLATE "C" LIMIT %(limit)s
"""
_COUNTS_WITHOUT = """
SELECT standing.honor, count(*) FROM {standings} AS standing
WHERE standing.reached_on <= %s AND NOT EXISTS (
  SELECT FROM unnest(%s::text[], %s::text[]) AS held (honor, name)
  WHERE held.honor = standing.honor AND held.name = standing.volunteer
) GROUP BY standing.honor
"""
_CREDITED = 1 + HOURS_COLUMNS.index("credited")


class Reached(NamedTuple):
    """A volunteer or project that meets the conditions of an honour.

    `credited_minutes`: the total, or that of the ranking's year.
    """

    name: str
    reached_on: date | None
    rank: int | None
    credited_minutes: int


class Kind(NamedTuple):
    """What an honour is under some rules: a threshold, or a ranking (with the requested year)."""

    title: str
    of: Literal["volunteers", "projects"]
    year: int | None


@dataclass(frozen=True)
class HonorStandings:
    """The standings in one snapshot. `position`: the last known event, at most the position of the read models.

    All names are those in rows: of a volunteer, the person's number. `merged`: the person's number of each merged one.
    """

    reader: RankingReader
    merged: Mapping[str, str] = field(default_factory=dict)

    @property
    def timeline(self) -> RuleTimeline:
        """The rules used."""
        return self.reader.timeline

    @property
    def position(self) -> Position:
        """The position of the last known event."""
        return Position(self.reader.basis.known_at)

    def kind(self, honor: str, year: int | None) -> Kind:
        """Return what an honour is; the year of a ranking is by default the latest.

        Raises:
            UnknownNameError: the rules have no such honour, or not for that year.
        """
        titles = titles_of(self.timeline)
        if honor in titles:
            return Kind(titles[honor], "volunteers", None)
        ranking, of_year = self._ranking(honor, year)
        return Kind(ranking.title, ranking.of, of_year)

    def _ranking(self, honor: str, year: int | None) -> tuple[Ranking, int]:
        known = all_rankings(self.timeline).get(honor)
        if known is None:
            raise UnknownNameError("honor", honor)
        of_year = year if year is not None else self.reader.year([known])
        ranking = rankings_of(self.timeline, of_year).get(honor)
        if ranking is None:
            raise RankingNotInForceError(honor, of_year)
        return ranking, of_year

    def reached(self, honor: str, year: int | None, upto: date) -> list[Reached]:
        """Return all who meet the conditions of an honour: by date up to a day, or those within the places by rank."""
        if honor in titles_of(self.timeline):
            return self._reached_threshold(honor, upto)
        ranking, of_year = self._ranking(honor, year)
        placed = self.reader.of_year(ranking, of_year).page(1, ranking.places)
        return [Reached(each.name, None, each.rank, each.figures["credited_minutes"]) for each in placed]

    def _reached_threshold(self, honor: str, upto: date) -> list[Reached]:
        match self.reader.source:
            case Tables(connection, schema):
                rows = connection.execute(_query(_REACHED, schema), (honor, upto)).fetchall()
            case Rows() as replayed:
                rows = _reached_rows(replayed, honor, upto)
        return [Reached(name, day, None, minutes) for name, day, minutes in rows]

    def without(
        self, honor: str, year: int | None, upto: date, held: Collection[str], page: Page
    ) -> tuple[int, list[Reached], str | None]:
        """Return how many of those that `reached` returns do not hold an honour, a page of them, and its last name if
        there are more.
        """
        source = self.reader.source
        if isinstance(source, Tables) and honor in titles_of(self.timeline):
            return self._stored_without(source, honor, upto, held, page)
        found = [each for each in self.reached(honor, year, upto) if each.name not in held]
        return len(found), *page.of(found, lambda each: each.name)

    def _stored_without(
        self, source: Tables, honor: str, upto: date, held: Collection[str], page: Page
    ) -> tuple[int, list[Reached], str | None]:
        values: dict[str, object] = {"honor": honor, "upto": upto, "held": text_array(held), "limit": page.limit + 1}
        (count,) = source.connection.execute(_query(_COUNT_WITHOUT, source.schema), values).fetchone() or (0,)
        since: date | None = date.min
        if page.after is not None:
            (since,) = self.days([(page.after, honor)])
            if since is None or since > upto or page.after in held:  # no entry of this list
                return count, [], None
        values |= {"since": since, "after": page.after or ""}
        rows = source.connection.execute(_query(_PAGE_WITHOUT, source.schema), values).fetchall()
        found = [Reached(name, day, None, minutes) for name, day, minutes in rows[: page.limit]]
        return count, found, found[-1].name if len(rows) > page.limit else None

    def counts_without(self, upto: date, held: Collection[tuple[str, str]]) -> dict[str, int]:
        """Return how many reached each threshold up to a day and are not among `held` (honour and name)."""
        match self.reader.source:
            case Tables(connection, schema):
                columns = (text_array([honor for honor, _ in held]), text_array([name for _, name in held]))
                return dict(connection.execute(_query(_COUNTS_WITHOUT, schema), (upto, *columns)).fetchall())
            case Rows() as rows:
                days = rows.standings[:, 0] <= day_number(upto)
                reached = zip(rows.standing_honor, rows.standing_volunteer, days.tolist(), strict=True)
                return Counter(honor for honor, name, is_early in reached if is_early and (honor, name) not in held)

    def days(self, pairs: Sequence[tuple[str, str]]) -> list[date | None]:
        """Return the days on which volunteers reached honours, by pairs (volunteer, honour); None if not reached."""
        found: list[date | None] = [None] * len(pairs)
        match self.reader.source:
            case Tables(connection, schema):
                columns = (text_array([name for name, _ in pairs]), text_array([honor for _, honor in pairs]))
                for number, day in connection.execute(_query(_DAYS, schema), columns):
                    found[number - 1] = day
            case Rows() as rows:
                requested = set(pairs)
                numbers = rows.standings[:, 0].tolist()
                standings = zip(rows.standing_volunteer, rows.standing_honor, numbers, strict=True)
                days = {(name, honor): number for name, honor, number in standings if (name, honor) in requested}
                found = [day_of_number(days[pair]) if pair in days else None for pair in pairs]
        return found

    def placed(self, honor: str, year: int) -> list[Ranked] | None:
        """Return who is within the places of a ranking's year; None if the rules have no such ranking."""
        ranking = rankings_of(self.timeline, year).get(honor)
        return None if ranking is None else self.reader.of_year(ranking, year).page(1, ranking.places)

    def rank_and_minutes(self, honor: str, year: int, name: str) -> tuple[int | None, int]:
        """Return a name's rank in a ranking's year, also behind the last place, and its credited minutes."""
        ranking = rankings_of(self.timeline, year).get(honor)
        if ranking is None:
            return None, 0
        of_year = self.reader.of_year(ranking, year)
        figures = of_year.figures(name)
        if figures is None:
            return None, 0
        ranked = all(figures[key] >= least for key, least in ranking.minimums.items())
        return of_year.near(name, figures, 0).rank if ranked else None, figures["credited_minutes"]


@contextmanager
def open_standings(queries: Queries, axes: Axes, year: int | None = None) -> Iterator[HonorStandings]:
    """Open one snapshot for reports about honours; replay if the rows cannot answer."""
    checkpoint()
    with open_reader(queries, axes, year) as reader:
        yield HonorStandings(reader, queries.merged(Position(reader.basis.known_at)))


def _reached_rows(rows: Rows, honor: str, upto: date) -> list[tuple[str, date, int]]:
    chosen = (np.asarray(rows.standing_honor, object) == honor) & (rows.standings[:, 0] <= day_number(upto))
    names = np.asarray(rows.standing_volunteer, object)[chosen].tolist()
    days = rows.standings[chosen, 0].tolist()
    minutes = _total_minutes(rows, set(names))
    found = sorted(zip(days, names, strict=True))
    return [(name, day_of_number(day), minutes.get(name, 0)) for day, name in found]


def _total_minutes(rows: Rows, names: Collection[str]) -> Mapping[str, int]:
    whole = np.flatnonzero(rows.hours[:, 0] == 0)
    volunteers = np.asarray(rows.hours_volunteer, object)[whole].tolist()
    return {
        name: minutes
        for name, minutes in zip(volunteers, rows.hours[whole, _CREDITED].tolist(), strict=True)
        if name in names
    }


def _query(template: str, schema: str) -> Any:
    return sql.SQL(template).format(
        standings=sql.Identifier(schema, "honor_standings"), hours=sql.Identifier(schema, "volunteer_hours")
    )
