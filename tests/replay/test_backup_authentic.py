"""Backups that somebody changed: names in them never become SQL, and the operator alone can accept them."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from api.operations.schema_parts import PARTS
from api.operations.service import OpenLedger, open_ledger
from ledger.store.database import Database
from replay.backup import backup
from replay.backup.authentication import MAC_FILE, BackupError, BackupKey, keep_key, make_key, read_key, sign
from replay.backup.backup import LOG, back_up, restore, verify
from tests.support.api.command_line import CommandLine
from tests.support.api.serving import stock

pytest_plugins = ["tests.support.api.fixtures"]


@pytest.fixture
def elsewhere(new_database_url: Callable[[], str], tmp_path: Path) -> OpenLedger:
    """Another ledger, empty."""
    return OpenLedger(Database.open(new_database_url()), tmp_path / "elsewhere")


@pytest.fixture
def kept(database: Database, tmp_path: Path) -> OpenLedger:
    """A ledger with a little history."""
    ledger = OpenLedger(database, tmp_path)
    stock(ledger)
    return ledger


def manifest_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / backup.MANIFEST).read_text())
    return found


def rewrite(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a manifest as somebody would who can write to the backups' place."""
    manifest = manifest_of(folder)
    change(manifest)
    (folder / backup.MANIFEST).write_text(json.dumps(manifest))


def rename_table(name: str, new: str) -> Callable[[dict[str, Any]], object]:
    return lambda manifest: manifest["tables"].update({new: manifest["tables"].pop(name)})


def rename_column(table: str, new: str) -> Callable[[dict[str, Any]], object]:
    return lambda manifest: manifest["tables"][table]["columns"].__setitem__(0, new)


PROGRAM = "ledger.texts FROM PROGRAM 'touch {mark}' --"
HOSTILE: dict[str, tuple[Callable[[str], Callable[[dict[str, Any]], object]], str]] = {
    "a table that runs a program": (
        lambda mark: rename_table("ledger.texts", PROGRAM.format(mark=mark)),
        "which this program does not know",
    ),
    "a table that is a query": (
        lambda _: rename_table("ledger.texts", "ledger.texts; DROP SCHEMA api CASCADE; --"),
        "which this program does not know",
    ),
    "another table": (lambda _: rename_table("ledger.texts", "pg_catalog.pg_authid"), "which this program"),
    "a file outside": (lambda _: rename_table("ledger.texts", "../../texts"), "which this program does not know"),
    "a column that runs a program": (
        lambda mark: rename_column("ledger.texts", f"digest) FROM PROGRAM 'touch {mark}' --"),
        "columns that this program does not know",
    ),
    "a column twice": (lambda _: rename_column("ledger.texts", "salt"), "is damaged"),
    "no log": (lambda _: lambda manifest: manifest["tables"].pop(LOG), "is damaged"),
    "a negative version": (lambda _: lambda manifest: manifest["parts"].update(ledger=-1), "is damaged"),
    "a digest that is a path": (
        lambda _: lambda manifest: manifest["tables"][LOG].update(file_sha256="../x"),
        "is damaged",
    ),
    "an instant that is an escape sequence": (
        lambda _: lambda manifest: manifest.update(made_at="\x1b]0;owned\x07 2026-11-24"),
        "is damaged",
    ),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_names_in_a_manifest_never_become_sql(
    kept: OpenLedger, elsewhere: OpenLedger, tmp_path: Path, what: str
) -> None:
    """Also if its MAC is not checked, or its author has the key."""
    change, sentence = HOSTILE[what]
    key, mark = make_key(tmp_path / "key"), tmp_path / "mark"
    back_up(kept.database, tmp_path / "backup", key=key)
    rewrite(tmp_path / "backup", change(str(mark)))
    for used in (None, key):
        if used:
            sign(tmp_path / "backup", (tmp_path / "backup" / backup.MANIFEST).read_bytes(), used)
        with pytest.raises(BackupError, match=re.escape(sentence)):
            verify(tmp_path / "backup", key=used)
        with pytest.raises(BackupError, match=re.escape(sentence)):
            restore(tmp_path / "backup", elsewhere.database, PARTS, key=used)
    assert not mark.exists()
    assert elsewhere.log.head() == 0


def _other_file(folder: Path) -> None:
    """Replace a table, with the digests that fit it: an API key of somebody else, say."""
    path = folder / "ledger.persons.copy.zst"
    content = b"V0000001\tMallory\t\\N\t\\N\n"
    with pa.CompressedOutputStream(str(path), "zstd") as file:
        file.write(content)

    def change(manifest: dict[str, Any]) -> None:
        manifest["tables"]["ledger.persons"] |= {
            "rows": 1,
            "content_sha256": hashlib.sha256(content).hexdigest(),
            "file_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }

    rewrite(folder, change)


CHANGED: dict[str, tuple[Callable[[Path], object], str]] = {
    "a table and its digests": (_other_file, "was changed since the backup was made"),
    "the head": (lambda folder: rewrite(folder, lambda manifest: manifest.update(head=1)), "was changed since"),
    "no MAC": (lambda folder: (folder / MAC_FILE).unlink(), "has no MAC, so anybody may have written it"),
    "a damaged MAC": (lambda folder: (folder / MAC_FILE).write_text("[]"), "is damaged"),
    "a MAC that is no text": (lambda folder: (folder / MAC_FILE).write_bytes(b"\xff{"), "is damaged"),
    "another ledger's MAC": (
        lambda folder: sign(folder, (folder / backup.MANIFEST).read_bytes(), make_key(folder.parent / "other")),
        "was made with another key than the one in",
    ),
    "a MAC without its key": (
        lambda folder: (folder / MAC_FILE).write_text(
            json.dumps({"key": read_key(folder.parent / "data.backup-key").id, "hmac_sha256": "0" * 64})
        ),
        "was changed since the backup was made",
    ),
}


@pytest.fixture
def stocked_hours(hours: CommandLine) -> CommandLine:
    """The command line on a ledger with a little history."""
    with open_ledger(hours.data) as ledger:
        stock(ledger)
    return hours


@pytest.mark.parametrize("what", CHANGED)
def test_a_backup_that_somebody_changed_is_refused_unless_the_operator_says_otherwise(
    stocked_hours: CommandLine,
    new_database_url: Callable[[], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
) -> None:
    hours, (change, sentence) = stocked_hours, CHANGED[what]
    folder = tmp_path / "backup"
    assert hours("backup", folder).code == 0
    assert hours("backup", folder, "--verify").code == 0
    change(folder)
    monkeypatch.setenv("DATABASE_URL", new_database_url())
    for command in (("backup", folder, "--verify"), ("restore", folder)):
        assert sentence in hours(*command).sentence
    if what != "the head":  # which is found to be wrong all the same
        assert "its MAC was not checked" in hours("backup", folder, "--verify", "--unauthenticated").out
        assert hours("restore", folder, "--unauthenticated").code == 0


def test_the_key_is_made_once_is_its_owner_s_and_goes_where_the_operator_says(
    hours: CommandLine, new_database_url: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = hours("backup", tmp_path / "first")
    key = tmp_path / "data.backup-key"
    assert f"key {key}: keep a copy apart from the backups" in said.out
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    secret = key.read_text()
    assert secret.strip() not in said.out + said.err
    assert not any(secret.strip() in path.read_text("latin-1") for path in (tmp_path / "first").iterdir())
    assert hours("backup", tmp_path / "second", "--json").answer["key"]["id"] == read_key(key).id
    assert key.read_text() == secret
    key.rename(tmp_path / "safe")
    monkeypatch.setenv("DATABASE_URL", new_database_url())
    elsewhere = CommandLine(tmp_path / "elsewhere", hours._capture)
    assert f"{tmp_path / 'elsewhere.backup-key'} is missing" in elsewhere("restore", tmp_path / "first").sentence
    assert elsewhere("restore", tmp_path / "first", "--key", tmp_path / "safe").code == 0
    assert read_key(tmp_path / "elsewhere.backup-key").secret == read_key(tmp_path / "safe").secret
    (tmp_path / "safe").chmod(0o644)
    assert "run `chmod 600" in elsewhere("backup", tmp_path / "first", "--verify", "--key", tmp_path / "safe").sentence
    (tmp_path / "safe").write_text("no key")
    assert "is not the key" in elsewhere("backup", tmp_path / "third", "--key", tmp_path / "safe").sentence
    assert "no key can be made" in elsewhere("backup", tmp_path / "third", "--key", tmp_path / "no" / "key").sentence
    assert "every backup gets a MAC" in elsewhere("backup", tmp_path / "third", "--unauthenticated").sentence


@pytest.mark.parametrize("kind", ["a link", "a pipe", "a folder"])
def test_a_table_that_is_no_file_is_refused(kept: OpenLedger, tmp_path: Path, kind: str) -> None:
    back_up(kept.database, tmp_path / "backup")
    path = tmp_path / "backup" / "ledger.persons.copy.zst"
    path.rename(tmp_path / "moved")
    make = {"a link": lambda: path.symlink_to(tmp_path / "moved"), "a pipe": lambda: os.mkfifo(path)}
    make.get(kind, path.mkdir)()
    with pytest.raises(BackupError, match="is missing, or is not a file"):
        verify(tmp_path / "backup")


def test_a_key_is_not_kept_where_the_folder_is_somebody_else_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError

    monkeypatch.setattr(os, "open", refuse)
    keep_key(BackupKey(bytes(32), tmp_path / "key"), tmp_path / "other")
    assert not (tmp_path / "other").exists()
