"""Amendments days later: corrections, disputes and their settlements, voided forgeries, raised day caps.

1 % of the shifts are corrected (docs/glossary.md), about half of these because of a forgotten check-out. The shares of
the other corrections, and everything else here, are [config]: no source gives them. No amendment moves a shift to
another day or away from a station's post.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from replay.synthetic.planning.days import DAY, DAY_COUNT, FIRST_MIDNIGHT
from replay.synthetic.planning.places import SERVICES_APART, Places
from replay.synthetic.planning.posts import Assignment
from replay.synthetic.planning.randomness import Array, generator, pick, pick_apart
from replay.synthetic.planning.shifts import Shape, Shifts
from replay.synthetic.planning.times import Scans

CORRECTION_SHARE = 0.01
DISPUTED_SHARE = 0.1  # of the corrections of forgotten check-outs: requested by the volunteer in a dispute
REFUSED_DISPUTES = 0.5  # for each dispute that was upheld
FOUND_SHARE = 0.1  # of the forged entries: found by a spot check and voided
REINSTATED_SHARE = 0.05  # of those: voided in error
RAISED_SHARE = 0.2  # of the shifts of 8 to 12 hours: approved in advance

# A raise is approved this many seconds before the day begins, when the volunteer is already registered.
EVENING_BEFORE = (4 * 3_600, 5 * 3_600)
DAYS_TO_AMEND = 120  # amendments need time before the history ends


class Change(IntEnum):
    """What a correction changes."""

    FORGOTTEN = 0  # sets a check-out that was not scanned
    CHECK_OUT = 1  # an earlier check-out
    CHECK_IN = 2  # a later check-in
    PROJECT = 3
    STATION = 4


CHANGE_SHARES = {
    Change.FORGOTTEN: 0.5,
    Change.CHECK_OUT: 0.3,
    Change.CHECK_IN: 0.12,
    Change.PROJECT: 0.05,
    Change.STATION: 0.03,
}


@dataclass(frozen=True)
class Amendments:
    """Rows of amended shifts, and the instants at which the amendments were recorded."""

    corrected: Array
    change: Array
    value: Array  # the instant, station index or project index that a correction sets
    corrected_at: Array
    disputed: Array
    disputed_at: Array
    settled_at: Array
    upheld: Array  # bool
    voided: Array
    voided_at: Array
    reinstated: Array
    reinstated_at: Array
    raised: Array
    raised_at: Array


def amendments(
    seed: int, places: Places, plan: Shifts, assignment: Assignment, times: Scans, too_long: Array
) -> Amendments:
    """Draw all later events about shifts. The shifts in `too_long` get no raises."""
    rng = generator(seed, "amendments")
    corrected, change = _corrected(rng, places, plan, assignment, times)
    corrected_at = times.sent_out[corrected] + _days(rng, len(corrected), 1, 20)
    upheld = pick(rng, np.flatnonzero(change == Change.FORGOTTEN), round(DISPUTED_SHARE * int((change == 0).sum())))
    uncorrected = np.setdiff1d(times.missing[plan.day[times.missing] < DAY_COUNT - DAYS_TO_AMEND], corrected)
    refused = pick(rng, uncorrected, round(REFUSED_DISPUTES * len(upheld)))
    disputed = np.concatenate((corrected[upheld], refused))
    disputed_at = np.concatenate(
        (
            corrected_at[upheld] - rng.integers(600, DAY // 2, len(upheld)),
            times.sent_out[refused] + _days(rng, len(refused), 1, 20),
        )
    )
    settled_at = np.concatenate(
        (corrected_at[upheld] + 60, disputed_at[len(upheld) :] + _days(rng, len(refused), 1, 9))
    )
    forged = np.flatnonzero((plan.shape == Shape.FORGED) & (plan.day < DAY_COUNT - 2 * DAYS_TO_AMEND))
    voided = pick(rng, forged, round(FOUND_SHARE * len(forged)))
    voided_at = times.sent_out[voided] + _days(rng, len(voided), 30, 180)
    reinstated = pick(rng, np.arange(len(voided)), round(REINSTATED_SHARE * len(voided)))
    long = np.setdiff1d(np.flatnonzero(plan.shape == Shape.LONG), too_long)
    raised = pick(rng, long, round(RAISED_SHARE * len(long)))
    return Amendments(
        corrected=corrected,
        change=change,
        value=_values(rng, places, corrected, change, assignment, times),
        corrected_at=corrected_at,
        disputed=disputed,
        disputed_at=disputed_at,
        settled_at=settled_at,
        upheld=np.arange(len(disputed)) < len(upheld),
        voided=voided,
        voided_at=voided_at,
        reinstated=voided[reinstated],
        reinstated_at=voided_at[reinstated] + _days(rng, len(reinstated), 3, 20),
        raised=raised,
        raised_at=FIRST_MIDNIGHT + plan.day[raised].astype(np.int64) * DAY - rng.integers(*EVENING_BEFORE, len(raised)),
    )


def _days(rng: np.random.Generator, count: int, first: int, last: int) -> Array:
    return rng.integers(first * DAY, last * DAY, count)


def _corrected(
    rng: np.random.Generator, places: Places, plan: Shifts, assignment: Assignment, times: Scans
) -> tuple[Array, Array]:
    """Pick the shifts to correct, each once: forgotten check-outs, and plain shifts of projects open to everybody."""
    in_time = plan.day < DAY_COUNT - DAYS_TO_AMEND
    forgotten = np.zeros(len(plan), bool)
    forgotten[times.missing] = True
    counts = {change: round(CORRECTION_SHARE * share * len(plan)) for change, share in CHANGE_SHARES.items()}
    at_project = (assignment.project > 0) & ~np.isin(
        assignment.project, [places.project(name) for name in SERVICES_APART]
    )
    candidates = np.flatnonzero((plan.shape == Shape.PLAIN) & in_time & ~forgotten & at_project)
    others = [change for change in counts if change != Change.FORGOTTEN]
    picked = pick_apart(rng, candidates, [counts[change] for change in others])
    completed = pick(rng, times.missing[in_time[times.missing]], counts[Change.FORGOTTEN])
    rows = [completed, *picked]
    kinds = [Change.FORGOTTEN, *others]
    return np.concatenate(rows), np.repeat(kinds, [len(part) for part in rows])


def _values(
    rng: np.random.Generator, places: Places, rows: Array, change: Array, assignment: Assignment, times: Scans
) -> Array:
    seconds = rng.integers(5 * 60, 20 * 60, len(rows))
    stations = np.array([i for i, station in enumerate(places.stations) if station.opens == 0])
    projects = np.array([i for i, project in enumerate(places.projects, 1) if project.launched == 0])
    station, project = assignment.station[rows].astype(np.int64), assignment.project[rows].astype(np.int64)
    values: Array = np.choose(
        change,
        [
            times.check_out[rows],
            times.check_out[rows] - seconds,
            times.check_in[rows] + seconds,
            _next(projects, project),
            _next(stations, station),
        ],
    )
    return values


def _next(members: Array, current: Array) -> Array:
    following: Array = members[np.searchsorted(members, current, side="right") % len(members)]
    return following
