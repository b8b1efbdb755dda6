"""`hours serve`, and `hours run`, which serves a synthetic history as a demonstration."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from api.access.rate_limits import PER_SECOND, RateLimits
from api.access.signed_requests import CREATED_SECONDS_MAX
from api.cli.operations.data import MARK, fill
from api.cli.operations.demonstration import KEYS, demo_keys, sign_in_links, things_to_try
from api.cli.output import notify, out, print_json
from api.http.computing.process import ComputingProcess, ComputingSettings
from api.http.computing.worker import compute
from api.http.connection_limits import ConnectionLimits
from api.http.requests.computing_client import job_states
from api.http.server import DRAIN_SECONDS_MAX, address_of, bind, serve_until_stopped
from api.operations.ending import Ending
from api.operations.logs import LogFormat, LogLevel, LogSettings, logging_to
from api.operations.service import OpenLedger, Service, create_ledger, open_ledger, running
from api.operations.version import version
from api.operations.warming import warm
from ledger.store.embedded import end_all_uses
from replay.proof.notary import CHECKPOINT_SECONDS, Policy

DEMO_SCALE, DEMO_SEED = 0.01, 1

logger = logging.getLogger(__name__)


def serve(
    data: Path,
    host: str,
    port: int,
    log: LogSettings,
    *,
    per_second: int = PER_SECOND,
    signed_within: int = CREATED_SECONDS_MAX,
    drain_seconds: int = DRAIN_SECONDS_MAX,
    connections: int = ConnectionLimits.connections,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    log_policy: Path | None = None,
    as_json: bool,
) -> None:
    """Serve the ledger in the data directory, or the one that DATABASE_URL names.

    Args:
        log: format and level of the log, which goes to standard error.
        per_second: requests per second for each key without a limit of its own.
        signed_within: the greatest age of a request's signature, in seconds.
        drain_seconds: how long running requests may take to finish when the server is stopped.
        connections: how many connections may be open at once.
        checkpoint_seconds: how often a checkpoint is signed, if anything is new.
        log_policy: the file that names the witnesses from now on; None keeps those that were named before.
    """
    with (
        ComputingProcess(compute) as computing,  # first: it is a copy of this process
        bind(host, port) as listening,
        logging_to(sys.stderr, log),
        Ending(drain_seconds, end_all_uses) as ending,
        open_ledger(data, supervised=True) as ledger,
    ):
        if log_policy is not None:
            ledger.tree.witnesses.install(log_policy)
        warm(logger.info)
        address = address_of(listening)

        def started() -> None:
            logger.info("serving", extra={"fields": {"address": address, "version": version()}})
            if as_json:
                print_json({"address": address})
            else:
                out().print(f"Serving at {address} (Ctrl-C ends)")

        with running(ledger, RateLimits(per_second), Policy(checkpoint_seconds)) as service:
            service.signed_within = signed_within
            service.logs_all_requests = log.all_requests
            limits = ConnectionLimits(connections=connections)
            with computing_for(service, computing, log):
                serve_until_stopped(service, listening, started, drain_seconds, limits, ending.begin, computing.path)
        logger.info("stopped")


def demonstrate(data: Path, host: str, port: int, *, as_json: bool) -> None:
    """Serve a synthetic history, creating it first if the ledger is empty, and print examples."""
    log = LogSettings(LogFormat.TEXT, LogLevel.WARNING)
    with (
        ComputingProcess(compute) as computing,
        bind(host, port) as listening,
        logging_to(sys.stderr, log),
        Ending(DRAIN_SECONDS_MAX, end_all_uses) as ending,
        create_ledger(data, supervised=True) as ledger,
    ):
        warm(notify)
        if _to_be_filled(ledger):
            notify(f"Creating a history at scale {DEMO_SCALE}, once: 1,200 volunteers from 2011 to 2018")
            fill(ledger, DEMO_SCALE, DEMO_SEED)
        with running(ledger) as service:
            keys = demo_keys(ledger)
            address = address_of(listening)
            examples, links = things_to_try(ledger, address, keys, uuid4()), sign_in_links(address, keys)

            def started() -> None:
                if as_json:
                    shown = [{"what": what, "command": command} for what, command in examples]
                    print_json({"address": address, "keys": keys, "links": links, "try": shown})
                else:
                    _print_examples(address, data, links, examples)

            with computing_for(service, computing, log):
                serve_until_stopped(service, listening, started, stopping=ending.begin, computing=computing.path)


@contextmanager
def computing_for(service: Service, computing: ComputingProcess, log: LogSettings) -> Iterator[None]:
    """Compute for a service in a process of its own; at the end of the block that process ends, whatever it does."""
    ledger = service.ledger
    computing.start(ComputingSettings(ledger.database.url, ledger.data, log, service.signed_within))
    service.job_states = lambda: job_states(computing.path)
    service.stop_jobs = computing.stop_jobs
    try:
        yield
    finally:
        computing.end()


def _to_be_filled(ledger: OpenLedger) -> bool:
    """Return whether the ledger is empty, or was not filled completely because the first start was interrupted."""
    if ledger.log.head() == 0:
        return True
    try:
        mark = json.loads((ledger.data / MARK).read_text())
    except (FileNotFoundError, ValueError):
        return False
    return bool(mark == {"scale": DEMO_SCALE, "seed": DEMO_SEED, "complete": False})


def _print_examples(address: str, data: Path, links: dict[str, str], examples: list[tuple[str, str]]) -> None:
    console = out()
    console.print(f"\nServing at {address} (for programs: {address}/docs; Ctrl-C ends)")
    console.print("Each of these links opens the pages as somebody else:\n")
    for role, link in links.items():
        console.print(f"{role:<15}{link}", soft_wrap=True, markup=False)
    console.print(f"\nThe keys are in {data / KEYS}. Three things to try, in another terminal:\n")
    for number, (what, command) in enumerate(examples, 1):
        console.print(f"{number}. {what}:\n", soft_wrap=True)
        console.print(command + "\n", soft_wrap=True, markup=False)
