"""What holds of honours under some axes: who has reached a threshold and when, with which minutes; who ranks where.

Under the axes of the present the current generation's rows answer, under others a replay in memory. Reports about
awards and the evidence of new ones both rest on this. Nothing here writes.
"""

from __future__ import annotations

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
from replay.axes.as_known import titles_of
from replay.cohorts.shift_columns import text_array
from replay.generations.named_rows import Rows
from replay.queries.queries import Axes, Queries, UnknownNameError
from replay.rankings.answers import Ranked
from replay.rankings.rankings import Opened, RankingNotInForceError, Tables, opened

_REACHED = """
SELECT standing.volunteer, standing.reached_on, coalesce(hours.credited_minutes, 0)
FROM {standings} AS standing
LEFT JOIN {hours} AS hours ON hours.volunteer = standing.volunteer AND hours.year = 0
WHERE standing.honor = %s AND standing.reached_on <= %s ORDER BY standing.reached_on, standing.volunteer COLLATE "C"
"""
_DAYS = """
SELECT asked.place, standing.reached_on
FROM unnest(%s::text[], %s::text[]) WITH ORDINALITY AS asked (volunteer, honor, place)
JOIN {standings} AS standing ON standing.volunteer = asked.volunteer AND standing.honor = asked.honor
"""
_CREDITED = 1 + HOURS_COLUMNS.index("credited")


class Reached(NamedTuple):
    """Somebody who meets what an honour asks for. `credited_minutes`: in all, or of the ranking's year."""

    name: str
    reached_on: date | None
    rank: int | None
    credited_minutes: int


class Kind(NamedTuple):
    """What an honour is by some rules: a threshold, or a ranking (with the year it is asked for)."""

    title: str
    of: Literal["volunteers", "projects"]
    year: int | None


@dataclass(frozen=True)
class HonorsHeld:
    """What holds of honours in one snapshot. `position`: what is known, at most what the read models have seen.

    All names are those under which rows stand: of a volunteer, the number that goes on. `merged` leads there.
    """

    opened: Opened
    merged: Mapping[str, str] = field(default_factory=dict)

    @property
    def timeline(self) -> RuleTimeline:
        """The rules that are used."""
        return self.opened.timeline

    @property
    def position(self) -> Position:
        """The last position that counts."""
        return Position(self.opened.basis.known_at)

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
        of_year = year if year is not None else self.opened.year([known])
        asked = rankings_of(self.timeline, of_year).get(honor)
        if asked is None:
            raise RankingNotInForceError(honor, of_year)
        return asked, of_year

    def reached(self, honor: str, year: int | None, upto: date) -> list[Reached]:
        """Return everybody who meets what an honour asks for: by date up to a day, or within the places by rank."""
        if honor in titles_of(self.timeline):
            return self._reached_threshold(honor, upto)
        ranking, of_year = self._ranking(honor, year)
        placed = self.opened.of_year(ranking, of_year).page(1, ranking.places)
        return [Reached(one.name, None, one.rank, one.figures["credited_minutes"]) for one in placed]

    def _reached_threshold(self, honor: str, upto: date) -> list[Reached]:
        match self.opened.source:
            case Tables(connection, schema):
                rows = connection.execute(_query(_REACHED, schema), (honor, upto)).fetchall()
            case Rows() as replayed:
                rows = _reached_rows(replayed, honor, upto)
        return [Reached(name, day, None, minutes) for name, day, minutes in rows]

    def days(self, asked: Sequence[tuple[str, str]]) -> list[date | None]:
        """Return the days on which volunteers reached honours, given as pairs; None where they have not."""
        found: list[date | None] = [None] * len(asked)
        match self.opened.source:
            case Tables(connection, schema):
                columns = (text_array([name for name, _ in asked]), text_array([honor for _, honor in asked]))
                for place, day in connection.execute(_query(_DAYS, schema), columns):
                    found[place - 1] = day
            case Rows() as rows:
                wanted = set(asked)
                pairs = zip(rows.standing_volunteer, rows.standing_honor, rows.standings[:, 0].tolist(), strict=True)
                days = {(name, honor): number for name, honor, number in pairs if (name, honor) in wanted}
                found = [day_of_number(days[pair]) if pair in days else None for pair in asked]
        return found

    def placed(self, honor: str, year: int) -> list[Ranked] | None:
        """Return who is within the places of a ranking's year; None where the rules rank nobody so."""
        ranking = rankings_of(self.timeline, year).get(honor)
        return None if ranking is None else self.opened.of_year(ranking, year).page(1, ranking.places)

    def standing(self, honor: str, year: int, name: str) -> tuple[int | None, int]:
        """Return the rank of one name in a ranking's year, also behind the last place, and the credited minutes."""
        ranking = rankings_of(self.timeline, year).get(honor)
        if ranking is None:
            return None, 0
        of_year = self.opened.of_year(ranking, year)
        figures = of_year.figures(name)
        if figures is None:
            return None, 0
        ranked = all(figures[key] >= least for key, least in ranking.minimums.items())
        return of_year.near(name, figures, 0).rank if ranked else None, figures["credited_minutes"]


@contextmanager
def honors_held(queries: Queries, axes: Axes, year: int | None = None) -> Iterator[HonorsHeld]:
    """Open one snapshot for reports about honours; replay where rows cannot answer."""
    with opened(queries, axes, year) as reading:
        yield HonorsHeld(reading, queries.merged(Position(reading.basis.known_at)))


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
