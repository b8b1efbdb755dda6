"""Checkpoints: what the log signs of its tree, and the folder of those it has signed.

The text of a checkpoint is three lines, origin, size and root, and extension lines after them. Ed25519 signatures cover
all lines; ML-DSA-44 signatures cover the first three (C2SP tlog-cosignature). The size is the position of the last
event.

    data/proof/checkpoints/000000001234-2026-11-29    a checkpoint that was signed, by size and day (UTC): all of the
                                                      newest day, and the last of each day before
    data/tiles/checkpoint                             the newest one that is published

A checkpoint is stored before anybody sees it, so the log cannot forget what it has signed.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from replay.durable import make_private_folder, write_private
from replay.proof.keys import PublishedKeys
from replay.proof.notes import (
    Note,
    NoteError,
    Signature,
    SigningKey,
    Verified,
    VerifierKey,
    read_note,
    sign_note,
    tree_head,
    verify_note,
)

PUBLISHED_NAME = "checkpoint"
_NAME = re.compile(r"([0-9]{12,19})-[0-9]{4}-[0-9]{2}-[0-9]{2}")


class Checkpoint(NamedTuple):
    """A checkpoint as it was signed. `extensions`: its further lines. `note`: the text with its signatures."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...]
    note: Note

    def encode(self) -> bytes:
        """Return the checkpoint as it is stored and sent."""
        return self.note.encode()

    def with_signatures(self, signatures: Iterable[Signature]) -> Checkpoint:
        """Return the checkpoint with further signatures, those of witnesses; one that it has is not added again."""
        held = self.note.signatures
        known = {(each.name, each.key_id) for each in held}
        added = tuple(each for each in signatures if (each.name, each.key_id) not in known)
        return self._replace(note=Note(self.note.text, held + added))

    def signed_at(self, keys: Iterable[VerifierKey]) -> int | None:
        """Return the time, in epoch seconds, that the cosignature of one of these keys states; None without one.

        Raises:
            NoteError: a signature is wrong.
        """
        times = [each.timestamp for each in verify_note(self.note, keys) if each.timestamp is not None]
        return min(times, default=None)


def text_of(origin: str, size: int, root: bytes, extensions: Sequence[str] = ()) -> str:
    """Return the text of a checkpoint.

    Raises:
        NoteError: an extension line is empty, or holds a line break.
    """
    if any(not line or not line.isprintable() for line in extensions):
        raise NoteError("an extension line is not empty and has printable characters only")
    return "".join(f"{line}\n" for line in (origin, str(size), base64.b64encode(root).decode(), *extensions))


def sign(keys: Sequence[SigningKey], size: int, root: bytes, now: int, extensions: Sequence[str] = ()) -> Checkpoint:
    """Sign a checkpoint. Whoever calls this has compared it with the checkpoint that was signed before.

    Args:
        keys: the keys of one generation; their name is the origin.
        now: epoch seconds.
    """
    origin = keys[0].name
    note = sign_note(text_of(origin, size, root, extensions), keys, now)
    return Checkpoint(origin, size, root, tuple(extensions), note)


def read_checkpoint(content: bytes) -> Checkpoint:
    """Read a checkpoint without verifying it.

    Raises:
        NoteError: it is malformed.
    """
    note = read_note(content)
    origin, size, root = tree_head(note.text)
    return Checkpoint(origin, size, root, tuple(note.text.split("\n")[3:-1]), note)


def verify_with_keys(content: bytes, keys: Sequence[VerifierKey]) -> Checkpoint:
    """Read a checkpoint that each of these keys has to have signed.

    Raises:
        NoteError: it is malformed, a signature is missing or wrong, or the keys belong to another log.
    """
    checkpoint = read_checkpoint(content)
    if not keys:
        raise NoteError("no key was given to verify the checkpoint with")
    for key in keys:
        if key.name != checkpoint.origin:
            raise NoteError(f"the checkpoint is of {checkpoint.origin}, but the key is of {key.name}")
    signed = {each.key for each in verify_note(checkpoint.note, keys)}
    for key in keys:
        if key not in signed:
            raise NoteError(f"the checkpoint is not signed by the key {key.name}+{key.key_id:08x}")
    return checkpoint


def verify_checkpoint(content: bytes, published: PublishedKeys) -> Checkpoint:
    """Read a checkpoint that one generation of the log's keys has to have signed, with both keys.

    Raises:
        NoteError: it is malformed, of another log, or no generation that counts at its size has signed it.
    """
    checkpoint = read_checkpoint(content)
    if checkpoint.origin != published.origin:
        raise NoteError(f"the checkpoint is of {checkpoint.origin}, not of {published.origin}")
    if not signed_by(checkpoint, published):
        raise NoteError(
            f"no keys of {published.origin} that count at the size {checkpoint.size} have signed the checkpoint"
        )
    return checkpoint


def signed_by(checkpoint: Checkpoint, published: PublishedKeys) -> list[int]:
    """Return the numbers of the generations that count at the size of a checkpoint and have signed it with all keys.

    Raises:
        NoteError: a signature is wrong.
    """
    covering = published.covering(checkpoint.size)
    verified: list[Verified] = verify_note(checkpoint.note, [key for each in covering for key in each.keys])
    signed = {each.key for each in verified}
    return [each.number for each in covering if signed.issuperset(each.keys)]


class CheckpointFolder:
    """The checkpoints that a log has signed, one file for each size and day, and the published one."""

    def __init__(self, folder: Path, published_folder: Path) -> None:
        self.folder = folder
        self.published_path = published_folder / PUBLISHED_NAME

    @classmethod
    def of_data(cls, data: Path) -> CheckpointFolder:
        """Return the checkpoints of the ledger in a data directory."""
        return cls(data / "proof" / "checkpoints", data / "tiles")

    def sizes(self) -> list[int]:
        """Return the sizes of the stored checkpoints, ascending."""
        return sorted({size for size, _ in self._stored()})

    def read(self, size: int) -> Checkpoint:
        """Return a stored checkpoint, without verifying it.

        Raises:
            NoteError: it is malformed, or of another size than its name says.
            OSError: it cannot be read.
        """
        name = max((name for stored, name in self._stored() if stored == size), default=f"{size:012}")
        checkpoint = read_checkpoint((self.folder / name).read_bytes())
        if checkpoint.size != size:
            raise NoteError(f"{self.folder / name} holds a checkpoint of {checkpoint.size} events")
        return checkpoint

    def newest(self) -> Checkpoint | None:
        """Return the checkpoint of the greatest size that was signed, published or not; None if there is none.

        Raises:
            NoteError, OSError: as `read`.
        """
        sizes = self.sizes()
        stored = self.read(sizes[-1]) if sizes else None
        published = self.published()
        if published is not None and (stored is None or published.size > stored.size):
            return published
        return stored

    def published(self) -> Checkpoint | None:
        """Return the checkpoint that is published, without verifying it; None if there is none.

        Raises:
            NoteError, OSError: as `read`.
        """
        try:
            return read_checkpoint(self.published_path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return None

    def store(self, checkpoint: Checkpoint, now: int) -> None:
        """Store a checkpoint; one of the same size and day is replaced, and of the days before only the last stays.

        Args:
            now: epoch seconds.

        Raises:
            OSError
        """
        make_private_folder(self.folder)
        write_private(self.folder / f"{checkpoint.size:012}-{_day(now)}", checkpoint.encode())
        names = [name for _, name in self._stored()]
        last = dict(zip((_day_of(name) for name in names), names, strict=True))
        for name in names:
            if _day_of(name) != _day(now) and last[_day_of(name)] != name:
                (self.folder / name).unlink(missing_ok=True)

    def publish(self, checkpoint: Checkpoint) -> None:
        """Publish a checkpoint that is stored.

        Raises:
            OSError
        """
        make_private_folder(self.published_path.parent)
        write_private(self.published_path, checkpoint.encode())

    def _stored(self) -> list[tuple[int, str]]:
        """Return size and name of each stored checkpoint, in order of size and day."""
        if not self.folder.is_dir():
            return []
        found = (_NAME.fullmatch(path.name) for path in self.folder.iterdir())
        return sorted((int(each[1]), each[0]) for each in found if each)


def _day(instant: int) -> str:
    return datetime.fromtimestamp(instant, UTC).date().isoformat()


def _day_of(name: str) -> str:
    return name.partition("-")[2]
