"""What the follower does not read changes nothing: the difference a batch makes is the same on a window of each
volunteer's shifts as on all of them, and on the real store a ledger of many years is live what it is rebuilt.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.aggregates import Event
from ledger.aggregates.shift import ShiftCorrected, ShiftEvent
from ledger.aggregates.station import StationOpened
from ledger.names import Position
from ledger.store.database import Database
from projections.kernels.station_kinds import Openings, add_opening
from projections.rules.timeline import RuleTimeline
from projections.schema import Longs
from replay.cohorts.change_windows import credit_windows, windows
from replay.cohorts.cohort import Cohort, Person, person_of, resolve_events
from replay.cohorts.merges import Merges, apply_events
from replay.cohorts.shift_columns import ShiftNames, Shifts
from replay.generations import store
from replay.generations.rebuild import rebuild
from replay.live.facts import by_person, extents
from replay.live.follower import Follower
from tests.support.examples import examples
from tests.support.oracle.histories import Case, as_text, cases, history, patiently, rule_set, rules, stamped
from tests.support.replay.replaying import append, as_rules, as_sets, empty, replayed

DAY = 86_400
ERAS = (0, 0, 8, 12, 20, 29, 40, -9, -25, 330, 366, -370, 730)
"""Days by which shifts are moved away from the others, near and far."""
JITTERS = (0, 0, 0, 0, 0, 0, 1, 1, 2, -1, -3, 5)
"""Days within an era."""


@st.composite
def long_lives(draw: st.DrawFn) -> Case:
    """A history dense in trouble whose shifts lie in a few eras of many years."""
    case = draw(cases(shifts_max=12))
    eras = draw(st.lists(st.sampled_from(ERAS), min_size=1, max_size=3))
    offsets: dict[UUID, int] = {}
    for event in case.events:
        if isinstance(event, ShiftEvent) and event.shift not in offsets:
            offsets[event.shift] = DAY * (draw(st.sampled_from(eras)) + draw(st.sampled_from(JITTERS)))
    return case._replace(events=stamped(_moved(event, offsets) for event in case.events))


def _moved(event: Event, offsets: dict[UUID, int]) -> Event:
    if not isinstance(event, ShiftEvent):
        return event
    later = offsets[event.shift]
    names = ["occurred_at", *(("check_in", "check_out") if isinstance(event, ShiftCorrected) else ())]
    said = {name: getattr(event, name) for name in names}
    return msgspec.structs.replace(event, **{name: instant and instant + later for name, instant in said.items()})


class World(NamedTuple):
    """All that is known of some volunteers."""

    persons: dict[str, Person]
    shifts: Shifts
    kinds: dict[str, Openings]
    merges: Merges

    @classmethod
    def of(cls, events: Sequence[Event]) -> World:
        persons: dict[str, Person] = {}
        for event in events:
            if volunteer := person_of(event):
                persons.setdefault(volunteer, Person()).apply(event)
        shifts = resolve_events(
            (Position(position), event) for position, event in enumerate(events, 1) if _of_shift(event)
        )
        kinds: dict[str, Openings] = {}
        for event in events:
            if isinstance(event, StationOpened):
                add_opening(kinds, event)
        return cls(persons, shifts, kinds, apply_events({}, events))

    def sums(self, shifts: Shifts, timeline: RuleTimeline) -> Counter[tuple[str, str, int, int]]:
        """Return every figure that adds up, by whose it is, day or year, and column."""
        cohort = Cohort(self.persons, shifts, self.kinds, merges=self.merges)
        models, tables = cohort.read_models(timeline), cohort.tables
        found: Counter[tuple[str, str, int, int]] = Counter()
        volunteers, stations, projects = (
            names.texts() for names in (tables.volunteer_names, tables.station_names, tables.project_names)
        )
        for volunteer, year, *columns in models.hours.tolist():
            found.update({("hours", volunteers[volunteer], year, at): minutes for at, minutes in enumerate(columns)})
        for station, day, column in zip(*np.nonzero(models.stations), strict=True):
            key = "station", stations[station], int(day) + models.first_day, int(column)
            found[key] += int(models.stations[station, day, column])
        for project, year, month, column in zip(*np.nonzero(models.projects), strict=True):
            key = "project", projects[project], (int(year) + models.first_year) * 100 + int(month), int(column)
            found[key] += int(models.projects[project, year, month, column])
        return found


def _of_shift(event: Event) -> bool:
    return isinstance(event, ShiftEvent)


Windows = Callable[[Longs, Longs, RuleTimeline], tuple[Longs, Longs]]


def read(
    before: World, after: World, new: Sequence[Event], timeline: RuleTimeline, windows: Windows
) -> tuple[Shifts, Shifts]:
    """Return what a follower reads of the shifts before the new events, and what these make of it."""
    keys = {(event.volunteer, event.shift) for event in new if isinstance(event, ShiftEvent)}
    changed = after.shifts.where(np.array([key in keys for key in after.shifts], bool))
    known = before.shifts.where(np.array([key in keys for key in before.shifts], bool))
    found = by_person(changed.names.volunteers.texts(), *extents(known, changed), after.merges)
    low, high = windows(found.first[found.owner], found.last[found.owner], timeline)
    place = {number: at for at, number in enumerate(found.numbers)}
    check_in = before.shifts.columns.check_in.astype(np.int64)
    within = [
        number in place and low[place[number]] <= instant <= high[place[number]]
        for (number, _), instant in zip(before.shifts, check_in, strict=True)
    ]
    kept = before.shifts.where(np.array(within, bool))
    return kept, Shifts.joined(ShiftNames.starting_with(), [kept.without(changed), changed])


@settings(patiently, max_examples=examples(50))
@given(case=long_lives(), data=st.data())
def test_a_batch_makes_the_same_difference_to_a_window_of_shifts_as_to_all(case: Case, data: st.DataObject) -> None:
    others = [event for event in case.events if not _of_shift(event)]
    shifts = [event for event in case.events if _of_shift(event)]
    cut = len(case.events) - min(
        data.draw(st.integers(1, 4)), len(shifts)
    )  # a few events: most shifts stay as they are
    events, timeline = [*others, *shifts], case.timeline
    after = World.of(events)
    before = World.of(events[:cut])._replace(persons=after.persons, merges=after.merges)
    whole = after.sums(after.shifts, timeline)
    whole.subtract(before.sums(before.shifts, timeline))
    for bounds, kinds in ((credit_windows, {"hours", "station"}), (windows, {"hours", "station", "project"})):
        kept, then = read(before, after, events[cut:], timeline, bounds)
        difference = before.sums(kept, timeline)
        difference.update(whole)
        difference.subtract(after.sums(then, timeline))
        assert not {key: more for key, more in difference.items() if more and key[0] in kinds}


def test_a_check_out_of_today_reads_no_shift_of_other_years() -> None:
    events = history(
        "2015-12-04 09:00 in V1 U1 #1\n2015-12-04 12:00 out V1 U1 #1\n"
        "2018-01-09 09:00 in V1 U1 #2\n2018-01-09 12:00 out V1 U1 #2\n"
        "2018-12-04 09:00 in V1 U1 #3\n2018-12-04 12:00 out V1 U1 #3"
    )
    before, after = World.of(events[:-1]), World.of(events)
    kept, then = read(before, after, events[-1:], rules(rule_set(shift_minutes_max=720)), windows)
    assert sorted(shift.int for _, shift in kept) == [2, 3]
    assert sorted((shift.shift.int, shift.check_out is not None) for shift in then.values()) == [(2, True), (3, True)]


def test_a_check_out_of_one_number_reads_the_other_numbers_of_the_person() -> None:
    events = history(
        "2018-12-04 09:00 in V2 U1 #1\n2018-12-04 12:00 out V2 U1 #1\n"
        "2015-12-04 09:00 in V2 U1 #2\n2015-12-04 12:00 out V2 U1 #2\n"
        "2018-12-04 10:00 in V3 U1 #3\n2018-12-04 12:00 out V3 U1 #3\n"
        "2018-12-04 11:00 in V1 U1 #4\n2018-12-05 10:00 merge V1 V2\n2018-12-04 13:00 out V1 U1 #4"
    )
    before, after = World.of(events[:-1]), World.of(events)
    kept, _ = read(before, after, events[-1:], rules(rule_set(shift_minutes_max=720)), windows)
    assert sorted(shift.int for _, shift in kept) == [1, 4]


def test_a_volunteer_counts_once_in_a_project_s_year_however_far_apart_the_shifts_are() -> None:
    events = history(
        "2018-02-04 09:00 in V1 U1 #1 project=P1\n2018-02-04 12:00 out V1 U1 #1\n"
        "2018-12-04 09:00 in V1 U1 #2 project=P1\n2018-12-04 12:00 out V1 U1 #2"
    )
    before, after, timeline = World.of(events[:-2]), World.of(events), rules(rule_set(shift_minutes_max=720))
    kept, then = read(before, after, events[-2:], timeline, windows)
    difference = after.sums(then, timeline)
    difference.subtract(before.sums(kept, timeline))
    volunteers = {key[2]: more for key, more in difference.items() if (key[0], key[3]) == ("project", 1) and more}
    assert volunteers == {201812: 1}


@pytest.fixture(scope="module")
def ledger(new_database_url: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Database, Path]]:
    """One ledger for all examples; each empties it first."""
    assert callable(new_database_url)
    with Database.open(new_database_url()) as database:
        yield database, tmp_path_factory.mktemp("archive")


@settings(patiently, max_examples=examples(6))
@given(case=long_lives(), data=st.data())
def test_a_ledger_of_many_years_is_live_what_it_is_rebuilt(
    ledger: tuple[Database, Path], case: Case, data: st.DataObject
) -> None:
    database, folder = ledger
    archive, versions, ruled, events = empty(database, folder), Counter[UUID](), as_rules(case.timeline), case.events
    cuts = sorted(data.draw(st.lists(st.integers(0, len(events)), min_size=2, max_size=6)))
    append(database, events[: cuts[0]], versions)
    rebuild(database, archive, ruled)
    for low, high in zip(cuts, [*cuts[1:], len(events)], strict=True):
        append(database, events[low:high], versions)
        assert Follower(database).catch_up() == high
        with database.pool.connection() as connection:
            generation = store.current_generation(connection)
            assert generation is not None
            found = store.read_rows(connection, generation)
        expected = replayed(events[:high], ruled)
        assert as_sets(found) == as_sets(expected), as_text(events[:high], case.timeline.time_zone)
        assert generation.checksum == found.checksum() == expected.checksum()
