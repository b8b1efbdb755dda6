"""The computing process: forked before the server has threads, restarted if it ends, ended with the server.

    server ── supervisor ── computing process

The supervisor is a copy of the program that has imported everything and does nothing else, so that a computing process
starts in milliseconds and shares its memory. Both end when the server's end of the pipe is closed, however the server
ends. A supervisor that ends before the server is replaced by a new program (`api/http/computing/supervisor.py`).
"""

from __future__ import annotations

import gc
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
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
RESTART_SECONDS_MAX = 30.0
"""How long to wait before a process is started again that has just ended, and how long if it ends again and again."""
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
    """A computing process and its supervisor, as the server sees them. A supervisor that ends is replaced.

    Use it as a context manager, which is entered before the process has any threads and before it opens anything that
    a copy of the process must not have.

    Args:
        work: a function of a module, so that a supervisor that is started later can import it.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._folder = Path(tempfile.mkdtemp(prefix="hours-"))  # only this user may enter it
        self.path = self._folder / "computing"
        """The socket on which the computing process listens."""
        if len(os.fsencode(self.path)) > SOCKET_BYTES_MAX:
            self._folder.rmdir()
            raise UsageError(f"TMPDIR {tempfile.gettempdir()} is too long a path for a socket; set a shorter one")
        self._listening = socket.socket(socket.AF_UNIX)  # open as long as the server: requests wait for a process
        self._control: Connection | None = None
        self._supervisor = 0
        self._wait: Callable[[], object] = lambda: None
        self._watching: threading.Thread | None = None
        self._ending = threading.Event()

    def __enter__(self) -> Self:
        self._listening.bind(str(self.path))
        self._listening.listen(BACKLOG)
        self._control, theirs = Pipe()
        pid = os.fork()
        if not pid:
            self._control.close()
            supervise(self._work, self._folder, self._listening, theirs)
        theirs.close()
        self._supervisor, self._wait = pid, lambda: os.waitpid(pid, 0)
        return self

    def start(self, settings: ComputingSettings) -> None:
        """Start computing; requests that were sent before wait in the socket."""
        self._send(settings)
        self._watching = threading.Thread(target=self._watch, args=(settings,), name="supervisor", daemon=True)
        self._watching.start()

    def stop_jobs(self) -> None:
        """Stop all jobs and accept no more; do not wait for them."""
        self._send(None)

    def __exit__(self, *_error: object) -> None:
        self.end()

    def end(self) -> None:
        """End the process, whatever it computes; ending it again changes nothing."""
        if self._ending.is_set():
            return
        self._ending.set()
        if self._control is not None:
            self._control.close()
            if self._watching is None:
                self._watching = threading.Thread(target=self._wait, daemon=True)
                self._watching.start()
            self._watching.join(END_SECONDS_MAX)
            if self._watching.is_alive() and self._supervisor:
                os.kill(self._supervisor, signal.SIGKILL)
                self._watching.join(END_SECONDS_MAX)
        self._listening.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _watch(self, settings: ComputingSettings) -> None:
        """Wait for the end of the supervisor and start another one, until the server ends."""
        delays = restart_delays()
        while True:
            self._wait()
            self._supervisor = 0
            if self._ending.is_set():
                return
            if self._control is not None:
                self._control.close()  # ends a computing process without its supervisor, which may have outlived it
            seconds = next(delays)
            logger.error(
                "the supervisor of the computing process has ended; another one starts in %g s",
                seconds,
                extra={"fields": {"seconds": seconds}},
            )
            if self._ending.wait(seconds):
                return
            try:
                self._start_again(settings)
            except OSError:
                logger.exception("no supervisor of the computing process can be started")
                self._wait = lambda: None

    def _start_again(self, settings: ComputingSettings) -> None:
        """Start a supervisor as a new program: a process that has threads cannot be copied."""
        ours, theirs = Pipe()
        with theirs:
            started = subprocess.Popen(  # noqa: S603 - this program
                [
                    *(sys.executable, "-P", "-m", "api.http.computing.supervisor"),
                    *(f"{self._work.__module__}:{self._work.__qualname__}", str(self._folder)),
                    *(str(self._listening.fileno()), str(theirs.fileno())),
                ],
                stdin=subprocess.DEVNULL,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)},
                pass_fds=(self._listening.fileno(), theirs.fileno()),
                process_group=0,  # Ctrl-C ends the server, and the server ends this
            )
        self._control, self._supervisor, self._wait = ours, started.pid, started.wait
        self._send(settings)
        if self._ending.is_set():
            ours.close()

    def _send(self, message: ComputingSettings | None) -> None:
        if self._control is not None:
            with suppress(OSError):  # it has ended; requests are answered with `busy`
                self._control.send(message)


def restart_delays() -> Iterator[float]:
    """Yield how long to wait before each restart: longer each time, until one has lasted for a while."""
    delay = RESTART_SECONDS
    while True:
        began = time.monotonic()
        yield delay
        lasted = time.monotonic() - began - delay
        delay = RESTART_SECONDS if lasted > RESTART_SECONDS_MAX else min(delay * 2, RESTART_SECONDS_MAX)


def supervise(work: Work, folder: Path, listening: socket.socket, control: Connection) -> NoReturn:
    """Be the supervisor: start computing processes, until the server has ended. Then remove its folder and end."""
    try:
        _supervise(work, listening, control)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(0)


def _supervise(work: Work, listening: socket.socket, control: Connection) -> None:
    """Start computing processes, one after another, until one ends because the server has ended."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    gc.freeze()  # what is shared with the server stays shared
    try:
        settings = control.recv()
    except EOFError:  # the server ended before it started
        return
    delays = restart_delays()
    while True:
        computing = os.fork()
        if not computing:
            _compute(work, settings, listening, control)
        _, status = os.waitpid(computing, 0)
        if os.waitstatus_to_exitcode(status) == 0 or _has_ended(control, next(delays)):
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
