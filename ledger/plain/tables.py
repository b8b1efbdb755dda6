"""Hash tables of 128-bit keys for compiled loops, and what batches remember in them.

A table is an array of entries whose length is a power of two, never more than half full; the key zero is no key (a
digest is zero once in 2^128). What an entry holds beside its key is its user's: the ledger keeps a command's content
and position, or the length of a stream.

Nothing that is remembered has to be right for the log to be right. That a volunteer, station or project is known never
ceases to be true. How long a stream was, and which names were answered, may have changed by another process's doing;
a batch that is written on such a memory breaks a unique index, writes nothing, and is decided again on what the log
says. Only what a committed transaction saw is kept.
"""

from __future__ import annotations

from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from ledger.compiled import inlined, kernel

ENTRY = np.dtype(
    [
        ("high", np.uint64),
        ("low", np.uint64),
        ("content_high", np.uint64),
        ("content_low", np.uint64),
        ("value", np.int64),
    ]
)
"""The key; the digest of a command's content; a position, or how many events a stream has."""

Table = npt.NDArray[Any]
"""An array of ENTRY."""

YOUNG_MAX = 1 << 16
"""So many entries are kept at least, and twice as many at most: about half an hour of a busy district's commands."""

KNOWN_MAX = 1 << 20
"""More names than that are forgotten together and learned again."""

_ZERO = np.uint64(0)


def table_for(entries: int) -> Table:
    """Return an empty table with room for so many entries."""
    return np.zeros(1 << max(4, (2 * entries - 1).bit_length()), ENTRY)


@inlined
def find(table: Table, high: np.uint64, low: np.uint64) -> int:
    """Return where a key's entry is, -1 if there is none."""
    last = len(table) - 1
    place: int = np.int64(low & np.uint64(last))  # type: ignore[assignment]
    while table[place].high != _ZERO or table[place].low != _ZERO:
        if table[place].high == high and table[place].low == low:
            return place
        place = (place + 1) & last
    return -1


@inlined
def place_for(table: Table, high: np.uint64, low: np.uint64) -> int:
    """Return where a key's entry is, made if there was none."""
    last = len(table) - 1
    place: int = np.int64(low & np.uint64(last))  # type: ignore[assignment]
    while table[place].high != _ZERO or table[place].low != _ZERO:
        if table[place].high == high and table[place].low == low:
            return place
        place = (place + 1) & last
    table[place].high = high
    table[place].low = low
    return place


@kernel
def put_all(table: Table, entries: Table) -> int:
    """Put entries into a table, in order; return how many keys are new."""
    new = 0
    for row in range(len(entries)):
        high, low = entries[row].high, entries[row].low
        new += find(table, high, low) < 0
        place = place_for(table, high, low)
        table[place].content_high = entries[row].content_high
        table[place].content_low = entries[row].content_low
        table[place].value = entries[row].value
    return new


@kernel
def locate(table: Table, high: np.uint64, low: np.uint64) -> int:
    """Return `find`, for callers that are not compiled."""
    return find(table, high, low)


def entry_of(key: str, value: int, content: str = "") -> Table:
    """Return one entry; its key and its content are given as 32 hexadecimal digits."""
    entry = np.zeros(1, ENTRY)
    entry[0] = (int(key[:16], 16), int(key[16:], 16), int(content[:16] or "0", 16), int(content[16:] or "0", 16), value)
    return entry


class Recent:
    """A table that forgets what was not put in for long: a young and an old generation."""

    def __init__(self) -> None:
        self.young, self.old = table_for(2 * YOUNG_MAX), table_for(0)
        self._used = 0

    def put(self, entries: Table) -> None:
        """Remember entries, no more than a batch's."""
        self.grow(put_all(self.young, entries))

    def grow(self, entries: int) -> None:
        """Note that so many entries were put into the young generation."""
        self._used += entries
        if self._used >= YOUNG_MAX:
            self.old, self.young, self._used = self.young, table_for(2 * YOUNG_MAX), 0

    def clear(self) -> None:
        """Forget all."""
        self.young, self.old, self._used = table_for(2 * YOUNG_MAX), table_for(0), 0


class Memory:
    """What one intake remembers of the log. Whoever reads or writes it holds its lock."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.known = table_for(1 << 12)
        """Streams of volunteers, stations and projects that the ledger has heard of."""
        self._known_count = 0
        self.versions = Recent()
        """How many events a shift's stream had."""
        self.names = Recent()
        """Names that were answered, with the digest of the command's content and its position."""

    def knows(self, stream: int) -> bool:
        """Return whether a volunteer's, station's or project's stream, given as an integer, is known."""
        return bool(locate(self.known, np.uint64(stream >> 64), np.uint64(stream & 0xFFFF_FFFF_FFFF_FFFF)) >= 0)

    def learn(self, entries: Table) -> None:
        """Remember that streams are known."""
        if self._known_count + len(entries) > KNOWN_MAX:
            self.known, self._known_count = table_for(1 << 12), 0
        if 2 * (self._known_count + len(entries)) > len(self.known):
            smaller = self.known
            self.known = table_for(2 * (self._known_count + len(entries)))
            self._known_count = put_all(self.known, smaller[(smaller["high"] | smaller["low"]) != 0])
        self._known_count += put_all(self.known, entries)

    def doubt(self) -> None:
        """Forget whatever another process may have changed."""
        with self.lock:
            self.versions.clear()
            self.names.clear()
