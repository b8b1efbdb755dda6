"""Text in arrays of bytes, for compiled loops: helpers that read a piece, and helpers that write one.

A reader takes where it is to read and returns where the text goes on, or -1 if the piece does not stand there; -1 stays
-1, so that readers can be called one after the other and asked once. A writer returns where the next piece goes; the
array has to have room.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ledger.compiled import inlined

Bytes = npt.NDArray[np.uint8]

QUOTE, BACKSLASH, DASH, LINE_FEED = 34, 92, 45, 10
NUMBER_MAX = (1 << 32) - 1
DIGITS_MAX = 10
_ZERO, _TEN = np.uint64(0), np.uint64(10)
_NIBBLE, _FOUR, _TOP = np.uint64(15), np.uint64(4), np.uint64(60)
_BYTE, _HALF = np.uint64(255), np.uint64(32)


def literal(text: str) -> Bytes:
    """Return a text as compiled loops know it."""
    return np.frombuffer(text.encode(), np.uint8).copy()


_HEX = literal("0123456789abcdef")


def hexadecimal(words: npt.NDArray[np.uint64]) -> list[str]:
    """Return 128-bit ids, given as rows of two words, each as 32 hexadecimal digits."""
    text = words.astype(">u8").tobytes().hex()
    return [text[at : at + 32] for at in range(0, len(text), 32)]


# --- reading --------------------------------------------------------------------------------------------------------


@inlined
def after(text: Bytes, at: int, piece: Bytes) -> int:
    """Return where the text goes on behind a piece."""
    if at < 0 or at + len(piece) > len(text):
        return -1
    for offset in range(len(piece)):
        if text[at + offset] != piece[offset]:
            return -1
    return at + len(piece)


@inlined
def closing(text: Bytes, at: int) -> int:
    """Return where the string that goes on at a place is closed, -1 if it holds anything but plain characters."""
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
    """Return a number of 32 bits and where the text goes on."""
    value = digits = 0
    while 0 <= at < len(text) and 48 <= text[at] < 58 and digits < DIGITS_MAX:
        value = 10 * value + text[at] - 48
        at += 1
        digits += 1
    return (value, at) if digits and value <= NUMBER_MAX else (0, -1)


@inlined
def half_uuid(text: Bytes, at: int, dashes: tuple[int, int]) -> tuple[np.uint64, int]:
    """Return half a UUID, sixteen digits with two dashes before given ones, and where the text goes on."""
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


# --- writing --------------------------------------------------------------------------------------------------------


@inlined
def put(out: Bytes, at: int, piece: Bytes) -> int:
    """Write a piece."""
    for offset in range(len(piece)):
        out[at + offset] = piece[offset]
    return at + len(piece)


@inlined
def put_slice(out: Bytes, at: int, text: Bytes, begin: int, length: int) -> int:
    """Write a slice of a text."""
    for offset in range(length):
        out[at + offset] = text[begin + offset]
    return at + length


@inlined
def put_number(out: Bytes, at: int, value: int) -> int:
    """Write a number that is not negative."""
    left, digits = np.uint64(value), 1
    limit = left // _TEN
    while limit > _ZERO:
        limit //= _TEN
        digits += 1
    for digit in range(digits - 1, -1, -1):
        out[at + digit] = 48 + left % _TEN
        left //= _TEN
    return at + digits


@inlined
def put_word(out: Bytes, at: int, word: np.uint64) -> int:
    """Write a word as eight bytes, the highest first."""
    return put_half_word(out, put_half_word(out, at, word >> _HALF), word)


@inlined
def put_half_word(out: Bytes, at: int, word: np.uint64) -> int:
    """Write the lower half of a word as four bytes, the highest first."""
    for byte in range(4):
        out[at + byte] = (word >> np.uint64(24 - 8 * byte)) & _BYTE
    return at + 4


@inlined
def put_uuid(out: Bytes, at: int, high: np.uint64, low: np.uint64) -> int:
    """Write a UUID as events write it."""
    for half, first, second in ((high, 8, 12), (low, 0, 4)):
        word = half
        for digit in range(16):
            if digit in (first, second):
                out[at] = DASH
                at += 1
            out[at] = _HEX[(word >> _TOP) & _NIBBLE]
            word = word << _FOUR
            at += 1
    return at
