"""The times of a day that the rules weigh otherwise, such as the night: no duration without clock times is laid there.

Its clock time is the import's, so nobody may earn or lose by it. A window without clock times, such as a day of the
Spring Festival, is no matter of the clock: the day was recorded.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from projections.rules.timeline import Factor, RuleTimeline

_MINUTES_OF_DAY = 1440
_NIGHT = "22:00-06:00"
_NIGHT_FROM, _NIGHT_UNTIL = 22 * 60, 6 * 60
"""What is left free where no rules are known: events that are written for another ledger."""


class Window(NamedTuple):
    """A window of one day in epoch seconds, and how it is named: night 22:00-06:00 (120 %)."""

    begin: int
    end: int
    name: str


class EarningWindows:
    """The windows with clock times of the rules in force, or the night if none are known."""

    def __init__(self, rules: RuleTimeline | None, zone: ZoneInfo) -> None:
        self._sets = () if rules is None else rules.rule_sets
        self._begins = [each.holds_from for each in self._sets]
        self._known = rules is not None
        self._zone = zone if rules is None else ZoneInfo(rules.time_zone)

    def around(self, day: date) -> list[Window]:
        """Return the windows of a day and of those beside it, which other time zones may call the same."""
        days = (day + timedelta(days=number) for number in (-1, 0, 1))
        return [window for each in days for window in self._of(each)]

    def _of(self, day: date) -> Iterator[Window]:
        if not self._known:
            yield from self._spans(day, _NIGHT_FROM, _NIGHT_UNTIL, f"the night {_NIGHT}")
            return
        if not (number := bisect_right(self._begins, day)):
            return
        for factor in self._sets[number - 1].factors:
            if factor.percent != 100 and _has_clock(factor) and _holds(factor, day):
                clock = f"{_clock(factor.minute_from)}-{_clock(factor.minute_until)}"
                name = f"{factor.name} {clock} ({factor.percent} %)"
                yield from self._spans(day, factor.minute_from, factor.minute_until, name)

    def _spans(self, day: date, minute_from: int, minute_until: int, name: str) -> Iterator[Window]:
        through_midnight = minute_until <= minute_from
        parts = [(minute_from, minute_until)]
        if through_midnight:
            parts = [(0, minute_until), (minute_from, _MINUTES_OF_DAY)]
        for begin, end in parts:
            if begin < end:
                yield Window(self._instant(day, begin), self._instant(day, end), name)

    def _instant(self, day: date, minute: int) -> int:
        wall = datetime.combine(day, time()) + timedelta(minutes=minute)
        return int(wall.replace(tzinfo=self._zone).timestamp())


def _has_clock(factor: Factor) -> bool:
    return factor.minute_from % _MINUTES_OF_DAY != factor.minute_until % _MINUTES_OF_DAY


def _holds(factor: Factor, day: date) -> bool:
    begun = factor.first_day is None or factor.first_day <= day
    ended = factor.last_day is not None and factor.last_day < day
    return begun and not ended and (not factor.weekdays or day.isoweekday() in factor.weekdays)


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"
