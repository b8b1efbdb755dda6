"""What the published rules say of the life of an honour: how long it is announced, and the least it asks for.

A reader of the rules' text for decisions, which must not import the rules' own models (projections/rules/timeline.py).
It reads a few keys and trusts the rest: a text was checked before it was published. It computes no minute and no rank.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from typing import Any, NamedTuple

from ledger.deciding.policies import content_of, local_day, zone_of
from ledger.deciding.working_days import working_days_after

NOTICE_WORKING_DAYS = 5
"""Where a timeline names no number of days, as old ones do not: the least that is usual (docs/glossary.md, "Stars")."""


class NamedHonor(NamedTuple):
    """What an honour asks for at the least, over all rule sets that name it. `places`: a ranking's; else None."""

    of: str
    minutes_min: int
    places: int | None


class HonorPolicies(NamedTuple):
    """What a timeline says of honours. `zone` is None where no rules were published: then days are those of UTC."""

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
    """Read the policies of a timeline's text; one that is no TOML, which nobody could have replayed, has none."""
    content = content_of(text)
    honors: dict[str, NamedHonor] = {}
    for rule_set in content.get("rule_sets", ()):
        for threshold in rule_set.get("honors", ()):
            _take(honors, threshold["id"], "volunteers", threshold["credited_minutes_min"], None)
        for ranking in rule_set.get("rankings", ()):
            _take(honors, ranking["id"], ranking["of"], ranking["credited_minutes_min"], ranking["places"])
    days: Any = content.get("public_notice", {}).get("working_days", NOTICE_WORKING_DAYS)
    return HonorPolicies(zone_of(content), days, honors)


def _take(honors: dict[str, NamedHonor], name: str, of: str, least: int, places: int | None) -> None:
    known = honors.get(name)
    if known is None:
        honors[name] = NamedHonor(of, least, places)
    else:
        most = None if places is None else max(places, known.places or 0)
        honors[name] = NamedHonor(of, min(least, known.minutes_min), most)
