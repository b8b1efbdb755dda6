"""Periods of days in requests: validation and defaults."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from api.messages.problems import problem
from projections.rules.timeline import RuleTimeline

DAYS_MAX = 3_700
"""Ten years: with one row per day, that is still an answer, not an export."""
DAYS_BY_DEFAULT = 30


def check_period(first: date | None, last: date | None) -> None:
    """Refuse a period that ends before it begins."""
    if first and last and last < first:
        raise problem("invalid", f"from {first} is after to {last}; swap them", field="from", remedy="swap them")


def period(first: date | None, last: date | None, today: date) -> tuple[date, date]:
    """Return the first and the last day of the requested period, by default the thirty days up to today.

    Raises:
        Problem: the period ends before it begins, or is longer than DAYS_MAX.
    """
    end = last or today
    begin = first or end - timedelta(days=DAYS_BY_DEFAULT - 1)
    check_period(begin, end)
    if (end - begin).days >= DAYS_MAX:
        raise problem("invalid", f"from {begin} to {end} is longer than {DAYS_MAX} days; shorten it", field="to")
    return begin, end


def local_day(instant: int, timeline: RuleTimeline) -> date:
    """Return the day of an instant in the ledger's time zone."""
    return datetime.fromtimestamp(instant, UTC).astimezone(ZoneInfo(timeline.time_zone)).date()
