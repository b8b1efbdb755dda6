"""Locks of files among processes. The lock of a process that ends, however it ends, is released."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

LOCK_SECONDS_MAX = 60.0
"""How long to wait for another process: an update takes about a second, a rebuild may take longer."""
_POLL_SECONDS = 0.05


@contextmanager
def locked(path: Path, busy: Exception, waiting: Callable[[], object]) -> Iterator[None]:
    """Hold the lock of a file during the block, against all other processes and threads.

    Args:
        busy: raised if another has held the lock for `LOCK_SECONDS_MAX`.
        waiting: called again and again while another holds it; what it raises ends the waiting.
    """
    with path.open("w") as file:
        deadline = time.monotonic() + LOCK_SECONDS_MAX
        while not _taken(file):
            if time.monotonic() > deadline:
                raise busy
            waiting()
            time.sleep(_POLL_SECONDS)
        yield


def lock_if_free(path: Path) -> IO[str] | None:
    """Take the lock of a file until the file that is returned is closed; return None if another process holds it."""
    file = path.open("w")
    if _taken(file):
        return file
    file.close()
    return None


def _taken(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
