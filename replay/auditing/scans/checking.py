"""What is checked of the scans of a chunk in columns, and what they give: names, commands, instants of recording."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ledger.aggregates.shift import CheckedIn, CheckedOut, Punched
from ledger.deciding.case import CLOCK_SKEW_SECONDS_MAX
from ledger.names import shift_number_for, volunteer_prefix
from projections.schema import CHECKED_IN, CHECKED_OUT, PUNCHED, Array, Longs
from replay.archive.scan_lines import Slices, strings
from replay.auditing.scans.reading import (
    ITS_NAME,
    OTHER_NAME,
    Entries,
    Scans,
    heads_of,
    joined,
    read_scans,
)
from replay.auditing.scans.stream_ids import in_their_streams

_TOPICS = {CHECKED_IN: CheckedIn.TOPIC, CHECKED_OUT: CheckedOut.TOPIC, PUNCHED: Punched.TOPIC}


class ScansOfChunk:
    """The scans of a chunk that hold: valid, decided rightly, and recorded no earlier than the scan before.

    Args:
        first: the position of the first entry.
    """

    def __init__(self, entries: list[bytes], first: int) -> None:
        self._first = first
        self._entries: Entries = joined(entries)
        self.heads: Array = heads_of(self._entries)
        """Stream and version of each entry, 24 bytes."""
        self._scans: Scans = read_scans(self._entries, first)
        holds = self._scans.holds
        rows = np.flatnonzero(holds)
        early = self._scans.occurred_at[rows] <= self._scans.recorded_at[rows] + CLOCK_SKEW_SECONDS_MAX
        holds[rows[~early]] = 0
        rows = rows[early]
        names, prefixes = _encoded(self._entries, self._scans.volunteer, rows)
        prefix = np.array([int.from_bytes(volunteer_prefix(name), "big") for name in prefixes], np.uint64)
        ids = self._scans.high, self._scans.low
        theirs = in_their_streams(self._entries.text, self.heads, rows, ids, self._scans.volunteer, prefix[names])
        holds[rows[~theirs]] = 0
        self._leave_other_punches()
        self._leave_unordered()

    def _command(self, row: int) -> str:
        at = self._scans.command.at[row]
        return bytes(self._entries.text[at : at + self._scans.command.length[row]]).decode()

    def _leave_other_punches(self) -> None:
        """Leave punches of which the id does not follow from the command; a synthetic history has its own ids."""
        scans = self._scans
        for row in np.flatnonzero((scans.holds == 1) & (scans.code == PUNCHED) & (scans.named == OTHER_NAME)).tolist():
            stated = int(scans.high[row]) << 64 | int(scans.low[row])
            if stated != shift_number_for(int(scans.occurred_at[row]), self._command(row)):
                scans.holds[row] = 0

    def _leave_unordered(self) -> None:
        rows = self.rows
        recorded_at = self._scans.recorded_at[rows]
        self._scans.holds[rows[recorded_at < np.maximum.accumulate(recorded_at)]] = 0

    @property
    def rows(self) -> Longs:
        """The scans that hold, ascending; their instants of recording never go back."""
        return np.flatnonzero(self._scans.holds)

    def recorded_at(self, rows: Longs) -> list[int]:
        """Return the instants of recording of some rows."""
        found: list[int] = self._scans.recorded_at[rows].tolist()
        return found

    def leave(self, row: int) -> None:
        """Leave a scan to the general path."""
        self._scans.holds[row] = 0

    def counts(self) -> Iterator[tuple[str, int]]:
        """Yield each topic and the number of scans."""
        codes = self._scans.code[self.rows]
        for code, topic in _TOPICS.items():
            yield topic, int(np.count_nonzero(codes == code))

    def simulated(self) -> list[int]:
        """Return the positions that are named as those of a synthetic history."""
        found: list[int] = (
            np.flatnonzero((self._scans.holds == 1) & (self._scans.named == ITS_NAME)) + self._first
        ).tolist()
        return found

    def sent(self, keys: frozenset[int]) -> Iterator[tuple[str, int, int]]:
        """Yield name, position and key of each command that was sent with one of these keys."""
        if not keys:
            return
        chosen = (self._scans.holds == 1) & np.isin(self._scans.key, np.array(sorted(keys), np.int64))
        for row in np.flatnonzero(chosen).tolist():
            yield self._command(row), self._first + row, int(self._scans.key[row])

    def first_uses(self) -> dict[str, dict[str, int]]:
        """Return the first position of each volunteer, station and project that the scans name."""
        rows = self.rows
        found = {}
        for kind, slices in (
            ("volunteer", self._scans.volunteer),
            ("station", self._scans.station),
            ("project", self._scans.project),
        ):
            named = rows[slices.length[rows] > 0]
            numbers, names = _encoded(self._entries, slices, named)
            first = np.zeros(len(names), np.int64)
            first[numbers[::-1]] = named[::-1] + self._first  # reversed, so that the first wins
            found[kind] = dict(zip(names, first.tolist(), strict=True))
        return found


def _encoded(entries: Entries, slices: Slices, rows: Longs) -> tuple[Longs, list[str]]:
    """Return the number of each row's name, and the names."""
    encoded: Any = strings(entries.text, slices, rows).dictionary_encode()
    return encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64), encoded.dictionary.to_pylist()
