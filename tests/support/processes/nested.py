"""Python programs that a program starts, forked as well: a bench starts servers, followers and peers of its own.

A program that is forked (`tests/support/processes/forking.py`) uses `ForkingPopen` as its `subprocess.Popen`. In the
process of the tests themselves it is used within `forking_popen()` only.
"""

from __future__ import annotations

import array
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.processes.program import ROOT, Running
from tests.support.processes.shared import is_shared

PACKAGES = {"api", "bench"}
"""The packages whose programs are forked."""

STARTING = {"bench.abuse", "bench.crash"}
"""Benches that start interpreters, as users do: they look at the memory of what they start, and kill it."""

_HASH_SEED = "PYTHONHASHSEED"
"""An interpreter reads it when it starts, so a program with another one cannot be forked."""

_Popen = subprocess.Popen


class ForkingPopen(_Popen[Any]):
    """A `Popen` that has Python programs of this repository forked; other programs are started."""

    _running: Running | None = None

    def _execute_child(self, args: Any, executable: Any, *more: Any) -> None:
        _, _, pass_fds, folder, environment, _, _, shell, *streams = more
        given, ours, out, theirs, errors, their_errors = streams[:6]
        if shell or executable or pass_fds or not is_forked(args, folder, environment):
            super()._execute_child(args, executable, *more)  # type: ignore[misc]
            return
        self._running = Running(
            [str(each) for each in args[1:]],
            Path(folder or Path.cwd()),
            os.environ if environment is None else environment,
            array.array("i", [_or(given, 0), _or(theirs, 1), _or(their_errors, 2)]),
        )
        self.pid = self._running.pid
        self._child_created = True
        self._close_pipe_fds(given, ours, out, theirs, errors, their_errors)  # type: ignore[attr-defined]

    def _try_wait(self, wait_flags: int) -> tuple[int, int]:
        if self._running is None:
            result: tuple[int, int] = super()._try_wait(wait_flags)  # type: ignore[misc]
            return result
        code = self._running.wait(0 if wait_flags & os.WNOHANG else None)
        return (0, 0) if code is None else (self.pid, -code if code < 0 else code << 8)

    def _internal_poll(self, *arguments: Any, **named: Any) -> int | None:
        if self._running is None:
            polled: int | None = super()._internal_poll(*arguments, **named)  # type: ignore[misc]
            return polled
        if self.returncode is None:
            self.returncode = self._running.wait(0)
        return self.returncode


def _or(descriptor: int, usual: int) -> int:
    return usual if descriptor == -1 else descriptor


def is_forked(arguments: object, folder: object, environment: Mapping[str, str] | None) -> bool:
    """Return whether a command runs a program of ours that may be forked."""
    if not is_shared() or not isinstance(arguments, list | tuple) or len(arguments) < 3:
        return False
    program, how, what = map(str, arguments[:3])
    if environment is not None and environment.get(_HASH_SEED) != os.environ.get(_HASH_SEED):
        return False
    is_ours = how == "-c" or (how == "-m" and what.partition(".")[0] in PACKAGES)
    return program == sys.executable and is_ours and Path(str(folder or Path.cwd())).is_relative_to(ROOT)


@contextmanager
def forking_popen() -> Iterator[None]:
    """Let this process have Python programs forked until the end of the block."""
    install()
    try:
        yield
    finally:
        subprocess.Popen = _Popen  # type: ignore[misc]


def install() -> None:
    """Let this process have Python programs forked."""
    subprocess.Popen = ForkingPopen  # type: ignore[misc]
