"""When persons withdrew and stations closed, read from the log: few events, which an index finds by topic."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from ledger.aggregates.station import StationClosed, StationOpened
from ledger.aggregates.volunteer import VolunteerRegistered, VolunteerWithdrawn
from ledger.names import Position, stream
from ledger.store.database import Database
from ledger.store.log_queries import LogReader
from ledger.store.mapper import decode
from projections.anomalies.endings import Spells, spells
from projections.kernels.facts import Facts
from projections.local_time import day_number
from projections.rules.timeline import RuleTimeline
from replay.records.belonging import local_days


def closed_stations(database: Database, facts: Facts, timeline: RuleTimeline, known_at: Position) -> Spells:
    """Return when stations were opened and closed, as known at a position."""
    day_of, number_of = local_days(timeline), facts.stations.number
    with database.pool.connection() as connection:
        rows = LogReader(connection).of_topics([StationOpened.TOPIC, StationClosed.TOPIC], known_at)
        events = [decode(row.topic, row.state) for row in rows]
    changes: defaultdict[int, list[tuple[int, bool]]] = defaultdict(list)
    for event in events:
        if isinstance(event, StationOpened | StationClosed) and event.station in number_of:
            day = day_number(day_of(event.occurred_at))
            changes[number_of[event.station]].append((day, isinstance(event, StationClosed)))
    return spells(changes)


def withdrawn_persons(database: Database, facts: Facts, known_at: Position) -> Spells:
    """Return when persons withdrew and were registered, as known at a position, of those who ever withdrew.

    A person with several numbers has withdrawn when all of them have.
    """
    number_of, person_of = facts.volunteers.number, facts.person_of()

    def person(number: int) -> int:
        return number if person_of is None else int(person_of[number])

    with database.pool.connection() as connection:
        rows = LogReader(connection).of_topics([VolunteerWithdrawn.TOPIC], known_at)
        withdrawals = [decode(row.topic, row.state) for row in rows]
    persons = {
        person(number_of[event.volunteer])
        for event in withdrawals
        if isinstance(event, VolunteerWithdrawn) and event.volunteer in number_of
    }
    if not persons:
        return spells({})
    numbers = persons if person_of is None else np.flatnonzero(np.isin(person_of, list(persons))).tolist()
    names = facts.volunteers.texts()
    return spells(_of_persons(database, {names[number]: person(number) for number in numbers}, known_at))


def _of_persons(database: Database, person_of: dict[str, int], known_at: Position) -> dict[int, list[tuple[int, bool]]]:
    streams = {stream("volunteer", name): name for name in person_of}
    changes: defaultdict[int, list[tuple[int, int, str, bool]]] = defaultdict(list)
    for of_stream, events in database.log.read_streams(list(streams), until=known_at).items():
        name = streams[of_stream]
        for order, row in enumerate(events):
            match event := decode(row.topic, row.state):
                case VolunteerRegistered():
                    changes[person_of[name]].append((day_number(event.registered_on), order, name, False))
                case VolunteerWithdrawn():
                    changes[person_of[name]].append((day_number(event.withdrawn_on), order, name, True))
                case _:
                    pass
    return {person: list(_whole(sorted(of_person))) for person, of_person in changes.items()}


def _whole(changes: Iterable[tuple[int, int, str, bool]]) -> Iterable[tuple[int, bool]]:
    """Yield from which days a person has withdrawn with all numbers, and from which not."""
    active: set[str] = set()
    for day, _, name, over in changes:
        if over:
            active.discard(name)
        else:
            active.add(name)
        yield day, not active
