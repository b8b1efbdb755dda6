"""The folder of an archive: its lock, segments that are being written, and what no longer counts.

    data/archive/
        manifest.json                 which segments count
        00000000001-00001048576/      a segment
        unfinished/                   segments that are being written: a level deeper, where no reader looks
        lock, archivist               held while somebody writes, and by the process that lets the archive grow

This module knows nothing of what segments hold.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from hashlib import file_digest, sha256
from pathlib import Path

from replay.archive.manifest import ArchiveBusyError, ArchiveError, FileDigest, flush_folder
from replay.progress import Progress, ignore

UNFINISHED = "unfinished"
LOCK, ARCHIVIST = "lock", "archivist"
LOCK_SECONDS_MAX = 60.0
"""How long to wait for another archiver: a growing archive takes a second; one that is made anew may take longer."""
WAITING = "waiting for another archiver"
_BLOCK_BYTES = 1 << 20


@contextmanager
def locked(folder: Path, progress: Progress = ignore) -> Iterator[None]:
    """Hold the archive alone, over all processes and threads. The lock of a process that dies is free.

    Raises:
        ArchiveBusyError: somebody else has held it for `LOCK_SECONDS_MAX`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w") as file:
        deadline = time.monotonic() + LOCK_SECONDS_MAX
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ArchiveBusyError(
                        f"another process is writing to the archive in {folder}; wait for it, or stop it"
                    ) from None
                progress(WAITING, 0, 0)
                time.sleep(0.05)
        yield


@contextmanager
def unfinished(folder: Path, name: str) -> Iterator[Path]:
    """Yield an empty folder to write a segment into. It is removed if that fails.

    Raises:
        ArchiveError: it could not be written (a full disk).
    """
    place = folder / UNFINISHED / name
    try:
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        yield place
        flush_folder(place)
    except OSError as error:
        _discard(place)
        raise not_written(folder, error) from error
    except BaseException:
        _discard(place)
        raise


def _discard(place: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)
    with suppress(OSError):  # others are there
        place.parent.rmdir()


def finish(folder: Path, name: str) -> None:
    """Move a segment that was written to where it is read, once the manifest says that it counts."""
    try:
        shutil.rmtree(folder / name, ignore_errors=True)  # left over by a crash before the manifest
        (folder / UNFINISHED / name).rename(folder / name)
    except OSError as error:
        raise not_written(folder, error) from error


def not_written(folder: Path, error: OSError) -> ArchiveError:
    """Return the error that says that the disk did not take what was written."""
    return ArchiveError(
        f"could not write to {folder}: {error.strerror or error}; the archive stays as it was: make room and try again"
    )


def sweep(folder: Path, known: Collection[str]) -> None:
    """Remove folders that do not count. Whoever is reading one finds the manifest changed and begins again."""
    for path in folder.iterdir():
        if path.is_dir() and path.name not in known:
            shutil.rmtree(path, ignore_errors=True)


def digests_of(folder: Path, names: Collection[str]) -> dict[str, FileDigest]:
    """Return the digest of each file of a segment."""
    return {name: digest_of(folder / name) for name in names}


def digest_of(path: Path) -> FileDigest:
    """Read a file and return its digest.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        found = file_digest(file, "sha256").hexdigest()
        return FileDigest(file.tell(), found)


def copy_file(source: Path, target: Path) -> FileDigest:
    """Copy a file onto the disk, and return the digest of what was read.

    Raises:
        OSError: the one cannot be read, or the other not written.
    """
    seen, size = sha256(), 0
    with source.open("rb") as read, target.open("wb") as written:
        while block := read.read(_BLOCK_BYTES):
            seen.update(block)
            size += written.write(block)
        written.flush()
        os.fsync(written.fileno())
    return FileDigest(size, seen.hexdigest())
