"""An archive that grows, merges or is made anew: whole at every step, whoever reads, and whenever it is killed."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from ledger.store.database import Database
from projections.kernels.facts import Facts, facts_of
from replay.archive import growth, open_archive
from replay.archive.archive import Archive
from replay.archive.checking import Finding, check
from replay.archive.copying import copy_archive
from replay.archive.manifest import ArchiveDisagreesError, read_manifest
from replay.archive.reader import read_facts
from replay.generations.rebuild import replay
from replay.progress import Progress, StoppedError, ignore
from tests.support.processes.program import run
from tests.support.replay.archives import EVENTS, Growing, assert_same_facts
from tests.support.replay.generations import OLD_RULES
from tests.support.replay.replaying import as_sets


@pytest.fixture(autouse=True)
def _unflushed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here outlives a power cut, and a busy disk takes long to be flushed."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture(autouse=True)
def _small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "SEGMENT_EVENTS", 16)


@pytest.fixture
def growing(database: Database, tmp_path: Path) -> Growing:
    """An archive of twelve events in two segments."""
    found = Growing(database, tmp_path / "archive")
    found.write(11)
    found.archive.catch_up(database)
    found.write(1)
    found.archive.catch_up(database)
    assert len(found.archive.segments) == 2
    return found


@contextmanager
def snapshots(folder: Path, place: Path) -> Iterator[list[Path]]:
    """Copy the folder before everything that reaches the disk: what would be there, had the process been killed."""
    taken: list[Path] = []

    def watched(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            taken.append(place / str(len(taken)))
            copytree(folder, taken[-1])
            return function(*arguments, **named)

        return call

    copytree = shutil.copytree
    with (
        patch.object(os, "fsync", watched(os.fsync)),
        patch.object(Path, "rename", watched(Path.rename)),
        patch.object(shutil, "rmtree", watched(shutil.rmtree)),
    ):
        yield taken


WORKS: dict[str, Callable[[Growing, Progress], int]] = {
    "catch up": lambda growing, progress: growing.archive.catch_up(growing.database, progress),
    "rebuild": lambda growing, progress: growing.archive.rebuild(growing.database, progress),
}


def known(facts: Facts) -> object:
    """Return what facts come to. They hold the names of a whole segment, also where they end within it."""
    return as_sets(replay(facts, OLD_RULES))


@pytest.mark.parametrize("work", WORKS)
def test_killed_at_any_step_an_archive_goes_on(growing: Growing, tmp_path: Path, work: str) -> None:
    growing.write(6)
    with snapshots(growing.folder, tmp_path / "steps") as steps:
        assert WORKS[work](growing, ignore) == 18
    assert len(steps) > 15
    ledger = growing.database.log.identity()
    reached = []
    for step in steps:
        archive = Archive(step, ledger)
        assert_same_facts(archive.facts(), facts_of(EVENTS[: archive.position]))
        reached.append(archive.position)
    assert sorted(set(reached)) == ([12, 16, 18] if work == "catch up" else [12, 18])
    # One of each state goes on to the end, also from what was half written.
    for step in [steps[reached.index(position)] for position in set(reached)] + steps[2::9]:
        archive = Archive(step, ledger)
        assert archive.catch_up(growing.database) == 18
        assert_same_facts(archive.facts(), facts_of(EVENTS[:18]))
    growing.write()
    for step in steps[::9]:
        archive = Archive(step, ledger)
        archive.catch_up(growing.database)
        assert check(archive, growing.database) == []
        assert folders(step) == [segment.folder for segment in archive.segments]


def folders(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir())


KILLED = """
import os, signal, sys
from pathlib import Path
from ledger.store.database import Database
from replay.archive import archive
from replay.archive.archive import Archive
archive.write_manifest = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
with Database.open(sys.argv[1]) as database:
    Archive(Path(sys.argv[2]), database.log.identity()).catch_up(database)
"""


def test_a_killed_archiver_keeps_nobody_waiting(growing: Growing) -> None:
    growing.write()
    assert run("-c", KILLED, growing.database.url, growing.folder).returncode == -signal.SIGKILL
    assert growing.another().position == 12
    assert growing.archive.catch_up(growing.database) == len(EVENTS)
    assert_same_facts(growing.archive.facts(), facts_of(EVENTS))


@pytest.mark.parametrize("work", WORKS)
def test_stopped_work_leaves_nothing_half_done(growing: Growing, work: str) -> None:
    growing.write(2)
    before = folders(growing.folder)

    def stop(_stage: str, _done: int, _in_all: int) -> None:
        raise StoppedError

    with pytest.raises(StoppedError):
        WORKS[work](growing, stop)
    assert folders(growing.folder) == before
    assert growing.another().position == 12
    assert WORKS[work](growing, ignore) == 14


def test_readers_are_served_by_the_old_archive_until_the_new_one_is_there(growing: Growing) -> None:
    growing.write(6)
    reader = growing.another()
    seen = []

    def read(stage: str, _done: int, _in_all: int) -> None:
        if stage == growth.GROWING:
            seen.append(known(reader.facts(until=12)))
        assert read_manifest(growing.folder) == reader.manifest

    growing.archive.rebuild(growing.database, read)
    assert seen == [known(facts_of(EVENTS[:12]))] * 2  # two segments were written meanwhile
    assert known(reader.facts(until=12)) == known(facts_of(EVENTS[:12]))
    reader.refresh()
    assert reader.manifest.edition == 2
    assert_same_facts(reader.facts(), facts_of(EVENTS[:18]))


def test_whoever_reads_while_segments_are_merged_begins_again(
    growing: Growing, monkeypatch: pytest.MonkeyPatch
) -> None:
    growing.write(2)
    reader = growing.another()
    calls: list[Any] = []

    def meanwhile(*arguments: Any) -> Any:
        if not calls:
            assert growing.archive.catch_up(growing.database) == 14
            assert len(growing.archive.segments) == 2
        calls.append(arguments)
        return read_facts(*arguments)

    monkeypatch.setattr(open_archive, "read_facts", meanwhile)
    assert known(reader.facts(until=12)) == known(facts_of(EVENTS[:12]))
    assert len(calls) == 2


def test_many_read_while_it_grows_is_made_anew_and_copied(database: Database, tmp_path: Path) -> None:
    growing = Growing(database, tmp_path / "archive")
    growing.write(12)
    growing.archive.catch_up(database)
    expected, done, wrong, reads = known(facts_of(EVENTS[:12])), threading.Event(), [], []

    def read(archive: Archive) -> None:
        while not done.is_set():
            try:
                assert known(archive.facts(until=12)) == expected
                reads.append(1)
            except BaseException as error:
                wrong.append(error)
                raise

    readers = [threading.Thread(target=read, args=(each,)) for each in (growing.archive, growing.another())]
    for reader in readers:
        reader.start()
    try:
        while growing.written < len(EVENTS):
            growing.write(1)
            growing.archive.catch_up(database)
            copy = copy_archive(growing.another(), tmp_path / "copy")
            assert copy.position == growing.written
        growing.archive.rebuild(database)
    finally:
        done.set()
        for reader in readers:
            reader.join()
    assert not wrong
    assert len(reads) > 5
    assert_same_facts(copy_archive(growing.archive, tmp_path / "copy").facts(), facts_of(EVENTS))


def test_a_merge_for_which_there_is_no_room_waits(growing: Growing, monkeypatch: pytest.MonkeyPatch) -> None:
    growing.write(2)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with pytest.MonkeyPatch.context() as context:
        context.setattr(growth, "merge_segments", full)
        assert growing.archive.catch_up(growing.database) == 14
    assert [segment.last for segment in growing.archive.segments] == [11, 12, 14]
    growing.write(2)
    growing.archive.catch_up(growing.database)
    assert [segment.last for segment in growing.archive.segments] == [16]
    assert_same_facts(growing.archive.facts(), facts_of(EVENTS[:16]))


def test_many_small_parts_are_digested_again_as_one(growing: Growing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "PARTS_MAX", 3)
    while growing.written < len(EVENTS):
        growing.write(1)
        growing.archive.catch_up(growing.database)
    parts = [part for segment in growing.archive.segments for part in segment.parts]
    assert len(parts) <= 3 * len(growing.archive.segments)
    assert check(growing.archive, growing.database) == []
    with growing.database.pool.connection() as connection:
        connection.execute("UPDATE ledger.stored_events SET topic = 'x' WHERE notification_id = 9")
    (finding,) = check(growing.archive, growing.database)
    assert finding.first <= 9 <= finding.last


def test_an_archive_is_left_as_it_is_where_merging_finds_another_log(
    growing: Growing, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    growing.write(1)
    growing.archive.catch_up(growing.database)
    growing.write(2)
    monkeypatch.setattr(growth, "PARTS_MAX", 1)
    with growing.database.pool.connection() as connection:
        connection.execute(
            "UPDATE ledger.stored_events SET state = replace(convert_from(state, 'UTF8'), 'V1', 'V2')::bytea "
            "WHERE notification_id = 12"
        )
    with pytest.raises(ArchiveDisagreesError, match="event 12 differs"):
        growing.archive.bring_up_to_date(growing.database)
    assert "event 12 differs" in caplog.text
    assert growing.archive.disagreement() == Finding(12, 12, "event 12 differs")
    assert growing.another().manifest.edition == 1
