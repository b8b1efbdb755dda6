"""Local times as instants, where clocks go forward or back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from api.importing.cells import CellError


def instant_of(wall: datetime, zone: ZoneInfo, ambiguous: str, *, check_in: int | None = None) -> int:
    """Return the epoch second of a local time; a time with a zone of its own keeps that.

    Args:
        ambiguous: which of two a repeated time is: "earlier", "later", or "refuse".
        check_in: of a check-out, the instant of the check-in: a check-out follows it.

    Raises:
        CellError: the clocks skipped this time, or repeated it and nothing says which one is meant.
    """
    if wall.tzinfo is not None:
        return int(wall.timestamp())
    first, second = _occurrences(wall, zone)
    if first == second:
        return first
    if first > second:  # a gap: with fold=0 Python uses the offset before it, with fold=1 the offset after it
        if check_in is not None and _ends_a_day(wall, first, zone):
            return first
        raise CellError(f"{wall} did not exist in {zone}: the clocks went forward then", "correct it")
    if repeats_after(wall, zone, check_in):
        return second
    if ambiguous == "refuse":
        remedy = 'write the offset (2018-10-28T02:30+01:00), or set ambiguous = "earlier" or "later"'
        raise CellError(f"{wall} occurred twice in {zone}: the clocks went back then", remedy)
    return first if ambiguous == "earlier" else second


def repeats_after(wall: datetime, zone: ZoneInfo, check_in: int | None) -> bool:
    """Return whether a local time occurred before an instant and again after it."""
    if check_in is None or wall.tzinfo is not None:
        return False
    first, second = _occurrences(wall, zone)
    return first < check_in <= second


def _occurrences(wall: datetime, zone: ZoneInfo) -> tuple[int, int]:
    first = wall.replace(tzinfo=zone)
    return int(first.timestamp()), int(first.replace(fold=1).timestamp())


def _ends_a_day(wall: datetime, instant: int, zone: ZoneInfo) -> bool:
    """Return whether a skipped midnight is the end of the day before: in some zones clocks go forward at 24:00."""
    if wall.hour or wall.minute or wall.second:
        return False
    last = datetime.fromtimestamp(instant - 1, UTC).astimezone(zone)
    return last.replace(tzinfo=None) == wall - timedelta(seconds=1)
