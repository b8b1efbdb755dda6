"""A batch of new events: what was before, what is after, and the rows that differ.

The heart of the live follower. For the touched volunteers the kernels run twice, on their shifts before and after the
batch; their rows are replaced, and station days and project months change by the exact difference. The caller's
transaction holds it all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import psycopg
from psycopg import sql

from ledger import events as ledger_events
from ledger.database import Database
from ledger.events import Event, StationOpened
from ledger.names import Position
from projections.calendar import day_number
from projections.read_models import ReadModels
from projections.rule_table import honor_ids
from projections.rules import RuleTimeline
from projections.schema import NO_DAY, STATION_COLUMNS, Longs
from replay import store
from replay.project_months import add_months, month_differences
from replay.rows import NO_ROWS, Rows, rows_of
from replay.touched import Circle, Person, Shift, kind_of, person_of, read_circle, resolve_streams

_PEOPLE_SERVED = STATION_COLUMNS.index("people_served")
_WORD = 1 << 64
StationDays = dict[tuple[str, int], Longs]

_PUT_SHIFT = """
INSERT INTO replay.shifts (volunteer, shift, station, project, check_in, check_out, recorded_at, flags)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (volunteer, shift) DO UPDATE SET
  station = EXCLUDED.station, project = EXCLUDED.project, check_in = EXCLUDED.check_in, check_out = EXCLUDED.check_out,
  recorded_at = EXCLUDED.recorded_at, flags = EXCLUDED.flags
"""
_PUT_VOLUNTEER = """
INSERT INTO replay.volunteers (volunteer, registered, opening_day, opening_minutes, trained_1, trained_2, trained_3)
VALUES (%s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (volunteer) DO UPDATE SET
  registered = EXCLUDED.registered, opening_day = EXCLUDED.opening_day, opening_minutes = EXCLUDED.opening_minutes,
  trained_1 = EXCLUDED.trained_1, trained_2 = EXCLUDED.trained_2, trained_3 = EXCLUDED.trained_3
"""
_PUT_RAISE = "INSERT INTO replay.cap_raises (volunteer, day, raise_id, minutes) VALUES (%s, %s, %s, %s)"
_PUT_STATION = """
INSERT INTO replay.stations (station, kind) VALUES (%s, %s) ON CONFLICT (station) DO UPDATE SET kind = EXCLUDED.kind
"""
_GET_PEOPLE_SERVED = "SELECT people FROM replay.people_served WHERE (station, project, day) = (%s, %s, %s)"
_PUT_PEOPLE_SERVED = """
INSERT INTO replay.people_served (station, project, day, people) VALUES (%s, %s, %s, %s)
ON CONFLICT (station, project, day) DO UPDATE SET people = EXCLUDED.people
"""
_GET_KINDS = "SELECT station, kind FROM replay.stations WHERE station = ANY(%s)"
_GET_VOLUNTEERS_AT = "SELECT DISTINCT volunteer FROM replay.shifts WHERE station = ANY(%s)"
_GET_STATION_DAYS = """
SELECT station, day - date '1970-01-01',
       shifts, volunteers, raw_minutes, counted_minutes, credited_minutes, people_served
FROM {} WHERE (station, day) IN (SELECT s, date '1970-01-01' + d FROM unnest(%s::text[], %s::int[]) AS t(s, d))
"""
_DROP_STATION_DAYS = """
DELETE FROM {}
WHERE (station, day) IN (SELECT s, date '1970-01-01' + d FROM unnest(%s::text[], %s::int[]) AS t(s, d))
"""


class Batch:
    """One batch: what was before, what is after, and the rows that differ."""

    def __init__(
        self,
        database: Database,
        connection: psycopg.Connection[Any],
        generation: store.Generation,
        events: Sequence[Event],
        position: Position,
    ) -> None:
        self.connection = connection
        self.generation = generation
        self.timeline = generation.timeline()
        self.position = position
        self.events = events
        volunteers = dict.fromkeys(volunteer for event in events if (volunteer := person_of(event)))
        volunteers |= dict.fromkeys(self._of_changed_stations())
        self.before = read_circle(connection, volunteers)
        keys = dict.fromkeys((e.volunteer, e.shift) for e in events if isinstance(e, ledger_events.ShiftEvent))
        self.changed_shifts = resolve_streams(database.log, keys, position)
        self.after = _after(self.before, self.changed_shifts, events)

    def apply(self) -> None:
        """Write the rows that differ, the facts they come from, and the position."""
        old = self.before.read_models(self.timeline)
        new = self.after.read_models(self.timeline)
        days = _difference(old, new, self.before, self.after)
        served = self._people_served()
        for (station, _, day), people in served.items():
            days.setdefault((station, day), np.zeros(len(STATION_COLUMNS), np.int64))[_PEOPLE_SERVED] += people
        months = month_differences(
            (old, self.before.tables.project_names.texts()), (new, self.after.tables.project_names.texts()), served
        )
        checksum = self.generation.checksum
        checksum += self._replace_station_days({key: change for key, change in days.items() if change.any()})
        checksum += add_months(self.connection, self.generation, months)
        checksum += self._replace_volunteers(
            _rows(old, self.before, self.timeline), _rows(new, self.after, self.timeline)
        )
        self._write_facts()
        store.move_to(self.connection, self.generation, self.position, checksum % _WORD)

    def _of_changed_stations(self) -> list[str]:
        """Return who ever served at a station that is now of another kind: kinds decide factors, back to the first
        shift.
        """
        opened = {event.station: kind_of(event) for event in self.events if isinstance(event, StationOpened)}
        known = dict(self.connection.execute(_GET_KINDS, (list(opened),)).fetchall())
        changed = [station for station, kind in known.items() if opened[station] != kind]
        return [row[0] for row in self.connection.execute(_GET_VOLUNTEERS_AT, (changed,))] if changed else []

    def _people_served(self) -> dict[tuple[str, str, int], int]:
        """Record counts of people served, the last of which stands; return by how much they change, by station,
        project ("" for none) and day.
        """
        changes: dict[tuple[str, str, int], int] = {}
        for event in self.events:
            if not isinstance(event, ledger_events.PeopleServedCounted):
                continue
            key = event.station, event.project or "", day_number(event.day)
            row = self.connection.execute(_GET_PEOPLE_SERVED, key).fetchone()
            self.connection.execute(_PUT_PEOPLE_SERVED, (*key, event.people))
            changes[key] = changes.get(key, 0) + event.people - (row[0] if row else 0)
        return changes

    def _replace_station_days(self, changes: StationDays) -> int:
        """Add exact differences to station days; return the change of the checksum."""
        if not changes:
            return 0
        table = sql.Identifier(self.generation.schema, "station_activity")
        stations, days = zip(*changes, strict=True)
        keys = list(stations), list(days)
        known = {
            (row[0], row[1]): np.array(row[2:], np.int64)
            for row in self.connection.execute(sql.SQL(_GET_STATION_DAYS).format(table), keys)
        }
        self.connection.execute(sql.SQL(_DROP_STATION_DAYS).format(table), keys)
        sums = {key: known.get(key, 0) + change for key, change in changes.items()}
        old, new = _station_rows(known), _station_rows({key: row for key, row in sums.items() if row.any()})
        store.copy_table(self.connection, table, new.tables()["station_activity"])
        return new.checksum() - old.checksum()

    def _replace_volunteers(self, old: Rows, new: Rows) -> int:
        """Replace the rows of the touched volunteers; return the change of the checksum."""
        volunteers = list(self.after.persons)
        for name in ("volunteer_hours", "honor_standings"):
            place = sql.Identifier(self.generation.schema, name)
            self.connection.execute(sql.SQL("DELETE FROM {} WHERE volunteer = ANY(%s)").format(place), (volunteers,))
            store.copy_table(self.connection, place, new.tables()[name])
        return new.checksum() - old.checksum()

    def _write_facts(self) -> None:
        """Bring the facts outside generations to the batch's end."""
        cursor = self.connection.cursor()
        cursor.executemany(_PUT_SHIFT, [_shift_row(shift) for shift in self.changed_shifts.values()])
        changed = {name: person for name, person in self.after.persons.items() if person != self.before.persons[name]}
        cursor.executemany(_PUT_VOLUNTEER, [_person_row(name, person) for name, person in changed.items()])
        for name, person in changed.items():
            if person.raises != self.before.persons[name].raises:
                self.connection.execute("DELETE FROM replay.cap_raises WHERE volunteer = %s", (name,))
                raises = [(name, day, raise_id, minutes) for (day, raise_id), minutes in person.raises.items()]
                cursor.executemany(_PUT_RAISE, raises)
        opened = [event for event in self.events if isinstance(event, StationOpened)]
        cursor.executemany(_PUT_STATION, [(event.station, kind_of(event)) for event in opened])


def _after(before: Circle, changed: dict[tuple[str, Any], Shift], events: Sequence[Event]) -> Circle:
    """Return the circle as it is when the batch has been taken in."""
    persons = {name: _copy(person) for name, person in before.persons.items()}
    kinds = dict(before.kinds)
    for event in events:
        if (volunteer := person_of(event)) is not None:
            persons[volunteer].apply(event)
        if isinstance(event, StationOpened):
            kinds[event.station] = kind_of(event)
    return Circle(persons, before.shifts | changed, kinds)


def _copy(person: Person) -> Person:
    return Person(
        person.registered, person.opening_day, person.opening_minutes, list(person.trained), dict(person.raises)
    )


def _difference(old: ReadModels, new: ReadModels, before: Circle, after: Circle) -> StationDays:
    """Return new minus old, by station and day."""
    days: StationDays = {}
    for models, circle, sign in ((old, before, -1), (new, after, 1)):
        names = circle.tables.station_names.texts()
        for station, day in zip(*np.nonzero(models.stations.any(axis=2)), strict=True):
            key = names[station], int(day) + models.first_day
            days[key] = days.get(key, 0) + sign * models.stations[station, day]
    return days


def _rows(models: ReadModels, circle: Circle, timeline: RuleTimeline) -> Rows:
    """Return the rows of volunteers; station days and project months are differences and go another way."""
    nothing = models._replace(stations=models.stations[:0], projects=models.projects[:0])
    return rows_of(nothing, list(circle.persons), [], honor_ids(timeline), [])


def _station_rows(days: StationDays) -> Rows:
    columns = np.array([[day, *sums] for (_, day), sums in days.items()], np.int64).reshape(
        -1, 1 + len(STATION_COLUMNS)
    )
    return NO_ROWS._replace(station=[station for station, _ in days], stations=columns)


def _shift_row(shift: Shift) -> tuple[Any, ...]:
    return (
        shift.volunteer,
        shift.shift,
        shift.station,
        shift.project,
        shift.check_in,
        shift.check_out,
        shift.recorded_at,
        shift.flags,
    )


def _person_row(name: str, person: Person) -> tuple[Any, ...]:
    days = [None if day == NO_DAY else day for day in (person.registered, person.opening_day, *person.trained)]
    return name, days[0], days[1], person.opening_minutes, *days[2:]
