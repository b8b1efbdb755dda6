"""Atomic writing: files and folders appear either completely written and flushed to disk, or not at all.

What a process writes is for its user alone, once it has called `keep_private`: the archive, logs and backups hold the
records of persons. Only exports, which a user asks for and names, have the permissions that the user's umask gives.
"""

from __future__ import annotations

import os
import pwd
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PRIVATE = 0o077
_umask_before: list[int] = []
"""The umask that the process was started with, if it has called `keep_private`."""


def keep_private() -> None:
    """Let only this user read what this process writes from now on, and what its children write."""
    before = os.umask(PRIVATE)
    if not _umask_before:
        _umask_before.append(before)


@contextmanager
def umask_of_user() -> Iterator[None]:
    """Write as the user's umask says in this block, on all threads: what holds no data of a ledger."""
    before = os.umask(_umask_before[0]) if _umask_before else None
    try:
        yield
    finally:
        if before is not None:
            os.umask(before)


class OwnerError(Exception):
    """Root would write among the files of another user; the message says what to do."""


def require_owner(data: Path) -> None:
    """Refuse that root writes in a data directory of another user: the service could not read those files.

    Raises:
        OwnerError
    """
    if os.geteuid() != 0:
        return
    for folder in (data, data / "proof", data / "tiles", data / "archive"):
        with suppress(OSError):
            if owner := folder.stat().st_uid:
                raise OwnerError(
                    f"{folder} belongs to {_user(owner)}, and files of root in it would stop the service; run this as "
                    f"that user: sudo -u {_user(owner)} hours …"
                )


def way_out(error: BaseException | None, otherwise: str) -> str:
    """Return what to do about a file that cannot be used: whose it is and whose it should be if the system forbids the
    access, else another advice.
    """
    while error is not None and not isinstance(error, PermissionError):
        error = error.__cause__ or error.__context__
    if error is None:
        return otherwise
    me, file = _user(os.geteuid()), error.filename or "the file"
    try:
        whose = f"it belongs to {_user(Path(file).stat().st_uid)}, and this runs as {me}"
    except OSError:
        whose = f"this runs as {me}"
    return f"{whose}: give it to the user of the service with `chown` ({file}), and run all commands as that user"


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"the user {uid}"


def _give_to_user(path: Path, mode: int) -> None:
    if _umask_before:
        path.chmod(mode & ~_umask_before[0])


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
def atomic_file(path: Path, temporary: Path | None = None, *, export: bool = False) -> Iterator[Path]:
    """Yield the name of a temporary file that replaces `path` at the end of the block; after an error it is removed.

    Args:
        temporary: a name in the same folder that only one process uses at a time, so that nothing remains after a kill.
        export: the user has named the file, and its permissions follow their umask.

    Raises:
        OSError: the file cannot be written; an existing one is unchanged.
    """
    temporary = temporary or path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        yield temporary
        if export:
            _give_to_user(temporary, 0o666)
        flush(temporary)
        temporary.replace(path)
        flush(path.absolute().parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, atomically; an existing one is replaced.

    Raises:
        OSError: it cannot be written; an existing one is unchanged.
    """
    with atomic_file(path) as temporary:
        temporary.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with os.fdopen(os.open(temporary, flags, 0o600), "wb") as file:
            file.write(content)


def make_private_folder(folder: Path) -> None:
    """Make a folder that only its owner may open, and its parents, and flush their entries to disk.

    Raises:
        OSError
    """
    if folder.is_dir():
        return
    make_private_folder(folder.parent)
    folder.mkdir(0o700, exist_ok=True)
    flush(folder.parent)


@contextmanager
def atomic_folder(
    folder: Path, temporary: Path | None = None, mode: int = 0o777, *, export: bool = False
) -> Iterator[Path]:
    """Yield a temporary folder of files that replaces `folder` at the end of the block; after an error it is removed.

    Args:
        temporary: a name in the same folder; anything a killed process left under it is removed.
        mode: the permissions of the folder, before the umask.
        export: the user has named the folder, and the permissions in it follow their umask.

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
            if export:
                _give_to_user(path, 0o777 if path == temporary else 0o666)
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
