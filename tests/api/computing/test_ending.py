"""A server that is ended ends in time, whatever its threads compute, and leaves no PostgreSQL behind."""

from __future__ import annotations

import os
import signal
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import psutil
import pytest

from api.access.roles import Role
from api.operations.service import create_ledger, open_ledger
from tests.support.api.serving import found
from tests.support.patience import PATIENCE_SECONDS
from tests.support.processes.program import Program

DRAIN_SECONDS = 1
CLOSE_SECONDS_MAX = {"replay": 120, "job": 120, "read": 1}
"""How long the server may take to close. A read does not let it: then it ends without that. The others do, and a busy
machine may need long to close.
"""
SLACK_SECONDS = 120
"""What a busy machine may need to stop PostgreSQL and to end the process, besides these limits."""

SERVE = """
import sys, threading, time
import numba
from api.cli.main import main
from api.operations import ending
from api.http.requests import dependencies
from api.http.routes.operations import what_ifs
from replay.audit import spot_checks
from replay.queries import queries

@numba.njit(nogil=True)
def compute(seconds):
    found = 0
    for number in range(seconds * 1_000_000_000):
        found += number % 7 ^ found
    return found

def for_ever(*_, **__):
    print("computing", file=sys.stderr, flush=True)
    {body}

compute(0)
ending.CLOSE_SECONDS_MAX = {close}
{patch}
main()
"""
BODIES = {
    "compiled code": "compute(3_000)",
    "Python": "while True: pass",
    "sleep": "time.sleep(3_000)",
}
PATCHES = {
    "replay": ("GET", "/v1/spot-check?seed=x&size=1", "spot_checks.SpotChecks.draw = for_ever"),
    "job": ("POST", "/v1/what-ifs", "what_ifs.compared = for_ever"),
    "read": ("GET", "/v1/stations/C01/activity", "queries.Queries.station_activity = for_ever"),
}


def postgres_of(data: Path) -> list[int]:
    place = str(data / "postgres")
    return [one.pid for one in psutil.process_iter(["cmdline"]) if place in (one.info["cmdline"] or [])]


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A data directory with an embedded PostgreSQL, and the token of an admin."""
    data = tmp_path_factory.mktemp("ending") / "data"
    with pytest.MonkeyPatch.context() as context:
        context.delenv("DATABASE_URL", raising=False)
        with create_ledger(data) as opened:
            found(opened)
            opened.make_ready()
            yield_token = opened.keys.make(Role.ADMIN, "admin")[1]
        yield data, yield_token


@contextmanager
def computing(data: Path, token: str, place: str, body: str) -> Iterator[Program]:
    """Serve, send a request that computes for ever, and wait until it computes."""
    method, address, patch = PATCHES[place]
    program = textwrap.dedent(SERVE).format(body=BODIES[body], patch=patch, close=CLOSE_SECONDS_MAX[place])
    options = ["--data", data, "serve", "--port", "0", "--json", "--drain-seconds", DRAIN_SECONDS]
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    with Program("-c", program, *options, environment=environment) as process:
        url = process.read_object()["address"] + address
        headers = {"Authorization": f"Bearer {token}", "Prefer": "respond-async"}

        def ask() -> None:
            try:
                httpx2.request(
                    method, url, headers=headers, json={} if method == "POST" else None, timeout=PATIENCE_SECONDS
                )
            except httpx2.TransportError:
                return

        asking = threading.Thread(target=ask)
        asking.start()
        try:
            while "computing" not in process.stderr.readline():
                assert process.poll() is None
            yield process
        finally:
            process.kill()
            asking.join()


@pytest.mark.parametrize("place", PATCHES)
@pytest.mark.parametrize("body", BODIES)
def test_a_server_ends_in_time_whatever_computes(ledger: tuple[Path, str], place: str, body: str) -> None:
    data, token = ledger
    with computing(data, token, place, body) as process:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=DRAIN_SECONDS + CLOSE_SECONDS_MAX[place] + SLACK_SECONDS)
    assert process.returncode in ({0} if place != "read" else {0, 1})
    assert postgres_of(data) == []
    with open_ledger(data) as opened:
        assert opened.log.head() > 0
