"""The streams that shifts belong to, many at once: `ledger.names.shift_stream_key`, with BLAKE2b compiled.

Only names of streams are computed here. What the tree binds is hashed by hashlib.

Source: RFC 7693.
"""

from __future__ import annotations

import numpy as np

from projections.compiled import inlined, kernel
from projections.schema import Array, Bytes, Longs, Words
from replay.archive.scan_lines import Slices

_BLOCK, _ROUNDS, _TAIL_BYTES, _MAX = 128, 12, 8, 110
_DAY_MILLISECONDS, _LAST_DAY, _TIMELESS = 86_400_000, 0xFFFE, 0xFFFF
_START = np.array(
    [
        0x6A09E667F3BCC908, 0xBB67AE8584CAA73B, 0x3C6EF372FE94F82B, 0xA54FF53A5F1D36F1,
        0x510E527FADE682D1, 0x9B05688C2B3E6C1F, 0x1F83D9ABFB41BD6B, 0x5BE0CD19137E2179,
    ],
    np.uint64,
)  # fmt: skip
_ORDER = np.array(
    [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
        [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
        [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
        [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
        [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
        [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
        [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
        [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
        [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
        [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
    ],
    np.int64,
)
VOLUNTEER_BYTES_MAX = _MAX


def in_their_streams(text: Bytes, heads: Array, rows: Longs, shift: tuple[Words, Words], volunteer: Slices,
                     prefix: Words) -> Array:  # fmt: skip
    """Return which rows are in the streams of their shifts.

    Args:
        heads: the stream of each row in the first 16 bytes.
        rows: the rows; the other arguments have a value for each row of `heads`.
        shift: the halves of the shifts' ids. volunteer: slices of the text, of at most 110 bytes.
        prefix: `ledger.names.volunteer_prefix` as a number of 48 bits, for each of `rows`.
    """
    found = np.zeros(len(rows), np.bool_)
    _compare(text, heads, rows, shift[0], shift[1], volunteer.at, volunteer.length, prefix, found)
    return found


@inlined
def _turned(word: np.uint64, bits: int) -> np.uint64:
    return (word >> np.uint64(bits)) | (word << np.uint64(64 - bits))


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
    return a, _turned(b ^ c, 63), c, d


@inlined
def _first_word(words: Words, length: int) -> np.uint64:
    """Return the first eight bytes of the digest of one block, as a little-endian number."""
    start = _START[0] ^ np.uint64(0x01010000 | _TAIL_BYTES)
    v0, v1, v2, v3 = start, _START[1], _START[2], _START[3]
    v4, v5, v6, v7 = _START[4], _START[5], _START[6], _START[7]
    v8, v9, v10, v11 = _START[0], _START[1], _START[2], _START[3]
    v12, v13, v14, v15 = _START[4] ^ np.uint64(length), _START[5], ~_START[6], _START[7]
    for step in range(_ROUNDS):
        o = _ORDER[step % len(_ORDER)]
        v0, v4, v8, v12 = _mixed(v0, v4, v8, v12, words[o[0]], words[o[1]])
        v1, v5, v9, v13 = _mixed(v1, v5, v9, v13, words[o[2]], words[o[3]])
        v2, v6, v10, v14 = _mixed(v2, v6, v10, v14, words[o[4]], words[o[5]])
        v3, v7, v11, v15 = _mixed(v3, v7, v11, v15, words[o[6]], words[o[7]])
        v0, v5, v10, v15 = _mixed(v0, v5, v10, v15, words[o[8]], words[o[9]])
        v1, v6, v11, v12 = _mixed(v1, v6, v11, v12, words[o[10]], words[o[11]])
        v2, v7, v8, v13 = _mixed(v2, v7, v8, v13, words[o[12]], words[o[13]])
        v3, v4, v9, v14 = _mixed(v3, v4, v9, v14, words[o[14]], words[o[15]])
    word: np.uint64 = start ^ v0 ^ v8
    return word


@inlined
def _day(high: np.uint64, low: np.uint64) -> int:
    """Return the day on which a UUIDv7 was made, or 0xffff for an id without a time."""
    if (high >> np.uint64(12)) & np.uint64(0xF) != 7 or low >> np.uint64(62) != 2:
        return _TIMELESS
    return min(int(high >> np.uint64(16)) // _DAY_MILLISECONDS, _LAST_DAY)


@kernel
def _compare(
    text: Bytes, heads: Array, rows: Longs, highs: Words, lows: Words, at: Longs, length: Array, prefix: Words,
    found: Array,
) -> None:  # fmt: skip
    words = np.zeros(_BLOCK // 8, np.uint64)
    for number in range(len(rows)):
        row = rows[number]
        size = length[row]
        if size > _MAX:
            continue
        words[:] = 0
        total = size + 17
        for place in range(total):
            if place < size:
                character = np.uint64(text[at[row] + place])
            elif place == size:
                character = np.uint64(124)  # a bar
            elif place < size + 9:
                character = (highs[row] >> np.uint64(8 * (size + 8 - place))) & np.uint64(0xFF)
            else:
                character = (lows[row] >> np.uint64(8 * (size + 16 - place))) & np.uint64(0xFF)
            words[place >> 3] |= character << np.uint64(8 * (place & 7))
        tail = _first_word(words, total)
        day = _day(highs[row], lows[row])
        same = heads[row, 0] == day >> 8 and heads[row, 1] == day & 0xFF
        for place in range(6):
            same = same and np.uint64(heads[row, 2 + place]) == (
                prefix[number] >> np.uint64(40 - 8 * place)
            ) & np.uint64(0xFF)
        for place in range(8):
            same = same and np.uint64(heads[row, 8 + place]) == (tail >> np.uint64(8 * place)) & np.uint64(0xFF)
        found[number] = same
