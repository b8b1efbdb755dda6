"""Notations: days and times in the forms that people write, beyond 2015-03-05 and 09:30.

Times with 上午, 下午, AM or PM, or with words for hours and minutes (下午2点半); years of the Republic of China
(民國104年).
Each function takes normalised text, and returns None if the text has another form.
"""

from __future__ import annotations

import re
from datetime import date

ROC_OFFSET = 1911
"""Year 1 of the Republic of China is 1912."""
FIRST_CALENDAR_YEAR = 1900
"""A number below it is a year of another calendar, or a typing error."""
FIRST_CENTURY_YEAR = 2000
"""Under the calendar of the Republic of China, a spreadsheet may have made an earlier year of one of two digits."""

_FORENOON = {hour: hour for hour in range(12)}
_AFTERNOON = {12: 12, **{hour: hour + 12 for hour in range(12)}, **{hour: hour for hour in range(13, 24)}}
_EVENING = {12: 24, **{hour: hour + 12 for hour in range(5, 12)}, **{hour: hour for hour in range(17, 25)}}
_PARTS: tuple[tuple[str, dict[int, int]], ...] = (
    (r"a\.?\s?m\.?", _FORENOON | {12: 0}),
    (r"p\.?\s?m\.?", _AFTERNOON),
    ("上午|早上|早晨|清晨|午前|오전", _FORENOON),  # at 12, programs mean midnight and people noon
    ("下午|傍晚|午後|午后|오후", _AFTERNOON),
    ("凌晨", {12: 0, **{hour: hour for hour in range(7)}}),
    ("中午|正午", {11: 11, 12: 12, 1: 13, 2: 14, 13: 13, 14: 14}),
    ("晚上|晚间|晚間", _EVENING),
)
"""Words for parts of the day, and the hours in them, of 12 or 24, as hours of 24."""
_PART = "|".join(words for words, _ in _PARTS)
_CLOCK = r"\d{1,2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?|\d{1,2}\.\d{2}(?:\.\d{2})?"
_WORDS = r"\d{1,2}\s*[时時点點시](?:\s*(?:\d{1,2}\s*[分분](?:\s*\d{1,2}\s*秒)?|半|一刻|三刻|整|钟|鐘))?"
_TIME = re.compile(rf"({_PART})?\s*({_CLOCK}|{_WORDS}|\d{{1,2}})\s*({_PART})?", re.IGNORECASE)
_QUARTERS = {"一刻": 15, "半": 30, "三刻": 45}

_ROC = r"(?:(?:中[華华])?民[國国]|R\.?O\.?C\.?)\s*"
_MONTH_AND_DAY = r"\s*[-/.年]\s*(\d{1,2})\s*[-/.月]\s*(\d{1,2})\s*[日号號]?"
_NAMED_ROC_DAY = re.compile(rf"{_ROC}(\d{{1,4}}){_MONTH_AND_DAY}", re.IGNORECASE)
_ROC_DAY = re.compile(rf"(?:{_ROC})?(\d{{2,4}}){_MONTH_AND_DAY}", re.IGNORECASE)
_ROC_DIGITS = re.compile(r"(\d{2,4})(\d{2})(\d{2})")
_WEEKDAY = r"\s*(?:\((?:星期|周|週)?([一二三四五六日天])\)|(?:星期|周|週|礼拜|禮拜)([一二三四五六日天]))"
_WEEKDAYS = "一二三四五六日"
_DAY_AND_WEEKDAY = re.compile(rf"(.+?){_WEEKDAY}")
_DAY_AND_TIME = re.compile(
    rf"((?:{_ROC})?\d{{2,4}}{_MONTH_AND_DAY}(?:{_WEEKDAY})?)(?:[T\s]\s*|(?<=[日号號)一二三四五六天])|(?=[^\d\s]))(.+)",
    re.IGNORECASE,
)


def seconds_in(text: str) -> int | None:
    """Return a time of the day in seconds since midnight, rounded; 86400 for 24:00.

    A word for the part of the day makes 12 hours into 24. A time with two meanings, such as 上午12:30, is None.
    """
    found = _TIME.fullmatch(text)
    if not found or (found[1] and found[3]):
        return None
    part, clock = (found[1] or found[3] or "").lower(), found[2]
    if not part and (clock.isdigit() or ("." in clock and ":" not in clock)):
        return None  # 9 or 9.30 alone may be a duration
    numbers = [int(number) for number in re.findall(r"\d+", clock)]
    quarter = next((minute for word, minute in _QUARTERS.items() if clock.endswith(word)), 0)
    hour, minute, second = (*numbers, quarter, 0)[:3] if len(numbers) == 1 else (*numbers, 0)[:3]
    hours = _hour_of_day(part, hour) if part else hour
    if hours is None or minute > 59 or second > 59:
        return None
    seconds = hours * 3600 + minute * 60 + second + _half_second(clock)
    return seconds if seconds <= 86_400 else None


def _half_second(clock: str) -> int:
    """Return 1 if a time has a half or more of a further second, else 0."""
    fraction = clock.partition(".")[2] if ":" in clock else ""
    return int(fraction >= "5")


def names_part_of_day(text: str) -> bool:
    """Return whether a text holds a word such as 上午 or PM."""
    return re.search(_PART, text, re.IGNORECASE) is not None


def _hour_of_day(part: str, hour: int) -> int | None:
    """Return the hour, of 24, of an hour in a part of the day; None if it does not lie in it, or in two ways."""
    return next(hours.get(hour) for words, hours in _PARTS if re.fullmatch(words, part))


def roc_day_in(text: str, *, named: bool) -> date | None:
    """Return a day whose year counts from the Republic of China; a year from 1900 on is a common year.

    Args:
        named: only if the text says so (民國104年11月22日).

    Raises:
        ValueError: the day is not in the calendar.
    """
    found = _NAMED_ROC_DAY.fullmatch(text) if named else _ROC_DAY.fullmatch(text) or _ROC_DIGITS.fullmatch(text)
    if not found:
        return None
    year, month, day = map(int, found.groups())
    return date(year if year >= FIRST_CALENDAR_YEAR else year + ROC_OFFSET, month, day)


def has_short_year(text: str) -> bool:
    """Return whether a text is a day whose year has three digits: 104/11/22 or 0104/11/22."""
    return re.match(r"0?\d{3}\D", text) is not None and _ROC_DAY.fullmatch(text) is not None


def day_and_time_in(text: str) -> tuple[str, str] | None:
    """Return the day and the time of a text that has both."""
    found = _DAY_AND_TIME.fullmatch(text)
    return (found[1].strip(), found[6].strip()) if found else None


def without_weekday(text: str) -> tuple[str, int | None]:
    """Return a day without its weekday, as in 2015/3/5(四) or 2015-03-05 星期四, and the weekday from 0 on."""
    if found := _DAY_AND_WEEKDAY.fullmatch(text):
        return found[1], _WEEKDAYS.index((found[2] or found[3]).replace("天", "日"))
    return text, None
