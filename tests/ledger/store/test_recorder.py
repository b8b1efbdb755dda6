"""The library's own contract, on the log; and its applications that keep their events there, ours included."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import date
from threading import Event as Flag
from threading import Thread
from types import ModuleType
from typing import Any
from unittest.mock import patch
from uuid import UUID

import pytest
from eventsourcing.application import AggregateNotFoundError, Application, Repository
from eventsourcing.domain import Aggregate, event
from eventsourcing.persistence import IntegrityError, ProgrammingError, StoredEvent

from ledger.aggregates import COMMANDS
from ledger.aggregates.honor import Award
from ledger.aggregates.shift import Shift
from ledger.aggregates.station import Station
from ledger.aggregates.volunteer import Volunteer
from ledger.intake.answers import Accepted
from ledger.intake.intake import Intake
from ledger.names import Position, shift_id_for, shift_stream, stream
from ledger.store.application import LedgerFactory, library_environment
from ledger.store.copy_format import event_row
from ledger.store.database import Database
from ledger.store.mapper import decode
from ledger.store.recorder import LedgerRecorder
from tests.support.ledger.helpers import NOW, wait_until_somebody_is_held_up
from tests.support.ledger.orders import order_of

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
    with pytest.raises(ProgrammingError, match="stream ids must be UUIDs"):
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
    with database.recorder.append() as append:
        thread.start()
        wait_until_somebody_is_held_up(database.url, unless=finished)
        with append.events() as write_rows:
            write_rows(event_row(UUID(int=1).bytes, 1, "a", b"{}", 1))
    thread.join()
    assert written == [2]


# --- the ledger, as the library's application gives it back ---------------------------------------------------------

SHIFT = shift_id_for(NOW - 7200, "shift")
DAY = date(2018, 1, 1)
HONOR = {"award": "A1", "honor": "star-1"}
OF_SHIFT = {"volunteer": "V1", "shift": SHIFT}
SCAN = {**OF_SHIFT, "station": "S1"}
TRAINING = {"volunteer": "V1", "tier": "basic", "content": "first-aid", "provider": "red-cross", "completed_on": DAY}
GIVEN: list[tuple[str, dict[str, Any]]] = [
    ("found-organisation", {"organisation": "O1", "kind": "ngo"}),
    ("open-station", {"station": "S1", "kind": "city", "organisation": "O1"}),
    ("open-station", {"station": "S2", "kind": "special"}),
    ("close-station", {"station": "S2", "reason": "rebuilt"}),
    ("register-volunteer", {"volunteer": "V1", "registered_on": DAY}),
    ("register-volunteer", {"volunteer": "V2", "registered_on": DAY}),
    ("join-organisation", {"volunteer": "V1", "organisation": "O1", "joined_on": DAY}),
    ("record-training", {**TRAINING, "learning_minutes": 90}),
    ("merge-volunteer", {"volunteer": "V2", "into": "V1", "reason": "two-cards"}),
    ("withdraw-volunteer", {"volunteer": "V2", "withdrawn_on": DAY, "reason": "two-cards"}),
    ("check-out", {**SCAN, "occurred_at": NOW - 3600}),  # it arrives before its check-in
    ("check-in", {**SCAN, "occurred_at": NOW - 7200}),
    ("check-in", {**SCAN, "occurred_at": NOW - 7000}),
    ("correct-shift", {**OF_SHIFT, "changes": ["check_out"], "check_out": NOW - 3000, "reason": "left-later"}),
    ("dispute-shift", {**OF_SHIFT, "reason": "too-short"}),
    ("announce-honor", {**HONOR, "volunteer": "V1"}),
    ("object-to-honor", {"award": "A1", "reason": "not-hers"}),
    ("revoke-honor", {"award": "A1", "reason": "was-right"}),
]


@pytest.fixture
def repository(database: Database) -> Repository[UUID]:
    """The repository of a ledger that took all these orders, from a new process."""
    orders = [
        order_of(COMMANDS[kind].model_validate(fields), "test", str(number), f"person:p{number}", imported=True)
        for number, (kind, fields) in enumerate(GIVEN)
    ]
    answers = Intake(database, clock=lambda: NOW).execute(orders)
    assert all(isinstance(answer, Accepted) for answer in answers), answers
    return database.application.repository


def test_the_repository_gives_back_a_shift(repository: Repository[UUID]) -> None:
    shift: Shift = repository.get(shift_stream("V1", SHIFT))
    assert (shift.version, shift.check_in, shift.check_out) == (5, NOW - 7200, NOW - 3000)
    assert (shift.station, shift.project, shift.void) == ("S1", None, None)
    assert shift.disputed is not None
    assert shift.disputed.reason == "too-short"


def test_the_repository_gives_back_what_a_shift_was_at_a_version(repository: Repository[UUID]) -> None:
    found: list[Shift] = [repository.get(shift_stream("V1", SHIFT), version=version) for version in range(1, 6)]
    assert [shift.version for shift in found] == [1, 2, 3, 4, 5]
    assert [shift.check_in for shift in found] == [None] + [NOW - 7200] * 4
    assert [shift.check_out for shift in found] == [None, NOW - 3600, NOW - 3600, NOW - 3000, NOW - 3000]
    assert [shift.disputed is not None for shift in found] == [False] * 4 + [True]


def test_the_repository_gives_back_volunteers(repository: Repository[UUID]) -> None:
    one: Volunteer = repository.get(stream("volunteer", "V1"))
    assert (one.version, one.organisations, one.withdrawn, one.merge) == (3, frozenset({"O1"}), None, None)
    assert one.registered is not None
    assert (one.registered.volunteer, one.registered.registered_on) == ("V1", DAY)
    assert one.trainings == {("basic", "first-aid", "red-cross", DAY): 1}
    other: Volunteer = repository.get(stream("volunteer", "V2"))
    assert (other.version, other.registered) == (3, None)
    assert other.withdrawn is not None
    assert other.merge is not None
    assert other.merge.into == "V1"


def test_the_repository_gives_back_an_award(repository: Repository[UUID]) -> None:
    award: Award = repository.get(stream("honor", "A1"))
    assert (award.version, award.settled, award.awarded) == (3, {}, None)
    assert award.announced is not None
    assert (award.announced.honor, award.announced.volunteer) == ("star-1", "V1")
    assert [objection.reason for objection in award.objections] == ["not-hers"]
    assert award.revoked is not None
    assert award.revoked.reason == "was-right"


def test_the_repository_gives_back_stations(repository: Repository[UUID]) -> None:
    found: list[Station] = [repository.get(stream("station", name)) for name in ("S1", "S2")]
    assert [(station.version, station.is_open) for station in found] == [(1, True), (2, False)]
    assert [station.opened and (station.opened.kind, station.opened.organisation) for station in found] == [
        ("city", "O1"),
        ("special", None),
    ]


@pytest.mark.parametrize(
    "unknown", [stream("volunteer", "V3"), stream("station", "V1"), shift_stream("V2", SHIFT), UUID(int=0)], ids=str
)
def test_the_repository_knows_no_stream_without_events(repository: Repository[UUID], unknown: UUID) -> None:
    assert unknown not in repository
    with pytest.raises(AggregateNotFoundError):
        repository.get(unknown)


def test_an_event_of_the_library_s_is_the_one_that_was_decided_and_knows_its_place(
    database: Database, repository: Repository[UUID]
) -> None:
    found = list(database.application.events.get(shift_stream("V1", SHIFT)))
    assert [event.originator_version for event in found] == [1, 2, 3, 4, 5]
    assert {event.originator_id for event in found} == {shift_stream("V1", SHIFT)}
    stored = database.log.read_streams([shift_stream("V1", SHIFT)])[shift_stream("V1", SHIFT)]
    assert found == [decode(one.topic, one.state) for one in stored]
    mapper = database.application.mapper
    assert [mapper.to_stored_event(event).state for event in found] == [one.state for one in stored]
