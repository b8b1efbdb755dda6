"""Roots of the tree over the first events, of any size that was asked for, from the hashes of chunks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from replay.auditing.findings import Check, Finding, altered
from replay.bundles.reading import CHUNK_LEVEL
from replay.proof.tree import TILE_HEIGHT, TILE_WIDTH, Hashes, hashes_of, root_hash, tiles

Node = tuple[int, int, bytes]
"""A complete subtree: its level, its index and its hash."""


class Roots:
    """Roots over the leaves as they are in the bundle."""

    def __init__(self, nodes: Iterable[Node]) -> None:
        self._nodes = {(level, index): digest for level, index, digest in nodes}
        whole = sorted(index for level, index in self._nodes if level == CHUNK_LEVEL)
        self._above = hashes_of([self._nodes[CHUNK_LEVEL, index] for index in whole])

    @property
    def hashes(self) -> Hashes:
        """The hashes of the subtrees of which roots are made."""
        return self._hash

    def _hash(self, level: int, index: int) -> bytes:
        return self._above(level - CHUNK_LEVEL, index) if level >= CHUNK_LEVEL else self._nodes[level, index]

    def of(self, size: int) -> bytes:
        """Return the root over the first `size` events, which must have been asked for."""
        return root_hash(self._hash, size)


def check_tiles_above(folder: Path, size: int, hashes: Hashes) -> Iterator[Finding]:
    """Compare the tiles above the chunks, levels 2 and higher, with the leaves as they are in the bundle. Those of
    levels 0 and 1 are compared chunk by chunk.
    """
    for tile in tiles(size):
        level = tile.level * TILE_HEIGHT
        if level < CHUNK_LEVEL:
            continue
        first = tile.number * TILE_WIDTH
        expected = b"".join(hashes(level, index) for index in range(first, first + tile.width))
        try:
            stored = (folder / tile.path).read_bytes()
        except OSError:
            stored = None
        if stored != expected:
            what = "a tile of the tree does not follow from the events" if stored is not None else "a tile is missing"
            positions = (first << level) + 1, min(first + tile.width << level, size)
            yield altered(Check.TILES, what, *positions, where=tile.path)
