"""The folder of an archive: its lock, segments that are being written, and obsolete ones.

    data/archive/
        manifest.json                 the valid segments
        00000000001-00001048576/      a segment
        unfinished/                   segments that are being written; readers do not look here
        lock, archivist               locked by a process that writes, and by the one that runs the archivist

This module does not depend on the contents of segments.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from hashlib import file_digest, sha256
from itertools import count
from pathlib import Path

from replay import locks
from replay.archive.manifest import ArchiveBusyError, ArchiveError, FileDigest, is_folder_name
from replay.durable import atomic_folder, flush, way_out
from replay.progress import Progress, ignore

UNFINISHED = "unfinished"
LOCK, ARCHIVIST = "lock", "archivist"
WAITING = "waiting for another archiver"
_BLOCK_BYTES = 1 << 20


@contextmanager
def locked(folder: Path, progress: Progress = ignore) -> Iterator[None]:
    """Lock the archive against all other processes and threads. The lock of a process that dies is released.

    Raises:
        ArchiveBusyError: another process has held the lock for `locks.LOCK_SECONDS_MAX`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    busy = ArchiveBusyError(f"another process is writing to the archive in {folder}; wait until it ends, or stop it")
    with locks.locked(folder / LOCK, busy, lambda: progress(WAITING, 0, 0)):
        yield


@contextmanager
def unfinished(folder: Path, name: str) -> Iterator[Path]:
    """Yield an empty folder for writing a segment. It is removed if that fails.

    Raises:
        ArchiveError: the segment could not be written (a full disk).
    """
    path = folder / UNFINISHED / name
    try:
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        yield path
        flush(path)
    except OSError as error:
        _discard(path)
        raise write_error(folder, error) from error
    except BaseException:
        _discard(path)
        raise


def _discard(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
    with suppress(OSError):  # not empty: other segments are being written
        path.parent.rmdir()


def finish(folder: Path, name: str) -> None:
    """Move a finished segment to where readers find it, before the manifest lists it."""
    try:
        shutil.rmtree(folder / name, ignore_errors=True)  # left by a crash before the manifest was replaced
        (folder / UNFINISHED / name).rename(folder / name)
    except OSError as error:
        raise write_error(folder, error) from error


def write_error(folder: Path, error: OSError) -> ArchiveError:
    """Return the error for a failed write."""
    advice = way_out(error, "free some space and retry")
    return ArchiveError(f"could not write to {folder}: {error.strerror or error}; the archive is unchanged: {advice}")


def sweep(folder: Path, known: Collection[str]) -> None:
    """Remove all segments but the known ones, and those that are unfinished. A reader of a removed one sees a new
    manifest and starts again.

    A folder of another name is nothing of an archive, and stays: somebody may have put it into a copy.
    """
    for path in folder.iterdir():
        if path.is_dir() and path.name not in known and (path.name == UNFINISHED or is_folder_name(path.name)):
            shutil.rmtree(path, ignore_errors=True)


def has_segments(folder: Path) -> bool:
    """Return whether a folder holds segments, whether or not a manifest lists them."""
    return folder.exists() and any(path.is_dir() and path.name != UNFINISHED for path in folder.iterdir())


def keep_beside(folder: Path) -> Path:
    """Keep the files of an archive that is about to be replaced, in a folder beside it; return that folder.

    The files are linked, not copied: readers of the archive go on, and no space is needed.

    Raises:
        ArchiveError: the folder could not be made.
    """
    names = (folder.with_name(f"{folder.name}-replaced-{number}") for number in count(1))
    kept = next(name for name in names if not name.exists())
    left_out = shutil.ignore_patterns(UNFINISHED, LOCK, ARCHIVIST)
    try:
        with atomic_folder(kept) as temporary:
            shutil.copytree(folder, temporary, copy_function=_link, ignore=left_out, dirs_exist_ok=True)
    except (OSError, shutil.Error) as error:
        raise write_error(kept, error if isinstance(error, OSError) else OSError(str(error))) from error
    return kept


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # the file system has no hard links
        shutil.copy2(source, target)


def digests_of(folder: Path, names: Collection[str]) -> dict[str, FileDigest]:
    """Return the digest of each file of a segment."""
    return {name: digest_of(folder / name) for name in names}


def digest_of(path: Path) -> FileDigest:
    """Read a file and return its digest.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        digest = file_digest(file, "sha256").hexdigest()
        return FileDigest(file.tell(), digest)


def copy_file(source: Path, target: Path) -> FileDigest:
    """Copy a file, flush the copy to disk, and return the digest of what was read.

    Raises:
        OSError: the source cannot be read, or the target cannot be written.
    """
    digest, size = sha256(), 0
    with source.open("rb") as read, target.open("wb") as written:
        while block := read.read(_BLOCK_BYTES):
            digest.update(block)
            size += written.write(block)
        written.flush()
        os.fsync(written.fileno())
    return FileDigest(size, digest.hexdigest())
