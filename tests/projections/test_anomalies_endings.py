"""Service after a withdrawal or a closing is what a slow and obvious search says it is."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from projections.anomalies import endings
from projections.anomalies.endings import spells
from projections.rules.anomalies import AnomalyRules
from projections.schema import NONE
from tests.support.oracle.anomaly_columns import Stay, day_of, many_stays, numbers, served
from tests.support.oracle.histories import patiently

DAY = day_of(0)
CHANGES = st.dictionaries(
    st.integers(0, 2), st.lists(st.tuples(st.integers(DAY - 1, DAY + 40), st.booleans()), max_size=5), max_size=3
)


def days_late(changes: list[tuple[int, bool]], day: int) -> int:
    """Return how many days a day is after the end that holds on it, 0 without one; of a day the last change holds."""
    until = [(when, over) for when, over in sorted(changes, key=lambda change: change[0]) if when <= day]
    if not until or not until[-1][1]:
        return 0
    return day - until[-1][0]


@patiently
@given(many_stays(step=1440), CHANGES, st.integers(1, 5))
def test_service_after_the_withdrawal_is_one_finding_for_each_person(
    given_stays: list[Stay], changes: dict[int, list[tuple[int, bool]]], least: int
) -> None:
    late = defaultdict(list)
    for one in given_stays:
        days = days_late(changes.get(one.volunteer, []), day_of(one.start))
        if not one.void and days >= least:
            late[one.volunteer].append((one, days))
    expected = {
        who: (max(day_of(one.start) for one, _ in mine), (len(mine), max(days for _, days in mine)), {*_numbers(mine)})
        for who, mine in late.items()
    }
    rules = AnomalyRules(withdrawal_days_min=least)
    found = endings.after_withdrawal(served(given_stays), spells(changes), rules)
    assert {one.volunteer: (one.day, one.figures, {*numbers(given_stays, one)}) for one in found} == expected
    assert [one.volunteer for one in found] == sorted(expected)
    for finding in found:
        starts = [given_stays[shift].start for shift in finding.shifts]
        assert starts == sorted(starts)


@patiently
@given(many_stays(step=1440), CHANGES, st.integers(1, 5))
def test_service_after_the_closing_is_one_finding_for_each_station(
    given_stays: list[Stay], changes: dict[int, list[tuple[int, bool]]], least: int
) -> None:
    late = defaultdict(list)
    for one in given_stays:
        days = days_late(changes.get(one.station, []), day_of(one.start))
        if not one.void and days >= least:
            late[one.station].append((one, days))
    expected = {
        where: (
            len(there),
            len({one.volunteer for one, _ in there}),
            max(days for _, days in there),
            {*_numbers(there)},
        )
        for where, there in late.items()
    }
    rules = AnomalyRules(closing_days_min=least)
    found = endings.after_closing(served(given_stays), spells(changes), rules)
    assert {one.station: (*one.figures, {*numbers(given_stays, one)}) for one in found} == expected
    assert {one.volunteer for one in found} <= {NONE}


def _numbers(rows: list[tuple[Stay, int]]) -> list[int]:
    return [one.number for one, _ in rows]


def test_a_shift_without_a_station_is_after_no_closing_and_nothing_is_without_changes() -> None:
    stay = Stay(1, 0, NONE, 0, 60, scanned=True, void=False)
    closed = spells({place: [(DAY - 9, True)] for place in range(3)})
    assert endings.after_closing(served([stay]), closed, AnomalyRules()) == []
    assert endings.after_closing(served([stay]), spells({}), AnomalyRules()) == []
    assert endings.after_withdrawal(served([stay]), spells({}), AnomalyRules()) == []
