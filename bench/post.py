"""Post: check-ins and check-outs over HTTP, each on disk before it is answered (fsync and synchronous_commit on).

The server is `hours serve`, a process of its own, on a fresh and temporary ledger; the load generator sends requests
that were made before the clock started, and shares the machine with it. `single`: single events over 64 connections and
over one, with read models that follow. `http_per_second`: events a second in batches of 1,000 over four connections
(`per_second` is the same), while the read models fall behind. All answers are counted, and the log afterwards holds as
many events. Peer: pgbench inserting rows of the same size into a table with the same keys, one a transaction, over as
many connections: no HTTP, no key, no decision.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from time import sleep

import psycopg
from psycopg.conninfo import make_conninfo

from api.access import Role
from api.cloud_events import BATCH, EVENT, event_type
from api.service import OpenLedger
from bench.common import Options, Result, machine, parse, peak_mib, publish, say
from bench.http_client import Answer, as_json, request, send_all
from bench.intake import BenchIntake, new_database, temporary_server
from bench.scans import Scans, in_batches
from ledger.commands import Order
from ledger.database import Database
from replay import store

BATCH_EVENTS = 1_000
BATCH_CONNECTIONS = 4
CONNECTIONS = 64
SETTLE = """
CREATE TABLE posted (id uuid NOT NULL, version bigint NOT NULL, topic text NOT NULL, state bytea NOT NULL,
                     position bigint GENERATED ALWAYS AS IDENTITY UNIQUE, PRIMARY KEY (id, version))
"""
SCRIPT = """
INSERT INTO posted (id, version, topic, state) VALUES (gen_random_uuid(), 1, 'checked-in.v1', repeat('x', 260)::bytea);
"""


class Served:
    """A running server, and whoever posts to it."""

    def __init__(self, address: str, token: str, bench: BenchIntake) -> None:
        self.address = address
        self._token = token
        self._bench = bench

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
    environment = {**os.environ, "DATABASE_URL": url}
    command = [sys.executable, "-c", "from api.cli import main; main()", "--data", str(data)]
    command += ["serve", "--port", "0", "--json"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            said = ""
            while not said.endswith("}\n"):
                line = process.stdout.readline()
                assert line, "the server did not start"
                said += line
            yield Served(json.loads(said)["address"], token, bench)
        finally:
            process.terminate()
            process.wait(60)


def in_single(served: Served, events: int, connections: int) -> dict[str, float]:
    """Send single events; return events per second and milliseconds."""
    requests = served.singles(events)
    answers, seconds = send_all(served.address, requests, connections)
    assert {answer.status for answer in answers} == {201}, answers[-1]
    took = sorted(1000 * answer.seconds for answer in answers)
    return {
        "per_second": round(len(answers) / seconds, 1),
        "p50_ms": round(median(took), 2),
        "p99_ms": round(quantiles(took, n=100)[98], 2),
    }


def in_whole_batches(served: Served, events: int) -> tuple[float, int]:
    """Send batches; return the seconds and how many events were taken."""
    requests, count = served.batches(events)
    answers, seconds = send_all(served.address, requests, BATCH_CONNECTIONS)
    taken = sum(_accepted(answer) for answer in answers)
    assert taken == count, (taken, count)
    return seconds, count


def _accepted(answer: Answer) -> int:
    assert answer.status == 200, answer
    return int(json.loads(answer.body)["accepted"])


def pgbench(url: str, seconds: float) -> float:
    """Return transactions per second of single inserts over as many connections."""
    peer = new_database(url, "pgbench_peer")
    with psycopg.connect(peer, autocommit=True) as connection:
        connection.execute(SETTLE)
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write(SCRIPT)
        script.flush()
        program = [_pgbench(url), "-n", "-c", str(CONNECTIONS), "-j", "2", "-M", "prepared"]
        arguments = ["-T", str(max(1, int(seconds))), "-f", script.name, make_conninfo(peer)]
        said = subprocess.run([*program, *arguments], check=True, capture_output=True, text=True).stdout
    found = re.search(r"tps = ([\d.]+)", said)
    assert found, said
    return float(found[1])


def _pgbench(url: str) -> str:
    """Return the program that came with the server."""
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT setting FROM pg_config() WHERE name = 'BINDIR'").fetchall()
    return str(Path(rows[0][0]) / "pgbench")


def measure(url: str, database: Database, data: Path, options: Options) -> Result:
    """Post batches and single events, then run the peer."""
    bench = BenchIntake(database, max(1_000, int(options.scale * 120_000)))
    events = max(10_000, int(options.scale * 200_000)) // BATCH_EVENTS * BATCH_EVENTS
    registered = int(database.log.head())
    with serving(bench, url, data) as served:
        before = int(database.log.head())
        assert before >= registered
        in_whole_batches(served, 5 * BATCH_EVENTS)  # warms up
        say("single events")
        few = max(500, events // 20)
        served.settle()
        one = in_single(served, max(200, few // 10), 1)
        many = [in_single(served, few, CONNECTIONS) for _ in range(options.repeat)]
        say("batches")
        rounds = [in_whole_batches(served, events) for _ in range(options.repeat)]
    at_once = {key: median(run[key] for run in many) for key in many[0]}
    runs = [seconds for seconds, _ in rounds]
    sent = rounds[0][1]
    peers = {f"pgbench, single inserts over {CONNECTIONS} connections": pgbench(url, options.peer_seconds)}
    more: dict[str, object] = {
        "http_per_second": round(sent / median(runs), 1),
        "single": {f"{CONNECTIONS} connections": at_once, "1 connection": one},
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
