"""The slow path: volunteers computed event by event from their streams in the log, without the archive.

A rebuild is verified against it: for a few volunteers, it derives the same facts in another way. Only the ids of their
shifts are read from the store, which the follower updates. This module only reads.
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
from projections.kernels.station_kinds import Openings, add_opening
from projections.local_time import day_of_number
from projections.rules.table import honor_ids
from projections.rules.timeline import RuleTimeline
from projections.schema import DAY
from replay.cohorts.cohort import Cohort, Person, in_log_order, person_of, read_cohort, resolve_streams
from replay.cohorts.merges import apply_events
from replay.generations.named_rows import Rows, rows_of


def rows_from_log(
    connection: Connection[Any],
    log: LogQueries,
    volunteers: Sequence[str],
    known_at: Position,
    timeline: RuleTimeline,
    valid_until: int,
) -> tuple[Rows, list[str]]:
    """Return the rows of volunteers and of all numbers they were ever merged with, and the list of these numbers. Rows
    of stations and projects, to which other volunteers contribute, are left out.
    """
    cohort = cohort_known_at(connection, log, volunteers, known_at, timeline)
    models = cohort.read_models(timeline, valid_until)
    models = models._replace(stations=models.stations[:0], projects=models.projects[:0])
    return rows_of(models, list(cohort.persons), [], honor_ids(timeline), []), list(cohort.persons)


def cohort_known_at(
    connection: Connection[Any], log: LogQueries, volunteers: Sequence[str], known_at: Position, timeline: RuleTimeline
) -> Cohort:
    """Read volunteers, and all numbers they were ever merged with, from the log's streams, as known at a position."""
    now = read_cohort(connection, volunteers)
    persons = {volunteer: Person() for volunteer in now.persons}
    streams = [stream(kind, volunteer) for volunteer in persons for kind in ("volunteer", "opening-balance")]
    events = _events(log, streams, known_at)
    _apply_all(persons, events)
    merges = apply_events({}, events)
    shifts = resolve_streams(log, list(now.shifts), known_at)
    kinds: dict[str, Openings] = {}
    for event in _events(log, [stream("station", station) for station in shifts.names.stations.texts()], known_at):
        if isinstance(event, StationOpened):
            add_opening(kinds, event)
    cohort = Cohort(persons, shifts, kinds, merges=merges)
    # Raises of the day cap have one stream per day; only days with minutes to cap matter.
    raises = [
        stream("day-cap", volunteer, day_of_number(day).isoformat())
        for volunteer in persons
        for day in sorted({int(day) for day in cohort.tables.pieces(volunteer, timeline)[:, DAY]})
    ]
    _apply_all(persons, _events(log, raises, known_at))
    return Cohort(persons, cohort.shifts, kinds, merges=merges)  # a new one, because `tables` was cached without raises


def _events(log: LogQueries, streams: Sequence[Any], known_at: Position) -> list[Event]:
    return [decode(recorded.topic, recorded.state) for recorded in in_log_order(log, streams, known_at)]


def _apply_all(persons: dict[str, Person], events: Sequence[Event]) -> None:
    for event in events:
        if (volunteer := person_of(event)) is not None:
            persons[volunteer].apply(event)
