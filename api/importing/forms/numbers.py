"""Numbers and durations: pure functions of cells, in the notations that people write.

A number cell of a spreadsheet or of JSON is a number, whatever decimal mark the mapping sets for texts.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation

from api.importing.cells import (
    FIRST_DAY_OF_SHEETS,
    LONGEST_DURATION,
    QUOTED_MAX,
    Cell,
    CellError,
    Number,
    nearest,
    quoted,
    seconds_in_day,
    short_text_of,
    whole_seconds,
)

_HOURS_AND_MINUTES = re.compile(r"(\d{1,6}):([0-5]\d)(?::([0-5]\d(?:\.\d{1,9})?))?")
_MARKS = {".": ",", ",": "."}
"""Each decimal mark, and the mark that separates thousands beside it."""
_GROUPED = re.compile(r"([+-]?\d{1,3}(?:([.,])\d{3})(?:\2\d{3})*)((?!\2)[.,]\d+)?")
"""A number with separated thousands, 1,234.5 or 1.234,5: its whole part, the separator, and its fraction."""
_NOT_WHOLE = "is not a whole number", "correct it"
_MAXIMUM = 1_000_000_000


def whole_of(cell: Cell) -> int:
    """Return a cell as a whole number."""
    number = _decimal_of(cell, ".", whole=True)
    if number != number.to_integral_value():
        sentence, remedy = _NOT_WHOLE
        raise CellError(f"{quoted(cell)} {sentence}", remedy)
    return int(number)


def minutes_of(cell: Cell, decimal: str) -> int:
    """Return a number of minutes in whole ones; see `minutes_of_hours`."""
    return _minutes(_decimal_of(cell, decimal) * 60)


def minutes_of_hours(cell: Cell, decimal: str) -> int:
    """Return a number of hours, such as 3.5 or 3:30, in minutes.

    Any notation is rounded to the nearest second, and that to the nearest minute: 1:30:45 and 1.5125 are both 91.
    """
    if isinstance(cell, timedelta):
        return _minutes(_not_negative(Decimal(whole_seconds(cell)), cell))
    if isinstance(cell, time):
        return _minutes(Decimal(seconds_in_day(cell)))
    if isinstance(cell, datetime) and cell < LONGEST_DURATION:  # more than 24 hours, in a column formatted h:mm
        return _minutes(Decimal(whole_seconds(cell - FIRST_DAY_OF_SHEETS + timedelta(days=1))))
    if found := _HOURS_AND_MINUTES.fullmatch(short_text_of(cell)):
        hours, minutes, seconds = (Decimal(part or 0) for part in found.groups())
        return _minutes(hours * 3600 + minutes * 60 + seconds)
    hours = _decimal_of(cell, decimal)
    if _is_part_of_days(hours):
        meant = _length(nearest(hours * 1440))
        raise CellError(
            f"{quoted(cell)} may be a part of a day, {meant} hours, or {_length(_minutes(hours * 3600))} hours",
            f"write the one that is meant as {meant}, or format the column as [h]:mm and save the file again",
        )
    return _minutes(hours * 3600)


def _is_part_of_days(hours: Decimal) -> bool:
    """Return whether a number is no whole minutes as hours, and whole ones as a part of a day, as a spreadsheet stores
    3:30 in a cell without a format: 0.145833333.
    """
    exponent = hours.normalize().as_tuple().exponent
    decimals = -exponent if isinstance(exponent, int) else 0
    if hours >= 1 or decimals < _PARTS_DECIMALS:
        return False
    half = Decimal(5).scaleb(-decimals - 1)  # what rounding to so many decimals may have changed
    as_hours, as_days = hours * 60, hours * 1440
    is_hours = abs(as_hours - nearest(as_hours)) <= max(half * 60, _EXACT)
    return not is_hours and abs(as_days - nearest(as_days)) <= max(half * 1440, _EXACT)


_PARTS_DECIMALS = 3
_EXACT = Decimal("1e-6")
"""What a spreadsheet may be off, in minutes."""


def _length(minutes: int) -> str:
    return f"{minutes // 60}:{minutes % 60:02}"


def _minutes(seconds: Decimal) -> int:
    return nearest(Decimal(nearest(seconds)) / 60)


def _decimal_of(cell: Cell, decimal: str, *, whole: bool = False) -> Decimal:
    """Return a cell as a number.

    Args:
        decimal: the decimal mark of texts.
        whole: whether it must be a whole number, to which no mark applies.
    """
    if isinstance(cell, datetime | date | time | timedelta):
        raise CellError(f"{quoted(cell)} is a day or time, not a number", "format the column as a number")
    text = short_text_of(cell)
    if isinstance(cell, int | float | Number):
        decimal = "."
    elif _MARKS[decimal] in text:
        raise _of_another_mark(text, decimal, whole=whole)
    try:
        number = Decimal(text.replace(decimal, ".").replace("_", "?"))  # as digits, Python would read 1_000
    except InvalidOperation:
        raise _not_a_number(text, decimal, whole=whole) from None
    if not number.is_finite() or number > _MAXIMUM:
        raise CellError(f"{quoted(text)} is out of range", "correct it")
    return _not_negative(number, cell)


def _of_another_mark(text: str, decimal: str, *, whole: bool) -> CellError:
    """Return what is wrong with a text that has the mark of thousands; what it advises to write can be read."""
    mark = _MARKS[decimal]
    if len(text) > QUOTED_MAX or not re.fullmatch(r"[+-]?\d+(?:[.,]\d+)+", text):
        return _not_a_number(text, decimal, whole=whole)
    if decimal in text or text.count(mark) > 1:
        return _of_thousands(text, decimal, whole=whole)
    plain, fraction = text.replace(mark, ""), text.replace(mark, decimal)
    may_be_thousands = re.fullmatch(r"[+-]?[1-9]\d{0,2}[.,]\d{3}", text)
    if whole:
        sentence, remedy = ("separates thousands", f"write {plain}") if may_be_thousands else _NOT_WHOLE
    elif may_be_thousands:
        sentence = f"may be {plain} or {fraction.rstrip('0').rstrip(decimal)}"
        remedy = "write the one that is meant"
    else:
        sentence = {",": "has a decimal comma", ".": "has a decimal point"}[mark]
        remedy = f'write {fraction}, or set decimal = "{mark}" for the column'
    return CellError(f"{quoted(text)} {sentence}", remedy)


def _of_thousands(text: str, decimal: str, *, whole: bool) -> CellError:
    if not (grouped := _GROUPED.fullmatch(text)):
        return _not_a_number(text, decimal, whole=whole)
    plain = re.sub("[.,]", "", grouped[1]) + (grouped[3] or "").replace(_MARKS[decimal], decimal)
    return CellError(f"{quoted(text)} separates thousands", f"write {plain}")


def _not_a_number(text: str, decimal: str, *, whole: bool) -> CellError:
    return CellError(f"{quoted(text)} is not a number", f"write one such as {'35' if whole else f'3{decimal}5'}")


def _not_negative(number: Decimal, cell: Cell) -> Decimal:
    if number < 0:
        raise CellError(f"{quoted(cell)} is negative", "correct it")
    return number
