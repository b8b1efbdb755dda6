"""The reference of rule keys, `docs/rules-reference.md`, generated from the models of the rules.

`python -m projections.rules.reference` prints the page. Key, type, bounds, default and meaning come from the models;
which module reads a key is in `_READ_BY`. The ready blocks are in `projections/rules/ready_blocks.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from pydantic import BaseModel

from ledger.deciding.policies import Approvals, Disputes
from projections.rules.anomalies import AnomalyRules
from projections.rules.rankings import Ranking, Score
from projections.rules.ready_blocks import BLOCKS
from projections.rules.timeline import Factor, PublicNotice, RuleSet, RuleTimeline, Threshold


class Table(NamedTuple):
    """A table of the rules: its header in TOML, its model, and the module that reads the keys that `_READ_BY` lacks."""

    header: str
    model: type[BaseModel]
    about: str
    read_by: str


TABLES: Final = (
    Table("", RuleTimeline, "The whole timeline: one file.", "projections/rules/timeline.py"),
    Table("[[rule_sets]]", RuleSet, "The rules from a day of service on.", "projections/kernels/credit.py"),
    Table(
        "[[rule_sets.factors]]",
        Factor,
        "A window in which a counted minute earns more, or less. All conditions that are given must hold.",
        "projections/kernels/credit.py",
    ),
    Table(
        "[[rule_sets.honors]]",
        Threshold,
        "An honour that is reached on the first day on which all of its conditions hold.",
        "projections/kernels/honors.py",
    ),
    Table(
        "[[rule_sets.rankings]]",
        Ranking,
        "An honour for the first of a calendar year, by the set in force on its last day.",
        "projections/kernels/rankings.py",
    ),
    Table("[rule_sets.rankings.score]", Score, "The score of a project's year.", "projections/kernels/rankings.py"),
    Table(
        "[public_notice]",
        PublicNotice,
        "The notice before an award (公示). It applies from the publication of the rules on.",
        "ledger/deciding/honor_policies.py",
    ),
    Table(
        "[approvals]",
        Approvals,
        "What another person must approve. It applies from the publication of the rules on, whatever day is changed.",
        "ledger/aggregates/four_eyes/effects.py",
    ),
    Table(
        "[disputes]",
        Disputes,
        "The deadlines of disputes. They apply from the publication of the rules on.",
        "ledger/deciding/policies.py",
    ),
    Table(
        "[anomalies]",
        AnomalyRules,
        "What auditors are shown as odd, for all days of service. Nothing loses minutes by it.",
        "projections/anomalies/entries.py",
    ),
)

_PAIRING = "projections/kernels/pairing.py"
_LATE = "projections/rules/late_entries.py"
_STAYS, _MEETINGS, _RECORDING = (f"projections/anomalies/{name}.py" for name in ("stays", "meetings", "recording"))
_BEGINNINGS, _ENDINGS = "projections/anomalies/beginnings.py", "projections/anomalies/endings.py"
_PERMISSION = "ledger/aggregates/four_eyes/permission.py"
_READ_BY: Final[Mapping[tuple[str, str], str]] = {
    ("RuleTimeline", "time_zone"): "projections/rules/table.py",
    ("RuleTimeline", "public_notice"): "ledger/deciding/honor_policies.py",
    ("RuleTimeline", "approvals"): "ledger/deciding/policies.py",
    ("RuleTimeline", "disputes"): "ledger/deciding/policies.py",
    ("RuleSet", "double_tap_seconds"): _PAIRING,
    ("RuleSet", "open_hours_max"): _PAIRING,
    ("RuleSet", "undirected_punches"): _PAIRING,
    ("RuleSet", "pair_across_stations"): _PAIRING,
    ("RuleSet", "late_entry_working_days"): _LATE,
    ("RuleSet", "late_entry_days"): _LATE,
    ("RuleSet", "honors_go_on"): "projections/rules/timeline.py",
    ("RuleSet", "honors"): "projections/kernels/honors.py",
    ("RuleSet", "rankings"): "projections/kernels/rankings.py",
    ("Factor", "name"): "projections/compare/window_effects.py",
    ("Threshold", "id"): "projections/rules/table.py",
    ("Threshold", "title"): "replay/what_if/sentences.py",
    ("Ranking", "places"): "replay/rankings/rankings.py",
    ("Ranking", "title"): "replay/what_if/rank_changes.py",
    ("Ranking", "period"): "projections/rules/rankings.py",
    ("Approvals", "kinds"): _PERMISSION,
    ("Approvals", "typed_scans"): _PERMISSION,
    ("Approvals", "imported"): _PERMISSION,
    ("Approvals", "raised_day_minutes_max"): "ledger/aggregates/day_cap.py",
    ("AnomalyRules", "overlap_minutes_min"): _MEETINGS,
    ("AnomalyRules", "travel_minutes_min"): _MEETINGS,
    ("AnomalyRules", "long_shift_minutes"): _STAYS,
    ("AnomalyRules", "cap_days_in_row"): _STAYS,
    ("AnomalyRules", "registration_days_min"): _BEGINNINGS,
    ("AnomalyRules", "opening_days_min"): _BEGINNINGS,
    ("AnomalyRules", "withdrawal_days_min"): _ENDINGS,
    ("AnomalyRules", "closing_days_min"): _ENDINGS,
    ("AnomalyRules", "phone_persons_min"): _BEGINNINGS,
    ("AnomalyRules", "upload_hours_max"): _RECORDING,
    ("AnomalyRules", "clock_seconds"): _RECORDING,
    ("AnomalyRules", "clock_scans_min"): _RECORDING,
    ("AnomalyRules", "clock_percent_min"): _RECORDING,
}


class Key(NamedTuple):
    """A key of a table, as the page shows it. `unit`: "minutes"; "" without one."""

    name: str
    kind: str
    unit: str
    default: str
    bounds: str
    read_by: str
    meaning: str


def page() -> str:
    """Return the page as Markdown."""
    return "\n".join([_INTRODUCTION, *_tables(), _READY, *_blocks()])


def keys_of(table: Table) -> list[Key]:
    """Return the keys of a table in the order of its model."""
    schema = table.model.model_json_schema()
    required = schema.get("required", ())
    return [_key(table, name, written, required=name in required) for name, written in schema["properties"].items()]


def _tables() -> Iterator[str]:
    for table in TABLES:
        yield f"## {_title(table)}\n\n{table.about}\n"
        yield "| key | type | default | bounds | meaning | read by |\n| --- | --- | --- | --- | --- | --- |"
        for key in keys_of(table):
            kind = f"{key.kind}, {key.unit}" if key.unit else key.kind
            yield f"| `{key.name}` | {kind} | {key.default} | {key.bounds} | {key.meaning} | `{key.read_by}` |"
        yield ""


def _title(table: Table) -> str:
    return f"`{table.header}`" if table.header else "The timeline"


def _key(table: Table, name: str, written: Mapping[str, Any], *, required: bool) -> Key:
    own = next((one for one in written.get("anyOf", ()) if one.get("type") != "null"), written)
    element = own.get("items", {})
    time_of_day = name in {"minute_from", "minute_until"}
    kind = "time of day" if time_of_day else _kind(own)
    return Key(
        name=name,
        kind=kind,
        unit=_unit(name, table) if kind == "whole number" else "",
        default="required" if required else _default(written.get("default"), time_of_day=time_of_day),
        bounds='`"00:00"` to `"24:00"`' if time_of_day else _bounds(element or own),
        read_by=_READ_BY.get((table.model.__name__, name), table.read_by),
        meaning=" ".join(str(written.get("description", "")).split()),
    )


def _kind(written: Mapping[str, Any]) -> str:
    """Return the type of a value in words."""
    if written.get("type") == "array":
        element = written["items"]
        return "tables" if "$ref" in element else f"list: {_kind(element)}"
    if "$ref" in written:
        return "table"
    if written.get("format") == "date":
        return "day"
    if "pattern" in written:
        return "name"
    return {"integer": "whole number", "boolean": "true or false"}.get(written.get("type", ""), "text")


_UNITS = (
    ("working_days", "working days"),
    ("weekdays", ""),
    ("minutes", "minutes"),
    ("seconds", "seconds"),
    ("hours", "hours"),
    ("days", "days"),
    ("months", "months"),
    ("years", "years"),
    ("percent", "percent"),
)


def _unit(name: str, table: Table) -> str:
    """Return the unit that the name of a key says; the weights of a score are points."""
    if table.model is Score:
        return "points"
    words = f"_{name}_"
    if name == "months_active_min":
        return "months"
    if "_minutes_" in words and "_year_" in words:
        return "minutes"
    return next((unit for word, unit in _UNITS if f"_{word}_" in words), "")


def _default(value: object, *, time_of_day: bool) -> str:
    if time_of_day and isinstance(value, int):
        return f'`"{value // 60:02}:{value % 60:02}"`'
    if value is None or value == [] or isinstance(value, dict):
        return "none" if not value else "its own defaults"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f'`"{value}"`' if isinstance(value, str) else f"`{value:,}`".replace(",", "_")


def _bounds(written: Mapping[str, Any]) -> str:
    if "enum" in written or "const" in written:
        return ", ".join(f'`"{choice}"`' for choice in written.get("enum", [written.get("const")]))
    if "minimum" in written:
        return f"{written['minimum']} to {written['maximum']:,}"
    if "pattern" in written:
        return "letters, digits, `.`, `_`, `-`"
    return ""


# --- ready blocks ---------------------------------------------------------------------------------------------------


def _blocks() -> Iterator[str]:
    for block in BLOCKS:
        yield f"### {block.title}\n\n{block.about}\n\n```toml\n{block.toml.strip()}\n```\n"


_INTRODUCTION = """\
# Rule keys

Every key of a [rule timeline](rules-of-credit.md), for those who edit one. The shipped rules are
[`rules/luohu.toml`](../rules/luohu.toml). `hours rules check FILE` checks a file, `hours diff current FILE` shows who
would gain and lose by it, and `hours publish FILE` publishes it.

This page is generated from the models: `python -m projections.rules.reference > docs/rules-reference.md`.
"""

_READY = """\
## Ready blocks

The usual changes, to be copied. A block that begins with `[[` is added at the end of the file: a `[[rule_sets]]` is a
new set from its day on, and any other table belongs to the last set before it. A block that begins with `[` is about a
table that the shipped rules have: its lines replace those with the same keys.

A new set repeats every key that shall stay as it is, and every factor window: only honours and rankings go on, with
`honors_go_on = true`. The new sets here repeat the last one of the shipped rules. One set takes any number of changes.
"""


if __name__ == "__main__":
    print(re.sub(r" +$", "", page(), flags=re.MULTILINE).rstrip())
