"""The archive: equal to the log, refused when it is not, and never half written."""

from __future__ import annotations

import fcntl
import json
import os
import resource
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.aggregates import Event
from ledger.names import shift_stream
from ledger.store.database import Database
from projections.kernels.facts import facts_of
from replay import locks
from replay.archive import growth, segments
from replay.archive.archive import Archive
from replay.archive.checking import check
from replay.archive.log_reader import HoleError
from replay.archive.manifest import (
    ArchiveBusyError,
    ArchiveDamagedError,
    ArchiveDisagreesError,
    ArchiveError,
    ForeignArchiveError,
    read_manifest,
)
from replay.archive.segments import SHIFT_EVENTS
from replay.generations.rebuild import replay
from tests.support.examples import examples
from tests.support.ledger.helpers import append_rows
from tests.support.oracle.histories import Case, cases, history, patiently
from tests.support.replay.archives import assert_same_facts
from tests.support.replay.replaying import append, as_rules, as_sets, empty, replayed

HISTORY = """
2018-12-04 09:00 in  V1 U1 #1
2018-12-04 12:00 out V1 U1 #1
2018-12-04 10:00 in  V2 U2 #2
2018-12-05 10:00 correct V1 #1 check_out=2018-12-04T11:30
2018-12-06 09:00 in  V2 U1 #3
2018-12-06 12:00 out V2 U1 #3
"""


@pytest.fixture(scope="module")
def shared(new_database_url: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Database, Path]]:
    """One ledger for all examples of a property; each empties it first."""
    assert callable(new_database_url)
    with Database.open(new_database_url()) as database:
        yield database, tmp_path_factory.mktemp("archive")


@pytest.fixture
def filled(database: Database, tmp_path: Path) -> tuple[Database, Archive, list[Event]]:
    """A ledger with a small history, and its archive."""
    events = history(HISTORY)
    archive = empty(database, tmp_path / "archive")
    append(database, events, Counter())
    archive.catch_up(database)
    return database, archive, events


@pytest.fixture(autouse=True)
def _unflushed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here outlives a power cut, and a busy disk takes long to be flushed."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@settings(patiently, max_examples=examples(15))
@given(case=cases(), data=st.data())
def test_an_archive_grown_in_steps_holds_the_facts_of_the_events(
    shared: tuple[Database, Path], case: Case, data: st.DataObject
) -> None:
    database, folder = shared
    archive = empty(database, folder)
    versions: Counter[UUID] = Counter()
    somewhere = st.integers(0, len(case.events))
    steps = sorted({0, len(case.events), *data.draw(st.lists(somewhere, max_size=4))})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(growth, "SEGMENT_EVENTS", data.draw(st.sampled_from([7, 1 << 18])))
        patch.setattr(growth, "PARTS_MAX", data.draw(st.sampled_from([1, 64])))
        patch.setattr(segments, "MERGED_ROWS", data.draw(st.sampled_from([2, 1 << 18])))
        for first, last in pairwise(steps):
            append(database, case.events[first:last], versions)
            archive.catch_up(database)
    assert archive.position == len(case.events)
    assert_same_facts(Archive(folder, database.log.identity()).facts(), facts_of(case.events))
    assert check(archive, database) == []
    # Known at an earlier position, also within a merged segment: as if the ledger had stopped there.
    cut = data.draw(somewhere)
    rules = as_rules(case.timeline)
    assert as_sets(replay(archive.facts(until=cut), rules)) == as_sets(replayed(case.events[:cut], rules))


def test_an_event_of_an_older_version_is_upcast_on_its_way_to_columns(database: Database, tmp_path: Path) -> None:
    events = history(HISTORY)
    archive = empty(database, tmp_path / "archive")
    append(database, events, Counter())
    old = Path(__file__).parents[2] / "fixtures" / "checked-in.v0.json"
    state = old.read_bytes().strip()
    said = json.loads(state)
    stream_id = shift_stream(said["user"], UUID(said["shift"]))
    append_rows(database, [(stream_id, 1, "checked-in.v0", state)])
    archive.catch_up(database)
    facts = archive.facts()
    assert said["user"] in facts.volunteers.number
    assert facts.shifts.volunteer[-1] == facts.volunteers.number[said["user"]]
    assert facts.shifts.check_in[-1] > 0
    assert archive.position == len(events) + 1


def test_a_damaged_segment_is_named_and_made_anew(filled: tuple[Database, Archive, list[Event]]) -> None:
    database, archive, events = filled
    path = archive.folder / archive.segments[0].folder / SHIFT_EVENTS
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(ArchiveDamagedError, match=r"shift-events\.parquet is missing or damaged"):
        archive.facts()
    path.unlink()
    with pytest.raises(ArchiveDamagedError, match="hours archive rebuild"):
        archive.facts()
    archive.rebuild(database)
    assert_same_facts(archive.facts(), facts_of(events))


def test_a_damaged_manifest_is_named(filled: tuple[Database, Archive, list[Event]]) -> None:
    database, archive, _ = filled
    (archive.folder / "manifest.json").write_text("{")
    with pytest.raises(ArchiveDamagedError, match=r"manifest\.json"):
        Archive(archive.folder, database.log.identity()).facts()


def test_an_archive_ahead_of_its_log_is_refused_and_replaced_only_on_command(
    filled: tuple[Database, Archive, list[Event]],
) -> None:
    database, archive, events = filled
    with database.pool.connection() as connection:
        connection.execute("DELETE FROM ledger.stored_events WHERE notification_id = %s", (len(events),))
    with pytest.raises(ArchiveDisagreesError, match=f"it holds {len(events)} events, the log only {len(events) - 1}"):
        archive.catch_up(database)
    with pytest.raises(ArchiveDisagreesError, match="--replace-disagreeing"):
        archive.bring_up_to_date(database)
    assert archive.rebuild(database, replace_disagreeing=True) == len(events) - 1
    assert_same_facts(archive.facts(), facts_of(events[:-1]))


def test_an_archive_whose_last_event_is_another_is_refused(filled: tuple[Database, Archive, list[Event]]) -> None:
    database, archive, events = filled
    with database.pool.connection() as connection:
        connection.execute(
            "UPDATE ledger.stored_events SET state = replace(convert_from(state, 'UTF8'), 'U1', 'U2')::bytea "
            "WHERE notification_id = %s",
            (len(events),),
        )
    with pytest.raises(ArchiveDisagreesError, match=f"event {len(events)} differs"):
        archive.catch_up(database)


def test_another_ledger_s_archive_is_refused(filled: tuple[Database, Archive, list[Event]]) -> None:
    database, archive, events = filled
    with pytest.raises(ArchiveDisagreesError, match="it belongs to another ledger"):
        Archive(archive.folder, UUID(int=1)).facts()
    before = archive.manifest
    with database.pool.connection() as connection:
        connection.execute("UPDATE ledger.identity SET id = %s", (UUID(int=1),))
    for other in (archive, Archive(archive.folder, UUID(int=1))):  # it is never replaced without being told to
        with pytest.raises(ForeignArchiveError):
            other.bring_up_to_date(database)
        with pytest.raises(ForeignArchiveError):
            other.facts_from(database)
    assert read_manifest(archive.folder) == before
    with pytest.raises(ForeignArchiveError):
        other.rebuild(database)
    assert other.rebuild(database, replace_disagreeing=True) == archive.position
    assert_same_facts(other.facts(), facts_of(events))


def test_a_hole_in_the_log_is_never_read_over(database: Database, tmp_path: Path) -> None:
    archive = empty(database, tmp_path / "archive")
    append(database, history(HISTORY), Counter())
    with database.pool.connection() as connection:
        connection.execute("DELETE FROM ledger.stored_events WHERE notification_id = 3")
    with pytest.raises(HoleError, match="it has a hole"):
        archive.catch_up(database)


@contextmanager
def files_limited_to(size: int) -> Iterator[None]:
    """Let the system refuse to let a file grow beyond a size, as it does on a full disk."""
    before, action = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, action)


def test_a_full_disk_leaves_the_archive_as_it_was(database: Database, tmp_path: Path) -> None:
    events = history(HISTORY)
    archive = empty(database, tmp_path / "archive")
    versions: Counter[UUID] = Counter()
    append(database, events[:6], versions)
    archive.catch_up(database)
    before = sorted(path.name for path in archive.folder.iterdir())
    append(database, events[6:], versions)
    with files_limited_to(1_000), pytest.raises(ArchiveError, match="free some space and retry"):
        archive.catch_up(database)
    assert sorted(path.name for path in archive.folder.iterdir()) == before
    reopened = Archive(archive.folder, database.log.identity())
    assert reopened.position == 6
    assert_same_facts(reopened.facts(), facts_of(events[:6]))
    reopened.catch_up(database)
    assert_same_facts(reopened.facts(), facts_of(events))


def test_what_a_killed_archiver_left_behind_is_swept(filled: tuple[Database, Archive, list[Event]]) -> None:
    database, archive, events = filled
    left = archive.folder / "unfinished" / "00000000001-00000000009"
    left.mkdir(parents=True)
    (left / SHIFT_EVENTS).write_bytes(b"half a file")
    append(database, history("2018-12-09 09:00 in V1 U1 #9")[-1:], Counter())
    archive.catch_up(database)
    assert not left.exists()
    assert archive.position == len(events) + 1


def test_a_replaced_segment_stays_for_those_who_read_it(filled: tuple[Database, Archive, list[Event]]) -> None:
    database, archive, events = filled
    facts = archive.facts()
    append(database, history("2018-12-09 09:00 in V1 U1 #9")[-1:], Counter())
    Archive(archive.folder, database.log.identity()).catch_up(database)
    np.testing.assert_array_equal(facts.shift_keys(np.array([0], np.int32))[1], [1])
    assert_same_facts(facts, facts_of(events))


def test_an_archive_whose_folder_was_removed_is_made_anew(filled: tuple[Database, Archive, list[Event]]) -> None:
    database, archive, events = filled
    shutil.rmtree(archive.folder)
    archive.bring_up_to_date(database)
    assert_same_facts(archive.facts(), facts_of(events))


def test_one_archiver_at_a_time(filled: tuple[Database, Archive, list[Event]], monkeypatch: pytest.MonkeyPatch) -> None:
    database, archive, _ = filled
    monkeypatch.setattr(locks, "LOCK_SECONDS_MAX", 0.2)
    with (archive.folder / "lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(ArchiveBusyError, match="another process"):
            archive.catch_up(database)
    archive.catch_up(database)
