"""`hours audit`: a bundle from the command line, and its audit without a database; mistakes are told in a sentence."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import psutil
import psycopg
import pytest

from api.operations.service import OpenLedger
from ledger.store.database import Database
from replay.proof.keys import data_keys
from tests.support.api.command_line import CommandLine
from tests.support.api.serving import stock
from tests.support.patience import PATIENCE_SECONDS
from tests.support.processes.program import HOURS, Program

pytest_plugins = ["tests.support.api.fixtures"]


@pytest.fixture
def keys(hours: CommandLine, database_url: str, tmp_path: Path) -> Path:
    """A file with the verifier keys of a ledger with a little history."""
    with Database.open(database_url) as database:
        ledger = OpenLedger(database, hours.data)
        stock(ledger)
        ledger.catch_up()
    folder = data_keys(hours.data)
    published = folder.published() if folder.exist() else folder.make("hours.example.org/log", int(time.time()))
    path = tmp_path / "keys.txt"
    path.write_text("# the ledger's keys\n" + "".join(f"{key}\n" for key in published.verifier_keys))
    return path


def test_a_bundle_is_made_extended_and_audited(
    hours: CommandLine, keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stick = tmp_path / "stick"
    made = hours("audit", "bundle", stick)
    assert made.code == 0, made.err
    again = hours("audit", "bundle", stick, "--since", stick / "checkpoint", "--json").answer
    assert (again["folder"], again["missing"]) == (str(stick), [])
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@nowhere.invalid/")  # an audit needs no database
    (tmp_path / "kept").write_bytes((stick / "checkpoint").read_bytes())
    report, page = tmp_path / "report.json", tmp_path / "report.html"
    found = hours("audit", stick, "--key", keys, "--since", tmp_path / "kept", "--output", report, "--output", page)
    assert found.code == 0, found.out
    assert "Sound: nothing was altered" in found.out
    fields = json.loads(report.read_text())
    assert (fields["sound"], fields["size"], fields["skipped"]) == (True, again["size"], {})
    assert "<h1>Audit of a ledger of service hours</h1>" in page.read_text()
    assert (
        hours("audit", "verify", stick, "--key", keys, "--processes", 1, "--json").answer["verdict"].startswith("Sound")
    )


def test_an_altered_bundle_ends_with_exit_code_1(hours: CommandLine, keys: Path, tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    assert hours("audit", "bundle", stick).code == 0
    (path,) = stick.glob("read-models-*/rules.toml")
    path.write_text(path.read_text() + "# <b>changed</b>\n")
    page = tmp_path / "report.html"
    found = hours("audit", stick, "--key", keys, "--processes", 1, "--output", page)
    assert found.code == 1
    assert "rules.toml" in found.out
    assert "<b>changed" not in page.read_text()


def test_mistakes_are_told_in_one_sentence(hours: CommandLine, keys: Path, tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    assert "is not an audit bundle" in hours("audit", tmp_path, "--key", keys).sentence
    assert hours("audit", "bundle", stick).code == 0
    assert "whom do you trust?" in hours("audit", stick).sentence
    assert "not a verifier key" in hours("audit", stick, "--key", "x+y").sentence
    assert "cannot be read" in hours("audit", stick, "--key", tmp_path / "none").sentence
    assert "cannot be read" in hours("audit", stick, "--key", keys, "--since", tmp_path / "none").sentence
    assert "ends with .json" in hours("audit", stick, "--key", keys, "--output", tmp_path / "report.pdf").sentence
    assert "never changes" in hours("audit", stick, "--key", keys, "--work", stick / "work").sentence
    kept = tmp_path / "kept"
    for content, sentence in {
        keys.read_bytes(): "is not a checkpoint",
        b"{}": "is not a checkpoint",
        (stick / "checkpoint")
        .read_bytes()
        .replace(b"hours.example.org", b"other.example.org"): "not of hours.example.org",
    }.items():
        kept.write_bytes(content)
        for since in ((stick, "--key", keys), ("bundle", stick)):
            refused = hours("audit", *since, "--since", kept)
            assert (refused.code, "--since" in refused.sentence or "you kept" in refused.sentence) == (2, True)
            assert sentence in refused.sentence
    keys.write_text("quorum nobody\n")
    assert "--policy" in hours("audit", stick, "--policy", keys).sentence


def test_a_rotation_is_named_where_the_keys_do_not_fit(hours: CommandLine, keys: Path, tmp_path: Path) -> None:
    """An auditor who has the key of before is told what may have happened; the published list is enough."""
    stick, kept, listed = tmp_path / "stick", tmp_path / "kept", tmp_path / "keys.json"
    assert hours("audit", "bundle", stick).code == 0
    kept.write_bytes((stick / "checkpoint").read_bytes())
    assert hours("signing-keys", "rotate").code == 0
    assert hours("audit", "bundle", stick).code == 0
    listed.write_text(hours("signing-keys", "list", "--json").out)
    newer = tmp_path / "newer.txt"
    newer.write_text("".join(f"{key}\n" for key in json.loads(listed.read_text())["generations"][1]["keys"]))
    for given, since in ((keys, ()), (newer, ("--since", kept))):
        found = hours("audit", stick, "--key", given, *since, "--processes", 1)
        told = "if the log's keys were rotated, give --key the published list" in " ".join(found.out.split())
        assert (found.code, told) == (1, True), found.out
    assert hours("audit", stick, "--key", listed, "--since", kept, "--processes", 1).code == 0


def test_an_altered_log_extends_no_bundle(hours: CommandLine, keys: Path, tmp_path: Path, database_url: str) -> None:
    stick = tmp_path / "stick"
    assert hours("audit", "bundle", stick).code == 0
    before = {path: path.read_bytes() for path in stick.rglob("*") if path.is_file()}
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE ledger.stored_events SET state = state || ' ' WHERE notification_id = 3")
    assert hours("checkpoint", "--verify").code == 1
    refused = hours("audit", "bundle", stick)
    assert (refused.code, refused.err.count("the log is not the one that was signed")) == (1, 1), refused.err
    assert {path: path.read_bytes() for path in stick.rglob("*") if path.is_file()} == before
    made = hours("audit", "bundle", tmp_path / "new")
    assert (made.code, made.err.count("the log is not the one that was signed")) == (1, 1), made.err
    assert hours("audit", tmp_path / "new", "--key", keys, "--processes", 1).code == 1


def test_a_folder_with_other_files_is_left_as_it_is(hours: CommandLine, keys: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("x")
    refused = hours("audit", "bundle", tmp_path / "mine")
    assert "letter.txt" in refused.sentence
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["letter.txt"]


@pytest.mark.slow
def test_ctrl_c_ends_an_audit_and_all_its_processes_and_the_next_one_goes_on(
    hours: CommandLine, keys: Path, tmp_path: Path
) -> None:
    stick, work = tmp_path / "stick", tmp_path / "work"
    assert hours("audit", "bundle", stick).code == 0
    arguments = ["audit", stick, "--key", keys, "--work", work]
    with Program(*HOURS, *arguments) as process:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not any(work.rglob("chunk-*")) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_SECONDS) in {0, 130}  # it may have been faster
    _, alive = psutil.wait_procs(children, timeout=PATIENCE_SECONDS)
    assert alive == []
    found = hours(*arguments)
    assert (found.code, "Sound" in found.out) == (0, True), found.err
