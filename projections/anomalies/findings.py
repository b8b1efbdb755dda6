"""Findings, their kinds, and the columns that anomalies are found in."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, get_args

import numpy as np

from projections.local_days import local_days
from projections.schema import NO_DAY, NONE, START, TIE, Array, Bytes, Instants, Ints, Longs, ResolvedShifts, ShiftTable

Kind = Literal[
    "two-stations",
    "travel-time",
    "long-shift",
    "over-cap",
    "entry-burst",
    "same-person",
    "round-numbers",
    "late-upload",
    "late-entry",
    "wrong-clock",
    "before-registration",
    "before-opening",
    "after-withdrawal",
    "after-closing",
    "shared-phone",
]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

FIGURES: Final[dict[Kind, tuple[str, ...]]] = {
    "two-stations": ("minutes",),
    "travel-time": ("minutes",),
    "long-shift": ("minutes",),
    "over-cap": ("days", "minutes"),
    "entry-burst": ("entries", "seconds", "volunteers"),
    "same-person": ("shifts", "of", "entered"),
    "round-numbers": ("instants", "of", "typed_only"),
    "late-upload": ("seconds",),
    "late-entry": ("minutes", "days", "scanned"),
    "wrong-clock": ("scans_ahead", "seconds_ahead", "check_outs_first", "scans_off", "of", "seconds_off"),
    "before-registration": ("shifts", "days"),
    "before-opening": ("shifts", "volunteers", "days"),
    "after-withdrawal": ("shifts", "days"),
    "after-closing": ("shifts", "volunteers", "days"),
    "shared-phone": ("persons",),
}
"""The names of the figures of each kind of finding, in order."""


class Finding(NamedTuple):
    """An anomaly. `volunteer`, the stations and `actor` are surrogates, `NONE` if they do not apply; `others` are the
    other persons it is about. `day` is the local
    day of the latest shift or event behind it. `shifts` (surrogates) and `positions` are those behind it, in order of
    time.
    """

    kind: Kind
    day: int
    figures: tuple[int, ...]
    shifts: tuple[int, ...] = ()
    positions: tuple[int, ...] = ()
    volunteer: int = NONE
    station: int = NONE
    other_station: int = NONE
    actor: int = NONE
    others: tuple[int, ...] = ()


class Stays(NamedTuple):
    """Shifts that can earn something, sorted by volunteer, check-in minute and shift id; columns of length n.

    `start` and `end` are UTC minutes, `end` is `NONE` without a check-out; `day` is the local day of the check-in.
    """

    volunteer: Ints
    shift: Ints
    station: Ints
    start: Ints
    end: Ints
    day: Ints


def stays_of(table: ShiftTable, zone: str, valid_until: int = NO_DAY) -> Stays:
    """Return the shifts of a table that begin on or before a local day."""
    volunteer = np.repeat(np.arange(len(table.first) - 1, dtype=np.int32), np.diff(table.first))
    day = local_days(table.start.astype(np.int64) * 60, zone)
    order = _sorted_rows(volunteer, table.rows)
    order = order[day[order] <= valid_until]
    return Stays(
        volunteer=volunteer[order],
        shift=table.shift[order],
        station=table.station[order],
        start=table.start[order],
        end=table.end[order],
        day=day[order],
    )


def _sorted_rows(volunteer: Ints, rows: Ints) -> Array:
    """Return the row numbers sorted: a volunteer's shifts that begin in the same minute by the rank of their ids."""
    order = np.arange(len(rows))
    equal = (volunteer[1:] == volunteer[:-1]) & (rows[1:, START] == rows[:-1, START])
    tied = np.flatnonzero(np.append(equal, False) | np.insert(equal, 0, False))
    order[tied] = tied[np.lexsort((rows[tied, TIE], rows[tied, START], volunteer[tied]))]
    return order


class Recorded(NamedTuple):
    """Events of shifts with the instants of their recording, in log order; columns of length n."""

    position: Longs
    recorded_at: Instants
    occurred_at: Instants
    code: Bytes
    shift: Ints
    station: Ints
    marks: Bytes

    def where(self, chosen: Array) -> Recorded:
        """Return the rows selected by a mask or by their numbers."""
        return Recorded._make(column[chosen] for column in self)


# What people do about a shift or a day, as codes of `Acts`.
ENTERED: Final = 1
CORRECTED: Final = 2
REINSTATED: Final = 3
SETTLED: Final = 4
RAISED: Final = 5
APPROVED: Final = 6
"""The act of the approver of another person's act."""


class Acts(NamedTuple):
    """Entries and decisions of people about volunteers, in log order; columns of length n. `shift` is `NONE` for a
    raise of the day cap.
    """

    position: Longs
    recorded_at: Instants
    code: Bytes
    actor: Ints
    volunteer: Ints
    shift: Ints

    def where(self, chosen: Array) -> Acts:
        """Return the rows selected by a mask or by their numbers."""
        return Acts._make(column[chosen] for column in self)


def beginning_until(shifts: ResolvedShifts, zone: str, valid_until: int) -> Array:
    """Return bool[n]: whether each shift begins on or before a local day; without a check-in, `recorded_at` counts."""
    if valid_until == NO_DAY:
        return np.ones(len(shifts.flags), bool)
    began = np.where(shifts.check_in == 0, shifts.recorded_at, shifts.check_in)
    until: Array = local_days(began, zone) <= valid_until
    return until
