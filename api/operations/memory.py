"""Memory of a process that runs for months: what was let go goes back to the operating system.

glibc keeps an arena for each two or so of the threads, raises the size from which it asks the system for a piece of its
own each time such a piece is let go (up to 32 MiB), and gives back only what lies at an arena's end. The archivist and
rebuilds in jobs take tens of megabytes for a moment, on threads of their own; half an hour of a thousand commands a
second left 145 MiB behind that nobody used (`python -m bench.soak`).
"""

from __future__ import annotations

import ctypes
import os
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
"""Names of glibc's settings: mallopt(3)."""

ARENAS_MAX = 2
PIECE_BYTES = 1 << 20
"""Pieces from this size on are asked of the system singly, and given back at once when they are let go."""


def return_freed_memory() -> None:
    """Set the allocators of this process up for long life; where they are not glibc's they stay as they are.

    To be called before anybody imports Arrow. A pool that is set later serves what Python asks of it; Arrow's readers
    and writers of Parquet go on with the one that it chose first, which keeps what it once had.
    """
    if not sys.platform.startswith("linux"):
        return
    set_up = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_up is None:  # musl gives back by itself
        return
    set_up(_M_ARENA_MAX, ARENAS_MAX)
    set_up(_M_MMAP_THRESHOLD, PIECE_BYTES)
    set_up(_M_TRIM_THRESHOLD, PIECE_BYTES)
    os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"
