"""Intake: check-ins and check-outs, 1,000 to a batch, until each batch is on disk (fsync and synchronous_commit on).

`per_second` (quoted): in process. Eight callers submit batches of CloudEvents as JSON, each after the answer to its
previous one, through the parts that a server uses: reading, group commit, the ledger, answers; threads are switched and
garbage is collected as in a server. `http_per_second`: the same batches posted to `hours serve`, in a separate process,
over eight connections, by a load generator on the same machine, while the read models fall behind; every answer is then
verified in the log. In both, stations make shift ids.

Variants, in process, one caller, one batch at a time: `orders`: validated orders; `seven in ten`: stations make the ids
of seven shifts in ten, and the scans of the others are punches; `punches`: all are; `prepared`: orders whose digests
are computed before the clock starts.

Peers, with the same states of scans with shift ids. In separate databases on the same server: the eventsourcing
library's recorder, 1,000 and one to a transaction, which checks nothing; its `Application.save` of aggregates, which
checks only that versions of a stream are consecutive; Emmett (bench/peers/emmett_store.py), which checks a stream's
version; and the ledger's own COPY of the same events without decisions, the upper bound. UmaDB
(bench/peers/umadb_store.py) is a separate server and checks its append condition. Only the intake decides.
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
from api.http.server import tune_interpreter
from api.messages.answers import as_json, batch_answer
from bench.peers import emmett_store, umadb_store
from bench.peers.stock_writing import insert_events, save_each, save_together
from bench.support.common import BENCH_DATA, Options, Result, Stopwatch, machine, parse, peak_mib, print_status, publish
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
"""The batches made before the clock starts again: making orders is not timed, and not all are in memory at once."""
PEER_EVENTS_MAX = 200_000

Execute = Callable[[Intake, Sequence[list[Order]], Stopwatch], list[Answer]]


def execute_orders(intake: Intake, batches: Sequence[list[Order]], watch: Stopwatch) -> list[Answer]:
    """Execute validated orders."""
    watch.lap("making orders")
    answers = [answer for batch in batches for answer in intake.execute(batch)]
    watch.lap("intake")
    return answers


def execute_prepared(intake: Intake, batches: Sequence[list[Order]], watch: Stopwatch) -> list[Answer]:
    """Execute orders that were prepared before, as other threads do in a server."""
    prepared = [prepare_all(batch) for batch in batches]
    watch.lap("making orders")
    answers = [answer for batch in prepared for answer in intake.execute_prepared(batch)]
    watch.lap("intake")
    return answers


class Variant(NamedTuple):
    """A way to execute orders, and the number of shifts in ten whose id the station makes."""

    execute: Execute
    id_share: int = 10


VARIANTS = {
    "orders": Variant(execute_orders),
    "seven in ten": Variant(execute_orders, 7),
    "punches": Variant(execute_orders, 0),
    "prepared": Variant(execute_prepared),
}
VARIANTS_SHARE = 4
"""The variants run with a quarter of the commands."""


def run_variant(bench: BenchIntake, commands: int, variant: Variant) -> float:
    """Execute commands; return the seconds spent in the intake."""
    batches, watch = in_batches(bench.plan(commands // 2, variant.id_share).orders(), BATCH), Stopwatch()
    answered = 0
    while ahead := list(islice(batches, BATCHES_AHEAD)):
        answers = variant.execute(bench.intake, ahead, watch)
        check(answers)
        answered += len(answers)
    assert answered == commands
    return watch.laps["intake"]


def run_callers(bench: BenchIntake, commits: GroupCommit, commands: int) -> float:
    """Submit batches of events as JSON from eight callers; return the seconds until all are answered."""
    plan = bench.plan(commands // 2, id_share=10)._replace(stations=bench.stations[:1])
    batches = in_batches(plan.orders(), BATCH)
    bodies = iter([as_json(as_events(batch)) for batch in batches])
    caller, lock = Caller(Role.STATION, bench.stations[0], 1), Lock()
    answers: list[Answer] = []

    def next_body() -> bytes | None:
        with lock:
            return next(bodies, None)

    def submit() -> None:
        while body := next_body():
            elements, read = read_batch(body, Reader(caller))
            orders = [order for order in read if isinstance(order, Prepared)]
            assert len(orders) == len(read)
            answered = commits.submit(orders).result()
            as_json(batch_answer(elements, read, answered, projected=None))
            answers.extend(answered)

    threads = [Thread(target=submit) for _ in range(CALLERS)]
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
    """Write recorded events with the ledger's COPY; return events per second."""
    begun = perf_counter()
    for start in range(0, len(events), BATCH):
        stored = [
            StoredEvent(event.stream_id, event.version, event.topic, event.state)
            for event in events[start : start + BATCH]
        ]
        database.recorder.insert_events(stored)
    return len(events) / (perf_counter() - begun)


def peers(bench: BenchIntake, url: str, first: int, last: int, options: Options) -> dict[str, float]:
    """Return events per second of each peer, over the events after position `first` up to `last`."""
    print_status("peers")
    seconds, folder = options.peer_seconds, options.data or BENCH_DATA
    read = bench.database.log.read(Position(first), PEER_EVENTS_MAX, Position(last))
    events = [event for event in read if event.topic != "punched.v1"]  # what is quoted has no punches either
    assert {event.topic for event in events} == {f"checked-{way}.v1" for way in ("in", "out")}
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
    """Post batches; return events per second in the median run."""
    with tempfile.TemporaryDirectory() as data, serving(bench, url, Path(data)) as served:
        in_whole_batches(served, min(5 * BATCH, commands))  # warms up
        runs = [in_whole_batches(served, commands) for _ in range(repeat)]
    return median(count / seconds for seconds, count in runs)


def measure(url: str, database: Database, options: Options) -> Result:
    """Execute commands in process, in every variant and over HTTP, then run the peers."""
    volunteers = max(1_000, int(options.scale * 120_000))
    least = 20_000 if options.scale >= 0.1 else 2 * BATCH
    commands = max(least, int(options.scale * 200_000)) // (2 * BATCH) * 2 * BATCH
    bench = BenchIntake(database, volunteers)
    tune_interpreter()
    with GroupCommit(bench.intake) as commits:
        run_callers(bench, commits, min(6 * BATCH, commands))  # warms up
        first = int(database.log.head())
        few = max(2 * BATCH, commands // VARIANTS_SHARE // (2 * BATCH) * 2 * BATCH)
        runs: list[float] = []
        others: dict[str, list[float]] = {name: [] for name in VARIANTS}
        print_status("in process")
        for _ in range(options.repeat):  # in turn, because the ledger grows and the machine's speed varies
            runs.append(run_callers(bench, commits, commands))
            for name, variant in VARIANTS.items():
                others[name].append(run_variant(bench, few, variant))
    peak, last = peak_mib(), int(database.log.head())
    print_status("over HTTP")
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
    """Run the bench and print its result."""
    options = parse(__doc__)
    with temporary_server(options) as url, Database.open(url) as database:
        publish(measure(url, database, options), options, machine(url))


if __name__ == "__main__":
    main()
