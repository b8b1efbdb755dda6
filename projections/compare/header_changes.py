"""Header changes: what differs between two rule timelines apart from their rule sets.

The time zone, the name, and the tables about acts: notice, approvals, disputes, anomalies. A rule set says from when it
holds; these apply at once, to everything, so each change of them is told by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from projections.rules.errors import Finding
from projections.rules.timeline import RuleTimeline
from projections.rules.toml_places import line_of, places

TIME_ZONE: Final = "time_zone"
_FIRST: Final = (TIME_ZONE, "name")


class HeaderChange(NamedTuple):
    """A key of a timeline's header that differs, with both values as text; "none" is an absent one."""

    key: str
    before: str
    after: str

    def sentence(self) -> str:
        """Return the change as a sentence."""
        told = f"{self.key} changes from {self.before} to {self.after}"
        return f"{told}: every local day and time of the ledger moves" if self.key == TIME_ZONE else told


def header_changes(before: RuleTimeline, after: RuleTimeline) -> list[HeaderChange]:
    """Return what differs between the headers of two timelines, the time zone first, then the name."""
    old, new = (dict(_flat("", one.model_dump(mode="json", exclude={"rule_sets"}))) for one in (before, after))
    keys = dict.fromkeys([*_FIRST, *old, *new])
    return [
        HeaderChange(key, shown[0], shown[1])
        for key in keys
        if (shown := (_shown(old.get(key)), _shown(new.get(key))))[0] != shown[1]
    ]


def zone_not_in_force(text: str, after: RuleTimeline, in_force: RuleTimeline) -> list[Finding]:
    """Return a warning if new rules have another time zone than those in force."""
    if after.time_zone == in_force.time_zone:
        return []
    sentence = (
        f"the rules in force have {in_force.time_zone}, so with {after.time_zone} every local day and time of the "
        "ledger moves"
    )
    remedy = (
        f"write {in_force.time_zone}, or begin from the rules in force (`hours rules show > mine.toml`); if it is "
        "meant, publish with --change-time-zone, over HTTP with change_time_zone true"
    )
    return [Finding(line_of(places(text), (TIME_ZONE,)), TIME_ZONE, "warning", sentence, remedy)]


def _flat(prefix: str, table: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(f"{prefix}{key}.", value)
        else:
            yield f"{prefix}{key}", value


def _shown(value: Any) -> str:
    match value:
        case None | []:
            return "none"
        case bool():
            return str(value).lower()
        case list():
            return ", ".join(map(str, value))
        case _:
            return str(value)
