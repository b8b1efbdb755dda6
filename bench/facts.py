"""Facts: replays of what no rule changes, divided by person on disk; beside the replay of the archive, in the same run.

Stages: build (archive to partitions on disk), replay (partitions to rows with names, in threads). The peer `archive` is
the replay of the whole archive in memory, to the same rows. Checksums of all replays are compared. `ledgers`: the same
history as so many ledgers of one federation, which then has so many times the events; the archive is not replayed as
a whole then, and `peak_mib` shows that memory follows partitions, not the history. `cluster`: the replay on a Dask
scheduler with 1 to `--workers` processes of one thread each, the time that the cluster takes beside the tasks' own, and
`--kills` rounds in which a worker is killed at a random moment.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
from pathlib import Path
from statistics import median
from time import perf_counter

from bench.support.clusters import connected, scheduler, working
from bench.support.common import (
    Options,
    Result,
    Stopwatch,
    machine,
    median_stages,
    parse,
    peak_mib,
    print_status,
    publish,
)
from bench.support.data import BenchLedger, bench_ledger
from projections.schema import NO_DAY
from replay.federation.heads import heads_at
from replay.generations.named_rows import Rows
from replay.generations.rebuild import replay
from replay.partitions.cluster import Cluster
from replay.partitions.dataset import Dataset
from replay.partitions.dividing import Division, divide
from replay.partitions.engine import Threads, replay_partitions
from replay.partitions.partials import Task, code_version, compute_partition
from replay.progress import Progress
from replay.published import Rules, published_rules

PARTITIONS = 8
"""Of one ledger, so that workers have something to share at every scale."""


def add_own(parser: argparse.ArgumentParser) -> None:
    """Add the options of this bench."""
    parser.add_argument("--ledgers", type=int, default=1, help="so many ledgers with the same history (default: 1)")
    parser.add_argument("--workers", type=int, default=0, help="also on a cluster with up to so many processes")
    parser.add_argument("--kills", type=int, default=0, help="rounds of killing workers at random (default: 0)")


def divided(ledger: BenchLedger, ledgers: int, folder: Path) -> Dataset:
    """Divide the facts of the ledger, or of so many ledgers like it."""
    names = [f"l{number}" for number in range(ledgers)]
    archives = dict.fromkeys(names, ledger.archive)
    division = Division(None if ledgers == 1 else "bench", archives, heads_at(archives), [], None)
    return divide(division, folder, PARTITIONS if ledgers == 1 else None)


def in_threads(folder: Path, dataset: Dataset, rules: Rules) -> Rows:
    """Replay facts in threads of this process."""
    with Threads(os.cpu_count() or 1) as pool:
        return replay_partitions(folder, dataset, rules, pool)


def measure(ledger: BenchLedger, options: Options) -> Result:
    """Build facts and replay them; then the peers."""
    rules = published_rules(ledger.database.log)
    folder = ledger.archive.folder.parent / "facts"
    ledgers = options.own.ledgers
    try:
        watch = Stopwatch()
        dataset = divided(ledger, ledgers, folder)
        watch.lap("build")
        rows = in_threads(folder, dataset, rules)
        expected, counts = rows.checksum(), {name: len(table) for name, table in rows.tables().items()}
        del rows
        runs, whole = [], list[float]()
        for _ in range(options.repeat):
            run = Stopwatch()
            in_threads(folder, dataset, rules)
            run.lap("replay")
            runs.append(run)
            if ledgers == 1:  # in turn, so that both see the same machine
                begun = perf_counter()
                found = replay(ledger.archive.facts(threads=os.cpu_count() or 1), rules)
                whole.append(perf_counter() - begun)
                assert found.checksum() == expected, "the replay of facts differs from that of the archive"
                del found
        events = ledger.archive.position * ledgers
        more: dict[str, object] = {
            "build_seconds": round(watch.laps["build"], 3),
            "facts_mib": round(dataset.bytes / (1 << 20), 1),
            "partitions": dataset.partitions,
            "ledgers": ledgers,
            "rows": counts,
            "stages": median_stages(runs),
        }
        peak = peak_mib()
        if options.own.workers:
            more["cluster"] = clusters(folder, dataset, rules, expected, options)
        peers = {"archive": events / median(whole)} if whole else {}
        return Result("facts", events, [run.seconds for run in runs], peak, peers, more)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


# --- clusters -------------------------------------------------------------------------------------------------------


def clusters(folder: Path, dataset: Dataset, rules: Rules, expected: int, options: Options) -> dict[str, object]:
    """Replay on 1, 2, 4 … workers; return the seconds by their number, and what the cluster costs beside its tasks."""
    task = Task(str(folder), dataset.id, rules.text, NO_DAY, code_version())
    tasks = []
    for partition in range(dataset.partitions):
        begun = perf_counter()
        compute_partition(task, partition)
        tasks.append(perf_counter() - begun)
    seconds: dict[int, float] = {}
    count = 1
    while count <= options.own.workers:
        print_status(f"{count} workers")
        with scheduler() as (address, _), working(address, count), connected(address, count) as pool:
            replay_partitions(folder, dataset, rules, pool)  # workers load the kernels
            begun = perf_counter()
            assert replay_partitions(folder, dataset, rules, pool).checksum() == expected
            seconds[count] = round(perf_counter() - begun, 3)
            if count == options.own.workers:
                killed = sum(_survives(folder, dataset, rules, pool, expected) for _ in range(options.own.kills))
        count *= 2
    return {
        "seconds": seconds,
        "seconds_of_tasks": round(sum(tasks), 3),
        "overhead_per_task": round((seconds[1] - sum(tasks)) / dataset.partitions, 4),
        "rounds_with_a_killed_worker": killed,
    }


def _survives(folder: Path, dataset: Dataset, rules: Rules, pool: Cluster, expected: int) -> bool:
    """Replay while a worker is killed after a random number of partitions; return whether that happened."""
    after, killed = random.randrange(dataset.partitions), list[int]()

    def kill(_stage: str, done: int, _total: int) -> None:
        if done >= after and not killed:
            killed.append(random.choice([*pool._client.run(os.getpid).values()]))  # noqa: SLF001 - no secret
            os.kill(killed[0], signal.SIGKILL)

    report: Progress = kill
    assert replay_partitions(folder, dataset, rules, pool, progress=report).checksum() == expected
    return bool(killed)


def main() -> None:
    """Run the bench."""
    options = parse(__doc__, add_own=add_own)
    with bench_ledger(options) as ledger:
        publish(measure(ledger, options), options, machine(ledger.url))


if __name__ == "__main__":
    main()
