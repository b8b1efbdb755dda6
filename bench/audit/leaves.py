"""What the processes of the bench do: hash the entries of a chunk."""

from __future__ import annotations

from pathlib import Path

from replay.auditing.chunks import hash_tree, read_entries
from replay.bundles.reading import CHUNK_EVENTS
from replay.proof.tree import HASH_BYTES, subtree_root


def leaves_of(folder: str, size: int, number: int) -> bytes:
    """Return the root of a full chunk, or the leaf hashes of the last one."""
    _, leaves = read_entries(Path(folder), number, size, [])
    return subtree_root(hash_tree(leaves)) if len(leaves) == CHUNK_EVENTS * HASH_BYTES else leaves
