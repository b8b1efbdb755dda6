"""Anomalies of endings: service after the volunteer withdrew or the station closed. Each may be right: the withdrawal
may be entered with a wrong day, and a station may lend its reader.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from projections.anomalies.beginnings import groups
from projections.anomalies.findings import Finding, Stays
from projections.rules.anomalies import AnomalyRules
from projections.schema import NONE, Bytes, Ints, Longs

_DAYS = 1 << 32
"""More than there are days, so that a key and a day are one number."""


class Spells(NamedTuple):
    """When persons or stations began and ended, sorted by key and day; columns of length n.

    `at` is the key times `_DAYS` plus the day; `ended` says whether it is over from that day on.
    """

    at: Longs
    day: Ints
    ended: Bytes


def spells(changes: Mapping[int, Iterable[tuple[int, bool]]]) -> Spells:
    """Return the spells of each key: its changes, as days and whether it is over, in any order of days.

    Of several changes on one day the last holds.
    """
    rows = [
        (key, day, over)
        for key in sorted(changes)
        for day, over in dict(sorted(changes[key], key=lambda change: change[0])).items()
    ]
    keys, days, ended = (np.array([row[column] for row in rows], np.int64) for column in range(3))
    return Spells(keys * _DAYS + days, days.astype(np.int32), ended.astype(np.uint8))


def after_withdrawal(stays: Stays, withdrawn: Spells, rules: AnomalyRules) -> list[Finding]:
    """Find persons with shifts after their withdrawal and before another registration, one finding for each.

    Args:
        withdrawn: when each person was registered, and withdrew.
    """
    late = _days_late(stays, stays.volunteer, withdrawn, rules.withdrawal_days_min)
    return [
        Finding(
            "after-withdrawal",
            int(stays.day[rows].max()),
            (len(rows), int(late[rows].max())),
            tuple(stays.shift[rows].tolist()),
            (),
            volunteer,
        )
        for volunteer, rows in groups(stays.volunteer, late, stays.start)
    ]


def after_closing(stays: Stays, closed: Spells, rules: AnomalyRules) -> list[Finding]:
    """Find stations with shifts after they were closed and before they were opened again, one finding for each.

    Args:
        closed: when each station was opened, and closed.
    """
    late = _days_late(stays, stays.station, closed, rules.closing_days_min)
    late[stays.station == NONE] = 0
    return [
        Finding(
            "after-closing",
            int(stays.day[rows].max()),
            (len(rows), len(np.unique(stays.volunteer[rows])), int(late[rows].max())),
            tuple(stays.shift[rows].tolist()),
            station=station,
        )
        for station, rows in groups(stays.station, late, stays.start)
    ]


def _days_late(stays: Stays, of: Ints, changes: Spells, least: int) -> Ints:
    """Return by how many days each shift comes after the end, 0 if by fewer than `least`."""
    if not len(changes.at):
        return np.zeros(len(of), np.int32)
    row = np.searchsorted(changes.at, of.astype(np.int64) * _DAYS + stays.day, side="right") - 1
    of_key = (row >= 0) & (changes.at[row] // _DAYS == of)
    late = stays.day - changes.day[row]
    late[~of_key | (changes.ended[row] == 0) | (late < least)] = 0
    return late.astype(np.int32)
