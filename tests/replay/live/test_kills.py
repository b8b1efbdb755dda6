"""A follower that was started late, stopped, killed in mid-batch or joined by others ends equal to a fresh rebuild."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import pytest

from ledger.store.database import Database
from replay.archive.archive import Archive
from replay.generations import store
from replay.generations.rebuild import rebuild
from replay.live import follower as follower_module
from replay.live.follower import Follower
from tests.support.processes.program import Program
from tests.support.replay.following import BATCH_EVENTS, COMMIT, EVENTS, NOTHING, RULES
from tests.support.replay.replaying import append, as_sets, empty, replayed

SIGKILL = 9
BEGUN = 5
"""The position of the first generation: everything after it is the followers' work."""
Order = Callable[[str, int], None]


def holds(database: Database) -> int:
    """Hold the read models to a replay of the log up to their position; return this."""
    with database.pool.connection() as connection, connection.transaction():
        store.take_follower_lock(connection)  # waits until the server has noticed that a killed follower is gone
        generation = store.current_generation(connection)
        assert generation is not None
        found = store.read_rows(connection, generation)
    expected = replayed(EVENTS[: generation.position], RULES)
    assert as_sets(found) == as_sets(expected)
    assert generation.checksum == found.checksum() == expected.checksum()
    return generation.position


@pytest.fixture
def ledger(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Database, Archive]:
    """A ledger whose read models are far behind its log."""
    monkeypatch.setattr(follower_module, "BATCH_EVENTS", BATCH_EVENTS)
    archive, versions = empty(database, tmp_path / "archive"), Counter[UUID]()
    append(database, EVENTS[:BEGUN], versions)
    rebuild(database, archive, RULES)
    append(database, EVENTS[BEGUN:], versions)
    return database, archive


@pytest.fixture
def order(ledger: tuple[Database, Archive]) -> Iterator[tuple[Order, Callable[[], int]]]:
    """Two functions: let another process follow until a step, and wait for the signal it died of."""
    with Program("-m", "tests.support.replay.following", ledger[0].url) as process:
        orders, answers = process.stdin, process.stdout

        def send(step: str, call: int) -> None:
            orders.write(json.dumps({"step": step, "call": call}) + "\n")
            orders.flush()

        yield send, lambda: int(answers.readline())
        orders.close()


def test_a_follower_killed_at_any_step_leaves_whole_batches_and_ends_equal_to_a_rebuild(
    ledger: tuple[Database, Archive], order: tuple[Order, Callable[[], int]]
) -> None:
    (database, archive), (send, died_of) = ledger, order
    deaths = {
        "resolve_events": 0,
        "add_station_days": 0,
        "add_hours": 1,  # the first batch is whole, the second is not
        "write_facts": 0,
        "may_have_changed": 0,
        COMMIT: 1,
        "add_months": 1,
    }
    reached = BEGUN
    for step, batches in deaths.items():
        send(step, batches if step == COMMIT else batches + 1)
        assert died_of() == SIGKILL, step
        before, reached = reached, holds(database)
        assert reached == before + batches * BATCH_EVENTS, step
    assert reached < len(EVENTS) - BATCH_EVENTS
    assert Follower(database).catch_up() == len(EVENTS)
    assert holds(database) == len(EVENTS)
    with database.pool.connection() as connection:
        followed = store.current_generation(connection)
    anew = rebuild(database, archive, RULES, new_facts=True).generation  # it refuses another checksum by itself
    assert followed is not None
    assert anew.checksum == followed.checksum


def test_followers_of_several_processes_share_the_work_and_count_nothing_twice(
    ledger: tuple[Database, Archive], order: tuple[Order, Callable[[], int]]
) -> None:
    (database, _), (send, died_of) = ledger, order
    followers = [Follower(database), Follower(database)]
    send(NOTHING, 0)
    for follower in followers:
        follower.start()
    assert died_of() == 0
    for follower in followers:
        follower.close()
        assert follower.alert is None
    assert holds(database) == len(EVENTS)


def test_a_follower_started_late_and_stopped_again_and_again_ends_equal(ledger: tuple[Database, Archive]) -> None:
    database, archive = ledger
    reached = BEGUN
    while reached < len(EVENTS):
        follower = Follower(database)
        follower.start()
        follower.close()
        taken, reached = reached, holds(database)
        if reached == taken:  # it was stopped before it had begun
            reached += Follower(database).process_batch()
    assert holds(database) == len(EVENTS)
    assert rebuild(database, archive, RULES).generation.position == len(EVENTS)
