"""The station and the project of each shift.

Shifts are assigned in this order: to services planned by the day (transport hubs, botanical garden, pupils); one to
each station that must never be empty; to the other posts of the stations (first to volunteers whose home station it
is). The remaining shifts belong to projects, of the volunteer's group or brand projects, and are scanned at the
volunteer's home station.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from replay.synthetic.planning.days import DAY_COUNT, days
from replay.synthetic.planning.people import People
from replay.synthetic.planning.places import (
    BORDER_OPENING,
    BOTANICAL_GARDEN,
    BRAND_PROJECTS,
    CROSS_BORDER_PUPILS,
    HOLIDAY_TRANSPORT,
    MEDICAL_TEAM,
    SCHOOL_MENTAL_HEALTH,
    SCHOOL_MENTAL_HEALTH_LAUNCH,
    SERVICES_APART,
    Places,
)
from replay.synthetic.planning.randomness import Array, apportion, generator, ranks_within
from replay.synthetic.planning.shifts import Shape, Shifts, fill_days, hub_shifts_of_day, stations_never_empty

POSTS_A_DAY = 12  # of a city or special station
COMMUNITY_POSTS_A_DAY = 2
GARDEN_SHIFTS_A_DAY = 60  # [config]
PUPIL_SHIFTS_A_DAY = 4  # [config]
SCHOOL_SHIFTS = 231  # 717 hours at the mean length of a shift
MEDICAL_SHIFTS_A_DAY = 2
GROUP_PROJECT_SHARE = 0.75  # [config] of a group member's project shifts


class Assignment(NamedTuple):
    """By shift: the index of the station, and the index of the project (0 is none)."""

    station: Array
    project: Array


class Planned(NamedTuple):
    """Shifts planned by the day, one row each, ordered by day."""

    day: Array
    station: Array
    project: Array


def assign(scale: float, seed: int, people: People, places: Places, plan: Shifts) -> Assignment:
    """Assign a station and a project to every shift. Moves a few shifts to days on which a station would be empty."""
    rng = generator(seed, "posts")
    planned = _planned_by_day(scale, places)
    fill_days(seed, plan, np.bincount(planned.day, minlength=DAY_COUNT))
    station = _home_stations(people, places, plan)
    project = np.zeros(len(plan), np.uint16)
    at_post = np.zeros(len(plan), bool)

    ordinary = np.flatnonzero(~plan.attested & (plan.shape != Shape.OVERLAPPING))
    rows, matched = _match_days(rng, plan, ordinary, planned.day)
    if places.never_empty and len(rows) < len(planned.day):
        raise ArithmeticError("some days have fewer shifts than stations that must be open: choose a larger scale")
    station[rows], project[rows] = planned.station[matched], planned.project[matched]
    at_post[rows] = True

    posts = _posts(rng, scale, places)
    free = ordinary[~at_post[ordinary]]
    rows = _posts_at_home(rng, plan, free, station, posts)
    at_post[rows] = True
    posts -= np.bincount(_cell(plan.day[rows], station[rows], posts), minlength=posts.size).reshape(posts.shape)

    free = ordinary[~at_post[ordinary]]
    day, open_station = np.nonzero(posts)
    times = posts[day, open_station]
    day, open_station = np.repeat(day, times), np.repeat(open_station, times)
    shuffled = np.lexsort((rng.random(len(day)), day))
    rows, matched = _match_days(rng, plan, free, day[shuffled])
    station[rows] = open_station[shuffled][matched]
    at_post[rows] = True

    _medical_team(places, plan, station, project, at_post)
    _projects(rng, people, places, plan, project, at_post)
    _elsewhere(rng, places, plan, station)
    return Assignment(station, project)


def _planned_by_day(scale: float, places: Places) -> Planned:
    """Return the services planned by the day, then one shift for each station that would otherwise be empty."""
    table = days()
    counts: list[tuple[Array, int, int]] = []  # by day, station, project
    hubs = places.hubs
    for i, hub in enumerate(hubs):
        share = (hub_shifts_of_day(scale) + len(hubs) - 1 - i) // len(hubs)
        counts.append((share, hub, places.project(HOLIDAY_TRANSPORT)))
    garden = min(4, len(places.always_open) - 1)
    counts.append(
        (table.festival * max(1, round(GARDEN_SHIFTS_A_DAY * scale)), garden, places.project(BOTANICAL_GARDEN))
    )
    weekday, index = table.weekday <= 5, np.arange(DAY_COUNT)
    border, school = places.station("border-inspection"), places.station("mental-health")
    if border is not None:
        pupils = (weekday & (index >= BORDER_OPENING)) * round(PUPIL_SHIFTS_A_DAY * scale)
        counts.append((pupils, border, places.project(CROSS_BORDER_PUPILS)))
    if school is not None:
        in_school = weekday & (index >= SCHOOL_MENTAL_HEALTH_LAUNCH)
        visits = apportion(round(SCHOOL_SHIFTS * scale), in_school.astype(float))
        counts.append((visits, school, places.project(SCHOOL_MENTAL_HEALTH)))
    present = np.zeros((DAY_COUNT, len(places.stations)), bool)
    for by_day, station, _ in counts:
        present[:, station] |= by_day > 0
    for station in stations_never_empty(places):
        opened = index >= places.stations[station].opens
        counts.append(((opened & ~present[:, station]).astype(np.int64), station, 0))
    day = np.concatenate([np.repeat(index, by_day) for by_day, _, _ in counts])
    sizes = [int(by_day.sum()) for by_day, _, _ in counts]
    stations = np.repeat([station for _, station, _ in counts], sizes)
    projects = np.repeat([project for _, _, project in counts], sizes)
    order = np.argsort(day, kind="stable")
    return Planned(day[order], stations[order], projects[order])


def _match_days(rng: np.random.Generator, plan: Shifts, rows: Array, post_day: Array) -> tuple[Array, Array]:
    """Match posts, given by their ascending days, with random `rows` of the same day; return the matched rows and the
    indices of their posts.
    """
    keys = (plan.day[rows].astype(np.int64) << 32) | rng.integers(0, 1 << 32, len(rows))
    order = rows[np.argsort(keys, kind="stable")]
    day = plan.day[order]
    available = np.bincount(day, minlength=DAY_COUNT)
    begins = np.concatenate(([0], np.cumsum(available)[:-1]))
    rank = ranks_within(post_day)
    filled = np.flatnonzero(rank < available[post_day])
    return order[begins[post_day[filled]] + rank[filled]], filled


def _home_stations(people: People, places: Places, plan: Shifts) -> Array:
    """Return the home station of each shift's volunteer; before it opened, the first station."""
    station = people.home[plan.volunteer]
    opens = np.array([station.opens for station in places.stations])
    station[plan.day < opens[station]] = 0
    return station


def _posts(rng: np.random.Generator, scale: float, places: Places) -> Array:
    """Return int64[days, stations]: posts of the day other than the one that is already filled."""
    index = np.arange(DAY_COUNT)
    posts = np.zeros((DAY_COUNT, len(places.stations)), np.int64)
    for i, station in enumerate(places.stations):
        mean = COMMUNITY_POSTS_A_DAY * scale
        if station.kind != "community":
            mean = max(POSTS_A_DAY * scale - places.never_empty, 0)
        posts[:, i] = rng.poisson(mean, DAY_COUNT) * (index >= station.opens)
    return posts


def _cell(day: Array, station: Array, posts: Array) -> Array:
    cells: Array = day.astype(np.int64) * posts.shape[1] + station
    return cells


def _posts_at_home(rng: np.random.Generator, plan: Shifts, free: Array, station: Array, posts: Array) -> Array:
    """Return the rows that fill posts of their own home station."""
    cell = _cell(plan.day[free], station[free], posts)
    order = np.argsort((cell << 32) | rng.integers(0, 1 << 32, len(free)), kind="stable")
    chosen: Array = order[ranks_within(cell[order]) < posts.ravel()[cell[order]]]
    rows: Array = free[np.sort(chosen, kind="stable")]
    return rows


def _medical_team(places: Places, plan: Shifts, station: Array, project: Array, at_post: Array) -> None:
    """Give the first posts of the health station's day to the medical team: two shifts every day."""
    health = places.station("health")
    rows = np.flatnonzero(at_post & (station == health) & (project == 0))
    rows = rows[np.argsort(plan.day[rows], kind="stable")]
    project[rows[ranks_within(plan.day[rows]) < MEDICAL_SHIFTS_A_DAY]] = places.project(MEDICAL_TEAM)


def _projects(
    rng: np.random.Generator, people: People, places: Places, plan: Shifts, project: Array, at_post: Array
) -> None:
    rows = np.flatnonzero(~at_post)
    open_brands = np.array([places.project(name) for name in BRAND_PROJECTS if name not in SERVICES_APART])
    weights = np.cumsum(1 / np.arange(1, len(open_brands) + 1))
    brand = open_brands[np.searchsorted(weights, rng.uniform(0, weights[-1], len(rows)), side="right")]
    group = people.group[plan.volunteer[rows]]
    for_group = (group >= 0) & (rng.random(len(rows)) < GROUP_PROJECT_SHARE)
    project[rows] = np.where(for_group, len(BRAND_PROJECTS) + 1 + group, brand)


def _elsewhere(rng: np.random.Generator, places: Places, plan: Shifts, station: Array) -> None:
    """Move every overlapping shift to another station than the shift it overlaps."""
    extra = np.flatnonzero(plan.shape == Shape.OVERLAPPING)
    candidates = np.array([i for i, place in enumerate(places.stations) if place.opens == 0])
    other = candidates[rng.integers(0, len(candidates), len(extra))]
    same = other == station[plan.overlapped]
    other[same] = candidates[(np.searchsorted(candidates, other[same]) + 1) % len(candidates)]
    station[extra] = other
