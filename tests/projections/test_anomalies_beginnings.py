"""Service before a registration or an opening, and shared phones, are what a slow and obvious search says they are."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from projections.anomalies import beginnings
from projections.rules.anomalies import AnomalyRules
from projections.schema import NO_DAY, NONE
from tests.support.oracle.anomaly_columns import Stay, day_of, many_stays, numbers, served
from tests.support.oracle.histories import patiently

DAY = day_of(0)
LATE = st.lists(st.just(NO_DAY) | st.integers(DAY - 1, DAY + 40), min_size=3, max_size=3)


@patiently
@given(many_stays(step=1440), LATE, st.integers(1, 5))
def test_service_before_the_registration_is_one_finding_for_each_person(
    given_stays: list[Stay], registered: list[int], least: int
) -> None:
    early = defaultdict(list)
    for one in sorted(given_stays, key=lambda one: (one.start, one.number)):
        day = registered[one.volunteer]
        if not one.void and day != NO_DAY and day - day_of(one.start) >= least:
            early[one.volunteer].append(one)
    expected = {
        who: (
            max(day_of(one.start) for one in mine),
            (len(mine), registered[who] - min(day_of(one.start) for one in mine)),
            {one.number for one in mine},
        )
        for who, mine in early.items()
    }
    rules = AnomalyRules(registration_days_min=least)
    found = beginnings.before_registration(served(given_stays), np.array(registered, np.int32), rules)
    assert {one.volunteer: (one.day, one.figures, {*numbers(given_stays, one)}) for one in found} == expected
    assert [one.volunteer for one in found] == sorted(expected)
    for finding in found:
        starts = [given_stays[shift].start for shift in finding.shifts]
        assert starts == sorted(starts)


@patiently
@given(many_stays(step=1440), LATE, st.integers(1, 5))
def test_service_before_the_opening_is_one_finding_for_each_station(
    given_stays: list[Stay], opened: list[int], least: int
) -> None:
    early = defaultdict(list)
    for one in given_stays:
        day = opened[one.station]
        if not one.void and day != NO_DAY and day - day_of(one.start) >= least:
            early[one.station].append(one)
    expected = {
        where: (
            len(there),
            len({one.volunteer for one in there}),
            opened[where] - min(day_of(one.start) for one in there),
            max(day_of(one.start) for one in there),
            {one.number for one in there},
        )
        for where, there in early.items()
    }
    rules = AnomalyRules(opening_days_min=least)
    found = beginnings.before_opening(served(given_stays), np.array(opened, np.int32), rules)
    assert {one.station: (*one.figures, one.day, {*numbers(given_stays, one)}) for one in found} == expected
    assert {one.volunteer for one in found} <= {NONE}


def test_a_shift_without_a_station_is_before_no_opening_and_nothing_is_without_stations() -> None:
    stay = Stay(1, 0, NONE, 0, 60, scanned=True, void=False)
    opened = np.array([DAY + 9] * 3, np.int32)
    assert beginnings.before_opening(served([stay]), opened, AnomalyRules()) == []
    assert beginnings.before_opening(served([stay]), np.empty(0, np.int32), AnomalyRules()) == []


@given(
    st.lists(st.lists(st.integers(0, 5), unique=True, max_size=5), max_size=4),
    st.lists(st.just(NO_DAY) | st.integers(DAY, DAY + 3), min_size=6, max_size=6),
    st.integers(2, 3),
    st.just(NO_DAY) | st.integers(DAY, DAY + 3),
)
def test_a_phone_is_shared_by_persons_who_were_registered_by_then(
    groups: list[list[int]], registered: list[int], least: int, until: int
) -> None:
    expected = []
    for group in groups:
        known = [person for person in group if registered[person] != NO_DAY and registered[person] <= until]
        if len(known) >= least:
            expected.append((sorted(known), max(registered[person] for person in known)))
    rules = AnomalyRules(phone_persons_min=least)
    found = beginnings.shared_phones(groups, np.array(registered, np.int32), rules, until)
    assert [([one.volunteer, *one.others], one.day) for one in found] == expected
    assert [one.figures for one in found] == [(len(known),) for known, _ in expected]
