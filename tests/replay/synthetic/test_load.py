"""Loading a synthetic history: whole, in pieces, or not at all."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ledger.aggregates.station import StationClosed
from ledger.names import Position
from ledger.store.copy_format import text_rows
from ledger.store.database import Database
from ledger.store.mapper import encode
from replay.synthetic import History, HistoryConflictError, HistoryWriterError, loading, simulate, write_history
from replay.synthetic.planning.days import END_INSTANT
from tests.support.replay.simulating import RULES, lines_of, read_rows

TINY = 0.001
CREDITED = round(18_000_000 * 60 * TINY)


@cache
def tiny() -> History:
    """The history that is loaded."""
    return simulate(TINY, 1, RULES)


@cache
def tiny_lines() -> bytes:
    """Its events before the opening balances, as they are written."""
    return lines_of(tiny())


def stored(database: Database) -> bytes:
    events = database.log.read(Position(0), 100_000)
    return text_rows([(row.stream_id, row.version, row.topic, row.state) for row in events], 1).encode()


@pytest.mark.usefixtures("spawned_writers")
def test_a_load_holds_the_history_and_then_the_opening_balances(database: Database, tmp_path: Path) -> None:
    history = tiny()
    heads: list[int] = []

    def now_credited() -> int:
        heads.append(int(database.log.head()))
        return CREDITED

    seen: list[tuple[int, int]] = []
    loaded = write_history(
        database,
        history,
        now_credited,
        labels=tmp_path / "labels.parquet",
        chunk_events=5_000,
        progress=lambda done, in_all: seen.append((done, in_all)),
    )
    assert loaded == (history.events, history.events, True)
    assert heads == [history.electronic_events]
    assert seen[-1] == (history.events, history.events)
    assert [done for done, _ in seen[:2]] == [5_000, 10_000]
    assert stored(database) == tiny_lines() + history.openings.chunk(CREDITED).lines
    assert len(pq.read_table(tmp_path / "labels.parquet")) == history.write_labels(tmp_path / "again.parquet")
    assert write_history(database, history, lambda: pytest.fail("all is there")) == (history.events, 0, True)


@pytest.mark.parametrize("chunks", [0, 1, 3])
def test_a_stopped_load_goes_on_where_it_stood(database: Database, chunks: int) -> None:
    history = tiny()
    answers = iter([False] * chunks + [True])
    loaded = write_history(database, history, lambda: CREDITED, chunk_events=3_000, stop=lambda: next(answers))
    assert loaded == (3_000 * chunks, 3_000 * chunks, False)
    loaded = write_history(database, history, lambda: CREDITED, chunk_events=4_000)
    assert loaded == (history.events, history.events - 3_000 * chunks, True)
    assert stored(database) == tiny_lines() + history.openings.chunk(CREDITED).lines


def test_a_load_stopped_before_the_opening_balances_goes_on_with_them(database: Database) -> None:
    history = tiny()
    answers = iter([False, True])
    loaded = write_history(database, history, lambda: pytest.fail("stopped"), stop=lambda: next(answers))
    assert loaded == (history.electronic_events, history.electronic_events, False)
    assert write_history(database, history, lambda: CREDITED).complete


@pytest.mark.parametrize("other", [(TINY, 2, RULES), (0.0011, 1, RULES), (TINY, 1, RULES + "\n# edited")])
def test_a_ledger_that_holds_another_history_is_refused(database: Database, other: tuple[float, int, str]) -> None:
    database.recorder.append_history([next(simulate(*other).chunks(size=2_000)).lines])
    with pytest.raises(HistoryConflictError, match="with a ledger of `hours init --no-rules`"):
        write_history(database, tiny(), lambda: CREDITED)
    assert database.log.head() == 2_000


def test_a_ledger_that_went_on_by_itself_is_refused(database: Database) -> None:
    history = tiny()
    database.recorder.append_history([tiny_lines()])
    event = StationClosed(
        occurred_at=END_INSTANT, recorded_at=END_INSTANT, by="person:x", command="a#1", station="C01", reason="x"
    )
    topic, state = encode(event)
    line = text_rows([(event.stream_id, 2, topic, state)], history.electronic_events + 1)
    database.recorder.append_history([line.encode()])
    with pytest.raises(HistoryConflictError, match="other events than the opening balances"):
        write_history(database, history, lambda: CREDITED)


def test_a_ledger_that_holds_the_whole_history_and_more_is_left_alone(database: Database) -> None:
    history = tiny()
    write_history(database, history, lambda: CREDITED)
    (first,) = read_rows(history.line(1))
    line = text_rows([(first.event.stream_id, 2, first.topic, first.state)], history.events + 1)
    database.recorder.append_history([line.encode()])
    assert write_history(database, history, lambda: pytest.fail("all is there")) == (history.events + 1, 0, True)


def test_another_writer_during_a_load_stops_it(database: Database) -> None:
    history = tiny()
    (first,) = read_rows(history.line(1))

    def interfere(done: int, _: int) -> None:
        line = text_rows([(first.event.stream_id, 2, first.topic, first.state)], done + 1)
        database.recorder.append_history([line.encode()])

    with pytest.raises(HistoryConflictError, match="a separate ledger"):
        write_history(database, history, lambda: CREDITED, chunk_events=3_000, progress=interfere)
    assert database.log.head() == 3_001


@pytest.mark.usefixtures("spawned_writers")
def test_a_failure_of_the_writing_process_is_reported(database: Database, tmp_path: Path) -> None:
    with pytest.raises(HistoryWriterError, match="FileNotFoundError"):
        write_history(database, tiny(), lambda: CREDITED, labels=tmp_path / "absent" / "labels.parquet")


@pytest.mark.usefixtures("spawned_writers")
def test_a_writing_process_that_was_killed_is_reported() -> None:
    job = loading._Job(TINY, 1, RULES, 0, 1_000, None)
    with loading._writing(job) as messages:
        messages.next(loading._Contents)
        with pytest.raises(HistoryWriterError, match="sent an unexpected"):
            messages.next(loading._Contents)
