"""`hours diff` and `hours rules`: two sides in one word each, as tables, JSON or files; and rules checked by line."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from tests.support.api.command_line import CommandLine

pytest_plugins = ["tests.support.api.fixtures"]

LUOHU = Path("rules/luohu.toml").read_text("utf-8")


@pytest.fixture
def strict(tmp_path: Path) -> Path:
    """Rules with a cap of two and a half hours, and a morning factor."""
    text = LUOHU.replace("day_minutes_max = 480", "day_minutes_max = 150")
    text = text.replace('minute_from = "22:00"', 'minute_from = "09:00"').replace('until = "06:00"', 'until = "10:00"')
    path = tmp_path / "strict.toml"
    path.write_text(text, "utf-8")
    return path


def head(reads: CommandLine) -> int:
    last = reads("log", "--limit", "1000", "--json").out.splitlines()[-1]
    return int(json.loads(last)["position"])


# --- hours diff -----------------------------------------------------------------------------------------------------


def test_who_gains_and_who_loses_is_shown_with_the_reason(reads: CommandLine, strict: Path) -> None:
    told = reads("diff", "current", strict)
    assert told.code == 0, told.err
    assert "0 volunteers gain, 2 lose" in told.out
    assert "day cap -30, night factor +12" in told.out
    answer = reads("diff", "current", strict, "--json").answer
    # V0000001 served three hours and two, V0000002 three: the cap leaves 150, and the first hour earns 120 percent.
    assert {one["volunteer"]: one["credited"]["change"] for one in answer["volunteers"]} == {
        "V0000001": -30 + 12 + 12,
        "V0000002": -30 + 12,
    }


def test_a_gain_on_one_day_and_a_loss_on_another_are_told_apart(reads: CommandLine, strict: Path) -> None:
    answer = reads("diff", "1", strict, "--json").answer
    (found,) = [one for one in answer["volunteers"] if one["volunteer"] == "V0000001"]
    assert found["reasons"] == [
        {"step": "capped", "factor": None, "minutes": -30},
        {"step": "factor_change", "factor": "night", "minutes": 24},
    ]
    assert found["reason"] == "day cap -30, night factor +24"


def test_two_moments_are_compared_under_the_rules_known_then(reads: CommandLine) -> None:
    last = head(reads)
    answer = reads("diff", f"@{last - 1}", f"@{last}", "--json").answer
    (found,) = answer["volunteers"]
    assert (found["volunteer"], found["reason"]) == ("V0000001", "raw -60")
    assert (answer["before"]["known_at"], answer["after"]["known_at"]) == (last - 1, last)
    told = reads("diff", "current@1", "1@2099-01-01T00:00:00+08:00", "--json").answer
    assert told["before"]["known_at"] == 1
    assert {one["honor"]: (one["gained"], one["lost"]) for one in told["honors"]} == {"star-1": (1, 0)}
    (reached,) = told["honor_changes"]
    assert (reached["volunteer"], reached["before"], reached["after"]) == ("V0000002", None, "2016-06-01")
    assert "opening balance +6000" in reached["reason"]


def test_nothing_differs_from_itself(reads: CommandLine) -> None:
    told = reads("diff", "current", "1")
    assert told.code == 0
    assert "Nothing differs." in told.out
    assert reads("diff", "1", "1", "--valid-at", "2018-12-01", "--json").answer["volunteers_differing"] == 0


FUTURE = """
[[rule_sets]]
holds_from = 2027-01-01
day_minutes_max = 150
shift_minutes_min = 10
shift_minutes_max = 720
honors_go_on = true
"""


def test_rules_of_the_future_are_tried_on_the_past(reads: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "later.toml"
    path.write_text(LUOHU.replace("\n[approvals]", FUTURE + "\n[approvals]"), "utf-8")
    told = reads("diff", "current", path)
    assert "Nothing differs." in told.out
    note = "the rules differ only from 2027-01-01 on, and the last service compared is of 2018-12-02, so they change no"
    assert f"Note: {note} hours yet; --as-if-from DAY tries them on past service." in told.out.replace("\n", " ")
    tried = reads("diff", "current", path, "--as-if-from", "2018-01-01")
    assert "as if the new rules held from 2018-01-01" in tried.out.replace("\n", " ")
    assert "0 volunteers gain, 2 lose" in tried.out
    assert "Note:" not in tried.out
    answer = reads("diff", "current", path, "--as-if-from", "2018-01-01", "--json").answer
    assert {one["volunteer"]: one["reason"] for one in answer["volunteers"]} == {
        "V0000001": "day cap -30",
        "V0000002": "day cap -30",
    }
    assert answer["as_if_from"] == "2018-01-01"
    late = reads("diff", "current", path, "--as-if-from", "2026-01-01", "--json").answer
    assert late["note"].endswith("use an earlier day for as_if_from")


def test_the_table_is_cut_and_says_so(reads: CommandLine, strict: Path) -> None:
    told = reads("diff", "current", strict, "--limit", "1").out
    assert "V0000002" in told
    assert "V0000001" not in told
    assert "1 more: --limit shows more, --to FILE.json writes all" in told


@pytest.mark.parametrize("name", ["who.csv", "who.parquet", "who.json"])
def test_all_who_differ_are_written_to_a_file(reads: CommandLine, strict: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    told = reads("diff", "current", strict, "--to", path, "--limit", "0")
    assert f"2 differing volunteers written to {path}" in told.out.replace("\n", "")
    if name.endswith(".json"):
        found = {one["volunteer"]: one["reason"] for one in json.loads(path.read_text())["volunteers"]}
    else:
        table = pa_csv.read_csv(path) if name.endswith(".csv") else pq.read_table(path)
        found = dict(zip(table["volunteer"].to_pylist(), table["reason"].to_pylist(), strict=True))
        before, after = table["credited_minutes_before"].to_pylist(), table["credited_minutes_after"].to_pylist()
        assert [two - one for one, two in zip(before, after, strict=True)] == table["change_minutes"].to_pylist()
    assert found == {"V0000002": "day cap -30, night factor +12", "V0000001": "day cap -30, night factor +24"}
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith(".")] == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("diff", "current", "99"), "version 99 of the rules has not been published"),
        (("diff", "current", "nowhere.toml"), "nowhere.toml is neither a version"),
        (("diff", "currant", "1"), "currant is neither a version nor a digest"),
        (("diff", "@999999", "current"), "is beyond the log's last position"),
        (("diff", "1@soon", "current"), "known_at soon"),
        (("diff", "1", "current", "--valid-at", "soon"), "--valid-at soon is not a day"),
        (
            ("diff", "1", "current", "--to", "who.xlsx"),
            "who.xlsx has an unknown suffix; use one of .csv, .parquet, .json",
        ),
        (("diff", "1", "current", "--to", "/nowhere/who.csv"), "the folder /nowhere does not exist"),
        (("diff", "1", "current", "--as-if-from", "soon"), "--as-if-from soon is not a day"),
        (("diff", "1", "current", "--as-if-from", "2018-01-01"), "the rules of both sides are the same on every day"),
        (("diff", "1"), "after"),
        (("rules", "show", "7"), "version 7 of the rules has not been published"),
        (("rules", "check", "nowhere.toml"), "nowhere.toml"),
    ],
)
def test_a_mistake_is_told_in_one_sentence(reads: CommandLine, arguments: tuple[str, ...], said: str) -> None:
    assert said.lower() in reads(*arguments).sentence.lower()


# --- hours rules ----------------------------------------------------------------------------------------------------


def test_a_file_is_checked_by_line(reads: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "new.toml"
    path.write_text(LUOHU.replace("shift_minutes_min", "shift_minute_min", 1), "utf-8")
    line = 1 + next(at for at, text in enumerate(LUOHU.splitlines()) if text.startswith("shift_minutes_min"))
    told = reads("rules", "check", path)
    assert (told.code, told.err) == (2, "")
    assert (
        f"{path}:{line}: error: rule_sets.0.shift_minute_min: unknown key; did you mean shift_minutes_min?" in told.out
    )
    assert told.out.endswith(f"{path}: 1 error, 0 warnings\n")
    json_told = reads("rules", "check", path, "--json")
    assert json_told.code == 2
    assert json.loads(json_told.out)["findings"][0]["line"] == line


def test_a_sound_file_is_checked_against_the_ledger_or_without_one(
    reads: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "new.toml"
    path.write_text(LUOHU + '\n[[rule_sets.factors]]\nname = "p"\npercent = 120\nprojects = ["nobody"]\n', "utf-8")
    told = reads("rules", "check", path, "--json").answer
    assert (told["errors"], told["name"]) == (0, "luohu")
    assert "no project is called nobody" in [finding["sentence"] for finding in told["findings"]]
    monkeypatch.delenv("DATABASE_URL")
    bare = CommandLine(tmp_path / "no-data", reads._capture)("rules", "check", path, "--json").answer
    assert "no project is called nobody" not in [finding["sentence"] for finding in bare["findings"]]
    assert not (tmp_path / "no-data").exists()


def test_rules_are_listed_and_shown(reads: CommandLine) -> None:
    assert "in force" in reads("rules", "list").out
    (published,) = reads("rules", "list", "--json").answer["published"]
    assert (published["version"], published["in_force"]) == (1, True)
    for name in ("1", "current", published["digest"]):
        assert reads("rules", "show", name).out == LUOHU
    assert reads("rules", "show", "1", "--json").answer["text"] == LUOHU
    by_digest = reads("volunteer", "V0000001", "--rules", published["digest"], "--json").answer
    assert by_digest["rules"]["version"] == 1
    assert reads("diff", "current", published["digest"], "--json").answer["volunteers_differing"] == 0


def test_rules_that_no_new_version_may_say_are_not_tried_out(reads: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "new.toml"
    path.write_text(LUOHU.replace("day_minutes_max = 480", "day_minutes_max = 5"), "utf-8")
    for command in (("diff", "current", path), ("volunteer", "V0000001", "--rules", path), ("publish", path)):
        assert "the day cap of 5 minutes is below the shortest shift" in reads(*command).sentence
