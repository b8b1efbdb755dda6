"""Post: single check-ins and check-outs over HTTP, each on disk before its answer (fsync and synchronous_commit on).

The server is `hours serve` in a separate process, on a new temporary ledger whose read models follow. The load
generator runs on the same machine and sends requests made before the clock started. Quoted are events per second over
64 connections, each of which waits for its answer; `single` holds milliseconds, also for a single connection. Every
answer is then verified in the log: the event is at its answered position, and there are no other events. Peers, over as
many connections, one event a transaction: a simple FastAPI service (bench/peers/naive_app.py), which decides nothing;
and pgbench inserting rows of the same size into a table with the same keys, without HTTP, API key or decision. (Batches
over HTTP are in bench/intake.py.)
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median, quantiles

from bench.peers.pgbench import pgbench
from bench.support.common import Options, Result, machine, parse, peak_mib, print_status, publish
from bench.support.fresh import BenchIntake, new_database, temporary_server
from bench.support.http_client import Answer, as_json, request, send_all
from bench.support.loaded_server import BATCH_EVENTS, Served, in_whole_batches, program, serving, verify_in_log
from ledger.store.database import Database

CONNECTIONS = 64


def in_single(served: Served, events: int, connections: int) -> dict[str, float]:
    """Send single events; return events per second and latencies in milliseconds."""
    requests, before = served.singles(events), served.head
    answers, seconds = send_all(served.address, requests, connections)
    assert {answer.status for answer in answers} == {201}, answers[-1]
    verify_in_log(served.database, [json.loads(answer.body) for answer in answers], before)
    return _figures(answers, seconds)


def _figures(answers: Sequence[Answer], seconds: float) -> dict[str, float]:
    milliseconds = sorted(1000 * answer.seconds for answer in answers)
    return {
        "per_second": round(len(answers) / seconds, 1),
        "p50_ms": round(median(milliseconds), 2),
        "p99_ms": round(quantiles(milliseconds, n=100)[98], 2),
    }


def naive(served: Served, url: str, events: int) -> dict[str, float]:
    """Send single check-ins to the naive service; return events per second and latencies in milliseconds."""
    command = [sys.executable, "-m", "bench.peers.naive_app", new_database(url, "naive_peer")]
    with program(command, {}) as address:
        bodies = [as_json(data) for data in served.scans(events)]
        answers, seconds = send_all(
            address, [request(address, "/check-ins", "", "application/json", body) for body in bodies], CONNECTIONS
        )
    assert {answer.status for answer in answers} == {201}, answers[-1]
    return _figures(answers, seconds)


def measure(url: str, database: Database, data: Path, options: Options) -> Result:
    """Post single events, then run the peers."""
    bench = BenchIntake(database, max(200, int(options.scale * 120_000)))
    events = max(400, int(options.scale * 20_000))
    with serving(bench, url, data) as served:
        in_whole_batches(served, min(5 * BATCH_EVENTS, events))  # warms up
        served.settle()
        in_single(served, events // 2, CONNECTIONS)
        print_status("single events")
        alone = in_single(served, max(50, events // 10), 1)
        runs = []
        for _ in range(options.repeat):
            served.settle()
            runs.append(in_single(served, events, CONNECTIONS))
        print_status("peers")
        peer = naive(served, url, max(100, events // 4))
    at_once = {key: median(run[key] for run in runs) for key in runs[0]}
    peers = {
        f"FastAPI and psycopg, single inserts over {CONNECTIONS} connections": peer["per_second"],
        f"pgbench, single inserts over {CONNECTIONS} connections": pgbench(url, CONNECTIONS, options.peer_seconds),
    }
    more: dict[str, object] = {
        "single": {f"{CONNECTIONS} connections": at_once, "1 connection": alone, "FastAPI and psycopg": peer},
        "volunteers": len(bench.volunteers),
        "events_in_ledger": int(database.log.head()),
    }
    return Result("post", events, [events / run["per_second"] for run in runs], peak_mib(), peers, more)


def main() -> None:
    """Run the bench and print its result."""
    options = parse(__doc__)
    with temporary_server(options) as url, Database.open(url) as database, tempfile.TemporaryDirectory() as data:
        publish(measure(url, database, Path(data), options), options, machine(url))


if __name__ == "__main__":
    main()
