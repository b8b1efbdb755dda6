"""A rule timeline as arrays, the form that kernels read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from projections.local_time import ZoneTable, day_number, zone_table
from projections.rules.timeline import Factor, RuleTimeline
from projections.schema import DAYS, NO_DAY, NONE, STATION_KINDS, TIERS, Array, Bytes, Ints


class FactorTable(NamedTuple):
    """Factor windows by rule set: rows `first[s]` to `first[s + 1]` belong to set s. `project[f, p + 1]`: whether
    window f holds for project p; index 0 is for shifts without a project.
    """

    first: Ints
    percent: Ints
    first_day: Ints
    last_day: Ints
    weekdays: Ints  # bit 0 is Monday
    minute_from: Ints
    minute_until: Ints
    station_kinds: Ints  # bits of STATION_KINDS, or -1 for all
    project: Bytes


class HonorTable(NamedTuple):
    """Thresholds: `[h, s]` is honour h under rule set s; minutes are `NONE` if the set does not have the honour.

    `minutes` is at least what the active years require, so that volunteers with fewer are skipped early.
    """

    minutes: Ints
    scanned_only: Ints
    tenure_months: Ints
    tier: Ints
    active_years: Ints
    active_minutes: Ints  # of each such year


class PairingTable(NamedTuple):
    """Which scans belong together, by rule set. `first_and_last` and `across_stations` are 0 or 1."""

    double_tap_seconds: Ints
    open_seconds_max: Ints
    first_and_last: Ints
    across_stations: Ints


class RuleTable(NamedTuple):
    """A rule timeline for kernels; rule sets are in the order of their dates."""

    holds_from: Ints
    day_minutes_max: Ints
    shift_minutes_min: Ints
    shift_minutes_max: Ints
    missing_check_out_minutes: Ints
    credit_unit_minutes: Ints
    pairing: PairingTable
    factors: FactorTable
    honors: HonorTable
    zone: ZoneTable


def honor_ids(timeline: RuleTimeline) -> list[str]:
    """Return the ids of all thresholds, in order of first appearance: the rows of `HonorTable`."""
    return list(dict.fromkeys(honor.id for rule_set in timeline.rule_sets for honor in rule_set.honors))


def rule_table(timeline: RuleTimeline, projects: Mapping[str, int]) -> RuleTable:
    """Compile a timeline. `projects`: the surrogates by id; a window for an unknown project never holds."""
    sets = timeline.rule_sets

    def column(name: str) -> Ints:
        return np.array([getattr(rule_set, name) for rule_set in sets], np.int32)

    return RuleTable(
        # The first set applies from the beginning, whatever its date.
        holds_from=np.array([-NO_DAY] + [day_number(rule_set.holds_from) for rule_set in sets[1:]], np.int32),
        day_minutes_max=column("day_minutes_max"),
        shift_minutes_min=column("shift_minutes_min"),
        shift_minutes_max=column("shift_minutes_max"),
        missing_check_out_minutes=column("missing_check_out_minutes"),
        credit_unit_minutes=column("credit_unit_minutes"),
        pairing=PairingTable(
            double_tap_seconds=column("double_tap_seconds"),
            open_seconds_max=_ints([3600 * rule_set.open_hours_max for rule_set in sets]),
            first_and_last=_ints([rule_set.undirected_punches == "first-and-last" for rule_set in sets]),
            across_stations=column("pair_across_stations"),
        ),
        factors=_factor_table([rule_set.factors for rule_set in sets], projects),
        honors=_honor_table(timeline),
        zone=zone_table(timeline.time_zone),
    )


def _factor_table(sets: Sequence[Sequence[Factor]], projects: Mapping[str, int]) -> FactorTable:
    factors = [factor for factors in sets for factor in factors]
    project = np.ones((len(factors), len(projects) + 1), np.uint8)
    for row, factor in enumerate(factors):
        if factor.projects:
            project[row] = 0
            project[row, [projects[name] + 1 for name in factor.projects if name in projects]] = 1
    return FactorTable(
        first=_ints(np.cumsum([0] + [len(factors) for factors in sets])),
        percent=_ints([factor.percent for factor in factors]),
        first_day=_ints([day_number(f.first_day) if f.first_day else 0 for f in factors]),
        last_day=_ints([day_number(f.last_day) if f.last_day else DAYS for f in factors]),
        weekdays=_ints([sum(1 << (day - 1) for day in set(f.weekdays)) if f.weekdays else 127 for f in factors]),
        minute_from=_ints([factor.minute_from for factor in factors]),
        minute_until=_ints([factor.minute_until for factor in factors]),
        station_kinds=_ints(
            [sum(STATION_KINDS[k] for k in set(f.station_kinds)) if f.station_kinds else -1 for f in factors]
        ),
        project=project,
    )


def _honor_table(timeline: RuleTimeline) -> HonorTable:
    ids = honor_ids(timeline)
    shape = (len(ids), len(timeline.rule_sets))
    minutes = np.full(shape, NONE, np.int32)
    scanned_only, tenure, tier, years, of_year = (np.zeros(shape, np.int32) for _ in range(5))
    for number, rule_set in enumerate(timeline.rule_sets):
        for honor in rule_set.honors:
            place = ids.index(honor.id), number
            minutes[place] = honor.minutes_min
            scanned_only[place] = honor.grade == "scanned"
            tenure[place] = honor.tenure_months_min
            tier[place] = TIERS[honor.training_tier_min] if honor.training_tier_min else 0
            years[place], of_year[place] = honor.active_years_min, honor.active_year_minutes_min
    return HonorTable(minutes, scanned_only, tenure, tier, years, of_year)


def _ints(values: Sequence[int] | Array) -> Ints:
    return np.array(values, np.int32)
