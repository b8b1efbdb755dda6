"""An explained day: each minute as the oracle counts it, each event where it decides, or an error; never a story."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings

from ledger.aggregates import Event
from projections.rules.timeline import RuleTimeline
from replay.axes.as_known import NOW, Axes
from replay.explain.day import explain_day, volunteer_days
from replay.explain.explanations import DayExplanation, ExplainedShift
from replay.explain.stretches import ExplanationError, first_instant
from tests.support.examples import examples
from tests.support.oracle.histories import (
    Case,
    cases,
    check_in,
    check_out,
    correct,
    open_station,
    opening,
    patiently,
    raise_cap,
    register,
    rules,
    stamped,
    void,
)
from tests.support.oracle.knowing import known, listed
from tests.support.oracle.oracle import Piece, credit
from tests.support.replay.replaying import as_rules

DAY = date(2018, 12, 1)
LOSSES = ("superseded", "too_short", "clipped", "overlapped", "capped", "counted")


def explained(events: list[Event], timeline: RuleTimeline, day: date = DAY, volunteer: str = "V1") -> DayExplanation:
    return explain_day(listed(events), known(events, volunteer, as_rules(timeline)), day, NOW)


# --- against the oracle ---------------------------------------------------------------------------------------------


@settings(patiently, max_examples=examples(20))
@given(case=cases())
def test_every_day_is_told_to_the_minute_as_the_oracle_counts_it(case: Case) -> None:
    pieces = credit(case.events, case.timeline).pieces
    days = {(piece.volunteer, piece.day) for piece in pieces}
    edges = {(volunteer, day + timedelta(days=step)) for volunteer, day in days for step in (-1, 1)}
    for volunteer, day in sorted(days | edges)[:12]:
        found = explained(case.events, case.timeline, day, volunteer)
        of_person = (found.goes_on_as or volunteer, day)
        expected = {(piece.volunteer, piece.shift): piece for piece in pieces if (piece.person, piece.day) == of_person}
        assert {_key(shift, found) for shift in found.shifts} == set(expected)
        for shift in found.shifts:
            _agrees(shift, expected[_key(shift, found)])
            _covers(shift, found)
            _holders_hold(shift, found)
        assert found.trace.credited == sum(piece.credited for piece in expected.values())
        assert found.trace.raw == sum(piece.raw for piece in expected.values())


def _key(shift: ExplainedShift, day: DayExplanation) -> tuple[str, UUID]:
    return shift.volunteer or day.volunteer, shift.shift


def _agrees(shift: ExplainedShift, piece: Piece) -> None:
    """The stretches sum to the oracle's piece, and so does the trace."""
    told = Counter[str]()
    for stretch in shift.stretches:
        told[stretch.fate.replace("-", "_")] += stretch.minutes
    assert {name: told[name] for name in LOSSES} == {name: getattr(piece, name) for name in LOSSES}
    assert {name: getattr(shift.trace, name) for name in LOSSES} == {name: told[name] for name in LOSSES}
    assert sum(stretch.minutes * stretch.percent for stretch in shift.stretches) == shift.rounding.percentages
    assert (shift.rounding.percentages // 100, shift.trace.credited) == (piece.share, piece.credited)
    before, unit = shift.rounding, shift.rounding.unit.value
    assert (before.shares_before + before.share) // unit * unit - before.credited_before == piece.credited
    assert (shift.grade == "scanned", shift.station, shift.project) == (piece.scanned, piece.station, piece.project)


def _covers(shift: ExplainedShift, day: DayExplanation) -> None:
    """The stretches follow one another without a gap, from the shift's begin or the day's to the end of either."""
    if not shift.stretches:
        assert shift.begin == shift.end
        return
    assert shift.stretches[0].begin == max(shift.begin, day.begin)
    assert shift.stretches[-1].until == min(shift.end, day.until)
    assert all(one.until == other.begin for one, other in pairwise(shift.stretches))
    for stretch in shift.stretches:
        assert (stretch.until - stretch.begin) == timedelta(minutes=stretch.minutes)


def _holders_hold(shift: ExplainedShift, day: DayExplanation) -> None:
    """Who is said to hold overlapped minutes does hold them: there they count, or were capped."""
    by_key = {_key(other, day): other for other in day.shifts}
    for stretch in shift.stretches:
        if stretch.fate == "overlapped":
            assert stretch.held_by is not None
            held = sum(
                max(min(stretch.until, other.until) - max(stretch.begin, other.begin), timedelta())
                // timedelta(minutes=1)
                for other in by_key[stretch.held_by_volunteer or day.volunteer, stretch.held_by].stretches
                if other.fate in {"counted", "capped"}
            )
            assert held == stretch.minutes


@settings(patiently, max_examples=examples(8))
@given(case=cases())
def test_the_days_in_brief_are_the_days_of_the_pieces_the_latest_first(case: Case) -> None:
    pieces = credit(case.events, case.timeline).pieces
    for volunteer, person in sorted({(piece.volunteer, piece.person) for piece in pieces}):
        expected: dict[date, list[Piece]] = {}
        for piece in pieces:
            if piece.person == person:
                expected.setdefault(piece.day, []).append(piece)
        whose = known(case.events, volunteer, as_rules(case.timeline))
        found = volunteer_days(whose, NOW, 4000).days
        assert [day.day for day in found] == sorted(expected, reverse=True)
        for day in found:
            parts = expected[day.day]
            assert (day.shifts, day.raw, day.credited) == (
                len(parts),
                sum(part.raw for part in parts),
                sum(part.credited for part in parts),
            )
        pages, before = [], None
        while True:
            page = volunteer_days(whose, NOW, 2, before)
            pages += page.days
            if (before := page.next_before) is None:
                break
        assert pages == found
        latest = found[0].day
        cut = volunteer_days(whose, Axes(valid_at=latest - timedelta(days=1)), 4000).days
        assert cut == [day for day in found if day.day < latest]


# --- by hand --------------------------------------------------------------------------------------------------------


def lines(found: DayExplanation) -> list[str]:
    """Write stretches as a ledger's reader would."""
    return [
        f"#{shift.shift.int % 1000} {stretch.begin:%H:%M}-{stretch.until:%H:%M} {stretch.minutes} {stretch.fate}"
        + (f" {stretch.percent} %" if stretch.fate == "counted" else "")
        + f": {stretch.because}"
        for shift in found.shifts
        for stretch in shift.stretches
    ]


def at(clock: str) -> str:
    return f"2018-12-01T{clock}+08:00"


def shift(number: int, came: str, left: str, station: str = "U1") -> list[Event]:
    return [check_in("V1", station, at(came), number), check_out("V1", station, at(left), number)]


FOUNDING = [register("V1"), open_station("U1", "city")]
TIMELINE = rules(
    day_minutes_max=240,
    shift_minutes_min=10,
    shift_minutes_max=300,
    missing_check_out_minutes=30,
    credit_unit_minutes=15,
    factors=(
        {"name": "night", "percent": 150, "minute_from": "20:00", "minute_until": "06:00", "station_kinds": ["city"]},
    ),
)


def test_each_stretch_says_which_rule_took_or_gave_its_minutes() -> None:
    events = stamped(
        [
            *FOUNDING,
            *shift(1, "08:00", "08:05"),
            *shift(2, "09:00", "11:00"),
            *shift(3, "10:30", "12:00"),
            *shift(4, "19:00", "20:40"),
            check_in("V1", "U1", at("23:50"), 5),
        ]
    )
    found = explained(events, TIMELINE)
    assert lines(found) == [
        "#1 08:00-08:05 5 too-short: the shift lasted 5 minutes, fewer than 10",
        "#2 09:00-11:00 120 counted 100 %: counted in full",
        "#3 10:30-11:00 30 overlapped: already held by the shift from 09:00 at U1, which comes first",
        "#3 11:00-12:00 60 counted 100 %: counted in full",
        "#4 19:00-20:00 60 counted 100 %: counted in full",
        "#4 20:00-20:40 40 capped: over the day cap of 240 minutes",
        "#5 23:50-00:00 10 capped: over the day cap of 240 minutes",
    ]
    cited = {(rule.key, rule.value, rule.name) for one in found.shifts for part in one.stretches if (rule := part.rule)}
    assert cited == {("shift_minutes_min", 10, None), ("day_minutes_max", 240, None)}
    open_shift = found.shifts[-1]
    assert (open_shift.ended_by, open_shift.end_rule and open_shift.end_rule.value) == ("missing-check-out", 30)
    assert found.trace.credited == 240


def test_factor_clip_raise_and_rounding_are_told_with_their_events() -> None:
    events = stamped([*FOUNDING, raise_cap("V1", DAY, 400), *shift(1, "16:40", "22:00")])
    found = explained(events, TIMELINE)
    assert lines(found) == [
        "#1 16:40-20:00 200 counted 100 %: counted in full",
        "#1 20:00-21:40 100 counted 150 %: counted at 150 % (factor night)",
        "#1 21:40-22:00 20 clipped: beyond the shift's first 300 minutes",
    ]
    (one,) = found.shifts
    rounding = one.rounding
    assert (rounding.percentages, rounding.share, rounding.unit.value, rounding.credited) == (35_000, 350, 15, 345)
    assert (one.trace.factor_change, one.trace.rounding) == (50, 5)
    assert (found.cap.minutes, found.cap.rule.value) == (400, 240)
    assert found.cap.raised_by is not None
    assert (found.cap.raised_by.position, found.cap.raised_by.topic) == (3, "day-cap-raised.v1")
    night = one.stretches[1]
    assert night.rule is not None
    assert (night.rule.key, night.rule.name, night.rule.value) == ("factors.percent", "night", 150)
    # The station's opening as a city station, the raise, the check-in and the check-out.
    assert night.positions == [2, 3, 4, 5]


@pytest.mark.parametrize(
    ("openings", "kind", "minutes", "position"),
    [
        ([("city", "2010-01-01T12:00Z")], "city", 90, 2),
        ([("city", at("23:00"))], "city", 90, 2),  # the first kind reaches back
        (
            [("community", "2010-01-01T12:00Z"), ("city", at("23:30"))],
            "city",
            90,
            3,
        ),  # as which it was opened last on the day
        ([("city", "2010-01-01T12:00Z"), ("community", "2018-12-02T00:00+08:00")], "city", 90, 2),
        ([("city", "2010-01-01T12:00Z"), ("community", at("00:00"))], "community", 60, None),
    ],
)
def test_the_kind_of_a_station_is_that_of_the_day(
    openings: list[tuple[str, str]], kind: str, minutes: int, position: int | None
) -> None:
    opened = [open_station("U1", as_kind, when) for as_kind, when in openings]
    (one,) = explained(stamped([register("V1"), *opened, *shift(1, "20:00", "21:00")]), TIMELINE).shifts
    assert (one.station_kind, one.trace.credited) == (kind, minutes)
    scans = [2 + len(opened), 3 + len(opened)]
    assert one.stretches[0].positions == ([position, *scans] if position else scans)


@pytest.mark.parametrize(("minutes", "cap", "raised"), [(100, 240, False), (240, 240, False), (241, 241, True)])
def test_a_raise_that_is_not_above_the_cap_sets_nothing(minutes: int, cap: int, raised: bool) -> None:  # noqa: FBT001 - of the table
    found = explained(stamped([*FOUNDING, raise_cap("V1", DAY, minutes), *shift(1, "09:00", "13:30")]), TIMELINE)
    assert (found.cap.minutes, found.cap.raised_by is not None, found.trace.counted) == (cap, raised, cap)
    assert (3 in found.shifts[0].stretches[0].positions) is raised


def test_a_shift_whose_check_in_only_a_correction_tells_is_told_with_the_event_that_decides_its_station() -> None:
    told = [
        check_out("V1", "U2", at("12:00"), 1),
        check_out("V1", "U1", at("10:30"), 1),
        correct("V1", at("13:00"), 1, check_in=at("10:00")),
    ]
    (one,) = explained(stamped([*FOUNDING, *told]), TIMELINE).shifts
    assert (one.station, one.station_kind, one.trace.credited) == ("U1", "city", 30)
    assert [(event.position, event.decides) for event in one.events] == [
        (3, []),
        (4, ["check_out", "station"]),
        (5, ["check_in"]),
    ]
    later = [*told, correct("V1", at("14:00"), 1, check_in=at("12:30"))]
    assert [
        (event.position, event.decides) for event in explained(stamped([*FOUNDING, *later]), TIMELINE).shifts[0].events
    ] == [
        (3, []),
        (4, ["station"]),
        (5, []),
        (6, ["check_in"]),
    ]
    nowhere = [*told, correct("V1", at("14:00"), 1, station=None), *shift(2, "10:15", "11:00")]
    first, second = explained(stamped([*FOUNDING, *nowhere]), TIMELINE).shifts
    assert (first.station, first.station_kind, first.trace.counted) == (None, None, 15)
    assert second.trace.counted == 45


def test_an_opening_balance_is_told_as_the_event_that_took_in_the_day() -> None:
    events = stamped([*FOUNDING, *shift(1, "09:00", "10:00"), opening("V1", 600, DAY)])
    found = explained(events, TIMELINE)
    assert lines(found) == ["#1 09:00-10:00 60 superseded: included in the opening balance as of 2018-12-01"]
    assert found.opening_balance is not None
    assert (found.opening_balance.minutes, found.opening_balance.event.position) == (600, 5)
    assert found.shifts[0].stretches[0].positions == [3, 4, 5]


def test_of_several_events_it_is_told_which_decide() -> None:
    events = stamped(
        [
            *FOUNDING,
            check_in("V1", "U1", at("09:05"), 1),
            check_in("V1", "U1", at("09:00"), 1),
            check_out("V1", "U1", at("08:00"), 1),
            check_out("V1", "U1", at("12:30"), 1),
            correct("V1", at("13:00"), 1, check_out=at("11:00")),
            correct("V1", at("14:00"), 1, check_out=at("12:00"), station="U2"),
        ]
    )
    (one,) = explained(events, TIMELINE).shifts
    assert [(event.position, event.decides) for event in one.events] == [
        (3, []),
        (4, ["check_in"]),
        (5, []),
        (6, []),
        (7, []),
        (8, ["check_out", "station"]),
    ]
    assert (one.station, one.grade, one.trace.raw) == ("U2", "attested", 180)
    assert one.stretches[0].positions == [4, 8]


def test_of_two_check_outs_of_one_instant_the_scan_decides() -> None:
    came, left = check_in("V1", "U1", at("09:00"), 1), check_out("V1", "U1", at("12:00"), 1)
    attested = check_out("V1", "U1", at("12:00"), 1, evidence="paper")
    for first, second in ((left, attested), (attested, left)):
        (one,) = explained(stamped([*FOUNDING, came, first, second]), TIMELINE).shifts
        assert one.grade == "scanned"
        assert [(event.evidence, event.decides) for event in one.events if event.topic == "checked-out.v1"] == [
            (first.evidence, ["check_out"] if first is left else []),
            (second.evidence, ["check_out"] if second is left else []),
        ]


def test_a_shift_that_holds_no_time_is_told_apart_with_its_reason() -> None:
    events = stamped(
        [
            *FOUNDING,
            *shift(1, "09:00", "10:00"),
            void("V1", at("11:00"), 1),
            check_out("V1", "U1", at("12:00"), 2),
            *shift(4, "14:00", "15:00"),
            correct("V1", at("16:00"), 4, station=None),
            *shift(3, "08:00", "08:30"),
            void("V1", at("17:00"), 3),
        ]
    )
    found = explained(events, TIMELINE)
    # A shift without a station holds time. Only old events clear a station.
    assert [(one.shift.int, one.station, one.trace.counted) for one in found.shifts] == [(4, None, 60)]
    assert [(one.shift.int, one.because) for one in found.without_minutes] == [
        (3, "it is void"),
        (1, "it is void"),
        (2, "it has no check-in"),
    ]
    assert found.without_minutes[1].events[-1].decides == ["void"]


def test_nothing_is_told_of_a_day_beyond_valid_at() -> None:
    events = stamped([*FOUNDING, *shift(1, "09:00", "10:00")])
    whose = known(events, "V1", as_rules(TIMELINE))
    found = explain_day(listed(events), whose, DAY, Axes(valid_at=DAY - timedelta(days=1)))
    assert (found.shifts, found.trace.raw) == ([], 0)


# --- never a story --------------------------------------------------------------------------------------------------


def test_a_walk_that_differs_from_the_kernel_by_a_minute_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    events = stamped([*FOUNDING, *shift(1, "09:00", "15:00")])
    monkeypatch.setattr("replay.explain.stretches._matches", lambda *_: True)  # every minute is said to be at night
    with pytest.raises(
        ExplanationError, match=r"2018-12-01 cannot be explained: the minutes of shift .* do not add up"
    ):
        explained(events, TIMELINE)


def test_events_that_do_not_lead_to_the_shift_are_an_error() -> None:
    events = stamped([*FOUNDING, *shift(1, "09:00", "10:00"), correct("V1", at("11:00"), 1, check_out=at("09:30"))])
    whose = known(events, "V1", as_rules(TIMELINE))
    with pytest.raises(ExplanationError, match="its events give"):
        explain_day(listed(events[:-1]), whose, DAY, NOW)


def test_a_local_day_begins_when_its_clocks_say_so() -> None:
    def began(day: date, zone: str) -> str:
        return datetime.fromtimestamp(first_instant(day, zone), UTC).astimezone(ZoneInfo(zone)).isoformat()

    assert began(date(2018, 12, 1), "Asia/Shanghai") == "2018-12-01T00:00:00+08:00"
    assert began(date(2018, 11, 4), "America/Sao_Paulo") == "2018-11-04T01:00:00-02:00"  # midnight never came
    assert began(date(2018, 11, 4), "America/New_York") == "2018-11-04T00:00:00-04:00"
    assert began(date(2011, 12, 30), "Pacific/Apia") == "2011-12-31T00:00:00+14:00"  # the day never came
