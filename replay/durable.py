"""Atomic writing: files and folders appear either completely written and flushed to disk, or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def flush(path: Path) -> None:
    """Flush a file, or the entries of a folder, to disk, so that they survive a power failure.

    Raises:
        OSError
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def atomic_file(path: Path, temporary: Path | None = None) -> Iterator[Path]:
    """Yield the name of a temporary file that replaces `path` at the end of the block; after an error it is removed.

    Args:
        temporary: a name in the same folder that only one process uses at a time, so that nothing remains after a kill.

    Raises:
        OSError: the file cannot be written; an existing one is unchanged.
    """
    temporary = temporary or path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        yield temporary
        flush(temporary)
        temporary.replace(path)
        flush(path.absolute().parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(folder: Path, temporary: Path | None = None, mode: int = 0o777) -> Iterator[Path]:
    """Yield a temporary folder of files that replaces `folder` at the end of the block; after an error it is removed.

    Args:
        temporary: a name in the same folder; anything a killed process left under it is removed.
        mode: the permissions of the folder, before the umask.

    Raises:
        OSError: the files cannot be written; an existing folder is unchanged.
    """
    folder = folder.absolute()
    new, old = (folder.with_name(f".{folder.name}.{os.getpid()}.{mark}") for mark in ("new", "old"))
    temporary = temporary or new
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(mode, parents=True)
    try:
        yield temporary
        for path in [*temporary.iterdir(), temporary]:
            flush(path)
        if folder.exists():
            folder.rename(old)
        temporary.rename(folder)
        flush(folder.parent)
    finally:
        if old.exists() and not folder.exists():
            old.rename(folder)
        for leftover in (temporary, old):
            shutil.rmtree(leftover, ignore_errors=True)
