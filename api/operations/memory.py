"""Memory of a process that runs for months: freed memory is returned to the operating system.

By default glibc uses an arena for about every two threads, raises its mmap threshold (up to 32 MiB) each time a mapped
block is freed, and returns only memory at the end of an arena. The archivist and rebuilds in jobs briefly take tens of
megabytes, on their own threads; after half an hour of a thousand commands a second, 145 MiB of unused memory had not
been returned (`python -m bench.soak`).
"""

from __future__ import annotations

import ctypes
import os
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
"""Parameters of glibc's mallopt(3)."""

ARENAS_MAX = 2
BLOCK_BYTES = 1 << 20
"""Blocks of at least this size are mapped separately, and returned as soon as they are freed."""


def return_freed_memory() -> None:
    """Configure the allocators of this process for long life; without glibc, do nothing.

    Call this before Arrow is imported. A memory pool that is set later serves allocations from Python only; Arrow's
    Parquet readers and writers continue to use the pool chosen at import, which does not return its memory.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # musl returns freed memory by itself
        return
    mallopt(_M_ARENA_MAX, ARENAS_MAX)
    mallopt(_M_MMAP_THRESHOLD, BLOCK_BYTES)
    mallopt(_M_TRIM_THRESHOLD, BLOCK_BYTES)
    os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"
