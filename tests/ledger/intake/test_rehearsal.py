"""Rehearsal: what is rehearsed in parts is answered as the performance would be, and nothing is recorded."""

from __future__ import annotations

import random
from datetime import date
from uuid import UUID

import psycopg
import pytest

from ledger.aggregates import Command, Order
from ledger.aggregates.opening_balance import RecordOpeningBalance
from ledger.aggregates.organisation import FoundOrganisation
from ledger.aggregates.request import ApproveAct, RequestAct
from ledger.aggregates.scans import CheckIn
from ledger.aggregates.shift_acts import AttestShift
from ledger.aggregates.station import CloseStation, OpenStation
from ledger.aggregates.volunteer import JoinOrganisation, LeaveOrganisation, RegisterVolunteer, WithdrawVolunteer
from ledger.intake.answers import Accepted, Answer
from ledger.intake.intake import Intake
from ledger.intake.rehearsal import Rehearsal
from ledger.names import Position
from ledger.rejections import Refused, Rejection
from ledger.store.database import Database
from tests.support.ledger.helpers import NOW
from tests.support.ledger.orders import order_of

DAY = date(2018, 12, 1)


def order(command: Command, name: str) -> Order:
    return order_of(command=command, source="/imports/test", id=name, by="person:keeper", imported=True)


def random_orders(seed: int, count: int) -> list[Order]:
    """Return orders that often depend on one another, use names twice, or come too early."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    orders: list[Order] = []
    while len(orders) < count:
        if orders and chance.random() < 0.1:
            orders.append(chance.choice(orders))
            continue
        volunteer, station, organisation = (f"{kind}{chance.randrange(4)}" for kind in "VSO")
        begin = NOW - 86_400 + 60 * chance.randrange(5)
        shift = chance.choice([None, None, UUID(int=chance.randrange(1, 4))])
        ends = {"check_in": begin, "check_out": begin + chance.choice([3600, 3600, 0])}
        made: list[Command] = [
            RegisterVolunteer(volunteer=volunteer, registered_on=DAY, organisation=chance.choice([None, organisation])),
            FoundOrganisation(organisation=organisation, kind="ngo", parent=chance.choice([None, "O1"])),
            OpenStation(station=station, kind="city"),
            CloseStation(station=station, reason="moved"),
            JoinOrganisation(volunteer=volunteer, organisation=organisation, joined_on=DAY),
            LeaveOrganisation(volunteer=volunteer, organisation=organisation, left_on=DAY),
            WithdrawVolunteer(volunteer=volunteer, withdrawn_on=DAY, reason="moved"),
            RecordOpeningBalance(volunteer=volunteer, minutes=60, as_of=DAY, evidence="list"),
            AttestShift(volunteer=volunteer, station=station, evidence="list", shift=shift, text="a note", **ends),
        ]
        orders.append(order(chance.choice(made), str(chance.randrange(count))))
    return orders


def told(answers: list[Answer]) -> list[object]:
    """Return answers as far as they do not say where in the log."""
    return [answer.duplicate if isinstance(answer, Accepted) else answer for answer in answers]


@pytest.mark.parametrize("seed", range(4))
def test_a_rehearsal_in_parts_is_answered_as_the_performance(database: Database, seed: int) -> None:
    intake = Intake(database, clock=lambda: NOW)
    before, orders = random_orders(seed + 100, 20), random_orders(seed, 150)
    intake.execute(before)
    head = database.log.head()
    rehearsal = Rehearsal(database, clock=lambda: NOW)
    rehearsed: list[Answer] = []
    for start in range(0, len(orders), 7):
        rehearsed += rehearsal.execute(orders[start : start + 7])
    assert database.log.head() == head
    performed = intake.execute(orders)
    assert told(rehearsed) == told(performed)
    assert {type(answer) for answer in performed} == {type(answer) for answer in rehearsed}
    assert {answer.duplicate for answer in performed if isinstance(answer, Accepted)} == {True, False}
    assert len({answer.rejection for answer in performed if not isinstance(answer, Accepted)}) > 6
    assert all(
        answer.position is None or answer.position <= head for answer in rehearsed if isinstance(answer, Accepted)
    )


def test_a_rehearsal_keeps_no_text_and_holds_up_no_writer(database: Database) -> None:
    """It takes no lock: an order is recorded while a rehearsal's transaction is open."""
    intake = Intake(database, clock=lambda: NOW)
    intake.execute(
        [
            order(RegisterVolunteer(volunteer="V1", registered_on=DAY), "v"),
            order(OpenStation(station="S1", kind="city"), "s"),
        ]
    )
    attested = AttestShift(
        volunteer="V1", station="S1", check_in=NOW - 7200, check_out=NOW - 3600, evidence="list", text="a note"
    )

    def record_meanwhile() -> int:
        intake.execute([order(OpenStation(station="S2", kind="city"), "meanwhile")])
        return NOW

    rehearsal = Rehearsal(database, clock=record_meanwhile)
    assert told(rehearsal.execute([order(attested, "1")])) == [False]
    assert database.log.head() == 3
    assert database.log.read(Position(2), 1)[0].topic == "station-opened.v1"
    with psycopg.connect(database.url) as connection:
        assert connection.execute("SELECT count(*) FROM ledger.texts").fetchone() == (0,)


def test_a_request_and_its_approval_are_rehearsed_one_after_the_other(database: Database) -> None:
    fields = {"volunteer": "V1", "minutes": 60, "as_of": "2018-12-01", "evidence": "list"}
    asked = RequestAct.model_validate({"request": "r1", "act": "record-opening-balance", "fields": fields})
    orders = [
        order(RegisterVolunteer(volunteer="V1", registered_on=DAY), "v"),
        order(asked, "ask")._replace(by="person:li"),
        order(ApproveAct(request="r1"), "mine")._replace(by="person:li"),
        order(ApproveAct(request="r1"), "yes"),
        order(ApproveAct(request="r1"), "again"),
        order(RecordOpeningBalance.model_validate(fields), "twice"),
    ]
    rehearsal = Rehearsal(database, clock=lambda: NOW)
    rehearsed = [answer for one in orders for answer in rehearsal.execute([one])]
    assert database.log.head() == 0
    assert told(rehearsed) == told(Intake(database, clock=lambda: NOW).execute(orders))
    refused = [answer.rejection.code for answer in rehearsed if not isinstance(answer, Accepted)]
    assert refused == ["own-request", "request-ended", "balance-stands"]


def test_scans_are_rehearsed_as_they_would_be_recorded(database: Database) -> None:
    scan = order(CheckIn(volunteer="V1", station="S1", occurred_at=NOW), "1")
    rehearsal = Rehearsal(database)
    assert [answer.rejection for answer in rehearsal.execute([scan]) if isinstance(answer, Refused)] == [
        Rejection.UNKNOWN_VOLUNTEER
    ]
    registered = RegisterVolunteer(volunteer="V1", registered_on=date(2018, 12, 1))
    world = [order(registered, "v1"), order(OpenStation(station="S1", kind="city"), "s1"), scan, scan]
    assert [answer.duplicate for answer in rehearsal.execute(world) if isinstance(answer, Accepted)] == [
        *(False, False, False, True)
    ]
