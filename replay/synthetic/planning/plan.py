"""The plan: the whole history as columns, the same for the same scale and seed."""

from __future__ import annotations

from typing import NamedTuple

from replay.synthetic.planning.amendments import Amendments, amendments
from replay.synthetic.planning.members import Members, members
from replay.synthetic.planning.people import People, people
from replay.synthetic.planning.people_served import Served, people_served
from replay.synthetic.planning.places import Places, places
from replay.synthetic.planning.posts import Assignment, assign
from replay.synthetic.planning.schemes import Schemes, schemes
from replay.synthetic.planning.shifts import Shifts, shifts
from replay.synthetic.planning.times import Scans, scans

SCALE_MIN, SCALE_MAX = 0.0005, 50.0


class Plan(NamedTuple):
    """All columns of a history; rows of `shifts`, `assignment` and `times` are the same shifts."""

    scale: float
    seed: int
    places: Places
    people: People
    shifts: Shifts
    assignment: Assignment
    schemes: Schemes
    times: Scans
    amendments: Amendments
    members: Members
    served: Served


def check_scale(scale: float, seed: int) -> None:
    """Refuse a scale or seed that no history can have.

    Raises:
        ValueError: the scale or seed is out of range.
    """
    if not SCALE_MIN <= scale <= SCALE_MAX:
        raise ValueError(f"scale {scale} is out of range: choose {SCALE_MIN} (60 volunteers) to {SCALE_MAX}")
    if seed < 0:
        raise ValueError(f"seed {seed} is negative: choose 0 or more")


def make_plan(scale: float, seed: int) -> Plan:
    """Draw the plan of a history."""
    all_places = places(scale)
    volunteers = people(scale, seed, all_places)
    all_shifts = shifts(scale, seed, volunteers)
    assignment = assign(scale, seed, volunteers, all_places, all_shifts)
    all_schemes = schemes(scale, seed, all_places, all_shifts, assignment)
    times = scans(seed, all_shifts, all_schemes)
    return Plan(
        scale=scale,
        seed=seed,
        places=all_places,
        people=volunteers,
        shifts=all_shifts,
        assignment=assignment,
        schemes=all_schemes,
        times=times,
        amendments=amendments(seed, all_places, all_shifts, assignment, times, all_schemes.too_long),
        members=members(seed, volunteers, all_shifts),
        served=people_served(scale, seed, all_places, all_shifts, assignment),
    )
