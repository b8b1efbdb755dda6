"""The figures that anybody may see: totals of the district, its days, and the newest honours without whose they are.

All come from one snapshot of the current generation. At full scale the sums take a few hundred milliseconds, so the
caller keeps them until the position has moved. Nothing here writes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cached_property
from itertools import groupby
from typing import Any, NamedTuple

from psycopg import Connection, sql

from ledger.store.database import Database
from replay.axes.as_known import snapshot, titles_of
from replay.generations import store

HONORS_SHOWN = 8


class Day(NamedTuple):
    """A local day of the whole district. `stations`: those at which a shift began."""

    day: date
    credited_minutes: int
    shifts: int
    stations: int
    people_served: int


class NewestHonor(NamedTuple):
    """An honour that somebody reached, by its title in the rules."""

    honor: str
    title: str
    reached_on: date


@dataclass(frozen=True)
class PublicFigures:
    """The figures, and what they rest on. Minutes are whole minutes; `volunteers`: all who are registered, `active`:
    those who served; `opening_minutes`: hours from before the ledger, which are part of the total and of no day.
    """

    position: int
    generation: int
    rules_name: str
    rules_version: int
    rules_digest: str
    today: date
    credited_minutes: int
    year_minutes: int
    opening_minutes: int
    volunteers: int
    active: int
    people_served: int
    days: tuple[Day, ...]
    newest_honors: tuple[NewestHonor, ...]

    @cached_property
    def years(self) -> dict[int, list[Day]]:
        """The days by year, the newest year first."""
        found = {year: list(days) for year, days in groupby(self.days, lambda day: day.day.year)}
        return dict(reversed(found.items()))

    def on(self, day: date) -> Day:
        """Return a day, with zeros if nobody served."""
        return next((each for each in reversed(self.days) if each.day == day), Day(day, 0, 0, 0, 0))


_TOTALS = (
    "SELECT coalesce(sum(credited_minutes) FILTER (WHERE year = 0), 0)::bigint, "
    "coalesce(sum(credited_minutes) FILTER (WHERE year = %s), 0)::bigint, "
    "count(*) FILTER (WHERE year = 0 AND shifts > 0) FROM {}"
)
_DAYS = (
    "SELECT day, sum(credited_minutes)::bigint, sum(shifts)::bigint, count(*) FILTER (WHERE shifts > 0), "
    "sum(people_served)::bigint FROM {} WHERE day <= %s GROUP BY day ORDER BY day"
)
_HONORS = "SELECT honor, reached_on FROM {} WHERE reached_on <= %s ORDER BY reached_on DESC, volunteer LIMIT %s"
_VOLUNTEERS = "SELECT count(registered), coalesce(sum(opening_minutes), 0)::bigint FROM replay.volunteers"


def public_figures(database: Database, today: date) -> PublicFigures:
    """Return the figures of the current generation.

    Raises:
        replay.generations.store.NoGenerationError: there are no read models yet.
    """
    with snapshot(database) as (connection, generation):
        return _figures(connection, generation, today)


def _figures(connection: Connection[Any], generation: store.Generation, today: date) -> PublicFigures:
    def query(text: str, table: str, *values: object) -> list[tuple[Any, ...]]:
        named = sql.SQL(text).format(sql.Identifier(generation.schema, table))
        return connection.execute(named, values).fetchall()

    ((credited, of_year, active),) = query(_TOTALS, "volunteer_hours", today.year)
    days = tuple(Day(*row) for row in query(_DAYS, "station_activity", today))
    ((volunteers, opening),) = connection.execute(_VOLUNTEERS).fetchall()
    timeline = generation.timeline()
    titles = titles_of(timeline)
    return PublicFigures(
        position=generation.position,
        generation=generation.id,
        rules_name=timeline.name,
        rules_version=generation.rules_version,
        rules_digest=generation.rules_digest,
        today=today,
        credited_minutes=credited,
        year_minutes=of_year,
        opening_minutes=opening,
        volunteers=volunteers,
        active=active,
        people_served=sum(day.people_served for day in days),
        days=days,
        newest_honors=tuple(
            NewestHonor(honor, titles.get(honor, honor), reached)
            for honor, reached in query(_HONORS, "honor_standings", today, HONORS_SHOWN)
        ),
    )
