"""Shift ids and stream ids, thousands at a time.

They are the same as those of `ledger.names` (tests compare the two) but computed faster. A shift's id is derived from
its check-in instant, the seed and the row number, so it is not stored but computed wherever it is needed.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple

import numpy as np

from ledger.names import volunteer_prefix
from replay.synthetic.planning.randomness import Array, generator

_STEP = np.uint64(0x9E3779B97F4A7C15)


class ShiftNames(NamedTuple):
    """The stream's id in hexadecimal and the shift's id as text, for each row."""

    streams: list[str]
    shifts: list[str]


class ShiftIds:
    """The ids of shifts, given by row."""

    def __init__(self, seed: int, volunteer: Array, check_in: Array, numbers: list[str]) -> None:
        """Prepare the ids.

        Args:
            volunteer, check_in: by shift; the check-in according to the station's clock.
            numbers: by volunteer.
        """
        self._volunteer, self._check_in = volunteer, check_in
        self._keys = generator(seed, "shift ids").integers(0, 2**64, 2, dtype=np.uint64)
        self._hashed = [f"{number}|".encode() for number in numbers]
        self._prefixes = [volunteer_prefix(number).hex() for number in numbers]

    def names(self, rows: Array) -> ShiftNames:
        """Return the ids of shifts and of their streams."""
        raw, hashed = self._uuid_bytes(rows), self._hashed
        digests = [
            blake2b(hashed[volunteer] + raw[i : i + 16], digest_size=8).hexdigest()
            for i, volunteer in zip(range(0, len(raw), 16), self._volunteer[rows].tolist(), strict=True)
        ]
        days = (self._check_in[rows] // 86_400).tolist()
        prefixes = self._prefixes
        streams = [
            f"{day:04x}{prefixes[volunteer]}{digest}"
            for day, volunteer, digest in zip(days, self._volunteer[rows].tolist(), digests, strict=True)
        ]
        return ShiftNames(streams, _uuid_texts(raw))

    def texts(self, rows: Array) -> list[str]:
        """Return the ids of shifts as text."""
        return _uuid_texts(self._uuid_bytes(rows))

    def _uuid_bytes(self, rows: Array) -> bytes:
        """Return the ids as UUIDs of version 7, sixteen bytes each."""
        seconds = self._check_in[rows].astype(np.uint64)
        steps = (rows.astype(np.uint64) + np.uint64(1)) * _STEP
        high = (seconds * np.uint64(1000)) << np.uint64(16) | np.uint64(0x7000)
        high |= _mixed(steps + self._keys[0]) >> np.uint64(52)
        low = _mixed(steps + self._keys[1]) >> np.uint64(2) | np.uint64(1 << 63)
        return np.stack((high, low), axis=1).astype(">u8").tobytes()


def _mixed(words: Array) -> Array:
    """Mix 64-bit words by invertible steps, so that different words stay different."""
    words = words ^ (words >> np.uint64(30))
    words = words * np.uint64(0xBF58476D1CE4E5B9)
    words ^= words >> np.uint64(27)
    words *= np.uint64(0x94D049BB133111EB)
    mixed: Array = words ^ (words >> np.uint64(31))
    return mixed


def _uuid_texts(raw: bytes) -> list[str]:
    digits = np.frombuffer(raw.hex().encode(), np.uint8).reshape(-1, 32)
    letters = np.full((len(digits), 36), ord("-"), np.uint8)
    for begin, end, shift in ((0, 8, 0), (8, 12, 1), (12, 16, 2), (16, 20, 3), (20, 32, 4)):
        letters[:, begin + shift : end + shift] = digits[:, begin:end]
    text = letters.tobytes().decode()
    return [text[i : i + 36] for i in range(0, len(text), 36)]
