"""Tallies: the arrays that a comparison writes: sums for each thread, rows for each range of volunteers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from projections.compare.sides import Side
from projections.kernels.projects import YEAR_SLOTS, ProjectTotals, project_totals
from projections.schema import CREDITED, FIRST, HOURS_COLUMNS, Ints, Longs

PIECE_SUMS = CREDITED - FIRST + 1
"""Sums have the columns of pieces from FIRST to CREDITED, in the same order, followed by:"""
SCANNED_SUM = PIECE_SUMS
OPENING_SUM = PIECE_SUMS + 1  # of a volunteer
VOLUNTEERS_SUM = PIECE_SUMS + 1  # of a station
SUMS = PIECE_SUMS + 2
_HOURS = len(HOURS_COLUMNS)


class Sums(NamedTuple):
    """The sums of one thread, and its working memory; the first index, of three, is `BEFORE`, `AFTER` or `BOTH`."""

    stations: Longs  # [3, stations, SUMS]
    totals: Longs  # [3, SUMS]
    projects: tuple[ProjectTotals, ProjectTotals, ProjectTotals]
    stamps: Longs  # [3, stations]: the volunteer and day last counted there
    trace: Longs  # [3, SUMS]: of one volunteer
    by_year: Longs  # [3, years, HOURS_COLUMNS]: of one volunteer; zero between volunteers
    reached: Ints  # [2, maximum number of honours of a side]


class Rows(NamedTuple):
    """The differences in one range of volunteers. Arrays are filled from the front; `used` has the number of rows."""

    volunteers: Ints
    traces: Longs  # [n, 2, SUMS]
    windows: Longs
    years: Longs
    honors: Ints
    used: Longs


def allocate_sums(before: Side, after: Side, projects: int, first_day: int, last_day: int) -> Sums:
    """Allocate a thread's sums."""
    stations = len(before.station_kind.kind)
    of_projects = [project_totals(projects, first_day, last_day) for _ in range(3)]
    years = of_projects[0].sums.shape[1] // YEAR_SLOTS
    honors = max(len(side.rules.honors.minutes) for side in (before, after))
    return Sums(
        stations=np.zeros((3, stations, SUMS), np.int64),
        totals=np.zeros((3, SUMS), np.int64),
        projects=(of_projects[0], of_projects[1], of_projects[2]),
        stamps=np.full((3, stations), -1, np.int64),
        trace=np.zeros((3, SUMS), np.int64),
        by_year=np.zeros((3, years, _HOURS), np.int64),
        reached=np.empty((2, honors), np.int32),
    )


def allocate_rows(volunteers: int, names: int, honors: int, years: int) -> Rows:
    """Allocate rows for the case that all volunteers of a range differ; pages without a row stay virtual."""
    return Rows(
        volunteers=np.empty(volunteers, np.int32),
        traces=np.empty((volunteers, 2, SUMS), np.int64),
        windows=np.zeros((volunteers, names), np.int64),
        years=np.empty((volunteers * years, 2 + 2 * _HOURS), np.int64),
        honors=np.empty((volunteers * honors, 4), np.int32),
        used=np.zeros(5, np.int64),
    )


def used_rows(rows: Rows) -> Rows:
    """Return copies of the used rows, so that the larger arrays can be freed."""
    volunteers, traces, windows, years, honors = rows.used.tolist()
    return Rows(
        volunteers=rows.volunteers[:volunteers].copy(),
        traces=rows.traces[:traces].copy(),
        windows=rows.windows[:windows].copy(),
        years=rows.years[:years].copy(),
        honors=rows.honors[:honors].copy(),
        used=rows.used,
    )
