"""Windows: the part of a volunteer's service that a changed shift can affect, so that the follower reads only that.

Reading all shifts of the volunteers affected by a batch was the follower's main cost. A changed shift only affects
shifts near it in time, unless something changed that concerns all of a volunteer's service (an opening balance, a
raise, a station's kind). Let M be the longest time that any rule set credits for a shift, and t the check-in of the
changed shift, before or after the change. Then (projections/kernels/credit.py)

1. minutes that may be held by another shift afterwards are within M of t: the shift's own, and those of an earlier
   shift without a check-out, which ended where this one began;
2. the day cap is filled in order, so on the local days of these minutes, and on no other days, the counted minutes of
   other pieces may change;
3. a shift's shares are rounded together, so the shifts with minutes on those days are needed with all their days, and
   with all shifts that hold minutes on these: M and a day more in both directions. To find the shifts that begin or end
   there, another M is needed in both directions.

So a window of `3 M` and a few days in each direction contains everything that can change and everything it depends on.
Any shift outside it that is read has the same pieces before and after, even if its neighbours are not read, and cancels
out. The number of days is generous: days are local, some have 25 hours, and one time zone once skipped a day.

A volunteer counts once in a year of a project (projections/kernels/projects.py), so windows are widened to whole years.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from projections.rules.timeline import RuleTimeline
from projections.schema import Longs

_MINUTE, _DAY = 60, 86_400
_DAYS = 6


def margin_seconds(timeline: RuleTimeline) -> int:
    """Return the distance in seconds from a changed shift's check-in within which shifts can affect the change."""
    longest = max(max(rules.shift_minutes_max, rules.missing_check_out_minutes) for rules in timeline.rule_sets)
    return 3 * longest * _MINUTE + _DAYS * _DAY


def credit_windows(first: Longs, last: Longs, timeline: RuleTimeline) -> tuple[Longs, Longs]:
    """Return the windows of check-ins that affect credited minutes and days.

    Args:
        first, last: epoch seconds of the first and last check-in that changed, before or after; int64[n].

    Returns:
        The first and last epoch second of each window, int64[n].
    """
    margin = margin_seconds(timeline)
    return first - margin, last + margin


def windows(first: Longs, last: Longs, timeline: RuleTimeline) -> tuple[Longs, Longs]:
    """Return the windows of check-ins that affect any row: those of `credit_windows`, widened to whole years."""
    return credit_windows(_year(first - _DAY, 0), _year(last + _DAY, 1), timeline)


def _year(instants: Longs, later: int) -> Longs:
    """Return the first second of each instant's year, or of the year `later` years later."""
    years: npt.NDArray[np.datetime64] = instants.astype("datetime64[s]").astype("datetime64[Y]") + later
    return years.astype("datetime64[s]").astype(np.int64)
