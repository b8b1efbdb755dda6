"""The tree of RFC 6962 as its section 2.1 defines it: recursive and slow. D[n] is a list of leaf hashes."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

Leaves = Sequence[bytes]


def plain_root(leaves: Leaves) -> bytes:
    """MTH(D[n]), over hashes of leaves."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = largest_power_of_two_below(len(leaves))
    return sha256(b"\1" + plain_root(leaves[:k]) + plain_root(leaves[k:])).digest()


def plain_inclusion(m: int, leaves: Leaves) -> list[bytes]:
    """PATH(m, D[n])."""
    if len(leaves) == 1:
        return []
    k = largest_power_of_two_below(len(leaves))
    if m < k:
        return [*plain_inclusion(m, leaves[:k]), plain_root(leaves[k:])]
    return [*plain_inclusion(m - k, leaves[k:]), plain_root(leaves[:k])]


def plain_consistency(m: int, leaves: Leaves) -> list[bytes]:
    """PROOF(m, D[n])."""
    return _subproof(m, leaves, complete=True)


def _subproof(m: int, leaves: Leaves, *, complete: bool) -> list[bytes]:
    if m == len(leaves):
        return [] if complete else [plain_root(leaves)]
    k = largest_power_of_two_below(len(leaves))
    if m <= k:
        return [*_subproof(m, leaves[:k], complete=complete), plain_root(leaves[k:])]
    return [*_subproof(m - k, leaves[k:], complete=False), plain_root(leaves[:k])]


def largest_power_of_two_below(n: int) -> int:
    """k, with k < n <= 2k."""
    k = 1
    while 2 * k < n:
        k *= 2
    return k


def plain_tiles(leaves: Leaves) -> dict[str, bytes]:
    """Return all tiles of a tree by path, as C2SP tlog-tiles defines them: a hash of level l covers 256**l leaves."""
    found: dict[str, bytes] = {}
    level = 0
    while (width := 256**level) <= len(leaves):
        hashes = [plain_root(leaves[at : at + width]) for at in range(0, len(leaves) - width + 1, width)]
        for number in range(0, len(hashes), 256):
            tile = hashes[number : number + 256]
            digits = f"{number // 256:03}"
            digits = "0" * (-len(digits) % 3) + digits
            groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
            path = "/".join([*(f"x{each}" for each in groups[:-1]), groups[-1]])
            found[f"tile/{level}/{path}{'' if len(tile) == 256 else f'.p/{len(tile)}'}"] = b"".join(tile)
        level += 1
    return found
