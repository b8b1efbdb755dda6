"""Effects of acts, measured on the log: in one batch or in several, rehearsed or recorded, and within bounds."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any

import pytest

from ledger.aggregates import Order
from ledger.aggregates.scans import CheckIn
from ledger.aggregates.shift_acts import CorrectShift
from ledger.intake import streams
from ledger.intake.answers import ONE_BY_ONE, Answer, Terms
from ledger.intake.intake import Intake
from ledger.intake.rehearsal import Rehearsal
from ledger.rejections import Refused
from ledger.store.database import Database
from tests.ledger.decisions.test_effects import (
    HALF_HOUR,
    PERSON_DAY,
    ROWS,
    WORLD,
    approved,
    at,
    attest,
    merge,
    rules,
)
from tests.ledger.intake.test_bounds import Counted
from tests.support.ledger.helpers import NOW, Given, by
from tests.support.ledger.orders import order_of


class Taker:
    """Gives commands to an intake, each with a name of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._ids = count()
        self.intake = Intake(database, clock=lambda: NOW)

    def orders(self, given: Sequence[Given], source: str = "/t") -> list[Order]:
        said: list[dict[str, Any]] = [
            one if isinstance(one, dict) else {"by": "person:p1", "command": one} for one in given
        ]
        return [order_of(source=source, id=str(next(self._ids)), **one) for one in said]

    def take(self, *given: Given, terms: Terms = ONE_BY_ONE) -> list[str]:
        return codes(self.intake.execute(self.orders(given), terms))

    def begin_again(self) -> None:
        with self._database.pool.connection() as connection:
            connection.execute("TRUNCATE ledger.stored_events, ledger.commands")
        self.intake = Intake(self._database, clock=lambda: NOW)


@pytest.fixture
def taker(database: Database) -> Taker:
    return Taker(database)


def codes(answers: Sequence[Answer]) -> list[str]:
    return [answer.rejection.code if isinstance(answer, Refused) else "accepted" for answer in answers]


def test_the_log_answers_as_the_table_says(taker: Taker) -> None:
    """Every row of the table of decisions: in one batch, whose orders see each other's events, and in a batch each."""
    for settings, name, given, command, needs_approval in ROWS:
        orders = [*WORLD, *given, rules(settings), command]
        expected = [*["accepted"] * (len(orders) - 1), "needs-approval" if needs_approval else "accepted"]
        assert taker.take(*orders, terms=Terms(dry_run=True)) == expected, (settings, name)
        assert [code for order in orders for code in taker.take(order)] == expected, (settings, name)
        taker.begin_again()


def test_a_rehearsal_measures_as_the_performance_does(taker: Taker, database: Database) -> None:
    lines = [attest("9:00", "9:10", name=str(number)).model_copy(update={"shift": None}) for number in range(5)]
    others = [attest("12:00", "12:06", volunteer="V2", name=str(number)) for number in range(3)]
    taker.take(*WORLD, rules(f"{PERSON_DAY}, imported = true"))
    given: list[Given] = [by("keeper", one, imported=True) for one in (*lines, *others)]
    given[4:4] = approved(merge())
    orders = taker.orders(given, source="/imports/test")
    rehearsal = Rehearsal(database, clock=lambda: NOW)
    rehearsed = [code for order in orders for code in codes(rehearsal.execute([order]))]
    performed = codes(taker.intake.execute(orders))
    assert rehearsed == performed
    assert performed == [*["accepted"] * 3, "needs-approval", "accepted", "accepted", *["needs-approval"] * 4]


def test_a_day_of_more_shifts_than_are_read_needs_approval(taker: Taker, monkeypatch: pytest.MonkeyPatch) -> None:
    taker.take(*WORLD, rules(PERSON_DAY))
    scan: Given = by("li", CheckIn(volunteer="V1", station="S1", occurred_at=at("9:00")))
    scans = [scan] * streams.RANGE_EVENTS_MAX
    assert set(taker.take(*scans)) == {"accepted"}
    assert taker.take(HALF_HOUR) == ["accepted"]
    counted = Counted(monkeypatch)
    minutes = [attest("12:00", "12:01", name=str(number)) for number in range(20)]
    assert set(taker.take(*minutes)) == {"needs-approval"}
    assert max(counted.decoded, counted.folded) <= 4 * streams.RANGE_EVENTS_MAX


def test_a_person_of_many_numbers_is_read_once_a_batch(taker: Taker, monkeypatch: pytest.MonkeyPatch) -> None:
    taker.take(*WORLD, *approved(merge()), *approved(merge("V3"), "R2"), rules(PERSON_DAY))
    counted = Counted(monkeypatch)
    minutes = [attest("12:00", "12:01", name=str(number)) for number in range(40)]
    assert taker.take(*minutes) == [*["accepted"] * 30, *["needs-approval"] * 10]
    assert max(counted.decoded, counted.folded) <= 500


def test_a_shift_of_many_corrections_is_folded_once_a_batch(taker: Taker, monkeypatch: pytest.MonkeyPatch) -> None:
    places = CorrectShift(volunteer="V1", shift=HALF_HOUR.shift, changes=("project",), reason="unknown")
    taker.take(*WORLD, HALF_HOUR, *[places] * 600, rules(PERSON_DAY))
    counted = Counted(monkeypatch)
    minutes = [attest("12:00", "12:01", name=str(number)) for number in range(40)]
    assert set(taker.take(*minutes)) == {"needs-approval"}
    assert max(counted.decoded, counted.folded) <= 3 * 600
