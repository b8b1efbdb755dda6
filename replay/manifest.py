"""The archive's manifest: which segments count, and what may be wrong with an archive.

It is one JSON file, replaced atomically: whoever reads it sees the archive before or after a change, never between.

    ArchiveError
    ├── ArchiveDisagreesError   it belongs to another log, or the log has lost or changed what it holds
    ├── ArchiveDamagedError     a file is missing or fails its checksum
    └── ArchiveBusyError        another process is writing to it
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from replay.segments import folder_name

FORMAT = 2
MANIFEST = "manifest.json"


class ArchiveError(Exception):
    """The archive cannot be used as it is; the message names the folder and the way out."""


class ArchiveDisagreesError(ArchiveError):
    """The archive and the log tell different stories."""


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


@dataclass(frozen=True)
class Segment:
    """A line of the manifest: a range of positions, how much of what it holds, and the digests of its parts."""

    first: int
    last: int
    shift_events: int
    other_events: int
    shifts: int
    parts: tuple[PartDigest, ...]

    @property
    def folder(self) -> str:
        return folder_name(self.first, self.last)

    @property
    def events(self) -> int:
        return self.last - self.first + 1

    def ranges(self) -> list[tuple[int, PartDigest]]:
        """Return each part with the position before it."""
        return list(zip([self.first - 1, *(part.last for part in self.parts)], self.parts, strict=False))


@dataclass(frozen=True)
class Manifest:
    """What an archive holds: of which ledger, and in which segments, without gaps from position 1 on."""

    ledger: UUID
    segments: tuple[Segment, ...] = ()

    @property
    def position(self) -> int:
        """The last position the archive holds; 0 if none."""
        return self.segments[-1].last if self.segments else 0


def read_manifest(folder: Path) -> Manifest | None:
    """Read the manifest in a folder; None where there is none: it was never made, or removed, which is allowed.

    Raises:
        ArchiveDamagedError: it cannot be read.
    """
    path = folder / MANIFEST
    try:
        said = json.loads(path.read_text())
        if said["format"] != FORMAT:
            raise ArchiveDamagedError(
                f"{path} has format {said['format']}, this program reads {FORMAT}; "
                "`hours rebuild --archive-anew` makes a new archive from the log"
            )
        return Manifest(UUID(said["ledger"]), tuple(_segment(line) for line in said["segments"]))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise damaged(path, error) from error


def _segment(line: dict[str, Any]) -> Segment:
    return Segment(**{**line, "parts": tuple(PartDigest(*part) for part in line["parts"])})


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Replace the manifest: from here on these segments count."""
    lines = [asdict(segment) for segment in manifest.segments]
    text = json.dumps({"format": FORMAT, "ledger": str(manifest.ledger), "segments": lines}, indent=1)
    temporary = folder / "manifest.new"
    with temporary.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(folder / MANIFEST)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def damaged(path: Path, error: Exception) -> ArchiveDamagedError:
    """Return the error that names a damaged file and the way out."""
    return ArchiveDamagedError(
        f"{path} is missing or damaged ({error}); `hours rebuild --archive-anew` makes a new archive from the log"
    )
