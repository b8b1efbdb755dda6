"""BLAKE2b (RFC 7693) in compiled loops: digests of at most sixteen bytes, without a key.

The same as `hashlib.blake2b(message, digest_size=size)`, which tests hold it to. It is here because a call from Python
for each of the seven digests of a scan takes longer than all the rest of a scan.
"""

from __future__ import annotations

import sys

import numpy as np

from ledger.compiled import inlined, kernel
from ledger.plain.text import Bytes

if sys.byteorder != "little":  # words are read as they lie in memory
    raise ImportError("ledger.plain.blake2 is written for little-endian machines")

BLOCK_BYTES = 128

_ROUNDS = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
    (14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3),
    (11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4),
    (7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8),
    (9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13),
    (2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9),
    (12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11),
    (13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10),
    (6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5),
    (10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0),
)
_ORDER = np.array([*_ROUNDS, *_ROUNDS[:2]], np.uint8)
_START = np.array(
    [
        0x6A09E667F3BCC908,
        0xBB67AE8584CAA73B,
        0x3C6EF372FE94F82B,
        0xA54FF53A5F1D36F1,
        0x510E527FADE682D1,
        0x9B05688C2B3E6C1F,
        0x1F83D9ABFB41BD6B,
        0x5BE0CD19137E2179,
    ],
    np.uint64,
)
_PARAMETERS = np.uint64(0x01010000)  # no key, one leaf of depth one
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)


@inlined
def _turned(word: np.uint64, right: int) -> np.uint64:
    return (word >> np.uint64(right)) | (word << np.uint64(64 - right))


@inlined
def _mixed(
    a: np.uint64, b: np.uint64, c: np.uint64, d: np.uint64, x: np.uint64, y: np.uint64
) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64]:
    a = a + b + x
    d = _turned(d ^ a, 32)
    c = c + d
    b = _turned(b ^ c, 24)
    a = a + b + y
    d = _turned(d ^ a, 16)
    c = c + d
    b = _turned(b ^ c, 63)
    return a, b, c, d


@inlined
def swapped(word: np.uint64) -> np.uint64:
    """Return a word with its bytes in the other order."""
    eight, sixteen, half = np.uint64(8), np.uint64(16), np.uint64(32)
    word = ((word & np.uint64(0x00FF00FF00FF00FF)) << eight) | ((word >> eight) & np.uint64(0x00FF00FF00FF00FF))
    word = ((word & np.uint64(0x0000FFFF0000FFFF)) << sixteen) | ((word >> sixteen) & np.uint64(0x0000FFFF0000FFFF))
    return (word << half) | (word >> half)


@kernel
def digest(message: Bytes, length: int, size: int) -> tuple[np.uint64, np.uint64]:
    """Return the first sixteen bytes of a digest of `size` bytes as two big-endian words.

    Args:
        message: its first `length` bytes are the message; it has room for whole blocks of 128 bytes, which are filled
            up with zeros here.
    """
    blocks = max(1, (length + BLOCK_BYTES - 1) // BLOCK_BYTES)
    for at in range(length, blocks * BLOCK_BYTES):
        message[at] = 0
    words = message[: blocks * BLOCK_BYTES].view(np.uint64)
    h0, h1, h2, h3 = _START[0] ^ _PARAMETERS ^ np.uint64(size), _START[1], _START[2], _START[3]
    h4, h5, h6, h7 = _START[4], _START[5], _START[6], _START[7]
    for block in range(blocks):
        m = words[block * 16 : block * 16 + 16]
        is_last = block == blocks - 1
        count = np.uint64(length if is_last else (block + 1) * BLOCK_BYTES)
        v0, v1, v2, v3, v4, v5, v6, v7 = h0, h1, h2, h3, h4, h5, h6, h7
        v8, v9, v10, v11 = _START[0], _START[1], _START[2], _START[3]
        v12, v13, v14, v15 = _START[4] ^ count, _START[5], _START[6], _START[7]
        if is_last:
            v14 = v14 ^ _ALL
        for turn in range(12):
            s = _ORDER[turn]
            v0, v4, v8, v12 = _mixed(v0, v4, v8, v12, m[s[0]], m[s[1]])
            v1, v5, v9, v13 = _mixed(v1, v5, v9, v13, m[s[2]], m[s[3]])
            v2, v6, v10, v14 = _mixed(v2, v6, v10, v14, m[s[4]], m[s[5]])
            v3, v7, v11, v15 = _mixed(v3, v7, v11, v15, m[s[6]], m[s[7]])
            v0, v5, v10, v15 = _mixed(v0, v5, v10, v15, m[s[8]], m[s[9]])
            v1, v6, v11, v12 = _mixed(v1, v6, v11, v12, m[s[10]], m[s[11]])
            v2, v7, v8, v13 = _mixed(v2, v7, v8, v13, m[s[12]], m[s[13]])
            v3, v4, v9, v14 = _mixed(v3, v4, v9, v14, m[s[14]], m[s[15]])
        h0, h1, h2, h3 = h0 ^ v0 ^ v8, h1 ^ v1 ^ v9, h2 ^ v2 ^ v10, h3 ^ v3 ^ v11
        h4, h5, h6, h7 = h4 ^ v4 ^ v12, h5 ^ v5 ^ v13, h6 ^ v6 ^ v14, h7 ^ v7 ^ v15
    return swapped(h0), swapped(h1)
