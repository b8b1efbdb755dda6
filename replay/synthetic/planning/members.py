"""Registrations, group memberships and trainings of volunteers, and their numbers in the order of registration.

Volunteers register before the day of their first shift; those who served in the paper era registered before 2011.
Records from before 2011 are imported in the last days of 2010. Shares of training are [config].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from replay.synthetic.planning.days import DAY, DAY_COUNT, FIRST_MIDNIGHT, YEAR_SHARES, days, midnight
from replay.synthetic.planning.people import People
from replay.synthetic.planning.randomness import Array, generator, pick
from replay.synthetic.planning.shifts import Shifts

LAST_IMPORTED_DAY = -4
IMPORT_AT = midnight(LAST_IMPORTED_DAY + 1)
"""Old registrations are imported from this instant on, forty per second; a day later, old trainings."""

PAPER_DAYS = 6 * 365
OLD_MEMBER_SHARE = 0.15  # of those who never served
BASIC_SHARE = 0.7  # of those who served
PROFESSIONAL_SHARE, PROFESSIONAL_HOURS = 0.3, 60
LEADER_SHARE, LEADER_HOURS = 0.3, 600
SCHOOL_DAYS = (300, 1_400)


@dataclass(frozen=True)
class Members:
    """Days are day indices, negative before 2011; the first three columns have one row per volunteer."""

    number: Array  # from 1, in the order of registration
    registered: Array  # day
    recorded_at: Array
    left: Array  # volunteers who left their school
    left_day: Array
    trained: Array  # volunteers; one row per training
    tier: Array  # 0 is basic
    trained_day: Array
    trained_at: Array

    def number_texts(self) -> list[str]:
        """Return the volunteer numbers as in events."""
        return [f"V{number:07d}" for number in self.number.tolist()]


def members(seed: int, people: People, plan: Shifts) -> Members:
    """Draw registrations and trainings."""
    rng = generator(seed, "members")
    registered = np.concatenate((_of_the_served(rng, people, plan), _of_the_others(rng, people)))
    registered = np.where(registered < 0, np.minimum(registered, LAST_IMPORTED_DAY - 1), registered)
    instant = FIRST_MIDNIGHT + registered * DAY + rng.integers(9 * 3_600, 18 * 3_600, people.count)
    number = np.empty(people.count, np.int64)
    number[np.argsort(instant, kind="stable")] = np.arange(1, people.count + 1)
    recorded_at = np.where(registered < 0, IMPORT_AT + number // 40, instant)
    trained, tier, trained_day = _trainings(rng, people, registered)
    imported_at = IMPORT_AT + DAY + number[trained] // 40
    completed_at = FIRST_MIDNIGHT + trained_day * DAY + rng.integers(18 * 3_600, 21 * 3_600, len(trained))
    left_day = registered[people.leavers] + rng.integers(*SCHOOL_DAYS, len(people.leavers))
    leaving = (left_day > 0) & (left_day < DAY_COUNT)
    return Members(
        number=number,
        registered=registered,
        recorded_at=recorded_at,
        left=people.leavers[leaving],
        left_day=left_day[leaving],
        trained=trained,
        tier=tier,
        trained_day=trained_day,
        trained_at=np.where(trained_day < 0, imported_at, completed_at),
    )


def _of_the_served(rng: np.random.Generator, people: People, plan: Shifts) -> Array:
    first = np.full(people.served, DAY_COUNT, np.int64)
    np.minimum.at(first, plan.volunteer, plan.day)
    recently = first - 1 - rng.exponential(30, people.served).astype(np.int64)
    old = -1 - (PAPER_DAYS * rng.random(people.served) ** 2).astype(np.int64)
    return np.where(people.opening_weight > 0, old, recently)


def _of_the_others(rng: np.random.Generator, people: People) -> Array:
    count = people.count - people.served
    year = days().year
    begins = np.searchsorted(year, np.arange(8))
    lengths = np.bincount(year)
    weights = np.cumsum(np.sqrt(YEAR_SHARES))
    chosen = np.searchsorted(weights, rng.uniform(0, weights[-1], count), side="right")
    day = begins[chosen] + (lengths[chosen] * rng.random(count)).astype(np.int64)
    old = -1 - (PAPER_DAYS * rng.random(count) ** 2).astype(np.int64)
    return np.where(rng.random(count) < OLD_MEMBER_SHARE, old, day)


def _trainings(rng: np.random.Generator, people: People, registered: Array) -> tuple[Array, Array, Array]:
    hours = people.electronic_hours
    served = np.arange(people.served)
    basic = pick(rng, served, round(BASIC_SHARE * people.served))
    professional = np.flatnonzero((hours > PROFESSIONAL_HOURS) & (rng.random(people.served) < PROFESSIONAL_SHARE))
    leader = np.flatnonzero((hours > LEADER_HOURS) & (rng.random(people.served) < LEADER_SHARE))
    volunteer = np.concatenate((basic, professional, leader))
    tier = np.repeat([0, 1, 2], [len(basic), len(professional), len(leader)])
    begins = registered[volunteer] + 1
    soon = begins + rng.integers(0, 30, len(volunteer))
    sometime = begins + (np.maximum(DAY_COUNT - 1 - begins, 0) * rng.random(len(volunteer))).astype(np.int64)
    day = np.where(tier == 0, soon, sometime)
    day = np.where(day < 0, np.minimum(day, LAST_IMPORTED_DAY), day)
    in_time = day < DAY_COUNT
    return volunteer[in_time], tier[in_time], day[in_time]
