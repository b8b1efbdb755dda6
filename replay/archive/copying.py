"""Copying an archive: a consistent copy, even while the archive grows, from which replays run without a ledger.

Each file is verified against the SHA-256 in the manifest while it is copied. Intact segments of an earlier copy are
reused. The copy's manifest is written last. A copy only grows: one that holds other events than the archive, or more,
is evidence of an earlier log and is left as it is.
"""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

from ledger.store.database import Database
from replay.archive.agreement import refuse_other_beginning, refuse_other_prefix
from replay.archive.folder import (
    UNFINISHED,
    copy_file,
    digest_of,
    finish,
    locked,
    sweep,
    unfinished,
    write_error,
)
from replay.archive.manifest import (
    REMEDY,
    ArchiveDamagedError,
    ArchiveError,
    FileDigest,
    Manifest,
    Segment,
    read_manifest,
    write_manifest,
)
from replay.archive.open_archive import OpenArchive
from replay.progress import Progress, ignore

COPYING = "copying"


class TargetError(ArchiveError):
    """The target folder cannot be used; the message says what to do."""


class EmptyArchiveError(ArchiveError):
    """There is nothing to copy."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"the archive in {folder} is empty: there is nothing to copy; bring it up to date first")


class Source(ABC):
    """What an archive is copied from."""

    manifest: Manifest

    @abstractmethod
    def refresh(self) -> None:
        """Read the manifest again."""

    @abstractmethod
    def copy(self, segment: Segment, name: str, target: Path) -> FileDigest:
        """Copy a file of a segment, flush it to disk, and return the digest of what was read.

        Raises:
            ArchiveDamagedError: the file is missing.
        """

    @abstractmethod
    def where(self, segment: Segment, name: str) -> str:
        """Return the file's place, for messages."""


class _Folder(Source):
    """An archive in a folder of this machine."""

    def __init__(self, archive: OpenArchive) -> None:
        self._archive = archive
        self.refresh()

    def refresh(self) -> None:
        self._archive.refresh()
        self.manifest = self._archive.manifest

    def copy(self, segment: Segment, name: str, target: Path) -> FileDigest:
        source = self._path(segment, name)
        if not source.exists():
            raise ArchiveDamagedError(f"{source} is missing; {REMEDY}")
        return copy_file(source, target)

    def where(self, segment: Segment, name: str) -> str:
        return str(self._path(segment, name))

    def _path(self, segment: Segment, name: str) -> Path:
        return self._archive.folder / segment.folder / name


def copy_archive(
    archive: OpenArchive, target: Path, progress: Progress = ignore, database: Database | None = None
) -> OpenArchive:
    """Copy an archive into a folder and return the copy. Progress counts bytes.

    Args:
        database: the log, which an earlier copy is compared with where the archive has digested its parts anew.

    Raises:
        TargetError: the folder contains other files, or another ledger's archive.
        CopyDisagreesError: the folder holds a copy of other events.
        ArchiveDamagedError: a file fails its checksum. ArchiveError: there is nothing to copy, or the folder could not
        be written; an earlier copy in it is unchanged.
    """
    source = _Folder(archive)
    if not archive.segments:
        raise EmptyArchiveError(archive.folder)
    if target.resolve() == archive.folder.resolve():
        raise TargetError(f"{target} is the archive itself; name another folder to copy it to")
    return _copy(source, target, progress, lambda: _refuse_other_prefix(archive, target, database))


def copy_source(source: Source, target: Path, progress: Progress = ignore) -> OpenArchive:
    """Copy what a source holds into a folder, as `copy_archive` does; digests alone are compared with an earlier copy.

    Raises:
        TargetError, CopyDisagreesError, ArchiveDamagedError, ArchiveError: as `copy_archive`.
    """

    def refuse() -> None:
        found = read_manifest(target)
        if found is not None:
            refuse_other_beginning(source.manifest, found, target, None)

    return _copy(source, target, progress, refuse)


def _copy(source: Source, target: Path, progress: Progress, refuse_other: Callable[[], None]) -> OpenArchive:
    _refuse_others(source.manifest.ledger, target)
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(target, error) from error
    with locked(target, progress):
        source.refresh()  # another process may have updated the copy, from a newer archive, while this one waited
        refuse_other()
        try:
            while not (manifest := _copied(source, target, progress)):
                refuse_other()  # segments were merged meanwhile; what was copied is not copied again
            _publish(target, manifest)
        finally:
            shutil.rmtree(target / UNFINISHED, ignore_errors=True)
        sweep(target, {segment.folder for segment in manifest.segments})
    return OpenArchive.open_copy(target)


def _refuse_others(ledger: UUID, target: Path) -> None:
    """Refuse a target with other files, or with another ledger's archive."""
    if target.exists() and not target.is_dir():
        raise TargetError(f"{target} is a file; name a folder to copy the archive to")
    found = read_manifest(target)
    if found and found.ledger != ledger:
        raise TargetError(f"{target} holds another ledger's archive; name another folder")
    if found is None and target.exists() and any(path.name not in {"lock", UNFINISHED} for path in target.iterdir()):
        raise TargetError(
            f"{target} contains files that are not part of an archive; name an empty folder, or one that does not exist"
        )


def _refuse_other_prefix(archive: OpenArchive, target: Path, database: Database | None) -> None:
    found = read_manifest(target)
    if found is not None and found.segments:
        refuse_other_prefix(archive, target, database)


def _copied(source: Source, target: Path, progress: Progress) -> Manifest | None:
    """Copy the segments of a source's manifest and return it; None if a file was removed meanwhile by a merge, and the
    source has another manifest.
    """
    manifest, done = source.manifest, 0
    total = manifest.bytes
    for segment in manifest.segments:
        size = sum(digest.bytes for digest in segment.files.values())
        if not _is_sound(target / segment.folder, segment) and not _is_sound(
            target / UNFINISHED / segment.folder, segment
        ):
            progress(COPYING, done, total)
            try:
                _copy_segment(source, segment, target)
            except ArchiveDamagedError:
                source.refresh()
                if segment in source.manifest.segments:
                    raise
                return None
        done += size
        progress(COPYING, done, total)
    return manifest


def _copy_segment(source: Source, segment: Segment, target: Path) -> None:
    with unfinished(target, segment.folder) as folder:
        for name, digest in segment.files.items():
            if source.copy(segment, name, folder / name) != digest:
                raise ArchiveDamagedError(f"{source.where(segment, name)} fails its SHA-256 checksum; {REMEDY}")


def _is_sound(folder: Path, segment: Segment) -> bool:
    """Return whether a folder contains the segment, byte for byte."""
    try:
        return all(digest_of(folder / name) == digest for name, digest in segment.files.items())
    except OSError:
        return False


def _publish(target: Path, manifest: Manifest) -> None:
    for segment in manifest.segments:
        if (target / UNFINISHED / segment.folder).exists():
            finish(target, segment.folder)
    try:
        write_manifest(target, manifest)
    except OSError as error:
        raise write_error(target, error) from error
