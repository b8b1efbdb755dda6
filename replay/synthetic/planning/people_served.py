"""People served: the counts of stations at the end of each day, and the yearly totals of the large services.

They match three figures of docs/glossary.md (rounded at other scales): 2,000,000 travellers a year at the transport
hubs, 200,000 visitors of the botanical garden each Spring Festival, 3,100,000 travellers at the border since 2017-04.
They also match 1,741 people served by mental-health volunteers in schools, and 2,060 pupils who cross the border.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from replay.synthetic.planning.days import DAY, DAY_COUNT, FIRST_MIDNIGHT, days
from replay.synthetic.planning.places import (
    BOTANICAL_GARDEN,
    CROSS_BORDER_PUPILS,
    HOLIDAY_TRANSPORT,
    SCHOOL_MENTAL_HEALTH,
    Places,
)
from replay.synthetic.planning.posts import Assignment
from replay.synthetic.planning.randomness import Array, apportion, generator
from replay.synthetic.planning.shifts import Shifts

TRAVELLERS_A_YEAR = 2_000_000
GARDEN_VISITORS_A_YEAR = 200_000
BORDER_TRAVELLERS = 3_100_000
SCHOOL_PERSON_TIMES = 1_741
BORDER_PUPILS = 2_060
SERVED_PER_POST = 18  # [config] at the other stations
COUNTED_AT = 23 * 3_600 + 40 * 60  # seconds of the day, after stations have closed


class Served(NamedTuple):
    """One row per station, project (0 is none) and day with people served."""

    station: Array
    project: Array
    day: Array
    people: Array
    recorded_at: Array


def people_served(scale: float, seed: int, places: Places, plan: Shifts, assignment: Assignment) -> Served:
    """Count the people served."""
    rng = generator(seed, "people served")
    at_post = np.flatnonzero((assignment.project == 0) & ~plan.attested)
    cells = plan.day[at_post].astype(np.int64) * len(places.stations) + assignment.station[at_post]
    posts = np.bincount(cells, minlength=DAY_COUNT * len(places.stations))
    people = rng.poisson(posts * SERVED_PER_POST * rng.lognormal(0, 0.35, posts.size))
    people = people.reshape(DAY_COUNT, len(places.stations))
    border = places.station("border-inspection")
    if border is not None:
        flow = (posts.reshape(people.shape)[:, border] > 0) * rng.lognormal(0, 0.2, DAY_COUNT)
        people[:, border] = _whole(round(BORDER_TRAVELLERS * scale), flow)
    day, station = np.nonzero(people)
    rows = [(station, np.zeros(len(day), np.int64), day, people[day, station])]
    rows += _services(rng, scale, places, plan, assignment)
    station, project, day, count = (np.concatenate(parts) for parts in zip(*rows, strict=True))
    recorded_at = FIRST_MIDNIGHT + day * DAY + COUNTED_AT + rng.integers(0, 900, len(day))
    return Served(station, project, day, count, recorded_at)


def _whole(total: int, weights: Array) -> Array:
    """Apportion a total, or 0 if all weights are 0."""
    return apportion(total if weights.any() else 0, weights)


def _services(
    rng: np.random.Generator, scale: float, places: Places, plan: Shifts, assignment: Assignment
) -> list[tuple[Array, Array, Array, Array]]:
    """Split the totals of the large services by their numbers of shifts per station and day."""
    year = days().year
    rows = []
    for name, total, yearly in (
        (HOLIDAY_TRANSPORT, TRAVELLERS_A_YEAR, True),
        (BOTANICAL_GARDEN, GARDEN_VISITORS_A_YEAR, True),
        (SCHOOL_MENTAL_HEALTH, SCHOOL_PERSON_TIMES, False),
        (CROSS_BORDER_PUPILS, BORDER_PUPILS, False),
    ):
        project = places.project(name)
        shifts = np.flatnonzero(assignment.project == project)
        cells = assignment.station[shifts].astype(np.int64) * DAY_COUNT + plan.day[shifts]
        present, counts = np.unique(cells, return_counts=True)
        station, day = present // DAY_COUNT, present % DAY_COUNT
        weights = counts * rng.lognormal(0, 0.2, len(counts))
        people = np.zeros(len(present), np.int64)
        for period in range(8) if yearly else (0,):
            inside = (year[day] == period) if yearly else np.ones(len(day), bool)
            people[inside] = _whole(round(total * scale), weights[inside])
        nonzero = people > 0
        rows.append((station[nonzero], np.full(int(nonzero.sum()), project), day[nonzero], people[nonzero]))
    return rows
