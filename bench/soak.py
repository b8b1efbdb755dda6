"""Soak: a steady 1,000 commands a second over HTTP for half an hour; does memory grow, do the read models fall behind?

The server is `hours serve` in a separate process, on a new temporary ledger. Half of the commands are sent singly, over
16 connections, half in batches of 50; each connection sends on schedule, but not before the previous answer. Sampled
every ten seconds: the memory of the server (RSS) and of PostgreSQL (PSS, which counts shared memory once). Measured at
random moments, about once a second: the time until the read models reach the current head of the log.

    python -m bench.soak --minutes 30 --json

The last line is one JSON object: memory in each third of the time, and the server's growth in MiB an hour in the last
two thirds (linear regression over all samples); `lag_ms` and `latency_ms` in each third; `losses`: events that were
answered as accepted and are not in the log.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from statistics import linear_regression, median, quantiles
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import psutil

from bench.support.common import Options, machine, print_status
from bench.support.fresh import BenchIntake, temporary_server
from bench.support.loaded_server import Served, serving
from ledger.store.database import Database
from replay.generations.store import current_generation

SINGLE_CONNECTIONS = 16
BATCH_EVENTS = 50
SAMPLE_SECONDS = 10.0
LAG_SECONDS = 1.0
MIB = 1 << 20
AHEAD_SECONDS = 10.0
"""Requests are made this far ahead, in small portions that hardly disturb the measurement."""


class Sample(NamedTuple):
    """Memory in MiB at an instant, which is in seconds since the start."""

    at: float
    server_mib: float
    postgres_mib: float


class Soak:
    """The load, and the measurements."""

    def __init__(self, served: Served, server: psutil.Process, postgres: psutil.Process, rate: int) -> None:
        self._served, self._server, self._postgres = served, server, postgres
        self._rate = rate
        self.samples: list[Sample] = []
        self.lags: list[tuple[float, float]] = []
        """Instants of measurement, and the lag of the read models, in seconds."""
        self.latencies: list[tuple[float, float]] = []
        """Instants of sending, and the time to the answer, in seconds."""
        self.accepted = 0
        self.refused = 0

    async def run(self, seconds: float) -> None:
        """Send requests for a time, and measure."""
        ahead = await asyncio.to_thread(self._make, min(AHEAD_SECONDS, seconds))
        self._begun = time.perf_counter()
        measuring = [asyncio.create_task(measure(seconds)) for measure in (self._sample, self._measure_lags)]
        begin = 0.0
        while begin < seconds:
            length = min(AHEAD_SECONDS, seconds - begin)
            following = min(AHEAD_SECONDS, seconds - begin - length)
            making = asyncio.create_task(asyncio.to_thread(self._make, following))
            await asyncio.gather(*(self._send(requests, begin, length) for requests in ahead))
            begin += length
            ahead = await making
        await asyncio.gather(*measuring)

    def _now(self) -> float:
        return time.perf_counter() - self._begun

    def _make(self, seconds: float) -> list[list[bytes]]:
        """Return the requests of some seconds, a list for each connection."""
        half = int(self._rate * seconds) // 4 * 2
        if half == 0:
            return []
        singles = self._served.singles(half)
        batches, _ = self._served.batches(half, BATCH_EVENTS)
        return [*(singles[number::SINGLE_CONNECTIONS] for number in range(SINGLE_CONNECTIONS)), batches]

    async def _send(self, requests: Sequence[bytes], begin: float, length: float) -> None:
        """Send requests over one connection, at even intervals from `begin` on."""
        parts = urlsplit(self._served.address)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        for number, request in enumerate(requests):
            await asyncio.sleep(max(0.0, begin + number / len(requests) * length - self._now()))
            begun = self._now()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            body_length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
            self._count(int(head[9:12]), json.loads(await reader.readexactly(body_length)))
            self.latencies.append((begun, self._now() - begun))
        writer.close()

    def _count(self, status: int, body: dict[str, Any]) -> None:
        accepted, refused = (body["accepted"], body["refused"]) if "answers" in body else (status == 201, status != 201)
        self.accepted += accepted
        self.refused += refused

    async def _sample(self, seconds: float) -> None:
        while (at := self._now()) < seconds:
            server, postgres = await asyncio.to_thread(self._read_memory)
            self.samples.append(Sample(at, server, postgres))
            lag = 1000 * median(lag for _, lag in self.lags[-10:]) if self.lags else 0
            print_status(
                f"{at / 60:5.1f} min  {self.accepted:9,} accepted, {self.refused} not  "
                f"server {server:6.1f} MiB  PostgreSQL {postgres:6.1f} MiB  lag {lag:4.0f} ms"
            )
            await asyncio.sleep(max(0.0, at + SAMPLE_SECONDS - self._now()))

    async def _measure_lags(self, seconds: float) -> None:
        """Measure at random moments, because both the load and the follower's batches are periodic."""
        while (at := self._now()) < seconds:
            self.lags.append((at, await asyncio.to_thread(self._lag)))
            await asyncio.sleep(random.uniform(0, 2 * LAG_SECONDS))

    def _read_memory(self) -> tuple[float, float]:
        """Return the MiB that the server and PostgreSQL use."""
        return self._server.memory_info().rss / MIB, _pss(self._postgres) / MIB

    def _lag(self) -> float:
        """Return the seconds until the read models reach the current head of the log."""
        head, begun = self._served.head, time.perf_counter()
        with self._served.database.pool.connection() as connection:
            while (generation := current_generation(connection)) is None or generation.position < head:
                time.sleep(0.005)
        return time.perf_counter() - begun


def _pss(postmaster: psutil.Process) -> int:
    """Return the bytes of PostgreSQL's processes, counting shared memory once."""
    total = 0
    for process in (postmaster, *postmaster.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            total += process.memory_full_info().pss
    return total


def _thirds(pairs: Sequence[tuple[float, float]], seconds: float) -> list[dict[str, float]]:
    """Return median, 99th percentile and maximum in milliseconds, for each third of the time."""
    parts: list[list[float]] = [[], [], []]
    for at, value in pairs:
        parts[min(2, int(3 * at / seconds))].append(1000 * value)
    return [
        {
            "p50": round(median(part), 1),
            "p99": round(quantiles(part, n=100, method="inclusive")[98] if len(part) > 1 else part[0], 1),
            "max": round(max(part), 1),
        }
        for part in parts
        if part
    ]


def _memory(samples: Sequence[Sample]) -> dict[str, object]:
    """Return the median MiB of each third, and the growth of the server in MiB an hour after the first third."""
    size = max(1, len(samples) // 3)
    parts = [samples[at : at + size] for at in (0, size, len(samples) - size)]
    warm = samples[size:] if len(samples) > 2 * size else samples
    slope = (
        linear_regression([sample.at for sample in warm], [sample.server_mib for sample in warm]).slope
        if len(warm) > 1
        else 0
    )
    return {
        "server_mib": [round(median(sample.server_mib for sample in part), 1) for part in parts],
        "postgres_mib": [round(median(sample.postgres_mib for sample in part), 1) for part in parts],
        "server_growth_mib_per_hour": round(3600 * slope, 1),
    }


def main() -> None:
    """Run the bench and print its result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--rate", type=int, default=1000, help="commands a second (default: 1000)")
    parser.add_argument("--volunteers", type=int, default=12_000)
    parser.add_argument("--data", type=Path, help="directory for the temporary ledger")
    parser.add_argument("--json", action="store_true", help="print only the JSON line")
    arguments = parser.parse_args()
    os.environ.pop("DATABASE_URL", None)
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    seconds = 60 * arguments.minutes
    options = Options(scale=1.0, data=arguments.data, repeat=1, peer_seconds=1.0, as_json=arguments.json)
    with temporary_server(options) as url, Database.open(url) as database, tempfile.TemporaryDirectory() as data:
        with serving(BenchIntake(database, arguments.volunteers), url, Path(data)) as served:
            server, postgres = _processes(database)
            soak = Soak(served, server, postgres, arguments.rate)
            before = served.head
            asyncio.run(soak.run(seconds))
            recorded = served.head - before
        where = machine(url)
    line = {
        "name": "soak",
        "minutes": arguments.minutes,
        "commands": soak.accepted,
        "refused": soak.refused,
        "losses": soak.accepted - recorded,
        "per_second": round(soak.accepted / seconds, 1),
        **_memory(soak.samples),
        "lag_ms": _thirds(soak.lags, seconds),
        "latency_ms": _thirds(soak.latencies, seconds),
        "machine": where,
    }
    sys.stdout.write(json.dumps(line) + "\n")


def _processes(database: Database) -> tuple[psutil.Process, psutil.Process]:
    """Return the server, the only child process that runs Python, and the postmaster."""
    with database.pool.connection() as connection:
        postgres = psutil.Process(connection.info.backend_pid).parent()
    (server,) = [child for child in psutil.Process().children() if "python" in child.name()]
    assert postgres is not None
    return server, postgres


if __name__ == "__main__":
    main()
