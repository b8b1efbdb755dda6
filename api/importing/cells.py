"""Parsing the cells of a table: text, or typed cells of a spreadsheet.

Only unambiguous values are accepted. Days that begin with the year and times with a colon need no format; full-width
digits and letters count as plain ones. Pure functions; each raises `CellError`, which names the remedy.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from functools import lru_cache
from typing import NamedTuple

from api.importing.digits import AmbiguousDigitsError, read_by_format
from api.importing.forms.notations import (
    FIRST_CALENDAR_YEAR,
    ROC_OFFSET,
    day_and_time_in,
    has_short_year,
    names_part_of_day,
    roc_day_in,
    seconds_in,
    without_weekday,
)


class Unreadable(NamedTuple):
    """A cell without a value: what is wrong with it, what to do, and what it shows."""

    sentence: str
    remedy: str
    shown: str | None = None


Cell = str | int | float | datetime | date | time | timedelta | Unreadable | None
"""CSV has only text. TRUE in a spreadsheet becomes a bool, which is an int."""

_DAY = re.compile(r"(\d{4})\s*[-/.年]\s*(\d{1,2})\s*[-/.月]\s*(\d{1,2})\s*[日号號]?")
_DAY_DIGITS = re.compile(r"((?:19|20)\d{2})(\d{2})(\d{2})")
_HOURS_AND_MINUTES = re.compile(r"(\d{1,6}):([0-5]\d)(?::([0-5]\d(?:\.\d{1,9})?))?")
_TEXT_FORMULA = re.compile(r'="([^"]*)"')
_SPREADSHEET_ERROR = re.compile(r"#[¡¿]?[A-ZÀ-ÖØ-Þ0-9/_]+[!?]|#N/A|#N/D|#NV|#GETTING_DATA|#{3,}|Err:\d{3}")
"""In any language; `###` is a number in a column that is too narrow for it."""
_ERROR_MARKS = ("#", "E")
_EPOCH = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,9})?")
EPOCH_UNITS = {"epoch": 1, "epoch-ms": 1000}
"""Formats of instants as numbers since 1970-01-01T00:00Z: seconds or milliseconds; the units of a second."""
_SECOND = timedelta(seconds=1)


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
    whole = _whole_seconds(cell)
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


def is_empty(cell: Cell) -> bool:
    """Return whether a cell is empty or blank."""
    return cell is None or (isinstance(cell, str) and not cell.strip())


# --- days and times -------------------------------------------------------------------------------------------------


def day_of(cell: Cell, formats: tuple[str, ...] = (), *, roc: bool = False) -> date:
    """Return a cell as a day; with `roc`, the years of text count from the Republic of China."""
    if isinstance(cell, datetime):
        return _to_second(cell).date()
    if isinstance(cell, date):
        return cell
    if isinstance(cell, time | timedelta):
        raise CellError(f"{quoted(cell)} is a time, not a day", "check the column")
    return _day_of_text(text_of(cell), formats, roc)


@lru_cache(maxsize=1 << 14)
def _day_of_text(text: str, formats: tuple[str, ...], roc: bool) -> date:  # noqa: FBT001 - cached by position
    plain, weekday = without_weekday(text)
    day = _day_of_plain_text(plain, formats, roc=roc)
    if weekday is not None and weekday != day.weekday():
        raise CellError(f"{quoted(text)} was another day of the week", "correct the day, or the day of the week")
    return day


def _day_of_plain_text(text: str, formats: tuple[str, ...], *, roc: bool) -> date:
    if moment := _by_format(text, formats):
        return _of_this_calendar(_to_second(moment).date(), text)
    found = _DAY.fullmatch(text) or _DAY_DIGITS.fullmatch(text)
    try:
        if day := roc_day_in(text, named=not roc):
            return day
        if found:
            return _of_this_calendar(date(*map(int, found.groups())), text)
    except CellError:
        raise
    except ValueError:
        raise CellError(f"{quoted(text)} is not a day of the calendar", "correct it") from None
    if text.isdigit() and not formats:
        raise CellError(
            f"{quoted(text)} is a number, not a day",
            'format the column as a date and save the file again, or set format = "%d%m%Y" if it is a day',
        )
    if not roc and has_short_year(text):
        raise _of_another_calendar(text)
    allowed = " or ".join(formats)
    remedy = f"write it as {allowed}" if allowed else 'write 2018-12-04, or set the format of days: format = "%d/%m/%Y"'
    raise CellError(f"{quoted(text)} cannot be read as a day", "write 104/12/04" if roc else remedy)


def _of_this_calendar(day: date, text: str) -> date:
    if day.year < FIRST_CALENDAR_YEAR:
        raise _of_another_calendar(text)
    return day


def _of_another_calendar(text: str) -> CellError:
    meant = f"if 104 means {104 + ROC_OFFSET}"
    return CellError(
        f"{quoted(text)} has a year before 1900", f'correct it; {meant}, set calendar = "roc" in the mapping'
    )


def seconds_of(cell: Cell, form: str | None = None) -> int:
    """Return a cell as a time of the day: seconds since midnight, up to 86400 for 24:00."""
    if isinstance(cell, datetime | time):
        return _seconds_in_day(cell)
    if isinstance(cell, timedelta):
        seconds = _whole_seconds(cell)
        if not 0 <= seconds <= 86_400:
            raise CellError(f"{quoted(cell)} is not a time of day", "check the column")
        return seconds
    if isinstance(cell, date):
        raise CellError(f"{quoted(cell)} is a day, not a time", "check the column")
    if isinstance(cell, float) and form and "." in form and 0 < cell < 1:
        raise CellError(f"{quoted(cell)} may be a part of a day", "format the column as a time, or as text")
    return _seconds_of_text(text_of(cell), form)


@lru_cache(maxsize=1 << 14)
def _seconds_of_text(text: str, form: str | None) -> int:
    if form and (moment := _by_format(text, (form,))):
        if _LOST_ZERO.fullmatch(text):
            raise CellError(f"{quoted(text)} may have lost a last zero", f"write {text}0 or {_with_zero(text)} as text")
        return _seconds_in_day(moment)
    if (seconds := seconds_in(text)) is not None:
        return seconds
    if names_part_of_day(text):
        raise CellError(
            f"{quoted(text)} is not a time of day with one meaning", "write it with 24 hours, as 00:30 or 12:30"
        )
    remedy = f"write it as {form}" if form else 'write 09:30, or set the format of times: time_format = "%H.%M"'
    raise CellError(f"{quoted(text)} is not a time of day", remedy)


def moment_of(cell: Cell, formats: tuple[str, ...] = (), *, roc: bool = False) -> datetime:
    """Return a cell as a day and time; it has a zone only if the text names one."""
    if isinstance(cell, datetime):
        return _to_second(cell)
    text = text_of(cell)
    if moment := _by_format(text, formats):
        return _to_second(moment)
    if found := day_and_time_in(text):
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            pass
        else:
            if moment.year >= FIRST_CALENDAR_YEAR:
                return _to_second(moment)
        return at_second(_day_of_text(found[0], (), roc), _seconds_of_text(found[1], None))
    allowed = " or ".join(formats)
    remedy = f"write it as {allowed}" if allowed else 'write 2018-12-04 09:30, or set format = "%d/%m/%Y %H:%M"'
    if roc:
        remedy = "write 104/12/04 09:30"
    raise CellError(f"{quoted(cell)} cannot be read as a day and a time", remedy)


def _by_format(text: str, formats: tuple[str, ...]) -> datetime | None:
    """Return a text as a moment by the first format that it has, or None."""
    ambiguous: CellError | None = None
    for form in formats:
        if form in EPOCH_UNITS:
            if _EPOCH.fullmatch(text):
                return _moment_of_epoch(text, EPOCH_UNITS[form])
            continue
        try:
            return read_by_format(text, form)
        except AmbiguousDigitsError as error:
            sentence = f"{quoted(text)} has fewer digits than {form}, and may be {error}"
            ambiguous = ambiguous or CellError(sentence, "write the one that is meant")
        except ValueError:
            continue
    if ambiguous:
        raise ambiguous
    return None


def _moment_of_epoch(text: str, units: int) -> datetime:
    try:
        return datetime.fromtimestamp(_nearest(Decimal(text) / units), UTC)
    except (OverflowError, ValueError, OSError):
        raise _out_of_range(text) from None


def at_second(day: date, seconds: int) -> datetime:
    """Return a second of a day in local time."""
    try:
        return datetime(day.year, day.month, day.day) + timedelta(seconds=seconds)  # noqa: DTZ001 - the zone comes later
    except OverflowError:
        raise _out_of_range(day) from None


# Spreadsheets store times as fractions of a day, in which few seconds are exact. So every time is rounded to the
# nearest second first, in whichever notation it is written.


def _whole_seconds(length: timedelta) -> int:
    """Return a length in seconds, rounded to the nearest whole one."""
    return (length // timedelta(microseconds=1) + 500_000) // 1_000_000


def _to_second(moment: datetime) -> datetime:
    """Return a day and time, rounded to the nearest second."""
    try:
        return moment.replace(microsecond=0) + _whole_seconds(timedelta(microseconds=moment.microsecond)) * _SECOND
    except OverflowError:
        raise _out_of_range(moment) from None


def _seconds_in_day(moment: datetime | time) -> int:
    """Return the nearest second since midnight: 86400 just before the next one."""
    seconds = moment.hour * 3600 + moment.minute * 60 + moment.second
    return seconds + _whole_seconds(timedelta(microseconds=moment.microsecond))


def _out_of_range(cell: Cell) -> CellError:
    return CellError(f"{quoted(cell)} is out of range", "check the year")


# --- numbers --------------------------------------------------------------------------------------------------------


_LOST_ZERO = re.compile(r"[0-9]{1,2}\.[1-5]")
"""A time such as 9.3: a spreadsheet writes the number 9.30 so."""


def _with_zero(text: str) -> str:
    hours, _, minutes = text.partition(".")
    return f"{hours}.0{minutes}"


def whole_of(cell: Cell) -> int:
    """Return a cell as a whole number."""
    number = _decimal_of(cell, ".")
    if number != number.to_integral_value():
        raise CellError(f"{quoted(cell)} is not a whole number", "correct it")
    return int(number)


def minutes_of(cell: Cell, decimal: str) -> int:
    """Return a number of minutes in whole ones; see `minutes_of_hours`."""
    return _minutes(_decimal_of(cell, decimal) * 60)


_NO_TIME, _LONGEST = datetime(1899, 12, 31), datetime(1900, 2, 1)  # noqa: DTZ001 - cells have no zone
"""What a spreadsheet shows for a duration of 0, and for one longer than any, in a column formatted as a time."""


def minutes_of_hours(cell: Cell, decimal: str) -> int:
    """Return a number of hours, such as 3.5 or 3:30, in minutes.

    Any notation is rounded to the nearest second, and that to the nearest minute: 1:30:45 and 1.5125 are both 91.
    """
    if isinstance(cell, timedelta):
        return _minutes(_not_negative(Decimal(_whole_seconds(cell)), cell))
    if isinstance(cell, time):
        return _minutes(Decimal(_seconds_in_day(cell)))
    if isinstance(cell, datetime) and cell < _LONGEST:  # more than 24 hours, in a column formatted h:mm
        return _minutes(Decimal(_whole_seconds(cell - _NO_TIME)))
    if found := _HOURS_AND_MINUTES.fullmatch(text_of(cell)):
        hours, minutes, seconds = (Decimal(part or 0) for part in found.groups())
        return _minutes(hours * 3600 + minutes * 60 + seconds)
    return _minutes(_decimal_of(cell, decimal) * 3600)


def _minutes(seconds: Decimal) -> int:
    return _nearest(Decimal(_nearest(seconds)) / 60)


def _decimal_of(cell: Cell, decimal: str) -> Decimal:
    if isinstance(cell, datetime | date | time | timedelta):
        raise CellError(f"{quoted(cell)} is a day or time, not a number", "format the column as a number")
    text = text_of(cell)
    other = "," if decimal == "." else "."
    if other in text:
        raise CellError(
            f'{quoted(text)} contains "{other}", which may separate thousands or decimals',
            f'remove it, or set decimal = "{other}"',
        )
    try:
        number = Decimal(text.replace(decimal, ".").replace("_", "?"))  # as digits, Python would read 1_000
    except InvalidOperation:
        raise CellError(f"{quoted(text)} is not a number", "write one such as 3.5") from None
    if not number.is_finite() or number > 1_000_000_000:
        raise CellError(f"{quoted(text)} is out of range", "correct it")
    return _not_negative(number, cell)


def _not_negative(number: Decimal, cell: Cell) -> Decimal:
    if number < 0:
        raise CellError(f"{quoted(cell)} is negative", "correct it")
    return number


def _nearest(number: Decimal) -> int:
    return int(number.quantize(Decimal(1), ROUND_HALF_UP))
