"""Signing keys: private files, generations that end at a size, and what is published of them."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from replay.proof.checkpoints import sign, verify_checkpoint
from replay.proof.keys import KeyFolder, NoSigningKeysError, PublishedKeys, SigningKeyError
from replay.proof.notes import Note, NoteError

ORIGIN = "hours.example.org/log"
NOW = 1_800_000_000


@pytest.fixture
def folder(tmp_path: Path) -> KeyFolder:
    keys = KeyFolder(tmp_path / "proof" / "keys")
    keys.make(ORIGIN, NOW)
    return keys


def test_the_keys_that_are_made_sign_what_the_published_ones_verify(folder: KeyFolder) -> None:
    checkpoint = sign(folder.signing_keys(), 5, bytes(32), NOW)
    assert verify_checkpoint(checkpoint.encode(), folder.published()) == checkpoint


def test_published_keys_are_read_as_they_were_written(folder: KeyFolder) -> None:
    published = folder.rotate(NOW + 1, 7)
    assert PublishedKeys.from_json(json.dumps(published.as_json())) == published == folder.published()


def test_files_and_folder_are_the_owner_s_alone(folder: KeyFolder) -> None:
    folder.secret("seal")
    assert {path.stat().st_mode & 0o777 for path in folder.folder.iterdir()} == {0o600}
    assert folder.folder.stat().st_mode & 0o777 == 0o700
    assert folder.folder.parent.stat().st_mode & 0o777 == 0o700


def test_keys_that_others_can_read_are_refused(folder: KeyFolder) -> None:
    path = folder.folder / "generation-1.keys"
    path.chmod(0o640)
    with pytest.raises(SigningKeyError, match=r"others can read .*chmod 600"):
        folder.signing_keys()


def test_a_pipe_is_refused_and_does_not_block(folder: KeyFolder) -> None:
    (path := folder.folder / "generation-1.keys").unlink()
    os.mkfifo(path, 0o600)
    with pytest.raises(SigningKeyError, match="is not a file"):
        folder.signing_keys()


def test_a_link_is_not_followed(folder: KeyFolder, tmp_path: Path) -> None:
    path = folder.folder / "generation-1.keys"
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SigningKeyError, match="cannot be read"):
        folder.signing_keys()


def test_no_private_key_is_shown(folder: KeyFolder) -> None:
    seeds = [key.seed for key in folder.signing_keys()]
    shown = repr(folder.signing_keys()) + json.dumps(folder.published().as_json())
    assert not any(seed.hex() in shown or repr(seed) in shown for seed in seeds)


def test_a_folder_without_keys_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NoSigningKeysError, match="hours signing-keys make"):
        KeyFolder(tmp_path / "none").published()


@pytest.mark.parametrize("origin", ["", "a b", "a+b", "https://a", "Ä", "a/", "a//b", "-a", "a" * 201, "a\nb", "a/b?c"])
def test_other_texts_than_an_address_are_no_origin(tmp_path: Path, origin: str) -> None:
    with pytest.raises(SigningKeyError, match="cannot be the origin"):
        KeyFolder(tmp_path).make(origin, NOW)
    assert not list(tmp_path.iterdir())


def test_keys_are_never_made_over_others(folder: KeyFolder) -> None:
    with pytest.raises(SigningKeyError, match="holds signing keys"):
        folder.make(ORIGIN, NOW)


# --- rotation -------------------------------------------------------------------------------------------------------


def test_after_a_rotation_old_checkpoints_stay_valid_and_the_old_key_signs_nothing_beyond(folder: KeyFolder) -> None:
    old = folder.signing_keys()
    folder.rotate(NOW + 1, 100)
    new, published = folder.signing_keys(), folder.published()
    for keys, size, counts in (
        (old, 99, True),
        (old, 100, True),
        (old, 101, False),
        (new, 100, True),
        (new, 99, False),
    ):
        content = sign(keys, size, bytes(32), NOW).encode()
        if counts:
            verify_checkpoint(content, published)
        else:
            with pytest.raises(NoteError, match=r"no keys .* that count at the size"):
                verify_checkpoint(content, published)
    assert not (folder.folder / "generation-1.keys").exists()


def test_a_stolen_generation_verifies_nothing(folder: KeyFolder) -> None:
    old = sign(folder.signing_keys(), 50, bytes(32), NOW).encode()
    published = folder.rotate(NOW + 1, 100, stolen=True)
    with pytest.raises(NoteError, match="that count"):
        verify_checkpoint(old, published)
    assert published.verifier_keys == published.current.keys


def test_a_rotation_needs_no_private_key_of_before(folder: KeyFolder) -> None:
    (folder.folder / "generation-1.keys").unlink()
    with pytest.raises(SigningKeyError, match=r"is missing: restore it .* rotate"):
        folder.signing_keys()
    folder.rotate(NOW + 1, 0)
    assert len(folder.signing_keys()) == 2


def test_a_rotation_that_was_killed_before_the_list_was_written_leaves_the_old_keys(folder: KeyFolder) -> None:
    before = folder.signing_keys()
    (folder.folder / "generation-2.keys").write_text("half a key")
    assert folder.signing_keys() == before
    folder.rotate(NOW + 1, 0)
    assert folder.signing_keys() != before


# --- published keys -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"origin": "other.example"},
        {"origin": 1},
        {"generations": []},
        {"generations": None},
        {"generations": [{}]},
    ],
)
def test_malformed_published_keys_are_refused(folder: KeyFolder, change: dict[str, object]) -> None:
    with pytest.raises(NoteError):
        PublishedKeys.from_json(json.dumps({**folder.published().as_json(), **change}))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("generation", 2),
        ("keys", []),
        ("first_size", -1),
        ("first_size", None),
        ("first_size", True),
        ("last_size", -1),
        ("stolen", 0),
        ("made_at", "now"),
    ],
)
def test_each_field_of_a_generation_is_checked(folder: KeyFolder, field: str, value: object) -> None:
    content = folder.published().as_json()
    content["generations"][0][field] = value
    with pytest.raises(NoteError):
        PublishedKeys.from_json(json.dumps(content))


@pytest.mark.parametrize(
    ("number", "field", "value"),
    [(0, "last_size", None), (0, "last_size", 101), (1, "first_size", 99), (1, "last_size", 200), (1, "keys", None)],
)
def test_generations_follow_one_another(folder: KeyFolder, number: int, field: str, value: object) -> None:
    """Otherwise keys that were replaced could sign on, or sign what their successors sign."""
    content = folder.rotate(NOW + 1, 100).as_json()
    assert PublishedKeys.from_json(json.dumps(content)) == folder.published()
    content["generations"][number][field] = content["generations"][0]["keys"] if field == "keys" else value
    with pytest.raises(NoteError, match="do not follow one another"):
        PublishedKeys.from_json(json.dumps(content))


def test_one_of_two_signatures_is_not_enough(folder: KeyFolder) -> None:
    checkpoint = sign(folder.signing_keys(), 5, bytes(32), NOW)
    for signature in checkpoint.note.signatures:
        alone = checkpoint._replace(note=Note(checkpoint.note.text, (signature,)))
        with pytest.raises(NoteError, match="no keys"):
            verify_checkpoint(alone.encode(), folder.published())


# --- other secrets --------------------------------------------------------------------------------------------------


def test_a_secret_is_made_once_for_each_name(folder: KeyFolder) -> None:
    assert len(folder.secret("seal")) == 32
    assert folder.secret("seal") == KeyFolder(folder.folder).secret("seal") != folder.secret("credential")


def test_a_folder_that_lost_its_private_keys_makes_no_secret_in_place_of_the_one_that_was_lost_too(
    folder: KeyFolder,
) -> None:
    folder.secret("seal")
    files = folder.private_files()
    for name in ("generation-1.keys", "seal.secret"):
        (folder.folder / name).unlink()
    with pytest.raises(SigningKeyError, match=r"is missing: restore it"):
        folder.secret("seal")
    assert folder.restore(files) == ["generation-1.keys", "seal.secret"]


def test_a_damaged_secret_is_not_made_again(folder: KeyFolder) -> None:
    folder.secret("seal")
    (folder.folder / "seal.secret").write_text("0")
    with pytest.raises(SigningKeyError, match="is damaged"):
        folder.secret("seal")


# --- restoring ------------------------------------------------------------------------------------------------------


def test_files_come_back_where_they_are_missing(folder: KeyFolder, tmp_path: Path) -> None:
    folder.secret("seal")
    files = folder.private_files()
    (folder.folder / "generation-1.keys").unlink()
    assert folder.restore(files) == ["generation-1.keys"]
    elsewhere = KeyFolder(tmp_path / "elsewhere")
    assert set(elsewhere.restore(files)) == {"keys.json", "generation-1.keys", "seal.secret"}
    assert elsewhere.private_files() == files


def test_private_keys_that_a_rotation_removed_do_not_come_back(folder: KeyFolder) -> None:
    folder.secret("seal")
    files = folder.private_files()
    folder.rotate(NOW + 1, 100, stolen=True)
    (folder.folder / "seal.secret").unlink()
    assert folder.restore(files) == ["seal.secret"]
    assert not (folder.folder / "generation-1.keys").exists()


def test_other_keys_are_never_overwritten(folder: KeyFolder, tmp_path: Path) -> None:
    other = KeyFolder(tmp_path / "other")
    other.make(ORIGIN, NOW)
    for files in (other.private_files(), {"../escape": b""}, {**folder.private_files(), "../escape": b""}):
        with pytest.raises(SigningKeyError):
            folder.restore(files)
    published = folder.published()
    assert replace(published) == folder.published()


def test_a_backup_of_before_a_rotation_does_not_undo_it(folder: KeyFolder) -> None:
    files = folder.private_files()
    rotated = folder.rotate(NOW + 1, 3)
    folder.restore(files)
    assert folder.published() == rotated
