"""Rule changes: from which day two timelines differ, what an honour requires on a day, and new rules tried on the past.

Rule sets are compared as they hold: with the honours and rankings that they inherit, and without their dates.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final, NamedTuple

from projections.rules.late_entries import rules_of
from projections.rules.timeline import Factor, RuleSet, RuleTimeline

_FIRST_DAY: Final = date(2000, 1, 1)
"""The first day of service; the first rule set holds from it, whatever its own date."""

NOTHING_TO_TRY: Final = "the rules of both sides are the same on every day of service"


class Conditions(NamedTuple):
    """What an honour requires; its title is no condition."""

    credited_minutes: int
    grade: str
    tenure_months: int
    training_tier: str | None
    active_years: int
    active_year_minutes: int


def conditions_on(timeline: RuleTimeline, honor: str, day: date) -> Conditions | None:
    """Return what an honour requires on a day; None if it cannot be reached then."""
    found = next((one for one in rules_of(day, timeline).honors if one.id == honor), None)
    if found is None:
        return None
    return Conditions(
        found.credited_minutes_min,
        found.grade,
        found.tenure_months_min,
        found.training_tier_min,
        found.active_years_min,
        found.active_year_minutes_min,
    )


def first_difference(before: RuleTimeline, after: RuleTimeline) -> date | None:
    """Return the first service day on which the timelines hold different rules; None if there is none."""
    return next(iter(_differing(before, after)), None)


def differing_spans(before: RuleTimeline, after: RuleTimeline) -> list[tuple[date, date | None]]:
    """Return the spans of service days on which the timelines hold different rules: the first day of each, and the day
    after its last one; None if it has no end.
    """
    differing = set(_differing(before, after))
    spans: list[tuple[date, date | None]] = []
    for day in _begin_days(before, after):
        if day in differing and (not spans or spans[-1][1] is not None):
            spans.append((day, None))
        elif day not in differing and spans and spans[-1][1] is None:
            spans[-1] = spans[-1][0], day
    return spans


def _begin_days(before: RuleTimeline, after: RuleTimeline) -> list[date]:
    """Return the days on which a rule set of either timeline begins."""
    return sorted(
        {_FIRST_DAY} | {max(one.holds_from, _FIRST_DAY) for side in (before, after) for one in side.rule_sets}
    )


def _differing(before: RuleTimeline, after: RuleTimeline) -> list[date]:
    """Return the days on which a rule set of either timeline begins and the two hold different rules."""
    elsewhere = before.time_zone != after.time_zone
    return [day for day in _begin_days(before, after) if elsewhere or _held(before, day) != _held(after, day)]


def _held(timeline: RuleTimeline, day: date) -> RuleSet:
    """Return the rule set of a day without what distinguishes equal sets: its date, and how it got its honours."""
    return rules_of(day, timeline).model_copy(update={"holds_from": _FIRST_DAY, "honors_go_on": False})


class Trial(NamedTuple):
    """Rules as if they held from another day. `left_out`: from when the changed rule sets hold that are not tried."""

    timeline: RuleTimeline
    left_out: tuple[date, ...]


def as_if_from(before: RuleTimeline, after: RuleTimeline, day: date) -> Trial:
    """Return the rules of `before` until a day, and from then on what is new in `after`.

    If changed rule sets of `after` begin after `day`, they are moved forward, with all sets that follow them, by the
    same number of days, so that the first of them begins on `day`; windows whose dates lie within them move along. Else
    the changed set that holds on `day` begins on it, or the last one that held before. Changed sets that are older than
    what then holds on `day` are left out.

    Raises:
        ValueError: the timelines do not differ.
    """
    differing = _differing(before, after)
    if not differing:
        raise ValueError(NOTHING_TO_TRY)
    begun = {differs: _begins(after, differs) for differs in differing}
    coming = [differs for differs in differing if differs > day and begun[differs] > day]
    if coming:
        since = coming[0]
    elif before.time_zone != after.time_zone or _held(before, day) != _held(after, day):
        since = day
    else:
        since = next((differs for differs in differing if differs > day), differing[-1])
    sets = [rules_of(since, after).model_copy(update={"holds_from": since})]
    sets += [one for one in after.rule_sets if one.holds_from > since]
    kept = [one for number, one in enumerate(before.rule_sets) if day > (one.holds_from if number else _FIRST_DAY)]
    tried = after.model_copy(update={"rule_sets": (*kept, *(_moved(one, day - since) for one in sets))})
    first = _begins(after, since)
    return Trial(tried, tuple(sorted({one for one in begun.values() if one < first})))


def _begins(timeline: RuleTimeline, day: date) -> date:
    """Return the first day of the rule set that holds on a day."""
    held = rules_of(day, timeline)
    return _FIRST_DAY if held is timeline.rule_sets[0] else held.holds_from


def _moved(rules: RuleSet, shift: timedelta) -> RuleSet:
    """Return a rule set that holds earlier. Windows with dates before its own stay where they are."""
    factors = tuple(_moved_window(factor, rules.holds_from, shift) for factor in rules.factors)
    return rules.model_copy(update={"holds_from": rules.holds_from + shift, "factors": factors})


def _moved_window(factor: Factor, since: date, shift: timedelta) -> Factor:
    days = {name: getattr(factor, name) for name in ("first_day", "last_day")}
    if any(day is not None and day < since for day in days.values()):
        return factor
    return factor.model_copy(update={name: day + shift for name, day in days.items() if day is not None})
