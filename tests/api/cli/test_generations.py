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
    published = hours("publish", strict, "--json").answer
    assert (published["rules_version"], published["position"]) == (2, first.position + 1)
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
