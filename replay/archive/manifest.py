"""The archive's manifest: which segments count, and what may be wrong with an archive.

It is one JSON file, replaced atomically: whoever reads it sees the archive before or after a change, never between. It
carries SHA-256 of itself and of every file, so that a flipped bit is found (`hours archive verify`); replays rely on
the checksums of Parquet pages instead, which cost next to nothing.

    ArchiveError
    ├── ArchiveDisagreesError   the log has lost or changed what the archive holds
    │   └── ForeignArchiveError it belongs to another ledger
    ├── ArchiveDamagedError     a file is missing or fails its checksum
    └── ArchiveBusyError        another process is writing to it
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

FORMAT = 5
MANIFEST = "manifest.json"
_NO_DIGEST = "0" * 64
_ANEW = "`hours archive rebuild` makes a new one from the log"


class ArchiveError(Exception):
    """The archive cannot be used as it is; the message names the folder and the way out."""


class ArchiveDisagreesError(ArchiveError):
    """The archive and the log tell different stories."""

    def __init__(self, folder: Path, why: str) -> None:
        super().__init__(
            f"the archive in {folder} disagrees with the log: {why}; `hours archive rebuild` "
            "(or `hours rebuild --archive-anew`) makes a new one"
        )


class ForeignArchiveError(ArchiveDisagreesError):
    """The archive belongs to another ledger. It is never replaced without being told to."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "it belongs to another ledger")


class ArchiveDamagedError(ArchiveError):
    """A file of the archive is missing or damaged."""


class ArchiveBusyError(ArchiveError):
    """Another process is writing to the archive."""


class PartDigest(NamedTuple):
    """A part of the log as it was read: its last position, and SHA-256 (`LogRange.digest`) of the part and of its last
    event alone, from which it is quickly seen whether the log still ends so.
    """

    last: int
    digest: str
    end: str


class FileDigest(NamedTuple):
    """A file as it was written: its size, and SHA-256 of its bytes as 64 hex digits."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Segment:
    """A line of the manifest: a range of positions and when they were recorded (epoch seconds), its folder and files,
    how much it holds, and the digests of its parts.
    """

    folder: str
    first: int
    last: int
    first_recorded_at: int
    last_recorded_at: int
    shift_events: int
    other_events: int
    shifts: int
    files: dict[str, FileDigest]
    parts: tuple[PartDigest, ...]

    @property
    def events(self) -> int:
        return self.last - self.first + 1

    def ranges(self) -> list[tuple[int, PartDigest]]:
        """Return each part with the position before it."""
        return list(zip([self.first - 1, *(part.last for part in self.parts)], self.parts, strict=False))


@dataclass(frozen=True)
class Manifest:
    """What an archive holds: of which ledger, and in which segments, without gaps from position 1 on. An archive that
    is made anew is another `edition`, whose folders have names of their own.
    """

    ledger: UUID
    segments: tuple[Segment, ...] = ()
    edition: int = 1

    @property
    def position(self) -> int:
        """The last position the archive holds; 0 if none."""
        return self.segments[-1].last if self.segments else 0

    @property
    def end(self) -> PartDigest | None:
        """The last part of the log it holds."""
        return self.segments[-1].parts[-1] if self.segments else None


def folder_name(first: int, last: int, edition: int) -> str:
    """Return the name of a segment's folder: its first and last position, and the edition, if it is not the first."""
    return f"{first:011d}-{last:011d}" + (f"-{edition}" if edition > 1 else "")


def next_edition(folder: Path) -> int:
    """Return an edition none of whose folders can be there, even if the manifest is lost."""
    names = [path.name.split("-") for path in folder.iterdir() if path.is_dir()] if folder.exists() else []
    editions = [int(name[2]) if len(name) == 3 and name[2].isdecimal() else 1 for name in names]
    return max(editions, default=0) + 1


def joined(segments: Sequence[Segment], parts: tuple[PartDigest, ...], folder: str) -> Segment:
    """Return what several segments, one behind the other, are as one; its files are not known yet."""
    return Segment(
        folder=folder,
        first=segments[0].first,
        last=segments[-1].last,
        first_recorded_at=segments[0].first_recorded_at,
        last_recorded_at=segments[-1].last_recorded_at,
        shift_events=sum(segment.shift_events for segment in segments),
        other_events=sum(segment.other_events for segment in segments),
        shifts=sum(segment.shifts for segment in segments),
        files={},
        parts=parts,
    )


# --- on disk --------------------------------------------------------------------------------------------------------


def read_manifest(folder: Path) -> Manifest | None:
    """Read the manifest in a folder; None where there is none: it was never made, or removed, which is allowed.

    Raises:
        ArchiveDamagedError: it cannot be read.
    """
    path = folder / MANIFEST
    try:
        return _parsed(path.read_bytes().decode(), path)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(path, error) from error


def _parsed(text: str, path: Path) -> Manifest:
    said = json.loads(text)
    if said["format"] != FORMAT:
        raise ArchiveDamagedError(f"{path} has format {said['format']}, this program reads {FORMAT}; {_ANEW}")
    if _digest(text.replace(said["sha256"], _NO_DIGEST, 1)) != said["sha256"]:
        raise ValueError("SHA-256 differs")
    return Manifest(UUID(said["ledger"]), tuple(_segment(line) for line in said["segments"]), said["edition"])


def _segment(line: dict[str, Any]) -> Segment:
    files = {name: FileDigest(**said) for name, said in line["files"].items()}
    return Segment(**{**line, "files": files, "parts": tuple(PartDigest(*part) for part in line["parts"])})


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Replace the manifest: from here on these segments count."""
    lines = [
        {**asdict(segment), "files": {name: digest._asdict() for name, digest in segment.files.items()}}
        for segment in manifest.segments
    ]
    said = {"format": FORMAT, "sha256": _NO_DIGEST, "ledger": str(manifest.ledger), "edition": manifest.edition}
    text = json.dumps({**said, "segments": lines}, indent=1)
    temporary = folder / "manifest.new"
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text.replace(_NO_DIGEST, _digest(text), 1))
        file.flush()
        os.fsync(file.fileno())
    flush_folder(folder)  # the segments are there before they count
    temporary.rename(folder / MANIFEST)
    flush_folder(folder)


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def flush_folder(folder: Path) -> None:
    """Let what was made, renamed or removed in a folder outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def damaged(path: Path, error: Exception) -> ArchiveDamagedError:
    """Return the error that names a damaged file and the way out."""
    return ArchiveDamagedError(f"{path} is missing or damaged ({error}); {_ANEW}")
