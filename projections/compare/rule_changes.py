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
    if before.time_zone != after.time_zone:
        return _FIRST_DAY
    begins = {_FIRST_DAY} | {max(one.holds_from, _FIRST_DAY) for side in (before, after) for one in side.rule_sets}
    return next((day for day in sorted(begins) if _held(before, day) != _held(after, day)), None)


def _held(timeline: RuleTimeline, day: date) -> RuleSet:
    """Return the rule set of a day without what distinguishes equal sets: its date, and how it got its honours."""
    return rules_of(day, timeline).model_copy(update={"holds_from": _FIRST_DAY, "honors_go_on": False})


def as_if_from(before: RuleTimeline, after: RuleTimeline, day: date) -> RuleTimeline:
    """Return the rules of `before` until a day, and from then on what is new in `after`.

    What is new begins on the first day on which the two differ. If that is later than `day`, the sets of `after` from
    it on are moved forward to `day`, all by the same number of days, with the windows whose dates lie within them.

    Raises:
        ValueError: the timelines do not differ.
    """
    differs = first_difference(before, after)
    if differs is None:
        raise ValueError(NOTHING_TO_TRY)
    since = max(differs, day)
    shift = day - since
    sets = [rules_of(since, after).model_copy(update={"holds_from": since})]
    sets += [one for one in after.rule_sets if one.holds_from > since]
    kept = [one for number, one in enumerate(before.rule_sets) if day > (one.holds_from if number else _FIRST_DAY)]
    return after.model_copy(update={"rule_sets": (*kept, *(_moved(one, shift) for one in sets))})


def _moved(rules: RuleSet, shift: timedelta) -> RuleSet:
    """Return a rule set that holds earlier. Windows with dates before its own stay where they are."""
    factors = tuple(_moved_window(factor, rules.holds_from, shift) for factor in rules.factors)
    return rules.model_copy(update={"holds_from": rules.holds_from + shift, "factors": factors})


def _moved_window(factor: Factor, since: date, shift: timedelta) -> Factor:
    days = {name: getattr(factor, name) for name in ("first_day", "last_day")}
    if any(day is not None and day < since for day in days.values()):
        return factor
    return factor.model_copy(update={name: day + shift for name, day in days.items() if day is not None})
