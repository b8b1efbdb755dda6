"""Limits of new rules: no text makes parsing or checking take long, and each is refused with its line and a remedy."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from ledger.deciding.policies import policies_of
from projections.rules import limits, window_overlaps
from projections.rules.checking import check_rules, require_sound
from projections.rules.errors import FINDINGS_MAX
from projections.rules.limits import text_exceeds
from projections.rules.timeline import RulesError, parse_timeline
from projections.rules.toml_places import tokens_of
from tests.support.oversized_rules import HONOR, UNCHECKABLE, UNREADABLE, WINDOW, rule_sets

LUOHU = Path("rules/luohu.toml").read_text("utf-8")


def refuse_to_parse(*_: object, **__: object) -> Any:
    raise AssertionError("the text was parsed")


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_text_beyond_the_limits_is_refused_before_it_is_parsed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tomllib, "loads", refuse_to_parse)
    (found,) = check_rules(UNREADABLE[name])
    assert (found.severity, found.key) == ("error", "timeline")
    assert found.line <= UNREADABLE[name].count("\n") + 1
    assert len(str(found)) < 200
    with pytest.raises(RulesError):
        require_sound(UNREADABLE[name])


@pytest.mark.parametrize("name", UNREADABLE)
def test_few_tokens_are_examined_of_any_text(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = 0

    def counted(text: str) -> Any:
        nonlocal taken
        for token in tokens_of(text):
            taken += 1
            yield token

    monkeypatch.setattr(limits, "tokens_of", counted)
    assert text_exceeds(UNREADABLE[name]) is not None
    assert taken <= limits.TOKENS_MAX + 1


@pytest.mark.parametrize("name", UNCHECKABLE)
def test_a_timeline_beyond_the_limits_is_refused_before_it_is_checked_and_stays_readable(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compare(*_: object) -> Any:
        raise AssertionError("the windows were compared")

    monkeypatch.setattr("projections.rules.checking.window_reach", compare)
    (found,) = check_rules(UNCHECKABLE[name])
    assert (found.severity, found.remedy) == ("error", "combine some of them")
    assert parse_timeline(UNCHECKABLE[name]).rule_sets  # as it must be if an earlier version published it


@pytest.mark.parametrize(
    "text",
    [
        LUOHU,
        rule_sets(100),
        rule_sets(1, *[HONOR] * 100),
        rule_sets(4, *[WINDOW] * 100),
        LUOHU + "\n# " + "x" * 200_000,
        'name = """a "quoted" ""name"""""\n' + rule_sets(1).split("\n", 1)[1],
        "name = '''it''s'''\n" + rule_sets(1).split("\n", 1)[1],
        'name = ""\n' + rule_sets(1).split("\n", 1)[1],
    ],
    ids=["federation", "sets", "honours", "windows", "comment", "quotation marks", "apostrophes", "empty string"],
)
def test_rules_within_the_limits_are_parsed(text: str) -> None:
    assert text_exceeds(text) is None
    assert parse_timeline(text)


def test_windows_are_compared_up_to_a_number_of_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = [WINDOW.replace("percent = 120", f"percent = {percent}") for percent in range(110, 140)]
    assert any("never holds" in finding.sentence for finding in check_rules(rule_sets(1, *tables)))
    monkeypatch.setattr(window_overlaps, "CELLS_COMPARED_MAX", 1)
    monkeypatch.setattr("projections.rules.checking.CELLS_COMPARED_MAX", 1)
    (finding, *_) = check_rules(rule_sets(1, *tables))
    assert "too many to check for overlaps" in finding.sentence


@pytest.mark.parametrize(
    "text",
    [
        "[[rule_sets]]\n" * 3_000,
        rule_sets(1) + "".join(f"k{number} = 1\n" for number in range(4_000)),
        "[approvals]\nkinds = [" + '"attest-shift",' * 9_000 + "]\n" + rule_sets(1),
        rule_sets(90, *[HONOR]),
    ],
    ids=["missing keys", "unknown keys", "repeated kinds", "dropped honours"],
)
def test_the_number_of_findings_is_bounded(text: str) -> None:
    assert 1 <= len(check_rules(text)) <= FINDINGS_MAX


def test_errors_are_listed_before_warnings_are_left_out() -> None:
    text = "[approvals]\nkinds = [" + '"attest-shift",' * 1_000 + "]\n"
    text += "\n".join(rule_sets(1).splitlines()[2:]).replace("shift_minutes_min = 1", "shift_minutes_min = 481")
    head, rest = rule_sets(1).split("[[rule_sets]]")[0], text
    with pytest.raises(RulesError):
        require_sound(head + rest.replace("shift_minutes_max = 480", "shift_minutes_max = 500"))


@pytest.mark.parametrize("zone", ["Asia", "a" * 900, "../zoneinfo/Asia/Shanghai", "a\\u0000b", "", "."])
def test_no_time_zone_is_looked_for_outside_the_time_zones(zone: str) -> None:
    text = LUOHU.replace("Asia/Shanghai", zone)
    assert [finding.key for finding in check_rules(text)] == ["time_zone"]
    assert policies_of(text).zone is None
