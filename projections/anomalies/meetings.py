"""Anomalies between two shifts: one person at two stations at once, or at the next station sooner than possible."""

from __future__ import annotations

from typing import Final

import numpy as np

from projections.anomalies.findings import Finding, Kind, Stays
from projections.rules.anomalies import AnomalyRules
from projections.schema import Array, Longs

STEPS_MAX: Final = 200
"""The number of earlier shifts that each shift is compared with; with more at once, not every pair needs a finding."""


def two_stations(stays: Stays, rules: AnomalyRules) -> list[Finding]:
    """Find shifts that overlap an earlier shift of the same volunteer at another station.

    Each is reported once, with the shift that it shares the most minutes with, or the earliest of several.
    """
    stays = _completed(stays)
    early, late = _pairs(stays, 0)
    shared = np.minimum(stays.end[early], stays.end[late]) - stays.start[late]
    chosen = np.flatnonzero((stays.station[early] != stays.station[late]) & (shared >= rules.overlap_minutes_min))
    return _findings("two-stations", stays, early[chosen], late[chosen], shared[chosen], -shared[chosen])


def travel_time(stays: Stays, rules: AnomalyRules) -> list[Finding]:
    """Find check-ins too soon after a check-out at another station; each is reported with the latest such check-out."""
    stays = _completed(stays)
    early, late = _pairs(stays, rules.travel_minutes_min)
    gap = stays.start[late] - stays.end[early]
    chosen = np.flatnonzero(
        (stays.station[early] != stays.station[late]) & (gap >= 0) & (gap < rules.travel_minutes_min)
    )
    return _findings("travel-time", stays, early[chosen], late[chosen], gap[chosen], gap[chosen])


def _completed(stays: Stays) -> Stays:
    """Return the shifts at a station with a check-out after the check-in."""
    chosen = (stays.end > stays.start) & (stays.station >= 0)
    return Stays._make(column[chosen] for column in stays)


def _pairs(stays: Stays, margin: int) -> tuple[Array, Array]:
    """Return pairs of rows of one volunteer's shifts, earlier and later, in which the earlier one may end less than
    `margin` minutes before the later begins, or after it.
    """
    late = np.arange(len(stays.start))
    early = late - 1
    latest_end = _latest_ends(stays)
    found: list[tuple[Array, Array]] = [(late[:0], late[:0])]
    for _ in range(STEPS_MAX):
        near = (early >= 0) & (stays.volunteer[early] == stays.volunteer[late])
        near &= latest_end[early] + margin > stays.start[late]
        if not near.any():
            break
        early, late = early[near], late[near]
        found.append((early, late))
        early = early - 1
    return np.concatenate([pair[0] for pair in found]), np.concatenate([pair[1] for pair in found])


def _latest_ends(stays: Stays) -> Longs:
    """Return, for each row, the latest end among it and the same volunteer's rows before it."""
    offset = stays.volunteer.astype(np.int64) << 32  # separates the volunteers
    ends: Longs = np.maximum.accumulate(offset + stays.end) - offset
    return ends


def _findings(kind: Kind, stays: Stays, early: Array, late: Array, minutes: Array, rank: Array) -> list[Finding]:
    """Return a finding for each later row, with the earlier row of the lowest rank; of several, the first."""
    order = np.lexsort((early, rank, late))
    _, best = np.unique(late[order], return_index=True)
    rows = order[best]
    early, late = early[rows], late[rows]
    columns = (
        stays.day[late],
        minutes[rows],
        stays.shift[early],
        stays.shift[late],
        stays.volunteer[late],
        stays.station[early],
        stays.station[late],
    )
    return [
        Finding(kind, day, (length,), (first, second), (), volunteer, station, other_station)
        for day, length, first, second, volunteer, station, other_station in zip(
            *(column.tolist() for column in columns), strict=True
        )
    ]
