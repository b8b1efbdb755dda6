"""Replay: from the archive on disk to all read models in memory, warm (kernels compiled, files in the page cache).

Stages: read (Parquet to columns and, in parallel, events to shifts), order (shifts by volunteer and time), compute
(credit, hours, station days, projects, honours). `memory`: the speed at which the machine copies memory, the least
number of bytes that the replay moves, and the time for that alone. Peers, over the same log in the same run: the
eventsourcing library's projection runner with its view in memory; a plain fold over event objects, with and without
reading and decoding them; DuckDB over the same Parquet. All peers except DuckDB use one core, and all compute less
(bench/peers/stock.py, bench/peers/folds.py).
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from time import perf_counter, sleep

import numpy as np

from bench.peers.folds import HAS_DUCKDB, duckdb_seconds, fold_from_log, fold_in_memory
from bench.peers.stock import memory_projection
from bench.support.common import (
    Options,
    Result,
    Stopwatch,
    machine,
    median_seconds,
    median_stages,
    parse,
    peak_mib,
    print_status,
    publish,
)
from bench.support.data import BenchLedger, bench_ledger
from projections.kernels.pairing import pair
from projections.kernels.read_models import ReadModels, compute
from projections.rules.table import honor_ids
from projections.rules.timeline import RuleTimeline
from projections.schema import DTYPES, Array, ShiftEvents
from replay.archive.archive import Archive
from replay.generations import store
from replay.generations.named_rows import rows_of
from replay.published import published_rules

EVENT_BYTES = sum(np.dtype(DTYPES.get(name, np.int32)).itemsize for name in ShiftEvents._fields)
COPIED_BYTES = 1 << 29
PAUSE_SECONDS = 5.0
"""A replay right after another one reuses its memory. During a pause, a virtual machine may return that memory to its
host, and the next replay takes longer (seen: by a second); `after_pause` shows the difference."""


def replay_once(archive: Archive, timeline: RuleTimeline) -> tuple[Stopwatch, ReadModels]:
    """Replay the whole archive, one stage after the other."""
    watch = Stopwatch()
    threads = os.cpu_count() or 1
    facts = archive.facts(threads=threads)
    watch.lap("read")
    table = facts.ordered(facts.resolved(), threads=threads)
    watch.lap("order")
    rules = facts.rules(timeline)
    paired = pair(table, facts.resolved(), rules, threads=threads)
    watch.lap("pair")
    models = compute(
        paired.table,
        facts.volunteer_table(),
        facts.station_kinds(timeline),
        rules,
        facts.served_counts(),
        threads=threads,
    )
    watch.lap("compute")
    return watch, models


def memory(archive: Archive, models: ReadModels) -> dict[str, float]:
    """Return the bound set by memory speed: every array of a replay is written once and read once."""
    threads = os.cpu_count() or 1
    block = np.ones(COPIED_BYTES // threads, np.uint8)
    targets = [np.ones_like(block) for _ in range(threads)]
    with ThreadPoolExecutor(threads) as pool:
        rates = []
        for _ in range(5):
            begun = perf_counter()
            list(pool.map(lambda target: np.copyto(target, block), targets))
            rates.append(2 * block.nbytes * threads / (perf_counter() - begun))
    facts = archive.facts()
    shifts = facts.resolved()
    event_bytes = sum(segment.shift_events for segment in archive.segments) * EVENT_BYTES
    arrays: list[Array] = [
        *shifts,
        facts.ordered(shifts).rows,
        *facts.other_events,
        models.hours,
        models.stations,
        models.projects,
    ]
    moved = archive.bytes_on_disk() + 2 * (event_bytes + sum(array.nbytes for array in arrays))
    return {
        "gib_per_second": round(median(rates) / (1 << 30), 2),
        "bytes_at_least": moved,
        "seconds_at_least": round(moved / median(rates), 4),
    }


def check(ledger: BenchLedger, models: ReadModels, timeline: RuleTimeline) -> None:
    """Compare the read models with those in PostgreSQL, if both rest on the same rules."""
    with ledger.database.pool.connection() as connection:
        generation = store.current_generation(connection)
    facts = ledger.archive.facts()
    if generation is not None and generation.timeline() == timeline:
        rows = rows_of(
            models, facts.volunteers.texts(), facts.stations.texts(), honor_ids(timeline), facts.projects.texts()
        )
        assert rows.checksum() == generation.checksum, "the replay differs from a rebuild"


def measure(ledger: BenchLedger, options: Options) -> Result:
    """Replay, then run the peers."""
    archive, timeline = ledger.archive, published_rules(ledger.database.log).timeline()
    _, models = replay_once(archive, timeline)  # warms up
    runs = [replay_once(archive, timeline)[0] for _ in range(options.repeat)]
    pause, paused = min(PAUSE_SECONDS, options.peer_seconds), []
    for _ in range(min(options.repeat, 3)):
        sleep(pause)
        paused.append(replay_once(archive, timeline)[0])
    peak = peak_mib()
    check(ledger, models, timeline)
    more: dict[str, object] = {
        "stages": median_stages(runs),
        "after_pause": {"pause_seconds": pause, "seconds": round(median_seconds(paused), 4)},
        "threads": os.cpu_count(),
        "memory": memory(archive, models),
        "rows": {
            "hours": len(models.hours),
            "station_days": int(models.stations.any(axis=2).sum()),
            "standings": len(models.standings),
        },
        "disk": ledger.sizes(),
    }
    del models
    return Result("replay", archive.position, [run.seconds for run in runs], peak, peers(ledger, options), more)


def peers(ledger: BenchLedger, options: Options) -> dict[str, float]:
    """Return events per second of each peer. All except DuckDB start in the middle of the log, for a limited time."""
    print_status("peers")
    log, seconds, head, middle = ledger.database.log, options.peer_seconds, ledger.archive.position, ledger.middle
    found: dict[str, float] = {}
    if HAS_DUCKDB:
        queries = duckdb_seconds(ledger.archive.folder, options.repeat)
        found["DuckDB over the same Parquet"] = head / median(queries)
    found["eventsourcing projection runner, view in memory"] = memory_projection(ledger.url, middle, head, seconds)
    found["plain Python fold from the log"] = fold_from_log(log, middle, seconds)
    found["plain Python fold, events decoded before"] = fold_in_memory(log, middle, seconds)
    return found


def main() -> None:
    """Run the bench and print its result."""
    options = parse(__doc__)
    with bench_ledger(options) as ledger:
        publish(measure(ledger, options), options, machine(ledger.url))


if __name__ == "__main__":
    main()
