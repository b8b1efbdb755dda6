"""The processes that write synthetic histories (`replay/synthetic/loading.py`), forked instead of spawned.

A spawned process first imports everything, which takes it longer than to write a short history. Tests of that code ask
for `spawned_writers`.
"""

from __future__ import annotations

import array
import multiprocessing
import os
import pickle
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from replay.synthetic import loading
from tests.support.processes.program import Running
from tests.support.processes.shared import is_shared

_PROGRAM = ("-c", f"from {__name__} import write; write()")


class Writer:
    """As a `multiprocessing.Process` whose first argument is the connection to write to."""

    def __init__(self, *, target: Callable[..., object], args: tuple[Any, ...], **_: object) -> None:
        self._sender, *self._arguments = args
        self._target = target
        self._running: Running

    def start(self) -> None:
        read, write = os.pipe()
        try:
            streams = array.array("i", [read, self._sender.fileno(), sys.__stderr__.fileno() if sys.__stderr__ else 2])
            self._running = Running(list(_PROGRAM), Path.cwd(), os.environ, streams)
        finally:
            os.close(read)
        with os.fdopen(write, "wb") as program:
            pickle.dump((self._target, self._arguments), program)

    def terminate(self) -> None:
        if self._running.wait(0) is None:
            with suppress(ProcessLookupError):
                os.kill(self._running.pid, signal.SIGTERM)

    def join(self) -> None:
        self._running.wait(None)

    def close(self) -> None:
        """It has been joined, so nothing is open."""


def write() -> None:
    """Do what standard input says; standard output is the connection."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that loads is the one to stop
    sender = Connection(os.dup(sys.stdout.fileno()), readable=False)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    target, arguments = pickle.load(sys.stdin.buffer)  # noqa: S301 - our own
    target(sender, *arguments)


_FORKING = SimpleNamespace(Pipe=multiprocessing.Pipe, Process=Writer)


def fork_writers() -> None:
    """Let this process have the processes forked, if it has been told of one that forks."""
    if is_shared():
        loading.multiprocessing = SimpleNamespace(get_context=lambda _how: _FORKING)  # type: ignore[assignment, attr-defined]


def spawn_writers() -> None:
    """Let this process spawn the processes again."""
    loading.multiprocessing = multiprocessing  # type: ignore[attr-defined]
