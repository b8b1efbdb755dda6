"""Streams: versions without holes, and where the events of each stream are."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from projections.schema import Array, Longs, Words
from replay.auditing.findings import Check, Finding, altered

FINDINGS_MAX = 50
_FILES = ("streams-high.npy", "streams-low.npy", "positions.npy")


class StreamIndex:
    """The positions of the events of each stream: rows sorted by stream and position."""

    def __init__(self, high: Words, low: Words, positions: Longs) -> None:
        self._high, self._low, self._positions = high, low, positions

    def save(self, folder: Path) -> None:
        """Store the index in a folder, for `load`."""
        for name, column in zip(_FILES, (self._high, self._low, self._positions), strict=True):
            np.save(folder / name, column)

    @classmethod
    def load(cls, folder: Path) -> StreamIndex:
        """Return a stored index; processes share its memory."""
        return cls(*(np.load(folder / name, mmap_mode="r") for name in _FILES))

    def positions_of(self, streams: Collection[bytes]) -> dict[bytes, list[int]]:
        """Return the positions of the events of many streams, ascending."""
        if not streams:
            return {}
        ordered = sorted(streams)
        halves = np.frombuffer(b"".join(ordered), ">u8").reshape(-1, 2).astype(np.uint64)
        begin = np.searchsorted(self._high, halves[:, 0], "left")
        end = np.searchsorted(self._high, halves[:, 0], "right")
        found: dict[bytes, list[int]] = {stream: [] for stream in ordered}
        one = np.flatnonzero(end - begin == 1)
        of_one = one[self._low[begin[one]] == halves[one, 1]]
        for row, position in zip(of_one.tolist(), self._positions[begin[of_one]].tolist(), strict=True):
            found[ordered[row]] = [position]
        for row in np.flatnonzero(end - begin > 1).tolist():
            first, last = int(begin[row]), int(end[row])
            within = np.searchsorted(self._low[first:last], halves[row, 1], "left") + first
            until = np.searchsorted(self._low[first:last], halves[row, 1], "right") + first
            found[ordered[row]] = self._positions[within:until].tolist()
        return found

    def positions(self, stream: bytes) -> list[int]:
        """Return the positions of the events of a stream, ascending."""
        first, last = self._place(stream, "left"), self._place(stream, "right")
        found: list[int] = self._positions[first:last].tolist()
        return found

    def between(self, low: bytes, high: bytes) -> Iterator[tuple[bytes, int]]:
        """Yield stream and position of the events of all streams in a range, both ends included."""
        first, last = self._place(low, "left"), self._place(high, "right")
        for row in range(first, last):
            stream = int(self._high[row]) << 64 | int(self._low[row])
            yield stream.to_bytes(16, "big"), int(self._positions[row])

    def count_between(self, low: bytes, high: bytes) -> int:
        """Return the number of events of all streams in a range."""
        return self._place(high, "right") - self._place(low, "left")

    def all_positions(self, streams: Collection[bytes]) -> Longs:
        """Return the positions of the events of many streams, ascending."""
        halves = np.frombuffer(b"".join(sorted(streams)), ">u8").reshape(-1, 2).astype(np.uint64)
        chosen = np.zeros(len(self._high), bool)
        begin = np.searchsorted(self._high, halves[:, 0], "left")
        end = np.searchsorted(self._high, halves[:, 0], "right")
        for row in range(len(halves)):
            first, last = int(begin[row]), int(end[row])
            if last > first:
                chosen[first:last] |= self._low[first:last] == halves[row, 1]
        found: Longs = np.sort(self._positions[chosen])
        return found

    def _place(self, stream: bytes, side: Literal["left", "right"]) -> int:
        high, low = np.uint64(int.from_bytes(stream[:8], "big")), np.uint64(int.from_bytes(stream[8:], "big"))
        first, last = int(np.searchsorted(self._high, high, "left")), int(np.searchsorted(self._high, high, "right"))
        return first + int(np.searchsorted(self._low[first:last], low, side))


def index_streams(parts: Iterable[tuple[bytes, bytes]]) -> tuple[StreamIndex, list[Finding]]:
    """Index the streams of all events, and find versions that are missing, repeated or not in order.

    Args:
        parts: streams and versions of the events, 16 and 8 bytes each, in order of position.
    """
    ids, versions = _columns(parts)
    positions = np.flatnonzero(versions)  # an event has a version from 1; a position without an event has none
    high, low, version = ids[positions, 0], ids[positions, 1], versions[positions]
    del ids, versions
    order = np.lexsort((low, high))
    high, low, version = high[order], low[order], version[order]
    positions = positions[order] + 1
    first = np.ones(len(high), bool)
    first[1:] = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
    starts = np.flatnonzero(first)
    expected = np.arange(len(high)) - np.repeat(starts, np.diff(np.append(starts, len(high)))) + 1
    findings = [
        altered(
            Check.STREAMS,
            "the version of this event does not follow the one before it in its stream",
            int(positions[row]),
            where=f"stream {int(high[row]):016x}{int(low[row]):016x}",
            evidence=f"it has version {version[row]}, and is number {expected[row]} of its stream",
        )
        for row in np.flatnonzero(version != expected)[:FINDINGS_MAX]
    ]
    return StreamIndex(high, low, positions), findings


def _columns(parts: Iterable[tuple[bytes, bytes]]) -> tuple[Array, Array]:
    ids: list[Array] = []
    versions: list[Array] = []
    for streams, of_versions in parts:
        ids.append(np.frombuffer(streams, ">u8").astype(np.uint64).reshape(-1, 2))
        # A version beyond 2**63 is nothing that the ledger writes, and no hole hides behind it.
        versions.append(np.frombuffer(of_versions, ">u8").astype(np.int64))
    if not ids:
        return np.empty((0, 2), np.uint64), np.empty(0, np.int64)
    return np.concatenate(ids), np.concatenate(versions)


def ranges_of(positions: list[int]) -> list[tuple[int, int]]:
    """Return ascending positions as ranges, first and last."""
    found: list[tuple[int, int]] = []
    for position in positions:
        if found and found[-1][1] == position - 1:
            found[-1] = found[-1][0], position
        else:
            found.append((position, position))
    return found
