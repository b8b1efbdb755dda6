"""The reference of rule keys: current, complete, true of the modules it names, and its ready blocks check clean."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from projections.rules.checking import check_rules
from projections.rules.ready_blocks import BLOCKS, Block
from projections.rules.reference import TABLES, keys_of
from projections.rules.timeline import RuleTimeline, parse_timeline

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "rules-reference.md"
LUOHU = (ROOT / "rules" / "luohu.toml").read_text("utf-8")

COLUMNS = {
    "open_hours_max": "open_seconds_max",
    "undirected_punches": "first_and_last",
    "pair_across_stations": "across_stations",
    "credited_minutes_min": "minutes|minimums",
    "grade": "scanned_only",
    "tenure_months_min": "tenure_months",
    "training_tier_min": "tier",
    "active_years_min": "active_years",
    "active_year_minutes_min": "active_minutes",
    "projects": "project",
    "people_served": "model_dump",
} | {f"{key}_min": "minimums" for key in ("scanned_minutes", "shifts", "volunteers", "people_served", "months_active")}
"""The names by which kernels read keys that have another one in their tables."""


def test_the_page_is_what_the_program_prints() -> None:
    command = [sys.executable, "-m", "projections.rules.reference"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert printed == PAGE.read_text("utf-8"), "run: python -m projections.rules.reference > docs/rules-reference.md"


def test_every_table_that_a_timeline_can_have_is_on_the_page() -> None:
    def models(model: type[BaseModel]) -> set[str]:
        return {model.__name__, *model.model_json_schema().get("$defs", {})}

    assert {table.model.__name__ for table in TABLES} == models(RuleTimeline)


def test_every_key_has_a_meaning_and_a_module_that_reads_it() -> None:
    for table in TABLES:
        for key in keys_of(table):
            assert key.meaning, (table.header, key.name)
            text = (ROOT / key.read_by).read_text("utf-8")
            assert re.search(rf"\b({COLUMNS.get(key.name, key.name)})\b", text), (table.header, key.name, key.read_by)


def test_what_the_page_says_of_bounds_and_defaults_is_what_the_models_take() -> None:
    found = {(table.header, key.name): key for table in TABLES for key in keys_of(table)}
    cap, minute = found["[[rule_sets]]", "day_minutes_max"], found["[[rule_sets.factors]]", "minute_until"]
    assert (cap.kind, cap.unit, cap.default, cap.bounds) == ("whole number", "minutes", "required", "0 to 1,440")
    assert (minute.kind, minute.default, minute.bounds) == ("time of day", '`"24:00"`', '`"00:00"` to `"24:00"`')
    punches = found["[[rule_sets]]", "undirected_punches"]
    assert (punches.kind, punches.default, punches.bounds) == (
        "text", '`"alternate"`', '`"alternate"`, `"first-and-last"`',
    )  # fmt: skip
    assert (found["[[rule_sets]]", "holds_from"].kind, found["[[rule_sets]]", "honors_go_on"].default) == (
        "day", "`false`",
    )  # fmt: skip
    units = {name: key.unit for (_, name), key in found.items()}
    for name, unit in (
        ("late_entry_working_days", "working days"), ("late_entry_days", "days"), ("tenure_months_min", "months"),
        ("active_years_min", "years"), ("active_year_minutes_min", "minutes"), ("clock_seconds", "seconds"),
        ("upload_hours_max", "hours"), ("round_percent_min", "percent"), ("credited_hours", "points"), ("places", ""),
    ):  # fmt: skip
        assert units[name] == unit, name


# --- ready blocks ---------------------------------------------------------------------------------------------------


def added(text: str, block: str) -> str:
    """Return rules with a block as the page tells to add it: at the end, or in place of the same keys of its table."""
    if block.startswith("[["):
        return f"{text}\n{block}"
    header, _, lines = block.partition("\n")
    start = text.index(f"\n{header}") + 1
    end = start + re.search(r"\n\[|\Z", text[start:]).start()  # type: ignore[union-attr]
    table = text[start:end]
    for entry in re.findall(r"^\w+ = (?:\[\n(?:.*\n)*?\]|.*)$", lines, re.MULTILINE):
        key = entry.partition(" ")[0]
        table, count = re.subn(rf"^{key} = (?:\[ *(?:#.*)?\n(?:.*\n)*?\]|.*)$", entry, table, flags=re.MULTILINE)
        table = table if count else f"{table.rstrip()}\n{entry}\n"
    return text[:start] + table + text[end:]


def told(text: str) -> set[str]:
    return {finding.sentence for finding in check_rules(text)}


@pytest.mark.parametrize("block", BLOCKS, ids=[block.title for block in BLOCKS])
def test_a_ready_block_checks_clean_in_the_shipped_rules_and_changes_what_it_says(block: Block) -> None:
    toml = block.toml.strip()
    assert f"```toml\n{toml}\n```" in PAGE.read_text("utf-8")
    whole = re.sub(r" \(line \d+\)", "", added(LUOHU, toml))
    new = {re.sub(r" \(line \d+\)", "", one) for one in told(whole)}
    assert new <= {re.sub(r" \(line \d+\)", "", one) for one in told(LUOHU)}
    before, after = parse_timeline(LUOHU), parse_timeline(whole)
    assert before != after
    if block.changes:
        assert changed(before, after) == set(block.changes)


def changed(before: RuleTimeline, after: RuleTimeline) -> set[str]:
    """Return the keys in which a new last set differs from the last one before, honours and windows aside."""
    assert after.rule_sets[: len(before.rule_sets)] == before.rule_sets
    old, new = (one.rule_sets[-1].model_dump(exclude={"holds_from", "honors"}) for one in (before, after))
    new["factors"] = old["factors"] = ()

    def differing() -> Any:
        return {key for key in old if old[key] != new[key]}

    return set(differing())


def test_all_new_sets_keep_the_night_window_and_the_honours() -> None:
    before = parse_timeline(LUOHU).rule_sets[-1]
    night = before.factors[-1]
    for block in BLOCKS:
        if block.toml.startswith("[[rule_sets]]"):
            last = parse_timeline(added(LUOHU, block.toml.strip())).rule_sets[-1]
            assert last.factors[-1] == night
            assert {one.id for one in before.honors} <= {one.id for one in last.honors}
            assert last.rankings == before.rankings
