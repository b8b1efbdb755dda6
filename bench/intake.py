"""Intake: check-ins and check-outs, 1,000 to a batch, until each batch is on disk (fsync and synchronous_commit on).

`per_second` (quoted): in process. Eight callers hand over batches of CloudEvents as JSON, each when its last one is
answered, through the parts that a server uses: reading, group commit, the ledger, answers. `http_per_second`: the same
batches posted to `hours serve`, a process of its own, over eight connections, by a load generator on the same machine,
while the read models fall behind; every answer is held to the log afterwards. In both, stations make the ids of shifts.

Variants, in process, one caller, one batch at a time: `orders`: validated orders; `seven in ten`: stations make the ids
of seven shifts in ten, and for the others the ledger finds the open shift when the check-out comes; `ledger ids`: it
does so for all; `prepared`: orders whose digests are made before the clock starts.

Peers, with the very same states. In databases of their own on the same server: the eventsourcing library's recorder,
1,000 to a transaction and one to a transaction, which writes what it is given; its `Application.save` of aggregates,
which checks no more than that a stream goes on where it ended; Emmett (bench/peers/emmett_store.py), which checks a
stream's version; and the ledger's own COPY of the same events without deciding anything, the upper bound. UmaDB
(bench/peers/umadb_store.py) is a server of its own and checks its append condition. Only the intake decides.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from statistics import median
from threading import Lock, Thread
from time import perf_counter
from typing import NamedTuple

from eventsourcing.persistence import StoredEvent

from api.access.roles import Caller, Role
from api.http.requests.submission import Reader
from api.http.routes.writes.events import read_batch
from api.messages.answers import as_json, batch_answer
from bench.peers import emmett_store, umadb_store
from bench.peers.stock_writing import insert_events, save_each, save_together
from bench.support.common import BENCH_DATA, Options, Result, Stopwatch, machine, parse, peak_mib, publish, say
from bench.support.fresh import BATCH, BenchIntake, new_database, temporary_server
from bench.support.loaded_server import as_events, in_whole_batches, serving
from bench.support.scans import check, in_batches
from ledger.aggregates import Order
from ledger.intake.answers import Answer
from ledger.intake.group_commit import GroupCommit
from ledger.intake.intake import Intake
from ledger.intake.prepare import Prepared, prepare_all
from ledger.names import Position
from ledger.store.database import Database
from ledger.store.log_queries import RecordedEvent

CALLERS = 8
BATCHES_AHEAD = 20
"""So many batches are made before the clock starts again, so that making orders is not timed, nor all are held."""
PEER_EVENTS_MAX = 200_000

Take = Callable[[Intake, Sequence[list[Order]], Stopwatch], list[Answer]]


def take_orders(intake: Intake, batches: Sequence[list[Order]], watch: Stopwatch) -> list[Answer]:
    """Validated orders."""
    watch.lap("making orders")
    answers = [answer for batch in batches for answer in intake.execute(batch)]
    watch.lap("intake")
    return answers


def take_prepared(intake: Intake, batches: Sequence[list[Order]], watch: Stopwatch) -> list[Answer]:
    """Orders that were prepared by other threads."""
    prepared = [prepare_all(batch) for batch in batches]
    watch.lap("making orders")
    answers = [answer for batch in prepared for answer in intake.execute_prepared(batch)]
    watch.lap("intake")
    return answers


class Variant(NamedTuple):
    """A way of taking orders, and of how many in ten shifts the station makes the id."""

    take: Take
    id_share: int = 10


VARIANTS = {
    "orders": Variant(take_orders),
    "seven in ten": Variant(take_orders, 7),
    "ledger ids": Variant(take_orders, 0),
    "prepared": Variant(take_prepared),
}
VARIANTS_SHARE = 4
"""The variants take a quarter of the commands."""


def run_variant(bench: BenchIntake, commands: int, variant: Variant) -> float:
    """Take so many commands; return the seconds from the first to the last commit."""
    batches, watch = in_batches(bench.plan(commands // 2, variant.id_share).orders(), BATCH), Stopwatch()
    answered = 0
    while ahead := list(islice(batches, BATCHES_AHEAD)):
        answers = variant.take(bench.intake, ahead, watch)
        check(answers)
        answered += len(answers)
    assert answered == commands
    return watch.laps["intake"]


def run_callers(bench: BenchIntake, commits: GroupCommit, commands: int) -> float:
    """Have eight callers hand over batches of events as JSON; return the seconds until all are answered."""
    batches = in_batches(bench.plan(commands // 2, id_share=10).orders(), BATCH)
    bodies = iter([as_json(as_events(batch)) for batch in batches])
    caller, lock = Caller(Role.STAFF, "bench", 1), Lock()
    answers: list[Answer] = []

    def next_body() -> bytes | None:
        with lock:
            return next(bodies, None)

    def hand_over() -> None:
        while body := next_body():
            elements, read = read_batch(body, Reader(caller))
            orders = [one for one in read if isinstance(one, Prepared)]
            assert len(orders) == len(read)
            answered = commits.submit(orders).result()
            as_json(batch_answer(elements, read, answered, projected=None))
            answers.extend(answered)

    threads = [Thread(target=hand_over) for _ in range(CALLERS)]
    begun = perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = perf_counter() - begun
    check(answers)
    assert len(answers) == commands
    return seconds


def copy_alone(database: Database, events: Sequence[RecordedEvent]) -> float:
    """Write events with the ledger's COPY, decided long ago; return events per second."""
    begun = perf_counter()
    for start in range(0, len(events), BATCH):
        stored = [
            StoredEvent(one.stream_id, one.version, one.topic, one.state) for one in events[start : start + BATCH]
        ]
        database.recorder.insert_events(stored)
    return len(events) / (perf_counter() - begun)


def peers(bench: BenchIntake, url: str, first: int, last: int, options: Options) -> dict[str, float]:
    """Return events per second of each peer, over the events behind position `first` up to `last`."""
    say("peers")
    seconds, folder = options.peer_seconds, options.data or BENCH_DATA
    events = bench.database.log.read(Position(first), PEER_EVENTS_MAX, Position(last))
    assert {said.topic for said in events} == {f"checked-{way}.v1" for way in ("in", "out")}
    stock = new_database(url, "stock")
    with Database.open(new_database(url, "copied")) as copied:
        rate = copy_alone(copied, events)
    return {
        "eventsourcing recorder, 1,000 events a transaction": insert_events(stock, events, BATCH, seconds),
        "eventsourcing recorder, 1 event a transaction": insert_events(stock, events, 1, min(seconds, 5)),
        "eventsourcing Application.save, 500 aggregates": save_together(stock, bench.stations, BATCH, seconds),
        "eventsourcing Application.save, each command": save_each(stock, bench.stations, seconds),
        "COPY without deciding (upper bound)": rate,
        "UmaDB, 1,000 events to a call": umadb_store.append_events(events, BATCH, seconds, folder),
        f"UmaDB, 1,000 events to a call, {CALLERS} callers": umadb_store.append_events(
            events, BATCH, seconds, folder, CALLERS
        ),
        f"UmaDB without deciding, 1,000 events to a call, {CALLERS} callers": umadb_store.append_events(
            events, BATCH, seconds, folder, CALLERS, conditional=False
        ),
        **emmett_store.append_events(url, events, seconds),
    }


def over_http(bench: BenchIntake, url: str, commands: int, repeat: int) -> float:
    """Post batches; return events a second in the median run."""
    with tempfile.TemporaryDirectory() as data, serving(bench, url, Path(data)) as served:
        in_whole_batches(served, 5 * BATCH)  # warms up
        runs = [in_whole_batches(served, commands) for _ in range(repeat)]
    return median(count / seconds for seconds, count in runs)


def measure(url: str, database: Database, options: Options) -> Result:
    """Take commands in process, in every variant and over HTTP, then run the peers."""
    volunteers = max(1_000, int(options.scale * 120_000))
    commands = max(20_000, int(options.scale * 200_000)) // (2 * BATCH) * 2 * BATCH
    bench = BenchIntake(database, volunteers)
    with GroupCommit(bench.intake) as commits:
        run_callers(bench, commits, 6 * BATCH)  # warms up
        first = int(database.log.head())
        few = max(2 * BATCH, commands // VARIANTS_SHARE // (2 * BATCH) * 2 * BATCH)
        runs: list[float] = []
        others: dict[str, list[float]] = {name: [] for name in VARIANTS}
        say("in process")
        for _ in range(options.repeat):  # in turn: the ledger grows, and the machine has its moods
            runs.append(run_callers(bench, commits, commands))
            for name, variant in VARIANTS.items():
                others[name].append(run_variant(bench, few, variant))
    peak, last = peak_mib(), int(database.log.head())
    say("over HTTP")
    http_per_second = over_http(bench, url, commands, options.repeat)
    more: dict[str, object] = {
        "http_per_second": round(http_per_second, 1),
        "variants": {name: round(few / median(seconds), 1) for name, seconds in others.items()},
        "volunteers": volunteers,
        "stations": len(bench.stations),
        "batch": BATCH,
        "callers": CALLERS,
        "events_in_ledger": int(database.log.head()),
    }
    return Result("intake", commands, runs, peak, peers(bench, database.url, first, last, options), more)


def main() -> None:
    """Measure and report."""
    options = parse(__doc__)
    with temporary_server(options) as url, Database.open(url) as database:
        publish(measure(url, database, options), options, machine(url))


if __name__ == "__main__":
    main()
