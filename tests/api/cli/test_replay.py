"""`hours replay`: the whole history once more, to Parquet or to a generation, under any axes."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.store.database import Database
from replay.generations.named_rows import NO_ROWS
from replay.generations.rebuild import replay
from replay.on_demand.files import Replayed, TargetError, write_replay
from replay.progress import StoppedError
from tests.support.api.command_line import CommandLine
from tests.support.examples import examples
from tests.support.oracle.histories import Case, as_text, cases, patiently
from tests.support.replay.replaying import append, as_rules, as_sets, empty

pytest_plugins = ["tests.support.api.fixtures"]

TABLES = {"volunteer_hours", "station_activity", "honor_standings", "project_activity"}


# --- known at -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ledger(new_database_url: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Database, Path]]:
    """One ledger for all examples; each empties it first."""
    assert callable(new_database_url)
    with Database.open(new_database_url()) as database:
        yield database, tmp_path_factory.mktemp("archive")


@settings(patiently, max_examples=examples(5))
@given(case=cases(), data=st.data())
def test_a_replay_known_at_a_position_equals_one_of_a_ledger_that_stopped_there(
    ledger: tuple[Database, Path], case: Case, data: st.DataObject
) -> None:
    database, folder = ledger
    archive, versions, rules = empty(database, folder), Counter[UUID](), as_rules(case.timeline)
    stop = data.draw(st.integers(0, len(case.events)))
    append(database, case.events[:stop], versions)
    archive.bring_up_to_date(database)
    stopped = replay(archive.facts(), rules)
    append(database, case.events[stop:], versions)
    archive.bring_up_to_date(database)
    known = replay(archive.facts(until=stop), rules)
    assert as_sets(known) == as_sets(stopped), as_text(case.events[:stop], case.timeline.time_zone)
    assert known.checksum() == stopped.checksum()


# --- to Parquet -----------------------------------------------------------------------------------------------------


def test_a_replay_is_written_as_parquet_with_what_it_rests_on(reads: CommandLine, tmp_path: Path) -> None:
    target = tmp_path / "replayed"
    mine = reads("volunteer", "V0000001", "--json").answer["total"]
    answer = reads("replay", "--to", target, "--json").answer
    (live,) = [one for one in reads("generations", "--json").answer["generations"] if one["kept"] == "answers"]
    assert (answer["checksum"], answer["known_at"]) == (live["checksum"], live["position"])
    assert {path.name for path in target.iterdir()} == {
        *(f"{name}.parquet" for name in TABLES),
        "replay.json",
        "rules.toml",
    }
    said = json.loads((target / "replay.json").read_text())
    assert said == {name: value for name, value in answer.items() if name != "folder"}
    for name in TABLES:
        table = pq.read_table(target / f"{name}.parquet")
        assert len(table) == said["rows"][name]
        assert table.schema.metadata[b"checksum"].decode() == said["checksum"]
    hours = pq.read_table(target / "volunteer_hours.parquet").to_pylist()
    (whole,) = [row for row in hours if (row["volunteer"], row["year"]) == ("V0000001", 0)]
    assert whole["credited_minutes"] == mine["credited_minutes"]
    assert "luohu" in (target / "rules.toml").read_text("utf-8")


def test_a_replay_takes_all_three_axes(reads: CommandLine, tmp_path: Path) -> None:
    strict = tmp_path / "strict.toml"
    strict.write_text(
        Path("rules/luohu.toml").read_text("utf-8").replace("day_minutes_max = 480", "day_minutes_max = 60")
    )
    axes = ("--valid-at", "2018-12-01", "--known-at", 12, "--rules", strict)
    answer = reads("replay", "--to", tmp_path / "replayed", "--json", *axes).answer
    assert (answer["valid_at"], answer["known_at"], answer["rules"]["version"]) == ("2018-12-01", 12, 0)
    rows = pq.read_table(tmp_path / "replayed" / "volunteer_hours.parquet").to_pylist()
    (mine,) = [row for row in rows if (row["volunteer"], row["year"]) == ("V0000001", 0)]
    assert mine["credited_minutes"] == 60
    assert answer["checksum"] != reads("replay", "--to", tmp_path / "now", "--json").answer["checksum"]


def test_a_copied_archive_is_replayed_without_any_database(
    reads: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = reads("replay", "--to", tmp_path / "own", "--json", "--known-at", 12).answer
    shutil.copytree(reads.data / "archive", tmp_path / "copy")
    monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1:1/none?connect_timeout=2")
    copied = ("replay", "--archive", tmp_path / "copy")
    found = reads(*copied, "--to", tmp_path / "copied", "--json", "--known-at", 12).answer
    assert found == {**known, "folder": str(tmp_path / "copied")}
    for rules in ("rules/luohu.toml", 1):
        other = reads(*copied, "--to", tmp_path / f"by-{Path(str(rules)).name}", "--json", "--rules", rules).answer
        assert other["rules"]["digest"] == known["rules"]["digest"]
    late = reads(*copied, "--to", tmp_path / "late", "--json", "--known-at", "2099-01-01T00:00:00+08:00").answer
    assert late["known_at"] > 12
    assert "version 9 of the rules" in reads(*copied, "--to", tmp_path / "x", "--rules", 9).sentence
    assert "is beyond" in reads(*copied, "--to", tmp_path / "x", "--known-at", 10**6).sentence
    assert not (tmp_path / "x").exists()


def test_what_is_there_is_only_replaced_when_asked_and_only_if_it_is_a_replay(
    reads: CommandLine, tmp_path: Path
) -> None:
    target = tmp_path / "replayed"
    target.mkdir()
    (target / "thesis.txt").write_text("ten years of work")
    assert "--overwrite" in reads("replay", "--to", target).sentence
    assert "not part of a replay" in reads("replay", "--to", target, "--overwrite").sentence
    assert (target / "thesis.txt").read_text() == "ten years of work"
    (target / "thesis.txt").unlink()
    assert reads("replay", "--to", target, "--json").code == 0
    assert "not empty" in reads("replay", "--to", target).sentence
    again = reads("replay", "--to", target, "--overwrite", "--known-at", 12)
    assert (again.code, "known at position 12" in again.out) == (0, True)
    assert json.loads((target / "replay.json").read_text())["known_at"] == 12
    assert [path.name for path in tmp_path.iterdir()] == ["replayed"]


def test_a_replay_that_is_stopped_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "replayed"
    said = Replayed.model_validate(
        {
            "ledger": UUID(int=1),
            "valid_at": None,
            "known_at": 7,
            "rules": {"name": "x", "version": 1, "digest": "d"},
            "rows": {},
            "checksum": "0" * 16,
        }
    )
    write_replay(target, NO_ROWS, said, "first")

    def stopping(_stage: str, _done: int, _in_all: int) -> None:
        if len(list(tmp_path.glob(".*/*.parquet"))) == 2:
            raise StoppedError

    for overwrite, folder in ((True, target), (False, tmp_path / "new")):
        with pytest.raises(StoppedError):
            write_replay(folder, NO_ROWS, said, "second", overwrite=overwrite, progress=stopping)
    assert (target / "rules.toml").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["replayed"]
    with pytest.raises(TargetError, match="not empty"):
        write_replay(target, NO_ROWS, said, "third")


# --- to a generation ------------------------------------------------------------------------------------------------


def test_a_generation_is_built_beside_the_one_that_answers(hours: CommandLine) -> None:
    assert hours("simulate", "--scale", "0.0005", "--json").code == 0
    before = hours("generations", "--json").answer["generations"]
    built = hours("replay", "--generation", "--known-at", 100, "--json").answer
    assert (built["position"], built["generation"] in {one["id"] for one in before}) == (100, False)
    after = {one["id"]: one for one in hours("generations", "--json").answer["generations"]}
    assert [one["id"] for one in after.values() if one["kept"] == "answers"] == [
        one["id"] for one in before if one["kept"] == "answers"
    ]
    assert after[built["generation"]]["checksum"] == built["checksum"]
    assert f"hours generations switch {built['generation'] + 1}" in hours("replay", "--generation").out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "--to FOLDER writes Parquet, --generation builds"),
        (("--to", "x", "--generation"), "name one target: --to FOLDER"),
        (("--generation", "--archive", "x"), "leave one of them out"),
        (("--to", "/nowhere/x"), "the folder /nowhere does not exist"),
        (("--to", "pyproject.toml"), "is a file"),
        (("--to", "x", "--archive", "docs"), "--archive docs holds no archive"),
        (("--to", "x", "--known-at", "10000000"), "is beyond"),
        (("--to", "x", "--rules", "99"), "version 99 of the rules has not been published"),
        (("--to", "x", "--valid-at", "2018-02-30"), "is not a day"),
    ],
)
def test_a_mistake_is_told_before_anything_is_written(
    reads: CommandLine, arguments: tuple[str, ...], said: str
) -> None:
    assert said in reads("replay", *arguments).sentence
    assert not Path("x").exists()
