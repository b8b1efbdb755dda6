"""Dropped windows: factors that a rule set no longer has, although nothing says that they end.

A rule set does not go on with the factor windows of the set before, so one that is not written again is silently gone.
"""

from __future__ import annotations

from datetime import date
from typing import Final

from projections.rules.errors import Finding
from projections.rules.late_entries import rules_of
from projections.rules.timeline import Factor, RuleSet, RuleTimeline
from projections.rules.toml_places import line_of, places

_NAMED_MAX: Final = 20
REMEDY: Final = "factors do not go on from set to set: write them again in this one, unless they are meant to end"


def dropped_windows(before: RuleSet, after: RuleSet, since: date) -> list[str]:
    """Return the names of the windows that would change minutes from a day on, and that a later set lacks.

    A window that is only renamed is not dropped.
    """
    names = {factor.name for factor in after.factors}
    windows = {_unnamed(factor) for factor in after.factors}
    dropped = [
        factor.name
        for factor in before.factors
        if factor.percent != 100
        and (factor.last_day is None or factor.last_day >= since)
        and factor.name not in names
        and _unnamed(factor) not in windows
    ]
    return list(dict.fromkeys(dropped))


def _unnamed(factor: Factor) -> str:
    return factor.model_copy(update={"name": ""}).model_dump_json()


def sentence(dropped: list[str], since: date, of: str = "") -> str:
    """Return dropped windows as a sentence."""
    more = len(dropped) - _NAMED_MAX
    named = ", ".join(dropped[:_NAMED_MAX]) + (f" and {more} more" if more > 0 else "")
    windows, are, they = ("window", "is", "it changes") if len(dropped) == 1 else ("windows", "are", "they change")
    lacking = f"the {windows} {named}{of} {are} not in the set that holds from {since} on"
    return f"{lacking}, so {they} no minutes from then on"


def windows_no_longer_in_force(text: str, after: RuleTimeline, in_force: RuleTimeline) -> list[Finding]:
    """Return a warning for each rule set of a new timeline that lacks windows of the rules in force on its days."""
    found: list[Finding] = []
    begins = sorted({one.holds_from for one in (*after.rule_sets, *in_force.rule_sets)})
    lines, warned = places(text), set[int]()
    for since in begins:
        held = rules_of(since, after)
        number = after.rule_sets.index(held)
        dropped = dropped_windows(rules_of(since, in_force), held, since)
        if dropped and number not in warned:
            warned.add(number)
            place = ("rule_sets", number, "factors")
            told = sentence(dropped, since, " of the rules in force")
            found.append(Finding(line_of(lines, place), ".".join(map(str, place)), "warning", told, REMEDY))
    return found
