"""Requests that compute are answered by a process of their own, which can be killed and ends with its server."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

import httpx2
import psutil
import pytest

from api.access.roles import Role
from api.http.computing.process import restart_delays
from api.operations.service import OpenLedger
from ledger.store.database import Database
from tests.support.api.serving import found
from tests.support.patience import PATIENCE_SECONDS
from tests.support.processes.program import HOURS, Program

SPOT_CHECK = "/v1/spot-check?seed=x&size=1"
ANOMALIES = "/v1/anomalies"
ENDLESS = """
import sys, time
from api.cli.main import main
from api.http.requests import lanes
from api.operations import jobs
from api.http.routes.operations import what_ifs
from replay.audit import spot_checks
jobs.OVERRUN_SECONDS = 0.1
lanes.COMPUTE_SECONDS_MAX = what_ifs.WHAT_IF_SECONDS_MAX = {seconds}
def for_ever(*_, **__):
    print("computing", file=sys.stderr, flush=True)
    while True:
        time.sleep(0.01)
spot_checks.SpotChecks.draw = what_ifs.compared = for_ever
main()
"""
"""A server of which two computations neither end nor stop."""
FAILING = """
from api.cli.main import main
from api.http.computing import worker
from api.http.requests import computing_client
worker.Database = None
computing_client.START_SECONDS_MAX = 0.1
main()
"""
"""A server whose computing process fails as soon as it starts."""


class Ledger(NamedTuple):
    """A ledger in a database, and the tokens of its keys."""

    url: str
    data: Path
    tokens: dict[Role, str]


@pytest.fixture(scope="module")
def ledger(new_database_url: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    data, url = tmp_path_factory.mktemp("computing"), new_database_url()
    with Database.open(url) as database:
        opened = OpenLedger(database, data)
        found(opened)
        opened.make_ready()
        roles: list[Role] = [role for role in Role if role is not Role.VOLUNTEER]
        tokens = {role: opened.keys.make(role, "C01" if role is Role.STATION else role.value)[1] for role in roles}
    return Ledger(url, data, tokens)


class Serving(NamedTuple):
    """A running server."""

    process: Program
    address: str
    tokens: dict[Role, str]

    def ask(self, method: str, path: str, role: Role = Role.ADMIN, **more: Any) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {self.tokens[role]}", **more.pop("headers", {})}
        return httpx2.request(method, self.address + path, headers=headers, timeout=PATIENCE_SECONDS, **more)

    def get(self, path: str, role: Role = Role.ADMIN) -> httpx2.Response:
        return self.ask("GET", path, role)

    def computing(self) -> psutil.Process:
        """Return the computing process: the child of the supervisor, which is a child of the server."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            children = [child for one in psutil.Process(self.process.pid).children() for child in one.children()]
            with suppress(ValueError):
                (process,) = [one for one in children if "postgres" not in one.name()]
                return process
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def answers(self, path: str) -> bool:
        """Wait until a request is not refused because nothing computes; return whether it is answered."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (answer := self.get(path)).status_code == 503 and time.monotonic() < deadline:
            assert path == "/readyz" or answer.json()["rejection"] == "busy"
            time.sleep(0.02)
        return answer.status_code == 200

    def supervisor(self) -> psutil.Process:
        """Return the supervisor: the parent of the computing process."""
        parent = self.computing().parent()
        assert parent is not None
        return parent

    def read_until(self, text: str) -> None:
        """Read the log until a line has this text."""
        while text not in (line := self.process.stderr.readline()):
            assert line, f"the server ended before it wrote: {text}"


@contextmanager
def serving(ledger: Ledger, *program: str) -> Iterator[Serving]:
    environment = os.environ | {"DATABASE_URL": ledger.url}
    options = ["--data", ledger.data, "serve", "--port", "0", "--json"]
    with Program(*(program or HOURS), *options, environment=environment) as process:
        address = process.read_object()["address"]
        try:
            yield Serving(process, address, ledger.tokens)
        finally:
            if process.poll() is None:
                process.kill()


@pytest.fixture(scope="module")
def server(ledger: Ledger) -> Iterator[Serving]:
    with serving(ledger) as one:
        yield one


@pytest.mark.parametrize(
    ("method", "path", "more", "status"),
    [
        ("GET", SPOT_CHECK, {}, 200),
        ("GET", ANOMALIES, {}, 200),
        ("GET", "/v1/rankings/none", {}, 404),
        ("GET", "/v1/stations/C01/activity?rules=1", {}, 200),
        ("GET", "/v1/stations/C01/activity?known_at=x", {}, 422),
        ("GET", "/v1/jobs", {}, 200),
        ("GET", "/v1/jobs/1", {}, 422),
        ("GET", "/v1/generations", {}, 200),
        ("POST", "/v1/what-ifs", {"json": {}}, 200),
        ("POST", "/v1/what-ifs", {"json": {}, "headers": {"Accept": "text/csv"}}, 200),
        ("POST", "/v1/what-ifs", {"json": {"limit": "many"}}, 422),
        ("POST", "/v1/what-ifs", {"content": b"{", "headers": {"Content-Type": "application/json"}}, 400),
        ("DELETE", "/v1/generations/1000", {}, 404),
    ],
)
def test_answers_are_passed_on_as_they_are(
    server: Serving, method: str, path: str, more: dict[str, Any], status: int
) -> None:
    answer = server.ask(method, path, **more)
    assert answer.status_code == status, answer.text
    names = [name.lower() for name, _ in answer.headers.multi_items()]
    for once in ("content-type", "x-request-id", "x-content-type-options", "cache-control", "content-length"):
        assert names.count(once) == 1, once
    if status >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        rejection = answer.json()["rejection"]
        metrics = server.get("/metrics", Role.READER).text
        assert f'="{rejection}"' in metrics


def test_no_key_is_refused_before_anything_is_handed_over(server: Serving) -> None:
    assert httpx2.get(server.address + SPOT_CHECK, timeout=PATIENCE_SECONDS).status_code == 401
    assert server.ask("POST", "/v1/what-ifs", Role.STATION, json={}).status_code == 403


def test_a_job_runs_there_and_its_progress_is_streamed(server: Serving) -> None:
    started = server.ask("POST", "/v1/what-ifs", json={}, headers={"Prefer": "respond-async"})
    assert started.status_code == 202
    events = server.get(started.headers["Location"] + "/events").text
    assert "event: result" in events
    assert server.get(started.headers["Location"]).json()["state"] == "done"
    assert 'hours_jobs{state="done"} 1.0' in server.get("/metrics", Role.READER).text
    assert server.get("/v1/status").json()["jobs"] == {"running": 0, "waiting": 0}


def test_a_computing_process_that_dies_is_started_again_and_requests_say_so(ledger: Ledger) -> None:
    with serving(ledger, "-c", ENDLESS.format(seconds=60)) as server:
        answers: list[httpx2.Response] = []
        asking = Thread(target=lambda: answers.append(server.get(SPOT_CHECK)))
        asking.start()
        server.read_until("computing")
        server.computing().kill()
        asking.join(PATIENCE_SECONDS)
        assert (answers[0].status_code, answers[0].json()["rejection"]) == (503, "busy")
        assert answers[0].headers["Retry-After"] == "1"
        assert server.get("/v1/stations/C01/activity").status_code == 200  # which needs no computing
        assert server.get(ANOMALIES).status_code == 200


@pytest.mark.parametrize("headers", [{}, {"Prefer": "respond-async"}])
def test_a_computation_that_does_not_stop_is_killed_with_its_process(ledger: Ledger, headers: dict[str, str]) -> None:
    with serving(ledger, "-c", ENDLESS.format(seconds=0.1)) as server:
        answer = server.ask("POST", "/v1/what-ifs", json={}, headers=headers)
        assert answer.status_code == (202 if headers else 503)
        server.read_until("the computing process is started again")
        assert server.get("/v1/jobs").json() == {"jobs": []}


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_computes_when_the_server_has_ended(ledger: Ledger, by: signal.Signals) -> None:
    with serving(ledger, "-c", ENDLESS.format(seconds=60)) as server:

        def ask() -> None:
            with suppress(httpx2.TransportError):
                server.ask("POST", "/v1/what-ifs", json={}, headers={"Prefer": "respond-async"})

        asking = Thread(target=ask)
        asking.start()
        server.read_until("computing")
        processes = [server.computing(), *psutil.Process(server.process.pid).children()]
        server.process.send_signal(by)
        assert psutil.wait_procs(processes, timeout=PATIENCE_SECONDS)[1] == []
        asking.join(PATIENCE_SECONDS)


def test_head_leaves_a_connection_as_it_was(ledger: Ledger) -> None:
    with serving(ledger) as server:
        headers = {"Authorization": f"Bearer {server.tokens[Role.ADMIN]}"}
        with httpx2.Client(base_url=server.address, headers=headers, timeout=PATIENCE_SECONDS) as client:
            for _ in range(20):
                assert client.head(ANOMALIES).status_code == 200
                assert client.get("/v1/jobs").json() == {"jobs": []}
        server.process.send_signal(signal.SIGTERM)
        assert "Traceback" not in server.process.communicate(timeout=PATIENCE_SECONDS)[1]


def test_a_supervisor_whose_processes_fail_ends_with_the_server(ledger: Ledger) -> None:
    with serving(ledger, "-c", FAILING) as server:
        server.read_until("the computing process has ended and is started again")
        server.read_until("the computing process has ended and is started again")
        assert server.get(ANOMALIES).json()["rejection"] == "busy"
        processes = psutil.Process(server.process.pid).children()
        server.process.send_signal(signal.SIGKILL)
        assert psutil.wait_procs(processes, timeout=PATIENCE_SECONDS)[1] == []


ENDED = "the supervisor of the computing process has ended"


@pytest.mark.parametrize("killed", ["supervisor", "supervisor and computing process"])
@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM])
def test_a_supervisor_that_is_killed_is_replaced(ledger: Ledger, killed: str, by: signal.Signals) -> None:
    with serving(ledger) as server:
        assert server.answers("/readyz")
        for _ in range(2):  # the first is a copy of the server, the second a program of its own
            processes = [server.supervisor(), server.computing()]
            for process in processes[: 2 if "and" in killed else 1]:
                process.kill()
            server.read_until(ENDED)
            assert (
                psutil.wait_procs(processes, timeout=PATIENCE_SECONDS)[1] == []
            )  # an orphan would compute beside the next one
            assert server.answers(ANOMALIES)
            assert server.answers("/readyz")
            assert server.get("/v1/jobs").json() == {"jobs": []}
        processes = [server.supervisor(), server.computing()]
        server.process.send_signal(by)
        assert psutil.wait_procs(processes, timeout=PATIENCE_SECONDS)[1] == []
        log = server.process.communicate(timeout=PATIENCE_SECONDS)[1]
        assert server.process.returncode == (0 if by is signal.SIGTERM else -signal.SIGKILL)
        assert "Traceback" not in log


def test_a_computing_process_that_does_not_answer_is_not_ready(ledger: Ledger) -> None:
    with serving(ledger) as server:
        assert server.answers("/readyz")
        process = server.computing()
        process.suspend()
        try:
            deadline = time.monotonic() + PATIENCE_SECONDS
            while (answer := server.get("/readyz")).status_code == 200:  # an answer is repeated for a second
                assert time.monotonic() < deadline
            assert [check["name"] for check in answer.json()["checks"] if not check["ok"]] == ["computing"]
        finally:
            process.resume()
        assert server.answers("/readyz")


def test_what_ends_again_and_again_is_started_at_longer_and_longer_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    delays = restart_delays()
    seen = []
    for lasted in (0, 1, 0, 0, 0, 5, 0, 100, 0):
        seen.append(next(delays))
        now[0] += seen[-1] + lasted
    assert seen == [1, 2, 4, 8, 16, 30, 30, 30, 1]
