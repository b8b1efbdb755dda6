"""Schemes: faults that only several shifts together show, each with its ground truth.

    sold hours      a crooked clerk enters, in one evening, many shifts of one volunteer who paid for them
    hurried         a volunteer checks in at another station minutes after checking out at the first
    days too long   a volunteer serves longer than the day cap on several consecutive days
    wrong clocks    all scans of a station's day are off by the same number of minutes

Schemes are rare: ninety of each in a whole district, and none at a scale of 0.01. They are drawn from existing shifts,
which exchange their shapes with others, so that no share, no total and no other draw changes. Their number and all
sizes are [config]: no source gives them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from replay.synthetic.planning.days import DAY_COUNT
from replay.synthetic.planning.places import SERVICES_APART, Places
from replay.synthetic.planning.posts import Assignment
from replay.synthetic.planning.randomness import Array, generator, pick
from replay.synthetic.planning.shifts import DAYS_FOR_ENTRY, Shape, Shifts

IN_A_DISTRICT = 90
SOLD_SHIFTS, SOLD_DAYS = 8, 12  # shifts entered in one evening, and the days within which they were served
LONG_DAYS = 4
HURRY_SECONDS = (60, 180)
CLOCK_SHIFTS_MIN = 6  # of a station's day
CLOCK_MINUTES = (-8, -7, -6, -5, -4, 2)  # a clock further ahead would have been refused


class Schemes(NamedTuple):
    """Rows of shifts. `sold[i]` was entered in the evening `evening[i]`. `hurried` are the later shifts of pairs,
    `hurry` the seconds between the two. `off` are the shifts with wrong clocks, `clock` the seconds by which each is
    off.
    """

    sold: Array
    evening: Array
    hurried: Array
    hurry: Array
    too_long: Array
    off: Array
    clock: Array


def schemes(scale: float, seed: int, places: Places, plan: Shifts, assignment: Assignment) -> Schemes:
    """Draw the schemes and change the shapes of their shifts in `plan`."""
    count = int(scale * IN_A_DISTRICT)
    rng = generator(seed, "schemes")
    free = _free(places, plan, assignment)
    sold = _in_row(rng, plan, free, SOLD_SHIFTS, SOLD_DAYS, count)
    _exchange(rng, plan, sold.ravel(), Shape.FORGED)
    free = np.setdiff1d(free, sold)
    too_long = _in_row(rng, plan, free, LONG_DAYS, LONG_DAYS - 1, count)
    _exchange(rng, plan, too_long.ravel(), Shape.LONG)
    hurried = _hurried(rng, plan, assignment, count)
    off, clock = _wrong_clocks(rng, plan, assignment, np.append(hurried, hurried - 1), count)
    return Schemes(
        sold=sold.ravel(),
        evening=np.repeat(np.arange(len(sold)), SOLD_SHIFTS),
        hurried=hurried,
        hurry=rng.integers(*HURRY_SECONDS, len(hurried), endpoint=True),
        too_long=too_long.ravel(),
        off=off,
        clock=clock,
    )


def _free(places: Places, plan: Shifts, assignment: Assignment) -> Array:
    """Return the plain shifts, alone on their day, on which no station and no service planned by the day depends."""
    apart = [places.project(name) for name in SERVICES_APART]
    at_project = (assignment.project > 0) & ~np.isin(assignment.project, apart)
    alone = np.ones(len(plan), bool)
    alone[plan.first_of_two] = alone[plan.first_of_two + 1] = False
    in_time = plan.day < DAY_COUNT - DAYS_FOR_ENTRY
    return np.flatnonzero((plan.shape == Shape.PLAIN) & alone & in_time & at_project)


def _in_row(rng: np.random.Generator, plan: Shifts, free: Array, shifts: int, days: int, count: int) -> Array:
    """Return int64[n, shifts]: for n volunteers, the given number of shifts within the given number of days."""
    order = free[np.lexsort((plan.day[free], plan.volunteer[free]))]
    if count == 0 or len(order) < shifts:
        return np.empty((0, shifts), np.int64)
    first, last = order[: len(order) - shifts + 1], order[shifts - 1 :]
    near = plan.day[last].astype(np.int64) - plan.day[first] <= days
    begins = rng.permutation(np.flatnonzero((plan.volunteer[first] == plan.volunteer[last]) & near))
    _, once = np.unique(plan.volunteer[order[begins]], return_index=True)
    chosen = pick(rng, begins[once], count)
    rows: Array = order[chosen[:, None] + np.arange(shifts)]
    return rows


def _exchange(rng: np.random.Generator, plan: Shifts, rows: Array, shape: Shape) -> None:
    """Give plain shifts a shape, and make as many others of that shape plain."""
    others = pick(rng, np.flatnonzero(plan.shape == shape), len(rows))
    plan.shape[others] = Shape.PLAIN
    plan.shape[rows] = shape


def _hurried(rng: np.random.Generator, plan: Shifts, assignment: Assignment, count: int) -> Array:
    """Return the later shifts of pairs on one day at different stations."""
    first = plan.first_of_two
    apart = assignment.station[first] != assignment.station[first + 1]
    plain = (plan.shape[first] == Shape.PLAIN) & (plan.shape[first + 1] == Shape.PLAIN)
    return pick(rng, first[apart & plain] + 1, count)


def _wrong_clocks(
    rng: np.random.Generator, plan: Shifts, assignment: Assignment, excluded: Array, count: int
) -> tuple[Array, Array]:
    """Return the scanned shifts of `count` station days without excluded shifts, and the seconds by which the clock was
    off.
    """
    station_day = assignment.station.astype(np.int64) * DAY_COUNT + plan.day
    usable = (plan.shape == Shape.PLAIN) & ~plan.attested
    usable_shifts = np.bincount(station_day[usable], minlength=0)
    days = pick(rng, np.setdiff1d(np.flatnonzero(usable_shifts >= CLOCK_SHIFTS_MIN), station_day[excluded]), count)
    seconds = rng.choice(CLOCK_MINUTES, len(days)) * 60
    rows = np.flatnonzero(usable & np.isin(station_day, days))
    return rows, seconds[np.searchsorted(days, station_day[rows])]
