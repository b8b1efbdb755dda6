"""Honours that are thresholds: the first date on which the rules in force on that date are met (DESIGN.md, "Honours").

Dates may lie in the future, where only time is still missing (tenure): a kernel reads no clock, whoever asks compares.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from projections.calendar import months_later
from projections.compiled import kernel
from projections.rule_table import RuleTable
from projections.schema import CREDITED, DAY, DAYS, NO_DAY, NONE, ROW, Ints, ShiftTable, VolunteerTable


class HonorWorkspace(NamedTuple):
    """Working memory of one thread: minutes credited by day, zero between volunteers, and the days touched."""

    credited: Ints
    scanned: Ints
    days: Ints


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
    total = 0
    for number in range(days):
        total += max(work.credited[work.days[number]], 0)
    sets = len(rules.holds_from)
    for honor in range(len(reached)):
        reached[honor] = NO_DAY
        for rule_set in range(sets):
            minutes = rules.honors.minutes[honor, rule_set]
            if minutes == NONE or total + volunteers.opening_minutes[volunteer] < minutes:
                continue
            until = rules.holds_from[rule_set + 1] if rule_set + 1 < sets else NO_DAY
            earliest = _earliest(honor, rule_set, volunteer, volunteers, rules)
            day = _first_day(
                earliest, until, minutes, rules.honors.scanned_only[honor, rule_set], volunteer, volunteers, days, work
            )
            if day != NO_DAY:
                reached[honor] = day
                break
    for number in range(days):
        work.credited[work.days[number]] = 0
        work.scanned[work.days[number]] = 0


@kernel
def _sum_by_day(table: ShiftTable, pieces: Ints, count: int, work: HonorWorkspace) -> int:
    """Sum credited minutes by day; return how many days, which stand in `work.days` in order."""
    days = 0
    last = -1
    for number in range(count):
        day = pieces[number, DAY]
        # Days come nearly in order: look for the day's place from the end.
        if day != last:
            place = days
            while place > 0 and work.days[place - 1] > day:
                place -= 1
            if place == 0 or work.days[place - 1] != day:
                for at in range(days, place, -1):
                    work.days[at] = work.days[at - 1]
                work.days[place] = day
                days += 1
            last = day
        work.credited[day] += pieces[number, CREDITED]
        if table.scanned[pieces[number, ROW]]:
            work.scanned[day] += pieces[number, CREDITED]
    return days


@kernel
def _earliest(honor: int, rule_set: int, volunteer: int, volunteers: VolunteerTable, rules: RuleTable) -> int:
    """Return the first day on which all but the minutes can be met: registration, tenure, training, the set's own
    date.
    """
    registered = volunteers.registered[volunteer]
    if registered == NO_DAY:
        return NO_DAY
    earliest = max(rules.holds_from[rule_set], months_later(registered, rules.honors.tenure_months[honor, rule_set]))
    tier = rules.honors.tier[honor, rule_set]
    if tier > 0:
        earliest = max(earliest, volunteers.trained[volunteer, tier - 1])
    return int(earliest)


@kernel
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
    """Return the first day from `earliest` on, before `until`, at whose end the minutes are met, or `NO_DAY`."""
    if earliest >= until:
        return NO_DAY
    opening_day = NO_DAY if scanned_only else volunteers.opening_day[volunteer]
    total = 0
    number = 0
    day = earliest
    while day < until:
        while number < days and work.days[number] <= day:
            total += work.scanned[work.days[number]] if scanned_only else work.credited[work.days[number]]
            number += 1
        opening = volunteers.opening_minutes[volunteer] if opening_day <= day else 0
        if total + opening >= minutes:
            return day
        following = work.days[number] if number < days else NO_DAY
        if day < opening_day < following:
            following = opening_day
        day = following
    return NO_DAY
