"""The archivist: the archive grows by itself, is mended by itself, and what cannot be mended is told."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from ledger.store.database import Database
from projections.kernels.facts import facts_of
from replay.archive import growth
from replay.archive.archive import Archive
from replay.archive.archivist import Archivist, Policy
from replay.archive.checking import check
from replay.archive.manifest import MANIFEST
from replay.archive.segments import SHIFTS
from tests.support.patience import PATIENCE_SECONDS
from tests.support.replay.archives import EVENTS, Growing, assert_same_facts

AT_ONCE = Policy(events_behind_max=1, poll_seconds=0.01, retry_seconds_max=0.02)


@pytest.fixture(autouse=True)
def _unflushed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here outlives a power cut, and a busy disk takes long to be flushed."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def growing(database: Database, tmp_path: Path) -> Growing:
    return Growing(database, tmp_path / "archive")


@pytest.fixture
def archivist(growing: Growing) -> Iterator[Callable[[Policy], Archivist]]:
    """A function that makes an archivist, which is closed at the end."""
    made: list[Archivist] = []

    def make(policy: Policy) -> Archivist:
        made.append(Archivist(growing.database, growing.archive, policy))
        return made[-1]

    yield make
    for each in made:
        each.close()


def until(true: Callable[[], object]) -> None:
    """Wait for something that comes soon."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_it_waits_until_there_is_enough(growing: Growing, archivist: Callable[[Policy], Archivist]) -> None:
    one = archivist(Policy(events_behind_max=10, seconds_behind_max=3600))
    growing.write(9)
    one.run_once()
    assert growing.another().position == 0
    growing.write(1)
    one.run_once()
    assert growing.another().position == 10


def test_no_event_waits_too_long(growing: Growing, archivist: Callable[[Policy], Archivist]) -> None:
    one = archivist(Policy(events_behind_max=1000, seconds_behind_max=0.2))
    growing.write(1)
    one.run_once()
    assert growing.another().position == 0
    time.sleep(0.25)
    one.run_once()
    assert growing.another().position == 1
    growing.write(1)
    one.run_once()  # the waiting begins anew
    assert growing.another().position == 1


def test_it_works_in_a_thread_and_stops(growing: Growing, archivist: Callable[[Policy], Archivist]) -> None:
    one, before = archivist(AT_ONCE), set(threading.enumerate())
    one.start()
    assert [thread.name for thread in set(threading.enumerate()) - before] == ["archivist"]
    growing.write(9)
    until(lambda: growing.another().position == 9)
    growing.write()
    until(lambda: growing.another().position == len(EVENTS))
    one.close()
    assert "archivist" not in {thread.name for thread in set(threading.enumerate()) - before}
    assert check(growing.another(), growing.database) == []


def test_of_two_one_works_until_it_ends(growing: Growing) -> None:
    first, second = (Archivist(growing.database, growing.another(), AT_ONCE) for _ in range(2))
    growing.write(3)
    first.run_once()
    growing.write(3)
    second.run_once()
    assert growing.another().position == 3
    first.close()
    second.run_once()
    assert growing.another().position == 6
    second.close()


def test_dictionaries_of_a_growth_that_failed_are_not_used_again(
    growing: Growing, archivist: Callable[[Policy], Archivist], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = archivist(AT_ONCE)
    growing.write(9)
    one.run_once()
    growing.write(6)
    with pytest.MonkeyPatch.context() as context:
        context.setattr(growth, "digests_of", no_room)
        with pytest.raises(Exception, match="No space left"):
            one.run_once()
    one.run_once()
    assert_same_facts(growing.another().facts(), facts_of(EVENTS[:15]))


def no_room(*_: object) -> Any:
    raise OSError(28, "No space left on device")


# --- what goes wrong ------------------------------------------------------------------------------------------------


def test_a_full_disk_is_told_for_as_long_as_it_is_full(
    growing: Growing, archivist: Callable[[Policy], Archivist]
) -> None:
    one = archivist(AT_ONCE)
    with pytest.MonkeyPatch.context() as context:
        context.setattr(growth, "digests_of", no_room)
        growing.write(3)
        one.start()
        until(lambda: one.alert)
        assert one.alert is not None
        assert "No space left on device" in one.alert
        assert "free some space" in one.alert
    until(lambda: one.alert is None)
    assert growing.another().position == 3


def test_a_manifest_that_cannot_be_read_is_made_anew(
    growing: Growing, archivist: Callable[[Policy], Archivist]
) -> None:
    one = archivist(AT_ONCE)
    growing.write(9)
    one.run_once()
    for content in ("{", json.dumps({"format": 2, "segments": []})):
        (growing.folder / MANIFEST).write_text(content)
        one.run_once()
        assert_same_facts(growing.another().facts(), facts_of(EVENTS[:9]))


def test_a_file_that_is_damaged_is_found_in_turn_and_made_anew(
    growing: Growing, archivist: Callable[[Policy], Archivist], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growth, "SEGMENT_EVENTS", 8)
    one = archivist(Policy(events_behind_max=1, check_seconds=0))
    growing.write()
    one.run_once()
    assert growing.archive.manifest.edition == 1
    path = growing.folder / growing.archive.segments[2].folder / SHIFTS
    path.write_bytes(path.read_bytes()[:-1])
    for _ in range(4):
        one.run_once()
    assert growing.archive.manifest.edition == 2
    assert check(growing.another(), growing.database) == []


def test_a_log_that_was_restored_is_told_and_nothing_is_replaced(
    growing: Growing, archivist: Callable[[Policy], Archivist]
) -> None:
    one = archivist(AT_ONCE)
    growing.write(9)
    one.run_once()
    with growing.database.pool.connection() as connection:
        connection.execute("DELETE FROM ledger.stored_events WHERE notification_id > 7")
    before = (growing.folder / MANIFEST).read_bytes()
    one.start()
    until(lambda: one.alert)
    one.close()
    assert "it holds 9 events, the log only 7" in str(one.alert)
    assert (growing.folder / MANIFEST).read_bytes() == before
    assert growing.archive.disagreement() is not None


def test_another_ledger_s_archive_is_told_and_left_alone(
    growing: Growing, archivist: Callable[[Policy], Archivist]
) -> None:
    growing.write(9)
    growing.archive.catch_up(growing.database)
    before = (growing.folder / MANIFEST).read_bytes()
    foreign = Archive(growing.folder, UUID(int=1))
    one = Archivist(growing.database, foreign, AT_ONCE)
    one.start()
    until(lambda: one.alert)
    one.close()
    assert "it belongs to another ledger" in str(one.alert)
    assert (growing.folder / MANIFEST).read_bytes() == before


def test_a_reader_that_meets_a_damaged_file_is_answered(growing: Growing) -> None:
    growing.write()
    growing.archive.catch_up(growing.database)
    (growing.folder / growing.archive.segments[0].folder / SHIFTS).write_bytes(b"?")
    assert_same_facts(growing.another().facts_from(growing.database), facts_of(EVENTS))
    assert growing.another().manifest.edition == 2


def test_a_database_that_is_gone_for_a_moment_is_waited_for(
    growing: Growing, archivist: Callable[[Policy], Archivist], monkeypatch: pytest.MonkeyPatch
) -> None:
    growing.write(3)
    cut = [3]
    head = growing.database.log.head

    def cutting() -> Any:
        if cut[0]:
            cut[0] -= 1
            with growing.database.pool.connection() as connection:
                connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        return head()

    monkeypatch.setattr(growing.database.log, "head", cutting)
    one = archivist(AT_ONCE)
    one.start()
    until(lambda: growing.another().position == 3)
    assert one.alert is None
    assert cut == [0]
