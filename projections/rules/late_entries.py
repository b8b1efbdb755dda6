"""Late entries: shifts that were recorded too late (Order 67, Art. 11). They are credited all the same.

A shift is late if it was first recorded after the last day that its rule set allows: a number of working days after the
local day on which the service ended, by the Chinese holiday calendar with its make-up workdays. Older rules allow a
number of calendar days instead. Imported old records are never late.
"""

from __future__ import annotations

from datetime import date
from functools import lru_cache

import numpy as np

from ledger.deciding.working_days import working_days_after
from projections.local_days import local_days
from projections.local_time import day_number, day_of_number
from projections.rules.timeline import RuleSet, RuleTimeline
from projections.schema import DOUBLE_TAP, FROM_IMPORT, NO_INSTANT, PUNCH, Array, Ints, ResolvedShifts


def late(shifts: ResolvedShifts, timeline: RuleTimeline) -> Array:
    """Return bool[n]: whether each shift was recorded too late."""
    ended = service_ended(shifts)
    began = np.where(shifts.check_in == NO_INSTANT, shifts.recorded_at, shifts.check_in)
    began_on, ended_on = (local_days(instants, timeline.time_zone) for instants in (began, ended))
    recorded_on = local_days(shifts.recorded_at, timeline.time_zone)
    # A double tap is no shift, and neither is a punch that begins none.
    no_shift = (shifts.flags & DOUBLE_TAP > 0) | ((shifts.flags & PUNCH > 0) & (shifts.check_in == NO_INSTANT))
    eligible: Array = (ended != NO_INSTANT) & (shifts.flags & FROM_IMPORT == 0) & ~no_shift
    is_late = np.zeros(len(eligible), bool)
    rule_set = rule_set_numbers(began_on, timeline)
    for number, rules in enumerate(timeline.rule_sets):
        rows = np.flatnonzero(eligible & (rule_set == number))
        if rules.late_entry_working_days is None:
            seconds = shifts.recorded_at[rows].astype(np.int64) - ended[rows]
            is_late[rows] = seconds > rules.late_entry_days * 86_400
        else:
            is_late[rows] = recorded_on[rows] > last_days(ended_on[rows], rules.late_entry_working_days)
    return is_late


def service_ended(shifts: ResolvedShifts) -> Array:
    """Return the instants at which the service ended: the check-out, or the check-in if there is none."""
    return np.where(shifts.check_out == NO_INSTANT, shifts.check_in, shifts.check_out)


def last_days(ended_on: Ints, working_days: int) -> Ints:
    """Return, for each day on which service ended, the last day for recording it in time."""
    days, place = np.unique(ended_on, return_inverse=True)
    deadlines = [_last_day(day, working_days) for day in days.tolist()]
    return np.array(deadlines, np.int32)[place]


@lru_cache(maxsize=1 << 15)
def _last_day(ended_on: int, working_days: int) -> int:
    return day_number(working_days_after(day_of_number(ended_on), working_days))


def entry_deadlines(days: Ints, timeline: RuleTimeline) -> Ints:
    """Return, for each day of service, the last day on which a shift of that day is recorded in time."""
    deadlines = np.zeros(len(days), np.int32)
    rule_set = rule_set_numbers(days, timeline)
    for number, rules in enumerate(timeline.rule_sets):
        rows = np.flatnonzero(rule_set == number)
        if rules.late_entry_working_days is None:
            deadlines[rows] = days[rows] + rules.late_entry_days
        else:
            deadlines[rows] = last_days(days[rows], rules.late_entry_working_days)
    return deadlines


def rule_set_numbers(days: Ints, timeline: RuleTimeline) -> Ints:
    """Return, for each service day, the number of the rule set in force."""
    return np.maximum(np.searchsorted(_begins(timeline), days, side="right") - 1, 0).astype(np.int32)


def rules_of(day: date, timeline: RuleTimeline) -> RuleSet:
    """Return the rule set in force on a service day."""
    return timeline.rule_sets[max(int(np.searchsorted(_begins(timeline), day_number(day), side="right")) - 1, 0)]


def _begins(timeline: RuleTimeline) -> Ints:
    return np.array([day_number(rules.holds_from) for rules in timeline.rule_sets], np.int32)
