"""Days and times: pure functions of cells, text or typed cells of a spreadsheet.

Only unambiguous values are accepted. Days that begin with the year and times with a colon need no format; full-width
digits and letters count as plain ones. Each function raises `CellError`, which names the remedy.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import TypeVar

from api.importing.cells import (
    FIRST_DAY_OF_SHEETS,
    LONGEST_DURATION,
    Cell,
    CellError,
    DayCell,
    Number,
    nearest,
    plain_text,
    quoted,
    seconds_in_day,
    short_text_of,
    whole_seconds,
)
from api.importing.digits import AmbiguousDigitsError, read_by_format
from api.importing.forms.notations import (
    FIRST_CALENDAR_YEAR,
    FIRST_CENTURY_YEAR,
    ROC_OFFSET,
    day_and_time_in,
    has_short_year,
    names_part_of_day,
    roc_day_in,
    seconds_in,
    without_weekday,
)

Day = TypeVar("Day", date, datetime)
_DAY = re.compile(r"(\d{4})\s*[-/.年]\s*(\d{1,2})\s*[-/.月]\s*(\d{1,2})\s*[日号號]?")
_DAY_DIGITS = re.compile(r"((?:19|20)\d{2})(\d{2})(\d{2})")
_EPOCH = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,9})?")
EPOCH_UNITS = {"epoch": 1, "epoch-ms": 1000}
"""Formats of instants as numbers since 1970-01-01T00:00Z: seconds or milliseconds; the units of a second."""
_SECOND = timedelta(seconds=1)


def day_of(cell: Cell, formats: tuple[str, ...] = (), *, roc: bool = False) -> date:
    """Return a cell as a day; with `roc`, the years of text count from the Republic of China."""
    if isinstance(cell, datetime):
        return _of_a_spreadsheet(_to_second(cell), roc=roc).date()
    if isinstance(cell, date):
        return _of_a_spreadsheet(cell, roc=roc)
    if isinstance(cell, time | timedelta):
        raise CellError(f"{quoted(cell)} is a time, not a day", "check the column")
    return _day_of_text(short_text_of(cell), formats, roc)


@lru_cache(maxsize=1 << 14)
def _day_of_text(text: str, formats: tuple[str, ...], roc: bool) -> date:  # noqa: FBT001 - cached by position
    plain, weekday = without_weekday(text)
    if not any(map(str.isdigit, plain)):  # 上周五
        plain, weekday = text, None
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
    if (parts := day_and_time_in(text)) and seconds_in(parts[1]) is not None:
        return _day_of_text(parts[0], (), roc)
    if text.isdigit() and not formats:
        raise CellError(f"{quoted(text)} is a number, not a day", _remedy_of_number(text))
    if not roc and has_short_year(text):
        raise _of_another_calendar(text)
    remedy = "write 104/12/04" if roc else _remedy(text, formats, "2018-12-04", "days", _DAY_FORMATS)
    raise CellError(f"{quoted(text)} cannot be read as a day", remedy)


_DAY_FORMATS = tuple(
    form.replace("/", mark) for form in ("%d/%m/%Y", "%m/%d/%Y", "%y/%m/%d", "%d/%m/%y") for mark in "/.-"
)
_MOMENT_FORMATS = tuple(f"{day} {time}" for day in _DAY_FORMATS for time in ("%H:%M", "%H:%M:%S", "%H.%M"))
_TIME_FORMATS = ("%H.%M", "%H%M", "%H-%M", "%H %M")


def _remedy(text: str, formats: tuple[str, ...], example: str, what: str, offered: tuple[str, ...]) -> str:
    """Return what to do about a text that has none of some formats; a format that is offered reads it."""
    if formats:
        return f"write it as {' or '.join(formats)}"
    key = "time_format" if offered is _TIME_FORMATS else "format"
    form = next((form for form in offered if _fits(text, form)), None)
    return f"write {example}" + (f', or set the format of {what}: {key} = "{form}"' if form else "")


def _fits(text: str, form: str) -> bool:
    """Return whether a text has a format, if in several ways."""
    if form == "%H%M" and len(text) < _DIGITS_OF_CLOCK_MIN:
        return False
    try:
        moments = [read_by_format(text, form)]
    except AmbiguousDigitsError as error:
        moments = [read_by_format(completed, form) for completed in error.completed]
    except ValueError:
        return False
    return any(moment.year >= FIRST_CALENDAR_YEAR for moment in moments)


_DIGITS_OF_CLOCK_MIN = 3


def _remedy_of_number(text: str) -> str:
    remedy = "format the column as a date and save the file again"
    if _fits(text, "%d%m%Y"):
        return f'{remedy}, or set format = "%d%m%Y" if it is a day'
    try:
        is_roc = len(text) == 7 and roc_day_in(text, named=False)
    except ValueError:
        is_roc = False
    return f'{remedy}, or set calendar = "roc" if it has a year such as 104' if is_roc else remedy


def _of_a_spreadsheet(day: Day, *, roc: bool) -> Day:
    """Return the day of a date cell, which counts from the common era.

    A spreadsheet takes 0104/03/13 for the year 104, or makes 1904 of it, and 1993 of 93/3/13. What was typed is lost.
    """
    written = f"{day.year:04}-{day:%m-%d}"
    if day.year < FIRST_CALENDAR_YEAR:
        if roc:
            raise CellError(f"{quoted(written)} has a year before 1900", "write the day as text, 104/03/13")
        raise _of_another_calendar(written, "write it as text, 104/03/13")
    if roc and day.year < FIRST_CENTURY_YEAR:
        raise CellError(
            f"{quoted(written)} is a date cell, which may have been typed as a year such as 104 or 93",
            f"write the day as text, 104/03/13, or {written} if it is meant",
        )
    return day


def _of_this_calendar(day: date, text: str) -> date:
    if day.year < FIRST_CALENDAR_YEAR:
        raise _of_another_calendar(text)
    return day


def _of_another_calendar(text: str, besides: str = "") -> CellError:
    meant = f"if 104 means {104 + ROC_OFFSET}"
    remedy = f'correct it; {meant}, set calendar = "roc" in the mapping' + (f", and {besides}" if besides else "")
    return CellError(f"{quoted(text)} has a year before 1900", remedy)


def seconds_of(cell: Cell, formats: tuple[str, ...] = ()) -> int:
    """Return a cell as a time of the day: seconds since midnight, up to 86400 for 24:00."""
    if isinstance(cell, datetime | time):
        return seconds_in_day(cell)
    if isinstance(cell, timedelta):
        seconds = whole_seconds(cell)
        if not 0 <= seconds <= 86_400:
            raise _beyond_midnight(cell, seconds)
        return seconds
    if isinstance(cell, date):
        raise CellError(f"{quoted(cell)} is a day, not a time", "check the column")
    text = short_text_of(cell)
    if isinstance(cell, int | float | Number) and "." in "".join(formats) and _is_short_part(text):
        raise CellError(f"{quoted(text)} may be a part of a day", "format the column as a time, or as text")
    return _seconds_of_text(text, formats)


def seconds_on(day: date, cell: Cell, formats: tuple[str, ...] = (), *, roc: bool = False, ends: bool = False) -> int:
    """Return a cell as a time of a day: seconds since its midnight.

    Args:
        day: a day that the cell names beside its time must be this one.
        ends: whether it may be the next one, at the end of a shift past midnight, which 25:30 names, too.

    Raises:
        CellError: it is no time, or a time of another day.
    """
    if isinstance(cell, DayCell):
        raise CellError(f'"{cell.date()}" is a day, not a time', "check the column")
    if isinstance(cell, datetime) and FIRST_DAY_OF_SHEETS <= cell < LONGEST_DURATION:
        cell = cell - FIRST_DAY_OF_SHEETS + timedelta(days=1)  # 26:30 in a column formatted h:mm
    if ends and (seconds := _seconds_beyond_midnight(cell)) is not None:
        return seconds
    if isinstance(cell, datetime):
        named, time_of_day = cell.date(), seconds_in_day(cell)
        alone = named in _NO_DAYS
    elif not isinstance(cell, str) or len(cell) <= _TIME_LENGTH_MAX:
        return seconds_of(cell, formats)
    elif formats and (moment := _by_format(short_text_of(cell), formats)):
        named, time_of_day = moment.date(), seconds_in_day(moment)
        alone = named == _DAY_OF_FORMATS
    elif parts := day_and_time_in(short_text_of(cell)):
        time_of_day, alone = _seconds_of_text(parts[1], formats), parts[0] in _NO_DAYS_AS_TEXT
        named = day if alone else _day_of_text(parts[0], (), roc)
    else:
        return seconds_of(cell, formats)
    if alone or named == day:
        return time_of_day
    if ends and named == day + timedelta(days=1):
        return time_of_day + 86_400
    raise CellError(
        f"{quoted(cell)} is on another day than {day}", "correct the day, or write the time alone, as 09:00"
    )


_NO_DAYS = {date(1899, 12, 30), date(1899, 12, 31), date(1904, 1, 1)}
"""The days that spreadsheets give to times without one."""
_DAY_OF_FORMATS = date(1900, 1, 1)
"""What `strptime` returns for a format without a day."""
_NO_DAYS_AS_TEXT = {"1899-12-30", "1899-12-31", "1900-01-01", "1904-01-01"}
"""The days that databases write beside times without one, too."""
_TIME_LENGTH_MAX = 11
"""Of a time without a day, as most are: 下午 02:30:00, 09:30:00 PM."""


@lru_cache(maxsize=1 << 14)
def _seconds_of_text(text: str, formats: tuple[str, ...]) -> int:
    if formats and (moment := _by_format(text, formats)):
        return seconds_in_day(moment)
    if (seconds := seconds_in(text)) is not None:
        return seconds
    if names_part_of_day(text):
        raise CellError(
            f"{quoted(text)} is not a time of day with one meaning", "write it with 24 hours, as 00:30 or 12:30"
        )
    if found := _PART_OF_DAY.fullmatch(text):
        return _seconds_of_part(text, found[1])
    if (seconds := _seconds_beyond_midnight(text)) is not None:
        raise _beyond_midnight(text, seconds)
    if _TWO_TIMES.fullmatch(text):
        raise CellError(f"{quoted(text)} holds two times", "write the begin and the end in columns of their own")
    remedy = _remedy(text, formats, "09:30", "times", _TIME_FORMATS)
    raise CellError(f"{quoted(text)} is not a time of day", remedy)


_BEYOND_MIDNIGHT = re.compile(r"(2[4-9]|3[0-9]|4[0-7]):([0-5][0-9])(?::([0-5][0-9]))?")
_TWO_TIMES = re.compile(r"(\d{1,2}[:.]\d{2})\s*[-~\u2013\u2014至到]+\s*(\d{1,2}[:.]\d{2})")


def _seconds_beyond_midnight(cell: Cell) -> int | None:
    """Return a time from 24:00 to 48:00, such as 25:30, in seconds; None for any other cell."""
    if isinstance(cell, timedelta):
        seconds = whole_seconds(cell)
    elif isinstance(cell, str) and (found := _BEYOND_MIDNIGHT.fullmatch(plain_text(cell))):
        hours, minutes, rest = (int(part or 0) for part in found.groups())
        seconds = hours * 3600 + minutes * 60 + rest
    else:
        return None
    return seconds if 86_400 < seconds < 172_800 else None


def _beyond_midnight(cell: Cell, seconds: int) -> CellError:
    remedy = "check the column"
    if 86_400 < seconds < 172_800:
        remedy = f"write {seconds // 3600 - 24:02}:{seconds // 60 % 60:02} with the next day"
    return CellError(f"{quoted(cell)} is not a time of day", remedy)


_PART_OF_DAY = re.compile(r"0?\.([0-9]{1,17}?)0*")
"""How spreadsheets store a time: 0.375 is 9:00."""
_QUARTERS = {"25", "5", "75"}
"""Parts of a day with two digits at most that people write as times; with 0.3, which is 7:12, they mean 0:30."""


def _is_short_part(text: str) -> bool:
    """Return whether a number may be a part of a day as well as hours and minutes."""
    found = _PART_OF_DAY.fullmatch(text)
    return text == "1" or (found is not None and len(found[1]) <= 2)


def _seconds_of_part(text: str, digits: str) -> int:
    seconds = nearest(Decimal(f"0.{digits}") * 86_400)
    if len(digits) <= 2 and digits not in _QUARTERS:
        raise CellError(
            f"{quoted(text)} may be a part of a day, or hours and minutes",
            f"write {seconds // 3600:02}:{seconds // 60 % 60:02}, or the time that is meant",
        )
    return seconds


def moment_of(cell: Cell, formats: tuple[str, ...] = (), *, roc: bool = False) -> datetime:
    """Return a cell as a day and time; it has a zone only if the text names one."""
    example = "104/12/04 09:30" if roc else "2018-12-04 09:30"
    if isinstance(cell, DayCell):
        raise CellError(f'"{cell.date()}" is a day without a time', f"write {example}, {_TWO_COLUMNS}")
    if isinstance(cell, datetime):
        return _of_a_spreadsheet(_to_second(cell), roc=roc)
    if isinstance(cell, time | timedelta):
        raise CellError(f"{quoted(cell)} is a time without a day", f"write {example}, {_TWO_COLUMNS}")
    text = short_text_of(cell)
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
        day, seconds = _day_of_text(found[0], (), roc), seconds_in(found[1])
        if seconds is not None or names_part_of_day(found[1]):
            return at_second(day, _seconds_of_text(found[1], ()) if seconds is None else seconds)
    if isinstance(cell, int | float) and not formats:
        remedy = "format the column as a date with a time, and save the file again"
        raise CellError(f"{quoted(text)} is a number, not a day with a time", remedy)
    if seconds_in(text) is not None:
        raise CellError(f"{quoted(text)} is a time without a day", f"write {example}, {_TWO_COLUMNS}")
    remedy = f"write {example}" if roc else _remedy(text, formats, example, "days with times", _MOMENT_FORMATS)
    raise CellError(f"{quoted(cell)} cannot be read as a day and a time", remedy)


_TWO_COLUMNS = "or name two columns in the mapping, as date and time"


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
            ambiguous = ambiguous or CellError(sentence, "write the one that is meant, as text")
        except ValueError:
            continue
    if ambiguous:
        raise ambiguous
    return None


def _moment_of_epoch(text: str, units: int) -> datetime:
    try:
        return datetime.fromtimestamp(nearest(Decimal(text) / units), UTC)
    except (OverflowError, ValueError, OSError):
        raise _out_of_range(text) from None


def at_second(day: date, seconds: int) -> datetime:
    """Return a second of a day in local time."""
    try:
        return datetime(day.year, day.month, day.day) + timedelta(seconds=seconds)  # noqa: DTZ001 - the zone comes later
    except OverflowError:
        raise _out_of_range(day) from None


def _to_second(moment: datetime) -> datetime:
    """Return a day and time, rounded to the nearest second."""
    try:
        return moment.replace(microsecond=0) + whole_seconds(timedelta(microseconds=moment.microsecond)) * _SECOND
    except OverflowError:
        raise _out_of_range(moment) from None


def _out_of_range(cell: Cell) -> CellError:
    return CellError(f"{quoted(cell)} is out of range", "check the year")
