"""Checkpoints: their text, and the folder that remembers what was signed."""

from __future__ import annotations

from pathlib import Path

import pytest

from replay.proof.checkpoints import (
    Checkpoint,
    CheckpointFolder,
    read_checkpoint,
    sign,
    text_of,
    verify_checkpoint,
    verify_with_keys,
)
from replay.proof.keys import KeyFolder
from replay.proof.notes import Note, NoteError, Signature

ORIGIN = "hours.example.org/log"
DAY = 86_400
NOW = 20_000 * DAY + 3600


@pytest.fixture
def keys(tmp_path: Path) -> KeyFolder:
    folder = KeyFolder(tmp_path / "proof" / "keys")
    folder.make(ORIGIN, NOW)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> CheckpointFolder:
    return CheckpointFolder.of_data(tmp_path)


def made(keys: KeyFolder, size: int, *extensions: str) -> Checkpoint:
    return sign(keys.signing_keys(), size, bytes([size % 256]) * 32, NOW, extensions)


def test_the_text_has_three_lines_and_the_extensions() -> None:
    assert text_of("a.example", 7, bytes(32), ["hours 1 7 x y"]) == f"a.example\n7\n{'A' * 43}=\nhours 1 7 x y\n"


@pytest.mark.parametrize("line", ["", "a\nb", "a\0b"])
def test_extension_lines_are_printable(line: str) -> None:
    with pytest.raises(NoteError):
        text_of("a.example", 7, bytes(32), [line])


def test_a_checkpoint_is_read_as_it_was_signed(keys: KeyFolder) -> None:
    checkpoint = made(keys, 7, "hours 1 7 x y", "another")
    assert read_checkpoint(checkpoint.encode()) == checkpoint
    assert verify_checkpoint(checkpoint.encode(), keys.published()) == checkpoint
    assert checkpoint.signed_at(keys.published().verifier_keys) == NOW


def test_every_changed_byte_is_refused_or_changes_nothing_that_counts(keys: KeyFolder) -> None:
    content, published = made(keys, 7, "hours 1 7 x y").encode(), keys.published()
    text = len(content[: content.index(b"\n\n") + 1])
    for at in [*range(text + 150), *range(text + 150, len(content), 97)]:
        changed = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
        with pytest.raises(NoteError):
            verify_checkpoint(changed, published)


def test_each_key_that_is_given_has_to_have_signed(keys: KeyFolder, tmp_path: Path) -> None:
    checkpoint = made(keys, 7)
    other = KeyFolder(tmp_path / "other")
    other.make(ORIGIN, NOW)
    mine = keys.published().verifier_keys
    assert verify_with_keys(checkpoint.encode(), mine[:1]) == checkpoint
    for given in ((), other.published().verifier_keys, (*mine, *other.published().verifier_keys)):
        with pytest.raises(NoteError):
            verify_with_keys(checkpoint.encode(), given)


def test_a_signature_is_added_once(keys: KeyFolder) -> None:
    checkpoint = made(keys, 7)
    witness = Signature("witness.example", 1, bytes(72))
    twice = checkpoint.with_signatures([witness, *checkpoint.note.signatures]).with_signatures([witness])
    assert twice.note == Note(checkpoint.note.text, (*checkpoint.note.signatures, witness))


def test_the_newest_is_that_of_the_greatest_size_published_or_not(keys: KeyFolder, folder: CheckpointFolder) -> None:
    assert folder.newest() is None
    assert folder.published() is None
    first, second = made(keys, 9), made(keys, 10)
    folder.store(first, NOW)
    folder.publish(first)
    folder.store(second, NOW)
    assert folder.published() == first
    assert folder.newest() == second
    folder.publish(made(keys, 11))
    assert folder.newest() == made_again(keys, folder, 11)


def made_again(keys: KeyFolder, folder: CheckpointFolder, size: int) -> Checkpoint:
    published = folder.published()
    assert published is not None
    assert published.size == size
    return verify_checkpoint(published.encode(), keys.published())


def test_all_of_today_and_the_last_of_each_day_before_stay(keys: KeyFolder, folder: CheckpointFolder) -> None:
    for size, day in ((1, 0), (2, 0), (3, 0), (4, 1), (5, 1), (5, 2), (6, 2), (7, 2)):
        folder.store(made(keys, size), NOW + day * DAY)
    assert folder.sizes() == [3, 5, 6, 7]
    assert folder.read(5).size == 5


def test_a_checkpoint_under_another_name_is_refused(keys: KeyFolder, folder: CheckpointFolder) -> None:
    folder.store(made(keys, 5), NOW)
    (path,) = folder.folder.iterdir()
    path.rename(path.with_name(path.name.replace("5", "6", 1)))
    with pytest.raises(NoteError, match="holds a checkpoint of 5 events"):
        folder.newest()
