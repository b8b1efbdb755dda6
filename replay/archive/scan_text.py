"""Compiled functions that read pieces of text in arrays of bytes.

Each function takes an offset and returns the offset after what it read, or -1 if the text does not match. Given -1 it
returns -1, so calls can be chained and checked once.
"""

from __future__ import annotations

import numpy as np

from projections.compiled import inlined
from projections.schema import GOING_IN, GOING_OUT, Bytes

QUOTE, BACKSLASH, DASH, LINE_FEED = 34, 92, 45, 10
NUMBER_MAX = (1 << 32) - 1
DIGITS_MAX = 10


def literal(text: str) -> Bytes:
    """Return a text as an array of bytes."""
    return np.frombuffer(text.encode(), np.uint8).copy()


# A scan as the codec writes it, piece by piece.
OCCURRED = literal('{"occurred_at":')
RECORDED = literal(',"recorded_at":')
BY = literal(',"by":"')
COMMAND = literal('","command":"')
IMPORTED = literal('","imported":true')
CLOSED = literal('"')
KEY = literal(',"key":')
VOLUNTEER = literal(',"volunteer":"')
SHIFT = literal('","shift":"')
STATION = literal('","station":"')
INWARDS = literal('","direction":"in')
OUTWARDS = literal('","direction":"out')
PROJECT = literal('","project":"')
END = literal('"}')


@inlined
def after(text: Bytes, at: int, piece: Bytes) -> int:
    """Return the offset after a piece of text."""
    if at < 0 or at + len(piece) > len(text):
        return -1
    for offset in range(len(piece)):
        if text[at + offset] != piece[offset]:
            return -1
    return at + len(piece)


@inlined
def closing(text: Bytes, at: int) -> int:
    """Return the offset of the closing quote of a string; -1 if the string contains an escape or control character."""
    if at < 0:
        return -1
    while at < len(text):
        character = text[at]
        if character == QUOTE:
            return at
        if character == BACKSLASH or character < 32:
            return -1
        at += 1
    return -1


@inlined
def number(text: Bytes, at: int) -> tuple[int, int]:
    """Return a 32-bit number and the offset after it."""
    value = digits = 0
    while 0 <= at < len(text) and 48 <= text[at] < 58 and digits < DIGITS_MAX:
        value = 10 * value + text[at] - 48
        at += 1
        digits += 1
    return (value, at) if digits and value <= NUMBER_MAX else (0, -1)


@inlined
def half_uuid(text: Bytes, at: int, dashes: tuple[int, int]) -> tuple[np.uint64, int]:
    """Return half a UUID, sixteen digits with dashes before two of them, and the offset after it."""
    half = np.uint64(0)
    if at < 0 or at + 18 > len(text):
        return half, -1
    for digit in range(16):
        if digit in dashes:
            if text[at] != DASH:
                return half, -1
            at += 1
        character = text[at]
        if 48 <= character < 58:
            value = character - 48
        elif 97 <= character < 103:
            value = character - 87
        else:
            return half, -1
        half = (half << np.uint64(4)) | np.uint64(value)
        at += 1
    return half, at


@inlined
def direction(text: Bytes, at: int) -> tuple[int, int]:
    """Return the direction of a punch, 0 without one, and the offset after it."""
    inwards, outwards = after(text, at, INWARDS), after(text, at, OUTWARDS)
    if inwards >= 0:
        return GOING_IN, inwards
    return (GOING_OUT, outwards) if outwards >= 0 else (0, at)
