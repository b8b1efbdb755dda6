"""Run a Python program without the seconds that its imports take: a process that has imported everything forks for it.

`Program` and `run` are used as `subprocess.Popen` and `subprocess.run`. The process that forks
(`tests/support/processes/forking.py`) is started when the first program is, and shared by all workers of a test run.
"""

from __future__ import annotations

import array
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from tests.support.processes.forking import Request
from tests.support.processes.shared import made_once, shared_folder

ROOT = Path(__file__).parents[3]
START_SECONDS_MAX = 600
"""A busy machine may take minutes to import everything, and to compile what is not compiled yet."""

HOURS = ("-c", "from api.cli.main import main; main()")
"""The arguments of `python` for the command line."""


class Running:
    """A program that was forked, with three streams.

    Args:
        arguments: those of `python`.
        streams: the descriptors of its standard input, output and error; they stay open here.
    """

    def __init__(
        self, arguments: list[str], folder: Path, environment: Mapping[str, str], streams: array.array[int]
    ) -> None:
        self._code: int | None = None
        self._server = socket.socket(socket.AF_UNIX)
        self._server.connect(forking_socket())
        self._server.sendmsg([b"."], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)])
        self._server.sendall(json.dumps(Request(arguments, str(folder), dict(environment))).encode() + b"\n")
        self._answers = self._server.makefile("rb")
        self.pid = int(self._answers.readline())

    def wait(self, timeout: float | None) -> int | None:
        """Wait for the end; return the exit code, or None if the program has not ended in time."""
        if self._code is None:
            self._server.settimeout(max(timeout, 1e-6) if timeout is not None else None)
            try:
                self._server.recv(1, socket.MSG_PEEK)
            except (TimeoutError, BlockingIOError):
                return None
            self._server.settimeout(None)
            self._code = int(self._answers.readline())
            self._answers.close()
            self._server.close()
        return self._code


class Program:
    """A running program of this repository, with pipes as its streams.

    Args:
        arguments: those of `python`: `-c` and a text, or `-m` and a module; and the program's own.
        out, err: where standard output and error go instead of pipes.
    """

    def __init__(
        self,
        *arguments: object,
        environment: Mapping[str, str] | None = None,
        folder: Path = ROOT,
        out: IO[str] | None = None,
        err: IO[str] | None = None,
    ) -> None:
        self.arguments = [str(each) for each in arguments]
        self.returncode: int | None = None
        given, stdin = os.pipe()
        pipes = [_pipe(out), _pipe(err)]
        streams = array.array("i", [given, *(theirs for _, theirs in pipes)])
        try:
            self._running = Running(self.arguments, folder, os.environ if environment is None else environment, streams)
        finally:
            os.close(given)
            for ours, theirs in pipes:
                if ours is not None:
                    os.close(theirs)
        self.pid = self._running.pid
        self.stdin = os.fdopen(stdin, "w")
        self.stdout, self.stderr = (os.fdopen(ours) if ours is not None else _NOTHING for ours, _ in pipes)

    def poll(self) -> int | None:
        """Return the exit code if the program has ended: the signal's number, negative, if it died of one."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; return the exit code.

        Raises:
            subprocess.TimeoutExpired: it has not ended in time.
        """
        if self.returncode is None:
            self.returncode = self._running.wait(timeout)
            if self.returncode is None:
                raise subprocess.TimeoutExpired(self.arguments, timeout or 0)
        return self.returncode

    def read_object(self) -> dict[str, Any]:
        """Read the JSON object, over several lines, that the program prints when it is ready."""
        lines: list[str] = []
        while not lines or lines[-1] != "}\n":
            lines.append(self.stdout.readline())
            assert lines[-1], self.stderr.read()
        return json.loads("".join(lines))  # type: ignore[no-any-return]

    def communicate(self, given: str | None = None, timeout: float | None = None) -> tuple[str, str]:
        """Send a text as standard input, close it, read all output, and wait for the end; return the output."""
        outputs = ["", ""]

        def read(place: int, stream: IO[str]) -> None:
            outputs[place] = stream.read()

        deadline = None if timeout is None else time.monotonic() + timeout
        pipes = [(place, stream) for place, stream in enumerate((self.stdout, self.stderr)) if not stream.closed]
        readers = [threading.Thread(target=read, args=pipe, daemon=True) for pipe in pipes]
        for reader in readers:
            reader.start()
        with suppress(BrokenPipeError):
            self.stdin.write(given or "")
            self.stdin.close()
        for reader in readers:
            reader.join(None if deadline is None else max(deadline - time.monotonic(), 0))
            if reader.is_alive():
                raise subprocess.TimeoutExpired(self.arguments, timeout or 0)
        self.wait(None if deadline is None else max(deadline - time.monotonic(), 0))
        self._close()
        return outputs[0], outputs[1]

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the program has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        with suppress(BrokenPipeError):
            self.stdin.close()
        self.wait()
        self._close()

    def _close(self) -> None:
        for stream in (self.stdin, self.stdout, self.stderr):
            stream.close()


_NOTHING = open(os.devnull)  # noqa: PTH123, SIM115 - closed from the beginning: there is nothing to read
_NOTHING.close()


def _pipe(given: IO[str] | None) -> tuple[int | None, int]:
    """Return the end of a pipe that we read, and the one that the program writes; or the file that was given."""
    return (None, given.fileno()) if given is not None else os.pipe()


def run(
    *arguments: object,
    environment: Mapping[str, str] | None = None,
    folder: Path = ROOT,
    timeout: float | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end."""
    with Program(*arguments, environment=environment, folder=folder) as program:
        try:
            out, err = program.communicate(timeout=timeout)
        except BaseException:
            program.kill()
            raise
    assert program.returncode is not None
    return subprocess.CompletedProcess(program.arguments, program.returncode, out, err)


_CLIENT = """#!{python} -IS
import array, json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({socket!r})
    server.sendmsg([b"."], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))])
    request = [[*{hours!r}, *sys.argv[1:]], os.getcwd(), dict(os.environ)]
    server.sendall(json.dumps(request).encode() + b"\\n")
    process, code = server.makefile("rb")
sys.exit(int(code))
"""


def install_hours(folder: Path) -> None:
    """Write a program `hours` into a folder, for a shell: it has the command line forked with its own streams."""
    program = folder / "hours"
    python = Path(sys.executable).resolve()
    program.write_text(_CLIENT.format(python=python, socket=forking_socket(), hours=HOURS))
    program.chmod(0o755)


def forking_socket() -> str:
    """Return the socket of the process that forks, after starting it if this test run has none."""
    with made_once("forking") as path:
        if path is not None:
            _start_forking(path)
    return str(shared_folder() / "forking")


def _start_forking(path: Path) -> None:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("DATABASE_", "HOURS_", "PG"))
    }
    if "HOURS_KERNELS" in os.environ:
        environment["HOURS_KERNELS"] = os.environ["HOURS_KERNELS"]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.processes.forking", str(path)],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
    )
    _started.append(process)
    deadline = time.monotonic() + START_SECONDS_MAX
    while not path.exists():
        assert process.poll() is None, "the process that forks has ended"
        assert time.monotonic() < deadline, "the process that forks does not start"
        time.sleep(0.02)


_started: list[subprocess.Popen[bytes]] = []
"""Kept, because a process that nobody refers to is warned of; it ends with the test run."""
