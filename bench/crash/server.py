"""A server of the crash test, which kills itself or its PostgreSQL at the step it is told to.

`python -m bench.crash.server DATA` reads orders as lines of JSON and answers each with the process id of a fork that
runs `hours serve`; the fork has the kernels and imports already. Where the server listens stands in the order's file
`said`; the file `reached` is made at the step, right before the kill.

The archive grows every few events here, so that there is something to kill.
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
from bench.crash.steps import SABOTAGES, STEPS, kill, replaced, watch
from ledger.store import pool
from projections.rules.timeline import parse_timeline
from replay.archive.archivist import Archivist, Policy

EAGER = Policy(
    events_behind_max=100, seconds_behind_max=0.2, look_seconds=0.1, check_seconds=1.0, retry_seconds_max=0.5
)


class ServerOrder(NamedTuple):
    """What a server is to do: at which call of which step to kill whom (no step: nobody), how it is spoilt, and how
    long requests wait for a connection, if not as long as usual.
    """

    said: str
    reached: str
    step: str | None = None
    call: int = 1
    victim: str = ""
    sabotage: str | None = None
    wait_seconds: float | None = None


def serve(data: Path, order: ServerOrder) -> None:
    """Serve until killed."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    said = os.open(order.said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(said, sys.stdout.fileno())
    if order.sabotage:
        SABOTAGES[order.sabotage]()
    replaced(service, "Archivist", partial(Archivist, policy=EAGER))
    if order.wait_seconds:
        replaced(pool, "WAIT_SECONDS_MAX", order.wait_seconds)
    if order.step:

        def reached() -> None:
            Path(order.reached).touch()
            kill(order.victim, os.getpid(), data)

        watch(STEPS[order.step], order.call, reached)
    cli_serve.serve(data, "127.0.0.1", 0, LogSettings(), as_json=True)


def main() -> None:
    """Take orders until there are no more."""
    data = Path(sys.argv[1])
    warming.warm()
    warming.compile_all(parse_timeline(DEFAULT_RULES.read_text("utf-8")))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # whoever is killed is gone at once
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
