"""Live facts: how the follower reads and updates the facts that depend on no rule (replay/generations/schema.sql).

Facts are at the current generation's position; a batch brings them to its end, in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ledger.aggregates import Event
from ledger.aggregates.people_served import PeopleServedCounted
from ledger.aggregates.station import StationOpened
from ledger.instants import LATEST_INSTANT
from ledger.store.log_queries import uuid_array
from projections.kernels.station_kinds import Openings, add_opening, changed_since
from projections.local_time import day_number
from projections.rules.timeline import RuleTimeline
from projections.schema import NO_DAY, STATION_KINDS, UNKNOWN_KIND, Longs
from replay.cohorts.change_windows import margin_seconds
from replay.cohorts.cohort import Cohort, Person
from replay.cohorts.merges import Merges, final_numbers, linked, pairs_in_force, write_merges
from replay.cohorts.shift_columns import ShiftKey, Shifts, integer_array, text_array
from replay.generations import store

AFTER_ALL_SHIFTS = LATEST_INSTANT + 10 * 366 * 86_400
"""An instant far from all shifts."""

_DROP_SHIFTS = """
DELETE FROM replay.shifts AS known USING unnest(%s::text[], %s::uuid[], %s::bigint[])
  AS gone(volunteer, shift, check_in)
WHERE known.volunteer = gone.volunteer AND known.shift = gone.shift
  AND known.check_in IS NOT DISTINCT FROM nullif(gone.check_in, 0)
"""
_GET_KINDS = "SELECT station, opened_at, kind FROM replay.stations WHERE station = ANY(%s::text[])"
_GET_VOLUNTEERS_SINCE = """
SELECT DISTINCT volunteer FROM replay.shifts
JOIN unnest(%s::text[], %s::bigint[]) AS changed(station, since) USING (station)
WHERE check_in >= since
"""
_GET_PEOPLE_SERVED = """
SELECT station, project, day, people FROM replay.people_served
WHERE (station, project, day) IN (SELECT * FROM unnest(%s::text[], %s::text[], %s::int[]))
"""
_PUT_PEOPLE_SERVED = """
INSERT INTO replay.people_served (station, project, day, people)
SELECT * FROM unnest(%s::text[], %s::text[], %s::int[], %s::int[])
ON CONFLICT (station, project, day) DO UPDATE SET people = EXCLUDED.people
"""
_PUT_SHIFTS = """
INSERT INTO replay.shifts (volunteer, shift, station, project, check_in, check_out, recorded_at, flags)
SELECT volunteer, shift, nullif(station, ''), nullif(project, ''), nullif(check_in, 0), nullif(check_out, 0),
       recorded_at, flags
FROM unnest(%s::text[], %s::uuid[], %s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::bigint[], %s::int[])
  AS new(volunteer, shift, station, project, check_in, check_out, recorded_at, flags)
ON CONFLICT (volunteer, check_in, shift) DO UPDATE SET
  station = EXCLUDED.station, project = EXCLUDED.project, check_out = EXCLUDED.check_out,
  recorded_at = EXCLUDED.recorded_at, flags = EXCLUDED.flags
"""
_PUT_VOLUNTEERS = """
INSERT INTO replay.volunteers (volunteer, registered, opening_day, opening_minutes, trained_1, trained_2, trained_3)
SELECT * FROM unnest(%s::text[], %s::int[], %s::int[], %s::int[], %s::int[], %s::int[], %s::int[])
ON CONFLICT (volunteer) DO UPDATE SET
  registered = EXCLUDED.registered, opening_day = EXCLUDED.opening_day, opening_minutes = EXCLUDED.opening_minutes,
  trained_1 = EXCLUDED.trained_1, trained_2 = EXCLUDED.trained_2, trained_3 = EXCLUDED.trained_3
"""
_DROP_RAISES = "DELETE FROM replay.cap_raises WHERE volunteer = ANY(%s::text[])"
_PUT_RAISES = """
INSERT INTO replay.cap_raises (volunteer, day, raise_id, minutes)
SELECT * FROM unnest(%s::text[], %s::int[], %s::text[], %s::int[])
"""
_DROP_UNOPENED = "DELETE FROM replay.stations WHERE station = ANY(%s::text[]) AND kind = %s"
_PUT_STATIONS = """
INSERT INTO replay.stations (station, opened_at, kind) SELECT * FROM unnest(%s::text[], %s::bigint[], %s::int[])
ON CONFLICT (station, opened_at) DO UPDATE SET kind = EXCLUDED.kind
"""


# --- reading --------------------------------------------------------------------------------------------------------


def extents(known: Shifts, changed: Shifts) -> tuple[Longs, Longs]:
    """Return the first and last check-in of each volunteer's changed shifts, before and after the change; both are
    `AFTER_ALL_SHIFTS` for a volunteer without a check-in.

    Args:
        known: the changed shifts that existed before, before the change.
        changed: all changed shifts, after the change.

    Returns:
        int64[n] each, by the volunteers of `changed.names`.
    """
    columns = [known.numbered(changed.names), changed.columns]
    owner = np.concatenate([column.volunteer for column in columns])
    check_in = np.concatenate([column.check_in for column in columns]).astype(np.int64)
    owner, check_in = owner[check_in > 0], check_in[check_in > 0]
    volunteers = len(changed.names.volunteers)
    first, last = np.full(volunteers, AFTER_ALL_SHIFTS, np.int64), np.zeros(volunteers, np.int64)
    np.minimum.at(first, owner, check_in)
    np.maximum.at(last, owner, check_in)
    return first, np.where(last > 0, last, AFTER_ALL_SHIFTS)


class Extents(NamedTuple):
    """Persons with their first and last changed check-in, int64[persons]; and all their numbers, with the index of each
    number's person.
    """

    persons: Sequence[str]
    first: Longs
    last: Longs
    numbers: Sequence[str]
    owner: Longs


def by_person(names: Sequence[str], first: Longs, last: Longs, merges: Merges) -> Extents:
    """Combine extents of numbers by person, because a change of one number may affect the shifts of all."""
    pairs = pairs_in_force(merges)
    if not pairs:
        return Extents(names, first, last, names, np.arange(len(names)))
    numbers = linked(names, pairs)
    persons, owner = np.unique(final_numbers(names, merges), return_inverse=True)
    lowest, highest = np.full(len(persons), AFTER_ALL_SHIFTS, np.int64), np.zeros(len(persons), np.int64)
    np.minimum.at(lowest, owner, first)
    np.maximum.at(highest, owner, last)
    return Extents(persons.tolist(), lowest, highest, numbers, np.searchsorted(persons, final_numbers(numbers, merges)))


def volunteers_of_changed_stations(
    connection: store.AnyConnection, events: Iterable[Event], timeline: RuleTimeline
) -> list[str]:
    """Return the volunteers who served at a station whose kind changes, from that day on: kinds select factors."""
    openings = [event for event in events if isinstance(event, StationOpened)]
    if not openings:
        return []
    before: dict[str, Openings] = {}
    for station, opened_at, kind in connection.execute(
        _GET_KINDS, (text_array({event.station for event in openings}),)
    ).fetchall():
        known = before.get(station, {})
        before[station] = known if kind == UNKNOWN_KIND else {**known, opened_at: kind}
    after = dict(before)
    for event in openings:
        add_opening(after, event)
    # Without a row, nobody has served there yet.
    since = {station: changed_since(known, after[station]) for station, known in before.items()}
    changed = {station: instant - margin_seconds(timeline) for station, instant in since.items() if instant is not None}
    if not changed:
        return []
    values = text_array(changed), _numbers(changed.values())
    return [row[0] for row in connection.execute(_GET_VOLUNTEERS_SINCE, values).fetchall()]


# --- writing --------------------------------------------------------------------------------------------------------


def count_people_served(connection: store.AnyConnection, events: Iterable[Event]) -> dict[tuple[str, str, int], int]:
    """Record counts of people served, of which the last counts; return the changes, by station, project ("" for none)
    and day.
    """
    counted = {
        (event.station, event.project or "", day_number(event.day)): event.people
        for event in events
        if isinstance(event, PeopleServedCounted)
    }
    if not counted:
        return {}
    stations, projects, days = zip(*counted, strict=True)
    keys = text_array(stations), text_array(projects), _numbers(days)
    known = {tuple(key): people for *key, people in connection.execute(_GET_PEOPLE_SERVED, keys).fetchall()}
    connection.execute(_PUT_PEOPLE_SERVED, (*keys, _numbers(counted.values())))
    return {key: people - known.get(key, 0) for key, people in counted.items()}


def write_facts(
    connection: store.AnyConnection,
    before: Cohort,
    after: Cohort,
    shifts: tuple[Shifts, Shifts],
    events: Sequence[Event],
) -> None:
    """Bring the facts to a batch's end: persons, merges, stations, and `shifts`, the changed ones before and after."""
    known, changed = shifts
    moved = [key for key in known if known.check_in(key) != changed.check_in(key)]
    if moved:
        connection.execute(_DROP_SHIFTS, (*_shift_keys(moved), _numbers(map(known.check_in, moved))))
    _write_shifts(connection, changed)
    persons = {name: person for name, person in after.persons.items() if person != before.persons[name]}
    _write_persons(connection, persons)
    _write_raises(
        connection, {name: person for name, person in persons.items() if person.raises != before.persons[name].raises}
    )
    _write_openings(connection, events)
    # Stations that only shifts have named so far; opening such a station changes its kind.
    unopened = {(name, 0): UNKNOWN_KIND for name in changed.names.stations.texts() if name not in after.kinds}
    _write_stations(connection, unopened)
    merges = {pair: stands for pair, stands in after.merges.items() if before.merges.get(pair) is not stands}
    write_merges(connection, merges)


def _write_openings(connection: store.AnyConnection, events: Iterable[Event]) -> None:
    openings = {
        (event.station, event.occurred_at): STATION_KINDS[event.kind]
        for event in events
        if isinstance(event, StationOpened)
    }
    if openings:
        connection.execute(_DROP_UNOPENED, (text_array({station for station, _ in openings}), UNKNOWN_KIND))
        _write_stations(connection, openings)


def _write_stations(connection: store.AnyConnection, kinds: Mapping[tuple[str, int], int]) -> None:
    """Write kinds by station and instant of the opening (0 for a station that was never opened)."""
    if kinds:
        stations, instants = zip(*kinds, strict=True)
        connection.execute(_PUT_STATIONS, (text_array(stations), _numbers(instants), _numbers(kinds.values())))


def _write_shifts(connection: store.AnyConnection, changed: Shifts) -> None:
    if not len(changed):
        return
    volunteers, stations, projects = (
        text_array([texts[number] for number in column.tolist()])
        for texts, column in zip(([*names.texts(), ""] for names in changed.names), changed.columns[:3], strict=True)
    )
    pairs = zip(changed.high.tolist(), changed.low.tolist(), strict=True)
    ids = "{" + ",".join(f"{high:016x}{low:016x}" for high, low in pairs) + "}"
    numbers = [integer_array(column) for column in changed.columns[3:]]
    connection.execute(_PUT_SHIFTS, (volunteers, ids, stations, projects, *numbers))


def _write_persons(connection: store.AnyConnection, persons: Mapping[str, Person]) -> None:
    if not persons:
        return
    rows = [
        (person.registered, person.opening_day, person.opening_minutes, *person.trained) for person in persons.values()
    ]
    columns = [
        _numbers(None if number == NO_DAY else number for number in column) for column in zip(*rows, strict=True)
    ]
    connection.execute(_PUT_VOLUNTEERS, (text_array(persons), *columns))


def _write_raises(connection: store.AnyConnection, persons: Mapping[str, Person]) -> None:
    if not persons:
        return
    connection.execute(_DROP_RAISES, (text_array(persons),))
    rows = [
        (name, day, raise_id, minutes)
        for name, person in persons.items()
        for (day, raise_id), minutes in person.raises.items()
    ]
    if rows:
        names, days, ids, minutes = zip(*rows, strict=True)
        connection.execute(_PUT_RAISES, (text_array(names), _numbers(days), text_array(ids), _numbers(minutes)))


def _shift_keys(keys: Collection[ShiftKey]) -> tuple[str, str]:
    """Return keys as parameters for `unnest(%s::text[], %s::uuid[])`."""
    return text_array(volunteer for volunteer, _ in keys), uuid_array(shift for _, shift in keys)


def _numbers(numbers: Iterable[int | None]) -> str:
    """Return integers or None as a parameter for `%s::int[]`."""
    return "{" + ",".join("NULL" if number is None else str(number) for number in numbers) + "}"
