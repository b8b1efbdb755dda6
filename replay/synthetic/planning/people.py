"""The volunteers: who serves, how much, in which years, their home stations and groups.

Hours, paper and electronic ones together, are lognormal (docs/glossary.md). The distribution of a volunteer's
electronic hours over the years is fitted to the totals of all volunteers and all years (iterative proportional
fitting).

In every array the volunteers who serve come first (`served` of them), then those who never serve.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from replay.synthetic.planning.days import YEAR_SHARES
from replay.synthetic.planning.places import GROUP_MEMBERS, SCHOOLS, Places
from replay.synthetic.planning.randomness import Array, apportion, generator, pick

VOLUNTEERS = 120_000
SERVED_SHARE = 0.6
SIGMA, MU, HOURS_MAX = 1.95, 3.877, 8_000
TOTAL_HOURS = 20_000_000
OPENING_HOURS = 2_000_000
ELECTRONIC_HOURS = TOTAL_HOURS - OPENING_HOURS

SCHOOL_MEMBERS = 24_000  # [config] who ever joined a school; `SCHOOL_LEAVERS` of them left, so that 20,000+ remain
SCHOOL_LEAVERS = 3_000
GROUP_SHARE = 0.4  # [config] of the volunteers outside of schools
HOURS_PER_YEAR_COMFORTABLE = 450  # [config] volunteers with more hours serve for more years
# [config] Volunteers with this many hours spread them evenly over the years; they would not fit into the last year.
HEAVY_HOURS, HEAVY_STEEPNESS = 3_000, 0.2
# [config] The smaller, the more volunteers serve in the last possible years; this value keeps 2018 below 5 h a day.
LATENESS = 0.2


@dataclass(frozen=True)
class People:
    """One row per volunteer, those who serve first. Hours are float64; `group` is -1 for none; the columns of
    `year_ends` are the years 2011 to 2018.
    """

    count: int
    served: int
    electronic_hours: Array  # [served] planned hours from 2011 on
    opening_weight: Array  # [served] hours of the paper era, 0 for none
    year_ends: Array  # [served, 8] share of the electronic hours up to each year's end
    home: Array  # [count] station index, by Zipf's law
    group: Array  # [count]
    leavers: Array  # volunteers who joined a school and left it


def total_minutes(scale: float) -> int:
    """Return the credited minutes of the whole history at a scale: 1,200,000,000 at 1.0."""
    return round(TOTAL_HOURS * 60 * scale)


def people(scale: float, seed: int, places: Places) -> People:
    """Draw the volunteers of a scale."""
    count = round(VOLUNTEERS * scale)
    served = round(count * SERVED_SHARE)
    rng = generator(seed, "people")
    target = _targets(rng, served) * (TOTAL_HOURS * scale)
    opening = _opening_hours(rng, target, scale)
    electronic = target - opening
    electronic *= ELECTRONIC_HOURS * scale / electronic.sum()
    group, leavers = _groups(rng, count, scale)
    return People(
        count=count,
        served=served,
        electronic_hours=np.round(electronic, 6),
        opening_weight=np.round(opening, 6),
        year_ends=np.round(_year_ends(rng, electronic, opening > 0), 9),
        home=_homes(rng, count, len(places.stations)),
        group=group,
        leavers=leavers,
    )


def _targets(rng: np.random.Generator, served: int) -> Array:
    """Return shares in all hours: lognormal and capped, one from each of `served` equal slices of the distribution."""
    inverse = NormalDist(MU, SIGMA).inv_cdf
    slices = (np.arange(served) + rng.uniform(1e-6, 1 - 1e-6, served)) / served
    hours = np.minimum(np.exp(np.array([inverse(q) for q in slices.tolist()])), HOURS_MAX)
    shares: Array = rng.permutation(hours) / hours.sum()
    return shares


def _opening_hours(rng: np.random.Generator, target: Array, scale: float) -> Array:
    """Return the hours served before 2011: a part of the target hours of some volunteers, more often of those with many
    hours.
    """
    paper_era = rng.random(len(target)) < np.where(target > 400, 0.4, 0.12)
    opening: Array = np.where(paper_era, target * rng.beta(2, 5, len(target)), 0.0)
    if not opening.any():
        opening[np.argmax(target)] = 1.0
    opening *= OPENING_HOURS * scale / opening.sum()
    return np.minimum(opening, target * 0.9)


def _year_ends(rng: np.random.Generator, electronic: Array, paper_era: Array) -> Array:
    """Distribute hours over the years so that each row sums to 1 and the totals of the columns match `YEAR_SHARES`."""
    shares = np.array(YEAR_SHARES) / 100
    needed = np.clip(np.ceil(electronic / HOURS_PER_YEAR_COMFORTABLE), 1, 8).astype(np.int64)
    span = np.minimum(8, needed + rng.geometric(0.45, len(needed)) - 1)
    start = np.floor((9 - span) * rng.random(len(span)) ** LATENESS).astype(np.int64)
    start[paper_era] = 0
    years = np.arange(8)
    active = (years >= start[:, None]) & (years < (start + span)[:, None])
    steepness = np.where(electronic > HEAVY_HOURS, HEAVY_STEEPNESS, 1.0)
    base = active * shares ** steepness[:, None]
    fit = np.ones(8)
    for _ in range(60):
        rows = base * fit
        rows *= (electronic / rows.sum(axis=1))[:, None]
        fit *= shares * electronic.sum() / np.maximum(rows.sum(axis=0), 1e-9)
    ends: Array = np.cumsum(rows, axis=1) / electronic[:, None]
    ends[:, -1] = 1.0
    return ends


def _homes(rng: np.random.Generator, count: int, stations: int) -> Array:
    weights = 1 / np.arange(1, stations + 1)
    homes: Array = np.repeat(np.arange(stations, dtype=np.uint8), apportion(count, weights))
    return rng.permutation(homes)


def _groups(rng: np.random.Generator, count: int, scale: float) -> tuple[Array, Array]:
    group = np.full(count, -1, np.int16)
    pupils = pick(rng, np.arange(count), round(SCHOOL_MEMBERS * scale))
    group[pupils] = rng.integers(0, SCHOOLS, len(pupils))
    others = np.flatnonzero((group < 0) & (rng.random(count) < GROUP_SHARE))
    group[others] = rng.integers(SCHOOLS, GROUP_MEMBERS, len(others))
    return group, pick(rng, pupils, round(SCHOOL_LEAVERS * scale))
