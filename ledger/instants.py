"""Instants as callers write them: seconds since 1970, or text of RFC 3339.

Fractions of a second are dropped. A leap second is read as the second before it: no clock of this ledger has one. Only
23:59:60 UTC on the last day of a month may be one, in any zone; whoever writes another `:60` meant another second. `t`
and `z` may be lower-case (RFC 3339, 5.6).
"""

from __future__ import annotations

import math
import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta

EXAMPLE = "2018-12-04T09:00:00+08:00"

# The kernels use tables indexed by day, so the log refuses instants outside of these tables. Years are local years: the
# bounds admit what is in the years 2000 to 2099 in any time zone, from 14 hours before to 12 hours behind UTC.
FIRST_YEAR, LAST_YEAR = 2000, 2099
EARLIEST_INSTANT = int(datetime(1999, 12, 31, 10, tzinfo=UTC).timestamp())
LATEST_INSTANT = int(datetime(2100, 1, 1, 12, tzinfo=UTC).timestamp()) - 1


class NoLeapSecondError(ValueError):
    """A text names the second 60 of a minute that cannot have one."""

    def __init__(self, text: str) -> None:
        super().__init__(
            f"has the second 60: {text[:_QUOTED_MAX]!r}; only 23:59:60 UTC on the last day of a month can be a leap "
            "second, so write the second that is meant, 00 to 59"
        )


_LEAP_SECOND = re.compile(r"(?<=[0-9]:[0-9]{2}:)60(?![0-9])")
_LEAP_INSTANT = re.compile(r"\b[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:60(?![0-9])[^\s\"]{0,20}")
_FINER = (("milliseconds", 1000), ("microseconds", 1_000_000), ("nanoseconds", 1_000_000_000))
_QUOTED_MAX = 40


def read_instant(value: object) -> int:
    """Return an instant in epoch seconds.

    Raises:
        ValueError: the value is none, or lies outside of the years of this ledger; the message continues the sentence
            that begins with the name of the field.
    """
    if isinstance(value, str):
        return _within(_of_text(value), value)
    if isinstance(value, float) and math.isfinite(value):
        return _within(math.floor(value), value)
    if isinstance(value, int) and not isinstance(value, bool):
        return _within(value, value)
    raise ValueError(f"is not an instant; write seconds since 1970, or text such as {EXAMPLE}")


def parse_instant(text: str) -> datetime:
    """Return the instant that a text of RFC 3339 (or ISO 8601) names, whether or not it has a zone.

    Raises:
        ValueError: it names none.
    """
    for written in (text, text.upper()):
        with suppress(ValueError):
            return datetime.fromisoformat(written)
    before = datetime.fromisoformat(_LEAP_SECOND.sub("59", text.upper(), count=1))
    if not _may_be_followed_by_a_leap_second(before):
        raise NoLeapSecondError(text)
    return before


def _may_be_followed_by_a_leap_second(instant: datetime) -> bool:
    """Return whether an instant is 23:59:59 UTC at the end of a month, or without a zone the end of any minute :59."""
    if instant.tzinfo is None:
        return instant.minute == 59
    try:
        following = instant.astimezone(UTC).replace(microsecond=0) + timedelta(seconds=1)
    except OverflowError:
        return False
    return (following.day, following.hour, following.minute, following.second) == (1, 0, 0, 0)


def leap_seconds_in(text: str) -> list[str]:
    """Return the instants in a text that name a leap second, as they are written."""
    return [found for found in _LEAP_INSTANT.findall(text) if _is_instant(found)] if ":60" in text else []


def _is_instant(text: str) -> bool:
    try:
        parse_instant(text)
    except ValueError:
        return False
    return True


def _of_text(text: str) -> int:
    try:
        instant = parse_instant(text)
    except NoLeapSecondError as error:
        raise ValueError(str(error)) from None
    except ValueError:
        shown = text if len(text) <= _QUOTED_MAX else f"{text[:_QUOTED_MAX]}…"
        if text.strip().isdecimal():
            message = f"is the text {shown!r}; write a number without quotation marks, or text such as {EXAMPLE}"
        else:
            message = f"is not an ISO 8601 instant: {shown!r}; write one such as {EXAMPLE}"
        raise ValueError(message) from None
    if instant.tzinfo is None:
        raise ValueError(f"has no zone; write an instant such as {EXAMPLE}")
    try:
        return math.floor(instant.timestamp())
    except OverflowError:
        return 0


def _within(instant: int, value: float | str) -> int:
    if EARLIEST_INSTANT <= instant <= LATEST_INSTANT:
        return instant
    shown = _shown(value)
    for unit, number in _FINER:
        if EARLIEST_INSTANT <= instant // number <= LATEST_INSTANT and not isinstance(value, str):
            seconds = instant // number
            raise ValueError(
                f"is {shown}, which looks like {unit}; write seconds since 1970, here {seconds}, "
                f"or text such as {EXAMPLE}"
            )
    raise ValueError(
        f"is {shown}, which lies outside of the years {FIRST_YEAR} to {LAST_YEAR}; "
        f"write seconds since 1970, or text such as {EXAMPLE}"
    )


def _shown(value: float | str) -> str:
    """Return a value as it is quoted, short: whole numbers of more than 4,300 digits cannot even be written."""
    if isinstance(value, str):
        return value[:_QUOTED_MAX]
    return str(value) if abs(value) < 10**_QUOTED_MAX else "a number of more than 40 digits"
