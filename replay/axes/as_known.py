"""Reading: what all queries share: the axes of time, one snapshot per answer, and a volunteer under any axes.

Under the axes of the present a volunteer is read from the store. Under another `known_at` the shifts that have changed
since are resolved again from the log's streams, and those begun since are left out: a volunteer of thousands of shifts
then costs little more than now. Nothing here writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID

import numpy as np
from psycopg import Connection

from ledger.aggregates import Event
from ledger.aggregates.station import StationOpened
from ledger.names import Position, shift_stream, stream
from ledger.store.database import Database
from ledger.store.log_queries import LogQueries
from ledger.store.mapper import decode
from projections.local_time import day_number
from projections.rules.timeline import RuleTimeline
from projections.schema import DAY, NO_DAY
from replay.axes import answers
from replay.cohorts.cohort import (
    Cohort,
    Person,
    decoded,
    in_log_order,
    kind_of,
    person_of,
    read_cohort,
    resolve_streams,
)
from replay.cohorts.merges import (
    Pair,
    goes_on_as,
    merge_events,
    merged_numbers,
    merges_known_at,
    read_all_merges,
    read_merges,
    standing,
)
from replay.cohorts.shift_columns import ShiftNames, Shifts
from replay.generations import store
from replay.published import Rules, published_rules


class MarkError(ValueError):
    """A page is to go on behind something that is no end of a page."""

    def __init__(self, text: str) -> None:
        super().__init__(f"after {text!r} is not the next_after of a page; leave it out to begin")


_NAMED_BY = {"volunteer": "number", "event": "position", "ranking": "name"}


class UnknownNameError(LookupError):
    """A volunteer, station, honour or shift the ledger does not know (as of the position asked for)."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"{kind} {name} is not known to the ledger; check the {_NAMED_BY.get(kind, 'id')}")
        self.kind = kind
        self.name = name


@dataclass(frozen=True)
class Axes:
    """The three axes of time. None means: all results, all events, the rules of the current generation."""

    valid_at: date | None = None
    known_at: Position | None = None
    rules: Rules | None = None

    @property
    def valid_until(self) -> int:
        """The last day whose results count, as a day number."""
        return NO_DAY if self.valid_at is None else day_number(self.valid_at)

    @property
    def current(self) -> bool:
        """Whether the current generation's rows answer."""
        return self.known_at is None and self.rules is None


NOW = Axes()


@dataclass(frozen=True)
class Known:
    """A volunteer as known at a position, and what the answer rests on: the whole person who has the number asked for.

    `circle` holds the person's numbers alone.
    """

    volunteer: str
    circle: Cohort
    rules: Rules
    timeline: RuleTimeline
    position: Position  # the axis `known_at`, never beyond what the read models have seen
    basis: answers.Basis
    merges: dict[Pair, Position] = field(default_factory=dict)
    """What makes the numbers of `circle` one person: pairs, each with the position of its event."""

    @property
    def goes_on_as(self) -> str | None:
        """The number that goes on, if the one asked for was merged into another."""
        person = goes_on_as(self.volunteer, self.circle.merges)
        return None if person == self.volunteer else person

    @property
    def numbers(self) -> list[str] | None:
        """All numbers of the person, in their order; None of one who has no other."""
        return sorted(self.circle.persons) if len(self.circle.persons) > 1 else None

    @property
    def registered(self) -> int:
        """The day on which the person was first registered."""
        return min(person.registered for person in self.circle.persons.values())

    def trained(self, tier: int) -> int:
        """Return the first day on which any number had completed a tier of at least so much."""
        return min(person.trained[tier - 1] for person in self.circle.persons.values())

    @property
    def balances(self) -> list[tuple[str, Person]]:
        """The numbers that have an opening balance, that of the latest day first."""
        found = [(name, one) for name, one in self.circle.persons.items() if one.opening_day != NO_DAY]
        return sorted(found, key=lambda each: (-each[1].opening_day, each[0]))

    @property
    def raised(self) -> dict[int, int]:
        """The greatest raise of the day's cap in force on a day, by day."""
        found: dict[int, int] = {}
        for person in self.circle.persons.values():
            for (day, _), minutes in person.raises.items():
                found[day] = max(minutes, found.get(day, 0))
        return found

    def told(self) -> dict[str, Any]:
        """Return what every answer about a person says (`answers.OfPerson`)."""
        merges = [answers.Merged(volunteer=one, into=into, position=at) for (one, into), at in self.merges.items()]
        return {
            **dict(self.basis),
            "volunteer": self.volunteer,
            "goes_on_as": self.goes_on_as,
            "numbers": self.numbers,
            "merges": sorted(merges, key=lambda merge: merge.position) or None,
        }

    def recorded_under(self, volunteer: str) -> str | None:
        """Return the number of a shift or balance, where it has to be said: of a person who has several."""
        return None if self.numbers is None else volunteer


@contextmanager
def snapshot(database: Database) -> Iterator[tuple[Connection[Any], store.Generation]]:
    """Read from one snapshot: an answer rests on one position, whatever the follower commits meanwhile.

    Raises:
        store.NoGenerationError
    """
    with database.pool.connection() as connection, connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        generation = store.current_generation(connection)
        if generation is None:
            raise store.NoGenerationError
        yield connection, generation


def position_known(axes: Axes, generation: store.Generation) -> Position:
    """Return the position whose knowledge answers: never beyond what the read models have seen."""
    return Position(generation.position if axes.known_at is None else min(generation.position, axes.known_at))


def rules_of(generation: store.Generation) -> Rules:
    """Return the rules a generation was made with."""
    return Rules(generation.rules_version, generation.rules_digest, generation.rules_text)


def rules_used(log: LogQueries, axes: Axes, generation: store.Generation) -> Rules:
    """Return the rules the axes name: by default those known at `known_at`."""
    if axes.rules is not None:
        return axes.rules
    if axes.known_at is None:
        return rules_of(generation)
    return published_rules(log, known_at=position_known(axes, generation))


def basis_of(axes: Axes, rules: Rules, generation: store.Generation) -> answers.Basis:
    """Return what every answer repeats."""
    return answers.Basis(
        valid_at=axes.valid_at,
        known_at=position_known(axes, generation),
        rules=answers.RulesUsed(name=rules.timeline().name, version=rules.version, digest=rules.digest),
        position=generation.position,
    )


def titles_of(timeline: RuleTimeline) -> dict[str, str]:
    """Return ids and titles of the honours of a timeline."""
    return {honor.id: honor.title for rule_set in timeline.rule_sets for honor in rule_set.honors}


def read_volunteer(database: Database, volunteer: str, axes: Axes) -> Known:
    """Read the person who has a number, under any axes.

    Raises:
        UnknownNameError: nobody of this number was registered then. store.NoGenerationError
    """
    with snapshot(database) as (connection, generation):
        circle = read_cohort(connection, [volunteer])
    rules, known_at = rules_used(database.log, axes, generation), position_known(axes, generation)
    timeline = rules.timeline()
    if known_at < generation.position:
        circle = cohort_known_at(database.log, circle, known_at, timeline)
    if circle.persons[volunteer].registered == NO_DAY:
        raise UnknownNameError("volunteer", volunteer)
    circle = circle.alone(volunteer)
    merges = merge_events(database.log, dict.fromkeys(standing(circle.merges), True), known_at)
    return Known(volunteer, circle, rules, timeline, known_at, basis_of(axes, rules, generation), merges)


def number_going_on(database: Database, volunteer: str, known_at: Position) -> str:
    """Return the number under which the rows of a volunteer stand, as known at a position that rows have reached."""
    with snapshot(database) as (connection, _):
        merges = read_merges(connection, [volunteer])
    return goes_on_as(volunteer, merges_known_at(database.log, merges, known_at))


def merged_known_at(database: Database, known_at: Position) -> dict[str, str]:
    """Return every number that did not go on as itself at a position that rows have reached, and as which it did."""
    with snapshot(database) as (connection, generation):
        merges = read_all_merges(connection)
    if known_at < generation.position:
        merges = merges_known_at(database.log, merges, known_at)
    return merged_numbers(merges)


def history_of(log: LogQueries, known: Known) -> list[tuple[Position, Event]]:
    """Return what happened to all numbers of a volunteer beside shifts, as known then, in log order."""
    streams = [stream("volunteer", number) for number in known.circle.persons]
    return list(decoded(in_log_order(log, streams, known.position)))


# --- as known at a position -----------------------------------------------------------------------------------------


def cohort_known_at(log: LogQueries, now: Cohort, known_at: Position, timeline: RuleTimeline) -> Cohort:
    """Return volunteers as known at a position, given the same of now, with all they were ever merged with."""
    shifts = _shifts_known_at(log, now, known_at)
    persons, kinds = _names_known_at(log, now.persons, shifts.names.stations.texts(), known_at)
    merges = merges_known_at(log, now.merges, known_at)
    circle = Cohort(persons, shifts, kinds, merges=merges)
    # Raises of the day's cap have a stream per day: those of the days on which there is anything to cap.
    caps = [
        stream("day-cap", volunteer, day)
        for volunteer in persons
        for day in np.unique(circle.tables.pieces(volunteer, timeline)[:, DAY]).astype("datetime64[D]").astype(str)
    ]
    raised = in_log_order(log, caps, known_at)
    if not raised:
        return circle
    for recorded in raised:
        _apply(decode(recorded.topic, recorded.state), persons)
    return Cohort(persons, shifts, kinds, merges=merges)  # the tables of the first know of no raise


def _shifts_known_at(log: LogQueries, now: Cohort, known_at: Position) -> Shifts:
    """Return the shifts known then: most are as they are now, and only those that changed since are read."""
    shifts = now.tables.columns
    names = shifts.names.volunteers.texts()
    owners = [names[number] for number in shifts.columns.volunteer.tolist()]
    ids = [UUID(int=high << 64 | low) for high, low in zip(shifts.high.tolist(), shifts.low.tolist(), strict=True)]
    streams = list(map(shift_stream, owners, ids))
    later = log.first_versions_beyond(streams, known_at)
    first_later = np.fromiter((later.get(one, 0) for one in streams), np.int64)  # 0: as it is now; 1: not yet
    changed = resolve_streams(log, [(owners[row], ids[row]) for row in np.flatnonzero(first_later > 1)], known_at)
    return Shifts.joined(ShiftNames.beginning(now.persons), [shifts.where(first_later == 0), changed])


def _names_known_at(
    log: LogQueries, volunteers: Iterable[str], stations: Iterable[str], known_at: Position
) -> tuple[dict[str, Person], dict[str, int]]:
    """Return what was known of volunteers beside shifts, and the kinds of stations."""
    persons, kinds = {volunteer: Person() for volunteer in volunteers}, {}
    streams = [stream(kind, volunteer) for kind in ("volunteer", "opening-balance") for volunteer in persons]
    streams += [stream("station", station) for station in stations]
    for recorded in in_log_order(log, streams, known_at):
        event = decode(recorded.topic, recorded.state)
        _apply(event, persons)
        if isinstance(event, StationOpened):
            kinds[event.station] = kind_of(event)
    return persons, kinds


def _apply(event: Event, persons: dict[str, Person]) -> None:
    if (volunteer := person_of(event)) is not None:
        persons[volunteer].apply(event)
