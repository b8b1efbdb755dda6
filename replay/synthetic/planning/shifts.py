"""The planned shifts: volunteer, day, length, and shape.

A volunteer's shifts are spread over the quantiles of the volunteer's years and of the weighted days, so that the
weights of days are met, with at most two shifts a day. Some shifts that are alone on their day get a *shape*: long,
across midnight, entered afterwards, forged, or overlapped by an extra shift.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from replay.synthetic.planning.days import DAY_COUNT, LEI_FENG_DAY_WEIGHT, YEAR_SHARES, day_shares, days
from replay.synthetic.planning.people import ELECTRONIC_HOURS, People
from replay.synthetic.planning.places import Places
from replay.synthetic.planning.randomness import Array, apportion, generator, pick, pick_apart, ranks_within

LENGTHS = (60, 120, 180, 240, 480)
LENGTH_SHARES = (5, 28, 35, 28, 4)
LENGTH_MEAN = 186.0
CREDITED_SHARE = 0.963
"""The credited share of planned hours under the default rules, measured; most of the rest is lost to forgotten
check-outs. The number of shifts depends on it, so that the credited electronic hours are close to 18,000,000; the
opening balances make up the difference.
"""

OVERLAP_SHARE = 0.005
LONG_SHARE = 0.01  # longer than 8 h
VERY_LONG_SHARE = 0.001  # of all shifts, longer than 12 h; they are among the long ones
MIDNIGHT_SHARE = 0.005
FORGED_SHARE = 0.0005
LATE_ENTRY_SHARE = 0.005  # [config] honest late entries; without them every attested shift would be forged

DAYS_FOR_ENTRY = 20  # a shift entered afterwards needs later days for the entry
HUB_SHIFTS_A_YEAR = 5_640  # "5,500+ person-times a year"


class Shape(IntEnum):
    """The peculiarity of a shift."""

    PLAIN = 0
    OVERLAPPED = 1  # another shift of the same volunteer begins within it
    OVERLAPPING = 2
    LONG = 3
    VERY_LONG = 4
    MIDNIGHT = 5
    FORGED = 6
    LATE_ENTRY = 7


ATTESTED_SHAPES = (Shape.FORGED, Shape.LATE_ENTRY)


@dataclass
class Shifts:
    """One row per shift, extra overlapping shifts last. `minutes` is the planned length."""

    volunteer: Array
    day: Array
    minutes: Array
    shape: Array
    first_of_two: Array  # rows; the same volunteer's other shift of the day is the next row
    overlapped: Array  # rows, in the order of the extra shifts

    def __len__(self) -> int:
        return len(self.volunteer)

    @property
    def attested(self) -> Array:
        """bool[n]: whether the shift was entered afterwards, honestly or not."""
        return np.isin(self.shape, ATTESTED_SHAPES)


def hub_shifts_of_day(scale: float) -> Array:
    """Return the planned shifts of the transport hubs for each day, `HUB_SHIFTS_A_YEAR` over the holidays of a year."""
    table, planned = days(), np.zeros(DAY_COUNT, np.int64)
    for year in range(8):
        rows = np.flatnonzero(table.transport & (table.year == year))
        planned[rows] = apportion(round(HUB_SHIFTS_A_YEAR * scale), np.ones(len(rows)))
    return planned


def shifts(scale: float, seed: int, people: People) -> Shifts:
    """Plan the shifts of all volunteers."""
    rng = generator(seed, "shifts")
    volunteer, day = _days_of_shifts(rng, people, scale)
    alike = (volunteer[1:] == volunteer[:-1]) & (day[1:] == day[:-1])
    alone = ~(np.append(alike, False) | np.append(False, alike))
    count = len(volunteer)
    total = count / (1 - OVERLAP_SHARE)
    in_time = day < DAY_COUNT - DAYS_FOR_ENTRY
    shapes = (
        (Shape.OVERLAPPED, OVERLAP_SHARE),
        (Shape.LONG, LONG_SHARE - VERY_LONG_SHARE),
        (Shape.VERY_LONG, VERY_LONG_SHARE),
        (Shape.MIDNIGHT, MIDNIGHT_SHARE),
        (Shape.FORGED, FORGED_SHARE),
        (Shape.LATE_ENTRY, LATE_ENTRY_SHARE),
    )
    picked = pick_apart(rng, np.flatnonzero(alone & in_time), [round(share * total) for _, share in shapes])
    shape = np.zeros(count, np.uint8)
    for (name, _), rows in zip(shapes, picked, strict=True):
        shape[rows] = name
    overlapped = picked[0]
    return Shifts(
        volunteer=np.concatenate((volunteer, volunteer[overlapped])),
        day=np.concatenate((day, day[overlapped])),
        minutes=_lengths(rng, count + len(overlapped)),
        shape=np.concatenate((shape, np.full(len(overlapped), Shape.OVERLAPPING, np.uint8))),
        first_of_two=np.flatnonzero(alike),
        overlapped=overlapped,
    )


def _lengths(rng: np.random.Generator, count: int) -> Array:
    ends = np.cumsum(LENGTH_SHARES)
    lengths: Array = np.array(LENGTHS, np.int16)[np.searchsorted(ends, rng.integers(0, 100, count), side="right")]
    return lengths


def _days_of_shifts(rng: np.random.Generator, people: People, scale: float) -> tuple[Array, Array]:
    """Return volunteer and day of every shift except the extra ones, sorted by both."""
    expected = people.electronic_hours * (60 / LENGTH_MEAN / CREDITED_SHARE)
    per_volunteer = np.maximum(np.floor(expected + rng.random(people.served)), 1).astype(np.int64)
    volunteer = np.repeat(np.arange(people.served, dtype=np.int32), per_volunteer)
    nth = ranks_within(volunteer)
    quantile = (nth + rng.random(len(volunteer))) / per_volunteer[volunteer]
    del nth
    year = np.zeros(len(volunteer), np.int8)
    for column in range(7):
        year += quantile >= people.year_ends[volunteer, column]
    begins = np.concatenate((np.zeros((people.served, 1)), people.year_ends[:, :-1]), axis=1)
    low, high = begins[volunteer, year], people.year_ends[volunteer, year]
    within = np.clip((quantile - low) / np.maximum(high - low, 1e-9), 0, 1 - 1e-9)
    shares = np.array(YEAR_SHARES) / 100
    planned = ELECTRONIC_HOURS * scale * 60 / LENGTH_MEAN / CREDITED_SHARE
    ends = day_shares(shares * planned, hub_shifts_of_day(scale))
    day = np.searchsorted(ends, year + within, side="right").astype(np.int16)
    return _at_most_two_a_day(rng, volunteer, day, ends)


def _at_most_two_a_day(rng: np.random.Generator, volunteer: Array, day: Array, ends: Array) -> tuple[Array, Array]:
    """Redraw third and further shifts of a volunteer's day within the year; drop the few for which no day is found."""
    year_of_day = days().year
    keys = volunteer.astype(np.int64) * DAY_COUNT + day
    crowded = ranks_within(keys) >= 2
    placed, pending = keys[~crowded], keys[crowded]
    for _ in range(40):
        if not len(pending):
            break
        year = year_of_day[pending % DAY_COUNT]
        redrawn = np.searchsorted(ends, year + rng.uniform(0, 1 - 1e-9, len(pending)), side="right")
        proposals = pending // DAY_COUNT * DAY_COUNT + redrawn
        room = np.searchsorted(placed, proposals, side="right") - np.searchsorted(placed, proposals, side="left") < 2
        candidates = np.flatnonzero(room)
        _, firsts = np.unique(proposals[candidates], return_index=True)
        accepted = candidates[firsts]
        placed = np.sort(np.concatenate((placed, proposals[accepted])), kind="stable")
        pending = np.delete(pending, accepted)
    return (placed // DAY_COUNT).astype(np.int32), (placed % DAY_COUNT).astype(np.int16)


def fill_days(seed: int, plan: Shifts, needed: Array) -> None:
    """Move shifts to days of the same year that have fewer than `needed`, or fewer than the weight of a great day
    requires.

    The former keeps stations from being empty. The latter concerns 5 March and 5 December: volunteers who serve nearly
    every day cannot serve eight times on these days, so others must. Only plain shifts that are alone on their day are
    moved, to days on which their volunteer does not serve: in six rounds for great days, then for empty stations.
    """
    rng, year_of_day = generator(seed, "full days"), days().year
    ordinary = ~plan.attested & (plan.shape != Shape.OVERLAPPING)
    movable = _alone(plan) & (plan.shape == Shape.PLAIN)
    great_days = _great_days(np.bincount(plan.day[ordinary], minlength=DAY_COUNT))
    for attempt in range(60):
        present = np.bincount(plan.day[ordinary], minlength=DAY_COUNT)
        target = np.maximum(needed, great_days) if attempt < 6 else needed
        missing = np.maximum(target - present, 0)
        goals = np.repeat(np.arange(DAY_COUNT), missing)
        if not len(goals):
            return
        spare = present - needed >= np.maximum(target, 4)
        occupied = np.sort(plan.volunteer.astype(np.int64) * DAY_COUNT + plan.day, kind="stable")
        for year in np.unique(year_of_day[goals]).tolist():
            donors = np.flatnonzero(movable & spare[plan.day] & (year_of_day[plan.day] == year))
            day = np.tile(goals[year_of_day[goals] == year], 4)  # most donors already serve on the day
            rows = rng.permutation(pick(rng, donors, len(day)))
            day = day[: len(rows)]
            keys = plan.volunteer[rows].astype(np.int64) * DAY_COUNT + day
            free = np.flatnonzero(occupied[np.minimum(np.searchsorted(occupied, keys), len(occupied) - 1)] != keys)
            _, firsts = np.unique(keys[free], return_index=True)
            chosen = rng.permutation(free[firsts])
            chosen = chosen[np.argsort(day[chosen], kind="stable")]
            chosen = chosen[ranks_within(day[chosen]) < missing[day[chosen]]]
            plan.day[rows[chosen]] = day[chosen]


def _great_days(present: Array) -> Array:
    """Return the target number of shifts for great days, relative to plain days of the same year; 0 for other days."""
    table = days()
    target = np.zeros(DAY_COUNT, np.int64)
    for year in range(8):
        plain = (table.year == year) & ~table.festival & (table.weight == 1)
        great = (table.year == year) & (table.weight >= LEI_FENG_DAY_WEIGHT)
        target[great] = np.round(table.weight[great] * present[plain].mean())
    return target


def _alone(plan: Shifts) -> Array:
    alone = np.ones(len(plan), bool)
    alone[plan.first_of_two] = False
    alone[plan.first_of_two + 1] = False
    return alone


def stations_never_empty(places: Places) -> list[int]:
    """Return the stations that must be open every day since their opening; none at very small scales."""
    return places.always_open if places.never_empty else []
