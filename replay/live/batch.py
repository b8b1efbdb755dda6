"""A batch of new events: the state before, the state after, and the rows that differ.

This is the core of the follower. For the affected volunteers the kernels run twice, on their shifts before and after
the batch; the exact difference is added to their hours, to station days and to project months. Only shifts that the
batch can affect are read (replay/cohorts/change_windows.py); volunteers who may have gained or lost an honour are read
completely (replay/live/standings.py). Everything happens in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any
from uuid import UUID

import numpy as np
import psycopg

from ledger.aggregates import Event
from ledger.aggregates.shift import ShiftEvent
from ledger.aggregates.station import StationOpened
from ledger.aggregates.volunteer import TrainingVoided, VolunteerMerged, VolunteerMergeUndone
from ledger.names import Position, stream
from ledger.store.log_queries import LogQueries, RecordedEvent
from projections.kernels.read_models import ReadModels
from projections.kernels.station_kinds import Openings, add_opening
from projections.rules.table import honor_ids, rule_table
from projections.rules.timeline import parse_timeline
from projections.schema import PUNCH, STATION_COLUMNS, Longs
from replay.cohorts.change_windows import margin_seconds, windows
from replay.cohorts.cohort import (
    Cohort,
    Person,
    decoded,
    in_log_order,
    person_of,
    read_kinds,
    read_persons,
    resolve_events,
)
from replay.cohorts.merges import Pair, apply_events, final_numbers, linked, pairs_in_force, read_merges
from replay.cohorts.shift_columns import ShiftNames, Shifts, read_shifts
from replay.generations import store
from replay.live.facts import by_person, count_people_served, extents, volunteers_of_changed_stations, write_facts
from replay.live.hours import Changes, add_hours, add_station_days
from replay.live.project_months import add_months, month_differences
from replay.live.standings import ChangedPersons, StandingRow, may_have_changed, replace_standings

_PEOPLE_SERVED = STATION_COLUMNS.index("people_served")
_WORD = 1 << 64
_DAY_SECONDS = 86_400
_DAYS = 1 << 20
"""Greater than any day or year number, so that number * `_DAYS` + day is a unique key."""
_timeline = lru_cache(maxsize=4)(parse_timeline)


class Batch:
    """One batch: the state before, the state after, and the rows that differ."""

    def __init__(
        self,
        log: LogQueries,
        connection: psycopg.Connection[Any],
        generation: store.Generation,
        recorded: Sequence[RecordedEvent],
        events: Sequence[Event],
    ) -> None:
        """Read the data that the events affect.

        Args:
            recorded, events: the events after the generation's position, without a gap, as stored and decoded.
        """
        self.connection = connection
        self.generation = generation
        self.timeline = _timeline(generation.rules_text)
        self.position = recorded[-1].position
        self.events = events
        self.known, self.changed = _resolved(log, generation, recorded, events)
        partly = self._find_affected()
        volunteers = [*self.complete, *self.partial]
        persons, kinds = read_persons(connection, volunteers), read_kinds(connection)
        persons_after, kinds_after = _after(persons, kinds, events)
        for volunteer in {event.volunteer for event in events if isinstance(event, TrainingVoided)}:
            person = Person()  # which trainings remain after a void depends on all events
            for _, event in decoded(in_log_order(log, [stream("volunteer", volunteer)], self.position)):
                person.apply(event)
            persons_after[volunteer].trained = person.trained
        names = ShiftNames.starting_with(volunteers, kinds_after)
        parts = [read_shifts(connection, self.complete), partly]
        before = Shifts.joined(names, parts)
        after = Shifts.joined(names, [before.without(self.changed), self.changed])
        self.before = Cohort(persons, before, kinds, names, self.merges)
        self.after = Cohort(persons_after, after, kinds_after, names, self.merges_after)

    def _find_affected(self) -> Shifts:
        """Find the numbers to read completely, because something changed that affects all their service, and the
        windows to read of the others; return the shifts in these windows. A change of one number affects all numbers of
        its person. Numbers that are merged or unmerged are read completely, and so are all numbers they were or are
        merged with. So are persons with punches: one punch may pair all later ones otherwise.
        """
        others = [event for event in self.events if not isinstance(event, ShiftEvent)]
        named = [volunteer for event in others if (volunteer := person_of(event))]
        named += [event.into for event in others if isinstance(event, VolunteerMerged | VolunteerMergeUndone)]
        changed = volunteers_of_changed_stations(self.connection, self.events, self.timeline)
        complete = dict.fromkeys([*named, *changed])
        names = self.changed.names.volunteers.texts()
        self.merges = read_merges(self.connection, {*complete, *names})
        self.merges_after = apply_events(self.merges, others)
        pairs = {*pairs_in_force(self.merges), *pairs_in_force(self.merges_after)}
        self._divide(list(complete), pairs)
        partly = read_shifts(self.connection, self.partial, self.windows)
        punched = {name for shifts in (self.known, self.changed, partly) for name in _punched(shifts)}
        if punched:
            self._divide([*self.complete, *sorted(punched)], pairs)
            names, partial = partly.names.volunteers.texts(), set(self.partial)
            partly = partly.where(np.array([names[number] in partial for number in partly.columns.volunteer], bool))
        return partly

    def _divide(self, complete_names: list[str], pairs: Collection[Pair]) -> None:
        """Divide the affected numbers into those to read completely and the windows of the others."""
        names = self.changed.names.volunteers.texts()
        self.complete = linked(complete_names, pairs)
        complete = dict.fromkeys(self.complete)
        partial = [number for number, name in enumerate(names) if name not in complete]
        first, last = (edge[partial] for edge in extents(self.known, self.changed))
        found = by_person([names[number] for number in partial], first, last, self.merges_after)
        self.affected = ChangedPersons(found.persons, (found.first - margin_seconds(self.timeline)) // _DAY_SECONDS)
        self.partial = found.numbers
        self.windows = windows(found.first[found.owner], found.last[found.owner], self.timeline)

    def apply(self) -> None:
        """Write the changed rows, the facts they are derived from, and the position."""
        old, new = self.before.read_models(self.timeline), self.after.read_models(self.timeline)
        served = count_people_served(self.connection, self.events)
        projects = self.after.tables.project_names.texts()
        months = month_differences((old, projects), (new, projects), served)
        checksum = self.generation.checksum
        checksum += self._add_station_days(old, new, served)
        checksum += add_months(self.connection, self.generation, months)
        checksum += self._add_hours(old, new)
        write_facts(self.connection, self.before, self.after, (self.known, self.changed), self.events)
        checksum += self._replace_standings(new)
        store.move_to(self.connection, self.generation, self.position, checksum % _WORD)

    def _add_station_days(self, old: ReadModels, new: ReadModels, served: Mapping[tuple[str, str, int], int]) -> int:
        stations = self.after.tables.station_names
        people = np.zeros((len(served), len(STATION_COLUMNS)), np.int64)
        people[:, _PEOPLE_SERVED] = list(served.values())
        keys = [stations.add(station) * _DAYS + day for station, _, day in served]
        counted = np.array(keys, np.int64), people
        keys_and_sums = _summed(_station_days(old, -1), _station_days(new, 1), counted)
        changes = _named(stations.texts(), *keys_and_sums)
        return add_station_days(self.connection, self.generation, changes.where(np.asarray(changes.sums.any(axis=1))))

    def _add_hours(self, old: ReadModels, new: ReadModels) -> int:
        keys, sums = _summed(_hours(old, -1), _hours(new, 1))
        persons = keys // _DAYS
        before, after = (
            (np.diff(cohort.tables.volunteers.balances) > 0)[persons] for cohort in (self.before, self.after)
        )
        changed = sums.any(axis=1) | (before != after)
        changes = _named(list(self.after.persons), keys, sums).where(changed)
        return add_hours(self.connection, self.generation, changes, (before[changed], after[changed]))

    def _replace_standings(self, new: ReadModels) -> int:
        """Replace the standings of volunteers who were read completely, and of others whose standings may have changed,
        who are read completely now.
        """
        honors, rules = honor_ids(self.timeline), rule_table(self.timeline, {})
        persons, merges = self.after.persons, self.merges_after
        numbers: dict[str, list[Person]] = {}
        for final, person in zip(final_numbers(persons, merges), persons.values(), strict=True):
            numbers.setdefault(final, []).append(person)
        candidates = may_have_changed(self.connection, self.generation, self.affected, numbers, honors, rules)
        rows = self._standings(new, list(persons), set(self.complete))
        if candidates:
            read = dict.fromkeys(linked(list(candidates), pairs_in_force(merges)))
            cohort = Cohort(
                {name: persons[name] for name in read},
                read_shifts(self.connection, list(read)),
                self.after.kinds,
                merges={pair: stands for pair, stands in merges.items() if stands and pair[0] in read},
            )
            rows += self._standings(cohort.read_models(self.timeline), list(cohort.persons), candidates)
        volunteers = {*self.complete, *candidates}
        return replace_standings(self.connection, self.generation, volunteers, rows) if volunteers else 0

    def _standings(self, models: ReadModels, names: Sequence[str], volunteers: Collection[str]) -> list[StandingRow]:
        honors = honor_ids(self.timeline)
        rows = ((names[volunteer], honors[honor], day) for volunteer, honor, day in models.standings.tolist())
        return [row for row in rows if row[0] in volunteers]


def _resolved(
    log: LogQueries, generation: store.Generation, recorded: Sequence[RecordedEvent], events: Sequence[Event]
) -> tuple[Shifts, Shifts]:
    """Resolve the shifts of a batch: those known before it as they were then, and all as they are at its end.

    A stream whose first event is in the batch is complete; only the others are read from the log.
    """
    new = [(entry, event) for entry, event in zip(recorded, events, strict=True) if isinstance(event, ShiftEvent)]
    begun: set[UUID] = set()
    known: set[UUID] = set()
    for entry, _ in new:
        if entry.stream_id not in begun:
            (begun if entry.version == 1 else known).add(entry.stream_id)
    found = in_log_order(log, known, Position(generation.position)) if known else []
    earlier = list(decoded(found))
    return resolve_events(earlier), resolve_events(earlier, ((entry.position, event) for entry, event in new))


def _punched(shifts: Shifts) -> set[str]:
    """Return the numbers under which there are punches."""
    names = shifts.names.volunteers.texts()
    rows = np.flatnonzero(shifts.columns.flags & PUNCH)
    return {names[number] for number in shifts.columns.volunteer[rows].tolist()}


def _after(
    persons: Mapping[str, Person], kinds: Mapping[str, Openings], events: Iterable[Event]
) -> tuple[dict[str, Person], dict[str, Openings]]:
    """Return persons and openings of stations after the batch."""
    persons_after, kinds_after = dict(persons), dict(kinds)
    for event in events:
        if isinstance(event, StationOpened):
            add_opening(kinds_after, event)
        elif not isinstance(event, ShiftEvent) and (volunteer := person_of(event)) is not None:
            if persons_after[volunteer] is persons[volunteer]:
                persons_after[volunteer] = persons[volunteer].copy()
            persons_after[volunteer].apply(event)
    return persons_after, kinds_after


# --- sums, by number and day or year --------------------------------------------------------------------------------

_Sums = tuple[Longs, Longs]
"""Keys, int64[n], of numbers and days (or years); and the sums of each, int64[n, columns]."""


def _hours(models: ReadModels, sign: int) -> _Sums:
    return models.hours[:, 0] * _DAYS + models.hours[:, 1], sign * models.hours[:, 2:]


def _station_days(models: ReadModels, sign: int) -> _Sums:
    _, days, columns = models.stations.shape
    rows = np.unique(np.flatnonzero(models.stations) // columns)  # most of the table is empty
    return rows // days * _DAYS + rows % days + models.first_day, sign * models.stations.reshape(-1, columns)[rows]


def _summed(*parts: _Sums) -> _Sums:
    keys, rows = np.unique(np.concatenate([keys for keys, _ in parts]), return_inverse=True)
    sums = np.zeros((len(keys), parts[0][1].shape[1]), np.int64)
    np.add.at(sums, rows, np.concatenate([part for _, part in parts]))
    return keys, sums


def _named(names: Sequence[str], keys: Longs, sums: Longs) -> Changes:
    return Changes(np.array([*names], object)[keys // _DAYS], keys % _DAYS, sums)
