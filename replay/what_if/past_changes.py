"""Past changes: what rules that are not in force yet change on days that have passed.

A change of an old rule set changes hours that were known and perhaps announced, so it is told before the rules are
published. Nothing here writes.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from projections.compare.sides import AFTER, BEFORE, TRACE_COLUMNS
from replay.what_if.comparison import Comparison
from replay.what_if.day_spans import DaySpan, in_words, past_days

_CREDITED = TRACE_COLUMNS.index("credited")


class PastChange(BaseModel):
    """What changes on days that have passed: credited minutes, those of so many volunteers, and honours."""

    model_config = ConfigDict(frozen=True)

    days: list[DaySpan]
    volunteers: int
    minutes_gained: int
    minutes_lost: int
    honors: int

    def sentence(self) -> str:
        """Return the change as a sentence."""
        begun = f"these rules differ from those in force on days that have passed: {in_words(self.days)}"
        if not self.volunteers and not self.honors:
            return f"{begun}; no credited minutes change"
        people = f"{self.volunteers:,} {'volunteer' if self.volunteers == 1 else 'volunteers'}"
        gained, lost = hours(self.minutes_gained), hours(self.minutes_lost)
        told = f"{begun}; the credited minutes of {people} change: {gained} are gained, {lost} are lost"
        return told + (f", and {self.honors:,} honours change" if self.honors else "")


def past_change(found: Comparison) -> PastChange | None:
    """Return what changes on days of known service; None if the rules of the two sides are the same on all of them."""
    last = found.after.last_service()
    days = [] if last is None else past_days(found.before.timeline, found.after.timeline, last)
    if not days:
        return None
    credited = found.found.traces[:, AFTER, _CREDITED] - found.found.traces[:, BEFORE, _CREDITED]
    return PastChange(
        days=days,
        volunteers=int((credited != 0).sum()),
        minutes_gained=int(credited[credited > 0].sum()),
        minutes_lost=int(-credited[credited < 0].sum()),
        honors=len(found.found.honors),
    )


def hours(minutes: int) -> str:
    """Return minutes as hours:minutes."""
    return f"{minutes // 60}:{minutes % 60:02d}"
