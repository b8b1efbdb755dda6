"""Anomalies of beginnings: service before the volunteer was registered or the station opened; and persons who share a
phone. Each may be right: old records are entered later, and families have one phone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from projections.anomalies.findings import Finding, Stays
from projections.rules.anomalies import AnomalyRules
from projections.schema import NO_DAY, NONE, Array, Ints


def before_registration(stays: Stays, registered: Ints, rules: AnomalyRules) -> list[Finding]:
    """Find persons with shifts before their registration, one finding for each.

    Args:
        registered: the first day on which any number of each person was registered, `NO_DAY` if none was.
    """
    early = _days_early(stays, stays.volunteer, registered, rules.registration_days_min)
    return [
        Finding(
            "before-registration",
            int(stays.day[rows].max()),
            (len(rows), int(early[rows].max())),
            tuple(stays.shift[rows].tolist()),
            (),
            volunteer,
        )
        for volunteer, rows in groups(stays.volunteer, early, stays.start)
    ]


def before_opening(stays: Stays, opened: Ints, rules: AnomalyRules) -> list[Finding]:
    """Find stations with shifts before they were first opened, one finding for each.

    Args:
        opened: the first day on which each station was opened, `NO_DAY` if it was not.
    """
    at_station = np.where(stays.station == NONE, 0, stays.station)
    early = np.zeros(0, np.int32)
    if len(opened):
        early = _days_early(stays, at_station, opened, rules.opening_days_min)
        early[stays.station == NONE] = 0
    return [
        Finding(
            "before-opening",
            int(stays.day[rows].max()),
            (len(rows), len(np.unique(stays.volunteer[rows])), int(early[rows].max())),
            tuple(stays.shift[rows].tolist()),
            station=station,
        )
        for station, rows in groups(stays.station, early, stays.start)
    ]


def _days_early(stays: Stays, of: Ints, begins: Ints, least: int) -> Ints:
    """Return by how many days each shift comes too early, 0 if by fewer than `least`."""
    first = begins[of]
    early = first - stays.day
    early[(first == NO_DAY) | (early < least)] = 0
    return early.astype(np.int32)


def groups(keys: Ints, early: Ints, start: Ints) -> Iterator[tuple[int, Array]]:
    """Return each key that has early shifts, ascending, with their rows in order of time."""
    rows = np.flatnonzero(early)
    rows = rows[np.lexsort((start[rows], keys[rows]))]
    distinct, begins = np.unique(keys[rows], return_index=True)
    return zip(distinct.tolist(), np.split(rows, begins[1:]), strict=False)  # no keys still give 1 split


def shared_phones(
    groups: Sequence[Sequence[int]], registered: Ints, rules: AnomalyRules, valid_until: int = NO_DAY
) -> list[Finding]:
    """Find phones that several persons have, dated by the latest registration among them.

    Args:
        groups: for each phone the persons who have it, each once.
        registered: as for `before_registration`. Who was registered after `valid_until`, or never, does not count.
    """
    found = []
    for group in groups:
        known = sorted(person for person in group if registered[person] <= valid_until and registered[person] != NO_DAY)
        if len(known) >= rules.phone_persons_min:
            day = int(registered[known].max())
            first, *others = known
            found.append(Finding("shared-phone", day, (len(known),), volunteer=first, others=tuple(others)))
    return found
