"""Window effects: how much of a factor change each factor window added or removed, derived from the credit kernel.

A piece has its share, but not the windows that it comes from. Nearly always only one window can have held in it, and
the whole change is due to that one. If a piece leaves a choice, the volunteer is credited again under the same rules
with other percentages: with 100 in one window and 0 everywhere else, the share is the number of minutes counted in that
window. Two such numbers fit into one share, and windows that never hold on the same day form a group and share a
number, so one more credit is mostly enough.

The effects on a piece are whole minutes and sum to its change, in which the fraction of a minute is cut off. If several
windows held, the fractions are cut off one by one, and what is left goes to the last, for which a window that differs
between the sides is taken: one that does not has the same effect on both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from projections.compiled import inlined, kernel
from projections.kernels.credit import _percentages, rule_set_of
from projections.kernels.station_kinds import StationKinds, kind_on
from projections.local_time import ZoneTable, local_span
from projections.rules.table import FactorTable, RuleTable
from projections.rules.timeline import RuleTimeline
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
"""More minutes than any local day has, so that two counts of a day's minutes fit into one share."""
_SEVERAL: Final = -2
"""Several windows can have held."""


class Windows(NamedTuple):
    """The factor windows of a timeline, one per row, and after those of each rule set one that always holds.

    rules: the timeline's rules with these windows; `weigh` overwrites their percentages. group: int32[rows]: the group
    of windows that share a number, `NONE` for windows that change nothing. at: int32[groups, DAYS]: the row that holds
    on a day, or `NONE`. effect: how much more a minute in the window is worth than itself, in hundredths. name: the
    number of the window's name among the names of both sides. facts: int32[n, 7], for windows that change something:
    first and last day within the rule set, weekdays, kinds of station, minutes from and until, row. sums: int64[names],
    working memory. may_cancel: whether some windows add minutes and others take some away, so that their effects on one
    piece may cancel out. rank: int32[names]: of the windows of a piece, the one with the highest takes the rest.
    """

    rules: RuleTable
    group: Ints
    at: Ints
    effect: Ints
    name: Ints
    facts: Ints
    sums: Longs
    may_cancel: bool
    rank: Ints


def window_names(timelines: Sequence[RuleTimeline]) -> list[str]:
    """Return the names of all factor windows, in order of first appearance."""
    sets = [rule_set for timeline in timelines for rule_set in timeline.rule_sets]
    return list(dict.fromkeys(factor.name for rule_set in sets for factor in rule_set.factors))


def window_numbers(timeline: RuleTimeline, names: Sequence[str]) -> Ints:
    """Return the number of each window's name, in the order of the rows of a `FactorTable`."""
    factors = [factor for rule_set in timeline.rule_sets for factor in rule_set.factors]
    return np.array([names.index(factor.name) for factor in factors], np.int32)


def ranks_of(sides: Sequence[tuple[RuleTable, Ints]]) -> Ints:
    """Return a rank for each name of windows: those whose windows differ between the sides are the highest."""
    names = 1 + max(int(numbers.max(initial=NONE)) for _, numbers in sides)
    meant: list[list[set[tuple[object, ...]]]] = [[set() for _ in range(names)] for _ in sides]
    for of_name, (rules, numbers) in zip(meant, sides, strict=True):
        columns = [getattr(rules.factors, name) for name in FactorTable._fields[1:]]
        for row, name in enumerate(numbers.tolist()):
            of_name[name].add(tuple(column[row].tobytes() for column in columns))
    differs = [len({frozenset(of_name[name]) for of_name in meant}) > 1 for name in range(names)]
    return np.array([name + names * differs[name] for name in range(names)], np.int32)


def windows_of(rules: RuleTable, numbers: Ints, rank: Ints) -> Windows:
    """Compile the windows of a timeline; each thread needs its own.

    Args:
        numbers: the number of each window's name, as from `window_numbers`.
        rank: that of each name, as from `ranks_of`.
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
        facts=_facts(rules.holds_from, factors, group),
        sums=np.zeros(len(rank), np.int64),
        may_cancel=bool((effect > 0).any() and (effect < 0).any()),
        rank=rank,
    )


def _facts(holds_from: Ints, factors: FactorTable, group: Ints) -> Ints:
    sets = np.repeat(np.arange(len(holds_from)), np.diff(factors.first))
    ends = np.append(holds_from[1:] - 1, DAYS)
    columns = (
        np.maximum(factors.first_day, holds_from[sets]),
        np.minimum(factors.last_day, ends[sets]),
        factors.weekdays,
        factors.station_kinds,
        factors.minute_from,
        factors.minute_until,
        np.arange(len(group)),
    )
    facts: Ints = np.stack(columns, axis=1).astype(np.int32)[group != NONE]
    return facts


def _one(value: int) -> Ints:
    return np.array([value], np.int32)


def _groups(holds_from: Ints, factors: FactorTable, effect: Ints) -> tuple[Ints, Ints]:
    """Assign each window that changes something to the first group in which no other holds on one of its days."""
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
    station_kind: StationKinds,
    pieces: Ints,
    count: int,
    effects: Longs,
    place: int,
) -> bool:
    """Add the factor changes of a volunteer's pieces, in hundredths of minutes, to `effects[place]` by window name. If
    the windows of some minutes of a piece cannot be determined, add nothing and return False.
    """
    names, sums, shifts, zone = windows.name, windows.sums, table.rows, windows.rules.zone
    one = np.zeros(len(sums), np.int64)
    for name in range(len(sums)):
        sums[name] = 0
    for number in range(count):
        change = pieces[number, SHARE] - pieces[number, COUNTED]
        if pieces[number, COUNTED] == 0 or (change == 0 and not windows.may_cancel):
            continue
        begin, end = 0, 1440  # the minutes of the day that the piece may cover
        if pieces[number, FIRST]:
            start = shifts[pieces[number, ROW], START]
            _, within, until = local_span(start, zone)
            raw = pieces[number, RAW]
            if until - start == 1440 - within and raw <= until - start:  # no clock change on the rest of the day
                begin, end = within, within + raw
        window = _only_window(windows, shifts, station_kind, pieces, number, begin, end)
        if window >= 0:
            sums[names[window]] += change * 100
        elif window == NONE and change == 0:
            continue
        elif end - begin == pieces[number, COUNTED] and not _clocks_change(pieces[number, DAY], zone):
            one[:] = 0
            _add_minutes(windows, shifts, station_kind, pieces, number, begin, end, one)
            _add_whole(change, windows.rank, one, sums)
        else:
            return False
    for name in range(len(sums)):
        effects[place, name] += sign * sums[name]
    return True


@inlined
def _clocks_change(day: int, zone: ZoneTable) -> bool:
    """Return whether the clocks change on a local day: 1,440 minutes of it are then not those from 0:00 to 24:00."""
    since, offset = zone
    for at in range(1, len(since)):
        if (since[at] - 1 + offset[at - 1]) // 1440 == day or (since[at] + offset[at]) // 1440 == day:
            return True
    return False


@inlined
def _only_window(
    windows: Windows, shifts: Ints, station_kind: StationKinds, pieces: Ints, number: int, begin: int, end: int
) -> int:
    """Return the only window that can have held in the minutes of a piece, `NONE` or `_SEVERAL`."""
    facts, projects = windows.facts, windows.rules.factors.project
    day, row = pieces[number, DAY], pieces[number, ROW]
    kind, project = kind_on(shifts[row, STATION], day, station_kind), shifts[row, PROJECT]
    weekday = 1 << ((day + 3) % 7)
    found = NONE
    for at in range(len(facts)):
        if (
            day < facts[at, 0]
            or day > facts[at, 1]
            or not facts[at, 2] & weekday
            or not facts[at, 3] & kind
            or not projects[facts[at, 6], project + 1]
        ):
            continue
        first, last = facts[at, 4], facts[at, 5]
        if last <= first:  # through midnight: all except the minutes between
            meets, covers = begin < last or end > first, end <= last or begin >= first or first == last
        else:
            meets, covers = begin < last and end > first, first <= begin and end <= last
        if meets and found != NONE:
            return _SEVERAL
        if meets:
            found = facts[at, 6]
        if covers:  # the first window wins, so no later one can hold
            return found
    return found


@inlined
def _add_minutes(
    windows: Windows,
    shifts: Ints,
    station_kind: StationKinds,
    pieces: Ints,
    number: int,
    begin: int,
    end: int,
    sums: Longs,
) -> None:
    """Add the effects of the windows on a piece whose minutes all counted."""
    day, row = pieces[number, DAY], pieces[number, ROW]
    rule_set = rule_set_of(day, windows.rules)
    kind, project = kind_on(shifts[row, STATION], day, station_kind), shifts[row, PROJECT]
    for group in range(0, len(windows.at), 2):
        weigh(windows, group)
        share = _percentages(begin, end, day, rule_set, kind, project, windows.rules) // 100
        _add_share(group, windows, share, day, sums)


@kernel
def weigh(windows: Windows, group: int) -> None:
    """Set the percentages so that a share holds the minutes counted in a group of windows, plus `_DAY_MINUTES` times
    those in the next group.
    """
    percent, groups = windows.rules.factors.percent, windows.group
    for row in range(len(percent)):
        percent[row] = 0
        if groups[row] != NONE:
            if groups[row] == group:
                percent[row] = 100
            elif groups[row] == group + 1:
                percent[row] = 100 * _DAY_MINUTES


@kernel
def add_shares(group: int, windows: Windows, pieces: Ints, count: int, exact: Longs) -> None:
    """Add the effects of the weighted groups, in hundredths of minutes, to `exact` by piece and window name."""
    for number in range(count):
        if pieces[number, SHARE] > 0:
            _add_share(group, windows, pieces[number, SHARE], pieces[number, DAY], exact[number])


@kernel
def add_effects(
    sign: int, windows: Windows, pieces: Ints, count: int, exact: Longs, effects: Longs, place: int
) -> None:
    """Add the effects on a volunteer's pieces, in hundredths of minutes, to `effects[place]` by window name."""
    sums = windows.sums
    for name in range(len(sums)):
        sums[name] = 0
    for number in range(count):
        _add_whole(pieces[number, SHARE] - pieces[number, COUNTED], windows.rank, exact[number], sums)
    for name in range(len(sums)):
        effects[place, name] += sign * sums[name]


@inlined
def _add_whole(change: int, rank: Ints, exact: Longs, sums: Longs) -> None:
    """Add the effects on a piece in whole minutes; the window with the highest rank takes what is left."""
    last, left = NONE, change
    for name in range(len(exact)):
        if exact[name] != 0:
            left -= exact[name] // 100
            sums[name] += exact[name] // 100 * 100
            if last == NONE or rank[name] > rank[last]:
                last = name
    if last != NONE:
        sums[last] += left * 100


@inlined
def _add_share(group: int, windows: Windows, share: int, day: int, sums: Longs) -> None:
    """Add the effects of the windows of a group and the next on a day, from a share weighted by `weigh`."""
    for half in range(2):
        minutes = share % _DAY_MINUTES if half == 0 else share // _DAY_MINUTES
        if minutes > 0:
            row = windows.at[group + half, day]
            sums[windows.name[row]] += minutes * windows.effect[row]
