"""Honour policies: the length of the public notice and the minimum requirements of honours, from the published rules.

Decisions must not import the models of the rules (projections/rules/timeline.py), so this module reads a few keys of
their text. It does not validate the text, which was checked before publication, and computes no minutes and no ranks.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from typing import Any, NamedTuple

from ledger.deciding.policies import content_of, local_day, zone_of
from ledger.deciding.working_days import working_days_after

NOTICE_WORKING_DAYS = 5
"""The default for old timelines without a number of days: the usual minimum (docs/glossary.md, "Stars")."""


class NamedHonor(NamedTuple):
    """The minimum requirements of an honour over all rule sets that have it. `places`: of a ranking, else None."""

    of: str
    minutes_min: int
    places: int | None


class HonorPolicies(NamedTuple):
    """What a timeline says about honours. `zone` is None if no rules were published; days are then UTC days."""

    zone: str | None
    notice_working_days: int
    honors: Mapping[str, NamedHonor]

    def day_of(self, instant: int) -> date:
        """Return the local day of an instant, in epoch seconds."""
        return local_day(instant, self.zone)

    def notice_until(self, announced_at: int) -> date:
        """Return the last day of the public notice of an honour announced at an instant."""
        return working_days_after(self.day_of(announced_at), self.notice_working_days)


NO_POLICIES = HonorPolicies(None, NOTICE_WORKING_DAYS, {})


@lru_cache(maxsize=16)
def honor_policies(text: str) -> HonorPolicies:
    """Read the honour policies of a timeline's text. A text that is not TOML, so cannot have been in use, has none."""
    content = content_of(text)
    honors: dict[str, NamedHonor] = {}
    for rule_set in content.get("rule_sets", ()):
        for threshold in rule_set.get("honors", ()):
            _add(honors, threshold["id"], "volunteers", threshold["credited_minutes_min"], None)
        for ranking in rule_set.get("rankings", ()):
            _add(honors, ranking["id"], ranking["of"], ranking["credited_minutes_min"], ranking["places"])
    days: Any = content.get("public_notice", {}).get("working_days", NOTICE_WORKING_DAYS)
    return HonorPolicies(zone_of(content), days, honors)


def _add(honors: dict[str, NamedHonor], name: str, of: str, minutes_min: int, places: int | None) -> None:
    earlier = honors.get(name)
    if earlier is None:
        honors[name] = NamedHonor(of, minutes_min, places)
    else:
        places_max = None if places is None else max(places, earlier.places or 0)
        honors[name] = NamedHonor(of, min(minutes_min, earlier.minutes_min), places_max)
