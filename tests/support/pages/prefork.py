"""`hours` without the seconds that its imports take: a process that has imported everything forks for each command.

The pages run a hundred commands. `Prefork.install` puts a program `hours` into a folder; it hands its arguments,
directory, environment and streams to the process of `python -m tests.support.pages.prefork SOCKET`, which forks, runs
the command line in the child as the installed program would, and returns its exit code.
"""

from __future__ import annotations

import array
import atexit
import importlib
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import time
import traceback
from pathlib import Path

import api.cli
from api.cli.main import main

_CLIENT = """#!{python} -IS
import array, json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({socket!r})
    streams = array.array("i", [0, 1, 2])
    server.sendmsg([b"."], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)])
    server.sendall(json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode())
    server.shutdown(socket.SHUT_WR)
    code = server.recv(16)
sys.exit(int(code or b"70"))
"""


class Prefork:
    """The process that forks, and the folder with the program `hours` that asks it to."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._socket = folder / "hours.socket"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.pages.prefork", str(self._socket)],
            cwd=Path(__file__).parents[3],
            env=environment,
        )
        deadline = time.monotonic() + 60
        while not self._socket.exists():
            assert self._process.poll() is None, "the process that forks has ended"
            assert time.monotonic() < deadline, "the process that forks does not start"
            time.sleep(0.05)

    def install(self, folder: Path) -> None:
        """Write the program `hours` into a folder."""
        program = folder / "hours"
        program.write_text(_CLIENT.format(python=Path(sys.executable).resolve(), socket=str(self._socket)))
        program.chmod(0o755)

    def close(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.wait(10)


def _serve(path: str) -> None:
    for module in pkgutil.walk_packages(api.cli.__path__, "api.cli."):
        importlib.import_module(module.name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"{path}.new")
        listening.listen()
        Path(f"{path}.new").rename(path)
        while True:
            caller, _ = listening.accept()
            with caller:
                if os.fork() == 0:
                    listening.close()
                    _run(caller)


def _run(caller: socket.socket) -> None:
    """Run one command in this child, with the caller's streams, and end the child."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    streams = array.array("i")
    _, ancillary, *_ = caller.recvmsg(1, socket.CMSG_SPACE(3 * streams.itemsize))
    streams.frombytes(ancillary[0][2])
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    arguments, directory, environment = json.loads(b"".join(iter(lambda: caller.recv(65536), b"")))
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["hours", *arguments]
    code: object = 70
    try:
        main()
    except SystemExit as ended:
        code = ended.code or 0
    except BaseException:  # noqa: BLE001 - the child ends here, and its caller reads why
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        caller.sendall(str(code).encode())
        os._exit(0)


if __name__ == "__main__":
    _serve(sys.argv[1])
