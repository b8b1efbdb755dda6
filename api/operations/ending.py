"""The end of a process: in time, whatever its threads compute.

A thread that computes in compiled code cannot be stopped from outside. It writes nothing before its work is done, and
what was acknowledged is on disk, so the process can end without it.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import NoReturn, Self

CLOSE_SECONDS_MAX = 5.0
"""How long a server may take to close after its requests were answered or cancelled."""
JOIN_SECONDS_MAX = 0.5
COMPUTING = {"compute", "job"}
"""Names of daemon threads that may be in compiled code, which must not return to an interpreter that has ended."""

logger = logging.getLogger(__name__)


class Ending:
    """Ends the process at a time after the server began to stop, if the server has not closed by then.

    Use it as a context manager around everything that may take too long; leaving the block cancels it.

    Args:
        drain_seconds: how long requests may take when the server is stopped; closing may take CLOSE_SECONDS_MAX more.
        abandon: ends what must not outlive the process.
    """

    def __init__(self, drain_seconds: float, abandon: Callable[[], None]) -> None:
        self._seconds = drain_seconds + CLOSE_SECONDS_MAX
        self._abandon = abandon
        self._timer: threading.Timer | None = None

    def begin(self) -> None:
        """Begin to wait for the end; further calls change nothing."""
        if self._timer is None:
            self._timer = threading.Timer(self._seconds, self._end)
            self._timer.daemon = True
            self._timer.start()

    def _end(self) -> None:
        logger.error("the server has not closed %g s after it began to stop; it ends without that", self._seconds)
        self._abandon()
        _exit(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()


def leave(code: int) -> NoReturn:
    """End the process with an exit code, without waiting for threads that still compute."""
    deadline = time.monotonic() + JOIN_SECONDS_MAX
    others = [thread for thread in threading.enumerate() if thread is not threading.current_thread()]
    for thread in others:
        if not thread.daemon:
            thread.join(max(deadline - time.monotonic(), 0))
    if any(thread.is_alive() and (not thread.daemon or thread.name in COMPUTING) for thread in others):
        _exit(code)
    sys.exit(code)


def _exit(code: int) -> NoReturn:
    """End the process at once, after writing what is buffered."""
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)
