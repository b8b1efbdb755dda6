"""The archive's manifest, which lists the valid segments, and the errors of an archive.

The manifest is one JSON file that is replaced atomically: a reader sees the archive either before or after a change. It
contains the SHA-256 of itself and of every file, so that `hours archive verify` finds a flipped bit. Replays rely on
the checksums of Parquet pages instead, which cost almost nothing.

    ArchiveError
    ├── ArchiveDisagreesError   the log has lost or changed events that the archive holds
    │   └── ForeignArchiveError the archive belongs to another ledger
    ├── ArchiveDamagedError     a file is missing or fails its checksum
    └── ArchiveBusyError        another process is writing to it
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from replay.durable import atomic_file, flush, way_out

FORMAT = 7
FORMATS = (6, FORMAT)
"""The formats that are read. In format 6 no rules were put in force but by publishing them."""
MANIFEST = "manifest.json"
_NO_DIGEST = "0" * 64
_FILE_NAME = re.compile(r"[a-z][a-z-]*\.parquet")
_SHA256 = re.compile(r"[0-9a-f]{64}")
REMEDY = "`hours archive rebuild` builds a new archive from the log"


class ArchiveError(Exception):
    """The archive cannot be used; the message names the folder and what to do."""


class ArchiveDisagreesError(ArchiveError):
    """The archive differs from the log at positions `first` to `last`, if they are known. It is never replaced, except
    by an operator who says so.
    """

    SUBJECT = "the archive in {folder} disagrees with the log"
    REMEDY = (
        "both are kept: `hours archive verify` compares them; if the log was changed, restore it from a backup; if the "
        "log is right, `hours archive rebuild --replace-disagreeing` builds a new archive and keeps the old one as well"
    )

    def __init__(self, folder: Path | str, why: str, first: int = 0, last: int = 0) -> None:
        super().__init__(f"{self.SUBJECT.format(folder=folder)}: {why}; {self.REMEDY}")
        self.why = why
        self.first = first
        self.last = last or first


class ForeignArchiveError(ArchiveDisagreesError):
    """The archive belongs to another ledger."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "it belongs to another ledger")


class ArchiveDamagedError(ArchiveError):
    """A file of the archive is missing or damaged."""


class ArchiveBusyError(ArchiveError):
    """Another process is writing to the archive."""


class PartDigest(NamedTuple):
    """A part of the log: its last position, and SHA-256 (`LogRange.digest`) of the part and of its last event alone.
    The latter is enough to check quickly whether the log still contains the archive's last event.
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
    """A segment in the manifest: its folder and files, first and last position, when these were recorded (epoch
    seconds), numbers of rows, and the digests of its parts.
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
    """The contents of an archive: its ledger, and its segments, which start at position 1 and leave no gaps. A rebuilt
    archive has another `edition`, so that its folders have other names.
    """

    ledger: UUID
    segments: tuple[Segment, ...] = ()
    edition: int = 1

    @property
    def position(self) -> int:
        """The last position the archive holds; 0 if none."""
        return self.segments[-1].last if self.segments else 0

    @property
    def bytes(self) -> int:
        """The size of all files."""
        return sum(digest.bytes for segment in self.segments for digest in segment.files.values())

    @property
    def end(self) -> PartDigest | None:
        """The last part of the log in the archive."""
        return self.segments[-1].parts[-1] if self.segments else None


def folder_name(first: int, last: int, edition: int) -> str:
    """Return the name of a segment's folder: its first and last position, and the edition if it is not 1."""
    return f"{first:011d}-{last:011d}" + (f"-{edition}" if edition > 1 else "")


def is_folder_name(name: str) -> bool:
    """Return whether a name is one that `folder_name` gives."""
    return re.fullmatch(r"[0-9]{11,}-[0-9]{11,}(-[0-9]+)?", name) is not None


def next_edition(folder: Path) -> int:
    """Return an edition that no existing folder has, even if the manifest is lost."""
    names = [path.name.split("-") for path in folder.iterdir() if path.is_dir()] if folder.exists() else []
    editions = [int(name[2]) if len(name) == 3 and name[2].isdecimal() else 1 for name in names]
    return max(editions, default=0) + 1


def joined(segments: Sequence[Segment], parts: tuple[PartDigest, ...], folder: str) -> Segment:
    """Return consecutive segments as one, without its files."""
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
    """Read the manifest in a folder; None if it does not exist: an archive may be new, or have been deleted.

    Raises:
        ArchiveDamagedError: it cannot be read.
    """
    path = folder / MANIFEST
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    return parse_manifest(content, str(path))


def parse_manifest(content: bytes, where: str) -> Manifest:
    """Read a manifest from its bytes.

    Raises:
        ArchiveDamagedError: they are none; it names where they were read.
    """
    try:
        return _parsed(content.decode(), where)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise damaged(where, error) from error


def _parsed(text: str, path: str) -> Manifest:
    fields = json.loads(text)
    if fields["format"] not in FORMATS:
        raise ArchiveDamagedError(f"{path} has format {fields['format']}, but this program reads {FORMAT}; {REMEDY}")
    if _digest(text.replace(fields["sha256"], _NO_DIGEST, 1)) != fields["sha256"]:
        raise ValueError("SHA-256 differs")
    segments = tuple(_segment(segment) for segment in fields["segments"])
    return Manifest(UUID(fields["ledger"]), segments, fields["edition"])


def _segment(fields: dict[str, Any]) -> Segment:
    files = {name: FileDigest(**digest) for name, digest in fields["files"].items()}
    if not is_folder_name(fields["folder"]):  # names become paths, and a manifest may come from anywhere
        raise ValueError(f"{fields['folder']!r} is no name of a segment")
    for name, digest in files.items():
        if not _FILE_NAME.fullmatch(name) or not _SHA256.fullmatch(digest.sha256):
            raise ValueError(f"{name!r} is no file of a segment")
    return Segment(**{**fields, "files": files, "parts": tuple(PartDigest(*part) for part in fields["parts"])})


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Replace the manifest; its segments are the valid ones from then on."""
    with atomic_file(folder / MANIFEST, folder / "manifest.new") as temporary:
        temporary.write_text(manifest_text(manifest), "utf-8")
        flush(folder)  # segments must be on disk before the manifest lists them


def manifest_text(manifest: Manifest) -> str:
    """Return a manifest as it is written."""
    segments = [
        {**asdict(segment), "files": {name: digest._asdict() for name, digest in segment.files.items()}}
        for segment in manifest.segments
    ]
    fields = {"format": FORMAT, "sha256": _NO_DIGEST, "ledger": str(manifest.ledger), "edition": manifest.edition}
    text = json.dumps({**fields, "segments": segments}, indent=1)
    return text.replace(_NO_DIGEST, _digest(text), 1)


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def readable_parts(folder: Path) -> Manifest | None:
    """Return what can still be read of a damaged manifest: its ledger, and the digests of parts. None if that is
    nothing, or the manifest has another format.
    """
    try:
        fields = json.loads((folder / MANIFEST).read_bytes())
        if fields["format"] not in FORMATS:
            return None
        return Manifest(UUID(fields["ledger"]), tuple(_segment(each) for each in fields["segments"]), 1)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def damaged(path: Path | str, error: Exception) -> ArchiveDamagedError:
    """Return the error for a missing or damaged file."""
    return ArchiveDamagedError(f"{path} is missing or damaged ({error}); {way_out(error, REMEDY)}")
