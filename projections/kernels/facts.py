"""Facts: the log as columns, with the names of the surrogates. Replays start from them.

The archive (in `replay/`) reads the facts of millions of events from Parquet; `facts_of` converts a few event objects,
for the live follower, a single volunteer, and tests.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np

from ledger.aggregates import Event
from ledger.aggregates.day_cap import DayCapRaised, DayCapRaiseWithdrawn
from ledger.aggregates.opening_balance import OpeningBalanceRecorded
from ledger.aggregates.people_served import PeopleServedCounted
from ledger.aggregates.shift import ShiftCorrected, ShiftEvent
from ledger.aggregates.station import StationOpened
from ledger.aggregates.volunteer import TrainingCompleted, TrainingVoided, VolunteerRegistered
from projections.compiled import kernel
from projections.kernels.order import ShiftKeys, order_shifts
from projections.kernels.pairing import Paired, pair
from projections.kernels.persons import NumberTable, by_person, empty_numbers, merge_pairs, person_numbers
from projections.kernels.read_models import ReadModels, compute
from projections.kernels.resolve import Resolver
from projections.kernels.station_kinds import StationKinds, kinds_of
from projections.local_time import day_number, zone_table
from projections.rules.table import RuleTable, rule_table
from projections.rules.timeline import RuleTimeline
from projections.schema import (
    ATTESTED,
    CAP_RAISE_WITHDRAWN,
    CAP_RAISED,
    CHANGE_BITS,
    DIRECTIONS,
    DTYPES,
    IMPORTED,
    NO_DAY,
    NO_INSTANT,
    NONE,
    OPENING_RECORDED,
    OPENING_VOIDED,
    OTHER,
    OTHER_CODES,
    PEOPLE_SERVED,
    REGISTERED,
    REPLACES,
    SHIFT_CODES,
    STATION_KINDS,
    STATION_OPENED,
    TIERS,
    TRAINED,
    TRAINING_VOIDED,
    Corrections,
    Ints,
    OtherEvents,
    ResolvedShifts,
    ShiftEvents,
    ShiftTable,
    VolunteerTable,
    Words,
)
from projections.surrogates import Names


@dataclass(frozen=True)
class Facts:
    """The facts as columns, and the names of their surrogates: shifts resolved from their events, which do not depend
    on rules, and the other events.
    """

    shifts: ResolvedShifts
    other_events: OtherEvents
    volunteers: Names
    stations: Names
    projects: Names
    raise_ids: Names
    shift_keys: ShiftKeys

    def resolved(self) -> ResolvedShifts:
        """Return all resolved shifts, which do not depend on rules."""
        return self.shifts

    def ordered(self, resolved: ResolvedShifts, *, threads: int = 1) -> ShiftTable:
        """Order resolved shifts and punches by person, for pairing."""
        return order_shifts(resolved, self.volunteers, self.shift_keys, person_of=self.person_of(), threads=threads)

    def rules(self, timeline: RuleTimeline) -> RuleTable:
        """Compile a timeline with the surrogates of these facts."""
        return rule_table(timeline, self.projects.number)

    def paired(self, rules: RuleTable, *, threads: int = 1, resolved: ResolvedShifts | None = None) -> Paired:
        """Pair punches by rules: return the shifts that can earn something, and the state of all.

        `resolved` replaces the resolved shifts of these facts.
        """
        shifts = self.shifts if resolved is None else resolved
        return pair(self.ordered(shifts, threads=threads), shifts, rules, threads=threads)

    def merges(self) -> dict[tuple[int, int], bool]:
        """Return every pair of numbers that was ever merged, the first into the second, and whether it is in force."""
        return merge_pairs(self.other_events)

    def person_of(self) -> Ints | None:
        """Return the person's number of each number, None if no merge is in force."""
        return person_numbers((pair for pair, in_force in self.merges().items() if in_force), len(self.volunteers))

    def number_table(self) -> NumberTable:
        """Fold the other events into the facts of each volunteer number."""
        table = empty_numbers(len(self.volunteers))
        _fold(self.other_events, table)
        _apply_voided_trainings(self.other_events, table)
        return table

    def volunteer_table(self) -> VolunteerTable:
        """Fold the other events into the facts of each person."""
        raises = ((v, day, minutes) for (v, day, _), minutes in self.raises_in_force().items())
        return by_person(self.number_table(), self.person_of(), raises)

    def station_openings(self) -> list[dict[int, int]]:
        """Return the openings of each station: kinds by instant."""
        events = self.other_events
        openings: list[dict[int, int]] = [{} for _ in range(len(self.stations))]
        for row in np.flatnonzero(events.code == STATION_OPENED):
            openings[events.station[row]][int(events.opened_at[row])] = int(events.amount[row])
        return openings

    def station_kinds(self, timeline: RuleTimeline) -> StationKinds:
        """Return the kinds of stations, by the days of a timeline's time zone."""
        return kinds_of(self.station_openings(), zone_table(timeline.time_zone))

    def served_counts(self) -> Ints:
        """Return int32[n, 4]: station, project, day, people served; the last count for the same three is in force."""
        events = self.other_events
        rows = np.flatnonzero(events.code == PEOPLE_SERVED)[::-1]
        station, project, day = (column[rows] for column in (events.station, events.project, events.day))
        key = (station.astype(np.int64) * (len(self.projects) + 1) + project + 1 << 20) + day
        _, last = np.unique(key, return_index=True)
        return np.stack([station[last], project[last], day[last], events.amount[rows][last]], axis=1)

    def raises_in_force(self) -> dict[tuple[int, int, int], int]:
        """Return the minutes of each raise of the day cap in force, by volunteer, day and raise."""
        events = self.other_events
        raises: dict[tuple[int, int, int], int] = {}  # raises are few, so a dictionary is fast enough
        for row in np.flatnonzero((events.code == CAP_RAISED) | (events.code == CAP_RAISE_WITHDRAWN)):
            key = int(events.volunteer[row]), int(events.day[row]), int(events.key[row])
            if events.code[row] == CAP_RAISED:
                raises[key] = int(events.amount[row])
            else:
                raises.pop(key, None)
        return raises

    def read_models(
        self,
        timeline: RuleTimeline,
        *,
        threads: int = 1,
        valid_until: int = NO_DAY,
        resolved: ResolvedShifts | None = None,
    ) -> ReadModels:
        """Compute all read models under a timeline, with results dated up to the day `valid_until`.

        `resolved` replaces the resolved shifts of these facts.
        """
        rules = self.rules(timeline)
        return compute(
            self.paired(rules, threads=threads, resolved=resolved).table,
            self.volunteer_table(),
            self.station_kinds(timeline),
            rules,
            self.served_counts(),
            threads=threads,
            valid_until=valid_until,
        )


@kernel
def _fold(events: OtherEvents, table: NumberTable) -> None:
    for row in range(len(events.code)):
        code = events.code[row]
        volunteer = events.volunteer[row]
        if code == REGISTERED:
            if table.registered[volunteer] == NO_DAY:
                table.registered[volunteer] = events.day[row]
        elif code == TRAINED:
            for tier in range(events.amount[row]):
                table.trained[volunteer, tier] = min(table.trained[volunteer, tier], events.day[row])
        elif code == OPENING_RECORDED:
            table.opening_day[volunteer] = events.day[row]
            table.opening_minutes[volunteer] = events.amount[row]
        elif code == OPENING_VOIDED:
            table.opening_day[volunteer] = NO_DAY
            table.opening_minutes[volunteer] = 0


def _apply_voided_trainings(events: OtherEvents, table: NumberTable) -> None:
    """Correct the numbers with voided training records: each void removes one record of its tier and day."""
    for volunteer in np.unique(events.volunteer[events.code == TRAINING_VOIDED]):  # voids are rare
        of_training = (events.code == TRAINED) | (events.code == TRAINING_VOIDED)
        rows = np.flatnonzero((events.volunteer == volunteer) & of_training)
        records = Counter[tuple[int, int]]()
        for row in rows:
            records[int(events.amount[row]), int(events.day[row])] += 1 if events.code[row] == TRAINED else -1
        table.trained[volunteer] = first_training_days(+records)


def first_training_days(trainings: Iterable[tuple[int, int]]) -> list[int]:
    """Return the first days of a training of at least tier 1, 2 and 3, given the tier and day of each training."""
    records = list(trainings)
    return [min((day for reached, day in records if reached > tier), default=NO_DAY) for tier in range(len(TIERS))]


# --- facts of event objects -----------------------------------------------------------------------------------------


class FactsBuilder:
    """Collects events in log order; `facts()` converts them to columns."""

    def __init__(self) -> None:
        self.volunteers, self.stations, self.projects, self.keys = Names(), Names(), Names(), Names()
        self._shifts: dict[tuple[str, UUID], int] = {}
        self._shift_volunteer: list[int] = []
        self._shift_recorded_at: list[int] = []
        self._shift_rows: list[tuple[int, ...]] = []
        self._corrections: list[tuple[int, ...]] = []
        self._other_rows: list[tuple[int, ...]] = []

    def add(self, _position: int, event: Event) -> None:
        """Add an event."""
        if not isinstance(event, ShiftEvent):
            self._other_rows.append(self._other_row(event))
            return
        row = self._shift_row(event)
        self._shift_rows.append(row)
        if isinstance(event, ShiftCorrected):
            _, shift, station, project, *_ = row
            changes = sum(CHANGE_BITS[name] for name in set(event.changes))
            self._corrections.append((shift, changes, station, project, event.check_in or 0, event.check_out or 0))

    def shift_number(self, volunteer: str, shift: UUID) -> int:
        """Return the surrogate of a shift, adding a new one if necessary."""
        number = self._shifts.setdefault((volunteer, shift), len(self._shifts))
        if number == len(self._shift_volunteer):
            self._shift_volunteer.append(self.volunteers.add(volunteer))
            self._shift_recorded_at.append(0)
        return number

    def shifts(self) -> list[tuple[str, UUID]]:
        """Return the volunteer and shift id of each shift, in the order of surrogates."""
        return list(self._shifts)

    def _shift_row(self, event: ShiftEvent) -> tuple[int, ...]:
        marks = (ATTESTED if getattr(event, "evidence", None) else 0) | (
            REPLACES if getattr(event, "replaces", None) or getattr(event, "replaced_by", None) else 0
        )
        marks |= DIRECTIONS.get(getattr(event, "direction", None) or "", 0)
        number = self.shift_number(event.volunteer, event.shift)
        self._shift_recorded_at[number] = self._shift_recorded_at[number] or event.recorded_at
        return (
            SHIFT_CODES[event.TOPIC],
            number,
            self.stations.add(getattr(event, "station", None)),
            self.projects.add(getattr(event, "project", None)),
            event.occurred_at,
            marks | (IMPORTED if event.imported else 0),
        )

    def _other_row(self, event: Event) -> tuple[int, ...]:
        code = OTHER_CODES.get(event.TOPIC, OTHER)
        day, amount, opened_at = NONE, NONE, NO_INSTANT
        match event:
            case VolunteerRegistered():
                day = day_number(event.registered_on)
            case TrainingCompleted() | TrainingVoided():
                day, amount = day_number(event.completed_on), TIERS[event.tier]
            case OpeningBalanceRecorded():
                day, amount = day_number(event.as_of), event.minutes
            case DayCapRaised():
                day, amount = day_number(event.day), event.minutes
            case DayCapRaiseWithdrawn():
                day = day_number(event.day)
            case PeopleServedCounted():
                day, amount = day_number(event.day), event.people
            case StationOpened():
                amount, opened_at = STATION_KINDS[event.kind], event.occurred_at
            case _:
                pass
        return (
            code,
            self.volunteers.add(getattr(event, "volunteer", None)),
            self.stations.add(getattr(event, "station", None)),
            self.projects.add(getattr(event, "project", None)),
            self.keys.add(getattr(event, "raise_id", None)),
            day,
            amount,
            self.volunteers.add(getattr(event, "into", None)),
            opened_at,
        )

    def facts(self) -> Facts:
        """Return the facts of all events added so far."""
        keys = np.array([(shift.int >> 64, shift.int & (1 << 64) - 1) for _, shift in self._shifts], np.uint64).reshape(
            -1, 2
        )

        def shift_keys(shifts: Ints) -> tuple[Words, Words]:
            return keys[shifts, 0], keys[shifts, 1]

        resolver = Resolver(
            np.array(self._shift_volunteer, np.int32),
            np.array(self._shift_recorded_at, np.uint32),
            self.stations.ranks(),
            self.projects.ranks(),
        )
        resolver.take(ShiftEvents(*_columns(self._shift_rows, ShiftEvents)))
        return Facts(
            shifts=resolver.finish(Corrections(*_columns(self._corrections, Corrections))),
            other_events=OtherEvents(*_columns(self._other_rows, OtherEvents)),
            volunteers=self.volunteers,
            stations=self.stations,
            projects=self.projects,
            raise_ids=self.keys,
            shift_keys=shift_keys,
        )


def _columns(rows: list[tuple[int, ...]], table: type[ShiftEvents | Corrections | OtherEvents]) -> list[Any]:
    matrix = np.array(rows, np.int64).reshape(-1, len(table._fields))
    return [np.ascontiguousarray(matrix[:, at], DTYPES.get(name, np.int32)) for at, name in enumerate(table._fields)]


def facts_of(events: Iterable[Event]) -> Facts:
    """Return the facts of events in log order, numbered from position 1."""
    builder = FactsBuilder()
    for position, event in enumerate(events, 1):
        builder.add(position, event)
    return builder.facts()
