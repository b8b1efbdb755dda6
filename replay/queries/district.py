"""The district: the activity of its stations, and who has reached which honour, under any axes.

By default the rows of the current generation answer. Under another `known_at` or other rules the rows come from a
replay in memory (`replay/on_demand/replays.py`), which takes seconds. Nothing here writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np
from psycopg import Connection, sql

from ledger.store.database import Database
from projections.local_time import day_number, day_of_number
from projections.schema import NO_DAY
from replay.axes import answers
from replay.axes.as_known import Axes, UnknownNameError, basis_of, position_known, rules_used, snapshot, titles_of
from replay.generations import store
from replay.generations.named_rows import Rows
from replay.on_demand.replays import Replays
from replay.published import Rules

_GET_DAYS = (
    "SELECT day, shifts, volunteers, raw_minutes, counted_minutes, credited_minutes, people_served "
    "FROM {} WHERE station = %s AND day BETWEEN %s AND %s ORDER BY day"
)
_GET_SUMS = (
    "SELECT station, count(*) FILTER (WHERE shifts > 0), sum(shifts)::bigint, sum(credited_minutes)::bigint, "
    "sum(people_served)::bigint FROM {} WHERE day BETWEEN %s AND %s GROUP BY station"
)
_COUNT_STANDINGS = "SELECT count(*) FROM {} WHERE honor = %s AND reached_on <= %s"
_GET_STANDINGS = (
    "SELECT volunteer, reached_on FROM {} WHERE honor = %s AND reached_on <= %s "
    "AND (reached_on, volunteer) > (%s::date, %s) ORDER BY reached_on, volunteer LIMIT %s"
)
_SUMS = ("shifts", "raw_minutes", "counted_minutes", "credited_minutes", "people_served")

_Standings = tuple[int, Sequence[tuple[str, date]]]


class District:
    """Queries about the stations and honours of one ledger."""

    def __init__(self, database: Database, replays: Replays) -> None:
        self._database = database
        self._replays = replays

    def replayed(self, generation: store.Generation, axes: Axes) -> tuple[Rules, Rows]:
        """Replay the archive in memory under other axes; return the rules used, and the rows of all read models."""
        rules = rules_used(self._database.log, axes, generation)
        return rules, self._replays.rows(position_known(axes, generation), rules, axes.valid_until)

    def _rows(self, generation: store.Generation, axes: Axes, rules: Rules) -> Rows:
        """Return the rows of all days. `valid_at` only selects days here, so one replay serves every `valid_at`."""
        return self._replays.rows(position_known(axes, generation), rules, NO_DAY)

    def stations(self) -> list[str]:
        """Return the names of all known stations, sorted."""
        with snapshot(self._database) as (connection, _):
            return [
                row[0] for row in connection.execute("SELECT DISTINCT station FROM replay.stations ORDER BY station")
            ]

    def station_activity(self, station: str, first_day: date, last_day: date, axes: Axes) -> answers.StationActivity:
        """Return a station's days in a period, both ends included, and their sums."""
        last = min(last_day, axes.valid_at or date.max)
        with snapshot(self._database) as (connection, generation):
            check_station(connection, station)
            rules = rules_used(self._database.log, axes, generation)
            if axes.current:
                table = sql.Identifier(generation.schema, "station_activity")
                found: Sequence[Any] = connection.execute(
                    sql.SQL(_GET_DAYS).format(table), (station, first_day, last)
                ).fetchall()
        if not axes.current:
            found = _station_rows(self._rows(generation, axes, rules), station, first_day, last)
        names = [name for name in answers.StationDay.model_fields if name != "links"]
        # Ten years of days are thousands of rows, and typed by the database: they are not validated again.
        days = [answers.StationDay.model_construct(**dict(zip(names, row, strict=True))) for row in found]
        return answers.StationActivity(
            **dict(basis_of(axes, rules, generation)),
            station=station,
            first_day=first_day,
            last_day=last_day,
            days_open=sum(day.shifts > 0 for day in days),
            person_times=sum(day.volunteers for day in days),
            days=days,
            **{name: sum(getattr(day, name) for day in days) for name in _SUMS},
        )

    def station_sums(self, first_day: date, last_day: date, axes: Axes) -> dict[str, answers.StationSums]:
        """Return the sums of each station that has a day in a period, both ends included."""
        last = min(last_day, axes.valid_at or date.max)
        with snapshot(self._database) as (connection, generation):
            rules = rules_used(self._database.log, axes, generation)
            if axes.current:
                table = sql.Identifier(generation.schema, "station_activity")
                found: Sequence[Any] = connection.execute(
                    sql.SQL(_GET_SUMS).format(table), (first_day, last)
                ).fetchall()
        if not axes.current:
            found = _sums_of_stations(self._rows(generation, axes, rules), first_day, last)
        names = answers.StationSums.model_fields
        return {station: answers.StationSums(**dict(zip(names, sums, strict=True))) for station, *sums in found}

    def standings(self, honor: str, today: date, axes: Axes, limit: int, after: str | None) -> answers.Standings:
        """Return who has reached an honour up to `valid_at` (by default `today`), by date and volunteer number."""
        upto = axes.valid_at or today
        start = ("0001-01-01", "")
        if after:
            day_text, _, name = after.partition("/")
            start = (date.fromisoformat(day_text).isoformat(), name)
        with snapshot(self._database) as (connection, generation):
            rules = rules_used(self._database.log, axes, generation)
            if axes.current:
                count, found = _stored_standings(connection, generation, honor, upto, start, limit)
        titles = titles_of(rules.timeline())
        if honor not in titles:
            raise UnknownNameError("honor", honor)
        if not axes.current:
            count, found = _replayed_standings(self._rows(generation, axes, rules), honor, upto, start, limit)
        standings = [answers.Standing(volunteer=name, reached_on=day) for name, day in found]
        return answers.Standings(
            **dict(basis_of(axes, rules, generation)),
            honor=honor,
            title=titles[honor],
            reached_up_to=upto,
            count=count,
            standings=standings,
            next_after=f"{standings[-1].reached_on}/{standings[-1].volunteer}" if len(standings) == limit else None,
        )


def check_station(connection: Connection[Any], station: str) -> None:
    """Check that the ledger knows a station.

    Raises:
        UnknownNameError: it does not.
    """
    if not connection.execute("SELECT 1 FROM replay.stations WHERE station = %s", (station,)).fetchone():
        raise UnknownNameError("station", station)


def _station_rows(rows: Rows, station: str, first: date, last: date) -> list[tuple[Any, ...]]:
    if last < first:
        return []
    days = rows.stations[:, 0]
    chosen = (np.asarray(rows.station) == station) & (days >= day_number(first)) & (days <= day_number(last))
    found = rows.stations[chosen]
    return [(day_of_number(day), *sums) for day, *sums in found[np.argsort(found[:, 0])].tolist()]


def _sums_of_stations(rows: Rows, first: date, last: date) -> list[tuple[Any, ...]]:
    found = []
    for station in sorted({*rows.station}):
        days = _station_rows(rows, station, first, last)
        if days:
            shifts, credited, people = (sum(row[column] for row in days) for column in (1, 5, 6))
            found.append((station, sum(row[1] > 0 for row in days), shifts, credited, people))
    return found


def _stored_standings(
    connection: Connection[Any],
    generation: store.Generation,
    honor: str,
    upto: date,
    start: tuple[str, str],
    limit: int,
) -> _Standings:
    table = sql.Identifier(generation.schema, "honor_standings")
    counted = connection.execute(sql.SQL(_COUNT_STANDINGS).format(table), (honor, upto)).fetchone()
    values = (honor, upto, *start, limit)
    return counted[0] if counted else 0, connection.execute(sql.SQL(_GET_STANDINGS).format(table), values).fetchall()


def _replayed_standings(rows: Rows, honor: str, upto: date, start: tuple[str, str], limit: int) -> _Standings:
    chosen = (np.asarray(rows.standing_honor) == honor) & (rows.standings[:, 0] <= day_number(upto))
    days, names = rows.standings[chosen, 0].tolist(), np.asarray(rows.standing_volunteer)[chosen].tolist()
    reached = sorted(zip(days, names, strict=True))
    mark = day_number(date.fromisoformat(start[0])), start[1]
    return len(reached), [(name, day_of_number(day)) for day, name in reached if (day, name) > mark][:limit]
