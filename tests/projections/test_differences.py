"""Differences: what is kept of two replays agrees with the replays' rows, and its reasons sum to the changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.aggregates import Event
from ledger.names import Position
from projections.compare.sides import AFTER, BEFORE, STATION_CHANGE_COLUMNS, TRACE_COLUMNS
from projections.kernels.facts import facts_of
from projections.local_time import day_number, day_of_number
from projections.rules.table import honor_ids
from projections.rules.timeline import RuleTimeline
from projections.schema import HOURS_COLUMNS, NO_DAY, PROJECT_COLUMNS
from replay.generations.named_rows import Rows, rows_of
from replay.progress import StoppedError
from replay.what_if.comparison import Comparison, Point, what_if
from tests.support.oracle.histories import ZONES, Case, cases, history, patiently, rules
from tests.support.replay.replaying import as_rules

NIGHT = {"name": "night", "percent": 150, "minute_from": "22:00", "minute_until": "06:00"}
ADVENT = {"name": "advent", "percent": 300, "first_day": "2018-12-04", "last_day": "2018-12-24"}
DINNER = {"name": "dinner", "percent": 0, "minute_from": "20:00", "minute_until": "21:00"}
STROLL = {"name": "stroll", "percent": 200, "minute_from": "21:00", "minute_until": "22:00"}
LENIENT = rules()


def point(events: Sequence[Event], timeline: RuleTimeline) -> Point:
    return Point(facts_of(events), as_rules(timeline), Position(len(events)))


def compared(events: Sequence[Event], before: RuleTimeline, after: RuleTimeline, **more: Any) -> Comparison:
    """Compare two timelines over the same facts."""
    one = point(events, before)
    return what_if(one, Point(one.facts, as_rules(after, 2), one.known_at), threads=1, **more)


def replayed(events: Sequence[Event], timeline: RuleTimeline, valid_until: int = NO_DAY) -> Rows:
    facts = facts_of(events)
    models = facts.read_models(timeline, valid_until=valid_until)
    return rows_of(
        models, facts.volunteers.texts(), facts.stations.texts(), honor_ids(timeline), facts.projects.texts()
    )


def trace(found: Comparison, name: str, side: int) -> dict[str, int]:
    """Return the trace of a volunteer who differs."""
    (row,) = np.flatnonzero(found.found.volunteers == found.volunteers.index(name))
    return dict(zip(TRACE_COLUMNS, found.found.traces[row, side].tolist(), strict=True))


def assert_agrees(found: Comparison, before: Rows, after: Rows) -> None:
    """Hold a comparison to the rows of the two replays it compares."""
    rows = [by_volunteer(one) for one in (before, after)]
    standings = [standings_of(one) for one in (before, after)]
    listed = {found.volunteers[number] for number in found.found.volunteers.tolist()}
    changed = {
        (name, honor): (first.get((name, honor)), second.get((name, honor)))
        for first, second in [standings]
        for name, honor in first.keys() | second.keys()
        if first.get((name, honor)) != second.get((name, honor))
    }
    assert {
        (found.volunteers[volunteer], found.honors[honor]): tuple(None if day == NO_DAY else day for day in days)
        for volunteer, honor, *days in found.found.honors.tolist()
    } == changed
    differing = {name for name, _ in dict(set(rows[0].items()) ^ set(rows[1].items()))} | {name for name, _ in changed}
    assert differing <= listed
    for side, one in ((BEFORE, before), (AFTER, after)):
        years = {key: row for key, row in rows[side].items() if key[1]}
        low = 2 + side * len(HOURS_COLUMNS)
        assert {
            (found.volunteers[row[0]], row[1]): tuple(row[low : low + len(HOURS_COLUMNS)])
            for row in found.found.years.tolist()
            if any(row[low : low + len(HOURS_COLUMNS)])
        } == years
        for name in listed:
            whole = rows[side].get((name, 0), (0,) * len(HOURS_COLUMNS))
            assert tuple(trace(found, name, side)[column] for column in HOURS_COLUMNS) == whole
        sums: Counter[tuple[str, str]] = Counter()
        for station, row in zip(one.station, one.stations.tolist(), strict=True):
            for column, value in zip(
                ("shifts", "volunteers", "raw", "counted", "credited", "people_served"), row[1:], strict=True
            ):
                sums[station, column] += value
        for number, station in enumerate(found.stations):
            told = dict(zip(STATION_CHANGE_COLUMNS, found.found.stations[number, side].tolist(), strict=True))
            for column in ("shifts", "volunteers", "raw", "counted", "credited", "people_served"):
                assert told[column] == sums[station, column], (station, column)
        months = found.found.projects[side]
        assert {
            (found.projects[project], found.found.first_year + year, month, *months[project, year, month].tolist())
            for project, year, month in zip(*np.nonzero(months.any(axis=3)), strict=True)
        } == {(name, *row) for name, row in zip(one.project, one.projects.tolist(), strict=True)}
        total = dict(zip(TRACE_COLUMNS, found.found.totals[side].tolist(), strict=True))
        every = np.array([row for key, row in rows[side].items() if key[1] == 0]).reshape(-1, len(HOURS_COLUMNS))
        assert [total[column] for column in HOURS_COLUMNS] == every.sum(axis=0).tolist()


def by_volunteer(rows: Rows) -> dict[tuple[str, int], tuple[int, ...]]:
    """Return rows of hours by volunteer and year. A row of nothing but zeros says as much as none."""
    pairs = zip(rows.hours_volunteer, rows.hours.tolist(), strict=True)
    return {(name, row[0]): tuple(row[1:]) for name, row in pairs if any(row[1:])}


def standings_of(rows: Rows) -> dict[tuple[str, str], int]:
    keys = zip(rows.standing_volunteer, rows.standing_honor, strict=True)
    return {key: day for key, (day,) in zip(keys, rows.standings.tolist(), strict=True)}


def assert_sums(found: Comparison) -> None:
    """Hold the laws: the trace of each side sums, and so do the reasons of the change."""
    traces = {name: found.found.traces[:, :, at] for at, name in enumerate(TRACE_COLUMNS)}
    lost = sum(traces[name] for name in ("superseded", "too_short", "clipped", "overlapped", "capped"))
    assert np.array_equal(traces["raw"], lost + traces["counted"])
    credited = traces["counted"] + traces["factor_change"] - traces["rounding"] + traces["opening_balance"]
    assert np.array_equal(traces["credited"], credited)
    assert np.array_equal(traces["credited"], traces["scanned"] + traces["attested"])
    assert np.array_equal(found.reasons.minutes.sum(axis=1), found.changes)
    # What windows changed are whole minutes and all of the change, so that rounding is the unit's alone.
    change = traces["factor_change"][:, AFTER] - traces["factor_change"][:, BEFORE]
    assert np.array_equal(found.found.windows.sum(axis=1) * (change != 0), 100 * change)
    assert not (found.found.windows % 100).any()
    if found.in_zone is not None:
        return  # what the zone alone changes is a step of its own
    rounding = traces["rounding"][:, AFTER] - traces["rounding"][:, BEFORE]
    at = [step for step, _ in found.reasons.steps].index("rounding")
    assert np.array_equal(found.reasons.minutes[:, at], -rounding)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Case, RuleTimeline]:
    """A history with its rules, and other rules, which mostly bite on the same days."""
    zone = draw(st.sampled_from(sorted(ZONES)))
    here = {zone: (draw(st.sampled_from(ZONES[zone])),)}
    anywhere = draw(st.sampled_from([here, here, ZONES]))
    return draw(cases(zones=here)), draw(cases(zones=anywhere, shifts_max=1)).timeline


# --- laws -----------------------------------------------------------------------------------------------------------


@patiently
@given(pairs(), st.data())
def test_differences_agree_with_the_rows_of_two_replays(pair: tuple[Case, RuleTimeline], data: st.DataObject) -> None:
    (events, timeline), other = pair
    days = [event.occurred_at // 86_400 for event in events]
    valid_until = data.draw(st.sampled_from([NO_DAY, NO_DAY, *days]))
    valid_at = None if valid_until == NO_DAY else day_of_number(valid_until)
    found = compared(events, timeline, other, valid_at=valid_at)
    assert_agrees(found, replayed(events, timeline, valid_until), replayed(events, other, valid_until))
    assert_sums(found)


@patiently
@given(cases(), st.data())
def test_two_moments_differ_as_two_ledgers_that_stopped_there(case: Case, data: st.DataObject) -> None:
    events, timeline = case
    one, other = (data.draw(st.integers(0, len(events))) for _ in range(2))
    found = what_if(point(events[:one], timeline), point(events[:other], timeline), threads=1)
    assert_agrees(found, replayed(events[:one], timeline), replayed(events[:other], timeline))
    assert_sums(found)


@patiently
@given(cases())
def test_nothing_differs_from_itself(case: Case) -> None:
    events, timeline = case
    for found in (
        compared(events, timeline, timeline),
        what_if(point(events, timeline), point(events, timeline), threads=2),  # facts read twice are compared, too
    ):
        assert len(found.found.volunteers) == len(found.found.honors) == len(found.ranks) == 0
        assert np.array_equal(found.found.stations[:, BEFORE], found.found.stations[:, AFTER])
        assert np.array_equal(found.found.totals[BEFORE], found.found.totals[AFTER])
        assert np.array_equal(*found.found.projects)
        assert found.found.totals[BEFORE, 1] > 0 or not replayed(events, timeline).hours[:, 2].any()


@patiently
@given(cases())
def test_windows_tell_what_each_of_them_changes(case: Case) -> None:
    """A window gives what is missing when it earns 100 percent. Whole percentages of a hundred are never rounded."""
    events, timeline = case
    percents = (200, 0, 300, 1000)
    named = with_factors(timeline, lambda at: {"name": f"w{at}", "percent": percents[at % 4]})
    found = compared(events, with_factors(timeline, lambda at: {"name": f"w{at}", "percent": 100}), named)
    assert_sums(found)
    column = TRACE_COLUMNS.index("factor_change")
    change = found.found.traces[:, AFTER, column] - found.found.traces[:, BEFORE, column]
    assert np.array_equal(found.found.windows.sum(axis=1) * (change != 0), 100 * change)
    for at, name in enumerate(found.windows):
        without = with_factors(timeline, partial(_all_but, name, percents))
        alone = compared(events, without, named)
        gained = dict(zip(alone.found.volunteers.tolist(), alone.found.traces[:, :, column].tolist(), strict=True))
        for row, number in enumerate(found.found.volunteers.tolist()):
            if change[row]:  # only then is it asked which window it was
                before, after = gained.get(number, (0, 0))
                assert found.found.windows[row, at] == 100 * (after - before), name


def test_a_window_that_stays_as_it_is_is_no_reason_beside_two_that_overlap() -> None:
    """61 minutes at 150 % are 91; those of the evenings in March leave a choice of windows, which are counted."""
    festival = {"name": "festival", "percent": 150, "first_day": "2018-02-15", "last_day": "2018-02-21"}
    late = {"name": "late", "percent": 133, "weekdays": [5, 6], "minute_from": 1230, "minute_until": 75}
    weekend = {"name": "weekend", "percent": 110, "weekdays": [6, 7]}
    events = history(
        "2018-02-16 09:00 in V1 U1 #1\n2018-02-16 10:01 out V1 U1 #1\n"
        "2018-02-17 09:00 in V1 U1 #2\n2018-02-17 10:01 out V1 U1 #2\n"
        "2018-03-10 20:13 in V1 U1 #3\n2018-03-10 21:20 out V1 U1 #3\n"
    )
    one = rules(factors=[festival])
    march = one.rule_sets[0].model_copy(
        update={"holds_from": date(2018, 3, 1), "factors": rules(factors=[late, weekend]).rule_sets[0].factors}
    )
    found = compared(events, one, one.model_copy(update={"rule_sets": (*one.rule_sets, march)}))
    assert_sums(found)
    named = {
        step: minutes for step, minutes in zip(found.reasons.steps, found.reasons.minutes[0], strict=True) if minutes
    }
    assert set(named) == {("factor_change", "late"), ("factor_change", "weekend")}


def test_a_window_is_named_for_a_shift_through_the_hour_that_comes_twice() -> None:
    """In the last minute of this shift the clocks have gone back from 24:00 to 23:00 of the same day."""
    events = history("2018-02-17 23:30 in V1 U1 #1\n2018-02-17 23:01-03:00 out V1 U1 #1\n", zone="America/Sao_Paulo")

    def timeline(*percents: int) -> RuleTimeline:
        factors = [{"name": f"w{at}", "percent": percent} for at, percent in enumerate(percents)]
        return rules(zone="America/Sao_Paulo", factors=factors)

    found = compared(events, timeline(100, 100, 100), timeline(200, 0, 300))
    assert found.found.windows.tolist() == [[3100, 0, 0]]


def test_a_day_on_which_the_clocks_change_is_not_taken_for_a_whole_day() -> None:
    """The last day has 24.5 hours, so its 1,440 minutes until 23:30 include half an hour twice."""
    zone = "Australia/Lord_Howe"
    events = history("2018-03-30 23:00 in V1 U1 #1\n2018-04-01 23:30 out V1 U1 #1\n", zone=zone)

    def timeline(evening: int, else_: int) -> RuleTimeline:
        factors = [
            {"name": "evening", "percent": evening, "minute_from": 1380, "minute_until": 30},
            {"name": "else", "percent": else_},
        ]
        return rules(zone=zone, factors=factors, shift_minutes_max=10_080, day_minutes_max=1440)

    found = compared(events, timeline(100, 100), timeline(200, 0))
    evening, total = 60 + 30 + 60 + 30 + 30, 60 + 1440 + 1440
    assert found.found.windows.tolist() == [[100 * evening, -100 * (total - evening)]]


def _all_but(name: str, percents: Sequence[int], at: int) -> dict[str, object]:
    return {"name": f"w{at}", "percent": 100 if f"w{at}" == name else percents[at % 4]}


def with_factors(timeline: RuleTimeline, update: Callable[[int], dict[str, object]]) -> RuleTimeline:
    """Return a timeline with changed windows; each of a set is told its number."""
    sets = [
        one.model_copy(update={"factors": tuple(f.model_copy(update=update(at)) for at, f in enumerate(one.factors))})
        for one in timeline.rule_sets
    ]
    return timeline.model_copy(update={"rule_sets": tuple(sets)})


def test_threads_and_chunks_change_nothing() -> None:
    events = history(
        "".join(
            f"2018-12-{day:02d} 09:00 in V{number} U1 #1 project=P1\n2018-12-{day:02d} 19:00 out V{number} U1 #1\n"
            for number in range(1, 60)
            for day in (1 + number % 28,)
        )
    )
    other = rules(day_minutes_max=480)
    one = compared(events, LENIENT, other)
    two = point(events, LENIENT)
    both = what_if(two, Point(two.facts, as_rules(other, 2), two.known_at), threads=3)
    for name in ("volunteers", "traces", "windows", "years", "honors", "stations", "totals", "projects"):
        assert np.array_equal(getattr(one.found, name), getattr(both.found, name)), name
    assert len(one.found.volunteers) == 59


# --- reasons --------------------------------------------------------------------------------------------------------

TWO_DAYS = """
    2018-12-03 20:00 in  V1 U1 #1 project=P1
    2018-12-04 02:00 out V1 U1 #1              ; four hours up to midnight, two behind it
    2018-12-05 09:00 in  V2 U2 #2
    2018-12-05 09:20 out V2 U2 #2
"""


@pytest.mark.parametrize(
    ("before", "after", "reasons"),
    [
        ({}, {"factors": [NIGHT]}, {"V1": {"night": 120}}),
        ({}, {"day_minutes_max": 180}, {"V1": {"capped": -60}}),
        ({}, {"shift_minutes_min": 30}, {"V2": {"too_short": -20}}),
        ({}, {"shift_minutes_max": 300}, {"V1": {"clipped": -60}}),
        ({}, {"credit_unit_minutes": 50}, {"V1": {"rounding": -10}, "V2": {"rounding": -20}}),
        ({}, {"factors": [ADVENT, NIGHT]}, {"V1": {"advent": 240, "night": 60}, "V2": {"advent": 40}}),
        ({"factors": [ADVENT, NIGHT]}, {"factors": [NIGHT, ADVENT]}, {"V1": {"advent": -240, "night": 60}}),
        (
            {"factors": [NIGHT]},
            {"factors": [{**NIGHT, "percent": 125}], "day_minutes_max": 150},
            # Of the first day 30 minutes at night still count, of the second all: 37.5 more instead of 120.
            {"V1": {"capped": -90, "night": -83}},
        ),
        ({"factors": [{**NIGHT, "percent": 101}]}, {}, {"V1": {"night": -2}}),
        # Two windows cancel out within one piece, and each is still named.
        (
            {},
            {"factors": [ADVENT, DINNER, STROLL]},
            {"V1": {"advent": 240, "dinner": -60, "stroll": 60}, "V2": {"advent": 40}},
        ),
    ],
)
def test_reasons_name_the_step_that_gave_or_took(
    before: dict[str, Any], after: dict[str, Any], reasons: dict[str, dict[str, int]]
) -> None:
    found = compared(history(TWO_DAYS), rules(**before), rules(**after))
    assert told(found) == reasons
    assert_sums(found)


def told(found: Comparison) -> dict[str, dict[str, int]]:
    steps, minutes = found.reasons
    return {
        found.volunteers[number]: {
            factor or step: part for (step, factor), part in zip(steps, minutes[row].tolist(), strict=True) if part
        }
        for row, number in enumerate(found.found.volunteers.tolist())
    }


def test_the_reason_of_what_became_known_is_the_facts_own() -> None:
    events = history(TWO_DAYS + "2018-12-06 09:00 opening V2 6000 2018-12-05\n2018-12-06 10:00 void V1 #1\n")
    found = what_if(point(events[:-2], LENIENT), point(events, LENIENT), threads=1)
    assert told(found) == {"V1": {"raw": -360}, "V2": {"superseded": -20, "opening_balance": 6000}}


def test_minutes_that_move_between_stations_change_the_stations_alone() -> None:
    events = history(TWO_DAYS + "2018-12-06 10:00 correct V1 #1 station=U2\n")
    found = what_if(point(events[:-1], LENIENT), point(events, LENIENT), threads=1)
    assert len(found.found.volunteers) == 0
    change = dict(zip(found.stations, found.found.stations[:, AFTER] - found.found.stations[:, BEFORE], strict=True))
    assert [change[name][STATION_CHANGE_COLUMNS.index("credited")] for name in ("U1", "U2")] == [-360, 360]


def test_minutes_that_move_between_projects_change_the_projects_alone() -> None:
    events = history(TWO_DAYS + "2018-12-06 10:00 correct V1 #1 project=P2\n")
    found = what_if(point(events[:-1], LENIENT), point(events, LENIENT), threads=1)
    assert len(found.found.volunteers) == 0
    before, after = (side[:, 2018 - found.found.first_year, 0] for side in found.found.projects)
    credited = PROJECT_COLUMNS.index("credited")
    assert dict(zip(found.projects, (after - before)[:, credited].tolist(), strict=True)) == {"P1": -360, "P2": 360}


def test_honours_are_gained_lost_and_moved() -> None:
    def asking(**minutes: int) -> RuleTimeline:
        return rules(
            honors=[{"id": name, "title": name, "credited_minutes_min": least} for name, least in minutes.items()]
        )

    found = compared(history(TWO_DAYS), asking(old=10, easy=100, hard=361), asking(new=20, easy=300, hard=360))
    first, second, third = (day_number(date(2018, 12, day)) for day in (3, 4, 5))
    assert {
        (found.volunteers[volunteer], found.honors[honor]): (before, after)
        for volunteer, honor, before, after in found.found.honors.tolist()
    } == {
        ("V1", "old"): (first, NO_DAY),
        ("V2", "old"): (third, NO_DAY),
        ("V1", "new"): (NO_DAY, first),
        ("V2", "new"): (NO_DAY, third),
        ("V1", "easy"): (first, second),
        ("V1", "hard"): (NO_DAY, second),
    }


def test_honours_alone_need_one_credit() -> None:
    """What differs in honours alone is credited once, and told as if it had been credited twice."""
    events = history(TWO_DAYS)
    asked = rules(honors=[{"id": "star", "title": "star", "credited_minutes_min": 200}])
    assert_agrees(compared(events, LENIENT, asked), replayed(events, LENIENT), replayed(events, asked))


# --- progress -------------------------------------------------------------------------------------------------------


def test_a_comparison_tells_its_progress_and_can_be_stopped() -> None:
    said: list[tuple[str, int, int]] = []
    one = point(history(TWO_DAYS), LENIENT)
    what_if(one, one, progress=lambda *words: said.append(words))
    assert [stage for stage, *_ in dict.fromkeys((word[0],) for word in said)] == [
        "ordering shifts",
        "comparing volunteers",
        "ranking",
    ]
    assert ("comparing volunteers", 2, 2) in said

    def stop(stage: str, _done: int, _in_all: int) -> None:
        if stage == "comparing volunteers":
            raise StoppedError

    with pytest.raises(StoppedError):
        what_if(one, one, progress=stop)


def test_facts_of_two_logs_are_refused() -> None:
    other = history("2018-12-03 20:00 in V9 U1 #1")
    with pytest.raises(ValueError, match="not facts of one log"):
        what_if(point(history(TWO_DAYS), LENIENT), point(other, LENIENT))
