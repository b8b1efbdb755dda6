"""`hours simulate`, `rebuild`, `export credits` and `keys`: what works on the whole of a ledger."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from api.cli.main import execute
from api.cli.operations import data as cli_data
from api.files.credits import SCHEMA
from api.operations.service import open_ledger
from ledger.store.database import Database
from projections.rules.timeline import rules_digest
from tests.support.api.command_line import CommandLine

pytest_plugins = ["tests.support.api.fixtures"]

SCALE = 0.002


@pytest.fixture(scope="module")
def simulated(new_database_url: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """The URL and data directory of a ledger with a synthetic history."""
    url, data = new_database_url(), tmp_path_factory.mktemp("simulated")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", url)
        assert execute(["--data", str(data), "init", "--no-rules"]) == 0
        assert execute(["--data", str(data), "simulate", "--scale", str(SCALE), "--seed", "7"]) == 0
    return url, data


@pytest.fixture
def full(
    simulated: tuple[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> CommandLine:
    """The command line on a synthetic history."""
    monkeypatch.setenv("DATABASE_URL", simulated[0])
    return CommandLine(simulated[1], capsys)


def test_a_history_is_simulated_with_its_read_models(full: CommandLine) -> None:
    with open_ledger(full.data) as ledger:
        head = ledger.log.head()
        generation = ledger.current_generation()
    assert head > 10_000
    assert generation.position == head
    again = full("simulate", "--scale", SCALE, "--seed", 7, "--json").answer
    assert (again["events"], again["scale"]) == (head, SCALE)  # it was there: nothing was added
    assert json.loads((full.data / cli_data.MARK).read_text())["complete"] is True


def test_another_history_is_not_mixed_with_the_first(full: CommandLine) -> None:
    told = full("simulate", "--scale", SCALE, "--seed", 8).sentence
    assert "other events than this history" in told
    assert json.loads((full.data / cli_data.MARK).read_text()) == {"scale": SCALE, "seed": 7, "complete": True}


def test_a_rebuild_gives_the_same_checksum_also_from_nothing(full: CommandLine) -> None:
    plain = full("rebuild", "--json").answer
    anew = full("rebuild", "--new-archive", "--new-facts", "--json").answer
    assert plain["checksum"] == anew["checksum"]
    assert anew["generation"] == plain["generation"] + 1
    assert "honours" in full("rebuild").out


def test_pieces_are_exported_and_add_up_to_the_hours(full: CommandLine, tmp_path: Path) -> None:
    sums: dict[str, defaultdict[str, int]] = {}
    for kind in ("csv", "parquet"):
        output = tmp_path / f"credits.{kind}"
        answer = full("export", "credits", "--format", kind, "--output", output, "--json").answer
        rows = (
            list(csv.DictReader(output.read_text().splitlines()))
            if kind == "csv"
            else pq.read_table(output).to_pylist()
        )
        assert len(rows) == answer["pieces"] > 10_000
        assert list(rows[0]) == SCHEMA.names
        sums[kind] = defaultdict(int)
        for row in rows:
            minutes = {name: int(value) for name, value in row.items() if name.endswith("_minutes")}
            lost = ("superseded", "too_short", "clipped", "overlapped", "capped")
            assert minutes["raw_minutes"] == minutes["counted_minutes"] + sum(
                minutes[f"{name}_minutes"] for name in lost
            )
            changed = minutes["factor_change_minutes"] - minutes["rounding_minutes"]
            assert minutes["credited_minutes"] == minutes["counted_minutes"] + changed
            sums[kind][row["volunteer"]] += minutes["credited_minutes"]
        assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    assert sums["csv"] == sums["parquet"]
    for volunteer in sorted(sums["csv"])[:5]:
        hours = full("volunteer", volunteer, "--json").answer
        opening = (hours["opening_balance"] or {"minutes": 0})["minutes"]
        assert hours["total"]["credited_minutes"] - opening == sums["csv"][volunteer]
    metadata = pq.read_schema(tmp_path / "credits.parquet").metadata
    assert metadata[b"rules_version"] == b"1"


def test_exported_shifts_carry_their_ids_days_and_grades(full: CommandLine, tmp_path: Path) -> None:
    output = tmp_path / "credits.parquet"
    full("export", "credits", "--format", "parquet", "--output", output, "--valid-at", "2012-12-31")
    rows = pq.read_table(output).to_pylist()
    assert max(row["day"] for row in rows) <= date(2012, 12, 31)
    assert {row["grade"] for row in rows} == {"scanned", "attested"}
    first = rows[0]
    shifts = full("volunteer", first["volunteer"], "--shifts", "--json").answer["shifts"]
    (same,) = (shift for shift in shifts if shift["shift"] == first["shift"])
    assert (same["station"], same["project"]) == (first["station"], first["project"])
    assert [piece["credited"] for piece in same["pieces"] if piece["day"] == str(first["day"])] == [
        first["credited_minutes"]
    ]


def test_an_export_that_fails_leaves_what_was_there(
    full: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "credits.csv"
    output.write_text("what was there")

    def fails(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", str(output))

    monkeypatch.setattr("api.files.credits.credit_tables", fails)
    told = full("export", "credits", "--output", output, "--force")
    assert (told.code, told.out) == (1, "")
    assert "No space left on device" in told.err
    assert output.read_text() == "what was there"
    assert [path.name for path in tmp_path.iterdir()] == ["credits.csv"]


# --- rules ----------------------------------------------------------------------------------------------------------


def test_new_rules_are_published_once_and_answer(hours: CommandLine, tmp_path: Path) -> None:
    rules = Path("rules/luohu.toml")
    first = hours("rebuild", "--rules", rules, "--json").answer
    assert (first["rules_version"], first["position"]) == (1, 1)
    assert hours("rebuild", "--rules", rules, "--json").answer["position"] == 1  # the same: nothing is published
    other = tmp_path / "other.toml"
    other.write_text(rules.read_text("utf-8").replace("day_minutes_max = 480 ", "day_minutes_max = 600 "), "utf-8")
    second = hours("rebuild", "--rules", other, "--json").answer
    assert (second["rules_version"], second["position"]) == (2, 2)
    third = hours("rebuild", "--rules", rules, "--json").answer  # back again is the same version, put in force again
    assert (third["rules_version"], third["position"], third["published_before"]) == (1, 3, True)
    assert "version 1 of the rules" in hours("rebuild").out
    told = hours("publish", other)
    assert "this text is version 2 of the rules already (digest" in " ".join(told.err.split())
    assert "it is not published again but put in force" in " ".join(told.err.split())
    assert "version 2 of the rules" in told.out
    again = hours("publish", other)
    assert "it is not published again, and it is in force" in " ".join(again.err.split())
    later = hours("publish", rules, "--later")
    assert "this text is version 1 of the rules already" in " ".join(later.out.split())
    assert hours("publish", other, "--later", "--json").answer == {
        "rules_version": 2, "digest": rules_digest(other.read_text("utf-8")), "published_before": True,
        "in_force": True, "header_changes": [],
    }  # fmt: skip
    assert [act["version"] for act in hours("rules", "history", "--json").answer["acts"]] == [2, 1, 2, 1]


def test_an_archive_of_another_ledger_is_told_and_replaced_on_command(
    hours: CommandLine, new_database_url: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = Path("rules/luohu.toml")
    assert hours("rebuild", "--rules", rules).code == 0
    url = new_database_url()
    Database.open(url).close()
    monkeypatch.setenv("DATABASE_URL", url)  # another ledger, in the same data directory
    told = hours("rebuild", "--rules", rules)
    assert told.code == 1
    assert "it belongs to another ledger" in told.err
    assert "hours archive rebuild --replace-disagreeing" in told.err
    assert hours("archive", "rebuild", "--replace-disagreeing", "--json").answer["position"] == 1
    assert hours("rebuild").code == 0


# --- keys -----------------------------------------------------------------------------------------------------------


def test_keys_are_made_listed_and_revoked(hours: CommandLine) -> None:
    made = hours("keys", "make", "--role", "staff", "--name", "li.wei", "--json").answer
    assert made["key"].startswith("hours_")
    shown = hours("keys", "make", "--role", "reader", "--name", "auditor-1")
    assert "hours_" in shown.out
    listed = hours("keys", "list", "--json").answer
    assert [(key["role"], key["name"], key["revoked"]) for key in listed] == [
        ("staff", "li.wei", None),
        ("reader", "auditor-1", None),
    ]
    assert "hours_" not in hours("keys", "list").out
    assert hours("keys", "revoke", made["id"], "--json").answer == {"id": made["id"], "revoked": True}
    assert hours("keys", "revoke", made["id"]).code == 0
    assert hours("keys", "list", "--json").answer[0]["revoked"] is not None


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--output", "pieces.xlsx"), "--output pieces.xlsx is not supported; write .csv or .parquet"),
        (("--output", "pieces.csv", "--format", "parquet"), "contradicts the name of the file, pieces.csv"),
        (("--output", "pieces", "--format", "excel"), "--format excel is not supported"),
    ],
)
def test_the_name_of_an_export_says_its_format(full: CommandLine, arguments: tuple[str, ...], sentence: str) -> None:
    told = full("export", "credits", *arguments)
    assert told.code == 2
    assert sentence in told.err


def test_an_export_named_parquet_is_one(full: CommandLine, tmp_path: Path) -> None:
    full("export", "credits", "--output", tmp_path / "pieces.parquet")
    assert pq.read_table(tmp_path / "pieces.parquet").num_rows > 0
