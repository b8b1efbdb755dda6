"""The unmodified eventsourcing library, writing: the peer of the intake. Each way of writing uses a separate table.

The states written are those of the ledger's own events, byte for byte, so that both sides write the same bytes. The
recorder decides nothing; the intake checks every command.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from time import perf_counter
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from eventsourcing.persistence import InfrastructureFactory, StoredEvent
from eventsourcing.postgres import PostgresTrackingRecorder
from eventsourcing.utils import Environment

from ledger.store.application import library_environment
from ledger.store.log_queries import RecordedEvent


def stock_environment(url: str) -> dict[str, str]:
    """Return the environment of the library's own recorder in a separate database."""
    return library_environment(url) | {"PERSISTENCE_MODULE": "eventsourcing.postgres", "POSTGRES_SCHEMA": "public"}


def insert_events(url: str, events: Sequence[RecordedEvent], batch: int, seconds: float) -> float:
    """Insert events with the library's recorder, `batch` of them in a transaction; return events per second."""
    factory: InfrastructureFactory[PostgresTrackingRecorder] = InfrastructureFactory.construct(
        Environment(f"by_{batch}", stock_environment(url))
    )
    stored = [StoredEvent(each.stream_id, each.version, each.topic, each.state) for each in events]
    with factory:
        recorder = factory.application_recorder()
        written, begun = 0, perf_counter()
        while written < len(stored) and perf_counter() - begun < seconds:
            recorder.insert_events(stored[written : written + batch])
            written = min(written + batch, len(stored))
        return written / (perf_counter() - begun)


class Shift(Aggregate):
    """A shift as an aggregate of the library, with two events."""

    def __init__(self, volunteer: str, station: str, occurred_at: int) -> None:
        self.volunteer, self.station, self.begun = volunteer, station, occurred_at
        self.ended: int | None = None

    @event("CheckedOut")
    def check_out(self, station: str, occurred_at: int) -> None:
        self.station, self.ended = station, occurred_at


class OneByOne(Application[UUID]):
    """One save per command: a check-in creates an aggregate, a check-out loads it."""


class Together(Application[UUID]):
    """One save for many aggregates."""


def save_each(url: str, stations: Sequence[str], seconds: float) -> float:
    """Handle commands as the library's tutorial does; return events per second."""
    with OneByOne(stock_environment(url)) as application:
        saved, begun = 0, perf_counter()
        while perf_counter() - begun < seconds:
            station = stations[saved % len(stations)]
            shift = Shift(f"V{saved:07d}", station, 1_700_000_000 + saved)
            application.save(shift)
            known: Shift = application.repository.get(shift.id)
            known.check_out(station, 1_700_010_000 + saved)
            application.save(known)
            saved += 2
        return saved / (perf_counter() - begun)


def save_together(url: str, stations: Sequence[str], batch: int, seconds: float) -> float:
    """Save `batch` events of new aggregates in one call, which is one transaction; return events per second."""
    with Together(stock_environment(url)) as application:
        saved, begun = 0, perf_counter()
        while perf_counter() - begun < seconds:
            application.save(*_whole_shifts(range(saved, saved + batch // 2), stations))
            saved += batch
        return saved / (perf_counter() - begun)


def _whole_shifts(numbers: Iterable[int], stations: Sequence[str]) -> list[Shift]:
    shifts = []
    for number in numbers:
        station = stations[number % len(stations)]
        shift = Shift(f"V{number:07d}", station, 1_700_000_000 + number)
        shift.check_out(station, 1_700_010_000 + number)
        shifts.append(shift)
    return shifts
