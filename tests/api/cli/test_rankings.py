"""`hours ranking` and `hours project`: tables for people, JSON for machines, and mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.api.command_line import CommandLine

pytest_plugins = ["tests.support.api.fixtures"]


@pytest.fixture
def lenient(tmp_path: Path) -> Path:
    """The federation's rules with minimums that a little history reaches."""
    text = Path("rules/luohu.toml").read_text("utf-8")
    path = tmp_path / "lenient.toml"
    for minimum in ("credited_minutes_min = 3_000 ", "credited_minutes_min = 6_000     #"):
        assert minimum in text
        text = text.replace(minimum, "credited_minutes_min = 60 #")
    path.write_text(text, "utf-8")
    return path


def test_the_first_of_a_year_are_shown_by_rank(reads: CommandLine, lenient: Path) -> None:
    told = reads("ranking", "top-hundred", "--year", "2018", "--rules", lenient)
    assert told.code == 0
    assert "百优义工 (top-hundred) of 2018: 100 places, 2 volunteers ranked" in told.out
    assert told.out.index("V0000001") < told.out.index("V0000002")
    assert "5:00" in told.out
    answer = reads("ranking", "top-hundred", "--rules", lenient, "--json").answer  # by default the latest year
    assert [(one["rank"], one["name"]) for one in answer["entries"]] == [(1, "V0000001"), (2, "V0000002")]
    assert answer["year"] == 2018
    more = reads("ranking", "top-hundred", "--limit", "1", "--rules", lenient)
    assert "more: --place 2" in more.out
    assert "V0000002" not in more.out
    day = reads("ranking", "top-hundred", "--rules", lenient, "--valid-at", "2018-12-01", "--json").answer
    assert [(one["name"], one["figures"]["credited_minutes"]) for one in day["entries"]] == [("V0000001", 180)]


def test_a_ranking_of_the_rules_in_force_asks_for_its_minimums(reads: CommandLine) -> None:
    answer = reads("ranking", "top-hundred", "--year", "2018", "--json").answer
    assert (answer["ranked"], answer["entries"], answer["minimums"]) == (0, [], {"credited_minutes": 3000})


def test_a_project_is_shown_by_year_and_by_month(reads: CommandLine, lenient: Path) -> None:
    told = reads("project", "star-school", "--year", "2018")
    assert told.code == 0
    assert "2:00" in told.out  # three hours, corrected to two
    answer = reads("project", "star-school", "--json").answer
    assert [(row["year"], row["credited_minutes"], row["volunteers"]) for row in answer["years"]] == [(2018, 120, 1)]
    best = reads("ranking", "ten-best", "--rules", lenient, "--json").answer
    assert [one["name"] for one in best["entries"]] == ["star-school"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("ranking", "top-ten"), "ranking top-ten is not known to the ledger; check the name"),
        (("project", "nothing"), "project nothing is not known to the ledger; check the id"),
        (("ranking", "top-hundred", "--year", "1999"), "Invalid value for '--year'"),
    ],
)
def test_a_mistake_is_told_in_a_sentence(reads: CommandLine, words: tuple[str, ...], sentence: str) -> None:
    assert sentence in reads(*words).sentence
