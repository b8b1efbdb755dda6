"""Project months: the activity of each project, by local year and month.

Part of the pass of `projections.kernels.read_models`, which adds each piece as it comes, at one random access each. A
shift without a project adds nothing. A volunteer counts once in a month and once in a year in which a shift begins; so
the volunteers of a year are not the sum of those of its months, and have their own slot: month 0.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from projections.compiled import inlined
from projections.local_time import civil, day_of_number
from projections.schema import (
    COUNTED,
    CREDITED,
    DAY,
    FIRST,
    NONE,
    PROJECT,
    PROJECT_COLUMNS,
    RAW,
    ROW,
    SERVED_DAY,
    SERVED_PEOPLE,
    SERVED_PROJECT,
    Ints,
    Longs,
    ShiftTable,
)

YEAR_SLOTS = 13
"""The slots of a year: 0 for the whole year, 1 to 12 for its months."""

_PEOPLE_SERVED = PROJECT_COLUMNS.index("people_served")
_VOLUNTEERS = PROJECT_COLUMNS.index("volunteers")


class ProjectTotals(NamedTuple):
    """The sums of one thread. A slot is `year * YEAR_SLOTS + month`, with years counted from the first."""

    sums: Ints  # [project, slot, PROJECT_COLUMNS]; before `combine_totals`, month 0 has only the volunteers
    slots: Ints  # by day, counted from the first day of the replay
    months: Longs  # by project: the volunteer and month counted last
    years: Longs  # by project: the volunteer and year counted last


def project_totals(projects: int, first_day: int, last_day: int) -> ProjectTotals:
    """Allocate sums for a number of projects and the days from the first to the last."""
    slots, years = slots_of(first_day, last_day)
    return ProjectTotals(
        sums=np.zeros((projects, years * YEAR_SLOTS, len(PROJECT_COLUMNS)), np.int32),
        slots=slots,
        months=np.full(projects, NONE, np.int64),
        years=np.full(projects, NONE, np.int64),
    )


def first_year(first_day: int) -> int:
    """Return the year of the first slot."""
    return day_of_number(first_day).year


@inlined
def add_project_months(
    volunteer: int, table: ShiftTable, pieces: Ints, count: int, first_day: int, totals: ProjectTotals
) -> None:
    """Add each piece of a volunteer to its project and month. Pieces are ordered by check-in, so shifts that begin in
    the same month are adjacent.
    """
    projects, sums, slots = table.rows[:, PROJECT], totals.sums, totals.slots
    months, years = totals.months, totals.years
    slots_total = sums.shape[1]
    for number in range(count):
        project = projects[pieces[number, ROW]]
        if project < 0:
            continue
        slot = slots[pieces[number, DAY] - first_day]
        if pieces[number, FIRST]:
            sums[project, slot, 0] += 1
            stamp = volunteer * slots_total + slot
            if months[project] != stamp:
                months[project] = stamp
                sums[project, slot, 1] += 1
                year_slot = slot // YEAR_SLOTS * YEAR_SLOTS
                stamp = volunteer * slots_total + year_slot
                if years[project] != stamp:
                    years[project] = stamp
                    sums[project, year_slot, 1] += 1
        sums[project, slot, 2] += pieces[number, RAW]
        sums[project, slot, 3] += pieces[number, COUNTED]
        sums[project, slot, 4] += pieces[number, CREDITED]


def combine_totals(parts: list[ProjectTotals], served: Ints, first_day: int) -> Longs:
    """Add up the threads' sums, add the people served, and sum the months of each year.

    Args:
        served: int32[n, 4]: station, project, day, people.

    Returns:
        int64[projects, years, YEAR_SLOTS, PROJECT_COLUMNS], years from `first_year` on.
    """
    sums = parts[0].sums.astype(np.int64)
    for part in parts[1:]:
        sums += part.sums
    at_project = served[served[:, SERVED_PROJECT] >= 0]
    slot = parts[0].slots[at_project[:, SERVED_DAY] - first_day]
    people = sums[:, :, _PEOPLE_SERVED]
    np.add.at(people, (at_project[:, SERVED_PROJECT], slot), at_project[:, SERVED_PEOPLE])
    by_year = sums.reshape(len(sums), sums.shape[1] // YEAR_SLOTS, YEAR_SLOTS, len(PROJECT_COLUMNS))
    volunteers = by_year[:, :, 0, _VOLUNTEERS].copy()
    by_year[:, :, 0] = by_year[:, :, 1:].sum(axis=2)
    by_year[:, :, 0, _VOLUNTEERS] = volunteers
    return by_year


def slots_of(first_day: int, last_day: int) -> tuple[Ints, int]:
    """Return the slot of each day, and the number of years."""
    begins = first_year(first_day)
    years = first_year(last_day) - begins + 1
    slots = np.empty(last_day - first_day + 1, np.int32)
    day = first_day
    while day <= last_day:
        year, month, day_of_month = civil(day)
        following = day - day_of_month + 32
        following -= civil(following)[2] - 1
        slots[day - first_day : following - first_day] = (year - begins) * YEAR_SLOTS + month
        day = following
    return slots, years
