"""A log that was altered in the database, against everything that could see it: nothing is replaced, everybody tells.

A table of alterations (an event changed, removed, inserted, swapped, an older log restored) by those who look: the
running archivist, `/readyz`, metrics, `hours status`, `status --deep`, `rebuild`, `archive verify`, `archive copy`,
`archive rebuild`, `backup` and `backup --verify`.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from api.cli.main import execute
from api.operations.service import OpenLedger
from ledger.store.database import Database
from replay.archive.archive import Archive
from replay.archive.archivist import Archivist, Policy
from replay.archive.manifest import MANIFEST, ArchiveDisagreesError
from tests.api.operations.test_readiness import readyz, sample, serving
from tests.support.api.command_line import CommandLine
from tests.support.api.serving import give, stock

pytest_plugins = ["tests.support.api.fixtures"]
pytestmark = pytest.mark.slow

Alter = Callable[[psycopg.Connection[Any]], None]
PART = re.compile(r"event \d+ differs|events \d+ to \d+ differ")
_STATE = "convert_from(state, 'UTF8')"


def _in_a_column(database: psycopg.Connection[Any]) -> None:
    database.execute(
        f"UPDATE ledger.stored_events SET state = regexp_replace({_STATE}, '\"recorded_at\":(\\d+)', "  # noqa: S608 - a constant of this file
        "'\"recorded_at\":1')::bytea WHERE notification_id = 9"
    )


def _in_no_column(database: psycopg.Connection[Any]) -> None:
    database.execute(
        f'UPDATE ledger.stored_events SET state = regexp_replace({_STATE}, \'"by":"\', \'"by":"x\')::bytea '  # noqa: S608 - a constant of this file
        "WHERE notification_id = 9"
    )


def _topic(database: psycopg.Connection[Any]) -> None:
    database.execute("UPDATE ledger.stored_events SET topic = topic || 'x' WHERE notification_id = 9")


def _delete_in_the_middle(database: psycopg.Connection[Any]) -> None:
    database.execute("DELETE FROM ledger.stored_events WHERE notification_id = 9")


def _delete_the_first(database: psycopg.Connection[Any]) -> None:
    database.execute("DELETE FROM ledger.stored_events WHERE notification_id = 1")


def _delete_the_end(database: psycopg.Connection[Any]) -> None:
    database.execute("DELETE FROM ledger.stored_events WHERE notification_id > 12")


def _insert(database: psycopg.Connection[Any]) -> None:
    """Insert an event at position 9; later ones move up."""
    database.execute("UPDATE ledger.stored_events SET notification_id = -notification_id - 1 WHERE notification_id > 8")
    database.execute("UPDATE ledger.stored_events SET notification_id = -notification_id WHERE notification_id < 0")
    database.execute(
        "INSERT INTO ledger.stored_events SELECT gen_random_uuid(), 1, topic, state, 9 "
        "FROM ledger.stored_events WHERE notification_id = 8"
    )


def _swap(database: psycopg.Connection[Any]) -> None:
    for before, after in ((9, -9), (10, 9), (-9, 10)):
        database.execute(
            "UPDATE ledger.stored_events SET notification_id = %s WHERE notification_id = %s", (after, before)
        )


def _swap_the_last(database: psycopg.Connection[Any]) -> None:
    (head,) = database.execute("SELECT max(notification_id) FROM ledger.stored_events").fetchall()[0]
    for before, after in ((head, -1), (head - 1, head), (-1, head - 1)):
        database.execute(
            "UPDATE ledger.stored_events SET notification_id = %s WHERE notification_id = %s", (after, before)
        )


ALTERATIONS: dict[str, tuple[Alter, int]] = {
    "an event changed in a column": (_in_a_column, 9),
    "an event changed in no column": (_in_no_column, 0),
    "a topic changed": (_topic, 0),
    "an event deleted in the middle": (_delete_in_the_middle, 9),
    "the first event deleted": (_delete_the_first, 1),
    "the end deleted": (_delete_the_end, 13),
    "an event inserted": (_insert, 0),
    "two events swapped": (_swap, 0),
    "the last two events swapped": (_swap_the_last, 0),
}
"""The alterations, and the position that has to be named; 0 if the archive can only name the part."""


@pytest.fixture(scope="module")
def unaltered(new_database_url: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """The URL of a ledger, and a folder with its data directory, a copy of its archive and a backup: to be copied."""
    url, folder = new_database_url(), tmp_path_factory.mktemp("unaltered")
    with Database.open(url) as database:
        ledger = OpenLedger(database, folder / "data")
        stock(ledger)
        ledger.catch_up()
        ledger.archive.bring_up_to_date(database)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", url)
        for command in (["archive", "copy", "copy"], ["backup", "backup"]):
            assert execute(["--data", str(folder / "data"), *command[:-1], str(folder / command[-1])]) == 0
    return url, folder


@pytest.fixture
def database_url(unaltered: tuple[str, Path], copied_database_url: Callable[[str], str], tmp_path: Path) -> str:
    """A copy of that ledger; the folder of the test holds a copy of its files."""
    url, folder = unaltered
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    return copied_database_url(url)


@pytest.fixture(params=ALTERATIONS)
def altered(request: pytest.FixtureRequest, hours: CommandLine, database_url: str) -> tuple[CommandLine, int]:
    """A ledger with a copy of its archive and a backup, whose log was altered afterwards."""
    assert hours("status", "--deep").code == 0
    alter, position = ALTERATIONS[request.param]
    with psycopg.connect(database_url, autocommit=True) as connection:
        alter(connection)
    return hours, position


def files(folder: Path) -> dict[str, bytes]:
    """Return the content of an archive."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in {"lock", "archivist", "disagreement.json"}
    }


def names_it(text: str, position: int) -> bool:
    """Return whether a text names a position, or the part that holds it."""
    said = " ".join(text.split())
    return (f"position {position}" in said or f"event {position}" in said) if position else bool(PART.search(said))


def test_every_command_tells_and_none_replaces_anything(altered: tuple[CommandLine, int], tmp_path: Path) -> None:
    hours, position = altered
    archive, copy = files(hours.data / "archive"), files(tmp_path / "copy")
    commands: list[tuple[object, ...]] = [
        ("status", "--deep"),
        ("archive", "verify"),
        ("archive", "rebuild"),
        ("rebuild",),
        ("rebuild", "--new-archive"),
        ("rebuild", "--new-facts"),
        ("archive", "copy", tmp_path / "copy"),
        ("backup", tmp_path / "backup", "--verify", "--against", hours.data / "archive"),
        ("status",),
    ]
    for command in commands:
        told = hours(*command)
        if "--against" in command:  # the backup was made before, so it agrees with the archive
            assert told.code == 0, (command, told.out, told.err)
            continue
        assert told.code == 1, (command, told.out, told.err)
        assert names_it(told.out + told.err, position), (command, told.out, told.err)
        assert "found nothing wrong" not in told.out
        assert files(hours.data / "archive") == archive, command
        assert files(tmp_path / "copy") == copy, command


def test_a_status_never_says_more_than_it_looked_at(altered: tuple[CommandLine, int]) -> None:
    hours, _ = altered
    told = hours("status")
    assert told.code == 1 or "hours status --deep` compares every event" in " ".join(told.out.split())
    assert "nothing is wrong" not in told.out


def test_a_running_server_tells_and_goes_on_telling(altered: tuple[CommandLine, int], database_url: str) -> None:
    hours, _ = altered
    before = files(hours.data / "archive")
    with Database.open(database_url) as database:
        ledger = OpenLedger(database, hours.data)
        with serving(ledger) as served:
            assert served.get("/v1/status").status_code == 200  # the service knows the key from now on
            served.service.archivist.close()
            one = Archivist(database, ledger.archive, Policy(check_seconds=-1, events_behind_max=1))
            for _ in range(3):  # the alarm stays, whatever is recorded meanwhile
                with pytest.raises(ArchiveDisagreesError):
                    one.run_once()
            one.close()
            status, checks = readyz(served)
            assert (status, checks["archive"]["ok"], checks["archive"]["needed"]) == (503, False, True)
            assert sample(served, "hours_archive_disagrees") == 1
            assert sample(served, "hours_problems") >= 1
            assert any("disagrees" in said or "holds" in said for said in served.get("/v1/status").json()["problems"])
    assert files(hours.data / "archive") == before
    assert hours("status").code == 1


def test_an_operator_decides_by_name_and_the_old_archive_is_kept(
    altered: tuple[CommandLine, int], tmp_path: Path, database_url: str
) -> None:
    hours, _ = altered
    archive = files(hours.data / "archive")
    with psycopg.connect(database_url) as connection:
        holes = connection.execute(
            "SELECT max(notification_id) - count(*) FROM ledger.stored_events WHERE notification_id > 0"
        ).fetchall()[0][0]
        strange = connection.execute("SELECT count(*) FROM ledger.stored_events WHERE topic LIKE '%x'").fetchall()
    if strange[0][0]:  # this version of the program cannot read such a log
        return
    told = hours("archive", "rebuild", "--replace-disagreeing")
    if holes:  # a log with holes is never accepted
        assert told.code == 1
        assert files(hours.data / "archive") == archive
        return
    assert told.code == 0, told.err
    kept = hours.data / "archive-replaced-1"
    assert files(kept) == archive
    assert hours("archive", "verify").code == 0
    assert hours("archive", "verify", kept).code == 0
    assert hours("archive", "verify", kept, "--with-log").code == 1
    assert hours("archive", "copy", tmp_path / "copy").code == 1  # the auditor's copy remains what it was
    verified = hours("backup", tmp_path / "backup", "--verify")  # and so does the backup
    assert verified.code == 1 or re.search(r"agrees .* up to position (0|12)$", " ".join(verified.out.split()))


def test_a_log_restored_to_what_was_archived_ends_the_alarm(hours: CommandLine, database_url: str) -> None:
    with Database.open(database_url) as database:
        with database.pool.connection() as connection:
            rows = connection.execute(
                "DELETE FROM ledger.stored_events WHERE notification_id = 9 RETURNING *"
            ).fetchall()
        assert hours("archive", "verify").code == 1
        assert "position 9 of the log holds no event" in " ".join(hours("status").out.split())
        with database.pool.connection() as connection:
            connection.execute("INSERT INTO ledger.stored_events VALUES (%s, %s, %s, %s, %s)", rows[0])
        assert hours("status").code == 1  # not by itself
        assert hours("archive", "verify").code == 0
        assert hours("status", "--deep").code == 0


def test_an_older_log_under_a_running_server_is_told_even_after_it_has_grown_again(
    hours: CommandLine, database_url: str
) -> None:
    with Database.open(database_url) as database:
        ledger = OpenLedger(database, hours.data)
        head = int(ledger.log.head())
        with database.pool.connection() as connection:
            connection.execute("DELETE FROM ledger.stored_events WHERE notification_id > %s", (head - 2,))
        for number in range(3):
            give(ledger, "open-station", station=f"Z{number}", kind="city")
        assert int(ledger.log.head()) == head + 1
        told = hours("status")
        assert (told.code, f"event {head} differs" in " ".join(told.out.split())) == (1, True), told.out
        with pytest.raises(ArchiveDisagreesError, match=f"event {head - 1} differs"):
            ledger.archive.bring_up_to_date(database)


@pytest.mark.parametrize("harm", ["a file", "the manifest", "no manifest", "another digest"])
def test_damage_hides_no_alteration(hours: CommandLine, database_url: str, harm: str) -> None:
    """A damaged archive is rebuilt by itself, but not from a log that its manifest contradicts."""
    with Database.open(database_url) as database:
        ledger = OpenLedger(database, hours.data)
        folder = ledger.archive.folder
        manifest = folder / MANIFEST
        segment = next(path for path in folder.iterdir() if path.is_dir())
        content = manifest.read_bytes()
        if harm == "a file":
            (segment / "shifts.parquet").write_bytes(b"?")
        elif harm == "another digest":
            fields = json.loads(content)
            manifest.write_text(json.dumps(fields | {"sha256": "0" * 64}))
        elif harm == "the manifest":
            manifest.write_bytes(b"{")
        else:
            manifest.unlink()
        with psycopg.connect(database_url, autocommit=True) as connection:
            _in_no_column(connection)
        if harm in {"a file", "another digest"}:
            with pytest.raises(ArchiveDisagreesError):
                Archive(folder, ledger.log.identity()).facts_from(database)
            assert segment.exists()
            assert hours("status").code == 1
        else:  # nothing can be compared, so the segments are kept
            ledger.archive.bring_up_to_date(database)
            kept = folder.with_name("archive-replaced-1")
            assert (kept / segment.name / "shifts.parquet").exists()


def test_a_copy_that_is_ahead_or_without_a_manifest_is_left_alone(
    hours: CommandLine, database_url: str, tmp_path: Path
) -> None:
    with Database.open(database_url) as database:
        ledger = OpenLedger(database, hours.data)
        with psycopg.connect(database_url, autocommit=True) as connection:
            _delete_the_end(connection)
        shutil.rmtree(ledger.archive.folder)
        before = files(tmp_path / "copy")
        told = hours("archive", "copy", tmp_path / "copy")
        assert (told.code, "the archive only 12" in " ".join(told.err.split())) == (1, True), told.err
        assert files(tmp_path / "copy") == before
        (tmp_path / "copy" / MANIFEST).unlink()
        assert "name an empty folder" in " ".join(hours("archive", "copy", tmp_path / "copy").err.split())
