"""Identifiers: cells that become names of volunteers, stations and records, which are stored permanently.

A spreadsheet damages identifiers that look like numbers or days: it keeps 15 digits, writes 2.0E+10, makes 3-5 a day in
March, and appends `.0`. What is left does not tell what was meant, except for `1.0`, which is 1. So other damage is
refused, and so is a character that nobody sees, because it would make a second name that looks like the first.
"""

from __future__ import annotations

import math
import re
import unicodedata
from datetime import date, time, timedelta

from api.importing.cells import Cell, CellError, plain_text, printable, quoted, text_of

_EXACT_DIGITS = 15
"""The digits that a spreadsheet keeps of a number."""
_WHOLE = re.compile(r"(0|[1-9]\d*)(?:\.00?|,0)")
"""A whole number as a program writes it from a column of decimals. (1.000 may be a thousand.)"""
_EXPONENT = re.compile(r"[+-]?\d+(?:[.,]\d+)?[eE]\+\d+|[+-]?\d[.,]\d+[eE]-?\d+")
_ROUNDED = re.compile(r"\d{15}0{2,}")
"""A number that a spreadsheet may have rounded to 15 digits. (One zero more may well be a digit.)"""
_MONTHS = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
_MADE_A_DAY = re.compile(rf"\d{{1,2}}-(?:{_MONTHS})(?:-\d{{2}})?|(?:{_MONTHS})-\d{{2}}|\d{{1,2}}月\d{{1,2}}日")
"""As a spreadsheet writes 3-5, or 5/15, into a CSV file."""
_UNSEEN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0") | {
    chr(code)
    for first, last in ((0x180B, 0x180F), (0xFE00, 0xFE0F), (0xE0100, 0xE01EF))
    for code in range(first, last + 1)
}
"""Characters that count as printable and show nothing: fillers, joiners, selectors of variants."""


def identifier_of(cell: Cell, *, days: bool = False) -> str:
    """Return a cell as an identifier; "" for an empty one.

    Args:
        days: whether a day or a time may be part of it, as of a key of several columns.

    Raises:
        CellError: it is an error, or no identifier any more; or it contains an invisible character.
    """
    if not isinstance(cell, str):
        return _of_typed(cell, days=days)
    text = text_of(cell).replace("\N{IDEOGRAPHIC SPACE}", " ")  # as in names of two characters, 张　三
    if text.isascii() and text.isalnum() and len(text) <= _EXACT_DIGITS:
        return text
    if found := _WHOLE.fullmatch(text):
        text = found.group(1)
    if text.startswith("="):
        raise CellError(f"{quoted(text)} is a formula, not its result", "save the file with the values of its formulas")
    if _EXPONENT.fullmatch(text):
        raise CellError(
            f"{quoted(text)} is a number that a spreadsheet has shortened",
            "format the column as text, and write it again",
        )
    if _ROUNDED.fullmatch(text) and not cell.lstrip().startswith("="):
        remedy = f'write it again; if it does end in zeros, write ="{text}"'
        raise CellError(f"{quoted(text)} may have lost digits: a spreadsheet keeps {_EXACT_DIGITS}", remedy)
    if not days and _MADE_A_DAY.fullmatch(text) and not cell.lstrip().startswith("="):
        raise _made_a_day(text)
    if unseen := first_invisible(text):
        named = unicodedata.name(unseen, "").lower()
        told = f"U+{ord(unseen):04X} ({named})" if named else f"U+{ord(unseen):04X}"
        raise CellError(f"{quoted(text)} contains the invisible character {told}", "remove it")
    return text


def label_of(cell: Cell) -> str:
    """Return a cell as it is looked up in a table of values, which may hold anything that a cell may show.

    Raises:
        CellError: it is a number of more digits than a spreadsheet keeps.
    """
    if isinstance(cell, int | float):
        _require_exact(cell)
    return plain_text(cell)


def first_invisible(text: str) -> str | None:
    """Return the first character of a text that nobody sees, or None."""
    if text.isascii() and text.isprintable():
        return None
    return next(filter(_is_invisible, text), None)


def _is_invisible(char: str) -> bool:
    if char.isprintable():
        return char in _UNSEEN
    code = ord(char)
    ignorable = 0xE0000 <= code <= 0xE0FFF or 0xFFF0 <= code <= 0xFFF8 or code & 0xFFFE == 0xFFFE
    # Rare characters of names have private codes, or codes that are newer than Python.
    return ignorable or unicodedata.category(char) not in {"Co", "Cn"}


def without_invisible(text: str) -> str:
    """Return a text, such as the name of a column, without the characters that nobody sees."""
    return text if first_invisible(text) is None else "".join(char for char in text if not first_invisible(char))


def _of_typed(cell: Cell, *, days: bool) -> str:
    if isinstance(cell, bool):
        raise CellError(f"{quoted(plain_text(cell))} is a truth value, not a name", "write the name as text")
    if isinstance(cell, int | float):
        _require_exact(cell)
    if isinstance(cell, date | time | timedelta) and not days:
        raise _made_a_day(cell)
    return text_of(cell)


def _made_a_day(cell: Cell) -> CellError:
    remedy = "format the column as text, and write the name again"
    return CellError(f"{quoted(cell)} is a day or time, which a spreadsheet may have made of a name", remedy)


def _require_exact(cell: float) -> None:
    """Refuse a number of more digits than a spreadsheet keeps."""
    if isinstance(cell, float) and not math.isfinite(cell):
        raise CellError(f"{quoted(cell)} is not a number", "correct it")
    text = plain_text(cell)
    digits = sum(char.isdigit() for char in text.partition("e")[0].replace(".", "").lstrip("-0"))
    if digits > _EXACT_DIGITS or "e" in text:
        remedy = "format the column as text, and write it again"
        sentence = (
            f"{quoted(printable(text))} is a number of more than {_EXACT_DIGITS} digits, which a spreadsheet rounds"
        )
        raise CellError(sentence, remedy)
