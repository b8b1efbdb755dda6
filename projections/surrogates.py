"""Surrogates: dense numbers in place of names, in order of first appearance.

Volunteers, stations and projects are few enough for a dictionary. Shifts number millions, so they have a hash table of
integers, which needs a tenth of the memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

import numpy as np

from projections.compiled import inlined, kernel
from projections.schema import NONE, Ints, Words


class Names:
    """Names and their surrogates: dense numbers in order of first appearance."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self.number: dict[str, int] = {}
        for name in names:
            self.add(name)

    def add(self, name: str | None) -> int:
        """Return the surrogate of a name, adding a new one if necessary; `NONE` for None."""
        return NONE if name is None else self.number.setdefault(name, len(self.number))

    def extend(self, names: Iterable[str]) -> None:
        """Assign the next numbers to new names."""
        for name in names:
            self.number[name] = len(self.number)

    def __len__(self) -> int:
        return len(self.number)

    def texts(self) -> list[str]:
        """Return the names in the order of their surrogates."""
        return list(self.number)

    def since(self, count: int) -> list[str]:
        """Return the names after the first `count`."""
        return list(islice(self.number, count, None))

    def ranks(self) -> Ints:
        """Return the rank of each name among all names, sorted."""
        texts = self.texts()
        ranks = np.empty(len(texts), np.int32)
        ranks[sorted(range(len(texts)), key=texts.__getitem__)] = np.arange(len(texts), dtype=np.int32)
        return ranks


class ShiftNumbers:
    """The surrogates of shifts, by the volunteer's surrogate and the shift id (two uint64 halves)."""

    def __init__(self) -> None:
        self.count = 0
        self._slots = np.full(1 << 12, NONE, np.int32)
        self._high, self._low = np.empty(1 << 10, np.uint64), np.empty(1 << 10, np.uint64)
        self._volunteer = np.empty(1 << 10, np.int32)

    def add(self, volunteer: Ints, high: Words, low: Words) -> Ints:
        """Return the number of each shift, int32[n]; new shifts get the next numbers, in order."""
        volunteer, high, low = map(np.ascontiguousarray, (volunteer, high, low))
        count_max = self.count + len(volunteer)
        if count_max > len(self._high):
            size = max(count_max, 2 * len(self._high))
            self._high, self._low = np.resize(self._high, size), np.resize(self._low, size)
            self._volunteer = np.resize(self._volunteer, size)
        if 2 * count_max > len(self._slots):  # at most half full, so that lookups are short
            self._slots = np.full(1 << (4 * count_max - 1).bit_length(), NONE, np.int32)
            _fill(self._slots, self._volunteer, self._low, self.count)
        numbers = np.empty(len(volunteer), np.int32)
        self.count = _add(
            self._slots, self._volunteer, self._high, self._low, self.count, volunteer, high, low, numbers
        )
        return numbers

    def since(self, number: int) -> tuple[Ints, Words, Words]:
        """Return the volunteers and id halves of all shifts from a number on."""
        return (
            self._volunteer[number : self.count],
            self._high[number : self.count],
            self._low[number : self.count],
        )


@inlined
def _slot(volunteer: int, low: int, mask: int) -> np.int64:
    """Return the first slot to probe. The lower half of a UUID is random; forged ids only slow lookups down."""
    mixed = np.uint64(low) ^ (np.uint64(volunteer) * np.uint64(0x9E3779B97F4A7C15))
    mixed ^= mixed >> np.uint64(29)
    return np.int64(mixed & np.uint64(mask))  # numba would convert sums with uint64 to floats


@kernel
def _fill(slots: Ints, volunteers: Ints, lows: Words, count: int) -> None:
    mask = len(slots) - 1
    for number in range(count):
        slot = _slot(volunteers[number], lows[number], mask)
        while slots[slot] >= 0:
            slot = (slot + 1) & mask
        slots[slot] = number


@kernel
def _add(
    slots: Ints,
    volunteers: Ints,
    highs: Words,
    lows: Words,
    count: int,
    volunteer: Ints,
    high: Words,
    low: Words,
    numbers: Ints,
) -> int:
    mask = len(slots) - 1
    for row in range(len(volunteer)):
        slot = _slot(volunteer[row], low[row], mask)
        while True:
            number = slots[slot]
            if number < 0:
                number = count
                slots[slot] = number
                volunteers[number], highs[number], lows[number] = volunteer[row], high[row], low[row]
                count += 1
                break
            if lows[number] == low[row] and highs[number] == high[row] and volunteers[number] == volunteer[row]:
                break
            slot = (slot + 1) & mask
        numbers[row] = number
    return count
