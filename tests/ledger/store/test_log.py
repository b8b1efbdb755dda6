"""Reading the log, and opening the database it is in."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest

from ledger.names import Position
from ledger.store.copy_format import text_rows
from ledger.store.database import Database


@pytest.fixture
def log(database: Database) -> Database:
    """Nine events: three streams in turn, recorded at the instants 100, 100, 100, 200, 200, 200, 300, 300, 300."""
    rows = [(UUID(int=n % 3), n // 3 + 1, "a.v1", f'{{"recorded_at":{(n // 3 + 1) * 100}}}') for n in range(9)]
    database.recorder.append_history([text_rows(rows, 1).encode()])
    return database


@pytest.mark.parametrize(
    ("after", "limit", "until", "positions"),
    [
        (0, 3, None, [1, 2, 3]),
        (7, 9, None, [8, 9]),
        (9, 9, None, []),
        (2, 9, 4, [3, 4]),
        (2, 9, 2, []),
        (0, 9, 0, []),
    ],
)
def test_events_are_read_by_position(
    log: Database, after: int, limit: int, until: int | None, positions: list[int]
) -> None:
    events = log.log.read(Position(after), limit, None if until is None else Position(until))
    assert [event.position for event in events] == positions


def test_streams_are_read_whole_or_up_to_a_position(log: Database) -> None:
    streams = log.log.read_streams([UUID(int=0), UUID(int=2), UUID(int=77)])
    assert {stream.int: [event.position for event in events] for stream, events in streams.items()} == {
        0: [1, 4, 7],
        2: [3, 6, 9],
    }
    streams = log.log.read_streams([UUID(int=0), UUID(int=2)], until=Position(2))
    assert [event.version for event in streams[UUID(int=0)]] == [1]
    assert list(streams) == [UUID(int=0)]
    assert log.log.read_streams([]) == {}


@pytest.mark.parametrize(
    ("instant", "position"), [(0, 0), (99, 0), (100, 3), (199, 3), (200, 6), (299, 6), (300, 9), (10**9, 9)]
)
def test_an_instant_is_turned_into_the_last_position_recorded_by_then(
    log: Database, instant: int, position: int
) -> None:
    assert log.log.position_at(instant) == position


def test_an_empty_log_has_no_head_and_no_past(database: Database) -> None:
    assert (database.log.head(), database.log.position_at(10**9), database.log.read(Position(0), 9)) == (0, 0, [])


def test_the_tables_are_made_once_however_many_open_the_ledger_at_once(database_url: str) -> None:
    def identity(_: int) -> UUID:
        with Database.open(database_url) as database:
            return database.log.identity()

    with ThreadPoolExecutor(6) as executor:
        assert len(set(executor.map(identity, range(6)))) == 1


def test_two_ledgers_have_two_identities(database: Database, new_database_url: Callable[[], str]) -> None:
    with Database.open(new_database_url()) as other:
        assert other.log.identity() != database.log.identity()


def test_opening_the_ledger_does_not_wait_for_a_writer(database: Database) -> None:
    with database.pool.connection() as connection, connection.transaction():
        connection.execute("INSERT INTO ledger.stored_events VALUES (gen_random_uuid(), 1, 'a.v1', '{}', 1)")
        Database.open(database.url).close()
