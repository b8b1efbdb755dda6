"""Bounds: how many events orders make the ledger read and fold under the writers' lock, for the longest streams.

Events are counted, not seconds. Each row of the table is a cycle of commands by which callers lengthen a stream.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any
from uuid import UUID

import pytest

from ledger.aggregates import EVENTS, Command
from ledger.aggregates.dispute import STATEMENTS_MAX
from ledger.aggregates.honor import AnnounceHonor, ObjectToHonor
from ledger.aggregates.rules import PublishRules
from ledger.aggregates.scans import CheckIn
from ledger.intake import streams
from ledger.intake.answers import Accepted, Answer
from ledger.intake.intake import Intake
from ledger.intake.streams import BatchStreams
from ledger.names import Position
from ledger.rejections import Refused, Rejection
from ledger.store.database import Database
from tests.ledger.decisions import test_decide as given
from tests.support.ledger.helpers import NOW
from tests.support.ledger.orders import order_of

STREAM_MAX = 1000
"""No stream that a decision reads becomes longer."""
ORDERS = 50
TEXT = 'name = "x"\n#'

Cycle = Sequence[tuple[str, Command]]


def alone(*commands: Command) -> Cycle:
    return [("p1", command) for command in commands]


WORLD: Cycle = alone(*(one for one in given.WORLD if isinstance(one, Command)), given.CHECK_IN)
CYCLES: dict[str, Cycle] = {
    "check-in": alone(given.CHECK_IN),
    "check-out": alone(given.CHECK_OUT),
    "correct": alone(given.CORRECT),
    "void": alone(given.VOID, given.REINSTATE),
    "dispute": alone(given.DISPUTE),
    "settle": [("p1", given.DISPUTE), ("p1", given.ANSWER), ("p2", given.SETTLE)],
    "answer": alone(given.DISPUTE, *[given.ANSWER] * 20),
    "withdraw": alone(given.WITHDRAW, given.V1),
    "merge": alone(given.MERGE, given.UNDO.model_copy(update={"volunteer": "V1", "into": given.MERGE.into})),
    "training": alone(given.TRAINING),
    "void-training": alone(given.TRAINING, given.VOID_TRAINING),
    "join": alone(given.JOIN, given.LEAVE),
    "found": alone(given.END_ORGANISATION, given.ORGANISATION),
    "move": alone(given.CHILD, given.MOVE_UP, given.MOVE_BACK),
    "open": alone(given.CLOSE, given.STATION),
    "launch": alone(given.END, given.PROJECT),
    "balance": alone(given.BALANCE, given.VOID_BALANCE),
    "object": alone(
        AnnounceHonor(award="A1", honor="star-1", volunteer="V1"), *[ObjectToHonor(award="A1", reason="doubted")] * 50
    ),
}


class Counted:
    """Counts the events that batches decode and fold."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.decoded = self.folded = 0
        decode = streams.decode  # type: ignore[attr-defined]
        fold = BatchStreams._state

        def counting_decode(*stored: Any) -> Any:
            self.decoded += 1
            return decode(*stored)

        def counting_fold(of: BatchStreams, aggregate: Any, key: bytes) -> Any:
            before = of._states.get((key, aggregate))
            state = fold(of, aggregate, key)
            self.folded += state.version - (before.version if before else 0)
            return state

        monkeypatch.setattr(streams, "decode", counting_decode)
        monkeypatch.setattr(BatchStreams, "_state", counting_fold)


class Taker:
    """Gives orders, each with a name of its own."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.intake = Intake(database, clock=lambda: NOW)
        self._ids = count()

    def take(self, given: Cycle, *, imported: bool = False) -> list[Answer]:
        return self.intake.execute(
            [order_of(command, "/t", str(next(self._ids)), f"person:{by}", imported) for by, command in given]
        )

    def longest(self) -> int:
        with self.database.pool.connection() as connection:
            row = connection.execute("SELECT max(originator_version) FROM ledger.stored_events").fetchone()
        assert row is not None
        return int(row[0])


@pytest.fixture
def taker(database: Database) -> Taker:
    return Taker(database)


@pytest.mark.parametrize("name", CYCLES)
def test_no_command_lengthens_a_stream_without_end_or_folds_it_twice(
    taker: Taker, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cycle = CYCLES[name]
    assert all(isinstance(answer, Accepted) for answer in taker.take(WORLD))
    answers = taker.take((list(cycle) * (STREAM_MAX + 100))[: STREAM_MAX + 100], imported=name == "object")
    codes = {answer.rejection for answer in answers if isinstance(answer, Refused)}
    assert codes & {Rejection.RECORD_FULL, Rejection.DISPUTE_FULL}
    assert taker.longest() <= STREAM_MAX
    counted = Counted(monkeypatch)
    taker.take(list(cycle) * ORDERS)
    limit = 2 * STREAM_MAX + 3 * len(cycle) * ORDERS  # a stream or two, and what the batch itself adds
    assert counted.decoded <= limit
    assert counted.folded <= limit


def test_every_kind_of_event_has_a_limit_and_what_ends_something_has_room() -> None:
    unread = {"people-served-counted.v1", "certificate-issued.v1"}  # of these streams only the version is read
    assert all(0 < kind.EVENTS_MAX <= STREAM_MAX for name, kind in EVENTS.items() if name not in unread)
    for repeated, ending in (
        ("checked-in.v1", "shift-voided.v1"),
        ("shift-disputed.v1", "dispute-settled.v1"),
        ("honor-objected.v1", "honor-objection-settled.v1"),
        ("day-cap-raised.v1", "day-cap-raise-withdrawn.v1"),
        ("training-completed.v1", "training-voided.v1"),
    ):
        assert EVENTS[repeated].EVENTS_MAX < EVENTS[ending].EVENTS_MAX


def test_a_volunteer_cannot_fill_a_shift_s_record_alone(taker: Taker) -> None:
    taker.take(WORLD)
    answers = taker.take([("V1", given.DISPUTE)] * (STATEMENTS_MAX + 5))
    assert sum(isinstance(answer, Accepted) for answer in answers) == STATEMENTS_MAX
    assert isinstance(taker.take([("p2", given.SETTLE)])[0], Accepted)
    assert isinstance(taker.take([("V1", given.DISPUTE)])[0], Accepted)


def test_a_scan_without_a_shift_reads_no_shifts(taker: Taker, monkeypatch: pytest.MonkeyPatch) -> None:
    taker.take(WORLD[:-1])
    open_shifts = [
        CheckIn(volunteer="V1", station="S1", occurred_at=NOW - 3600, shift=UUID(int=number)) for number in range(1, 99)
    ]
    taker.take(alone(*open_shifts))
    counted = Counted(monkeypatch)
    answers = taker.take(alone(*[given.CHECK_OUT_WITHOUT_SHIFT] * ORDERS))
    assert all(isinstance(answer, Accepted) for answer in answers)
    assert (counted.decoded, counted.folded) == (0, 0)


def test_published_rules_are_decoded_once_a_batch(taker: Taker, monkeypatch: pytest.MonkeyPatch) -> None:
    taker.take(WORLD)
    taker.take(alone(*(PublishRules(text=f"{TEXT}{number}") for number in range(20))))
    counted = Counted(monkeypatch)
    taker.take(alone(*[given.CORRECT] * ORDERS))
    assert counted.decoded <= 20 + ORDERS + 10


def test_a_full_record_is_refused_by_its_field_and_others_go_on(taker: Taker, database: Database) -> None:
    taker.take(WORLD)
    answers = taker.take(alone(*[given.CHECK_IN] * 400))
    (full,) = {answer for answer in answers if isinstance(answer, Refused)}
    assert (full.rejection, full.field, full.retry) == (Rejection.RECORD_FULL, "shift", False)
    assert isinstance(taker.take(alone(given.VOID))[0], Accepted)  # people can still put it right
    assert database.log.read(Position(0), 10_000)[-1].topic == "shift-voided.v1"
