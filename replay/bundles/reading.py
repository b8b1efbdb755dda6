"""Reading the entries of a bundle, in chunks. What is wrong with a file is for the audit to say."""

from __future__ import annotations

from replay.bundles.layout import entries_path
from replay.proof.entries import EntryError
from replay.proof.tree import TILE_WIDTH

CHUNK_TILES = 256
CHUNK_EVENTS = CHUNK_TILES * TILE_WIDTH
"""Events that are checked together: a complete subtree of level 16, whose hashes are one tile of level 1."""
CHUNK_LEVEL = 16


def chunks_of(size: int) -> int:
    """Return the number of chunks of a log."""
    return -(-size // CHUNK_EVENTS)


def entry_files(chunk: int, size: int) -> list[str]:
    """Return the paths of the entries of a chunk, in order."""
    first = chunk * CHUNK_TILES
    last = min(first + CHUNK_TILES, -(-size // TILE_WIDTH))
    return [entries_path(number, size) for number in range(first, last)]


def split_entries(bundle: bytes, expected: int) -> list[bytes]:
    """Return the entries of one file.

    Raises:
        EntryError: it does not hold the expected number of entries.
    """
    entries: list[bytes] = []
    add, at, end = entries.append, 0, len(bundle)
    while at + 2 <= end:
        first = at + 2
        at = first + (bundle[at] << 8 | bundle[at + 1])
        add(bundle[first:at])
    if at != end or len(entries) != expected:
        raise EntryError(f"the file holds {len(entries)} entries, of {expected}, and ends within or after one")
    return entries
