"""Common to all queries: the axes of time, one snapshot per answer, and a volunteer under any axes.

With the default axes, a volunteer is read from the store. With an earlier `known_at`, the shifts that changed later are
resolved again from the log's streams and those that began later are left out, so a volunteer with thousands of shifts
takes little more time than with the default axes. Nothing here writes.
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
from projections.kernels.station_kinds import Openings, add_opening
from projections.local_time import day_number
from projections.rules.timeline import RuleTimeline
from projections.schema import DAY, NO_DAY
from replay.axes import answers
from replay.cohorts.cohort import (
    Cohort,
    PairedTables,
    Person,
    decoded,
    in_log_order,
    person_of,
    read_cohort,
    resolve_streams,
)
from replay.cohorts.merges import (
    Pair,
    final_number,
    merge_events,
    merged_numbers,
    merges_known_at,
    pairs_in_force,
    read_all_merges,
    read_merges,
)
from replay.cohorts.shift_columns import ShiftNames, Shifts
from replay.generations import store
from replay.published import Rules, published_rules


class MarkError(ValueError):
    """The `after` of a request is not the end of a page."""

    def __init__(self, text: str) -> None:
        super().__init__(f"after {text!r} is not the next_after of a page; omit it for the first page")


_NAMED_BY = {"volunteer": "number", "person": "number", "event": "position", "ranking": "name"}


class UnknownNameError(LookupError):
    """A volunteer, station, honour or shift that is unknown to the ledger at the requested position."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"{kind} {name} is not known to the ledger; check the {_NAMED_BY.get(kind, 'id')}")
        self.kind = kind
        self.name = name


@dataclass(frozen=True)
class Axes:
    """The three axes of time. None means all results, all events, or the rules of the current generation."""

    valid_at: date | None = None
    known_at: Position | None = None
    rules: Rules | None = None
    known_until: int | None = field(default=None, compare=False)
    """The instant that `known_at` means (epoch seconds), by which deadlines are judged; None if that is now."""

    def instant(self, now: int) -> int:
        """Return the instant at which the answer is asked for: that of `known_at`, or else now."""
        return now if self.known_until is None else min(now, self.known_until)

    @property
    def valid_until(self) -> int:
        """The last day whose results count, as a day number."""
        return NO_DAY if self.valid_at is None else day_number(self.valid_at)

    @property
    def current(self) -> bool:
        """Whether the current generation's rows are sufficient."""
        return self.known_at is None and self.rules is None


NOW = Axes()


@dataclass(frozen=True)
class Known:
    """A volunteer as known at a position, with the basis of the answer: the whole person with the requested number.

    `cohort` contains only the person's numbers.
    """

    volunteer: str
    cohort: Cohort
    rules: Rules
    timeline: RuleTimeline
    position: Position  # the axis `known_at`, never beyond the read models' position
    basis: answers.Basis
    merges: dict[Pair, Position] = field(default_factory=dict)
    """The merges in force between the numbers of `cohort`: pairs, each with the position of its event."""

    @property
    def tables(self) -> PairedTables:
        """The person's shifts as the rules pair them."""
        return self.cohort.tables.paired(self.timeline)

    @property
    def goes_on_as(self) -> str | None:
        """The final number, if the requested one was merged into another."""
        person = final_number(self.volunteer, self.cohort.merges)
        return None if person == self.volunteer else person

    @property
    def numbers(self) -> list[str] | None:
        """All numbers of the person, sorted; None if there is only one."""
        return sorted(self.cohort.persons) if len(self.cohort.persons) > 1 else None

    @property
    def registered(self) -> int:
        """The day on which the person was first registered."""
        return min(person.registered for person in self.cohort.persons.values())

    def trained(self, tier: int) -> int:
        """Return the first day on which any number had completed a tier, or a higher one."""
        return min(person.trained[tier - 1] for person in self.cohort.persons.values())

    @property
    def balances(self) -> list[tuple[str, Person]]:
        """The numbers with an opening balance, latest day first."""
        opened = [(name, person) for name, person in self.cohort.persons.items() if person.opening_day != NO_DAY]
        return sorted(opened, key=lambda item: (-item[1].opening_day, item[0]))

    @property
    def raised(self) -> dict[int, int]:
        """The greatest raise of the day cap in force, by day."""
        greatest: dict[int, int] = {}
        for person in self.cohort.persons.values():
            for (day, _), minutes in person.raises.items():
                greatest[day] = max(minutes, greatest.get(day, 0))
        return greatest

    def person_fields(self) -> dict[str, Any]:
        """Return the fields of every answer about a person (`answers.OfPerson`)."""
        merges = [
            answers.Merged(volunteer=volunteer, into=into, position=position)
            for (volunteer, into), position in self.merges.items()
        ]
        return {
            **dict(self.basis),
            "volunteer": self.volunteer,
            "goes_on_as": self.goes_on_as,
            "numbers": self.numbers,
            "merges": sorted(merges, key=lambda merge: merge.position) or None,
        }

    def recorded_under(self, volunteer: str) -> str | None:
        """Return the number of a shift or balance if the person has several numbers, else None."""
        return None if self.numbers is None else volunteer


@contextmanager
def snapshot(database: Database) -> Iterator[tuple[Connection[Any], store.Generation]]:
    """Open one snapshot, so that an answer is based on one position whatever the follower commits meanwhile.

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
    """Return the position of `known_at`, limited to the read models' position."""
    return Position(generation.position if axes.known_at is None else min(generation.position, axes.known_at))


def rules_of(generation: store.Generation) -> Rules:
    """Return the rules a generation was built with."""
    return Rules(generation.rules_version, generation.rules_digest, generation.rules_text)


def rules_used(log: LogQueries, axes: Axes, generation: store.Generation) -> Rules:
    """Return the rules given by the axes, by default those known at `known_at`."""
    if axes.rules is not None:
        return axes.rules
    if axes.known_at is None:
        return rules_of(generation)
    return published_rules(log, known_at=position_known(axes, generation))


def basis_of(axes: Axes, rules: Rules, generation: store.Generation) -> answers.Basis:
    """Return the basis of an answer."""
    return answers.Basis(
        valid_at=axes.valid_at,
        known_at=position_known(axes, generation),
        rules=answers.RulesUsed.of(rules),
        position=generation.position,
    )


def titles_of(timeline: RuleTimeline) -> dict[str, str]:
    """Return the titles of a timeline's honours, by id."""
    return {honor.id: honor.title for rule_set in timeline.rule_sets for honor in rule_set.honors}


def read_volunteer(database: Database, volunteer: str, axes: Axes) -> Known:
    """Read the person with a number, under any axes.

    Raises:
        UnknownNameError: the number was not registered then. store.NoGenerationError
    """
    with snapshot(database) as (connection, generation):
        cohort = read_cohort(connection, [volunteer])
    rules, known_at = rules_used(database.log, axes, generation), position_known(axes, generation)
    timeline = rules.timeline()
    if known_at < generation.position:
        cohort = cohort_known_at(database.log, cohort, known_at, timeline)
    if cohort.persons[volunteer].registered == NO_DAY:
        raise UnknownNameError("volunteer", volunteer)
    cohort = cohort.restricted_to(volunteer)
    merges = merge_events(database.log, dict.fromkeys(pairs_in_force(cohort.merges), True), known_at)
    return Known(volunteer, cohort, rules, timeline, known_at, basis_of(axes, rules, generation), merges)


def final_number_known_at(database: Database, volunteer: str, known_at: Position) -> str:
    """Return the final number of a volunteer, which is the key of its rows, as known at a position that the read models
    have reached.
    """
    with snapshot(database) as (connection, _):
        merges = read_merges(connection, [volunteer])
    return final_number(volunteer, merges_known_at(database.log, merges, known_at))


def merged_known_at(database: Database, known_at: Position) -> dict[str, str]:
    """Return the final number of every merged number, as known at a position that the read models have reached."""
    with snapshot(database) as (connection, generation):
        merges = read_all_merges(connection)
    if known_at < generation.position:
        merges = merges_known_at(database.log, merges, known_at)
    return merged_numbers(merges)


def history_of(log: LogQueries, known: Known) -> list[tuple[Position, Event]]:
    """Return the events of a volunteer's own streams, for all numbers of the person, as known then, in log order."""
    streams = [stream("volunteer", number) for number in known.cohort.persons]
    return list(decoded(in_log_order(log, streams, known.position)))


# --- as known at a position -----------------------------------------------------------------------------------------


def cohort_known_at(log: LogQueries, now: Cohort, known_at: Position, timeline: RuleTimeline) -> Cohort:
    """Return a cohort as known at a position. `now` is its present state, with all numbers that were ever merged."""
    shifts = _shifts_known_at(log, now, known_at)
    persons, kinds = _names_known_at(log, now.persons, shifts.names.stations.texts(), known_at)
    merges = merges_known_at(log, now.merges, known_at)
    cohort = Cohort(persons, shifts, kinds, merges=merges)
    # Raises of the day cap have one stream per day; only days with minutes to cap matter.
    caps = [
        stream("day-cap", volunteer, day)
        for volunteer in persons
        for day in np.unique(cohort.tables.pieces(volunteer, timeline)[:, DAY]).astype("datetime64[D]").astype(str)
    ]
    raised = in_log_order(log, caps, known_at)
    if not raised:
        return cohort
    for recorded in raised:
        _apply(decode(recorded.topic, recorded.state), persons)
    return Cohort(persons, shifts, kinds, merges=merges)  # a new one, because `tables` was cached without raises


def _shifts_known_at(log: LogQueries, now: Cohort, known_at: Position) -> Shifts:
    """Return the shifts known then. Most did not change later; only the others are read from the log."""
    shifts = now.tables.columns
    names = shifts.names.volunteers.texts()
    owners = [names[number] for number in shifts.columns.volunteer.tolist()]
    ids = [UUID(int=high << 64 | low) for high, low in zip(shifts.high.tolist(), shifts.low.tolist(), strict=True)]
    streams = list(map(shift_stream, owners, ids))
    later = log.first_versions_beyond(streams, known_at)
    # The version of the first later event: 0 if there is none, 1 if the shift did not exist yet.
    first_later = np.fromiter((later.get(stream_id, 0) for stream_id in streams), np.int64)
    changed = resolve_streams(log, [(owners[row], ids[row]) for row in np.flatnonzero(first_later > 1)], known_at)
    return Shifts.joined(ShiftNames.starting_with(now.persons), [shifts.where(first_later == 0), changed])


def _names_known_at(
    log: LogQueries, volunteers: Iterable[str], stations: Iterable[str], known_at: Position
) -> tuple[dict[str, Person], dict[str, Openings]]:
    """Return the facts of volunteers other than shifts, and the openings of stations, as known then."""
    persons: dict[str, Person] = {volunteer: Person() for volunteer in volunteers}
    kinds: dict[str, Openings] = {}
    streams = [stream(kind, volunteer) for kind in ("volunteer", "opening-balance") for volunteer in persons]
    streams += [stream("station", station) for station in stations]
    for recorded in in_log_order(log, streams, known_at):
        event = decode(recorded.topic, recorded.state)
        _apply(event, persons)
        if isinstance(event, StationOpened):
            add_opening(kinds, event)
    return persons, kinds


def _apply(event: Event, persons: dict[str, Person]) -> None:
    if (volunteer := person_of(event)) is not None:
        persons[volunteer].apply(event)
