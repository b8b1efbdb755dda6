"""`hours publish`, `rebuild` and `generations`: published rules answer, older ones again, and Ctrl-C leaves nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from api.cli.operations import generations
from api.operations.service import DEFAULT_RULES, open_ledger
from replay.generations.rebuild import rebuild
from tests.support.api.command_line import CommandLine
from tests.support.api.serving import stock

pytest_plugins = ["tests.support.api.fixtures"]


@pytest.fixture
def strict(tmp_path: Path) -> Path:
    """A file of rules with a cap of an hour a day."""
    path = tmp_path / "strict.toml"
    text = DEFAULT_RULES.read_text("utf-8").replace("day_minutes_max = 480", "day_minutes_max = 60")
    path.write_text(text, "utf-8")
    return path


def credited(hours: CommandLine) -> int:
    return int(hours("volunteer", "V0000001", "--json").answer["total"]["credited_minutes"])


def test_published_rules_answer_and_switching_back_restores_the_checksum(hours: CommandLine, strict: Path) -> None:
    with open_ledger(hours.data) as ledger:
        stock(ledger)
        ledger.catch_up()
        first = ledger.current_generation()
    assert credited(hours) == 300
    checked = hours("rules", "check", strict)
    assert "note: these rules differ from those that answer on days that have passed: 2000-01-01 to " in checked.out
    told = hours("publish", strict, "--json")
    published = told.answer
    assert (published["rules_version"], published["position"]) == (2, first.position + 1)
    change = published["past_change"]
    assert change["days"][0]["first_day"] == "2000-01-01"
    assert (change["volunteers"], change["minutes_gained"]) == (2, 0)
    warned = told.err.replace("\n", " ")
    assert "warning: these rules differ from those in force on days that have passed: 2000-01-01 to " in warned
    assert "the credited minutes of 2 volunteers change: 0:00 are gained, " in warned
    assert credited(hours) == 120
    listed = hours("generations", "--json").answer
    assert "dropped after" in listed["policy"]
    assert [(one["id"], one["kept"], one["rules"]["version"]) for one in listed["generations"]] == [
        (first.id, "answered before", 1),
        (published["generation"], "answers", 2),
    ]
    back = hours("generations", "switch", first.id, "--json").answer
    assert back == {
        "generation": first.id,
        "answers": True,
        "rules_version": 1,
        "position": first.position + 2,
        "checksum": f"{first.checksum:016x}",
    }
    assert credited(hours) == 300
    shown = hours("generations").out
    assert "answered before" in shown
    assert f"{first.checksum:016x}" in shown
    assert "Policy: the generation that answers, the 2 that answered before it" in shown
    assert "answers: version 2" in hours("generations", "switch", published["generation"]).out
    assert "is dropped" in hours("generations", "drop", first.id).out
    assert [one["id"] for one in hours("generations", "--json").answer["generations"]] == [published["generation"]]


def test_another_time_zone_is_told_everywhere_and_is_put_in_force_only_if_asked_for(
    hours: CommandLine, tmp_path: Path
) -> None:
    with open_ledger(hours.data) as ledger:
        stock(ledger)
        ledger.catch_up()
    file = tmp_path / "berlin.toml"
    shown = hours("rules", "show").out
    assert shown == DEFAULT_RULES.read_text("utf-8")
    file.write_text(shown.replace("Asia/Shanghai", "Europe/Berlin").replace('name = "luohu"', 'name = "own"'), "utf-8")
    moved = "time_zone changes from Asia/Shanghai to Europe/Berlin"
    checked = hours("rules", "check", file)
    assert "warning: time_zone: the rules in force have Asia/Shanghai" in checked.out
    assert "note: outside the rule sets, name changes from luohu to own" in checked.out
    compared = hours("diff", "current", file)
    assert f"Outside the rule sets, {moved}" in compared.out
    reasons = [one["reason"] for one in hours("diff", "current", file, "--json").answer["volunteers"]]
    assert [reason for reason in reasons if not reason.startswith("time zone ")] == []
    for refused in (("publish", file), ("publish", file, "--later"), ("rebuild", "--rules", file)):
        answer = hours(*refused)
        assert (answer.code, moved in answer.err) == (2, True)
        assert "add --change-time-zone" in answer.err
    assert "--change-time-zone" in hours("rebuild", "--change-time-zone").err
    published = hours("publish", file, "--change-time-zone", "--json")
    assert [one["key"] for one in published.answer["header_changes"]] == ["time_zone", "name"]
    assert f"warning: outside the rule sets, {moved}" in published.err.replace("\n", " ")
    first = hours("generations", "--json").answer["generations"][0]["id"]
    back = "rules", "put-in-force", "1", "--reason", "as-it-was"
    for again in (("generations", "switch", first), back, ("publish", DEFAULT_RULES)):
        assert "time_zone changes from Europe/Berlin to Asia/Shanghai" in hours(*again).err
    hours(*back, "--change-time-zone")
    assert hours("rules", "show").out == shown


def test_what_cannot_be_is_said_in_a_sentence(hours: CommandLine, strict: Path, tmp_path: Path) -> None:
    made = hours("publish", strict, "--json").answer["generation"]
    assert f"generation {made} is the current one" in hours("generations", "drop", made).sentence
    assert "generation 99 does not exist" in hours("generations", "switch", 99).sentence
    assert "generation 99 does not exist" in hours("generations", "drop", 99).sentence
    broken = tmp_path / "broken.toml"
    broken.write_text("name = ", "utf-8")
    assert "not TOML" in hours("publish", broken).sentence
    assert hours("publish", tmp_path / "missing.toml").code == 2
    assert len(hours("generations", "--json").answer["generations"]) == 1


def test_ctrl_c_in_a_rebuild_leaves_what_answers(
    hours: CommandLine, strict: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = hours("publish", strict, "--json").answer

    def interrupted(stage: str) -> None:
        def progress(told: str, _done: int, _in_all: int) -> None:
            if told == stage:
                raise KeyboardInterrupt

        def rebuilding(database: object, archive: object, rules: object, **_: object) -> object:
            return rebuild(database, archive, rules, progress=progress)  # type: ignore[arg-type]

        monkeypatch.setattr(generations, "rebuild", rebuilding)

    for stage in ("replaying", "writing the new generation", "switching"):
        interrupted(stage)
        assert hours("rebuild").code == 130
    (only,) = hours("generations", "--json").answer["generations"]
    assert (only["id"], only["checksum"]) == (before["generation"], before["checksum"])
    monkeypatch.undo()
