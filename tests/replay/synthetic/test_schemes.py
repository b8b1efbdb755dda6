"""Schemes of the synthetic history are what they are labelled as, and leave everything else as it was."""

from __future__ import annotations

import numpy as np

from replay.synthetic.events.service import Service
from replay.synthetic.planning.days import FIRST_MIDNIGHT
from replay.synthetic.planning.schemes import IN_A_DISTRICT, LONG_DAYS, SOLD_DAYS, SOLD_SHIFTS
from replay.synthetic.planning.shifts import FORGED_SHARE, LONG_SHARE, VERY_LONG_SHARE, Shape
from tests.support.replay.simulating import BROAD, broad, small

COUNT = int(BROAD * IN_A_DISTRICT)


def test_a_history_of_a_hundredth_has_none() -> None:
    assert all(len(column) == 0 for column in small().plan.schemes)


def test_sold_hours_are_entered_by_one_clerk_in_one_evening_for_one_volunteer() -> None:
    plan = broad().plan
    sold, times, service = plan.schemes.sold.reshape(-1, SOLD_SHIFTS), plan.times, Service(plan)
    assert len(sold) == COUNT
    assert (plan.shifts.shape[sold] == Shape.FORGED).all()
    for rows in sold:
        assert len(set(plan.shifts.volunteer[rows].tolist())) == 1
        assert len({service.actor(int(row)) for row in rows}) == 1
        assert np.ptp(plan.shifts.day[rows]) <= SOLD_DAYS
        assert len(set(plan.shifts.day[rows].tolist())) == SOLD_SHIFTS
        assert (np.diff(times.sent_in[rows]) > 0).all()
        assert np.ptp(times.sent_out[rows]) <= 15 * 60
        assert (times.sent_in[rows] > times.check_out[rows]).all()
        assert (times.check_in[rows] % 3600 == 0).all()


def test_who_hurries_is_at_the_next_station_within_minutes() -> None:
    plan = broad().plan
    late = plan.schemes.hurried
    early = late - 1
    assert len(late) == COUNT
    assert (plan.shifts.volunteer[early] == plan.shifts.volunteer[late]).all()
    assert (plan.assignment.station[early] != plan.assignment.station[late]).all()
    told = np.isin(np.append(early, late), plan.times.skewed).reshape(2, -1).any(axis=0)
    gaps = plan.times.check_in[late] - plan.times.check_out[early]
    assert (gaps[~told] == plan.schemes.hurry[~told]).all()
    assert 60 <= plan.schemes.hurry.min() <= plan.schemes.hurry.max() <= 180


def test_days_too_long_follow_one_another_and_are_approved_by_nobody() -> None:
    plan = broad().plan
    rows = plan.schemes.too_long.reshape(-1, LONG_DAYS)
    assert len(rows) == COUNT
    assert (np.diff(plan.shifts.day[rows], axis=1) == 1).all()
    assert (plan.times.check_out[rows] - plan.times.check_in[rows] > 8 * 3600).all()
    assert not np.isin(rows, plan.amendments.raised).any()


def test_a_wrong_clock_is_off_by_the_same_on_all_plain_shifts_of_a_station_s_day() -> None:
    plan = broad().plan
    off, clock = plan.schemes.off, plan.schemes.clock
    place = plan.assignment.station[off].astype(np.int64) << 20 | plan.shifts.day[off]
    assert len(np.unique(place)) == COUNT
    assert len(np.unique(np.stack([place, clock]), axis=1).T) == COUNT
    everywhere = plan.assignment.station.astype(np.int64) << 20 | plan.shifts.day
    plain = np.flatnonzero(np.isin(everywhere, place) & (plan.shifts.shape == Shape.PLAIN))
    assert set(plain.tolist()) == set(off.tolist())
    prompt = ~np.isin(off, np.append(plan.times.late, plan.times.skewed))
    assert (np.abs(plan.times.check_in[off][prompt] + -clock[prompt] - plan.times.sent_in[off][prompt]) <= 3).all()
    assert (plan.times.check_in[off] > FIRST_MIDNIGHT).all()


def test_schemes_are_taken_from_the_shares_of_their_shapes() -> None:
    shape = broad().plan.shifts.shape
    for kind, share in ((Shape.FORGED, FORGED_SHARE), (Shape.LONG, LONG_SHARE - VERY_LONG_SHARE)):
        assert np.count_nonzero(shape == kind) == round(share * len(shape)), kind
