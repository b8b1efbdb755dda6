"""The process that forks: it has imported everything and loaded all kernels, which takes a program two seconds.

`python -m tests.support.processes.forking SOCKET` serves requests on a socket (see `Request`). For each it forks a
child that runs the program as a new interpreter would, with the caller's streams, folder and environment. The caller
reads the child's process id, and later how it ended, one line each. The process ends with the test run.
"""

from __future__ import annotations

import array
import atexit
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.support.ledger.clusters import copy_clusters
from tests.support.processes.shared import run_goes_on, shared_folder

STREAMS = 3
"""Standard input, output and error are sent with the first byte."""
_IMPORTED = ("api", "bench", "ledger", "projections", "replay", "tests.support")


class Request(NamedTuple):
    """What to run. `arguments` are those of `python`: `-c` and a text, or `-m` and a module; and the program's own."""

    arguments: list[str]
    folder: str
    environment: dict[str, str]


def serve(path: str) -> Callable[[], object]:
    """Serve requests. Returns in each child, with the program to run there to its end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the children and the parent
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # leave no zombies
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"{path}.new")
        listening.listen()
        Path(f"{path}.new").rename(path)
        while run_goes_on():
            if not select.select([listening], [], [], 1.0)[0]:
                continue
            caller, _ = listening.accept()
            with caller:
                if os.fork() == 0:
                    listening.close()
                    return _start(caller)
    shutil.rmtree(shared_folder(), ignore_errors=True)  # a test run that was killed leaves it behind
    return lambda: None


def _start(caller: socket.socket) -> Callable[[], object]:
    """Fork the program, and wait here to tell the caller how it ended. Returns in the program's process."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    streams = array.array("i")
    _, ancillary, *_ = caller.recvmsg(1, socket.CMSG_SPACE(STREAMS * streams.itemsize))
    streams.frombytes(ancillary[0][2])
    request = Request(*json.loads(caller.makefile("rb").readline()))
    child = os.fork()
    if child == 0:
        caller.close()
        return _become(request, streams)
    for stream in (*streams, *range(STREAMS)):
        os.close(stream)  # the program alone holds them open
    try:
        caller.sendall(b"%d\n" % child)
        _, status = os.waitpid(child, 0)
        caller.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
    finally:
        os._exit(0)


def _become(request: Request, streams: array.array[int]) -> Callable[[], object]:
    """Make this process one that was just started; return its program."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(request.folder)
    os.environ.clear()
    os.environ.update(request.environment)
    from tests.support.processes import nested, writers  # noqa: PLC0415 - they import this module

    how, what, *arguments = request.arguments
    if what not in nested.STARTING:
        nested.install()
    writers.fork_writers()
    sys.argv = ["-c" if how == "-c" else what, *arguments]
    if how == "-m":
        if not hasattr(sys.modules.get(what), "__path__"):
            sys.modules.pop(what, None)  # it is run as `__main__`
        return lambda: _run(lambda: runpy.run_module(what, run_name="__main__", alter_sys=True))
    # A test's own text:
    return lambda: _run(lambda: exec(compile(what, "<string>", "exec"), {"__name__": "__main__"}))  # noqa: S102


def _run(program: Callable[[], object]) -> None:
    """Run a program, and end the process as the interpreter would, but free nothing.

    To free all that was imported takes a third of a second. A program that ends with an exception, or cannot write its
    last output, is left to the interpreter.
    """
    code = 0
    try:
        program()
    except SystemExit as ended:
        if not isinstance(ended.code, int | None):
            raise  # the interpreter prints it
        code = ended.code or 0
    threading._shutdown()  # type: ignore[attr-defined] # it waits for threads, as the interpreter does
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        sys.exit(code)
    os._exit(code & 0xFF)


def import_everything() -> None:
    """Import all modules, and load all kernels."""
    from api.operations.memory import return_freed_memory  # noqa: PLC0415 - it comes before Arrow

    gc.disable()  # until all is imported
    return_freed_memory()
    del os.environ["ARROW_DEFAULT_MEMORY_POOL"]
    for name in _IMPORTED:
        package = importlib.import_module(name)
        for module in pkgutil.walk_packages(package.__path__, f"{name}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    from api.operations import warming  # noqa: PLC0415
    from api.operations.service import DEFAULT_RULES  # noqa: PLC0415
    from projections.rules.timeline import parse_timeline  # noqa: PLC0415

    warming.warm()
    warming.compile_all(parse_timeline(DEFAULT_RULES.read_text("utf-8")))
    copy_clusters()
    gc.collect()
    gc.freeze()  # children copy no page because objects were counted
    gc.enable()


if __name__ == "__main__":
    import_everything()
    serve(sys.argv[1])()
