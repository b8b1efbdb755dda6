"""`hours archive`: what it holds, whether it is sound, making it anew, copying it."""

from __future__ import annotations

import pwd
from collections.abc import Callable
from pathlib import Path

import obstore
import pytest

from replay.locations import object_store
from replay.locations.object_store import ObjectStore
from tests.support.api.command_line import CommandLine

pytest_plugins = ["tests.support.api.fixtures", "tests.support.replay.object_store"]


@pytest.fixture
def archived(reads: CommandLine) -> CommandLine:
    """The command line on a small ledger whose archive is sound."""
    assert reads("archive", "rebuild").code == 0
    return reads


def test_the_archive_is_shown(archived: CommandLine) -> None:
    answer = archived("archive", "status", "--json").answer
    assert answer["position"] == answer["head"] > 12
    assert (answer["behind"], answer["rules"]) == (0, [1])
    assert [(one["first"], one["last"]) for one in answer["segments"]] == [(1, answer["head"])]
    shown = archived("archive", "status").out
    assert f"{answer['position']} events, 0 events behind the log" in shown
    assert "versions of the rules: 1" in shown


def test_a_sound_archive_agrees_with_the_log(archived: CommandLine) -> None:
    told = archived("archive", "verify")
    assert told.code == 0, told.err
    assert "events in 6 files agree with the log, and with its own checksums" in told.out
    assert archived("archive", "verify", "--json").answer["findings"] == []


def test_what_differs_is_shown_with_its_positions(archived: CommandLine) -> None:
    (segment,) = archived("archive", "status", "--json").answer["segments"]
    path = archived.data / "archive" / segment["folder"] / "rules.parquet"
    path.write_bytes(path.read_bytes().replace(b"PAR1", b"PAR2"))
    told = archived("archive", "verify")
    assert told.code == 1
    assert f"1 to {segment['last']}" in told.out
    assert "rules.parquet" in told.out
    assert archived("archive", "verify", "--json").code == 1


def test_it_is_made_anew(archived: CommandLine) -> None:
    (archived.data / "archive" / "manifest.json").write_text("{")
    assert "hours archive rebuild" in archived("archive", "status").err
    before = archived("archive", "rebuild", "--json").answer
    after = archived("archive", "rebuild", "--json").answer
    assert after == {**before, "edition": before["edition"] + 1}
    assert "the archive holds" in archived("archive", "rebuild").out
    assert archived("archive", "verify").code == 0


def test_a_copy_is_checked_and_replayed_without_a_database(
    archived: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "far" / "away"
    assert "copied to" in archived("archive", "copy", copy).out
    answer = archived("archive", "copy", copy, "--json").answer
    own = archived("replay", "--to", tmp_path / "own", "--json").answer
    monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1:1/none?connect_timeout=2")
    assert archived("archive", "status", copy, "--json").answer["position"] == answer["position"]
    assert "a copy" in archived("archive", "status", copy).out
    assert "agree with its own checksums" in archived("archive", "verify", copy).out
    replayed = archived("replay", "--archive", copy, "--to", tmp_path / "copied", "--json").answer
    assert replayed == {**own, "folder": str(tmp_path / "copied")}
    names = next(copy.glob("*/names.parquet"))
    names.write_bytes(names.read_bytes()[:-1])
    told = archived("archive", "verify", copy)
    assert (told.code, "names.parquet fails its SHA-256 checksum" in " ".join(told.out.split())) == (1, True)


def test_a_copy_in_a_store_is_checked_and_replayed_without_a_database(
    archived: CommandLine, tmp_path: Path, new_bucket: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOURS_CACHE", str(tmp_path / "cache"))
    copy = f"s3://{new_bucket()}/luohu"
    assert f"copied to {copy}, and verified" in archived("archive", "copy", copy).out
    answer = archived("archive", "copy", copy, "--json").answer
    own = archived("replay", "--to", tmp_path / "own", "--json").answer
    assert archived("archive", "verify", copy, "--with-log", "--json").answer["findings"] == []
    monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1:1/none?connect_timeout=2")
    assert archived("archive", "status", copy, "--json").answer["position"] == answer["position"]
    assert "6 files agree with its own checksums" in archived("archive", "verify", copy).out
    replayed = archived("replay", "--archive", copy, "--to", tmp_path / "copied", "--json").answer
    assert replayed == {**own, "folder": str(tmp_path / "copied")}
    assert {path.name for path in (tmp_path / "cache").iterdir()} == {"archives"}

    store = ObjectStore(copy)
    manifest = store.manifest().manifest
    assert manifest is not None
    digest = manifest.segments[0].files["names.parquet"]
    obstore.put(store._store, f"files/{digest.sha256}", b"spoilt")
    told = archived("archive", "verify", copy)
    assert (told.code, f"(file {digest.sha256}) is damaged" in told.out) == (1, True)
    assert archived("archive", "verify", copy, "--json").code == 1


@pytest.mark.parametrize(
    "command", [("archive", "verify"), ("archive", "status"), ("replay", "--to", "x", "--archive")]
)
def test_mistakes_about_stores_are_told(
    bare: CommandLine, new_bucket: Callable[[], str], command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "write s3://BUCKET/PREFIX" in bare(*command, "s3://Bucket").sentence
    assert "holds no archive; `hours archive copy s3://" in bare(*command, f"s3://{new_bucket()}/x").sentence
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setattr(object_store, "RETRIES", 0)
    assert "s3://bucket cannot be used: " in bare(*command, "s3://bucket").sentence


def test_without_a_home_directory_the_folder_for_archives_has_to_be_named(
    bare: CommandLine, new_bucket: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container whose user has no name."""

    def unknown(_number: int) -> None:
        raise KeyError

    for name in ("HOME", "HOURS_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    assert "name a folder in HOURS_CACHE" in bare("archive", "status", f"s3://{new_bucket()}/x").sentence


def test_mistakes_are_told(archived: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("keep me")
    assert "contains files that are not part of an archive" in archived("archive", "copy", tmp_path).sentence
    assert "is the archive itself" in archived("archive", "copy", archived.data / "archive").sentence
    for command in ("status", "verify"):
        assert "holds no archive" in archived("archive", command, tmp_path).sentence
