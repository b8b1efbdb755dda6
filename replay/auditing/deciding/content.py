"""Topic and state of the events of a bundle, by position, for the decisions that read them."""

from __future__ import annotations

from pathlib import Path

from replay.auditing.columns import entries_between
from replay.auditing.streams import StreamIndex
from replay.progress import Progress
from replay.proof.tree import TILE_WIDTH

READING = "reading shifts"


class Content:
    """Topic and state of the events of a bundle: of those that were read, at once, of any other from its file."""

    def __init__(self, folder: Path, size: int) -> None:
        self._folder, self._size = folder, size
        self.known: dict[int, tuple[str, bytes]] = {}

    def __call__(self, position: int) -> tuple[str, bytes]:
        found = self.known.get(position)
        if found is None:
            (entry,) = entries_between(self._folder, self._size, position - 1, position)
            found = _taken_apart(entry)
        return found

    def read_ahead(self, index: StreamIndex, streams: set[bytes], progress: Progress) -> None:
        """Read the events of streams that decisions will ask for."""
        if not streams:
            return
        wanted = index.all_positions(streams)
        tiles = (wanted - 1) // TILE_WIDTH
        begin = 0
        while begin < len(wanted):
            end = begin
            tile = int(tiles[begin])
            while end < len(wanted) and tiles[end] == tile:
                end += 1
            before = tile * TILE_WIDTH
            entries = list(entries_between(self._folder, self._size, before, min(before + TILE_WIDTH, self._size)))
            for position in wanted[begin:end].tolist():
                self.known[position] = _taken_apart(entries[position - before - 1])
            begin = end
            if tile % 64 == 0:
                progress(READING, begin, len(wanted))


def _taken_apart(entry: bytes) -> tuple[str, bytes]:
    end = 33 + entry[32]
    return entry[33:end].decode(), entry[end:]
