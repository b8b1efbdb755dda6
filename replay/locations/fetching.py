"""A copy, in a folder of this machine, of the archive that an object store holds. What the folder has is not fetched
again, so a second replay reads only what is new.
"""

from __future__ import annotations

from pathlib import Path

from replay.archive.copying import Source, copy_source
from replay.archive.manifest import ArchiveDamagedError, ArchiveError, FileDigest, Manifest, Segment
from replay.archive.open_archive import OpenArchive
from replay.locations.object_store import ObjectStore
from replay.progress import Progress, ignore


class NoArchiveError(ArchiveError):
    """The store holds no archive."""


class _Stored(Source):
    """The archive of a store, as what a folder is copied from."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self.manifest = self._read()

    def refresh(self) -> None:
        self.manifest = self._read()

    def copy(self, segment: Segment, name: str, target: Path) -> FileDigest:
        return self._store.fetch(segment.files[name], target)

    def where(self, segment: Segment, name: str) -> str:
        return f"{self._store.address} (file {segment.files[name].sha256})"

    def _read(self) -> Manifest:
        manifest = self._store.manifest().manifest
        if manifest is None:
            raise NoArchiveError(
                f"{self._store.address} holds no archive; `hours archive copy {self._store.address}` makes one"
            )
        return manifest


def fetch_archive(store: ObjectStore, folder: Path, progress: Progress = ignore) -> OpenArchive:
    """Bring the copy in a folder up to date with the archive of a store; return the copy, open. Progress counts bytes.

    Args:
        folder: holds a folder for each ledger.

    Raises:
        NoArchiveError: the store holds none. ArchiveDamagedError: a file is missing, or is not what the manifest says.
        CopyDisagreesError: the folder has a copy of other events.
        replay.locations.object_store.StoreError: the store cannot be used.
    """
    source = _Stored(store)
    return copy_source(source, folder / str(source.manifest.ledger), progress)


def damaged_files(store: ObjectStore, progress: Progress = ignore) -> tuple[Manifest, list[tuple[int, int, str]]]:
    """Read every file of a store; return its manifest, and of each damaged file the first and last position of its
    segment and what is wrong. Progress counts bytes.

    If something is found and the manifest was replaced meanwhile, files are read again: those that it no longer lists
    may have been removed.

    Raises:
        NoArchiveError, ArchiveDamagedError: of the manifest. replay.locations.object_store.StoreError
    """
    source = _Stored(store)
    while True:
        manifest = source.manifest
        findings = _damaged(source, store, progress)
        if findings:
            source.refresh()
        if source.manifest == manifest:
            return manifest, findings


def _damaged(source: _Stored, store: ObjectStore, progress: Progress) -> list[tuple[int, int, str]]:
    findings, done = [], 0
    total = source.manifest.bytes
    for segment in source.manifest.segments:
        for name, digest in segment.files.items():
            progress("reading files", done, total)
            try:
                if store.fetch(digest, None) != digest:
                    what = f"{source.where(segment, name)} is damaged; remove it, and copy the archive there again"
                    findings.append((segment.first, segment.last, what))
            except ArchiveDamagedError as error:
                findings.append((segment.first, segment.last, str(error)))
            done += digest.bytes
    return findings
