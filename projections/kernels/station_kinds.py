"""Kinds of stations by day, which factor windows ask for (docs/rules-of-credit.md, step 6).

A kind holds from the local day on which the station was opened as such, until it is opened as another kind. The first
kind reaches back to the beginning, because old records may date from before the station was entered. Most stations
never change their kind; for them a lookup reads one number.

Pure: openings in, kinds out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import NamedTuple, TypeVar

import numpy as np

from ledger.aggregates.station import StationOpened
from projections.compiled import inlined, kernel
from projections.local_time import ZoneTable, local_span
from projections.schema import NO_DAY, STATION_KINDS, UNKNOWN_KIND, Ints

Openings = Mapping[int, int]
"""The openings of a station: the kind (bits of `STATION_KINDS`) by the instant of the opening, in epoch seconds. Of two
at the same instant, the last one in the log counts."""

T = TypeVar("T")


class StationKinds(NamedTuple):
    """The kinds of stations, by the days of one time zone.

    kind: by station: its kind, if it never changed, else `-1 - row`, the first of its rows in `changes`. changes:
    int32[n, 2]: the first day of a kind, and the kind; the latest first, the last reaches back to the beginning.
    """

    kind: Ints
    changes: Ints


@inlined
def kind_on(station: int, day: int, kinds: StationKinds) -> int:
    """Return the kind of a station on a local day; without a station, a kind that no window names."""
    if station < 0:
        return UNKNOWN_KIND
    kind = kinds.kind[station]
    if kind < 0:
        row = -1 - kind
        while kinds.changes[row, 0] > day:
            row += 1
        kind = kinds.changes[row, 1]
    return int(kind)


@kernel
def kinds_on(stations: Ints, days: Ints, kinds: StationKinds) -> Ints:
    """Return the kinds of many stations, each on its day."""
    found = np.empty(len(stations), np.int32)
    for row in range(len(stations)):
        found[row] = kind_on(stations[row], days[row], kinds)
    return found


def kinds_of(stations: Iterable[Openings], zone: ZoneTable) -> StationKinds:
    """Compile the kinds of stations, given the openings of each in the order of their surrogates."""
    kinds: list[int] = []
    changes: list[tuple[int, int]] = []
    for openings in stations:
        history = _history(openings, zone)
        if len(history) == 1:
            kinds.append(history[0][1])
        else:
            kinds.append(-1 - len(changes))
            changes += reversed(history)
    return StationKinds(np.array(kinds, np.int32), np.array(changes, np.int32).reshape(-1, 2))


def _history(openings: Openings, zone: ZoneTable) -> list[tuple[int, int]]:
    """Return the first day of each kind of a station, ascending; the first is before all days."""
    if len(openings) <= 1:
        return [(-NO_DAY, next(iter(openings.values()), UNKNOWN_KIND))]
    by_day = {-NO_DAY: openings[min(openings)]}
    by_day |= {int(local_span(instant // 60, zone)[0]): openings[instant] for instant in sorted(openings)}
    return [next(of_kind) for _, of_kind in groupby(by_day.items(), key=lambda item: item[1])]


def opening_before(openings: Mapping[int, T], until: int) -> T:
    """Return which of several openings, by instant, decides the kind on a day that ends at `until`: the last one before
    that instant, or else the first.
    """
    return openings[max((instant for instant in openings if instant < until), default=min(openings))]


def changed_since(before: Openings, after: Openings) -> int | None:
    """Return the first instant from which two histories of a station differ in its kind, 0 for the beginning; None if
    they never do.
    """
    instants = [0, *sorted({*before, *after})]
    return next((instant for instant in instants if _at(before, instant) != _at(after, instant)), None)


def _at(openings: Openings, instant: int) -> int:
    return opening_before(openings, instant + 1) if openings else UNKNOWN_KIND


def add_opening(kinds: dict[str, Openings], event: StationOpened) -> None:
    """Add an opening to those of all stations. The station's own mapping is replaced, because others may hold it."""
    kinds[event.station] = {**kinds.get(event.station, {}), event.occurred_at: STATION_KINDS[event.kind]}
