"""Writing the log: what is copied comes back, positions are dense, and no follower can miss an event."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from struct import pack, unpack_from
from threading import Event, Thread
from uuid import UUID, uuid4

import psycopg
import pytest
from eventsourcing.persistence import IntegrityError
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import Connection
from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import LockNotAvailable, UniqueViolation
from psycopg.rows import TupleRow

from ledger.names import Position
from ledger.store.append import CHANNEL, Append, take_lock
from ledger.store.copy_format import Row, command_row, event_row, text_rows
from ledger.store.database import Database
from ledger.store.log_queries import LogReader
from tests.support.examples import examples
from tests.support.ledger.helpers import append_rows, wait_until_somebody_is_held_up
from tests.support.patience import PATIENCE_SECONDS

STATE = '{"recorded_at":1543888800}'


def row(number: int = 1) -> Row:
    return UUID(int=number), 1, "checked-in.v1", STATE


def write(database: Database, *rows: Row) -> None:
    append_rows(database, rows)


def append_lines(database: Database, *rows: Row) -> None:
    database.recorder.append_history([text_rows(rows, int(database.log.head()) + 1).encode()])


BOTH_FORMATS = pytest.mark.parametrize("put", [write, append_lines], ids=["binary", "text"])
Put = Callable[[Database, Row], None]


# --- what is copied comes back --------------------------------------------------------------------------------------


@BOTH_FORMATS
@settings(max_examples=examples(60), suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    state=st.one_of(st.text(st.characters(exclude_categories=["Cs"])), st.binary()),
    topic=st.sampled_from(["a.v1", "a\\b\t\n\r"]),
)
def test_any_state_comes_back_as_it_was_copied(database: Database, put: Put, state: str | bytes, topic: str) -> None:
    stream_id = uuid4()
    put(database, (stream_id, 1, topic, state))
    (stored,) = database.log.read_streams([stream_id])[stream_id]
    assert (stored.topic, stored.state) == (topic, state.encode() if isinstance(state, str) else state)


@BOTH_FORMATS
@pytest.mark.parametrize(
    "state", ['{"a":"\\\\\\""}', "\\x41", "\\N", "\\.", "\\\\.", "", "义工", "\x00", "\x7f", b"\xff\\", "'\";--"]
)
def test_awkward_states_come_back_as_they_were_copied(database: Database, put: Put, state: str | bytes) -> None:
    put(database, (UUID(int=1), 1, "a.v1", state))
    assert database.log.read(Position(0), 1)[0].state == (state.encode() if isinstance(state, str) else state)


def test_plain_json_is_copied_as_it_is_in_lines() -> None:
    assert text_rows([row(10)], 7) == f"{UUID(int=10).hex}\t1\tchecked-in.v1\t{STATE}\t7\n"


STATES = st.binary(max_size=70_000)


def fields_of(rows: bytes) -> Iterator[tuple[bytes, ...]]:
    """Yield the fields of rows in COPY's binary format, as PostgreSQL's manual has it."""
    place = 0
    while place < len(rows):
        (count,) = unpack_from(">h", rows, place)
        place += 2
        fields = []
        for _ in range(count):
            (length,) = unpack_from(">i", rows, place)
            fields.append(rows[place + 4 : place + 4 + length])
            place += 4 + length
        yield tuple(fields)


@given(rows=st.lists(st.tuples(st.uuids(), st.integers(0, 1 << 40), st.text(max_size=40), STATES), max_size=5))
def test_rows_can_be_read_back_from_what_is_copied(rows: list[tuple[UUID, int, str, bytes]]) -> None:
    copied = b"".join(
        event_row(stream_id.bytes, version, topic, state, position)
        for position, (stream_id, version, topic, state) in enumerate(rows, 7)
    )
    assert list(fields_of(copied)) == [
        (stream_id.bytes, pack(">q", version), topic.encode(), state, pack(">q", position))
        for position, (stream_id, version, topic, state) in enumerate(rows, 7)
    ]


@given(st.binary(min_size=16, max_size=16), st.binary(min_size=16, max_size=16), st.integers(1, (1 << 63) - 1))
def test_an_answered_command_can_be_read_back_from_what_is_copied(name: bytes, content: bytes, position: int) -> None:
    assert list(fields_of(command_row(name, content, position))) == [(name, content, pack(">q", position))]


def test_many_rows_get_consecutive_positions(database: Database) -> None:
    count = 10_001
    write(database, *(row(number) for number in range(count)))
    events = database.log.read(Position(0), count)
    assert [(event.position, event.stream_id.int) for event in events] == [(n + 1, n) for n in range(count)]


def test_a_transaction_that_is_cancelled_leaves_nothing_and_no_gap(database: Database) -> None:
    with database.recorder.append() as append, append.events() as rows:
        rows(event_row(UUID(int=1).bytes, 1, "a.v1", STATE.encode(), 1))
        append.cancel()
    assert database.log.head() == 0
    write(database, row())
    assert database.log.head() == 1


def test_a_version_is_written_once(database: Database) -> None:
    write(database, row())
    with pytest.raises(IntegrityError):
        write(database, row())
    with pytest.raises(UniqueViolation):
        append_lines(database, row())
    assert database.log.head() == 1


def test_a_writer_that_fails_leaves_no_gap(database: Database) -> None:
    write(database, row(1))
    with pytest.raises(IntegrityError):
        write(database, row(2), row(1))
    write(database, row(3))
    assert [event.position for event in database.log.read(Position(0), 9)] == [1, 2]


def test_followers_are_told_the_new_head_on_commit(database: Database) -> None:
    with psycopg.connect(database.url, autocommit=True) as follower:
        follower.execute(f"LISTEN {CHANNEL}")
        write(database, row(1), row(2))
        (notice,) = follower.notifies(timeout=PATIENCE_SECONDS, stop_after=1)
    assert notice.payload == "2"


# --- history --------------------------------------------------------------------------------------------------------


def test_history_is_appended_chunk_by_chunk(database: Database) -> None:
    write(database, row(1))
    chunks = [text_rows([row(2), row(3)], 2).encode(), text_rows([row(4)], 4).encode()]
    assert database.recorder.append_history(chunks) == 4
    assert [event.stream_id.int for event in database.log.read(Position(0), 9)] == [1, 2, 3, 4]


@pytest.mark.parametrize("first", [1, 3, 4], ids=["a position taken", "one left out", "far beyond"])
def test_history_that_does_not_go_on_from_the_head_is_refused(database: Database, first: int) -> None:
    write(database, row(1))
    with pytest.raises((ValueError, UniqueViolation)):
        database.recorder.append_history([text_rows([row(2), row(3)], first).encode()])
    assert database.log.head() == 1


def test_history_with_a_gap_inside_a_chunk_is_refused(database: Database) -> None:
    chunk = text_rows([row(1)], 1) + text_rows([row(2)], 3)
    with pytest.raises(ValueError, match="position 1 without a gap"):
        database.recorder.append_history([chunk.encode()])
    assert database.log.head() == 0


# --- the order that followers see -----------------------------------------------------------------------------------

Insert = Callable[[Connection[TupleRow], UUID], object]
"""Adds one event within the connection's transaction, with whatever lock the writer takes."""


class Unlocked(Append):
    """An append that takes no lock."""

    def __init__(self, connection: Connection[TupleRow]) -> None:
        self.connection = connection
        self.log = LogReader(connection)


def insert_by(append: Append, stream_id: UUID) -> None:
    position = append.log.head() + 1
    with append.events() as rows:
        rows(event_row(stream_id.bytes, 1, "a.v1", STATE.encode(), position))


def ledger_insert(connection: Connection[TupleRow], stream_id: UUID) -> None:
    insert_by(Append(connection), stream_id)


def ledger_insert_without_lock(connection: Connection[TupleRow], stream_id: UUID) -> None:
    insert_by(Unlocked(connection), stream_id)


def sequence_insert_without_lock(connection: Connection[TupleRow], stream_id: UUID) -> None:
    connection.execute("INSERT INTO stored_events VALUES (%s, 1, 'a.v1', 'x')", (stream_id,))


def overtaking(url: str, table: str, insert: Insert) -> tuple[list[list[int]], list[BaseException]]:
    """Let a slow writer insert and dawdle while a fast one inserts and commits; return what a follower saw each time.

    The follower looks first when the fast writer has finished or is held up, and again when both have finished.
    """
    seen: list[list[int]] = []
    errors: list[BaseException] = []
    done = Event()

    def look() -> None:
        with psycopg.connect(url) as follower:
            seen.append([n for (n,) in follower.execute(f"SELECT notification_id FROM {table} ORDER BY 1")])  # noqa: S608 - the test's own names

    def fast() -> None:
        try:
            with psycopg.connect(url) as connection:
                insert(connection, UUID(int=2))
        except psycopg.Error as error:
            errors.append(error)
        done.set()

    thread = Thread(target=fast)
    with psycopg.connect(url) as slow:
        insert(slow, UUID(int=1))
        thread.start()
        wait_until_somebody_is_held_up(url, unless=done)
        look()
    thread.join()
    look()
    return seen, errors


def misses_an_event(seen: list[list[int]]) -> bool:
    """Return whether a follower that goes on from the last position it saw misses one that appears later."""
    at_first, in_the_end = seen
    return any(position < max(at_first, default=0) for position in set(in_the_end) - set(at_first))


def test_a_slow_writer_cannot_be_overtaken(database: Database) -> None:
    seen, errors = overtaking(database.url, "ledger.stored_events", ledger_insert)
    assert not errors
    assert seen == [[], [1, 2]]
    assert not misses_an_event(seen)


def test_without_the_lock_a_dense_position_still_makes_the_second_writer_fail(database: Database) -> None:
    seen, errors = overtaking(database.url, "ledger.stored_events", ledger_insert_without_lock)
    assert [type(error) for error in errors] == [UniqueViolation]
    assert seen == [[], [1]]


def test_the_stock_table_without_its_lock_lets_a_follower_miss_an_event(database_url: str) -> None:
    """The failure that the lock is for: this shows that the test above could see it."""
    parts = conninfo_to_dict(database_url)
    names = {name: str(parts.get(name) or "") for name in ("dbname", "host", "port", "user", "password")}
    with PostgresDatastore(**names) as datastore:  # type: ignore[arg-type]
        PostgresApplicationRecorder(datastore).create_table()
    seen, errors = overtaking(database_url, "stored_events", sequence_insert_without_lock)
    assert not errors
    assert seen == [[2], [1, 2]]
    assert misses_an_event(seen)


def test_a_writer_does_not_wait_for_ever(database: Database) -> None:
    with database.pool.connection() as holder, holder.transaction(), holder.cursor() as cursor:
        take_lock(cursor)
        with (
            database.pool.connection() as waiting,
            pytest.raises(LockNotAvailable),
            waiting.transaction(),
            waiting.cursor() as other,
        ):
            take_lock(other, timeout_seconds=1)


def test_a_writer_sees_what_the_last_one_left_whatever_the_default_isolation(database: Database) -> None:
    name = conninfo_to_dict(database.url)["dbname"]
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = 'repeatable read'")
    heads: list[int] = []
    with Database.open(database.url) as strict:
        finished = Event()

        def second() -> None:
            with strict.recorder.append() as append:
                heads.append(append.log.head())
            finished.set()

        thread = Thread(target=second)
        with strict.recorder.append() as append:
            thread.start()
            wait_until_somebody_is_held_up(database.url, unless=finished)
            insert_by(append, UUID(int=1))
        thread.join()
    assert heads == [1]


def test_vacuum_is_not_kept_out_by_a_writer(database: Database) -> None:
    with database.recorder.append() as append:
        insert_by(append, UUID(int=1))
        with psycopg.connect(database.url, autocommit=True) as other:
            other.execute("SET lock_timeout = '2s'")
            other.execute("VACUUM (SKIP_LOCKED false) ledger.stored_events")
