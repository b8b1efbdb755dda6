"""Persons and texts are apart from the log and erasable."""

from __future__ import annotations

from hashlib import blake2b

from ledger.aggregates.shift import ShiftVoided
from ledger.intake.intake import Intake
from ledger.names import Position
from ledger.store.database import Database
from ledger.store.mapper import decode
from ledger.store.persons import Person, Persons, salted
from tests.ledger.decisions import test_decide as given
from tests.support.ledger.helpers import NOW
from tests.support.ledger.orders import order_of

PERSON = Person("V1", "张三", phone="13800138000")


def test_a_person_is_remembered_replaced_and_erased(database: Database) -> None:
    persons = Persons(database.pool)
    persons.save(PERSON)
    persons.save(PERSON._replace(phone=None, email="zhang@example.org"))
    assert persons.find("V1") == Person("V1", "张三", None, "zhang@example.org")
    assert persons.erase("V1") == 1
    assert persons.find("V1") is None
    assert persons.erase("V1") == 0


def test_erasing_a_person_erases_texts_and_salts_and_leaves_the_log_as_it_was(database: Database) -> None:
    void = given.VOID.model_copy(update={"text": "his mother is ill"})
    commands = (given.V1, given.STATION, given.CHECK_IN, void)
    orders = [order_of(command=command, source="t", id=str(n), by="person:p") for n, command in enumerate(commands)]
    Intake(database, clock=lambda: NOW).execute(orders)
    log = database.log.read(Position(0), 9)
    event = decode(log[-1].topic, log[-1].state)
    assert isinstance(event, ShiftVoided)
    assert event.note
    persons = Persons(database.pool)
    persons.save(PERSON)
    assert persons.text(event.note) == "his mother is ill"
    assert persons.erase("V1") == 2
    assert persons.text(event.note) is None
    assert database.log.read(Position(0), 9) == log
    with database.pool.connection() as connection:
        assert connection.execute("SELECT count(*) FROM ledger.texts").fetchone() == (0,)


def test_a_digest_cannot_be_tested_against_a_guess_without_its_salt() -> None:
    first, second = salted("his mother is ill", "V1"), salted("his mother is ill", "V1")
    assert first.digest != second.digest
    assert blake2b(b"his mother is ill", digest_size=32).hexdigest() not in {first.digest, second.digest}
    assert first._replace(salt=second.salt).digest == second.digest
