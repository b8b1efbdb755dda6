"""Intake: check-ins and check-outs, in process, 1,000 to a batch, until each batch is on disk (fsync and
synchronous_commit on). One thread. The ledger is fresh and temporary; its volunteers and stations are registered.

Variants: `orders`, the quoted one, begins with validated orders; in seven of ten shifts the station makes the shift's
id, in the others the ledger finds the open shift when the check-out comes. `station ids` and `ledger ids`: all of one
kind. `prepared`: digests are made before the clock starts, as callers' threads do under group commit. `from json`:
begins with JSON text and validates it.

Peers, in databases of their own on the same server: the eventsourcing library's recorder with the very same states,
1,000 to a transaction and one to a transaction; its `Application.save` of aggregates; and the ledger's own COPY of the
same events without deciding anything, the upper bound. Only the intake decides: the recorder writes what it is given,
and `Application.save` checks no more than that a stream goes on where it ended.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from itertools import islice
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import NamedTuple

import psycopg
from psycopg.conninfo import make_conninfo

from bench.common import BENCH_DATA, Options, Result, Stopwatch, machine, parse, peak_mib, publish, say
from bench.scans import Scans, check, in_batches
from bench.stock_writing import insert_events, save_each, save_together
from ledger.answers import Answer
from ledger.commands import OpenStation, Order, RegisterVolunteer
from ledger.database import Database
from ledger.intake import Intake, flat
from ledger.log import RecordedEvent
from ledger.names import Position
from ledger.postgres import serving
from ledger.prepare import prepare
from ledger.writing import head_position, take_lock, write_events

BATCH = 1_000
BATCHES_AHEAD = 20
"""So many batches are made before the clock starts again, so that making orders is not timed, nor all are held."""
BEGINS = 1_735_693_200  # 2025-01-01T09:00+08:00
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
    prepared = [prepare(batch) for batch in batches]
    watch.lap("making orders")
    answers = [answer for batch in prepared for answer in flat(intake.execute_prepared(batch))]
    watch.lap("intake")
    return answers


def take_json(intake: Intake, batches: Sequence[list[Order]], watch: Stopwatch) -> list[Answer]:
    """Commands as JSON text."""
    texts = [[(type(order.command), order.command.model_dump_json(), order) for order in batch] for batch in batches]
    watch.lap("making orders")
    answers: list[Answer] = []
    for batch in texts:
        orders = [
            Order(command=kind.model_validate_json(text), source=order.source, id=order.id, by=order.by)
            for kind, text, order in batch
        ]
        answers += intake.execute(orders)
    watch.lap("intake")
    return answers


class Variant(NamedTuple):
    """A way of taking orders, and of how many in ten shifts the station makes the id."""

    take: Take
    id_share: int = 7


QUOTED = Variant(take_orders)
OTHERS = {
    "station ids": Variant(take_orders, 10),
    "ledger ids": Variant(take_orders, 0),
    "prepared": Variant(take_prepared),
    "from json": Variant(take_json),
}
OTHERS_SHARE = 4
"""The other variants take a quarter of the commands."""


class BenchIntake:
    """A fresh ledger with volunteers and stations, and a clock that stands just behind the last scan."""

    def __init__(self, database: Database, volunteers: int) -> None:
        self.now = BEGINS
        self.served = 0
        self.database = database
        self.intake = Intake(database, lambda: self.now)
        self.volunteers = [f"V{number:07d}" for number in range(volunteers)]
        self.stations = [f"S{number:04d}" for number in range(max(10, volunteers // 300))]
        self._register()

    def _register(self) -> None:
        commands = [OpenStation(station=station, kind="community") for station in self.stations]
        members = (RegisterVolunteer(volunteer=name, registered_on=date(2024, 1, 1)) for name in self.volunteers)
        numbered = enumerate([*commands, *members])
        orders = (Order(command=one, source="/bench", id=str(number), by="system:bench") for number, one in numbered)
        for batch in in_batches(orders, BATCH):
            check(self.intake.execute(batch))

    def run(self, commands: int, variant: Variant) -> float:
        """Take so many commands; return the seconds from the first to the last commit."""
        shifts = commands // 2
        plan = Scans(self.volunteers, self.stations, self.now, shifts, variant.id_share, first=self.served)
        self.now = plan.ends
        self.served += shifts
        batches, watch, answered = in_batches(plan.orders(), BATCH), Stopwatch(), 0
        while ahead := list(islice(batches, BATCHES_AHEAD)):
            answers = variant.take(self.intake, ahead, watch)
            check(answers)
            answered += len(answers)
        assert answered == 2 * shifts
        return watch.laps["intake"]


def copy_alone(database: Database, events: Sequence[RecordedEvent]) -> float:
    """Write events with the ledger's COPY, decided long ago; return events per second."""
    begun = perf_counter()
    for start in range(0, len(events), BATCH):
        rows = [(said.stream_id, said.version, said.topic, said.state) for said in events[start : start + BATCH]]
        with database.pool.connection() as connection, connection.transaction(), connection.cursor() as cursor:
            take_lock(cursor)
            write_events(cursor, rows, head_position(cursor) + 1)
    return len(events) / (perf_counter() - begun)


def peers(bench: BenchIntake, url: str, first: int, seconds: float) -> dict[str, float]:
    """Return events per second of each peer, over the events behind position `first`."""
    say("peers")
    events = bench.database.log.read(Position(first), PEER_EVENTS_MAX)
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
    }


def new_database(url: str, name: str) -> str:
    """Make an empty database on the same server."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'")
    return make_conninfo(url, dbname=name)


@contextmanager
def temporary_server(options: Options) -> Iterator[str]:
    """A PostgreSQL with default durability, on a real disk, gone at the end."""
    parent = options.data or BENCH_DATA
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="intake-", dir=parent))
    try:
        with serving(folder) as url:
            yield url
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def measure(database: Database, options: Options) -> Result:
    """Take commands in every variant, then run the peers."""
    volunteers = max(1_000, int(options.scale * 120_000))
    commands = max(20_000, int(options.scale * 200_000)) // BATCH * BATCH
    bench = BenchIntake(database, volunteers)
    bench.run(BATCH * 5, QUOTED)  # warms up
    first = int(database.log.head())
    few = commands // OTHERS_SHARE
    runs: list[float] = []
    others: dict[str, list[float]] = {name: [] for name in OTHERS}
    for _ in range(options.repeat):  # in turn: the ledger grows, and the machine has its moods
        runs.append(bench.run(commands, QUOTED))
        for name, variant in OTHERS.items():
            others[name].append(bench.run(few, variant))
    peak = peak_mib()
    more: dict[str, object] = {
        "variants": {name: round(few / median(seconds), 1) for name, seconds in others.items()},
        "volunteers": volunteers,
        "stations": len(bench.stations),
        "batch": BATCH,
        "events_in_ledger": int(database.log.head()),
    }
    return Result("intake", commands, runs, peak, peers(bench, database.url, first, options.peer_seconds), more)


def main() -> None:
    """Measure and report."""
    options = parse(__doc__)
    with temporary_server(options) as url, Database.open(url) as database:
        publish(measure(database, options), options, machine(url))


if __name__ == "__main__":
    main()
