"""Cold: from PostgreSQL's log to a new archive on disk, flushed.

Peers, over the same log in the same run: the eventsourcing library's recorder, pages of 1,000 events, each decoded with
its mapper (which yields objects, not an archive); and COPY in binary format to this process, which discards the bytes:
the cost of reading alone.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from time import perf_counter

from bench.peers.stock import read_and_decode
from bench.support.common import BENCH_DATA, Options, Result, Stopwatch, machine, parse, peak_mib, print_status, publish
from bench.support.data import BenchLedger, bench_ledger
from replay.archive.archive import Archive

COPY_LOG = "COPY ledger.stored_events TO STDOUT (FORMAT binary)"


def archive_once(ledger: BenchLedger, parent: Path) -> tuple[Stopwatch, int]:
    """Archive the whole log in a new folder; return the time and the size of the archive in bytes."""
    folder = Path(tempfile.mkdtemp(prefix="cold-", dir=parent))
    try:
        archive = Archive(folder, ledger.archive.manifest.ledger)
        watch = Stopwatch()
        position = archive.rebuild(ledger.database)
        watch.lap("archive")
        assert position == ledger.archive.position
        return watch, archive.bytes_on_disk()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def read_alone(ledger: BenchLedger) -> tuple[float, int]:
    """Read the log by COPY, discarding it; return events per second and bytes."""
    size, begun = 0, perf_counter()
    with (
        ledger.database.pool.connection() as connection,
        connection.cursor() as cursor,
        cursor.copy(COPY_LOG) as copy,
    ):
        for block in copy:
            size += len(block)
    return ledger.archive.position / (perf_counter() - begun), size


def measure(ledger: BenchLedger, options: Options) -> Result:
    """Archive the log, then run the peers."""
    found = [archive_once(ledger, options.data or BENCH_DATA) for _ in range(options.repeat)]
    peak = peak_mib()
    print_status("peers")
    read_rate, read_bytes = read_alone(ledger)
    decoded_rate = read_and_decode(ledger.url, ledger.middle, options.peer_seconds)
    peers = {
        "eventsourcing recorder and mapper, pages of 1,000": decoded_rate,
        "COPY to nowhere (reading alone)": read_rate,
    }
    more: dict[str, object] = {
        "archive_mib": round(found[0][1] / (1 << 20), 1),
        "read_mib": round(read_bytes / (1 << 20), 1),
        "disk": ledger.sizes(),
    }
    return Result("cold", ledger.archive.position, [watch.seconds for watch, _ in found], peak, peers, more)


def main() -> None:
    """Run the bench and print its result."""
    options = parse(__doc__)
    with bench_ledger(options) as ledger:
        publish(measure(ledger, options), options, machine(ledger.url))


if __name__ == "__main__":
    main()
