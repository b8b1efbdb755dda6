"""People served for readers: by station, project, organisation and period, under any axes. Nothing here writes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

from psycopg import Connection

from ledger.aggregates.people_served import PeopleServedCounted
from ledger.names import Position, stream
from ledger.store.database import Database
from ledger.store.log_queries import RecordedEvent
from ledger.store.mapper import decode
from projections.kernels.facts import Facts
from projections.local_time import day_number, day_of_number
from replay.axes.as_known import position_known, rules_used
from replay.organisations.people_served_answers import Count, PeopleServed, ServedDay, ServedSum
from replay.queries.queries import Axes, Queries, UnknownNameError
from replay.records.belonging import Places, read_places

_GET = (
    "SELECT station, nullif(project, ''), day, people FROM replay.people_served WHERE day BETWEEN %s AND %s "
    "AND (%s::text IS NULL OR station = %s) AND (%s::text IS NULL OR project = %s)"
)


class PeopleServedQuery(NamedTuple):
    """A query of people served: a period, both ends inclusive, and filters; None matches all."""

    first: date
    last: date
    station: str | None = None
    project: str | None = None
    organisation: str | None = None


class _Row(NamedTuple):
    day: date
    station: str
    project: str | None
    people: int

    @property
    def mark(self) -> str:
        return f"{self.day}/{self.station}/{self.project or ''}"


def people_served(
    queries: Queries,
    database: Database,
    query: PeopleServedQuery,
    axes: Axes,
    *,
    limit: int = 100,
    after: str | None = None,
) -> PeopleServed:
    """Return the people served in a period; of an organisation, those that belong to it or to one below it.

    Raises:
        UnknownNameError: the ledger did not know the station, project or organisation then.
    """
    last = min(query.last, axes.valid_at or date.max)
    with queries.snapshot() as (connection, generation):
        known_at, rules = position_known(axes, generation), rules_used(database.log, axes, generation)
        basis, current = queries.basis(axes, rules, generation), known_at == generation.position
        places = read_places(connection, known_at)
        _check(query, places)
        found = _stored(connection, query, last) if current else []
    if not current:
        found = _archived(queries.facts(known_at), query, last)
    if query.organisation is not None:
        belongs = places.belongs(query.organisation, rules.timeline())
        found = [row for row in found if belongs(row.station, row.project, row.day)]
    found.sort(key=lambda row: row.mark)
    begin = 0 if after is None else sum(row.mark <= after for row in found)
    page = found[begin : begin + limit]
    streams = {stream("people-served", row.station, row.project or "", row.day.isoformat()): row for row in page}
    histories = database.log.read_streams(list(streams), until=known_at)
    return PeopleServed(
        **dict(basis),
        station=query.station,
        project=query.project,
        organisation=query.organisation,
        first_day=query.first,
        last_day=query.last,
        people=sum(row.people for row in found),
        stations=_sums((row.station, row.people) for row in found),
        projects=_sums((row.project, row.people) for row in found),
        days=[
            ServedDay(
                station=row.station,
                project=row.project,
                day=row.day,
                people=row.people,
                counts=_counts(histories[stream_id]),
            )
            for stream_id, row in streams.items()
        ],
        next_after=page[-1].mark if page and page[-1] != found[-1] else None,
    )


def _check(query: PeopleServedQuery, places: Places) -> None:
    named = (
        ("station", query.station, places.stations),
        ("project", query.project, places.projects),
        ("organisation", query.organisation, places.tree.histories),
    )
    for kind, name, known in named:
        if name is not None and name not in known:
            raise UnknownNameError(kind, name)


def _stored(connection: Connection[Any], query: PeopleServedQuery, last: date) -> list[_Row]:
    values = (day_number(query.first), day_number(last), *(query.station,) * 2, *(query.project,) * 2)
    return [
        _Row(day_of_number(day), station, project, people)
        for station, project, day, people in connection.execute(_GET, values)
    ]


def _archived(facts: Facts, query: PeopleServedQuery, last: date) -> list[_Row]:
    """Return the same rows as `_stored` from the facts of the archive."""
    stations, projects = facts.stations.texts(), [*facts.projects.texts(), None]
    first, until = day_number(query.first), day_number(last)
    rows = [
        _Row(day_of_number(day), stations[station], projects[project], people)
        for station, project, day, people in facts.served_counts().tolist()
        if first <= day <= until
    ]
    return [row for row in rows if query.station in {None, row.station} and query.project in {None, row.project}]


def _sums(parts: Iterable[tuple[str | None, int]]) -> list[ServedSum]:
    sums = Counter[str | None]()
    for name, people in parts:
        sums[name] += people
    return [
        ServedSum(name=name, people=people) for name, people in sorted(sums.items(), key=lambda each: each[0] or "")
    ]


def _counts(history: Sequence[RecordedEvent]) -> list[Count]:
    events = [(recorded.position, decode(recorded.topic, recorded.state)) for recorded in history]
    return [_count(position, event) for position, event in events if isinstance(event, PeopleServedCounted)]


def _count(position: Position, event: PeopleServedCounted) -> Count:
    return Count(
        people=event.people,
        reason=event.reason,
        by=event.by,
        recorded_at=datetime.fromtimestamp(event.recorded_at, UTC),
        position=position,
    )
