"""The library's own contract, on the log; and an `Application` of the library that keeps its events there."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from threading import Event as Flag
from threading import Thread
from types import ModuleType
from unittest.mock import patch
from uuid import UUID

import pytest
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from eventsourcing.persistence import IntegrityError, ProgrammingError, StoredEvent

from ledger.store.database import Database
from ledger.names import Position
from ledger.store.application import LedgerFactory, library_environment
from ledger.store.recorder import LedgerRecorder
from ledger.store.append import take_lock
from ledger.writing import write_events
from tests.ledger_helpers import wait_until_somebody_is_held_up

# The library's tests import its cipher, and that a package which the ledger has no use for.
_cipher = ModuleType("eventsourcing.cipher")
_cipher.AESCipher = None  # type: ignore[attr-defined]
with patch.dict(sys.modules, {"eventsourcing.cipher": _cipher}):
    from eventsourcing.tests.persistence import ApplicationRecorderTestCase, NonInterleavingNotificationIDsBaseCase


class RecorderOfOneTest:
    """Gives each of the library's tests a recorder on a fresh ledger."""

    @pytest.fixture(autouse=True)
    def _recorder(self, database_url: str) -> Iterator[None]:
        with LedgerFactory(library_environment(database_url)) as factory:
            self.recorder = factory.application_recorder()
            yield

    def create_recorder(self) -> LedgerRecorder:
        return self.recorder


class TestLibraryContract(RecorderOfOneTest, ApplicationRecorderTestCase[LedgerRecorder]):
    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class TestLibraryOrder(RecorderOfOneTest, NonInterleavingNotificationIDsBaseCase):
    pass


@pytest.fixture
def recorder(database_url: str) -> Iterator[LedgerRecorder]:
    with LedgerFactory(library_environment(database_url)) as factory:
        yield factory.application_recorder()


def test_ids_stay_dense_when_a_writer_fails(recorder: LedgerRecorder) -> None:
    first = StoredEvent(UUID(int=1), 1, "a", b"{}")
    assert list(recorder.insert_events([first])) == [1]
    with pytest.raises(IntegrityError):
        recorder.insert_events([first])
    assert list(recorder.insert_events([StoredEvent(UUID(int=2), 1, "a", b"{}")])) == [2]


def test_the_database_functions_of_the_library_are_refused(database_url: str) -> None:
    environment = {**library_environment(database_url), "POSTGRES_ENABLE_DB_FUNCTIONS": "y"}
    with LedgerFactory(environment) as factory, pytest.raises(ProgrammingError, match="ENABLE_DB_FUNCTIONS"):
        factory.application_recorder()


def test_streams_that_are_no_uuid_are_refused(recorder: LedgerRecorder) -> None:
    with pytest.raises(ProgrammingError, match="names streams by UUID"):
        recorder.insert_events([StoredEvent("V1", 1, "a", b"{}")])


class Kettle(Aggregate):
    """An aggregate of the library's."""

    def __init__(self) -> None:
        self.litres = 0

    @event("Filled")
    def fill(self, litres: int) -> None:
        self.litres += litres


def test_an_application_of_the_library_saves_many_aggregates_at_once(database: Database) -> None:
    with Application[UUID](env=library_environment(database.url)) as application:
        kettles = [Kettle() for _ in range(3)]
        for kettle in kettles:
            kettle.fill(2)
        application.save(*kettles)
        loaded: Kettle = application.repository.get(kettles[2].id)
        assert loaded.litres == 2
        notifications = application.notification_log.select(start=1, limit=10)
        assert [notification.id for notification in notifications] == [1, 2, 3, 4, 5, 6]
    events = database.log.read(Position(0), 10)
    assert [one.stream_id for one in events] == [kettle.id for kettle in kettles for _ in range(2)]


def test_the_library_waits_for_the_same_lock(database: Database) -> None:
    written: list[int] = []
    finished = Flag()

    def write() -> None:
        with LedgerFactory(library_environment(database.url)) as factory:
            written.extend(factory.application_recorder().insert_events([StoredEvent(UUID(int=2), 1, "a", b"{}")]))
        finished.set()

    thread = Thread(target=write)
    with database.pool.connection() as connection, connection.transaction(), connection.cursor() as cursor:
        take_lock(cursor)
        thread.start()
        wait_until_somebody_is_held_up(database.url, unless=finished)
        write_events(cursor, [(UUID(int=1), 1, "a", "{}")], 1)
    thread.join()
    assert written == [2]
