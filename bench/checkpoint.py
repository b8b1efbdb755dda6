"""Checkpoint: what the transparency log costs, and how fast it is.

`runs`: a new tree over the whole history is built, from PostgreSQL to signed tiles on disk (`per_second`: events a
second). `proof_ms`: the proof of one event at random, from the tiles to the file; each opens the log anew.

`intake`: the callers of the intake bench, beside a notary that signs every second (sixty times as often as a server
does) and without one, in the same run, pair by pair. `on_over_off` is the median of the pairs' ratios of commands a
second; 0.95 is the least that is accepted.

Peer: hashing the same entries with hashlib alone, which no tree can do without. Every proof is verified, and the root
of the tree is compared with that of the peer.
"""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from hashlib import sha256
from pathlib import Path
from statistics import median
from time import perf_counter

from bench.intake import run_callers
from bench.live import in_milliseconds
from bench.support.common import BENCH_DATA, Options, Result, machine, parse, peak_mib, print_status, publish
from bench.support.data import BenchLedger, bench_ledger
from bench.support.fresh import BATCH, BenchIntake, temporary_server
from ledger.intake.group_commit import GroupCommit
from ledger.names import Position
from ledger.store.database import Database
from replay.proof.entries import entries_in, entry_of
from replay.proof.growth import CHUNK_EVENTS, TransparencyLog
from replay.proof.notary import Notary, Policy
from replay.proof.tiles import Edge
from replay.proof.tree import leaf_hash, verify_inclusion

PROOFS = 1_000
NOTARY_SECONDS = 1.0
PAIRS_MIN = 3


@contextmanager
def new_log(database: Database, parent: Path) -> Iterator[tuple[TransparencyLog, Path]]:
    """Yield a transparency log without tiles, and its temporary folder on the disk of the benches."""
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="checkpoint-", dir=parent))
    try:
        log = TransparencyLog(folder, database.log)
        log.keys.make("bench.invalid", 1)
        yield log, folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def build(log: TransparencyLog) -> float:
    """Build the tree over the whole log; return the seconds."""
    begun = perf_counter()
    log.grow()
    return perf_counter() - begun


def hash_alone(database: Database, size: int) -> tuple[float, bytes]:
    """Hash all entries with hashlib alone, reading not timed; return events per second, and the root of their tree."""
    seconds, edge = 0.0, Edge()
    for first in range(0, size, CHUNK_EVENTS):
        entries = list(entries_in(database.log.entries(first, min(size, first + CHUNK_EVENTS)).bundle))
        begun = perf_counter()
        leaves = [sha256(b"\0" + entry).digest() for entry in entries]
        seconds += perf_counter() - begun
        edge.append(b"".join(leaves))
    return size / seconds, edge.root()


def prove(log: TransparencyLog, folder: Path, database: Database, proofs: int) -> list[float]:
    """Make and verify the proofs of events at random; return the seconds that making each took."""
    published = log.checkpoints.published()
    assert published is not None
    seconds = []
    for _ in range(proofs):
        position = random.randint(1, published.size)
        begun = perf_counter()
        proof = TransparencyLog(folder).prove(position)
        proof.encode()
        seconds.append(perf_counter() - begun)
        (event,) = database.log.read(Position(position - 1), 1)
        verify_inclusion(leaf_hash(entry_of(event)), proof.index, published.size, proof.hashes, published.root)
    return seconds


def intake_pairs(options: Options) -> dict[str, object]:
    """Run the intake without and with a notary, in turn; return commands per second, and the ratio of the pairs."""
    least = 40_000 if options.scale >= 0.1 else 2 * BATCH
    commands = max(least, int(options.scale * 200_000)) // (2 * BATCH) * 2 * BATCH
    off: list[float] = []
    on: list[float] = []
    with temporary_server(options) as url, Database.open(url) as database:
        bench = BenchIntake(database, max(1_000, int(options.scale * 120_000)))
        with new_log(database, options.data or BENCH_DATA) as (log, folder), GroupCommit(bench.intake) as commits:
            run_callers(bench, commits, min(6 * BATCH, commands))  # warms up
            for number in range(max(options.repeat, PAIRS_MIN)):
                for signing in (False, True) if number % 2 == 0 else (True, False):
                    log.grow()  # what the run before recorded is not hashed in this one
                    context = _signing(folder, database, log) if signing else nullcontext()
                    with context:
                        seconds = run_callers(bench, commits, commands)
                    (on if signing else off).append(commands / seconds)
            log.grow()
            assert log.verify() == database.log.head()
    ratios = [with_it / without for with_it, without in zip(on, off, strict=True)]
    return {
        "commands": commands,
        "off_per_second": round(median(off), 1),
        "on_per_second": round(median(on), 1),
        "on_over_off": round(median(ratios), 3),
        "pairs": [round(ratio, 3) for ratio in ratios],
        "notary_seconds": NOTARY_SECONDS,
    }


@contextmanager
def _signing(folder: Path, database: Database, log: TransparencyLog) -> Iterator[None]:
    notary = Notary(folder, database, log, Policy(NOTARY_SECONDS))
    notary.start()
    try:
        yield
    finally:
        notary.close()
        assert notary.alert is None, notary.alert


def measure(ledger: BenchLedger, options: Options) -> Result:
    """Build trees, prove events, then run the intake with and without a notary."""
    database, size = ledger.database, int(ledger.database.log.head())
    parent = options.data or BENCH_DATA
    runs: list[float] = []
    print_status("building trees")
    for number in range(options.repeat):
        with new_log(database, parent) as (log, folder):
            runs.append(build(log))
            if number == options.repeat - 1:
                published = log.checkpoints.published()
                assert published is not None
                print_status("proofs")
                proofs = prove(log, folder, database, PROOFS if options.scale >= 0.1 else 50)
                hashing, root = hash_alone(database, size)
                assert (published.size, published.root) == (size, root)
                tiles_mib = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / (1 << 20)
    peak = peak_mib()
    print_status("intake")
    more: dict[str, object] = {
        "proof_ms": in_milliseconds(proofs),
        "tiles_mib": round(tiles_mib, 1),
        "intake": intake_pairs(options),
    }
    return Result("checkpoint", size, runs, peak, {"hashlib alone, the same entries in memory": hashing}, more)


def main() -> None:
    """Run the bench and print its result."""
    options = parse(__doc__)
    with bench_ledger(options) as ledger:
        publish(measure(ledger, options), options, machine(ledger.url))


if __name__ == "__main__":
    main()
