"""Touched volunteers: the facts and shifts of some volunteers, read from the store, before and after some events.

The follower and the reader of a single volunteer both start here. Shifts whose streams grew are resolved again from
the log, so that no event is folded twice; everything else is one row per fact. This module reads; it writes nothing.
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
from ledger.aggregates.station import StationOpened
from ledger.aggregates.volunteer import TrainingCompleted, TrainingVoided, VolunteerEvent, VolunteerRegistered
from ledger.names import Position, shift_stream
from ledger.store.log_queries import LogQueries, RecordedEvent
from ledger.store.mapper import decode
from projections.kernels.facts import UNKNOWN_KIND, FactsBuilder, first_trained
from projections.kernels.order import order_shifts
from projections.kernels.persons import by_person, empty_numbers, going_on
from projections.kernels.read_models import ReadModels, compute, pieces_of
from projections.local_time import day_number
from projections.rules.table import rule_table
from projections.rules.timeline import RuleTimeline
from projections.schema import NO_DAY, STATION_KINDS, TIERS, Ints, ShiftTable, VolunteerTable
from replay.cohorts.merges import Merges, linked, read_merges, standing
from replay.cohorts.shift_columns import Shift, ShiftKey, ShiftNames, Shifts, read_shifts, text_array

__all__ = [
    "Cohort",
    "Person",
    "Shift",
    "ShiftKey",
    "Shifts",
    "decoded",
    "in_log_order",
    "kind_of",
    "person_of",
    "read_cohort",
    "read_kinds",
    "read_persons",
    "resolve_events",
    "resolve_streams",
]


@dataclass
class Person:
    """What is true of one volunteer number beside shifts. Days are days since 1970-01-01, `NO_DAY` means never."""

    registered: int = NO_DAY
    opening_day: int = NO_DAY
    opening_minutes: int = 0
    trained: list[int] = field(default_factory=lambda: [NO_DAY] * len(TIERS))
    raises: dict[tuple[int, str], int] = field(default_factory=dict)  # by day and raise
    trainings: Counter[tuple[int, int]] = field(default_factory=Counter, compare=False)
    """How many records of a tier and day stand, of those folded here: the store keeps their first days alone."""

    def copy(self) -> Person:
        """Return a copy that can be changed."""
        return replace(self, trained=list(self.trained), raises=dict(self.raises), trainings=Counter(self.trainings))

    def apply(self, event: Event) -> None:
        """Fold one more event of this volunteer. A void of training needs all events of trainings to be folded here."""
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
                self.trained = first_trained(+self.trainings)
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
    """Some volunteers with all that decides their hours, by number; whole persons: with a number there are all it was
    merged with. Not to be changed once its `tables` were asked for.
    """

    persons: dict[str, Person]
    shifts: Mapping[ShiftKey, Shift]
    kinds: dict[str, int]  # of all stations
    names: ShiftNames | None = None
    """Numbers to use, shared with another circle of the same volunteers: the two can then be compared as columns."""
    merges: Merges = field(default_factory=dict)

    def alone(self, volunteer: str) -> Cohort:
        """Return the person alone who has this number: those numbers that stand together with it."""
        mine = linked([volunteer], standing(self.merges))
        if len(mine) == len(self.persons):
            return self
        return Cohort(
            {name: person for name, person in self.persons.items() if name in mine},
            Shifts.of(shift for (volunteer, _), shift in self.shifts.items() if volunteer in mine),
            self.kinds,
            merges={pair: stands for pair, stands in self.merges.items() if stands and pair[0] in mine},
        )

    @cached_property
    def tables(self) -> CohortTables:
        """Number the names and order the shifts, as the kernels want it."""
        return CohortTables(self)

    def read_models(self, timeline: RuleTimeline, valid_until: int = NO_DAY) -> ReadModels:
        """Compute the read models of these volunteers alone; people served are left to the caller."""
        tables = self.tables
        return compute(
            tables.table,
            tables.volunteers,
            tables.station_kinds,
            rule_table(timeline, tables.project_names.number),
            np.empty((0, 4), np.int32),
            valid_until=valid_until,
        )


class CohortTables:
    """A circle in the kernels' form, with the names behind the numbers."""

    def __init__(self, circle: Cohort) -> None:
        columns = circle.shifts if isinstance(circle.shifts, Shifts) else Shifts.of(circle.shifts.values())
        self.columns = columns
        names = circle.names or ShiftNames.beginning(circle.persons, circle.kinds)
        self.volunteer_names, self.station_names, self.project_names = names
        resolved = columns.numbered(names)
        number = self.volunteer_names.number
        pairs = [(number[one], number[into]) for one, into in standing(circle.merges) if one in circle.persons]
        self.goes_on = going_on(pairs, len(number))
        self.volunteers = _volunteer_table(circle.persons, self.goes_on)
        kinds = [circle.kinds.get(name, UNKNOWN_KIND) for name in self.station_names.texts()]
        self.station_kinds: Ints = np.array(kinds, np.int32)
        self.table: ShiftTable = order_shifts(
            resolved,
            self.volunteer_names,
            lambda numbers: (columns.high[numbers], columns.low[numbers]),
            goes_on=self.goes_on,
        )

    @cached_property
    def shifts(self) -> Sequence[Shift]:
        """All shifts as objects, by their numbers in `table.shift`."""
        return [self.columns.shift(row) for row in range(len(self.columns))]

    def person(self, volunteer: str) -> int:
        """Return the number of the name that a volunteer goes on as."""
        number = self.volunteer_names.number[volunteer]
        return number if self.goes_on is None else int(self.goes_on[number])

    def pieces(self, volunteer: str, timeline: RuleTimeline) -> Ints:
        """Return the pieces of the person who has this number, as `projections.kernels.read_models.pieces_of`."""
        number = self.person(volunteer)
        rules = rule_table(timeline, self.project_names.number)
        return pieces_of(number, self.table, self.volunteers, self.station_kinds, rules)


def _volunteer_table(persons: dict[str, Person], goes_on: Ints | None) -> VolunteerTable:
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
    return by_person(table, goes_on, raises)


# --- from the store -------------------------------------------------------------------------------------------------


def read_cohort(connection: Connection[Any], volunteers: Iterable[str]) -> Cohort:
    """Read volunteers as the store knows them, that is at the current generation's position; with all numbers they
    were ever merged with, so that the circle can be told as known earlier.
    """
    asked = list(volunteers)
    merges = read_merges(connection, asked)
    wanted = linked(asked, merges)
    persons, shifts = read_persons(connection, wanted), read_shifts(connection, wanted)
    return Cohort(persons, shifts, read_kinds(connection), merges=merges)


def read_persons(connection: Connection[Any], volunteers: Sequence[str]) -> dict[str, Person]:
    """Read what is true of volunteers beside shifts; of one who is not known nothing is."""
    wanted = text_array(volunteers)
    persons = {volunteer: Person() for volunteer in volunteers}
    for name, registered, day, minutes, *trained in connection.execute(
        "SELECT volunteer, registered, opening_day, opening_minutes, trained_1, trained_2, trained_3 "
        "FROM replay.volunteers WHERE volunteer = ANY(%s::text[])",
        (wanted,),
    ).fetchall():
        persons[name] = Person(_day(registered), _day(day), minutes, [_day(tier) for tier in trained])
    for name, day, raise_id, minutes in connection.execute(
        "SELECT volunteer, day, raise_id, minutes FROM replay.cap_raises WHERE volunteer = ANY(%s::text[])", (wanted,)
    ).fetchall():
        persons[name].raises[day, raise_id] = minutes
    return persons


def read_kinds(connection: Connection[Any]) -> dict[str, int]:
    """Read the kinds of all stations."""
    return dict(connection.execute("SELECT station, kind FROM replay.stations ORDER BY station").fetchall())


def _day(value: int | None) -> int:
    return NO_DAY if value is None else value


# --- from the log ---------------------------------------------------------------------------------------------------


def resolve_streams(log: LogQueries, keys: Iterable[ShiftKey], until: Position) -> Shifts:
    """Resolve shifts from their streams in the log, as known at a position. A shift without events has no entry."""
    return resolve_events(decoded(in_log_order(log, [shift_stream(*key) for key in keys], until)))


def decoded(recorded: Iterable[RecordedEvent]) -> Iterable[tuple[Position, Event]]:
    """Return events with their positions."""
    return ((one.position, decode(one.topic, one.state)) for one in recorded)


def resolve_events(*events: Iterable[tuple[Position, Event]]) -> Shifts:
    """Resolve shifts from all that is known of them, in log order."""
    builder = FactsBuilder()
    for position, event in chain(*events):
        builder.add(position, event)
    facts = builder.facts()
    resolved = facts.resolved()
    names = ShiftNames(facts.volunteers, facts.stations, facts.projects)
    return Shifts(names, resolved, *facts.shift_keys(np.arange(len(resolved.flags), dtype=np.int32)))


def in_log_order(log: LogQueries, streams: Iterable[UUID], until: Position) -> list[RecordedEvent]:
    """Return the events of several streams by position."""
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


def kind_of(event: StationOpened) -> int:
    """Return a station's kind as the kernels know it."""
    return STATION_KINDS[event.kind]
