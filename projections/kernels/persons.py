"""Persons: the volunteer numbers that were merged into the same number, and their combined facts.

A merge maps a number to another, which may itself be merged into a third. A *person* is all the numbers with the same
final number, and is identified by it. Overlaps, day caps and honours apply to the service of all these numbers.

A `NumberTable` has the facts of each number; `by_person` combines them to what the kernels read. The earliest
registration and the earliest training of any number count, and all raises of the day cap. An opening balance covers
only the shifts of its own number, up to its own day, because those are the records it was made from; the minutes of all
balances count, each from its day on (docs/decisions/0014).
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
    """The facts of each single volunteer number, indexed by its surrogate; days as in the VolunteerTable."""

    registered: Ints
    opening_day: Ints
    opening_minutes: Ints
    trained: Ints


def empty_numbers(count: int) -> NumberTable:
    """Return a table of numbers without any facts."""
    return NumberTable(
        registered=np.full(count, NO_DAY, np.int32),
        opening_day=np.full(count, NO_DAY, np.int32),
        opening_minutes=np.zeros(count, np.int32),
        trained=np.full((count, len(TIERS)), NO_DAY, np.int32),
    )


def merge_pairs(events: OtherEvents) -> dict[tuple[int, int], bool]:
    """Return every pair of numbers that was ever merged, the first into the second, and whether it is in force; in the
    order of their last events.
    """
    pairs: dict[tuple[int, int], bool] = {}  # merges are few, so a dictionary is fast enough
    for row in np.flatnonzero((events.code == MERGED) | (events.code == MERGE_UNDONE)):
        pair = int(events.volunteer[row]), int(events.into[row])
        pairs.pop(pair, None)  # a pair that is merged again comes last
        pairs[pair] = bool(events.code[row] == MERGED)
    return pairs


def person_numbers(pairs: Iterable[tuple[int, int]], numbers: int) -> Ints | None:
    """Return the person's number of each number: that into which it was finally merged, or itself; None without merges.

    Args:
        pairs: the merges in force, the first number into the second. The ledger refuses cycles.
    """
    person_of = np.arange(numbers, dtype=np.int32)
    merged = False
    for volunteer, into in pairs:
        person_of[volunteer], merged = into, True
    if not merged:
        return None
    for _ in range(numbers.bit_length()):  # each pass doubles the number of merges followed
        person_of = person_of[person_of]
    return person_of


def by_person(
    numbers: NumberTable, person_of: Ints | None, raises: Iterable[tuple[int, int, int]] = ()
) -> VolunteerTable:
    """Return the facts of each person.

    Args:
        person_of: as from `person_numbers`.
        raises: of the day cap, for any number: volunteer, day, minutes; the greatest of a person's day is in force.
    """
    count = len(numbers.registered)
    persons, registered, trained = np.arange(count, dtype=np.int32), numbers.registered, numbers.trained
    if person_of is not None:
        persons, registered, trained = person_of, np.full_like(registered, NO_DAY), np.full_like(trained, NO_DAY)
        np.minimum.at(registered, persons, numbers.registered)
        np.minimum.at(trained, persons, numbers.trained)
    opened = np.flatnonzero(numbers.opening_day != NO_DAY)
    opened = opened[np.lexsort((numbers.opening_day[opened], persons[opened]))]
    balances = _first_rows(persons[opened], count)
    minutes = np.cumsum(numbers.opening_minutes[opened])
    before = np.concatenate([[0], minutes])[balances[persons[opened]]]
    greatest: dict[tuple[int, int], int] = {}
    for volunteer, day, raised in raises:
        key = int(persons[volunteer]), day
        greatest[key] = max(raised, greatest.get(key, 0))
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
        raise_minutes=np.array([raised for _, raised in rows], np.int32),
    )


def _first_rows(owners: Array, count: int) -> Longs:
    """Return the first row of each of `count` owners, and the end of the last owner's rows; int64[count + 1]."""
    ends: Longs = np.cumsum(np.bincount(owners, minlength=count), dtype=np.int64)
    return np.concatenate([np.zeros(1, np.int64), ends])


@kernel
def last_balance(person: int, volunteers: VolunteerTable, until: int) -> int:
    """Return the row of a person's last opening balance dated up to a day, or `NONE`. Its minutes are the total of all
    balances up to that day.
    """
    found = NONE
    for row in range(volunteers.balances[person], volunteers.balances[person + 1]):
        if volunteers.balance_day[row] <= until:
            found = row
    return found
