"""Windows: how much of a volunteer's service a changed shift can concern, so that the follower reads no more of it.

Reading all shifts of the volunteers a batch touches was the follower's main cost. A changed shift concerns its
neighbours in time alone, unless something changed that holds for a volunteer's whole service (an opening balance, a
raise, a station's kind). Let M be the longest time a shift can be credited with under any of the rules, and t the
check-in of the shift, before or after the change. Then (projections/kernels/credit.py)

1. minutes that may have another holder lie within M of t: the shift's own, and those of an earlier one without a
   check-out, which ended where this one began;
2. a day's cap is filled in order, so on the local days of these minutes other pieces may count more or less, and on no
   other days;
3. a shift's shares are rounded together, so the shifts with minutes on those days are needed with all their days, and
   with whatever holds minutes on these: M and a day more in both directions. To find what begins and ends there, look
   another M back and on.

So `3 M` and a few days in each direction hold all that can change and all that it rests on. A shift further away has
the same pieces before and after, whatever is left out beside it, and the two cancel out. Days are counted generously:
they are local, some have 25 hours, and an island once left one out.

A volunteer counts once in a year of a project (projections/kernels/projects.py), so a window is widened to whole years.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from projections.rules.timeline import RuleTimeline
from projections.schema import Longs

_MINUTE, _DAY = 60, 86_400
_DAYS = 6


def reach_seconds(timeline: RuleTimeline) -> int:
    """Return how far from a changed shift's check-in anything lies that can change or that the change rests on."""
    longest = max(max(rules.shift_minutes_max, rules.missing_check_out_minutes) for rules in timeline.rule_sets)
    return 3 * longest * _MINUTE + _DAYS * _DAY


def near(first: Longs, last: Longs, timeline: RuleTimeline) -> tuple[Longs, Longs]:
    """Return the windows within which check-ins bear on minutes and days.

    Args:
        first, last: epoch seconds of the first and last check-in that changed, before or after; int64[n].

    Returns:
        The first and last epoch second of each window, int64[n].
    """
    reach = reach_seconds(timeline)
    return first - reach, last + reach


def windows(first: Longs, last: Longs, timeline: RuleTimeline) -> tuple[Longs, Longs]:
    """Return the windows within which check-ins bear on anything: those of `near`, widened to whole years."""
    return near(_year(first - _DAY, 0), _year(last + _DAY, 1), timeline)


def _year(instants: Longs, later: int) -> Longs:
    """Return the second in which each instant's year began, or one so many years later."""
    years: npt.NDArray[np.datetime64] = instants.astype("datetime64[s]").astype("datetime64[Y]") + later
    return years.astype("datetime64[s]").astype(np.int64)
