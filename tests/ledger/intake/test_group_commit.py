"""Group commit: concurrent callers share a transaction, a full queue says so, and closing loses nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from threading import Event
from typing import cast

import pytest

from ledger.intake import group_commit
from ledger.intake.answers import ONE_BY_ONE, Accepted, Answer, Terms
from ledger.intake.group_commit import GroupCommit, QueueFull
from ledger.intake.intake import Intake
from ledger.intake.prepare import Prepared, prepare, prepare_all
from ledger.names import Position
from ledger.store.database import Database
from tests.ledger.decisions import test_decide as given
from tests.support.ledger.helpers import NOW
from tests.support.ledger.orders import order_of
from tests.support.patience import PATIENCE_SECONDS


class Recorder:
    """Stands in for an intake: answers with consecutive positions, notes its batches, and waits until it is let go."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.entered = Event()
        self.go = Event()
        self.error: Exception | None = None

    def execute_prepared(self, orders: Sequence[Prepared], terms: Terms = ONE_BY_ONE) -> list[Answer]:
        assert terms == ONE_BY_ONE or len(orders) == 1
        self.batches.append([one.order.id for one in orders])
        self.entered.set()
        assert self.go.wait(timeout=PATIENCE_SECONDS)
        if self.error:
            raise self.error
        return [Accepted(Position(int(one.order.id)), duplicate=False, shift=None) for one in orders]


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    recorder = Recorder()
    yield recorder
    recorder.go.set()


def orders(*numbers: int) -> list[Prepared]:
    return prepare_all(order_of(command=given.V1, source="t", id=str(number), by="person:p") for number in numbers)


def committing(recorder: Recorder, queue_orders_max: int = 100) -> GroupCommit:
    return GroupCommit(cast(Intake, recorder), queue_orders_max)


def positions(answers: Sequence[Answer]) -> list[int]:
    return [answer.position or 0 for answer in answers if isinstance(answer, Accepted)]


def test_what_arrives_during_a_commit_shares_the_next_one(recorder: Recorder) -> None:
    with committing(recorder) as commit:
        first = commit.submit(orders(1))
        assert recorder.entered.wait(timeout=PATIENCE_SECONDS)
        others = [commit.submit(orders(2, 3)), commit.submit(orders(4)), commit.submit([])]
        recorder.go.set()
        assert positions(first.result()) == [1]
        assert [positions(other.result()) for other in others] == [[2, 3], [4], []]
    assert recorder.batches == [["1"], ["2", "3", "4"]]


def test_a_large_submission_keeps_nobody_waiting(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "SLICE_ORDERS_MAX", 2)
    monkeypatch.setattr(group_commit, "BATCH_ORDERS_MAX", 3)
    monkeypatch.setattr(group_commit, "COUNTER_ORDERS_MAX", 1)
    with committing(recorder) as commit:
        commit.submit(orders(0))
        assert recorder.entered.wait(timeout=PATIENCE_SECONDS)
        large, small = commit.submit(orders(1, 2, 3, 4, 5)), commit.submit(orders(9))
        recorder.go.set()
        assert positions(large.result()) == [1, 2, 3, 4, 5]
        assert positions(small.result()) == [9]
    assert recorder.batches == [["0"], ["9", "1", "2"], ["3", "4"], ["5"]]


@pytest.mark.parametrize(
    ("seconds", "batches"), [(3600.0, [["0"], ["1"], ["2"], ["3"]]), (0.0, [["0"], ["1", "2", "3"]])]
)
def test_batches_are_short_while_counters_send(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch, seconds: float, batches: list[list[str]]
) -> None:
    monkeypatch.setattr(group_commit, "COUNTER_ORDERS_MAX", 1)
    monkeypatch.setattr(group_commit, "COUNTER_SECONDS", seconds)
    monkeypatch.setattr(group_commit, "SHORT_BATCH_ORDERS_MAX", 1)
    with committing(recorder) as commit:
        commit.submit(orders(0))
        assert recorder.entered.wait(timeout=PATIENCE_SECONDS)
        large = commit.submit(orders(1, 2, 3))
        recorder.go.set()
        assert positions(large.result()) == [1, 2, 3]
    assert recorder.batches == batches


def test_large_submissions_that_fill_the_queue_leave_room_for_small_ones(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "COUNTER_ORDERS_MAX", 1)
    with committing(recorder, queue_orders_max=10) as commit:
        commit.submit(orders(0))
        assert recorder.entered.wait(timeout=PATIENCE_SECONDS)
        large = commit.submit(orders(*range(1, 10)))
        with pytest.raises(QueueFull, match="9 orders are waiting, of at most 9"):
            commit.submit(orders(11, 12))
        small = commit.submit(orders(13))
        with pytest.raises(QueueFull, match="10 orders are waiting, of at most 10"):
            commit.submit(orders(14))
        recorder.go.set()
        assert positions(large.result() + small.result()) == [*range(1, 10), 13]


def test_large_submissions_keep_their_order_in_short_batches(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "COUNTER_ORDERS_MAX", 1)
    monkeypatch.setattr(group_commit, "COUNTER_SECONDS", 3600.0)
    monkeypatch.setattr(group_commit, "SHORT_BATCH_ORDERS_MAX", 2)
    with committing(recorder) as commit:
        commit.submit(orders(0))
        assert recorder.entered.wait(timeout=PATIENCE_SECONDS)
        submitted = [commit.submit(orders(*each)) for each in ((1, 2, 3), (4, 5), (9,))]
        recorder.go.set()
        assert [positions(one.result()) for one in submitted] == [[1, 2, 3], [4, 5], [9]]
    assert recorder.batches == [["0"], ["9", "1", "2"], ["3", "4"], ["5"]]


def test_a_flood_of_small_submissions_starves_no_large_one(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "COUNTER_ORDERS_MAX", 1)
    monkeypatch.setattr(group_commit, "BATCH_ORDERS_MAX", 2)
    with committing(recorder) as commit:
        commit.submit(orders(0))
        assert recorder.entered.wait(timeout=PATIENCE_SECONDS)
        submitted = [commit.submit(orders(*each)) for each in ((1, 2), (5,), (6,), (7,))]
        recorder.go.set()
        assert [positions(one.result()) for one in submitted] == [[1, 2], [5], [6], [7]]
    assert recorder.batches == [["0"], ["5", "1"], ["6", "2"], ["7"]]


def test_what_is_executed_alone_is_deferred_once(recorder: Recorder) -> None:
    with committing(recorder) as commit:
        commit.submit(orders(0))
        assert recorder.entered.wait(timeout=PATIENCE_SECONDS)
        recorder.entered.clear()
        first = [commit.submit(orders(1), Terms(dry_run=True)), commit.submit(orders(2), Terms(atomic=True))]
        small = commit.submit(orders(3))
        recorder.go.set()
        assert [positions(one.result()) for one in (*first, small)] == [[1], [2], [3]]
    assert recorder.batches == [["0"], ["3"], ["1"], ["2"]]


def test_what_fits_in_a_slice_is_decided_before_what_came_later(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that posts two batches without waiting relies on it, wherever a full batch cuts the first."""
    monkeypatch.setattr(group_commit, "SLICE_ORDERS_MAX", 2)
    monkeypatch.setattr(group_commit, "BATCH_ORDERS_MAX", 3)
    with committing(recorder) as commit:
        commit.submit(orders(0))
        assert recorder.entered.wait(timeout=PATIENCE_SECONDS)
        submitted = [commit.submit(orders(*pair)) for pair in ((1, 2), (3, 4), (5, 6), (7,))]
        recorder.go.set()
        assert [positions(one.result()) for one in submitted] == [[1, 2], [3, 4], [5, 6], [7]]
    assert recorder.batches == [["0"], ["1", "2", "3"], ["4", "5", "6"], ["7"]]


def test_a_full_queue_says_so_and_takes_orders_again_later(recorder: Recorder) -> None:
    with committing(recorder, queue_orders_max=3) as commit:
        first = commit.submit(orders(1))
        assert recorder.entered.wait(timeout=PATIENCE_SECONDS)
        waiting = commit.submit(orders(2, 3, 4))
        with pytest.raises(QueueFull, match="3 orders are waiting"):
            commit.submit(orders(5))
        recorder.go.set()
        assert positions(first.result() + waiting.result()) == [1, 2, 3, 4]
        assert positions(commit.submit(orders(5)).result()) == [5]


def test_the_databases_error_reaches_whoever_submitted_and_nobody_else(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "SLICE_ORDERS_MAX", 2)
    with committing(recorder, queue_orders_max=5) as commit:
        recorder.error = RuntimeError("no database")
        failing = commit.submit(orders(1, 2, 3))
        recorder.go.set()
        with pytest.raises(RuntimeError, match="no database"):
            failing.result()
        recorder.error = None
        assert positions(commit.submit(orders(5, 6, 7, 8, 9)).result()) == [5, 6, 7, 8, 9]
    assert ["3"] not in recorder.batches


def test_closing_executes_what_waits_and_takes_no_more(recorder: Recorder) -> None:
    commit = committing(recorder)
    futures = [commit.submit(orders(number)) for number in range(5)]
    recorder.go.set()
    commit.close()
    assert [positions(future.result(timeout=0)) for future in futures] == [[0], [1], [2], [3], [4]]
    with pytest.raises(RuntimeError, match="accepts no more orders"):
        commit.submit(orders(6))


def test_an_order_cannot_be_taken_back(recorder: Recorder) -> None:
    with committing(recorder) as commit:
        future = commit.submit(orders(1))
        assert not future.cancel()
        recorder.go.set()
        assert positions(future.result()) == [1]


def test_orders_reach_the_log(database: Database) -> None:
    commands = (given.V1, given.STATION, given.CHECK_IN)
    with GroupCommit(Intake(database, clock=lambda: NOW)) as commit:
        futures = [
            commit.submit([prepare(order_of(command=command, source="t", id=str(number), by="person:p"))])
            for number, command in enumerate(commands)
        ]
        assert [positions(future.result()) for future in futures] == [[1], [2], [3]]
    assert database.log.head() == 3


def test_an_atomic_submission_is_executed_alone(recorder: Recorder) -> None:
    atomic = Terms(atomic=True)
    with committing(recorder) as commit:
        futures = [commit.submit(orders(1))]
        assert recorder.entered.wait(timeout=PATIENCE_SECONDS)
        futures += [commit.submit(orders(2)), commit.submit(orders(3), atomic), commit.submit(orders(4), atomic)]
        futures += [commit.submit(orders(5)), commit.submit(orders(6))]
        recorder.go.set()
        for future in futures:
            future.result(timeout=PATIENCE_SECONDS)
    assert recorder.batches == [["1"], ["2", "5", "6"], ["3"], ["4"]]
