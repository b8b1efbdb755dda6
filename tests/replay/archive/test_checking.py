"""Whatever is wrong with an archive is found, and a copy of it is enough without the ledger."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pyarrow.parquet as pq
import pytest

from ledger.aggregates import Event
from ledger.aggregates.rules import RulesPutInForce
from ledger.names import Position
from ledger.store.database import Database
from projections.kernels.facts import facts_of
from projections.rules.timeline import rules_digest
from replay.archive import copying, growth, manifest, segments
from replay.archive.archive import Archive
from replay.archive.checking import Finding, check, check_files, check_log
from replay.archive.copying import TargetError, copy_archive
from replay.archive.folder import copy_file
from replay.archive.log_reader import read_ahead
from replay.archive.manifest import MANIFEST, ArchiveDamagedError, ArchiveError
from replay.progress import StoppedError
from replay.published import NoRulesError, Rules, published_rules
from tests.support.oracle.histories import instant, make, rule_set, rules, stamped
from tests.support.replay.archives import EVENTS, Growing, assert_same_facts, published
from tests.support.replay.replaying import to_toml

OLD, NEW = (to_toml(rules(rule_set(day_minutes_max=minutes))) for minutes in (480, 240))


@pytest.fixture(autouse=True)
def _unflushed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here outlives a power cut, and a busy disk takes long to be flushed."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def growing(database: Database, tmp_path: Path) -> Growing:
    """A whole history with rules, archived in three segments."""
    said = [published(OLD, 1, "2018-12-03 09:00"), published(NEW, 2, "2018-12-09 09:00")]
    events = stamped([*EVENTS[:6], said[0], *EVENTS[6:], said[1]])
    found = Growing(database, tmp_path / "archive", events)
    for count in (17, 5, None):
        found.write(count)
        found.archive.catch_up(database)
    assert len(found.archive.segments) == 3
    return found


def say(database: Database, position: int, old: str, new: str) -> None:
    """Change a word of an event in the log."""
    with database.pool.connection() as connection:
        connection.execute(
            "UPDATE ledger.stored_events SET state = replace(convert_from(state, 'UTF8'), %s, %s)::bytea "
            "WHERE notification_id = %s",
            (old, new, position),
        )


# --- checking -------------------------------------------------------------------------------------------------------


def test_a_sound_archive_is_found_sound(growing: Growing) -> None:
    told: list[tuple[str, int, int]] = []
    assert check(growing.archive, growing.database, lambda *each: told.append(each)) == []
    assert told[-1] == ("comparing with the log", len(growing.events), len(growing.events))
    assert [stage for stage, done, in_all in told if done == in_all] == ["reading files", "comparing with the log"]


def test_a_flipped_byte_is_found_in_any_file(growing: Growing) -> None:
    files = sorted(path for path in growing.folder.rglob("*") if path.is_file() and path.stat().st_size)
    assert len(files) == 3 * 6 + 1
    for path in files:
        content = path.read_bytes()
        for at in {0, 4, len(content) // 3, len(content) // 2, len(content) - 6, len(content) - 1}:
            path.write_bytes(content[:at] + bytes([content[at] ^ 0x11]) + content[at + 1 :])
            if path.name == MANIFEST:
                with pytest.raises(ArchiveDamagedError, match="manifest"):
                    check_files(growing.archive)
            else:
                (finding,) = check_files(growing.archive)
                assert str(path) in finding.what
                assert f"{finding.first:011d}-{finding.last:011d}" == path.parent.name
        path.write_bytes(content)
    assert check_files(growing.archive) == []


def test_every_byte_of_the_manifest_counts(growing: Growing) -> None:
    path = growing.folder / MANIFEST
    content = path.read_bytes()
    for at in range(0, len(content), 31):
        for flip in (0x01, 0x07, 0x29, 0x80):  # among them a space to a tab, a line feed to a carriage return
            path.write_bytes(content[:at] + bytes([content[at] ^ flip]) + content[at + 1 :])
            with pytest.raises(ArchiveDamagedError):
                growing.archive.refresh()
    path.write_bytes(content)
    growing.archive.refresh()


def test_a_missing_file_is_found(growing: Growing) -> None:
    (growing.folder / growing.archive.segments[1].folder / "names.parquet").unlink()
    found = check(growing.archive, growing.database)
    assert found[0][:2] == (18, 22)
    assert "names.parquet cannot be read: No such file" in found[0].what


def test_an_event_that_was_changed_in_the_log_is_found_wherever_it_is(growing: Growing) -> None:
    say(growing.database, 3, "community", "city")
    say(growing.database, 18, "person:", "system:")  # of what no column tells
    growing.archive.catch_up(growing.database)  # the end is as it was
    assert check_log(growing.archive, growing.database) == [
        Finding(1, 17, "these events differ from the log"),
        Finding(18, 22, "these events differ from the log"),
    ]


def test_an_event_that_is_gone_from_the_log_is_found(growing: Growing) -> None:
    with growing.database.pool.connection() as connection:
        connection.execute("DELETE FROM ledger.stored_events WHERE notification_id = 18")
    (finding,) = check_log(growing.archive, growing.database)
    assert finding[:2] == (18, 22)
    assert "it has a hole" in finding.what


def test_columns_that_a_faulty_program_wrote_are_found(growing: Growing, monkeypatch: pytest.MonkeyPatch) -> None:
    def faulty(*arguments: Any) -> Iterator[Any]:
        for taken, part in read_ahead(*arguments):
            part.shift_events.occurred_at[2] += 60
            yield taken, part

    with pytest.MonkeyPatch.context() as context:
        context.setattr(growth, "read_ahead", faulty)
        growing.archive.rebuild(growing.database)
    (finding,) = check(growing.archive, growing.database)
    assert (finding.first, finding.last) == (12, 12)
    assert finding.what.startswith("shift-events.parquet has occurred_at")
    assert ", but the log gives" in finding.what


def test_an_archive_that_grows_while_it_is_checked_is_sound(growing: Growing) -> None:
    other = growing.another()
    grown: list[int] = []

    def grow(stage: str, _done: int, _in_all: int) -> None:
        if stage == "comparing with the log" and not grown:
            growing.events += EVENTS[8:9]
            growing.write()
            grown.append(other.catch_up(growing.database))
            assert len(other.segments) == 2

    assert check(growing.archive, growing.database, grow) == []
    assert grown == [25]


# --- rules and instants ---------------------------------------------------------------------------------------------


def test_the_archive_tells_published_rules(growing: Growing) -> None:
    archive = growing.archive
    assert archive.rules().text == NEW
    assert archive.rules() == archive.rules(2) == archive.rules(known_at=len(growing.events))
    assert archive.rules(1) == archive.rules(known_at=7) == archive.rules(known_at=23)
    assert isinstance(archive.rules(1), Rules)
    assert archive.rules(1).timeline().rule_sets[0].day_minutes_max == 480
    for asked in ({"version": 3}, {"known_at": 6}, {"version": 2, "known_at": 23}):
        with pytest.raises(NoRulesError):
            archive.rules(**asked)


def put_in_force(version: int, text: str, at: str) -> Event:
    return make(RulesPutInForce, at, version=version, digest=rules_digest(text), reason="cap-too-low")


def rules_acts() -> list[Event]:
    """Three timelines: the second and the third are only published; the third, then the first are put in force."""
    third = to_toml(rules(rule_set(day_minutes_max=120)))
    only_published = [published(text, version, f"2018-12-09 1{version}:00") for version, text in ((2, NEW), (3, third))]
    return stamped(
        [
            published(OLD, 1, "2018-12-09 09:00"),
            *(msgspec.structs.replace(each, in_force=False) for each in only_published),
            put_in_force(3, third, "2018-12-10 09:00"),
            put_in_force(1, OLD, "2018-12-11 09:00"),
        ]
    )


IN_FORCE = [1, 1, 1, 3, 1]
"""The version in force after each of them."""


def test_the_archive_tells_the_rules_in_force_as_the_log_does(database: Database, tmp_path: Path) -> None:
    growing = Growing(database, tmp_path / "archive", rules_acts())
    for _ in IN_FORCE:
        growing.write(1)
        growing.archive.catch_up(database)
    archive = growing.another()
    for position, version in enumerate(IN_FORCE, 1):
        found = archive.rules(known_at=position)
        assert found == published_rules(database.log, known_at=Position(position))
        assert found.version == version
    assert archive.rules() == published_rules(database.log)
    assert [row.version for row in archive.published()] == [1, 2, 3]
    assert check(archive, database) == []


def test_segments_of_the_format_before_are_read_merged_and_checked(database: Database, tmp_path: Path) -> None:
    """They have no column for what was put in force; what was published then is in force since."""
    growing = Growing(database, tmp_path / "archive", rules_acts())
    with pytest.MonkeyPatch.context() as then:
        schema = segments.SCHEMAS[segments.RULES]
        then.setitem(segments.SCHEMAS, segments.RULES, schema.remove(schema.get_field_index("act")))
        then.setattr(manifest, "FORMAT", 6)
        growing.write(1)
        growing.archive.catch_up(database)
    (old,) = growing.archive.segments
    assert "act" not in pq.read_schema(growing.folder / old.folder / segments.RULES).names
    growing.write()
    archive = growing.another()
    assert archive.rules().version == 1
    archive.catch_up(database)
    assert [archive.rules(known_at=position).version for position in range(1, 6)] == IN_FORCE
    assert check(archive, database) == []
    merged = tmp_path / "merged"
    merged.mkdir()
    segments.merge_segments(
        [archive.folder / each.folder for each in archive.segments], merged, read=segments.read_table
    )
    rows = segments.read_rules(merged / segments.RULES)
    assert [(row.version, row.act) for row in rows] == [
        (1, None),
        (2, "published"),
        (3, "published"),
        (3, "put-in-force"),
        (1, "put-in-force"),
    ]


def test_the_archive_places_instants_as_the_log_does(growing: Growing) -> None:
    recorded = sorted({event.recorded_at for event in growing.events})
    assert len(recorded) > 10
    for asked in {each + by for each in recorded for by in (-1, 0, 1)} | {0, instant("2030-01-01 00:00")}:
        assert growing.archive.position_at(asked) == growing.database.log.position_at(asked), asked


# --- copying --------------------------------------------------------------------------------------------------------


def test_a_copy_is_enough_without_the_ledger(growing: Growing, tmp_path: Path) -> None:
    copy_archive(growing.archive, tmp_path / "copy")
    shutil.rmtree(growing.folder)
    copy = Archive.open_copy(tmp_path / "copy")
    assert copy.manifest.ledger == growing.database.log.identity()
    assert_same_facts(copy.facts(), facts_of(growing.events))
    assert (copy.rules(1).text, copy.rules().text) == (OLD, NEW)
    assert copy.position_at(growing.events[11].recorded_at) == growing.database.log.position_at(
        growing.events[11].recorded_at
    )
    assert check(copy, None) == []
    assert not (tmp_path / "copy" / "unfinished").exists()


def test_a_later_copy_takes_only_what_is_new(growing: Growing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[Path] = []

    def counted(source: Path, target: Path) -> Any:
        copied.append(source)
        return copy_file(source, target)

    monkeypatch.setattr(copying, "copy_file", counted)
    copy_archive(growing.archive, tmp_path / "copy")
    assert len(copied) == 18
    growing.events += EVENTS[8:9]
    growing.write()
    growing.archive.catch_up(growing.database)
    spoilt = tmp_path / "copy" / growing.archive.segments[0].folder / "shifts.parquet"
    spoilt.write_bytes(b"spoilt")
    (tmp_path / "copy" / "notes").mkdir()  # somebody's, who reads the copy
    copy = copy_archive(growing.archive, tmp_path / "copy")
    assert len(copied) == 18 + 12  # the spoilt segment, and the merged one
    assert check(copy, growing.database) == []
    kept = {path.name for path in (tmp_path / "copy").iterdir() if path.is_dir()}
    assert kept == {segment.folder for segment in copy.segments} | {"notes"}


def test_a_damaged_archive_is_not_copied(growing: Growing, tmp_path: Path) -> None:
    path = growing.folder / growing.archive.segments[1].folder / "shifts.parquet"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(ArchiveDamagedError, match=r"shifts\.parquet fails its SHA-256 checksum"):
        copy_archive(growing.archive, tmp_path / "copy")
    with pytest.raises(ArchiveError, match="there is no archive in"):
        Archive.open_copy(tmp_path / "copy")


def test_segments_that_are_merged_while_they_are_copied_are_copied_as_they_are_then(
    growing: Growing, tmp_path: Path
) -> None:
    other = growing.another()
    grown: list[int] = []

    def grow(_stage: str, done: int, _in_all: int) -> None:
        if done and not grown:
            growing.events += EVENTS[8:9]
            growing.write()
            grown.append(growing.archive.catch_up(growing.database))

    copy = copy_archive(other, tmp_path / "copy", grow)
    assert copy.position == 25
    assert check(copy, growing.database) == []


def test_a_copy_that_is_stopped_leaves_nothing(growing: Growing, tmp_path: Path) -> None:
    def stop(_stage: str, done: int, _in_all: int) -> None:
        if done:
            raise StoppedError

    with pytest.raises(StoppedError):
        copy_archive(growing.archive, tmp_path / "copy", stop)
    assert [path.name for path in (tmp_path / "copy").iterdir()] == ["lock"]
    assert copy_archive(growing.archive, tmp_path / "copy").position == 24


def test_nothing_else_is_overwritten(growing: Growing, tmp_path: Path) -> None:
    things = tmp_path / "things"
    things.mkdir()
    (things / "letter.txt").write_text("keep me")
    with pytest.raises(ArchiveError, match="contains files that are not part of an archive"):
        copy_archive(growing.archive, things)
    with pytest.raises(ArchiveError, match="is a file"):
        copy_archive(growing.archive, things / "letter.txt")
    with pytest.raises(ArchiveError, match="is the archive itself"):
        copy_archive(growing.archive, growing.folder)
    with pytest.raises(ArchiveError, match="is empty"):
        copy_archive(Archive(tmp_path / "none", UUID(int=1)), tmp_path / "copy")
    copy_archive(growing.archive, tmp_path / "copy")
    other = Growing(growing.database, tmp_path / "other")
    with growing.database.pool.connection() as connection:
        connection.execute("UPDATE ledger.identity SET id = %s", (UUID(int=2),))
    other.write(3)
    foreign = other.another()
    foreign.catch_up(growing.database)
    with pytest.raises(TargetError, match="holds another ledger's archive"):
        copy_archive(foreign, tmp_path / "copy")
    assert (things / "letter.txt").read_text() == "keep me"
    assert Archive.open_copy(tmp_path / "copy").position == 24
