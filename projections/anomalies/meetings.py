"""Meetings of shifts: one person at two stations at once, or at the next one sooner than anybody gets there."""

from __future__ import annotations

from typing import Final

import numpy as np

from projections.anomalies.findings import Finding, Kind, Stays
from projections.rules.anomalies import AnomalyRules
from projections.schema import Array, Longs

STEPS_MAX: Final = 200
"""So many shifts before each one are compared with it: who has more at once needs no finding about each pair."""


def two_stations(stays: Stays, rules: AnomalyRules) -> list[Finding]:
    """Find shifts during which their volunteer was at another station as well, by an earlier shift.

    Each is told once, with the shift that it shares the most minutes with; of several the earliest.
    """
    stays = _whole(stays)
    early, late = _pairs(stays, 0)
    shared = np.minimum(stays.end[early], stays.end[late]) - stays.start[late]
    chosen = np.flatnonzero((stays.station[early] != stays.station[late]) & (shared >= rules.overlap_minutes_min))
    return _found("two-stations", stays, early[chosen], late[chosen], shared[chosen], -shared[chosen])


def travel_time(stays: Stays, rules: AnomalyRules) -> list[Finding]:
    """Find check-ins too soon after a check-out at another station; each is told with the last of these."""
    stays = _whole(stays)
    early, late = _pairs(stays, rules.travel_minutes_min)
    gap = stays.start[late] - stays.end[early]
    chosen = np.flatnonzero(
        (stays.station[early] != stays.station[late]) & (gap >= 0) & (gap < rules.travel_minutes_min)
    )
    return _found("travel-time", stays, early[chosen], late[chosen], gap[chosen], gap[chosen])


def _whole(stays: Stays) -> Stays:
    """Return the shifts that begin and end."""
    return Stays._make(column[stays.end > stays.start] for column in stays)


def _pairs(stays: Stays, margin: int) -> tuple[Array, Array]:
    """Return the rows of pairs of one volunteer's shifts of which the earlier may end less than `margin` minutes before
    the later begins, or after that.
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
    """Return the latest end among each row and those before it, of the same volunteer."""
    apart = stays.volunteer.astype(np.int64) << 32
    ends: Longs = np.maximum.accumulate(apart + stays.end) - apart
    return ends


def _found(kind: Kind, stays: Stays, early: Array, late: Array, minutes: Array, rank: Array) -> list[Finding]:
    """Return a finding for each later row: with the earlier one of the lowest rank, then the first."""
    order = np.lexsort((early, rank, late))
    _, firsts = np.unique(late[order], return_index=True)
    rows = order[firsts]
    one, other = early[rows], late[rows]
    columns = (
        stays.day[other],
        minutes[rows],
        stays.shift[one],
        stays.shift[other],
        stays.volunteer[other],
        stays.station[one],
        stays.station[other],
    )
    return [
        Finding(kind, day, (length,), (first, second), (), volunteer, here, there)
        for day, length, first, second, volunteer, here, there in zip(
            *(column.tolist() for column in columns), strict=True
        )
    ]
