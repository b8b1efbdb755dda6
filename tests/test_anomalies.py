"""Each kind of anomaly is what a slow and obvious search says it is, whatever order the shifts are numbered in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.working_days import is_working_day
from projections.anomalies import entries, meetings, recording, stays
from projections.anomalies.findings import (
    CORRECTED,
    ENTERED,
    FIGURES,
    KINDS,
    RAISED,
    Acts,
    Finding,
    Recorded,
    Stays,
    stays_of,
)
from projections.anomaly_rules import AnomalyRules
from projections.calendar import day_number, day_of_number
from projections.facts import Facts, FactsBuilder
from projections.late_entries import late
from projections.read_models import pieces_of
from projections.rule_table import rule_table
from projections.schema import (
    ATTESTED,
    CHECK_OUT_BEFORE_CHECK_IN,
    CHECKED_IN,
    CHECKED_OUT,
    DAYS,
    DTYPES,
    FROM_IMPORT,
    IMPORTED,
    NO_DAY,
    NONE,
    SCANNED_IN,
    SCANNED_OUT,
    VOID,
    OtherEvents,
    ResolvedShifts,
)
from projections.surrogates import Names
from tests.histories import SHANGHAI, Case, cases, patiently, rule_set, rules
from tests.oracle import credit

ZONE = ZoneInfo(SHANGHAI)
MORNING = int(datetime(2018, 9, 27, 8, tzinfo=ZONE).timestamp())
"""Days before the National Day's week, with its make-up days before and behind it."""


class Stay(NamedTuple):
    """A shift as tests say it; `number` is its id, instants are minutes after `MORNING`."""

    number: int
    volunteer: int
    station: int
    start: int
    end: int | None
    scanned: bool
    void: bool

    @property
    def rank(self) -> tuple[int, int, int]:
        return self.volunteer, self.start, self.number


def flags_of(stay: Stay) -> int:
    return (SCANNED_IN | SCANNED_OUT if stay.scanned else 0) | (VOID if stay.void else 0)


def resolved(given_stays: Sequence[Stay], recorded_after: int = 0) -> ResolvedShifts:
    """Return shifts as columns: numbered in the order given."""

    def instant(minute: int | None) -> int:
        return 0 if minute is None else MORNING + 60 * minute

    return ResolvedShifts(
        volunteer=np.array([one.volunteer for one in given_stays], np.int32),
        station=np.array([one.station for one in given_stays], np.int32),
        project=np.full(len(given_stays), NONE, np.int32),
        check_in=np.array([instant(one.start) for one in given_stays], np.uint32),
        check_out=np.array([instant(one.end) for one in given_stays], np.uint32),
        recorded_at=np.array([instant(one.start) + recorded_after for one in given_stays], np.uint32),
        flags=np.array([flags_of(one) for one in given_stays], np.uint16),
    )


def served(given_stays: Sequence[Stay]) -> Stays:
    ids = np.array([one.number for one in given_stays], np.uint64)
    facts = Facts(
        shifts=resolved(given_stays),
        other_events=OtherEvents._make(np.empty(0, DTYPES.get(name, np.int32)) for name in OtherEvents._fields),
        volunteers=Names(f"V{number}" for number in range(3)),
        stations=Names(f"U{number}" for number in range(3)),
        projects=Names(),
        raise_ids=Names(),
        shift_keys=lambda shifts: (np.zeros(len(shifts), np.uint64), ids[shifts]),
    )
    return stays_of(facts.ordered(facts.resolved()), SHANGHAI)


@st.composite
def many_stays(draw: st.DrawFn, step: int = 1, longest: int = 20) -> list[Stay]:
    """Shifts that often meet, in any order."""
    count = draw(st.integers(0, 12))
    numbers = draw(st.permutations(range(1, count + 1)))
    found = []
    for number in numbers:
        start = step * draw(st.integers(0, 40))
        length = draw(st.none() | st.integers(0, longest))
        end = None if length is None else start + step * length
        who, where = draw(st.integers(0, 2)), draw(st.integers(0, 2))
        found.append(
            Stay(number, who, where, start, end, scanned=draw(st.booleans()), void=draw(st.integers(0, 9)) == 0)
        )
    return found


def day_of(minute: int) -> int:
    return day_number(datetime.fromtimestamp(MORNING + 60 * minute, ZONE).date())


def pairs(given_stays: Sequence[Stay]) -> Iterable[tuple[Stay, list[Stay]]]:
    """Yield each shift that stands and ends, with the volunteer's earlier ones at other stations, in order."""
    known = sorted(
        (one for one in given_stays if not one.void and (one.end or 0) > one.start), key=lambda one: one.rank
    )
    for place, one in enumerate(known):
        before = known[:place]
        yield one, [other for other in before if other.volunteer == one.volunteer and other.station != one.station]


def numbers(given_stays: Sequence[Stay], finding: Finding) -> tuple[int, ...]:
    return tuple(given_stays[shift].number for shift in finding.shifts)


# --- meetings and stays ---------------------------------------------------------------------------------------------


@patiently
@given(many_stays(), st.integers(1, 6))
def test_two_stations_at_once_is_the_longest_overlap_with_an_earlier_shift(given_stays: list[Stay], least: int) -> None:
    expected = set()
    for one, before in pairs(given_stays):
        shared = [(min(other.end or 0, one.end or 0) - one.start, other) for other in before]
        if shared and (most := max(length for length, _ in shared)) >= least:
            other = next(other for length, other in shared if length == most)
            expected.add((other.number, one.number, most, day_of(one.start), other.station, one.station))
    found = meetings.two_stations(served(given_stays), AnomalyRules(overlap_minutes_min=least))
    assert {
        (*numbers(given_stays, each), *each.figures, each.day, each.station, each.other_station) for each in found
    } == expected
    assert len(found) == len(expected)


@patiently
@given(many_stays(), st.integers(0, 6))
def test_travel_time_is_the_shortest_way_from_another_station(given_stays: list[Stay], least: int) -> None:
    expected = set()
    for one, before in pairs(given_stays):
        gaps = [(one.start - (other.end or 0), other) for other in before if 0 <= one.start - (other.end or 0) < least]
        if gaps:
            least_gap = min(gap for gap, _ in gaps)
            other = next(other for gap, other in gaps if gap == least_gap)
            expected.add((other.number, one.number, least_gap))
    found = meetings.travel_time(served(given_stays), AnomalyRules(travel_minutes_min=least))
    assert {(*numbers(given_stays, each), *each.figures) for each in found} == expected


@patiently
@given(many_stays(step=90))
def test_long_shifts_are_those_that_last_longer(given_stays: list[Stay]) -> None:
    expected = {one.number for one in given_stays if not one.void and one.end and one.end - one.start > 720}
    found = stays.long_shifts(served(given_stays), AnomalyRules())
    assert {number for each in found for number in numbers(given_stays, each)} == expected


@patiently
@given(cases(shifts_max=12), st.integers(1, 3))
def test_over_the_cap_in_a_row_is_what_the_oracle_caps_day_after_day(case: Case, least: int) -> None:
    timeline = case.timeline.model_copy(update={"anomalies": AnomalyRules(cap_days_in_row=least)})
    builder = FactsBuilder()
    for position, event in enumerate(case.events, 1):
        builder.add(position, event)
    facts, people = builder.facts(), builder.facts().volunteer_table()
    table, table_of_rules = facts.ordered(facts.resolved()), rule_table(timeline, facts.projects.number)
    found = stays.over_cap(
        stays_of(table, timeline.time_zone),
        table,
        people,
        timeline,
        lambda volunteer: pieces_of(volunteer, table, people, facts.station_kinds(), table_of_rules),
        NO_DAY,
    )
    capped: dict[tuple[str, date], int] = defaultdict(int)
    for piece in credit(case.events, timeline).pieces:
        if piece.capped:
            capped[piece.volunteer, piece.day] += piece.capped
    expected = set()
    for who, day in capped:
        if (who, day - timedelta(days=1)) not in capped:
            run = [day]
            while (who, run[-1] + timedelta(days=1)) in capped:
                run.append(run[-1] + timedelta(days=1))
            if len(run) >= least:
                expected.add((who, run[-1], len(run), sum(capped[who, each] for each in run)))
    names = facts.volunteers.texts()
    assert {(names[each.volunteer], day_of_number(each.day), *each.figures) for each in found} == expected


# --- entries --------------------------------------------------------------------------------------------------------


@st.composite
def many_acts(draw: st.DrawFn) -> Acts:
    """Things people did, in log order."""
    count = draw(st.integers(0, 14))
    instants = sorted(MORNING + 60 * draw(st.integers(0, 40)) for _ in range(count))
    rows = []
    for position, at in enumerate(instants, 1):
        code = draw(st.sampled_from([ENTERED, ENTERED, ENTERED, CORRECTED, RAISED]))
        shift = NONE if code == RAISED else draw(st.integers(0, 8))
        volunteer = draw(st.integers(0, 1)) if code == RAISED else shift % 2
        rows.append((position, at, code, draw(st.integers(0, 1)), volunteer, shift))
    columns = np.array(rows, np.int64).reshape(-1, 6).T
    kinds = (np.int64, np.uint32, np.uint8, np.int32, np.int32, np.int32)
    return Acts._make(column.astype(kind) for column, kind in zip(columns, kinds, strict=True))


@patiently
@given(many_acts(), st.integers(1, 4), st.integers(1, 12))
def test_a_burst_is_every_entry_in_a_window_that_holds_enough(acts: Acts, least: int, minutes: int) -> None:
    found = entries.entry_bursts(acts, AnomalyRules(burst_entries_min=least, burst_minutes=minutes), SHANGHAI)
    expected = []
    for actor in (0, 1):
        first: dict[int, tuple[int, int]] = {}
        for position, at, code, by, _, shift in zip(*(column.tolist() for column in acts), strict=True):
            if code == ENTERED and by == actor:
                first.setdefault(shift, (at, position))
        known = sorted(first.values())
        windows = [
            set(known[begin : begin + least])
            for begin in range(len(known) - least + 1)
            if known[begin + least - 1][0] - known[begin][0] <= minutes * 60
        ]
        joined: list[set[tuple[int, int]]] = []
        for window in windows:
            if joined and joined[-1] & window:
                joined[-1] |= window
            else:
                joined.append(window)
        expected += [(actor, tuple(position for _, position in sorted(burst))) for burst in joined]
    assert sorted((each.actor, each.positions) for each in found) == sorted(expected)
    assert all(each.figures[0] == len(each.shifts) == len(each.positions) for each in found)


@patiently
@given(many_acts(), st.integers(1, 4), st.integers(1, 100))
def test_the_same_person_is_whoever_did_enough_of_all_that_was_done(acts: Acts, least: int, percent: int) -> None:
    done: dict[tuple[int, bool], set[tuple[int, int]]] = defaultdict(set)  # of a volunteer: actor, and about what
    for position, _, code, by, volunteer, shift in zip(*(column.tolist() for column in acts), strict=True):
        done[volunteer, code == ENTERED].add((by, shift if shift != NONE else -position))
    expected = set()
    for (volunteer, entered), things in done.items():
        for actor in (0, 1):
            mine = sum(by == actor for by, _ in things)
            if mine >= (least if entered else least + 1) and mine * 100 >= percent * len(things):
                expected.add((actor, volunteer, mine, len(things), int(entered)))
    asked = AnomalyRules(
        same_person_entries_min=least, same_person_decisions_min=least + 1, same_person_percent_min=percent
    )
    found = entries.same_person(acts, asked, SHANGHAI)
    assert {(each.actor, each.volunteer, *each.figures) for each in found} == expected


@patiently
@given(many_stays(step=20), st.integers(1, 3), st.integers(1, 100))
def test_round_numbers_are_counted_over_all_instants_and_else_over_typed_ones(
    given_stays: list[Stay], least: int, percent: int
) -> None:
    expected = set()
    for who in range(3):
        mine = [one for one in given_stays if one.volunteer == who and not one.void]
        for typed_only in (0, 1):
            some = [one for one in mine if not (typed_only and one.scanned)]
            instants = [at for one in some for at in (one.start, one.end) if at is not None]
            hits = sum(at % 60 == 0 for at in instants)  # MORNING is a full hour
            if len(some) >= least and hits * 100 >= percent * len(instants):
                expected.add((who, hits, len(instants), typed_only))
                break
    asked = AnomalyRules(round_shifts_min=least, round_percent_min=percent)
    found = entries.round_numbers(served(given_stays), resolved(given_stays), asked, SHANGHAI)
    assert {(each.volunteer, *each.figures) for each in found} == expected


# --- recording ------------------------------------------------------------------------------------------------------


@patiently
@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(-1, 40), st.sampled_from([0, FROM_IMPORT, VOID])), max_size=8)
)
def test_a_record_is_late_after_ten_working_days_counted_one_by_one(said: list[tuple[int, int, int]]) -> None:
    ended = np.array([MORNING + 86_400 * day for day, _, _ in said], np.uint32)
    shifts = ResolvedShifts(
        volunteer=np.zeros(len(said), np.int32),
        station=np.zeros(len(said), np.int32),
        project=np.full(len(said), NONE, np.int32),
        check_in=ended - np.uint32(3600),
        check_out=ended,
        recorded_at=(ended.astype(np.int64) + [86_400 * after + 7200 for _, after, _ in said]).astype(np.uint32),
        flags=np.array([flag for _, _, flag in said], np.uint16),
    )
    timeline = rules(rule_set(late_entry_working_days=10))
    expected = []
    for end, at, (_, _, flag) in zip(ended.tolist(), shifts.recorded_at.tolist(), said, strict=True):
        day, until = (datetime.fromtimestamp(instant, ZONE).date() for instant in (end, at))
        worked = 0
        while day < until:
            day += timedelta(days=1)
            worked += is_working_day(day)
        expected.append((worked > 10 or (worked == 10 and not is_working_day(until))) and flag != FROM_IMPORT)
    assert late(shifts, timeline).tolist() == expected
    found = recording.late_entries(shifts, timeline, np.ones(len(said), bool))
    assert [each.shifts[0] for each in found] == [
        row for row, is_late in enumerate(expected) if is_late and said[row][2] != VOID
    ]
    calendar_days = rules(rule_set(late_entry_days=14))
    assert late(shifts, calendar_days).tolist() == [
        86_400 * after + 7200 > 14 * 86_400 and flag != FROM_IMPORT for _, after, flag in said
    ]


@st.composite
def many_scans(draw: st.DrawFn) -> Recorded:
    """Scans of four shifts at two stations on two days, most of them recorded at once."""
    rows = []
    for position in range(1, draw(st.integers(0, 14)) + 1):
        occurred = MORNING + 86_400 * draw(st.integers(0, 1)) + draw(st.integers(0, 600))
        delay = draw(st.sampled_from([0, 1, 30, 61, 200, 899, 900, 901, 5_000, 300_000, -30, -61, -400, -2_000]))
        marks = draw(st.sampled_from([0, 0, 0, ATTESTED, IMPORTED]))
        shift = draw(st.integers(0, 3))
        code = draw(st.sampled_from([CHECKED_IN, CHECKED_OUT]))
        rows.append((position, occurred + delay, occurred, code, shift, draw(st.integers(0, 1)), marks))
    columns = np.array(rows, np.int64).reshape(-1, 7).T
    kinds = (np.int64, np.uint32, np.uint32, np.uint8, np.int32, np.int32, np.uint8)
    return Recorded._make(column.astype(kind) for column, kind in zip(columns, kinds, strict=True))


def four_shifts(flags: Sequence[int] = (0, 0, 0, 0)) -> ResolvedShifts:
    shifts = resolved([Stay(number, 0, number % 2, 0, 60, scanned=True, void=False) for number in range(4)])
    return shifts._replace(flags=np.array(flags, np.uint16))


@patiently
@given(many_scans())
def test_late_uploads_are_shifts_with_a_scan_that_took_too_long(events: Recorded) -> None:
    expected: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for position, at, occurred, _, shift, _, marks in zip(*(column.tolist() for column in events), strict=True):
        if not marks and at - occurred > 24 * 3_600 and shift != 3:
            expected[shift].append((position, at - occurred))
    found = recording.late_uploads(events, four_shifts((0, 0, 0, VOID)), AnomalyRules(upload_hours_max=24), SHANGHAI)
    assert {each.shifts[0]: each.positions for each in found} == {
        shift: tuple(position for position, _ in scans) for shift, scans in expected.items()
    }
    assert all(each.figures == (max(delay for _, delay in expected[each.shifts[0]]),) for each in found)


@patiently
@given(many_scans(), st.integers(1, 4), st.integers(1, 100), st.sampled_from([0, CHECK_OUT_BEFORE_CHECK_IN]))
def test_a_clock_is_wrong_where_scans_lie_ahead_or_most_are_off_alike(
    events: Recorded, least: int, percent: int, backwards: int
) -> None:
    asked = AnomalyRules(clock_seconds=60, clock_scans_min=least, clock_percent_min=percent)
    shifts = four_shifts((backwards, 0, 0, 0))
    prompt = np.zeros((2, DAYS), np.int32)
    recording.count_scans(events, SHANGHAI, prompt)
    kept = events.where(np.abs(recording.delays(events)) > 60)  # as the archive's reader gives them
    found = recording.wrong_clocks(kept, prompt, shifts, np.ones(4, bool), asked, SHANGHAI)
    delays: dict[tuple[int, int], list[int]] = defaultdict(list)
    for _, at, occurred, _, _, station, marks in zip(*(column.tolist() for column in events), strict=True):
        if not marks:
            delays[station, day_of((occurred - MORNING) // 60)].append(at - occurred)
    expected = {}
    for place, each in delays.items():
        ahead = [-delay for delay in each if delay < -60]
        behind = [delay for delay in each if 60 < delay <= 900]
        most = max(ahead, behind, key=len)
        of = sum(abs(delay) <= 900 for delay in each)
        off = len(most) if len(most) >= least and len(most) * 100 >= percent * of else 0
        if ahead or off:
            expected[place] = (len(ahead), max(ahead, default=0), 0, off, of)
    if backwards:
        place = 0, day_of(0)
        known = expected.get(place, (0, 0, 0, 0, int(prompt[place])))
        expected[place] = (*known[:2], 1, *known[3:])
    assert {(each.station, each.day): each.figures[:5] for each in found} == expected


# --- what a table of words cannot say otherwise ---------------------------------------------------------------------


def test_every_kind_says_what_it_counts() -> None:
    assert set(FIGURES) == set(KINDS)


@pytest.mark.parametrize(
    ("ended", "last"),
    [
        ("2018-02-09", "2018-02-28"),  # the Spring Festival week, and two weekends worked for it
        ("2018-09-27", "2018-10-16"),  # the National Day's week, with 29 and 30 September worked
        ("2018-12-04", "2018-12-18"),  # nothing but weekends
    ],
)
def test_ten_working_days_go_round_the_holidays(ended: str, last: str) -> None:
    timeline = rules(rule_set(late_entry_working_days=10))
    end = datetime.fromisoformat(f"{ended}T12:00:00+08:00")
    for after, expected in ((0, False), (1, True)):
        recorded = datetime.fromisoformat(f"{last}T23:59:59+08:00") + timedelta(days=after)
        shifts = resolved([Stay(1, 0, 0, 0, 60, scanned=True, void=False)])._replace(
            check_out=np.array([end.astimezone(UTC).timestamp()], np.uint32),
            recorded_at=np.array([recorded.timestamp()], np.uint32),
        )
        assert late(shifts, timeline).tolist() == [expected], recorded


def test_equal_check_in_minutes_stand_by_shift_id_however_they_are_numbered() -> None:
    one, other = Stay(7, 0, 0, 0, 60, scanned=True, void=False), Stay(3, 0, 1, 0, 60, scanned=True, void=False)
    for given_stays in ([one, other], [other, one]):
        (found,) = meetings.two_stations(served(given_stays), AnomalyRules())
        assert numbers(given_stays, found) == (3, 7)


def test_days_in_a_row_are_cut_where_a_day_lacks() -> None:
    assert list(stays.runs([1, 2, 3, 5, 6, 9], 2)) == [[1, 2, 3], [5, 6]]
    assert list(stays.runs([], 1)) == []
