"""Writing an archive to an object store: its new files, and then the manifest that lists them.

What the store holds only grows: an archive of other events, or of fewer, is refused. An interrupted copy leaves files
that no manifest lists; the next one uses them, and they are removed after a day.
"""

from __future__ import annotations

from contextlib import suppress

from ledger.store.database import Database
from replay.archive.agreement import refuse_other_beginning
from replay.archive.copying import COPYING, EmptyArchiveError, TargetError
from replay.archive.manifest import ArchiveDamagedError, Manifest
from replay.archive.open_archive import OpenArchive
from replay.locations.object_store import ObjectStore, StoreError
from replay.progress import Progress, ignore


def send_archive(
    archive: OpenArchive, store: ObjectStore, progress: Progress = ignore, database: Database | None = None
) -> Manifest:
    """Copy an archive to a store; return the manifest it has then. Progress counts bytes.

    Args:
        database: the log, which digests parts that archive and copy divide in different ways.

    Raises:
        TargetError: the store holds another ledger's archive.
        CopyDisagreesError: it holds other events, or more of them.
        ArchiveDamagedError: a file fails its checksum. ArchiveError: there is nothing to copy.
        replay.locations.object_store.StoreError: the store cannot be used.
    """
    while True:
        archive.refresh()
        if not archive.segments:
            raise EmptyArchiveError(archive.folder)
        before = store.manifest()
        if before.manifest is not None:
            if before.manifest.ledger != archive.manifest.ledger:
                raise TargetError(f"{store.address} holds another ledger's archive; name another address")
            if archive.manifest != before.manifest:
                refuse_other_beginning(archive.manifest, before.manifest, store.address, database)
        known = store.sizes(_files_of(before.manifest))
        manifest = _put(archive, store, known, progress)
        if manifest is None:
            continue
        if manifest == before.manifest:
            return manifest
        if store.replace(before, manifest):
            with suppress(StoreError):  # the copy is complete, and its writer may not be allowed to remove anything
                store.sweep(_files_of(manifest))
            return manifest


def _put(archive: OpenArchive, store: ObjectStore, known: dict[str, int], progress: Progress) -> Manifest | None:
    """Put the files of the current segments that the store lacks or has with another size; return their manifest, None
    if segments were merged meanwhile.
    """
    manifest, done, total = archive.manifest, 0, archive.bytes_on_disk()
    for segment in manifest.segments:
        for name, digest in segment.files.items():
            progress(COPYING, done, total)
            if known.get(digest.sha256) != digest.bytes:
                try:
                    store.put(digest, archive.folder / segment.folder / name)
                except ArchiveDamagedError:
                    archive.refresh()
                    if segment in archive.segments:
                        raise
                    return None
            done += digest.bytes
    progress(COPYING, total, total)
    return manifest


def _files_of(manifest: Manifest | None) -> set[str]:
    segments = manifest.segments if manifest else ()
    return {digest.sha256 for segment in segments for digest in segment.files.values()}
