"""The computing process: forked before the server has threads, restarted if it ends, ended with the server.

    server ── supervisor ── computing process

The supervisor is a copy of the program that has imported everything and does nothing else, so that a computing process
starts in milliseconds and shares its memory. Both end when the server's end of the pipe is closed, however the server
ends.
"""

from __future__ import annotations

import gc
import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NoReturn, Self

from api.operations.logs import LogSettings, logging_to
from api.operations.usage_errors import UsageError
from ledger.store.postgres_server import SOCKET_BYTES_MAX

NICE = 10
"""What the computing process's priority is lowered by: scans come first."""
RESTART_SECONDS = 1.0
END_SECONDS_MAX = 3.0
BACKLOG = 256
OVERRUN = 70
"""The exit code of a computing process that ends itself because a computation did not stop."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
"""Signals that a terminal or a service manager sends to all processes of a server; the server ends this one."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ComputingSettings:
    """What a computing process needs to open the same ledger as its server."""

    url: str
    data: Path
    log: LogSettings
    signed_within: int


Work = Callable[[ComputingSettings, socket.socket, Connection], None]
"""The work of a computing process: answers the requests of the socket until the pipe is closed."""


class ComputingProcess:
    """A computing process and its supervisor, as the server sees them.

    Use it as a context manager, which is entered before the process has any threads and before it opens anything that
    a copy of the process must not have.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._folder = Path(tempfile.mkdtemp(prefix="hours-"))  # only this user may enter it
        self.path = self._folder / "computing"
        """The socket on which the computing process listens."""
        if len(os.fsencode(self.path)) > SOCKET_BYTES_MAX:
            self._folder.rmdir()
            raise UsageError(f"TMPDIR {tempfile.gettempdir()} is too long a path for a socket; set a shorter one")
        self._control: Connection | None = None
        self._supervisor = 0

    def __enter__(self) -> Self:
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(str(self.path))
        listening.listen(BACKLOG)
        ours, theirs = Pipe()
        self._supervisor = os.fork()
        if not self._supervisor:
            ours.close()
            try:
                _supervise(self._work, listening, theirs)
            finally:
                shutil.rmtree(self._folder, ignore_errors=True)
                os._exit(0)
        theirs.close()
        listening.close()
        self._control = ours
        return self

    def start(self, settings: ComputingSettings) -> None:
        """Start computing; requests that were sent before wait in the socket."""
        self._send(settings)

    def stop_jobs(self) -> None:
        """Stop all jobs and accept no more; do not wait for them."""
        self._send(None)

    def __exit__(self, *_error: object) -> None:
        self.end()

    def end(self) -> None:
        """End the process, whatever it computes; ending it again changes nothing."""
        if self._control is None or self._control.closed:
            return
        self._control.close()
        deadline = time.monotonic() + END_SECONDS_MAX
        while os.waitpid(self._supervisor, os.WNOHANG) == (0, 0):
            if time.monotonic() > deadline:
                os.kill(self._supervisor, signal.SIGKILL)
            time.sleep(0.005)

    def _send(self, message: ComputingSettings | None) -> None:
        if self._control is not None:
            with suppress(OSError):  # it has ended; requests are answered with `busy`
                self._control.send(message)


def _supervise(work: Work, listening: socket.socket, control: Connection) -> None:
    """Start computing processes, one after another, until one ends because the server has ended."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    gc.freeze()  # what is shared with the server stays shared
    try:
        settings = control.recv()
    except EOFError:  # the server ended before it started
        return
    while True:
        computing = os.fork()
        if not computing:
            _compute(work, settings, listening, control)
        _, status = os.waitpid(computing, 0)
        if os.waitstatus_to_exitcode(status) == 0 or _has_ended(control, RESTART_SECONDS):
            return


def _has_ended(control: Connection, seconds: float) -> bool:
    """Wait a moment before another process starts; return whether the server has ended meanwhile, or before."""
    deadline = time.monotonic() + seconds
    try:
        while control.poll(max(deadline - time.monotonic(), 0)):
            control.recv()
    except (EOFError, OSError):
        return True
    return False


def _compute(work: Work, settings: ComputingSettings, listening: socket.socket, control: Connection) -> NoReturn:
    os.nice(NICE)
    try:
        with logging_to(sys.stderr, settings.log):
            try:
                work(settings, listening, control)
            except Exception:
                logger.exception("the computing process has ended and is started again")
    finally:
        os._exit(1)


def watch(control: Connection, on_stop: Callable[[], None]) -> None:
    """Start a thread that calls `on_stop` when jobs are to stop, and ends the process when the server has ended."""

    def receive() -> None:
        try:
            while True:
                control.recv()
                on_stop()
        except (EOFError, OSError):
            os._exit(0)

    threading.Thread(target=receive, name="server", daemon=True).start()


def end_overrun() -> NoReturn:
    """End the computing process, because a computation did not stop in time; the supervisor starts another one."""
    logger.error("a computation did not stop when its time was over; the computing process is started again")
    logging.shutdown()
    os._exit(OVERRUN)
