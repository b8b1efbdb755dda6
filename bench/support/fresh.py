"""A new temporary ledger on a real disk, with volunteers and stations, for benches that write."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from bench.support.common import BENCH_DATA, Options
from bench.support.scans import Scans, check, in_batches
from ledger.aggregates import Sender
from ledger.aggregates.station import OpenStation
from ledger.aggregates.volunteer import RegisterVolunteer
from ledger.intake.intake import Intake
from ledger.store.database import Database
from ledger.store.embedded import serving

BATCH = 1_000
BEGINS = 1_735_693_200  # 2025-01-01T09:00+08:00


class BenchIntake:
    """A new ledger with volunteers and stations, and a clock set to the end of the last scan."""

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
        sender = Sender.of_operator("system:bench")
        orders = (
            sender.order(command, source="/bench", id=str(number), imported=False) for number, command in numbered
        )
        for batch in in_batches(orders, BATCH):
            check(self.intake.execute(batch))

    def plan(self, shifts: int, id_share: int) -> Scans:
        """Return a plan of the next shifts and advance the clock, so that a volunteer serves at most once a day."""
        plan = Scans(self.volunteers, self.stations, self.now, shifts, id_share, first=self.served)
        self.now = plan.ends
        self.served += shifts
        return plan


def new_database(url: str, name: str) -> str:
    """Create an empty database on the same server; return its URL."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'")
    return make_conninfo(url, dbname=name)


@contextmanager
def temporary_server(options: Options) -> Iterator[str]:
    """Run a temporary PostgreSQL with default durability on a real disk; yield its URL."""
    parent = options.data or BENCH_DATA
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="intake-", dir=parent))
    try:
        with serving(folder) as url:
            yield url
    finally:
        shutil.rmtree(folder, ignore_errors=True)
