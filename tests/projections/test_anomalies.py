"""Each kind of anomaly is what a slow and obvious search says it is, whatever order the shifts are numbered in."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, timedelta
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.anomalies import entries, meetings, stays
from projections.anomalies.findings import (
    CORRECTED,
    ENTERED,
    FIGURES,
    KINDS,
    RAISED,
    Acts,
    stays_of,
)
from projections.kernels.facts import FactsBuilder, facts_of
from projections.kernels.read_models import pieces_of
from projections.local_time import day_of_number
from projections.rules.anomalies import AnomalyRules
from projections.rules.table import rule_table
from projections.schema import (
    NO_DAY,
    NONE,
)
from replay.audit.sentences import reason
from tests.support.oracle.anomaly_columns import MORNING, Stay, day_of, many_stays, numbers, pairs, resolved, served
from tests.support.oracle.histories import SHANGHAI, Case, cases, history, patiently, raise_cap, rule_set, rules
from tests.support.oracle.oracle import credit

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
    table_of_rules = rule_table(timeline, facts.projects.number)
    table = facts.paired(table_of_rules).table
    found = stays.over_cap(
        stays_of(table, timeline.time_zone),
        table,
        timeline,
        lambda volunteer: pieces_of(volunteer, table, people, facts.station_kinds(timeline), table_of_rules),
        NO_DAY,
    )
    capped: dict[tuple[str, date], int] = defaultdict(int)
    for piece in credit(case.events, timeline).pieces:
        if piece.capped:
            capped[piece.person, piece.day] += piece.capped
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


# --- what a table of words cannot say otherwise ---------------------------------------------------------------------


def test_every_kind_says_what_it_counts() -> None:
    assert set(FIGURES) == set(KINDS)


def test_equal_check_in_minutes_stand_by_shift_id_however_they_are_numbered() -> None:
    one, other = Stay(7, 0, 0, 0, 60, scanned=True, void=False), Stay(3, 0, 1, 0, 60, scanned=True, void=False)
    for given_stays in ([one, other], [other, one]):
        (found,) = meetings.two_stations(served(given_stays), AnomalyRules())
        assert numbers(given_stays, found) == (3, 7)


def test_days_in_a_row_are_cut_where_a_day_lacks() -> None:
    assert list(stays.runs([1, 2, 3, 5, 6, 9], 2)) == [[1, 2, 3], [5, 6]]
    assert list(stays.runs([], 1)) == []


def test_who_comes_in_time_from_another_station_is_not_told_because_of_a_stay_in_between() -> None:
    def stay(number: int, station: int, start: int, end: int) -> Stay:
        return Stay(number, 0, station, start, end, scanned=True, void=False)

    given_stays = [stay(1, 0, 0, 10), stay(2, 1, 2, 14), stay(3, 1, 15, 30)]
    assert meetings.travel_time(served(given_stays), AnomalyRules(travel_minutes_min=5)) == []
    (found,) = meetings.travel_time(served(given_stays), AnomalyRules(travel_minutes_min=6))
    assert numbers(given_stays, found) == (1, 3)


def test_a_shift_without_a_station_is_long_like_any_other_but_at_no_two_stations() -> None:
    def stay(number: int, station: int, start: int, end: int) -> Stay:
        return Stay(number, 0, station, start, end, scanned=True, void=False)

    given_stays = [stay(1, 0, 0, 100), stay(2, NONE, 50, 850), stay(3, 0, 852, 900)]
    assert meetings.two_stations(served(given_stays), AnomalyRules()) == []
    assert meetings.travel_time(served(given_stays), AnomalyRules(travel_minutes_min=5)) == []
    (found,) = stays.long_shifts(served(given_stays), AnomalyRules())
    assert (numbers(given_stays, found), found.station) == ((2,), NONE)
    said = reason(found, lambda field: "U1" if field == "volunteer" else None, rules())
    assert said == "a shift of 13 h 20 min, longer than 12 h 00 min"


@pytest.mark.parametrize(("out", "minutes"), [("2018-12-05 11:00", 26 * 60), ("2018-12-06 11:00", 50 * 60)])
def test_a_shift_whose_check_out_came_days_later_is_long(out: str, minutes: int) -> None:
    """Its id pairs it, whatever open_hours_max says; it earns as much as shift_minutes_max lets it."""
    facts, timeline = facts_of(history(f"2018-12-04 09:00 in V1 U1 #1\n{out} out V1 U1 #1")), rules()
    table = facts.paired(facts.rules(timeline)).table
    (found,) = stays.long_shifts(stays_of(table, SHANGHAI), AnomalyRules())
    assert found.figures == (minutes,)


def test_a_raise_below_the_cap_makes_no_day_too_long() -> None:
    events = history("2018-12-04 09:00 in V1 U1 #1\n2018-12-04 10:00 out V1 U1 #1")
    facts = facts_of([*events, raise_cap("V1", date(2018, 12, 4), 45)])
    daily = AnomalyRules(cap_days_in_row=1)
    timeline = rules(rule_set(day_minutes_max=480)).model_copy(update={"anomalies": daily})
    table, people, kinds = (
        facts.paired(facts.rules(timeline)).table,
        facts.volunteer_table(),
        facts.station_kinds(timeline),
    )
    credited = partial(pieces_of, table=table, volunteers=people, station_kind=kinds, rules=rule_table(timeline, {}))
    assert stays.over_cap(stays_of(table, SHANGHAI), table, timeline, credited, NO_DAY) == []
    low = timeline.model_copy(update={"rule_sets": rules(rule_set(day_minutes_max=45)).rule_sets})
    credited = partial(pieces_of, table=table, volunteers=people, station_kind=kinds, rules=rule_table(low, {}))
    (found,) = stays.over_cap(stays_of(table, SHANGHAI), table, low, credited, NO_DAY)
    assert found.figures == (1, 15)
