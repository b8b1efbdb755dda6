"""Peers of the replay: plain Python over event objects, and SQL over the same Parquet files.

Both do the same part of a replay: they resolve scans, clip shifts, split them at midnight, cap the day, and sum by
volunteer and year and by station and day. Both leave out corrections, voids, overlaps, factors, rounding, opening
balances, people served and honours.
"""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from uuid import UUID

from bench.support.common import ROOT
from ledger.aggregates import Event
from ledger.aggregates.shift import CheckedIn, CheckedOut
from ledger.names import Position
from ledger.store.log_queries import LogQueries
from ledger.store.mapper import decode
from projections.local_time import day_of_number

PAGE_EVENTS = 10_000
IN_MEMORY_EVENTS = 200_000

ZONE_MINUTES, SHIFT_MINUTES_MIN, SHIFT_MINUTES_MAX, DAY_MINUTES_MAX = 480, 10, 720, 480
"""From rules/luohu.toml. Asia/Shanghai has had one UTC offset in all years of the log."""


class PlainReplay:
    """A straightforward replay with dictionaries, lists, and a loop.

    `hours`: by volunteer and year, `station_days`: by station and day; each holds shifts, raw and counted minutes.
    """

    def __init__(self) -> None:
        self._begun: dict[UUID, CheckedIn] = {}
        self._ended: dict[UUID, int] = {}
        self.hours: defaultdict[tuple[str, int], list[int]] = defaultdict(lambda: [0, 0, 0])
        self.station_days: defaultdict[tuple[str, int], list[int]] = defaultdict(lambda: [0, 0, 0])

    def add(self, events: Iterable[Event]) -> None:
        """Add events."""
        begun, ended = self._begun, self._ended
        for event in events:
            if isinstance(event, CheckedIn):
                known = begun.setdefault(event.shift, event)
                if event.occurred_at < known.occurred_at:
                    begun[event.shift] = event
            elif isinstance(event, CheckedOut):
                ended[event.shift] = min(event.occurred_at, ended.get(event.shift, event.occurred_at))

    def finish(self) -> None:
        """Credit the shifts of each volunteer in their order, and add them up."""
        shifts: defaultdict[str, list[tuple[int, int, str]]] = defaultdict(list)
        for shift, event in self._begun.items():
            if shift in self._ended:
                start, end = event.occurred_at // 60 + ZONE_MINUTES, self._ended[shift] // 60 + ZONE_MINUTES
                if end - start >= SHIFT_MINUTES_MIN:
                    shifts[event.volunteer].append((start, min(end, start + SHIFT_MINUTES_MAX), event.station))
        for volunteer, served in shifts.items():
            served.sort()
            self._credit(volunteer, served)

    def _credit(self, volunteer: str, served: list[tuple[int, int, str]]) -> None:
        counted_of_day: dict[int, int] = {}
        for start, end, station in served:
            for day, raw in pieces(start, end):
                before = counted_of_day.get(day, 0)
                counted = max(0, min(raw, DAY_MINUTES_MAX - before))
                counted_of_day[day] = before + counted
                for sums in (self.hours[volunteer, year_of(day)], self.station_days[station, day]):
                    sums[0] += day == start // 1440
                    sums[1] += raw
                    sums[2] += counted


def pieces(start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the days of a shift and its minutes on each."""
    while start < end:
        midnight = (start // 1440 + 1) * 1440
        yield start // 1440, min(end, midnight) - start
        start = midnight


@lru_cache(maxsize=1 << 14)
def year_of(day: int) -> int:
    """Return the year of a day number."""
    return day_of_number(day).year


def fold_from_log(log: LogQueries, after: int, seconds: float) -> float:
    """Read, decode and fold the log after a position in pages; return events per second."""
    replay, position, begun = PlainReplay(), Position(after), perf_counter()
    while perf_counter() - begun < seconds:
        page = log.read(position, PAGE_EVENTS)
        if not page:
            break
        replay.add(decode(event.topic, event.state) for event in page)
        position = page[-1].position
    replay.finish()
    return (position - after) / (perf_counter() - begun)


def fold_in_memory(log: LogQueries, after: int, seconds: float) -> float:
    """Fold events that were decoded before the clock started; return events per second."""
    events = [decode(event.topic, event.state) for event in log.read(Position(after), IN_MEMORY_EVENTS)]
    folded, begun = 0, perf_counter()
    while True:
        replay = PlainReplay()
        replay.add(events)
        replay.finish()
        folded += len(events)
        elapsed = perf_counter() - begun
        if elapsed > seconds / 4:
            return folded / elapsed


HAS_DUCKDB = find_spec("duckdb") is not None


def duckdb_seconds(archive: Path, repeat: int) -> list[float]:
    """Query the archive's Parquet with DuckDB on all cores, warm; return the seconds of each repetition.

    It runs in a separate process, so that each repetition reuses the memory of the one before, as in the replay.
    """
    command = [sys.executable, "-m", "bench.peers.folds", str(archive), str(repeat)]
    found = subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    return [float(line) for line in found.stdout.splitlines()]


def _query(archive: Path) -> float:
    import duckdb  # noqa: PLC0415 - only this function needs it

    script = Path(__file__).with_name("hours.sql").read_text().replace("{archive}", str(archive))
    with duckdb.connect() as connection:
        begun = perf_counter()
        connection.execute(script)
        return perf_counter() - begun


if __name__ == "__main__":
    _query(Path(sys.argv[1]))  # warms up
    for _ in range(int(sys.argv[2])):
        print(_query(Path(sys.argv[1])))
