"""Columns in which tests look for anomalies: shifts said in a line each, numbered in whatever order they are given."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from hypothesis import strategies as st

from projections.anomalies.findings import (
    Finding,
    Stays,
    stays_of,
)
from projections.kernels.facts import Facts
from projections.local_time import day_number
from projections.schema import (
    DTYPES,
    NONE,
    SCANNED_IN,
    SCANNED_OUT,
    VOID,
    OtherEvents,
    ResolvedShifts,
)
from projections.surrogates import Names
from tests.support.oracle.histories import SHANGHAI

ZONE = ZoneInfo(SHANGHAI)
MORNING = int(datetime(2018, 9, 27, 8, tzinfo=ZONE).timestamp())
"""Days before the National Day's week, with its make-up days before and behind it."""


class Stay(NamedTuple):
    """A shift as tests say it; `number` is its id, instants are minutes after `MORNING`."""

    number: int
    volunteer: int
    station: int
    start: int
    end: int | None
    scanned: bool
    void: bool

    @property
    def rank(self) -> tuple[int, int, int]:
        return self.volunteer, self.start, self.number


def flags_of(stay: Stay) -> int:
    return (SCANNED_IN | SCANNED_OUT if stay.scanned else 0) | (VOID if stay.void else 0)


def resolved(given_stays: Sequence[Stay], recorded_after: int = 0) -> ResolvedShifts:
    """Return shifts as columns: numbered in the order given."""

    def instant(minute: int | None) -> int:
        return 0 if minute is None else MORNING + 60 * minute

    return ResolvedShifts(
        volunteer=np.array([one.volunteer for one in given_stays], np.int32),
        station=np.array([one.station for one in given_stays], np.int32),
        project=np.full(len(given_stays), NONE, np.int32),
        check_in=np.array([instant(one.start) for one in given_stays], np.uint32),
        check_out=np.array([instant(one.end) for one in given_stays], np.uint32),
        recorded_at=np.array([instant(one.start) + recorded_after for one in given_stays], np.uint32),
        flags=np.array([flags_of(one) for one in given_stays], np.uint16),
    )


def served(given_stays: Sequence[Stay]) -> Stays:
    ids = np.array([one.number for one in given_stays], np.uint64)
    facts = Facts(
        shifts=resolved(given_stays),
        other_events=OtherEvents._make(np.empty(0, DTYPES.get(name, np.int32)) for name in OtherEvents._fields),
        volunteers=Names(f"V{number}" for number in range(3)),
        stations=Names(f"U{number}" for number in range(3)),
        projects=Names(),
        raise_ids=Names(),
        shift_keys=lambda shifts: (np.zeros(len(shifts), np.uint64), ids[shifts]),
    )
    return stays_of(facts.ordered(facts.resolved()), SHANGHAI)


@st.composite
def many_stays(draw: st.DrawFn, step: int = 1, longest: int = 20) -> list[Stay]:
    """Shifts that often meet, in any order."""
    count = draw(st.integers(0, 12))
    numbers = draw(st.permutations(range(1, count + 1)))
    found = []
    for number in numbers:
        start = step * draw(st.integers(0, 40))
        length = draw(st.none() | st.integers(0, longest))
        end = None if length is None else start + step * length
        who, where = draw(st.integers(0, 2)), draw(st.integers(0, 2))
        found.append(
            Stay(number, who, where, start, end, scanned=draw(st.booleans()), void=draw(st.integers(0, 9)) == 0)
        )
    return found


def day_of(minute: int) -> int:
    return day_number(datetime.fromtimestamp(MORNING + 60 * minute, ZONE).date())


def pairs(given_stays: Sequence[Stay]) -> Iterable[tuple[Stay, list[Stay]]]:
    """Yield each shift that stands and ends, with the volunteer's earlier ones at other stations, in order."""
    known = sorted(
        (one for one in given_stays if not one.void and (one.end or 0) > one.start), key=lambda one: one.rank
    )
    for place, one in enumerate(known):
        before = known[:place]
        yield one, [other for other in before if other.volunteer == one.volunteer and other.station != one.station]


def numbers(given_stays: Sequence[Stay], finding: Finding) -> tuple[int, ...]:
    return tuple(given_stays[shift].number for shift in finding.shifts)
