"""The ledgers that benches read: a synthetic history, loaded once.

    .bench/scale-<S>/    read by the benches of replays; never appended to
    .bench/live-<S>/     appended to by the live bench

Loading happens in a separate process, so that its memory is not counted as the bench's. An interrupted load is resumed.
"""

from __future__ import annotations

import fcntl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.support.common import BENCH_DATA, ROOT, Options, print_status
from ledger.store.database import Database
from ledger.store.embedded import serving
from projections.schema import HOURS_COLUMNS
from replay.archive.archive import Archive
from replay.generations import store
from replay.generations.rebuild import rebuild
from replay.published import published_rules
from replay.synthetic import simulate, write_history

SEED = 1
LOADED = "loaded"
"""A file in a data directory that marks a completely loaded history."""


@dataclass(frozen=True)
class BenchLedger:
    """A loaded ledger with an up-to-date archive and read models."""

    database: Database
    archive: Archive

    @property
    def url(self) -> str:
        return self.database.url

    @property
    def middle(self) -> int:
        """A position in the middle of the log. Peers too slow for the whole log start after it, because the first
        hundred thousand events are registrations, which are cheap to process.
        """
        return self.archive.position // 2

    def log_bytes(self) -> int:
        """Return the size of the log in PostgreSQL, indexes included."""
        with self.database.pool.connection() as connection:
            row = connection.execute("SELECT pg_total_relation_size('ledger.stored_events')").fetchone()
        return int(row[0]) if row else 0

    def sizes(self) -> dict[str, float]:
        """Return sizes on disk, for a report."""
        archive, log = self.archive.bytes_on_disk(), self.log_bytes()
        return {
            "archive_mib": round(archive / (1 << 20), 1),
            "log_mib": round(log / (1 << 20), 1),
            "archive_bytes_per_event": round(archive / max(self.archive.position, 1), 1),
            "log_bytes_per_event": round(log / max(self.archive.position, 1), 1),
        }


@contextmanager
def bench_ledger(options: Options, kind: str = "scale") -> Iterator[BenchLedger]:
    """Open the ledger of this scale, and load it first if needed. A directory named by `--data` that already holds
    events is used unchanged.
    """
    folder = (options.data or BENCH_DATA / f"{kind}-{options.scale:g}").resolve()
    with _locked(folder):
        yield from _open(folder, options)


def _open(folder: Path, options: Options) -> Iterator[BenchLedger]:
    if not (folder / LOADED).exists() and (options.data is None or not _holds_events(folder)):
        print_status(f"loading a history of scale {options.scale:g} into {folder}; this is done once")
        command = [sys.executable, "-m", "bench.support.data", str(folder), str(options.scale)]
        subprocess.run(command, check=True, cwd=ROOT, stdout=sys.stderr)
    with serving(folder) as url, Database.open(url) as database:
        yield _ready(database, folder)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock a data directory against other benches, which would distort the figures."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "bench.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit(
                f"another bench uses {folder}: wait for it, or name another directory with --data"
            ) from None
        yield


def _holds_events(folder: Path) -> bool:
    if not (folder / "postgres").exists():
        return False
    with serving(folder) as url, Database.open(url) as database:
        return database.log.head() > 0


def _ready(database: Database, folder: Path) -> BenchLedger:
    """Bring archive and read models up to date."""
    archive = Archive(folder / "archive", database.log.identity())
    archive.bring_up_to_date(database)
    store.create_tables(database)
    with database.pool.connection() as connection:
        generation = store.current_generation(connection)
    if generation is None or not generation.readable or generation.position != database.log.head():
        print_status("building the read models")
        rebuild(database, archive, published_rules(database.log), new_facts=True)
    return BenchLedger(database, archive)


def load(folder: Path, scale: float) -> None:
    """Write the history of a scale into a data directory, archive it, and build its read models."""
    with serving(folder) as url, Database.open(url) as database:
        archive = Archive(folder / "archive", database.log.identity())

        def credited_minutes() -> int:
            archive.bring_up_to_date(database)
            models = archive.facts().read_models(published_rules(database.log).timeline())
            whole = models.hours[models.hours[:, 1] == 0]
            return int(whole[:, 2 + HOURS_COLUMNS.index("credited")].sum())

        history = simulate(scale, SEED, (ROOT / "rules" / "luohu.toml").read_text())
        write_history(database, history, credited_minutes, progress=_progress)
        _ready(database, folder)
        with database.pool.connection() as connection:  # so that this work is not done during a bench
            connection.execute("VACUUM (ANALYZE) ledger.stored_events")
            connection.execute("CHECKPOINT")
    (folder / LOADED).write_text(f"{scale:g}\n")


def _progress(done: int, total: int) -> None:
    print_status(f"{done:,} of {total:,} events")


if __name__ == "__main__":
    load(Path(sys.argv[1]), float(sys.argv[2]))
