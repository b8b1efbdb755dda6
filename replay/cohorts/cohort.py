"""Cohorts: the facts and shifts of some volunteers, read from the store, and shifts resolved from the log.

The follower and the queries about a single volunteer start here. Shifts with new events are resolved again from their
complete streams, so that no event is folded twice; every other fact is one row. This module only reads.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from typing import Any
from uuid import UUID

import numpy as np
from psycopg import Connection

from ledger.aggregates import Event
from ledger.aggregates.day_cap import DayCapEvent, DayCapRaised, DayCapRaiseWithdrawn
from ledger.aggregates.opening_balance import OpeningBalanceEvent, OpeningBalanceRecorded, OpeningBalanceVoided
from ledger.aggregates.shift import ShiftEvent
from ledger.aggregates.volunteer import TrainingCompleted, TrainingVoided, VolunteerEvent, VolunteerRegistered
from ledger.names import Position, shift_stream
from ledger.store.log_queries import LogQueries, RecordedEvent
from ledger.store.mapper import decode
from projections.kernels.facts import FactsBuilder, first_training_days
from projections.kernels.order import order_shifts
from projections.kernels.pairing import Paired, pair
from projections.kernels.persons import by_person, empty_numbers, person_numbers
from projections.kernels.read_models import ReadModels, compute, pieces_of
from projections.kernels.station_kinds import Openings, StationKinds, kinds_of
from projections.local_time import day_number, zone_table
from projections.rules.table import RuleTable, rule_table
from projections.rules.timeline import RuleTimeline
from projections.schema import (
    DOUBLE_TAP,
    NO_DAY,
    NO_INSTANT,
    NONE,
    PAIRED,
    PUNCH,
    TIERS,
    UNKNOWN_KIND,
    VOID,
    Array,
    Ints,
    ShiftTable,
    VolunteerTable,
)
from replay.cohorts.merges import Merges, linked, pairs_in_force, read_merges
from replay.cohorts.shift_columns import Shift, ShiftKey, ShiftNames, Shifts, read_shifts, text_array

__all__ = [
    "Cohort",
    "PairedTables",
    "Person",
    "Shift",
    "ShiftKey",
    "Shifts",
    "decoded",
    "in_log_order",
    "person_of",
    "read_cohort",
    "read_kinds",
    "read_persons",
    "resolve_events",
    "resolve_streams",
]


@dataclass
class Person:
    """The facts of one volunteer number other than shifts. Days are days since 1970-01-01, `NO_DAY` means never."""

    registered: int = NO_DAY
    opening_day: int = NO_DAY
    opening_minutes: int = 0
    trained: list[int] = field(default_factory=lambda: [NO_DAY] * len(TIERS))
    raises: dict[tuple[int, str], int] = field(default_factory=dict)  # by day and raise
    trainings: Counter[tuple[int, int]] = field(default_factory=Counter, compare=False)
    """The number of valid records by tier and day, of the events folded here; the store has only their first days."""

    def copy(self) -> Person:
        """Return an independent copy."""
        return replace(self, trained=list(self.trained), raises=dict(self.raises), trainings=Counter(self.trainings))

    def apply(self, event: Event) -> None:
        """Fold one more event of this volunteer. Voiding a training requires that all training events were folded."""
        match event:
            case VolunteerRegistered():
                if self.registered == NO_DAY:
                    self.registered = day_number(event.registered_on)
            case TrainingCompleted():
                self.trainings[TIERS[event.tier], day_number(event.completed_on)] += 1
                for tier in range(TIERS[event.tier]):
                    self.trained[tier] = min(self.trained[tier], day_number(event.completed_on))
            case TrainingVoided():
                self.trainings[TIERS[event.tier], day_number(event.completed_on)] -= 1
                self.trained = first_training_days(+self.trainings)
            case OpeningBalanceRecorded():
                self.opening_day, self.opening_minutes = day_number(event.as_of), event.minutes
            case OpeningBalanceVoided():
                self.opening_day, self.opening_minutes = NO_DAY, 0
            case DayCapRaised():
                self.raises[day_number(event.day), event.raise_id] = event.minutes
            case DayCapRaiseWithdrawn():
                self.raises.pop((day_number(event.day), event.raise_id), None)
            case _:
                pass


@dataclass
class Cohort:
    """Some volunteers with everything that decides their hours, by number. It contains whole persons: with a number,
    all numbers it was merged with. Must not be modified after the first use of `tables`, which is cached.
    """

    persons: dict[str, Person]
    shifts: Mapping[ShiftKey, Shift]
    kinds: dict[str, Openings]  # of all stations
    names: ShiftNames | None = None
    """Surrogates shared with another cohort of the same volunteers, so that the two can be compared as columns."""
    merges: Merges = field(default_factory=dict)

    def restricted_to(self, volunteer: str) -> Cohort:
        """Return the person with this number only: the number and all that are merged with it."""
        numbers = linked([volunteer], pairs_in_force(self.merges))
        if len(numbers) == len(self.persons):
            return self
        return Cohort(
            {name: person for name, person in self.persons.items() if name in numbers},
            Shifts.of(shift for (volunteer, _), shift in self.shifts.items() if volunteer in numbers),
            self.kinds,
            merges={pair: stands for pair, stands in self.merges.items() if stands and pair[0] in numbers},
        )

    @cached_property
    def tables(self) -> CohortTables:
        """The cohort as tables for kernels."""
        return CohortTables(self)

    def read_models(self, timeline: RuleTimeline, valid_until: int = NO_DAY) -> ReadModels:
        """Compute the read models of these volunteers, without people served."""
        tables = self.tables
        paired = tables.paired(timeline)
        return compute(
            paired.table,
            tables.volunteers,
            tables.station_kinds(timeline),
            paired.rules,
            np.empty((0, 4), np.int32),
            valid_until=valid_until,
        )


class CohortTables:
    """A cohort as tables for kernels, with the names of the surrogates."""

    def __init__(self, cohort: Cohort) -> None:
        columns = cohort.shifts if isinstance(cohort.shifts, Shifts) else Shifts.of(cohort.shifts.values())
        self.columns = columns
        """The shifts and punches before they are paired."""
        names = cohort.names or ShiftNames.starting_with(cohort.persons, cohort.kinds)
        self.volunteer_names, self.station_names, self.project_names = names
        self._resolved = columns.numbered(names)
        number = self.volunteer_names.number
        pairs = [
            (number[volunteer], number[into])
            for volunteer, into in pairs_in_force(cohort.merges)
            if volunteer in cohort.persons
        ]
        self.person_of = person_numbers(pairs, len(number))
        self.volunteers = _volunteer_table(cohort.persons, self.person_of)
        self._openings = [cohort.kinds.get(name, {}) for name in self.station_names.texts()]
        self._ordered: ShiftTable = order_shifts(
            self._resolved,
            self.volunteer_names,
            lambda numbers: (columns.high[numbers], columns.low[numbers]),
            person_of=self.person_of,
        )
        self._paired: PairedTables | None = None

    def paired(self, timeline: RuleTimeline) -> PairedTables:
        """Return the shifts as a timeline pairs them; those of the last timeline are cached."""
        if self._paired is None or self._paired.timeline is not timeline:
            rules = rule_table(timeline, self.project_names.number)
            self._paired = PairedTables(self, timeline, rules, pair(self._ordered, self._resolved, rules))
        return self._paired

    def station_kinds(self, timeline: RuleTimeline) -> StationKinds:
        """Return the kinds of stations, by the days of a timeline's time zone."""
        return kinds_of(self._openings, zone_table(timeline.time_zone))

    def person(self, volunteer: str) -> int:
        """Return the surrogate of the person (the final number) of a volunteer."""
        number = self.volunteer_names.number[volunteer]
        return number if self.person_of is None else int(self.person_of[number])

    def pieces(self, volunteer: str, timeline: RuleTimeline) -> Ints:
        """Return the pieces of the person with this number, as `projections.kernels.read_models.pieces_of`."""
        return self.paired(timeline).pieces(volunteer)


class PairedTables:
    """A cohort's shifts as paired by a timeline. Pieces refer to rows of `table`, its rows to those of `columns`."""

    def __init__(self, tables: CohortTables, timeline: RuleTimeline, rules: RuleTable, paired: Paired) -> None:
        self.timeline = timeline
        self.rules = rules
        self.table = paired.table
        own = tables.columns
        # Pairing changes no names, so these columns keep the surrogates of the cohort's own shifts.
        self.columns = own
        if len(paired.partner):
            changed = own.columns._replace(
                check_in=paired.shifts.check_in, check_out=paired.shifts.check_out, flags=paired.shifts.flags
            )
            self.columns = Shifts(own.names, changed, own.high, own.low)
        self._partner = paired.partner
        self._tables = tables

    def partner(self, number: int) -> int | None:
        """Return the number of the punch that ends a shift, or of the shift that a punch ends."""
        found = int(self._partner[number]) if len(self._partner) else NONE
        return None if found == NONE else found

    def partner_of(self, key: ShiftKey) -> Shift | None:
        """Return the punch that ends a shift, or the shift that a punch ends."""
        number = self.partner(self.columns.row(key))
        return None if number is None else self.columns.shift(number)

    def shift_of(self, key: ShiftKey) -> UUID | None:
        """Return the shift that a punch begins or ends, or None."""
        if key not in self.columns:
            return None
        punch, partner = self.columns[key], self.partner_of(key)
        if punch.flags & (DOUBLE_TAP | VOID):
            return None
        if punch.check_in is not None:
            return punch.shift
        return None if partner is None else partner.shift

    @cached_property
    def are_shifts(self) -> Array:
        """bool[n]: whether each is more than a punch that ended a shift."""
        columns = self.columns.columns
        ended: Array = (columns.flags & PAIRED > 0) & (columns.flags & PUNCH > 0) & (columns.check_in == NO_INSTANT)
        return ~ended

    @cached_property
    def shifts(self) -> Sequence[Shift]:
        """All shifts as objects, by their numbers in `table.shift`."""
        return [self.columns.shift(row) for row in range(len(self.columns))]

    def pieces(self, volunteer: str) -> Ints:
        """Return the pieces of the person with this number, as `projections.kernels.read_models.pieces_of`."""
        tables = self._tables
        number = tables.person(volunteer)
        return pieces_of(number, self.table, tables.volunteers, tables.station_kinds(self.timeline), self.rules)


def _volunteer_table(persons: dict[str, Person], person_of: Ints | None) -> VolunteerTable:
    table = empty_numbers(len(persons))
    for number, person in enumerate(persons.values()):
        table.registered[number] = person.registered
        table.opening_day[number] = person.opening_day
        table.opening_minutes[number] = person.opening_minutes
        table.trained[number] = person.trained
    raises = (
        (number, day, minutes)
        for number, person in enumerate(persons.values())
        for (day, _), minutes in person.raises.items()
    )
    return by_person(table, person_of, raises)


# --- from the store -------------------------------------------------------------------------------------------------


def read_cohort(connection: Connection[Any], volunteers: Iterable[str]) -> Cohort:
    """Read volunteers from the store, at the current generation's position; with all numbers they were ever merged
    with, which is needed to derive the cohort as known earlier.
    """
    requested = list(volunteers)
    merges = read_merges(connection, requested)
    numbers = linked(requested, merges)
    persons, shifts = read_persons(connection, numbers), read_shifts(connection, numbers)
    return Cohort(persons, shifts, read_kinds(connection), merges=merges)


def read_persons(connection: Connection[Any], volunteers: Sequence[str]) -> dict[str, Person]:
    """Read the facts of volunteers other than shifts; an unknown volunteer gets an empty `Person`."""
    names = text_array(volunteers)
    persons = {volunteer: Person() for volunteer in volunteers}
    for name, registered, day, minutes, *trained in connection.execute(
        "SELECT volunteer, registered, opening_day, opening_minutes, trained_1, trained_2, trained_3 "
        "FROM replay.volunteers WHERE volunteer = ANY(%s::text[])",
        (names,),
    ).fetchall():
        persons[name] = Person(_day(registered), _day(day), minutes, [_day(tier) for tier in trained])
    for name, day, raise_id, minutes in connection.execute(
        "SELECT volunteer, day, raise_id, minutes FROM replay.cap_raises WHERE volunteer = ANY(%s::text[])", (names,)
    ).fetchall():
        persons[name].raises[day, raise_id] = minutes
    return persons


def read_kinds(connection: Connection[Any]) -> dict[str, Openings]:
    """Read the openings of all stations. A station that was never opened has none."""
    kinds: dict[str, dict[int, int]] = {}
    for name, opened_at, kind in connection.execute(
        "SELECT station, opened_at, kind FROM replay.stations ORDER BY station"
    ).fetchall():
        openings = kinds.setdefault(name, {})
        if kind != UNKNOWN_KIND:
            openings[opened_at] = kind
    return dict(kinds)


def _day(value: int | None) -> int:
    return NO_DAY if value is None else value


# --- from the log ---------------------------------------------------------------------------------------------------


def resolve_streams(log: LogQueries, keys: Iterable[ShiftKey], until: Position) -> Shifts:
    """Resolve shifts from their streams in the log, as known at a position. A shift without events has no entry."""
    return resolve_events(decoded(in_log_order(log, [shift_stream(*key) for key in keys], until)))


def decoded(recorded: Iterable[RecordedEvent]) -> Iterable[tuple[Position, Event]]:
    """Return events with their positions."""
    return ((entry.position, decode(entry.topic, entry.state)) for entry in recorded)


def resolve_events(*events: Iterable[tuple[Position, Event]]) -> Shifts:
    """Resolve shifts from all their events, given in log order."""
    builder = FactsBuilder()
    for position, event in chain(*events):
        builder.add(position, event)
    facts = builder.facts()
    resolved = facts.resolved()
    names = ShiftNames(facts.volunteers, facts.stations, facts.projects)
    return Shifts(names, resolved, *facts.shift_keys(np.arange(len(resolved.flags), dtype=np.int32)))


def in_log_order(log: LogQueries, streams: Iterable[UUID], until: Position) -> list[RecordedEvent]:
    """Return the events of several streams, ordered by position."""
    found = log.read_streams(list(streams), until=until)
    return sorted((event for events in found.values() for event in events), key=lambda event: event.position)


def person_of(event: Event) -> str | None:
    """Return the volunteer whose hours an event may change, if any."""
    relevant = (
        ShiftEvent,
        VolunteerEvent,
        OpeningBalanceEvent,
        DayCapEvent,
    )
    return event.volunteer if isinstance(event, relevant) else None
