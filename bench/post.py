"""Post: check-ins and check-outs over HTTP, each on disk before it is answered (fsync and synchronous_commit on).

The server is `hours serve`, a process of its own, on a fresh and temporary ledger; the load generator sends requests
that were made before the clock started, and shares the machine with it. `single`: single events over 64 connections and
over one, with read models that follow. `http_per_second`: events a second in batches of 1,000 over four connections
(`per_second` is the same), while the read models fall behind. Every answer is held to the log afterwards: the event is
at the position it told, and nothing else is there. Peers, over as many connections, one event a transaction: a FastAPI
service as one writes it in an afternoon (bench/naive_app.py), which decides nothing; and pgbench inserting rows of the
same size into a table with the same keys: no HTTP, no key, no decision.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from time import sleep
from typing import Any

from api.access import Role
from api.cloud_events import BATCH, EVENT, event_type
from api.service import OpenLedger
from bench.common import ROOT, Options, Result, machine, parse, peak_mib, publish, say
from bench.http_client import Answer, as_json, request, send_all
from bench.intake import BenchIntake, new_database, temporary_server
from bench.pgbench import pgbench
from bench.scans import Scans, in_batches
from ledger.commands import Order
from ledger.database import Database
from ledger.names import Position, command_name
from replay import store

BATCH_EVENTS = 1_000
BATCH_CONNECTIONS = 4
CONNECTIONS = 64


class Served:
    """A running server, and whoever posts to it."""

    def __init__(self, address: str, token: str, bench: BenchIntake) -> None:
        self.address = address
        self._token = token
        self._bench = bench

    @property
    def database(self) -> Database:
        return self._bench.database

    @property
    def head(self) -> int:
        """The log's last position."""
        return int(self.database.log.head())

    def scans(self, events: int) -> list[dict[str, Any]]:
        """Return the data of scans, without their envelopes."""
        return [order.command.model_dump(mode="json", exclude_none=True) for order in self._orders(events)]

    def settle(self) -> None:
        """Wait until the read models have followed."""
        with self._bench.database.pool.connection() as connection:
            while True:
                generation = store.current_generation(connection)
                if generation is not None and generation.position == self._bench.database.log.head():
                    return
                sleep(0.05)

    def batches(self, events: int) -> tuple[list[bytes], int]:
        """Return requests of a thousand events, and how many events they hold."""
        made = [self._events(batch) for batch in in_batches(self._orders(events), BATCH_EVENTS)]
        bodies = [request(self.address, "/v1/events", self._token, BATCH, as_json(one)) for one in made]
        return bodies, sum(map(len, made))

    def singles(self, events: int) -> list[bytes]:
        """Return requests of one check-in or check-out."""
        made = self._events(list(self._orders(events)))
        return [request(self.address, "/v1/events", self._token, EVENT, as_json(one)) for one in made]

    def _orders(self, events: int) -> Iterator[Order]:
        bench, shifts = self._bench, events // 2
        plan = Scans(bench.volunteers, bench.stations, bench.now, shifts, id_share=10, first=bench.served)
        bench.now = plan.ends
        bench.served += shifts
        return plan.orders()

    def _events(self, orders: Sequence[Order]) -> list[dict[str, object]]:
        return [
            {
                "specversion": "1.0",
                "id": order.id,
                "source": order.source,
                "type": event_type(order.command.TYPE),
                "data": order.command.model_dump(mode="json", exclude_none=True),
            }
            for order in orders
        ]


@contextmanager
def serving(bench: BenchIntake, url: str, data: Path) -> Iterator[Served]:
    """Run `hours serve` on the ledger at a URL."""
    ledger = OpenLedger(bench.database, data)
    _, token = ledger.keys.make(Role.STAFF, "bench", per_second=100_000)
    environment = {"DATABASE_URL": url}
    command = [sys.executable, "-c", "from api.cli import main; main()", "--data", str(data)]
    command += ["serve", "--port", "0", "--json"]
    with program(command, environment) as address:
        yield Served(address, token, bench)


@contextmanager
def program(command: Sequence[str], environment: dict[str, str]) -> Iterator[str]:
    """Run a server that says its address as JSON."""
    with subprocess.Popen(
        command, env=os.environ | environment, cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            said = ""
            while not said.endswith("}\n"):
                line = process.stdout.readline()
                assert line, "the server did not start"
                said += line
            yield str(json.loads(said)["address"])
        finally:
            process.terminate()
            process.wait(60)


def held_to_log(database: Database, answers: Sequence[dict[str, Any]], after: int) -> None:
    """Hold every answer to have been an acceptance, to be found in the log, and the log to hold nothing else."""
    stored: dict[str, int] = {}
    while events := database.log.read(Position(after), 10_000):
        stored |= {json.loads(event.state)["command"]: event.position for event in events}
        after = events[-1].position
    for answer in answers:
        assert (answer["outcome"], answer["duplicate"]) == ("accepted", False), answer
        assert stored.pop(command_name(answer["source"], answer["id"]), None) == answer["position"], answer
    assert not stored, f"{len(stored)} events are in the log that nobody was told of"


def in_single(served: Served, events: int, connections: int) -> dict[str, float]:
    """Send single events; return events per second and milliseconds."""
    requests, before = served.singles(events), served.head
    answers, seconds = send_all(served.address, requests, connections)
    assert {answer.status for answer in answers} == {201}, answers[-1]
    held_to_log(served.database, [json.loads(answer.body) for answer in answers], before)
    return _figures(answers, seconds)


def _figures(answers: Sequence[Answer], seconds: float) -> dict[str, float]:
    took = sorted(1000 * answer.seconds for answer in answers)
    return {
        "per_second": round(len(answers) / seconds, 1),
        "p50_ms": round(median(took), 2),
        "p99_ms": round(quantiles(took, n=100)[98], 2),
    }


def in_whole_batches(served: Served, events: int) -> tuple[float, int]:
    """Send batches; return the seconds and how many events were taken."""
    requests, count = served.batches(events)
    before = served.head
    answers, seconds = send_all(served.address, requests, BATCH_CONNECTIONS)
    assert {answer.status for answer in answers} == {200}, answers[-1]
    told = [one for answer in answers for one in json.loads(answer.body)["answers"]]
    assert len(told) == count, (len(told), count)
    held_to_log(served.database, told, before)
    return seconds, count


def naive(served: Served, url: str, events: int) -> dict[str, float]:
    """Send single check-ins to a service that decides nothing; return events per second and milliseconds."""
    command = [sys.executable, "-m", "bench.naive_app", new_database(url, "naive_peer")]
    with program(command, {}) as address:
        bodies = [as_json(data) for data in served.scans(events)]
        answers, seconds = send_all(
            address, [request(address, "/check-ins", "", "application/json", body) for body in bodies], CONNECTIONS
        )
    assert {answer.status for answer in answers} == {201}, answers[-1]
    return _figures(answers, seconds)


def measure(url: str, database: Database, data: Path, options: Options) -> Result:
    """Post batches and single events, then run the peer."""
    bench = BenchIntake(database, max(1_000, int(options.scale * 120_000)))
    events = max(10_000, int(options.scale * 200_000)) // BATCH_EVENTS * BATCH_EVENTS
    with serving(bench, url, data) as served:
        in_whole_batches(served, 5 * BATCH_EVENTS)  # warms up
        say("single events")
        few = max(500, events // 20)
        served.settle()
        one = in_single(served, max(200, few // 10), 1)
        many = [in_single(served, few, CONNECTIONS) for _ in range(options.repeat)]
        say("batches")
        rounds = [in_whole_batches(served, events) for _ in range(options.repeat)]
        say("peers")
        peer = naive(served, url, few)
    at_once = {key: median(run[key] for run in many) for key in many[0]}
    runs = [seconds for seconds, _ in rounds]
    sent = rounds[0][1]
    peers = {
        f"FastAPI and psycopg, single inserts over {CONNECTIONS} connections": peer["per_second"],
        f"pgbench, single inserts over {CONNECTIONS} connections": pgbench(url, CONNECTIONS, options.peer_seconds),
    }
    more: dict[str, object] = {
        "http_per_second": round(sent / median(runs), 1),
        "single": {f"{CONNECTIONS} connections": at_once, "1 connection": one, "FastAPI and psycopg": peer},
        "batch": BATCH_EVENTS,
        "volunteers": len(bench.volunteers),
        "events_in_ledger": int(database.log.head()),
    }
    return Result("post", sent, runs, peak_mib(), peers, more)


def main() -> None:
    """Measure and report."""
    options = parse(__doc__)
    with temporary_server(options) as url, Database.open(url) as database, tempfile.TemporaryDirectory() as data:
        publish(measure(url, database, Path(data), options), options, machine(url))


if __name__ == "__main__":
    main()
