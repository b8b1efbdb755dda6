"""The slow path: volunteers computed from the log's own streams, event by event, past archive and segments.

It is what a rebuild is held against: another way to the same facts, for a few volunteers. Only the ids of their shifts
are taken from the store, which the follower keeps. This module reads; it writes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import Connection

from ledger.aggregates import Event
from ledger.aggregates.station import StationOpened
from ledger.names import Position, stream
from ledger.store.log_queries import LogQueries
from ledger.store.mapper import decode
from projections.local_time import day_of_number
from projections.rules.table import honor_ids
from projections.rules.timeline import RuleTimeline
from projections.schema import DAY
from replay.cohorts.cohort import Cohort, Person, in_log_order, kind_of, person_of, read_cohort, resolve_streams
from replay.cohorts.merges import told
from replay.generations.named_rows import Rows, rows_of


def rows_from_log(
    connection: Connection[Any],
    log: LogQueries,
    volunteers: Sequence[str],
    known_at: Position,
    timeline: RuleTimeline,
    valid_until: int,
) -> tuple[Rows, list[str]]:
    """Return the rows of these volunteers and of all they were ever merged with, and whose they are; rows of stations
    and projects, which others share, are left out.
    """
    circle = cohort_known_at(connection, log, volunteers, known_at, timeline)
    models = circle.read_models(timeline, valid_until)
    alone = models._replace(stations=models.stations[:0], projects=models.projects[:0])
    return rows_of(alone, list(circle.persons), [], honor_ids(timeline), []), list(circle.persons)


def cohort_known_at(
    connection: Connection[Any], log: LogQueries, volunteers: Sequence[str], known_at: Position, timeline: RuleTimeline
) -> Cohort:
    """Read volunteers, and all they were ever merged with, from the log's streams, as known at a position."""
    now = read_cohort(connection, volunteers)
    persons = {volunteer: Person() for volunteer in now.persons}
    streams = [stream(kind, volunteer) for volunteer in persons for kind in ("volunteer", "opening-balance")]
    stations = {shift.station for shift in now.shifts.values() if shift.station}
    events = _events(log, streams, known_at)
    _tell(persons, events)
    merges = told({}, events)
    opened = _events(log, [stream("station", station) for station in stations], known_at)
    kinds = {event.station: kind_of(event) for event in opened if isinstance(event, StationOpened)}
    circle = Cohort(persons, resolve_streams(log, list(now.shifts), known_at), kinds, merges=merges)
    # Raises of the day's cap have a stream per day: those of the days on which there is anything to cap.
    raises = [
        stream("day-cap", volunteer, day_of_number(day).isoformat())
        for volunteer in persons
        for day in sorted({int(day) for day in circle.tables.pieces(volunteer, timeline)[:, DAY]})
    ]
    _tell(persons, _events(log, raises, known_at))
    return Cohort(persons, circle.shifts, kinds, merges=merges)  # the tables of the first know of no raise


def _events(log: LogQueries, streams: Sequence[Any], known_at: Position) -> list[Event]:
    return [decode(one.topic, one.state) for one in in_log_order(log, streams, known_at)]


def _tell(persons: dict[str, Person], events: Sequence[Event]) -> None:
    for event in events:
        if (volunteer := person_of(event)) is not None:
            persons[volunteer].apply(event)
