"""A server of the crash bench, which kills itself or its PostgreSQL at a given step.

`python -m bench.crash.server DATA` reads orders as lines of JSON and answers each with the process id of a fork that
runs `hours serve`; the fork inherits imports and compiled kernels. The server writes its address to the order's file
`output`, and creates the file `reached` at the step, right before the kill.

The archive grows every few events here, so that its steps are reached.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from functools import partial
from pathlib import Path
from typing import NamedTuple

from api.cli.operations import serve as cli_serve
from api.operations import service, warming
from api.operations.logs import LogSettings
from api.operations.service import DEFAULT_RULES
from bench.crash.steps import DATABASE, SABOTAGES, STEPS, kill, replace, watch
from ledger.store import pool
from projections.rules.timeline import parse_timeline
from replay.archive.archivist import Archivist, Policy

EAGER = Policy(
    events_behind_max=100, seconds_behind_max=0.2, poll_seconds=0.1, check_seconds=1.0, retry_seconds_max=0.5
)


class ServerOrder(NamedTuple):
    """The order for one server: the step, call and victim of the kill (no step: no kill), an optional sabotage, and how
    long requests wait for a connection, if not the default.
    """

    output: str
    reached: str
    step: str | None = None
    call: int = 1
    victim: str = ""
    sabotage: str | None = None
    wait_seconds: float | None = None


def serve(data: Path, order: ServerOrder) -> None:
    """Serve until killed."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    output = os.open(order.output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, sys.stdout.fileno())
    if order.sabotage:
        SABOTAGES[order.sabotage]()
    replace(service, "Archivist", partial(Archivist, policy=EAGER))
    if order.wait_seconds:
        replace(pool, "WAIT_SECONDS_MAX", order.wait_seconds)
    if order.step:
        server = os.getpid()  # a step may be reached in the computing process, which is a fork

        def reached() -> None:
            Path(order.reached).touch()
            kill(order.victim, server, data)
            if order.victim != DATABASE and os.getpid() != server:
                os.kill(os.getpid(), signal.SIGKILL)

        watch(STEPS[order.step], order.call, reached)
    cli_serve.serve(data, "127.0.0.1", 0, LogSettings(), as_json=True)


def main() -> None:
    """Serve each order from standard input in a fork."""
    data = Path(sys.argv[1])
    warming.warm()
    warming.compile_all(parse_timeline(DEFAULT_RULES.read_text("utf-8")))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # killed forks leave no zombies
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                serve(data, ServerOrder(**json.loads(line)))
                code = 0
            except BaseException:
                traceback.print_exc()
                raise
            finally:
                sys.stdout.flush()
                os._exit(code)
        print(child, flush=True)


if __name__ == "__main__":
    main()
