"""Instants as callers write them: seconds since 1970, or text of RFC 3339.

Fractions of a second are dropped. A leap second, `23:59:60`, is read as the second before it: no clock of this ledger
has one. `t` and `z` may be lower-case (RFC 3339, 5.6).
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

EXAMPLE = "2018-12-04T09:00:00+08:00"

# The kernels use tables indexed by day, so the log refuses instants outside of these tables. Years are local years: the
# bounds admit what is in the years 2000 to 2099 in any time zone, from 14 hours before to 12 hours behind UTC.
FIRST_YEAR, LAST_YEAR = 2000, 2099
EARLIEST_INSTANT = int(datetime(1999, 12, 31, 10, tzinfo=UTC).timestamp())
LATEST_INSTANT = int(datetime(2100, 1, 1, 12, tzinfo=UTC).timestamp()) - 1

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
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return datetime.fromisoformat(_LEAP_SECOND.sub("59", text.upper(), count=1))


def leap_seconds_in(text: str) -> list[str]:
    """Return the instants in a text that name a leap second, as they are written."""
    return _LEAP_INSTANT.findall(text) if ":60" in text else []


def _of_text(text: str) -> int:
    try:
        instant = parse_instant(text)
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
