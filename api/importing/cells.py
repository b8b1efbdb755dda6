"""The cells of a table: text, or typed cells of a spreadsheet. Their text, how messages quote them, and rounding.

Full-width digits and letters count as plain ones. Pure functions. `forms` reads days, times and numbers.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import NamedTuple


class Unreadable(NamedTuple):
    """A cell without a value: what is wrong with it, what to do, and what it shows."""

    sentence: str
    remedy: str
    shown: str | None = None


class DayCell(datetime):
    """A date cell of a spreadsheet that shows no time."""


class Number(str):
    """A number of a JSON file, with all its digits."""

    __slots__ = ()


Cell = str | int | float | datetime | date | time | timedelta | Unreadable | None
"""CSV has only text. TRUE in a spreadsheet becomes a bool, which is an int."""

FIRST_DAY_OF_SHEETS, LONGEST_DURATION = datetime(1900, 1, 1), datetime(1900, 2, 1)  # noqa: DTZ001 - cells have no zone
"""Which days a spreadsheet gives to durations of more than 24 hours, in a column formatted as a time."""
_TEXT_FORMULA = re.compile(r'="([^"]*)"')
_SPREADSHEET_ERROR = re.compile(r"#[¡¿]?[A-ZÀ-ÖØ-Þ0-9/_]+[!?]|#N/A|#N/D|#NV|#GETTING_DATA|#{3,}|Err:\d{3}")
"""In any language; `###` is a number in a column that is too narrow for it."""
_ERROR_MARKS = ("#", "E")


VALUE_LENGTH_MAX = 200
"""Characters of a day, a time or a number."""
QUOTED_MAX = 40
"""How many characters of a cell a message quotes."""


class CellError(ValueError):
    """A cell that cannot be parsed; `sentence` says what is wrong with it, `remedy` what to do."""

    def __init__(self, sentence: str, remedy: str) -> None:
        super().__init__(f"{sentence}; {remedy}")
        self.sentence = sentence
        self.remedy = remedy


def shown(cell: Cell) -> str:
    """Return a cell as people write it: a duration as hours and minutes, 25:00, and seconds if it has any."""
    if not isinstance(cell, timedelta):
        return str(cell)
    whole = whole_seconds(cell)
    minutes, seconds = divmod(abs(whole), 60)
    sign = "-" if whole < 0 else ""
    return f"{sign}{minutes // 60}:{minutes % 60:02d}" + (f":{seconds:02d}" if seconds else "")


def quoted(cell: Cell) -> str:
    """Return a cell for a message: in quotation marks, shortened, and without control characters."""
    return f'"{shortened(shown(cell))}"'


def shortened(text: str) -> str:
    """Return a text for a message: its first characters, without control characters."""
    text = printable(text[: QUOTED_MAX + 1])
    return f"{text[:QUOTED_MAX]}…" if len(text) > QUOTED_MAX else text


def printable(text: str) -> str:
    """Return a text with replacement characters instead of unprintable ones."""
    return text if text.isprintable() else "".join(char if char.isprintable() else "\ufffd" for char in text)


def plain_text(cell: Cell) -> str:
    """Return a cell as plain text, "" for an empty one; whole numbers have no decimals.

    The text `="0012"`, with which spreadsheets preserve leading zeros in CSV, is 0012.
    """
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, bool):
        return str(cell).upper()
    if isinstance(cell, Unreadable):
        raise CellError(cell.sentence, cell.remedy)
    if not isinstance(cell, str):
        return shown(cell)
    text = (cell if cell.isascii() else unicodedata.normalize("NFKC", cell).replace("\u2236", ":")).strip()
    if text[:1] == "=" and (found := _TEXT_FORMULA.fullmatch(text)):
        return found.group(1).strip()
    return text


def text_of(cell: Cell) -> str:
    """Return a cell as plain text that is not an error of a formula."""
    text = plain_text(cell)
    if text[:1] in _ERROR_MARKS and _SPREADSHEET_ERROR.fullmatch(text):
        raise CellError(
            f"contains the spreadsheet error {printable(text[:40])}", "correct its formula, or clear the cell"
        )
    return text


def short_text_of(cell: Cell) -> str:
    """Return a cell as the text of a day, a time or a number.

    Such texts are short. Reading a long one by a pattern can take time that grows with the square of its length.
    """
    text = text_of(cell)
    if len(text) > VALUE_LENGTH_MAX:
        raise CellError(f"{quoted(text)} has {len(text):,} characters, more than {VALUE_LENGTH_MAX}", "shorten it")
    return text


def is_empty(cell: Cell) -> bool:
    """Return whether a cell is empty or blank."""
    return cell is None or (isinstance(cell, str) and not cell.strip())


# --- rounding -------------------------------------------------------------------------------------------------------

# Spreadsheets store times as fractions of a day, in which few seconds are exact. So every time is rounded to the
# nearest second first, in whichever notation it is written.


def whole_seconds(length: timedelta) -> int:
    """Return a length in seconds, rounded to the nearest whole one."""
    return (length // timedelta(microseconds=1) + 500_000) // 1_000_000


def seconds_in_day(moment: datetime | time) -> int:
    """Return the nearest second since midnight: 86400 just before the next one."""
    seconds = moment.hour * 3600 + moment.minute * 60 + moment.second
    return seconds + whole_seconds(timedelta(microseconds=moment.microsecond))


def nearest(number: Decimal) -> int:
    """Return the nearest whole number; a half is rounded up."""
    return int(number.quantize(Decimal(1), ROUND_HALF_UP))
