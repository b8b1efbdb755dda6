"""A folder that all processes of one test run share: `python -m pytest` makes it, its workers use it.

What is expensive and the same for all tests is made here once, by whoever needs it first.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

_VARIABLE = "TESTS_SHARED_FOLDER"
"""The environment variable that tells the workers the folder."""

_OWNER = "owner"


@contextmanager
def sharing() -> Iterator[None]:
    """Make the folder, for this process and those it starts; remove it at the end."""
    folder = tempfile.mkdtemp(prefix="ledger-tests-")
    os.environ[_VARIABLE] = folder
    (Path(folder) / _OWNER).write_text(str(os.getpid()))
    try:
        yield
    finally:
        del os.environ[_VARIABLE]
        shutil.rmtree(folder, ignore_errors=True)


def shared_folder() -> Path:
    """Return the folder of this test run."""
    return Path(os.environ[_VARIABLE])


def is_shared() -> bool:
    """Return whether this process was told of the folder; a test may run a program in an environment without it."""
    return _VARIABLE in os.environ


def run_goes_on() -> bool:
    """Return whether the process that made the folder still runs."""
    try:
        return bool(psutil.pid_exists(int((shared_folder() / _OWNER).read_text())))
    except FileNotFoundError:
        return False


@contextmanager
def made_once(name: str) -> Iterator[Path | None]:
    """Yield the path at which to make something; or None if it is there, or once another process has made it.

    Nothing counts as made if the block raises.
    """
    path, made = shared_folder() / name, shared_folder() / f"{name}.made"
    with (shared_folder() / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if made.exists():
            yield None
            return
        yield path
        made.touch()
