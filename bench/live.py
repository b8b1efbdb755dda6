"""Live: how long after its commit a check-out is in the read models, and how fast a follower catches up.

It appends to a separate ledger, `.bench/live-<S>`, which grows with each run, as does a directory named by `--data`.
`latency_ms`: from the commit of a check-out (one order, one transaction) to the moment another connection, polling
every millisecond, sees the follower's commit. `sustained`: commands are recorded at a steady rate in this process,
beside a running follower, as in the service; `lag_seconds` is the time from each commit to its effect in the read
models, and its maximum is the follower's greatest lag. Then the follower stops, commands are recorded, and catching up
with them is timed (`runs`). Peer: the eventsourcing library's projection runner with its view in PostgreSQL, on the
same commands; it computes less (bench/peers/stock.py).
"""

from __future__ import annotations

import random
from collections import deque
from statistics import median, quantiles
from threading import Event, Thread
from time import perf_counter, sleep, time
from typing import Self

import psycopg

from bench.peers.stock import postgres_projection
from bench.support.common import Options, Result, machine, parse, peak_mib, print_status, publish
from bench.support.data import BenchLedger, bench_ledger
from bench.support.scans import Scans, check, in_batches
from ledger.aggregates import Order
from ledger.aggregates.scans import CheckOut
from ledger.intake.intake import Intake
from ledger.names import Position
from projections.schema import REGISTERED
from replay.generations import store
from replay.live.follower import Follower

CHECK_OUTS = 200
CATCH_UP_COMMANDS = 20_000
BATCH = 1_000
WAIT_SECONDS_MAX = 60.0
SUSTAINED_RATE = 2_000
SUSTAINED_SECONDS = 10
SUSTAINED_BATCH = 100
"""Commands in one transaction, as group commit would collect them from as many callers."""
WATCH_SECONDS = 0.005


class BenchLive:
    """A loaded ledger, an intake, and the registered volunteers in random order."""

    def __init__(self, ledger: BenchLedger) -> None:
        self.database = ledger.database
        self.intake = Intake(ledger.database)
        self.served = 0
        facts = ledger.archive.facts()
        others, names = facts.other_events, facts.volunteers.texts()
        registered = others.volunteer[others.code == REGISTERED].tolist()
        self.volunteers = [names[number] for number in registered]
        random.shuffle(self.volunteers)  # so that repeated runs do not put the same volunteers in service
        self.stations = facts.stations.texts()

    def scans(self, shifts: int) -> Scans:
        """Return a plan of shifts that end now."""
        now = int(time())
        plan = Scans(self.volunteers, self.stations, now, shifts, id_share=10, first=self.served).ending(now)
        self.served += shifts
        return plan

    def record(self, orders: list[Order]) -> Position:
        """Record orders in one transaction; return the last position."""
        return check(self.intake.execute(orders))


def latencies(live: BenchLive, check_outs: int) -> tuple[list[float], list[float]]:
    """Check volunteers out, one by one; return the seconds to the commit, and from it to the read models."""
    orders = list(live.scans(check_outs).orders())
    ins = [order for order in orders if not isinstance(order.command, CheckOut)]
    outs = [order for order in orders if isinstance(order.command, CheckOut)]
    committed, shown = [], []
    follower = Follower(live.database)
    follower.start()
    try:
        with psycopg.connect(live.database.url, autocommit=True) as reader:
            await_position(reader, follower, live.record(ins))
            for order in outs:
                begun = perf_counter()
                position = live.record([order])
                recorded = perf_counter()
                await_position(reader, follower, position)
                committed.append(recorded - begun)
                shown.append(perf_counter() - recorded)
    finally:
        follower.close()
    return committed, shown


def await_position(reader: psycopg.Connection[tuple[object, ...]], follower: Follower, position: int) -> None:
    """Wait until the read models are at a position."""
    deadline = perf_counter() + WAIT_SECONDS_MAX
    while True:
        generation = store.current_generation(reader)
        if generation is not None and generation.position >= position:
            return
        assert follower.alert is None, follower.alert
        assert perf_counter() < deadline, f"the follower did not reach position {position}"
        sleep(0.001)


class Watch:
    """A thread that measures the time from each commit to its effect in the read models, polling every 5 ms."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._committed: deque[tuple[int, float]] = deque()
        self._stop = Event()
        self._thread = Thread(target=self._run, daemon=True)
        self.lags: list[float] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def committed(self, position: int) -> None:
        """Note that the log was just committed up to a position."""
        self._committed.append((position, perf_counter()))

    def _run(self) -> None:
        with psycopg.connect(self._url, autocommit=True) as reader:
            while self._committed or not self._stop.wait(WATCH_SECONDS):
                generation = store.current_generation(reader)
                while self._committed and generation and self._committed[0][0] <= generation.position:
                    self.lags.append(perf_counter() - self._committed.popleft()[1])
                sleep(WATCH_SECONDS)


def sustain(live: BenchLive, rate: int, seconds: float) -> dict[str, object]:
    """Record commands at a steady rate beside a running follower; return the rate reached and the follower's lag."""
    shifts = int(rate * seconds) // 2
    batches = list(in_batches(live.scans(shifts).orders(), SUSTAINED_BATCH))
    follower = Follower(live.database)
    follower.start()
    try:
        with Watch(live.database.url) as watch:
            begun = perf_counter()
            for number, batch in enumerate(batches):
                due = begun + number * SUSTAINED_BATCH / rate
                sleep(max(due - perf_counter(), 0.0))
                head = live.record(batch)
                watch.committed(head)
            elapsed = perf_counter() - begun
            with psycopg.connect(live.database.url, autocommit=True) as reader:
                await_position(reader, follower, head)
    finally:
        follower.close()
    lags = watch.lags
    return {
        "asked_per_second": rate,
        "recorded_per_second": round(sum(map(len, batches)) / elapsed, 1),
        "seconds": round(elapsed, 2),
        "lag_seconds": {
            "median": round(median(lags), 3),
            "p95": round(quantiles(lags, n=20)[-1], 3),
            "max": round(max(lags), 3),
        },
    }


def catch_up(live: BenchLive, commands: int) -> float:
    """Record commands without a follower; return the seconds that one then takes to catch up."""
    for batch in in_batches(live.scans(commands // 2).orders(), BATCH):
        head = live.record(batch)
    begun = perf_counter()
    assert Follower(live.database).catch_up() == head
    return perf_counter() - begun


def measure(ledger: BenchLedger, options: Options) -> Result:
    """Measure latency, then the lag under a steady load, then throughput."""
    live, commands = BenchLive(ledger), CATCH_UP_COMMANDS
    if options.scale < 0.1:  # fewer, to fit a small scale
        commands = max(BATCH, int(options.scale * 10 * CATCH_UP_COMMANDS))
    catch_up(live, BATCH)  # warms up
    committed, shown = latencies(live, CHECK_OUTS)
    sustained = sustain(live, SUSTAINED_RATE, SUSTAINED_SECONDS if options.scale >= 0.1 else 0.2)
    runs = [catch_up(live, commands) for _ in range(options.repeat)]
    peak = peak_mib()
    more: dict[str, object] = {
        "latency_ms": in_milliseconds(shown),
        "commit_ms": in_milliseconds(committed),
        "sustained": sustained,
        "check_outs": len(shown),
        "volunteers": len(live.volunteers),
        "events_in_ledger": int(live.database.log.head()),
    }
    print_status("peers")
    head = int(live.database.log.head())
    rate = postgres_projection(live.database.url, head - commands, head, options.peer_seconds)
    peers = {"eventsourcing projection runner, view in PostgreSQL": rate}
    return Result("live", commands, runs, peak, peers, more)


def in_milliseconds(seconds: list[float]) -> dict[str, float]:
    """Return median, 95th percentile and maximum."""
    return {
        "median": round(median(seconds) * 1000, 2),
        "p95": round(quantiles(seconds, n=20)[-1] * 1000, 2),
        "max": round(max(seconds) * 1000, 2),
    }


def main() -> None:
    """Run the bench and print its result."""
    options = parse(__doc__)
    with bench_ledger(options, kind="live") as ledger:
        publish(measure(ledger, options), options, machine(ledger.url))


if __name__ == "__main__":
    main()
