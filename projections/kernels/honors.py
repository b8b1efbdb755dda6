"""Threshold honours: the first date on which the rules of that date are met (docs/rules-of-credit.md).

Dates may lie in the future, if only tenure is missing: a kernel reads no clock, so callers compare dates with today.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from projections.compiled import inlined, kernel
from projections.kernels.persons import last_balance
from projections.local_time import civil, months_later, number_of
from projections.rules.table import RuleTable
from projections.schema import CREDITED, DAY, DAYS, NO_DAY, NONE, ROW, SCANNED, Ints, ShiftTable, VolunteerTable


class HonorWorkspace(NamedTuple):
    """Working memory of one thread: the days of a volunteer's pieces in order, and the total credited minutes at the
    end of each.
    """

    days: Ints
    credited: Ints
    scanned: Ints


def honor_workspace() -> HonorWorkspace:
    """Allocate working memory."""
    return HonorWorkspace(*(np.zeros(DAYS, np.int32) for _ in range(3)))


@kernel
def reach_honors(
    volunteer: int,
    table: ShiftTable,
    volunteers: VolunteerTable,
    rules: RuleTable,
    pieces: Ints,
    count: int,
    work: HonorWorkspace,
    reached: Ints,
) -> None:
    """Write to `reached` (int32[honours]) the day number on which each honour was reached, or `NO_DAY`."""
    days = _sum_by_day(table, pieces, count, work)
    required, scanned_only, holds_from = rules.honors.minutes, rules.honors.scanned_only, rules.holds_from
    balance = last_balance(volunteer, volunteers, NO_DAY)
    total = volunteers.balance_minutes[balance] if balance >= 0 else 0
    total += work.credited[days - 1] if days else 0
    sets = len(holds_from)
    for honor in range(len(reached)):
        reached[honor] = NO_DAY
        for rule_set in range(sets):
            minutes = required[honor, rule_set]
            if minutes == NONE or total < minutes:
                continue
            until = holds_from[rule_set + 1] if rule_set + 1 < sets else NO_DAY
            earliest = _earliest(honor, rule_set, volunteer, volunteers, rules)
            only = scanned_only[honor, rule_set]
            years = rules.honors.active_years[honor, rule_set]
            if years > 0:
                of_year = rules.honors.active_minutes[honor, rule_set]
                totals = work.scanned if only else work.credited
                earliest = max(earliest, _active_since(years, of_year, days, work.days, totals))
            reached[honor] = _first_day(earliest, until, minutes, only, volunteer, volunteers, days, work)
            if reached[honor] != NO_DAY:
                break


@inlined
def _sum_by_day(table: ShiftTable, pieces: Ints, count: int, work: HonorWorkspace) -> int:
    """Write the total credited minutes at the end of each day; return the number of days."""
    grades, served_days, credited, scanned = table.rows[:, SCANNED], work.days, work.credited, work.scanned
    days = 0
    for number in range(count):
        day = pieces[number, DAY]
        place = days - 1  # days come nearly in order: most equal the last one, or come after it
        while place >= 0 and served_days[place] > day:
            place -= 1
        if place < 0 or served_days[place] != day:
            place += 1
            for at in range(days, place, -1):
                served_days[at], credited[at], scanned[at] = served_days[at - 1], credited[at - 1], scanned[at - 1]
            served_days[place], credited[place], scanned[place] = day, 0, 0
            days += 1
        minutes = pieces[number, CREDITED]
        credited[place] += minutes
        if grades[pieces[number, ROW]]:
            scanned[place] += minutes
    for place in range(1, days):
        credited[place] += credited[place - 1]
        scanned[place] += scanned[place - 1]
    return days


@inlined
def _earliest(honor: int, rule_set: int, volunteer: int, volunteers: VolunteerTable, rules: RuleTable) -> int:
    """Return the first day on which all conditions except minutes are met: registration, tenure, training, and the date
    of the rule set.
    """
    registered = volunteers.registered[volunteer]
    if registered == NO_DAY:
        return NO_DAY
    earliest = max(rules.holds_from[rule_set], months_later(registered, rules.honors.tenure_months[honor, rule_set]))
    tier = rules.honors.tier[honor, rule_set]
    if tier > 0:
        earliest = max(earliest, volunteers.trained[volunteer, tier - 1])
    return int(earliest)


@inlined
def _active_since(years: int, minutes: int, days: int, served_days: Ints, totals: Ints) -> int:
    """Return the first day at whose end `years` calendar years have had `minutes` each, or `NO_DAY`."""
    following, before, active = -NO_DAY, 0, False  # `following`: the first day of the next year
    for place in range(days):
        if served_days[place] >= following:
            following = number_of(civil(served_days[place])[0] + 1, 1, 1)
            before = totals[place - 1] if place else 0
            active = False
        if not active and totals[place] - before >= minutes:
            active = True
            years -= 1
            if years == 0:
                return int(served_days[place])
    return NO_DAY


@inlined
def _first_day(
    earliest: int,
    until: int,
    minutes: int,
    scanned_only: int,
    volunteer: int,
    volunteers: VolunteerTable,
    days: int,
    work: HonorWorkspace,
) -> int:
    """Return the first day from `earliest` on, before `until`, at whose end the minutes are reached, or `NO_DAY`."""
    first = _day_of_total(minutes, days, work.days, work.scanned if scanned_only else work.credited)
    if not scanned_only:
        for row in range(volunteers.balances[volunteer], volunteers.balances[volunteer + 1]):
            remaining = minutes - volunteers.balance_minutes[row]
            since = volunteers.balance_day[row]
            first = min(first, max(since, _day_of_total(remaining, days, work.days, work.credited)))
    first = max(first, earliest)
    return first if first < until else NO_DAY


@inlined
def _day_of_total(minutes: int, days: int, served_days: Ints, totals: Ints) -> int:
    """Return the first day at whose end the total has reached `minutes`, or `NO_DAY`. Totals never decrease."""
    if minutes <= 0:
        return -NO_DAY
    low, high = 0, days
    while low < high:
        middle = (low + high) // 2
        if totals[middle] < minutes:
            low = middle + 1
        else:
            high = middle
    return served_days[low] if low < days else NO_DAY
