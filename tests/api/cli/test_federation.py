"""`hours federation` and `hours replay --federation`: several ledgers as one, and each place where that can fail."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq
import pytest

from api.operations.service import OpenLedger
from ledger.store.database import Database
from replay.archive.archive import Archive
from replay.archive.manifest import read_manifest
from replay.archive.open_archive import OpenArchive
from replay.locations.object_store import ObjectStore
from replay.locations.sending import send_archive
from tests.support.api.command_line import CommandLine, CommandResult
from tests.support.api.serving import found, stock

pytest_plugins = ["tests.support.api.fixtures", "tests.support.replay.object_store"]

LEDGERS = ("futian", "luohu")


class Province(NamedTuple):
    """Two member ledgers, of which the archives are there, and the federation's own ledger, with its database."""

    folder: Path
    hours: CommandLine

    @property
    def file(self) -> Path:
        return self.folder / "federation.toml"

    def define(self, **changes: str | None) -> None:
        """Write the federation's file; None leaves a line out."""
        lines = {"name": "shenzhen", "own": "own/archive", **changes}
        text = "".join(f'{name} = "{value}"\n' for name, value in lines.items() if value and name not in LEDGERS)
        places = {name: changes.get(name, f"{name}/archive") for name in LEDGERS}
        text += "[ledgers]\n" + "".join(f'{name} = "{place}"\n' for name, place in places.items() if place)
        self.file.write_text(text)

    def replay(self, *options: object, to: str = "out") -> CommandResult:
        return self.hours(
            "replay", "--federation", self.file, "--to", self.folder / to, "--overwrite", "--json", *options
        )

    def link(self, verb: str = "link", number: str = "luohu.V0000001", into: str = "futian.V0000002") -> CommandResult:
        return self.hours("federation", verb, self.file, number, into, "--reason", "same-person", "--json")

    def credited(self, to: str = "out") -> dict[str, int]:
        rows = pq.read_table(self.folder / to / "volunteer_hours.parquet").to_pylist()
        return {row["volunteer"]: row["credited_minutes"] for row in rows if row["year"] == 0}


@pytest.fixture(scope="module")
def members(new_database_url: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the archives of two ledgers, which have the same names and the same history."""
    folder = tmp_path_factory.mktemp("members")
    for name in LEDGERS:
        with Database.open(new_database_url()) as database:
            ledger = OpenLedger(database, folder / name)
            stock(ledger)
            ledger.archive.bring_up_to_date(database)
    return folder


@pytest.fixture
def province(
    members: Path,
    database: Database,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Province:
    shutil.copytree(members, tmp_path / "p")
    own = OpenLedger(database, tmp_path / "p" / "own")
    found(own)
    own.make_ready()
    own.archive.bring_up_to_date(database)
    monkeypatch.setenv("DATABASE_URL", database_url)
    made = Province(tmp_path / "p", CommandLine(tmp_path / "p" / "own", capsys))
    made.define()
    return made


def approved(province: Province, result: CommandResult) -> dict[str, Any]:
    """Have another person approve a link or its undoing, which the included rules require."""
    request = result.answer["request"]
    assert request.startswith("link-")
    done: dict[str, Any] = province.hours(
        "federation", "approve", province.file, request, "--by", "person:chen", "--json"
    ).answer
    return done


# --- answers --------------------------------------------------------------------------------------------------------


def test_a_federation_is_replayed_with_the_names_of_its_ledgers_before_theirs(province: Province) -> None:
    answer = province.replay().answer
    assert [head["name"] for head in answer["heads"]] == ["futian", "luohu", "(own)"]
    assert (answer["federation"], answer["missing"], answer["unknown_numbers"]) == ("shenzhen", [], [])
    lines = ["service-hours federation shenzhen"]
    lines += [
        f"{head['name']} {head['ledger']} {head['position']}"
        for head in sorted(answer["heads"], key=lambda head: head["name"])
    ]
    assert answer["seal"] == sha256("".join(line + "\n" for line in lines).encode()).hexdigest()
    credited = province.credited()
    assert credited.keys() == {f"{ledger}.V000000{number}" for ledger in LEDGERS for number in (1, 2)}
    assert credited["luohu.V0000001"] == credited["futian.V0000001"] > 0
    said = json.loads((province.folder / "out" / "replay.json").read_text())
    assert said == {name: value for name, value in answer.items() if name != "folder"}
    metadata = pq.read_schema(province.folder / "out" / "volunteer_hours.parquet").metadata
    assert metadata[b"seal"].decode() == answer["seal"]


def test_linked_numbers_are_one_person_until_the_link_is_undone(province: Province) -> None:
    before = province.replay().answer
    apart = province.credited()
    assert province.replay().answer == before
    approved(province, province.link())
    linked = province.replay(to="linked").answer
    assert province.credited("linked").keys() == apart.keys() - {"luohu.V0000001"}
    assert linked["seal"] != before["seal"]
    approved(province, province.link("unlink"))
    again = province.replay(to="again").answer
    assert (again["checksum"], province.credited("again")) == (before["checksum"], apart)
    # What the answer with the link knew is known again.
    repeated = province.replay("--heads", province.folder / "linked" / "replay.json", to="repeated").answer
    assert (repeated["checksum"], repeated["seal"]) == (linked["checksum"], linked["seal"])


def test_each_ledger_s_own_answer_stays_what_it_was(province: Province) -> None:
    def alone(to: str) -> str:
        archive, target = province.folder / "luohu" / "archive", province.folder / to
        return str(province.hours("replay", "--archive", archive, "--to", target, "--json").answer["checksum"])

    before = alone("before")
    approved(province, province.link())
    province.replay()
    assert alone("after") == before


def test_the_axes_are_those_of_every_replay(province: Province) -> None:
    approved(province, province.link())
    now = province.replay().answer
    assert province.replay("--known-at", "2099-01-01T00:00:00Z").answer["checksum"] == now["checksum"]
    then = province.replay("--known-at", "2001-01-01", "--rules", "rules/luohu.toml").answer
    assert {head["position"] for head in then["heads"]} == {0}
    assert then["rows"]["volunteer_hours"] == 0
    assert "no rules were in force" in province.replay("--known-at", "2001-01-01").sentence
    valid = province.replay("--valid-at", "2018-12-01").answer
    assert (valid["valid_at"], valid["checksum"] != now["checksum"]) == ("2018-12-01", True)
    assert province.replay("--rules", 1).answer["checksum"] == now["checksum"]
    assert "no rules 9" in province.replay("--rules", 9).sentence
    shutil.copy("rules/luohu.toml", province.folder / "shenzhen.toml")
    province.define(rules="shenzhen.toml", own=None)
    assert province.replay().answer["rules"]["version"] == 0


def test_status_shows_how_far_each_ledger_is_known(province: Province) -> None:
    answer = province.hours("federation", "status", province.file, "--json").answer
    assert answer["heads"] == province.replay().answer["heads"]
    shown = province.hours("federation", "status", province.file)
    assert (shown.code, "luohu" in shown.out, answer["seal"] in shown.out) == (0, True, True)
    shutil.rmtree(province.folder / "luohu")
    shown = province.hours("federation", "status", province.file)
    assert (shown.code, "cannot be read" in shown.out) == (1, True)


def test_a_ledger_in_a_store_is_read_there(
    province: Province, new_bucket: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOURS_CACHE", str(province.folder / "cache"))
    here = province.replay().answer
    place = f"s3://{new_bucket()}/luohu"
    manifest = read_manifest(province.folder / "luohu" / "archive")
    assert manifest is not None
    send_archive(Archive(province.folder / "luohu" / "archive", manifest.ledger), ObjectStore(place))
    province.define(luohu=place)
    shutil.rmtree(province.folder / "luohu")
    assert province.replay().answer == here


# --- faults ---------------------------------------------------------------------------------------------------------


def test_a_ledger_that_cannot_be_read_is_refused_or_left_out_and_named(province: Province) -> None:
    whole = province.replay().answer
    shutil.rmtree(province.folder / "futian")
    refused = province.replay(to="refused")
    assert (refused.code, refused.out) == (1, "")
    assert "futian cannot be read" in refused.err
    assert "--without-unreachable" in refused.err
    assert not (province.folder / "refused").exists()
    answer = province.replay("--without-unreachable", to="without").answer
    assert answer["missing"] == ["futian"]
    assert answer["seal"] != whole["seal"]
    assert province.credited("without").keys() == {"luohu.V0000001", "luohu.V0000002"}
    earlier = province.folder / "out" / "replay.json"
    assert "had the ledger futian; add it" in province.replay("--without-unreachable", "--heads", earlier).err
    status = province.hours("federation", "status", province.file, "--json")
    assert (status.code, json.loads(status.out)["seal"]) == (1, answer["seal"])
    shutil.rmtree(province.folder / "luohu")
    assert "no ledger" in province.replay("--without-unreachable", to="none").err


def test_the_federation_s_own_ledger_is_never_left_out(province: Province) -> None:
    """Without its links persons would fall apart, and nobody would see it in the answer."""
    shutil.rmtree(province.folder / "own" / "archive")
    assert "the ledger (own) cannot be read" in province.replay("--without-unreachable").err


def test_a_link_needs_the_ledgers_of_its_numbers_alone(province: Province) -> None:
    requested = province.link()
    shutil.rmtree(province.folder / "futian")
    assert "futian cannot be read" in province.link().err
    assert "--without-unreachable" not in province.link().err
    approved(province, requested)
    assert "link-" in province.link("unlink").answer["request"]


def test_a_damaged_ledger_is_refused(province: Province) -> None:
    (file,) = (province.folder / "luohu" / "archive").glob("*/shift-events.parquet")
    file.write_bytes(file.read_bytes()[:100])
    result = province.replay()
    assert (result.code, "is missing or damaged" in result.err) == (1, True)


def test_a_ledger_that_stands_there_twice_would_count_twice(province: Province) -> None:
    shutil.rmtree(province.folder / "futian")
    shutil.copytree(province.folder / "luohu", province.folder / "futian")
    assert "archives of the same ledger" in province.replay().sentence


def test_an_earlier_answer_is_not_repeated_from_other_ledgers(province: Province) -> None:
    province.replay()
    earlier = province.folder / "out" / "replay.json"
    said = json.loads(earlier.read_text())

    def repeated(**changes: object) -> str:
        heads = [{**said["heads"][0], **changes}, *said["heads"][1:]]
        changed = province.folder / "changed.json"
        changed.write_text(json.dumps({**said, "heads": heads}))
        result = province.replay("--heads", changed, to="changed")
        assert result.out == ""
        return result.err

    assert "fetch a newer copy" in repeated(position=10**6)
    assert "is ledger" in repeated(ledger="00000000-0000-4000-8000-000000000000")
    assert "had the ledger nanshan; add it" in repeated(name="nanshan")
    assert "is not the replay.json" in repeated(position="x")
    assert "is not the replay.json" in repeated(position=-1)
    assert "cannot be read" in province.replay("--heads", province.folder / "none.json").sentence
    assert "leave one of them out" in province.replay("--heads", earlier, "--known-at", "2018-12-01").sentence


def test_a_clock_that_is_ahead_and_an_archive_that_ends_too_early_are_pointed_out(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = province.replay("--known-at", "2099-01-01T00:00:00Z")
    assert "the archive of luohu ends at" in later.err
    assert "Note" not in province.replay().err
    monkeypatch.setattr(OpenArchive, "recorded_until", property(lambda _: 4_070_908_800))
    assert "the clock of luohu is ahead" in province.replay().err


FILES = {
    "": "name: is missing",
    "name = 3\n[ledgers]\na = 'b'": "name: is wrong",
    "name = 'a'": "ledgers: is missing",
    "name = 'a'\n[ledgers]": "ledgers: is wrong",
    "name = 'Luo Hu'\n[ledgers]\na = 'b'": "name: is no name",
    "name = 'a'\n[ledgers]\n'a.b' = 'c'": "ledgers.a.b: is no name of a ledger",
    "name = 'a'\n[ledgers]\na = 'b'\nc = 'b'": "two ledgers have the same archive",
    "name = 'a'\nheads = 3\n[ledgers]\na = 'b'": "heads: is unknown",
    "name = ": "is no TOML",
    "\0": "is no TOML",
    "a = " + "[" * 5000: "is no TOML",
}


@pytest.mark.parametrize("text", FILES, ids=range(len(FILES)))
def test_a_file_that_defines_no_federation_is_refused_in_a_sentence(province: Province, text: str) -> None:
    province.file.write_text(text)
    assert FILES[text] in province.replay().sentence
    assert FILES[text] in province.hours("federation", "status", province.file).sentence


def test_options_that_go_with_a_federation_or_not(province: Province) -> None:
    assert "cannot be read" in province.hours("federation", "status", province.folder / "none.toml").sentence
    assert (
        "not from --federation; leave one of them out"
        in province.hours("replay", "--federation", province.file, "--generation").sentence
    )
    assert "is a position" in province.replay("--known-at", 3).sentence


def test_facts_are_divided_and_replayed_to_the_same_rows(province: Province) -> None:
    approved(province, province.link())
    whole = province.replay().answer
    facts = province.folder / "facts"
    built = province.hours("facts", "build", facts, "--federation", province.file, "--partitions", 4, "--json").answer
    assert (built["partitions"], built["federation"], built["heads"]) == (4, "shenzhen", whole["heads"])
    assert province.hours("facts", "status", facts, "--json").answer == built
    target = province.folder / "by-facts"
    for options in ((), ("--workers", 1)):
        again = province.hours("replay", "--facts", facts, "--to", target, "--overwrite", "--json", *options).answer
        assert {**again, "folder": whole["folder"]} == whole
    assert province.credited("by-facts") == province.credited()
    assert "files are as they were written" in province.hours("facts", "verify", facts).out
    (facts / "names-0001.parquet").write_bytes(b"")
    verified = province.hours("facts", "verify", facts, "--json")
    assert (verified.code, json.loads(verified.out)["wrong"]) == (1, ["names-0001.parquet"])
    refused = province.hours("replay", "--facts", facts, "--to", target, "--overwrite")
    assert (refused.code, "build the facts again" in refused.err) == (1, True)


def test_facts_of_one_ledger_or_of_a_copy_of_its_archive(province: Province) -> None:
    archive, facts, target = province.folder / "luohu" / "archive", province.folder / "facts", province.folder / "out"
    whole = province.hours("replay", "--archive", archive, "--to", target, "--json").answer
    built = province.hours("facts", "build", facts, "--archive", archive, "--json").answer
    assert (built["federation"], built["partitions"]) == (None, 1)
    again = province.hours("replay", "--facts", facts, "--to", target, "--overwrite", "--json").answer
    assert again == whole
    axes = ("--valid-at", "2018-12-01", "--rules", "rules/luohu.toml")
    cut = province.hours("replay", "--facts", facts, "--to", target, "--overwrite", "--json", *axes).answer
    expected = province.hours("replay", "--archive", archive, "--to", target, "--overwrite", "--json", *axes).answer
    assert cut == expected
    assert province.hours("facts", "build", facts, "--json").answer["heads"] != built["heads"]  # the ledger's own


def test_facts_in_any_state_are_replaced_and_nothing_else_is(province: Province) -> None:
    facts, target = province.folder / "facts", province.folder / "out"
    build = ("facts", "build", facts, "--federation", province.file, "--json")
    province.hours(*build)
    (facts / "rules.toml").write_text("name = 'other'")
    replayed = province.hours("replay", "--facts", facts, "--to", target)
    assert (replayed.code, "rules.toml is missing or damaged" in replayed.err) == (1, True)
    (facts / "dataset.json").write_text("{")
    assert province.hours("facts", "status", facts).code == 1
    assert province.hours(*build).code == 0
    assert province.hours("replay", "--facts", facts, "--to", target).code == 0
    (facts / "notes.txt").write_text("mine")
    assert "files that are not facts" in province.hours(*build).sentence
    assert (facts / "notes.txt").read_text() == "mine"
    assert (
        "but those in force; name a file"
        in province.hours("replay", "--facts", facts, "--to", target, "--overwrite", "--rules", 1).sentence
    )


def test_a_link_that_is_refused_leaves_nothing_behind(province: Province) -> None:
    before = province.hours("federation", "status", province.file, "--json").answer
    refused = province.hours(
        "federation", "link", province.file, "luohu.V0000001", "futian.V0000002", "--reason", "Not A Code"
    )
    assert "--reason" in refused.sentence
    assert province.hours("federation", "status", province.file, "--json").answer == before


def test_what_goes_with_facts_or_not(province: Province) -> None:
    facts = province.folder / "facts"
    said = {
        ("facts", "status", facts): "holds no facts; `hours facts build",
        ("replay", "--facts", facts, "--to", "a"): "holds no facts",
        ("facts", "build", province.file): "is a file; name a folder",
        ("facts", "build", province.folder): "contains files that are not facts; name another folder",
        ("facts", "build", facts / "in" / "none"): "does not exist; create it first",
        ("facts", "build", facts, "--partitions", 6): "--partitions 6 is no power of two; write 4",
        ("facts", "build", facts, "--archive", "a", "--federation", "b"): "leave one of them out",
        ("replay", "--facts", facts, "--archive", "b", "--to", "a"): "--archive and --facts both name what to replay",
        ("replay", "--facts", facts, "--to", "a", "--known-at", 1): "see `hours facts build --known-at`",
        ("replay", "--facts", facts, "--to", "a", "--workers", 1, "--cluster", "tcp://a:1"): "leave one of them out",
    }
    for arguments, sentence in said.items():
        assert sentence in province.hours(*arguments).sentence
    province.define(own=None)
    known = ("facts", "build", facts, "--federation", province.file, "--json", "--known-at")
    assert "write an instant with a zone" in province.hours(*known, "2018-12-01").sentence
    built = province.hours(*known, "2018-12-01T00:00:00Z")
    assert (built.code, len(built.answer["heads"])) == (0, 2)
    assert "name a file with --rules FILE" in province.hours("replay", "--facts", facts, "--to", "a").sentence


def test_only_numbers_that_their_ledgers_have_are_linked_in_the_own_ledger(province: Province) -> None:
    assert "has no volunteer V7" in province.link(number="luohu.V7").sentence
    assert "the name of no ledger" in province.link(number="nanshan.V0000001").sentence
    assert "the name of no ledger" in province.link(into="V0000001").sentence
    assert "is not linked with futian.V0000002" in province.link("unlink").sentence
    province.define(own="luohu/archive", luohu=None)
    assert (
        "is not the federation's own ledger" in province.link(number="futian.V0000001", into="futian.V0000002").sentence
    )
    province.define(own=None)
    assert "no ledger of the federation's own" in province.link().sentence
    assert "name the rules of the answer" in province.replay().sentence
