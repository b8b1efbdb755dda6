"""Late entries: which records of service came to the ledger too late (Order 67, Art. 11). Late takes nothing away.

A record is late where the ledger first heard of the shift after the last day that its rule set allows: so many working
days after the local day on which the service ended, by the Chinese holiday calendar with its make-up days. Rules from
before there were working days in them allow calendar days instead. Old records that were imported are never late.
"""

from __future__ import annotations

from datetime import date

import numpy as np

from ledger.deciding.working_days import working_days_after
from projections.local_days import local_days
from projections.local_time import day_number, day_of_number
from projections.rules.timeline import RuleSet, RuleTimeline
from projections.schema import FROM_IMPORT, NO_INSTANT, Array, Ints, ResolvedShifts


def late(shifts: ResolvedShifts, timeline: RuleTimeline) -> Array:
    """Return bool[n]: whether each shift was recorded too late."""
    ended = service_ended(shifts)
    began = np.where(shifts.check_in == NO_INSTANT, shifts.recorded_at, shifts.check_in)
    began_on, ended_on = (local_days(instants, timeline.time_zone) for instants in (began, ended))
    recorded_on = local_days(shifts.recorded_at, timeline.time_zone)
    asked: Array = (ended != NO_INSTANT) & (shifts.flags & FROM_IMPORT == 0)
    found = np.zeros(len(asked), bool)
    which = np.maximum(np.searchsorted(_begins(timeline), began_on, side="right") - 1, 0)
    for number, rules in enumerate(timeline.rule_sets):
        rows = np.flatnonzero(asked & (which == number))
        if rules.late_entry_working_days is None:
            seconds = shifts.recorded_at[rows].astype(np.int64) - ended[rows]
            found[rows] = seconds > rules.late_entry_days * 86_400
        else:
            found[rows] = recorded_on[rows] > last_days(ended_on[rows], rules.late_entry_working_days)
    return found


def service_ended(shifts: ResolvedShifts) -> Array:
    """Return when the service ended, as far as is known: at the check-out, or else not before the check-in."""
    return np.where(shifts.check_out == NO_INSTANT, shifts.check_in, shifts.check_out)


def last_days(ended_on: Ints, working_days: int) -> Ints:
    """Return the last day on which service that ended on each day is recorded in time."""
    days, place = np.unique(ended_on, return_inverse=True)
    known = [day_number(working_days_after(day_of_number(day), working_days)) for day in days.tolist()]
    return np.array(known, np.int32)[place]


def rules_of(day: date, timeline: RuleTimeline) -> RuleSet:
    """Return the rule set in force on a service day."""
    return timeline.rule_sets[max(int(np.searchsorted(_begins(timeline), day_number(day), side="right")) - 1, 0)]


def _begins(timeline: RuleTimeline) -> Ints:
    return np.array([day_number(rules.holds_from) for rules in timeline.rule_sets], np.int32)
