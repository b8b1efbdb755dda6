"""Rule changes: the first day on which timelines differ, the conditions of a day, and rules as if they held earlier."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from projections.compare.header_changes import header_changes
from projections.compare.rule_changes import Trial, as_if_from, conditions_on, first_difference
from projections.rules.timeline import RuleTimeline
from tests.support.oracle.histories import rule_set, rules

STAR: dict[str, Any] = {"id": "star", "title": "Star", "credited_minutes_min": 600}
LATER = "2027-01-01"


def timeline(*sets: dict[str, Any]) -> RuleTimeline:
    """Return a timeline whose sets go on with the honours of the set before."""
    written = [rule_set(**{"honors_go_on": number > 0, **one}) for number, one in enumerate(sets)]
    return RuleTimeline.model_validate({"name": "t", "time_zone": "Asia/Shanghai", "rule_sets": tuple(written)})


FIRST = {"honors": [STAR]}


@pytest.mark.parametrize(
    ("before", "after", "day"),
    [
        ([FIRST], [FIRST], None),
        ([FIRST], [FIRST, {"holds_from": LATER}], None),  # a set that changes nothing
        ([FIRST], [FIRST, {"holds_from": LATER, "honors_go_on": False, "honors": [STAR]}], None),  # written again
        ([FIRST], [FIRST, {"holds_from": LATER, "honors_go_on": False}], LATER),
        ([FIRST], [FIRST, {"holds_from": LATER, "day_minutes_max": 60}], LATER),
        ([FIRST, {"holds_from": LATER, "day_minutes_max": 60}], [FIRST], LATER),
        (
            [FIRST, {"holds_from": "2016-01-01", "day_minutes_max": 60}],
            [FIRST, {"holds_from": "2017-01-01", "day_minutes_max": 60}],
            "2016-01-01",
        ),
        ([FIRST], [{**FIRST, "holds_from": "1999-01-01"}], None),  # the first set holds from the beginning anyway
        ([FIRST], [{"honors": [{**STAR, "credited_minutes_min": 601}]}], "2000-01-01"),
    ],
)
def test_the_first_day_that_differs_is_that_of_what_holds(
    before: list[dict[str, Any]], after: list[dict[str, Any]], day: str | None
) -> None:
    expected = None if day is None else date.fromisoformat(day)
    assert first_difference(timeline(*before), timeline(*after)) == expected


def test_another_time_zone_differs_from_the_beginning() -> None:
    assert first_difference(rules(), rules(zone="Europe/London")) == date(2000, 1, 1)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, []),
        ({"time_zone": "UTC", "name": "other"}, ["time_zone", "name"]),
        ({"approvals": {"kinds": ["void-shift"], "imported": True}}, ["approvals.kinds", "approvals.imported"]),
        ({"disputes": {"answer_working_days": 5, "settle_working_days": 15}}, None),
        ({"public_notice": {"working_days": 7}}, ["public_notice.working_days"]),
    ],
)
def test_each_change_outside_the_rule_sets_is_told(changes: dict[str, Any], told: list[str] | None) -> None:
    before = timeline(FIRST)
    after = RuleTimeline.model_validate(before.model_dump() | changes)
    found = header_changes(before, after)
    if told is None:
        assert found
    else:
        assert [one.key for one in found] == told
    assert [one.key for one in header_changes(after, before)] == [one.key for one in found]


def test_conditions_are_those_of_the_day_and_a_title_is_none() -> None:
    renamed = {**STAR, "title": "Sun"}
    one = timeline(FIRST, {"holds_from": LATER}, {"holds_from": "2028-01-01", "honors": [renamed]})
    held = conditions_on(one, "star", date(2020, 1, 1))
    assert held is not None
    assert held.credited_minutes == 600
    assert {conditions_on(one, "star", date(year, 1, 1)) for year in (1999, 2027, 2028)} == {held}
    dropped = timeline(FIRST, {"holds_from": LATER, "honors_go_on": False})
    assert conditions_on(dropped, "star", date(2026, 12, 31)) == held
    assert conditions_on(dropped, "star", date(2027, 1, 1)) is None
    harder = timeline(FIRST, {"holds_from": LATER, "honors": [{**STAR, "grade": "scanned"}]})
    assert conditions_on(harder, "star", date(2027, 1, 1)) != held


def spans(found: Trial) -> list[tuple[str, int]]:
    return [(str(one.holds_from), one.day_minutes_max) for one in found.timeline.rule_sets]


def test_new_sets_move_to_the_day_and_replace_those_before() -> None:
    before = timeline(FIRST, {"holds_from": "2017-01-01", "day_minutes_max": 400})
    new = [{"holds_from": "2027-01-01", "day_minutes_max": 300}, {"holds_from": "2027-01-11", "day_minutes_max": 200}]
    after = timeline(FIRST, {"holds_from": "2017-01-01", "day_minutes_max": 400}, *new)
    at = ("2000-01-01", 1440)
    assert spans(as_if_from(before, after, date(2018, 3, 1))) == [
        at, ("2017-01-01", 400), ("2018-03-01", 300), ("2018-03-11", 200),
    ]  # fmt: skip
    assert spans(as_if_from(before, after, date(2016, 3, 1))) == [at, ("2016-03-01", 300), ("2016-03-11", 200)]
    assert spans(as_if_from(before, after, date(2017, 1, 1)))[1:] == [("2017-01-01", 300), ("2017-01-11", 200)]
    assert spans(as_if_from(before, after, date(2000, 1, 1))) == [("2000-01-01", 300), ("2000-01-11", 200)]
    assert spans(as_if_from(before, after, date(1950, 1, 1))) == [("1950-01-01", 300), ("1950-01-11", 200)]
    later = as_if_from(before, after, date(2027, 1, 5))  # after the day of the first new set: the second holds from it
    assert spans(later)[2:] == [("2027-01-05", 200)]
    assert later.left_out == (date(2027, 1, 1),)
    assert [honor.id for one in later.timeline.rule_sets for honor in one.honors] == ["star"] * 3


B, C = {"holds_from": "2017-01-01", "day_minutes_max": 400}, {"holds_from": "2027-01-01", "day_minutes_max": 300}
D = {"holds_from": "2028-01-01", "day_minutes_max": 200}
CHANGED, B_CHANGED = {**FIRST, "day_minutes_max": 900}, {**B, "day_minutes_max": 350}


@pytest.mark.parametrize(
    ("before", "after", "day", "expected", "left_out"),
    [
        # an old set changed, and a set of the future is new
        ([FIRST, B], [CHANGED, B, C], "2018-03-01", [1440, ("2017-01-01", 400), ("2018-03-01", 300)], ["2000-01-01"]),
        ([FIRST], [CHANGED, C], "2018-03-01", [1440, ("2018-03-01", 300)], ["2000-01-01"]),
        ([FIRST], [CHANGED, C, D], "2018-03-01", [1440, ("2018-03-01", 300), ("2019-03-01", 200)], ["2000-01-01"]),
        ([FIRST, B], [CHANGED, B, C], "2000-01-01", [("2000-01-01", 300)], ["2000-01-01"]),
        # two old sets changed
        ([FIRST, B], [CHANGED, B_CHANGED], "2010-01-01", [1440, ("2010-01-01", 350)], ["2000-01-01"]),
        ([FIRST, B], [CHANGED, B_CHANGED], "2018-01-01",
         [1440, ("2017-01-01", 400), ("2018-01-01", 350)], ["2000-01-01"]),
        # the changed set holds on the day
        ([FIRST, B], [CHANGED, B], "2010-01-01", [1440, ("2010-01-01", 900), ("2017-01-01", 400)], []),
        # the changed set held before the day
        ([FIRST, B], [CHANGED, B], "2018-01-01",
         [1440, ("2017-01-01", 400), ("2018-01-01", 900), ("2035-01-02", 400)], []),
    ],
)  # fmt: skip
def test_each_changed_set_is_tried_in_order_or_named(
    before: list[dict[str, Any]], after: list[dict[str, Any]], day: str, expected: list[Any], left_out: list[str]
) -> None:
    tried = as_if_from(timeline(*before), timeline(*after), date.fromisoformat(day))
    assert spans(tried) == [one if isinstance(one, tuple) else ("2000-01-01", one) for one in expected]
    assert [str(one) for one in tried.left_out] == left_out


def test_rules_that_differ_from_the_beginning_hold_from_the_day_only() -> None:
    tried = as_if_from(rules(day_minutes_max=400), rules(day_minutes_max=300), date(2018, 1, 1))
    assert spans(tried) == [("2000-01-01", 400), ("2018-01-01", 300)]


def test_windows_of_the_new_set_move_with_it_and_older_ones_stay() -> None:
    dates = [
        ("past", "2017-01-27", "2017-02-02"),
        ("within", "2027-02-06", "2027-02-12"),
        ("into", "2026-12-30", "2027-01-02"),
        ("open", "2027-02-01", None),
        ("always", None, None),
    ]
    factors = [
        {"name": name, "percent": 150} | {key: day for key, day in (("first_day", low), ("last_day", high)) if day}
        for name, low, high in dates
    ]
    after = timeline(FIRST, {"holds_from": LATER, "factors": factors})
    tried = as_if_from(timeline(FIRST), after, date(2016, 1, 1))
    found = {one.name: (str(one.first_day), str(one.last_day)) for one in tried.timeline.rule_sets[1].factors}
    assert found == {
        "past": ("2017-01-27", "2017-02-02"),
        "within": ("2016-02-06", "2016-02-12"),
        "into": ("2026-12-30", "2027-01-02"),
        "open": ("2016-02-01", "None"),
        "always": ("None", "None"),
    }


def test_equal_rules_cannot_be_tried() -> None:
    one = timeline(FIRST)
    with pytest.raises(ValueError, match="the same on every day"):
        as_if_from(one, one, date(2018, 1, 1))
