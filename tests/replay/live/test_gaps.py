"""A position of the log that holds no event stops the follower with an alert that names it; nothing is skipped."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from ledger.names import Position
from ledger.store.database import Database
from replay.generations import store
from replay.generations.rebuild import rebuild
from replay.live.continuity import LogHoleError, LogShortError
from replay.live.follower import Follower
from tests.support.oracle.histories import history, rule_set, rules
from tests.support.replay.replaying import append, as_rules, as_sets, empty, replayed

RULES = as_rules(rules(rule_set()))
EVENTS = history(
    "\n".join(f"2018-12-{day:02} 09:00 in V1 U1 #{day}\n2018-12-{day:02} 12:00 out V1 U1 #{day}" for day in range(1, 9))
)
KNOWN, GONE = 6, 10
"""The read models' position, and the first of two that are deleted."""


@pytest.fixture
def ledger(database: Database, tmp_path: Path) -> Database:
    """A ledger with more in its log than in its read models."""
    archive, versions = empty(database, tmp_path / "archive"), Counter[UUID]()
    append(database, EVENTS[:KNOWN], versions)
    rebuild(database, archive, RULES)
    append(database, EVENTS[KNOWN:], versions)
    return database


def delete(database: Database, first: int, last: int) -> list[tuple[Any, ...]]:
    """Delete events from the log, as nobody may; return them."""
    with database.pool.connection() as connection:
        return connection.execute(
            "DELETE FROM ledger.stored_events WHERE notification_id BETWEEN %s AND %s RETURNING *", (first, last)
        ).fetchall()


def restore(database: Database, rows: list[tuple[Any, ...]]) -> None:
    with database.pool.connection() as connection:
        connection.cursor().executemany("INSERT INTO ledger.stored_events VALUES (%s, %s, %s, %s, %s)", rows)


def generation_of(database: Database) -> store.Generation:
    with database.pool.connection() as connection:
        generation = store.current_generation(connection)
    assert generation is not None
    return generation


def alert_of(follower: Follower) -> str:
    """Let a follower run until it stops by itself; return why."""
    follower.start()
    for _ in range(1_000):
        if follower.alert:
            break
        time.sleep(0.01)
    follower.close()
    assert follower.alert, "the follower did not stop"
    return follower.alert


def test_a_hole_stops_the_follower_behind_what_lies_before_it_and_the_alert_names_it(ledger: Database) -> None:
    gone = delete(ledger, GONE, GONE + 1)
    alert = alert_of(Follower(ledger))
    assert "positions 10 to 11 hold no event" in alert
    assert "restore the log from a backup" in alert
    generation = generation_of(ledger)
    assert generation.position == GONE - 1
    with ledger.pool.connection() as connection:
        found = store.read_rows(connection, generation)
    assert as_sets(found) == as_sets(replayed(EVENTS[: GONE - 1], RULES))
    restore(ledger, gone)
    assert Follower(ledger).catch_up() == len(EVENTS)
    assert generation_of(ledger).checksum == replayed(EVENTS, RULES).checksum()


def test_a_hole_right_behind_the_read_models_is_one_position(ledger: Database) -> None:
    delete(ledger, KNOWN + 1, KNOWN + 1)
    with pytest.raises(LogHoleError, match="position 7 holds no event") as told:
        Follower(ledger).catch_up()
    assert (told.value.first, told.value.last) == (KNOWN + 1, KNOWN + 1)
    assert generation_of(ledger).position == KNOWN


def test_a_log_that_ends_before_the_read_models_stops_the_follower(ledger: Database) -> None:
    delete(ledger, KNOWN - 1, len(EVENTS))
    assert ledger.log.head() == Position(KNOWN - 2)
    with pytest.raises(LogShortError, match=f"ends at position {KNOWN - 2}, but the read models are at {KNOWN}"):
        Follower(ledger).catch_up()
    assert generation_of(ledger).position == KNOWN
