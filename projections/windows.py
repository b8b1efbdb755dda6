"""Windows: how much of a factor change each factor window gave or took, told from the one loop that credits.

A piece knows its share, not which windows it comes from. Nearly always only one can have held in it: then the whole
change is that one's. Where a piece leaves the choice, the volunteer is credited once more under the same rules with
other percentages: 100 in the windows asked for and 0 everywhere else make the share the minutes counted in these
windows. Two numbers fit into one share, and windows that never hold on the same day share a number, so one more credit
mostly tells all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from projections.calendar import local_span
from projections.compiled import inlined, kernel
from projections.credit import rule_set_of
from projections.rule_table import FactorTable, RuleTable
from projections.rules import RuleTimeline
from projections.schema import (
    COUNTED,
    DAY,
    DAYS,
    FIRST,
    NONE,
    PROJECT,
    RAW,
    ROW,
    SHARE,
    START,
    STATION,
    Ints,
    Longs,
    ShiftTable,
)

_DAY_MINUTES: Final = 2048
"""More than any local day has, so that two counts of a day's minutes fit into one share."""


class Windows(NamedTuple):
    """The factor windows of a timeline, one a row, and behind those of each rule set one that always holds.

    rules: the timeline's, with these windows; `weigh` writes its percentages. group: which windows are told by one
    number, int32[rows]; `NONE` for those that change nothing. at: int32[groups, DAYS]: the row that holds on a day,
    or `NONE`. effect: by how much a minute in the window is worth more than itself, in hundredths. name: the window's
    number among the names of both sides.
    """

    rules: RuleTable
    group: Ints
    at: Ints
    effect: Ints
    name: Ints


def window_names(timelines: Sequence[RuleTimeline]) -> list[str]:
    """Return the names of all factor windows, in order of first appearance."""
    sets = [rule_set for timeline in timelines for rule_set in timeline.rule_sets]
    return list(dict.fromkeys(factor.name for rule_set in sets for factor in rule_set.factors))


def window_numbers(timeline: RuleTimeline, names: Sequence[str]) -> Ints:
    """Return the number of each window's name, in the order of the rows of a `FactorTable`."""
    factors = [factor for rule_set in timeline.rule_sets for factor in rule_set.factors]
    return np.array([names.index(factor.name) for factor in factors], np.int32)


def windows_of(rules: RuleTable, numbers: Ints) -> Windows:
    """Compile the windows of a timeline; each thread needs its own.

    Args:
        numbers: of each window's name, as `window_numbers`.
    """
    table = rules.factors
    sets = len(rules.holds_from)
    rows = [row for number in range(sets) for row in [*range(table.first[number], table.first[number + 1]), NONE]]
    count = len(numbers)
    always = FactorTable(
        first=table.first,
        percent=_one(100),
        first_day=_one(0),
        last_day=_one(DAYS),
        weekdays=_one(127),
        minute_from=_one(0),
        minute_until=_one(1440),
        station_kinds=_one(-1),
        project=np.ones((1, table.project.shape[1]), np.uint8),
    )
    order = np.array([count if row == NONE else row for row in rows], np.int64)
    columns = {
        name: np.concatenate([getattr(table, name), getattr(always, name)])[order] for name in FactorTable._fields[1:]
    }
    factors = FactorTable(first=(table.first + np.arange(sets + 1)).astype(np.int32), **columns)
    effect = (factors.percent - 100).astype(np.int32)
    group, at = _groups(rules.holds_from, factors, effect)
    return Windows(
        rules=rules._replace(factors=factors),
        group=group,
        at=at,
        effect=effect,
        name=np.append(numbers, np.int32(NONE))[order].astype(np.int32),
    )


def _one(value: int) -> Ints:
    return np.array([value], np.int32)


def _groups(holds_from: Ints, factors: FactorTable, effect: Ints) -> tuple[Ints, Ints]:
    """Give each window that changes anything the first group in which no other holds on one of its days."""
    group = np.full(len(effect), NONE, np.int32)
    at: list[Ints] = []
    for number in range(len(holds_from)):
        until = holds_from[number + 1] if number + 1 < len(holds_from) else DAYS
        for row in range(factors.first[number], factors.first[number + 1]):
            low, high = max(factors.first_day[row], holds_from[number], 0), min(factors.last_day[row] + 1, until, DAYS)
            if effect[row] == 0 or low >= high:
                continue
            group[row] = next((place for place, days in enumerate(at) if (days[low:high] == NONE).all()), len(at))
            if group[row] == len(at):
                at.append(np.full(DAYS, NONE, np.int32))
            at[group[row]][low:high] = row
    return group, np.array(at, np.int32).reshape(-1, DAYS)


@kernel
def add_plain_effects(
    sign: int,
    windows: Windows,
    table: ShiftTable,
    station_kind: Ints,
    pieces: Ints,
    count: int,
    effects: Longs,
    place: int,
) -> bool:
    """Add the factor changes of a volunteer's pieces, in hundredths of minutes, to `effects[place]`, by the names'
    numbers; add nothing and return False if two windows may have held in one piece.
    """
    for adding in range(2):  # at first to see whether each piece has one window
        for number in range(count):
            change = pieces[number, SHARE] - pieces[number, COUNTED]
            if change == 0:
                continue
            row = _only_window(windows, table, station_kind, pieces, number)
            if row == NONE:
                return False
            if adding:
                effects[place, windows.name[row]] += sign * change * 100
    return True


@inlined
def _only_window(windows: Windows, table: ShiftTable, station_kind: Ints, pieces: Ints, number: int) -> int:
    """Return the one window that can have held in a piece, or `NONE` if there may be two."""
    rules, effect = windows.rules, windows.effect
    factors = rules.factors
    day, row = pieces[number, DAY], pieces[number, ROW]
    rule_set = rule_set_of(day, rules)
    kind, project = station_kind[table.rows[row, STATION]], table.rows[row, PROJECT]
    weekday = 1 << ((day + 3) % 7)
    begin, end = 0, 1440  # what the piece may cover of its day; less is known of the day of the check-in
    if pieces[number, FIRST]:
        start = table.rows[row, START]
        _, within, until = local_span(start, rules.zone)
        if until - start == 1440 - within:  # clocks do not change on the rest of the day
            begin, end = within, within + pieces[number, RAW]
    found = NONE
    for window in range(factors.first[rule_set], factors.first[rule_set + 1]):
        if (
            effect[window] == 0
            or day < factors.first_day[window]
            or day > factors.last_day[window]
            or not factors.weekdays[window] & weekday
            or not factors.station_kinds[window] & kind
            or not factors.project[window, project + 1]
        ):
            continue
        first, last = factors.minute_from[window], factors.minute_until[window]
        meets = (begin < last or end > first) if last <= first else (begin < last and end > first)
        if meets:
            if found != NONE:
                return NONE
            found = window
    return found


@kernel
def weigh(windows: Windows, group: int) -> None:
    """Make shares tell the minutes counted in a group of windows and, above them, in the next."""
    percent, groups = windows.rules.factors.percent, windows.group
    for row in range(len(percent)):
        percent[row] = 0
        if groups[row] != NONE:
            if groups[row] == group:
                percent[row] = 100
            elif groups[row] == group + 1:
                percent[row] = 100 * _DAY_MINUTES


@kernel
def add_effects(sign: int, group: int, windows: Windows, pieces: Ints, count: int, effects: Longs, place: int) -> None:
    """Add what the windows weighed gave, in hundredths of minutes, to `effects[place]`, by the names' numbers."""
    at, effect, names = windows.at, windows.effect, windows.name
    for number in range(count):
        share, day = pieces[number, SHARE], pieces[number, DAY]
        for half in range(2):
            minutes = share % _DAY_MINUTES if half == 0 else share // _DAY_MINUTES
            if minutes > 0:
                row = at[group + half, day]
                effects[place, names[row]] += sign * minutes * effect[row]
