"""Persons: the volunteer numbers that go on as the same number, and what is true of all of them together.

A merge says that a number goes on as another; what that number was merged into, it goes on as in the end. A *person* is
all the numbers with one end, and is known by that number: overlaps, day caps and honours hold over the service of all.

What is true of each number stands in a `NumberTable`; `by_person` makes of it what the kernels read. The earliest
registration and the earliest training of any number count, and every raise of a day's cap. Opening balances stay what
they are: each takes in the shifts of its own number alone, up to its own day, for that is what whoever wrote it down
had before them; the minutes of all of them count, each from its day on (docs/decisions/0014).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from projections.compiled import kernel
from projections.schema import (
    MERGE_UNDONE,
    MERGED,
    NO_DAY,
    NONE,
    TIERS,
    Array,
    Ints,
    Longs,
    OtherEvents,
    VolunteerTable,
)


class NumberTable(NamedTuple):
    """What is true of each volunteer number by itself, indexed by its surrogate; days as in the VolunteerTable."""

    registered: Ints
    opening_day: Ints
    opening_minutes: Ints
    trained: Ints


def empty_numbers(count: int) -> NumberTable:
    """Return a table of numbers of which nothing is known."""
    return NumberTable(
        registered=np.full(count, NO_DAY, np.int32),
        opening_day=np.full(count, NO_DAY, np.int32),
        opening_minutes=np.zeros(count, np.int32),
        trained=np.full((count, len(TIERS)), NO_DAY, np.int32),
    )


def pairs_of(events: OtherEvents) -> dict[tuple[int, int], bool]:
    """Return every pair of numbers that was ever merged, the first into the second, and whether that still stands."""
    pairs: dict[tuple[int, int], bool] = {}  # merges are rare: a plain dictionary will do
    for row in np.flatnonzero((events.code == MERGED) | (events.code == MERGE_UNDONE)):
        pairs[int(events.volunteer[row]), int(events.into[row])] = bool(events.code[row] == MERGED)
    return pairs


def going_on(pairs: Iterable[tuple[int, int]], numbers: int) -> Ints | None:
    """Return for each number the one it goes on as in the end; None if every number goes on as itself.

    Args:
        pairs: the merges that stand, the first number into the second. The ledger lets them make no ring.
    """
    goes_on = np.arange(numbers, dtype=np.int32)
    merged = False
    for volunteer, into in pairs:
        goes_on[volunteer], merged = into, True
    if not merged:
        return None
    for _ in range(numbers.bit_length()):  # each time the way that is gone doubles
        goes_on = goes_on[goes_on]
    return goes_on


def by_person(
    numbers: NumberTable, goes_on: Ints | None, raises: Iterable[tuple[int, int, int]] = ()
) -> VolunteerTable:
    """Return what is true of each person.

    Args:
        goes_on: as `going_on` says.
        raises: of the day's cap, of any number: volunteer, day, minutes; the greatest of a person's day stands.
    """
    count = len(numbers.registered)
    persons, registered, trained = np.arange(count, dtype=np.int32), numbers.registered, numbers.trained
    if goes_on is not None:
        persons, registered, trained = goes_on, np.full_like(registered, NO_DAY), np.full_like(trained, NO_DAY)
        np.minimum.at(registered, persons, numbers.registered)
        np.minimum.at(trained, persons, numbers.trained)
    opened = np.flatnonzero(numbers.opening_day != NO_DAY)
    opened = opened[np.lexsort((numbers.opening_day[opened], persons[opened]))]
    balances = _first_rows(persons[opened], count)
    minutes = np.cumsum(numbers.opening_minutes[opened])
    before = np.concatenate([[0], minutes])[balances[persons[opened]]]
    greatest: dict[tuple[int, int], int] = {}
    for volunteer, day, more in raises:
        key = int(persons[volunteer]), day
        greatest[key] = max(more, greatest.get(key, 0))
    rows = sorted(greatest.items())
    return VolunteerTable(
        several=np.bincount(persons, minlength=count) > 1,
        registered=registered,
        superseded_until=numbers.opening_day,
        balances=balances,
        balance_day=numbers.opening_day[opened],
        balance_minutes=(minutes - before).astype(np.int32),
        trained=trained,
        raises=_first_rows(np.array([person for (person, _), _ in rows], np.int64), count),
        raise_day=np.array([day for (_, day), _ in rows], np.int32),
        raise_minutes=np.array([more for _, more in rows], np.int32),
    )


def _first_rows(owners: Array, count: int) -> Longs:
    """Return where the rows of each of `count` owners begin, and where the last ones end; int64[count + 1]."""
    ends: Longs = np.cumsum(np.bincount(owners, minlength=count), dtype=np.int64)
    return np.concatenate([np.zeros(1, np.int64), ends])


@kernel
def last_balance(person: int, volunteers: VolunteerTable, until: int) -> int:
    """Return the row of a person's last opening balance dated up to a day, or `NONE`; its minutes are those of all
    balances up to then.
    """
    found = NONE
    for row in range(volunteers.balances[person], volunteers.balances[person + 1]):
        if volunteers.balance_day[row] <= until:
            found = row
    return found
