"""The Merkle tree of RFC 6962, and its tiles as C2SP tlog-tiles defines them. All mathematics of the tree is here.

A leaf is the hash of an entry, a node the hash of its two children, each with a prefix of its own, so that neither can
stand for the other. The tree over n leaves is split at the largest power of two below n; the root over no leaf is the
hash of nothing. A *complete subtree* covers 2**level leaves from a multiple of 2**level on; every hash that is stored
belongs to one. Tiles hold the hashes at levels 0, 8, 16 and so on, 256 to a tile; the levels between are computed.

Hashes are read through a function `Hashes`, so the tree does not know where they are: files, a list, a database.

Sources: RFC 6962 section 2.1; RFC 9162 sections 2.1.3 and 2.1.4 (verification); c2sp.org/tlog-tiles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from typing import NamedTuple

import numpy as np

HASH_BYTES = 32
TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
EMPTY_ROOT = sha256(b"").digest()

LEAF_PREFIX = b"\x00"
NODE_PREFIX = b"\x01"
# Copying a hash that has read the prefix is faster than putting the prefix before what is hashed (measured).
new_leaf = sha256(LEAF_PREFIX).copy
_new_node = sha256(NODE_PREFIX).copy

Hashes = Callable[[int, int], bytes]
"""Returns the hash of a complete subtree by its level and its index within the level: (0, 5) is the sixth leaf."""


class ProofError(ValueError):
    """A proof does not lead to the root that it has to lead to."""


class Tile(NamedTuple):
    """A tile: its level (0 for leaves, 1 for the hashes of full tiles of level 0), its number, its width in hashes."""

    level: int
    number: int
    width: int

    @property
    def path(self) -> str:
        """The tile's path below the log's prefix, such as `tile/0/x001/234` or `tile/1/000.p/17`."""
        return f"tile/{self.level}/{index_path(self.number, self.width)}"


def index_path(number: int, width: int = TILE_WIDTH) -> str:
    """Return a tile's number as it is written in paths: groups of three digits, and `.p/WIDTH` if it is partial."""
    groups = [f"{number % 1000:03}"]
    while number := number // 1000:
        groups.append(f"x{number % 1000:03}")
    suffix = "" if width == TILE_WIDTH else f".p/{width}"
    return "/".join(reversed(groups)) + suffix


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of a leaf, 32 bytes."""
    return sha256(LEAF_PREFIX + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of a node from those of its children, 32 bytes."""
    node = _new_node()
    node.update(left)
    node.update(right)
    return node.digest()


def tiles(size: int, since: int = 0) -> Iterator[Tile]:
    """Yield the tiles of a tree of `size` leaves that a tree of `since` leaves does not have."""
    level, now, before = 0, size, since
    while now:
        for number in range(before // TILE_WIDTH, now // TILE_WIDTH):
            yield Tile(level, number, TILE_WIDTH)
        if now % TILE_WIDTH and now != before:
            yield Tile(level, now // TILE_WIDTH, now % TILE_WIDTH)
        level, now, before = level + 1, now // TILE_WIDTH, before // TILE_WIDTH


def tile_of(level: int, index: int, size: int) -> tuple[Tile, int]:
    """Return the tile from which the hash of a complete subtree can be computed in a tree of `size` leaves, and the
    number of the subtree's first hash within that tile.
    """
    tile_level, within = divmod(level, TILE_HEIGHT)
    first = index << within
    number = first // TILE_WIDTH
    width = min(TILE_WIDTH, (size >> (tile_level * TILE_HEIGHT)) - number * TILE_WIDTH)
    return Tile(tile_level, number, width), first % TILE_WIDTH


def subtree_root(hashes: bytes) -> bytes:
    """Return the hash of a complete subtree from the hashes below it, concatenated; their number is a power of two."""
    while len(hashes) > HASH_BYTES:
        hashes = level_above(hashes)
    return hashes


def level_above(hashes: bytes) -> bytes:
    """Return the hashes of the parents of an even number of hashes, both concatenated. (An audit does this for every
    event; one call of the hash function for a node takes half as long as three.)
    """
    pairs = np.frombuffer(hashes, np.uint8).reshape(-1, 2 * HASH_BYTES)
    nodes = np.empty((len(pairs), 1 + 2 * HASH_BYTES), np.uint8)
    nodes[:, 0], nodes[:, 1:] = NODE_PREFIX[0], pairs
    content, width = nodes.tobytes(), nodes.shape[1]
    return b"".join([sha256(content[at : at + width]).digest() for at in range(0, len(content), width)])


def hashes_of(leaves: Sequence[bytes]) -> Hashes:
    """Return `Hashes` over leaf hashes in memory; every level is computed once."""
    levels = [list(leaves)]
    while len(levels[-1]) > 1:
        below = levels[-1]
        levels.append([node_hash(below[at], below[at + 1]) for at in range(0, len(below) - 1, 2)])
    return lambda level, index: levels[level][index]


def subtrees(first: int, last: int) -> Iterator[tuple[int, int]]:
    """Yield the complete subtrees, as (level, index), that together cover the leaves from `first` to before `last`,
    from left to right. `first` is 0 or the beginning of a part that RFC 6962's split makes.
    """
    while first < last:
        level = (last - first).bit_length() - 1
        if first:
            level = min(level, (first & -first).bit_length() - 1)
        yield level, first >> level
        first += 1 << level


def _range_root(hashes: Hashes, first: int, last: int) -> bytes:
    """Return the hash of the node over the leaves from `first` to before `last`."""
    parts = [hashes(level, index) for level, index in subtrees(first, last)]
    root = parts.pop()
    while parts:
        root = node_hash(parts.pop(), root)
    return root


def root_hash(hashes: Hashes, size: int) -> bytes:
    """Return the root of the tree over the first `size` leaves."""
    return _range_root(hashes, 0, size) if size else EMPTY_ROOT


def _split(size: int) -> int:
    """Return the largest power of two below a size of at least 2."""
    return 1 << (size - 1).bit_length() - 1


def inclusion_proof(hashes: Hashes, index: int, size: int) -> list[bytes]:
    """Return the hashes that lead from a leaf to the root over the first `size` leaves, from the leaf upwards.

    Raises:
        ValueError: there is no such leaf.
    """
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is not in a tree of {size} leaves")
    proof: list[bytes] = []
    first, last = 0, size
    while last - first > 1:
        middle = first + _split(last - first)
        if index < middle:
            proof.append(_range_root(hashes, middle, last))
            last = middle
        else:
            proof.append(_range_root(hashes, first, middle))
            first = middle
    return proof[::-1]


def consistency_proof(hashes: Hashes, old: int, new: int) -> list[bytes]:
    """Return the hashes which show that the first `old` leaves of a tree of `new` leaves are those of the older tree.

    Raises:
        ValueError: the older tree is larger than the newer.
    """
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {new} leaves cannot continue one of {old} leaves")
    if old in {0, new}:
        return []
    proof: list[bytes] = []
    first, last, whole = 0, new, True
    while last != old:
        middle = first + _split(last - first)
        if old <= middle:
            proof.append(_range_root(hashes, middle, last))
            last = middle
        else:
            proof.append(_range_root(hashes, first, middle))
            first, whole = middle, False
    if not whole:
        proof.append(_range_root(hashes, first, last))
    return proof[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Verify that a leaf hash has its place in the tree with this size and root.

    Raises:
        ProofError
    """
    if not 0 <= index < size:
        raise ProofError(f"leaf {index} is not in a tree of {size} leaves")
    node = leaf
    for sibling, is_left in _climb(index, size - 1, proof):
        node = node_hash(sibling, node) if is_left else node_hash(node, sibling)
    if node != root:
        raise ProofError(f"the proof of inclusion of leaf {index} does not lead to the root of the tree")


def verify_consistency(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Verify that the tree with the new size and root continues the one with the old size and root.

    Raises:
        ProofError
    """
    if not 0 <= old <= new:
        raise ProofError(f"a tree of {new} leaves does not continue one of {old} leaves")
    if old in {0, new}:
        expected = new_root if old == new else EMPTY_ROOT
        if proof or old_root != expected:
            raise ProofError(f"the tree of {new} leaves does not continue the one of {old} leaves: another root")
        return
    place, last = old - 1, new - 1
    while place % 2:
        place, last = place >> 1, last >> 1
    # An older tree that is a complete subtree is a node of the newer one, whose hash the proof leaves out.
    hashes = list(proof) if place else [old_root, *proof]
    if not hashes:
        raise ProofError("the proof of consistency is empty")
    old_node = new_node = hashes[0]
    for sibling, is_left in _climb(place, last, hashes[1:]):
        if is_left:
            old_node, new_node = node_hash(sibling, old_node), node_hash(sibling, new_node)
        else:
            new_node = node_hash(new_node, sibling)
    if old_node != old_root or new_node != new_root:
        raise ProofError(f"the tree of {new} leaves does not continue the one of {old} leaves")


def _climb(place: int, last: int, proof: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Go from a node up to the root: yield each hash of a proof, and whether it belongs to the left.

    Args:
        place, last: the numbers of the node, and of the last node, within their level.
    """
    for sibling in proof:
        if len(sibling) != HASH_BYTES:
            raise ProofError(f"a hash in the proof has {len(sibling)} bytes, not {HASH_BYTES}")
        if last == 0:
            raise ProofError("the proof is longer than the tree is high")
        is_left = place % 2 == 1 or place == last
        yield sibling, is_left
        while is_left and place % 2 == 0 and place:  # a last node without a sibling stands for its parent as well
            place, last = place >> 1, last >> 1
        place, last = place >> 1, last >> 1
    if last:
        raise ProofError("the proof is shorter than the tree is high")
