"""Spans of days: on which days that have passed two rule timelines hold different rules."""

from __future__ import annotations

from datetime import date, timedelta

from pydantic import BaseModel, ConfigDict

from projections.compare.rule_changes import differing_spans
from projections.rules.timeline import RuleTimeline

_LISTED_MAX = 5


class DaySpan(BaseModel):
    """Days, both included."""

    model_config = ConfigDict(frozen=True)

    first_day: date
    last_day: date

    def words(self) -> str:
        """Return the days as text."""
        return f"{self.first_day}" if self.first_day == self.last_day else f"{self.first_day} to {self.last_day}"


def past_days(before: RuleTimeline, after: RuleTimeline, last: date) -> list[DaySpan]:
    """Return the days up to a last one on which two timelines hold different rules."""
    return [
        DaySpan(first_day=first, last_day=last if end is None else min(last, end - timedelta(days=1)))
        for first, end in differing_spans(before, after)
        if first <= last
    ]


def in_words(days: list[DaySpan]) -> str:
    """Return days as text, the first few of many."""
    more = len(days) - _LISTED_MAX
    return ", ".join(span.words() for span in days[:_LISTED_MAX]) + (f" and {more} more periods" if more > 0 else "")
