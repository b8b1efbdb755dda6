"""A ledger made by an older version of this program works in this one; one of a newer version is refused in a sentence.

`fixtures/older/` holds small ledgers as programs of earlier commits left them: the first that ran from end to end, the
one that built generations beside each other, and the last before databases had versions.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any
from uuid import UUID

import psycopg
import pyarrow as pa
import pytest

from api.access.keys import digest
from api.access.roles import Role
from api.operations.schema_parts import PARTS
from api.operations.service import OpenLedger
from ledger.aggregates import COMMANDS, EVENTS, Order
from ledger.aggregates.station import StationOpened
from ledger.aggregates.volunteer import VolunteerMerged
from ledger.intake.answers import Accepted
from ledger.store.database import Database
from ledger.store.mapper import encode
from ledger.store.persons import Person, Persons
from ledger.store.upgrading import NewerDatabaseError, Part, upgrade_tables, version_of
from replay.backup.backup import LOG, TABLES, Manifest, back_up, restore
from replay.generations.rebuild import rebuild
from replay.published import published_rules
from tests.support.api.command_line import CommandLine
from tests.support.ledger.helpers import older_topics
from tests.support.ledger.orders import order_of
from tests.support.patience import PATIENCE_SECONDS
from tests.support.processes.program import run

pytest_plugins = ["tests.support.api.fixtures"]

FIXTURES = Path(__file__).parents[2] / "fixtures" / "older"
OLDER = ["0cd55a5", "5fbce5e", "85bca42"]
TRUTH = ("ledger.stored_events", "ledger.commands", "ledger.persons", "ledger.texts", "ledger.identity")


def _scan(kind: str, number: int, volunteer: str, day: str, project: str | None = None) -> tuple[str, dict[str, Any]]:
    body = {"volunteer": volunteer, "station": "C01", "shift": str(UUID(int=(7 << 76) | (2 << 62) | number))}
    if kind == "check-in":
        return kind, body | {"occurred_at": f"{day}T09:00:00+08:00", "project": project}
    return kind, body | {"occurred_at": f"{day}T12:00:00+08:00"}


GIVEN: list[tuple[str, dict[str, Any]]] = [
    ("found-organisation", {"organisation": "luohu", "kind": "district"}),
    ("open-station", {"station": "C01", "kind": "city", "organisation": "luohu"}),
    ("launch-project", {"project": "star-school", "content": "teaching"}),
    ("register-volunteer", {"volunteer": "V0000001", "registered_on": "2016-03-05"}),
    ("register-volunteer", {"volunteer": "V0000002", "registered_on": "2016-03-05"}),
    (
        "record-opening-balance",
        {"volunteer": "V0000002", "minutes": 6000, "as_of": "2016-06-01", "evidence": "paper-list"},
    ),
    _scan("check-in", 1, "V0000001", "2018-12-01"),
    _scan("check-out", 1, "V0000001", "2018-12-01"),
    _scan("check-in", 2, "V0000001", "2018-12-02", "star-school"),
    _scan("check-out", 2, "V0000001", "2018-12-02"),
    _scan("check-in", 3, "V0000002", "2018-12-02"),
    _scan("check-out", 3, "V0000002", "2018-12-02"),
    ("count-people-served", {"station": "C01", "day": "2018-12-02", "people": 40}),
    (
        "correct-shift",
        {
            "volunteer": "V0000001",
            "shift": str(UUID(int=(7 << 76) | (2 << 62) | 2)),
            "changes": ["check_out"],
            "check_out": "2018-12-02T11:00:00+08:00",
            "reason": "left-early",
        },
    ),
    (
        "dispute-shift",
        {
            "volunteer": "V0000001",
            "shift": str(UUID(int=(7 << 76) | (2 << 62) | 1)),
            "reason": "wrong-time",
            "text": "I left\tlater",
        },
    ),
]
"""What the older ledgers were given; then came a pilot's check-in, in the first form there was, and its check-out."""

POSITIONS = [1, 2, 3, 4, 5, 6, *range(8, 17)]
"""Where it is: the default rules were published in between."""


def orders() -> list[Order]:
    """Return the orders as they were given, by the names they were given under."""
    return [
        order_of(command=COMMANDS[kind].model_validate(body), source="/stations/C01", id=f"old-{n}", by="station:C01")
        for n, (kind, body) in enumerate(GIVEN, 1)
    ]


def rows_of(url: str, *tables: str) -> dict[str, list[Any]]:
    """Return all rows, as PostgreSQL writes them, without columns that a later step has added."""
    added = "'{others,about,name_key,phone_keys}'::text[]"
    with psycopg.connect(url) as connection:
        return {
            name: connection.execute(f"SELECT (to_jsonb(t) - {added})::text FROM {name} t ORDER BY 1").fetchall()  # noqa: S608 - the test's own names
            for name in tables
        }


def fill(url: str, commit: str) -> None:
    """Make a database as the program of a commit left it."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute((FIXTURES / f"{commit}.sql").read_bytes())


@pytest.fixture(params=OLDER)
def older(request: pytest.FixtureRequest, database_url: str) -> str:
    """The URL of a database of an older version."""
    fill(database_url, request.param)
    return database_url


def hold_the_same(ledger: OpenLedger) -> None:
    """Hold a ledger to what the older one was given: answers, keys, persons, texts, hours."""
    answers = ledger.intake.execute(orders())
    assert [answer.position if isinstance(answer, Accepted) else answer for answer in answers] == POSITIONS
    assert all(isinstance(answer, Accepted) and answer.duplicate for answer in answers)
    station, staff = (ledger.keys.find(digest(f"hours_older-{number}")) for number in (1, 2))
    assert station is not None
    assert staff is not None
    assert (station.caller.role, station.caller.by, station.expires_at) == (Role.STATION, "station:C01", None)
    assert (staff.caller.role, staff.caller.name, staff.caller.must_sign) == (Role.STAFF, "anna", False)
    assert ledger.keys.find(digest("hours_older-3")) is None  # it was revoked
    person = Person("V0000001", "王\t小\\明", "13800000000", None)
    assert Persons(ledger.database.pool).find("V0000001") == person
    with ledger.database.pool.connection() as connection:
        assert connection.execute("SELECT text, volunteer FROM ledger.texts").fetchall() == [
            ("I left\tlater", "V0000001")
        ]
        schema = ledger.current_generation().schema
        hours = f"SELECT volunteer, credited_minutes FROM {schema}.volunteer_hours WHERE year = 0 ORDER BY 1"  # noqa: S608 - the test's own names
        assert connection.execute(hours).fetchall() == [("V0000001", 360), ("V0000002", 6180)]
    live = ledger.current_generation()
    anew = rebuild(ledger.database, ledger.archive, published_rules(ledger.log), new_facts=True).generation
    assert (live.position, live.checksum) == (anew.position, anew.checksum)


def test_a_ledger_of_an_older_version_works_and_its_log_is_the_same_to_the_byte(older: str, tmp_path: Path) -> None:
    before = rows_of(older, *TRUTH)
    assert len(before[LOG]) == 18
    for _ in range(2):  # the second time there is nothing to do
        with Database.open(older) as database:
            ledger = OpenLedger(database, tmp_path)
            ledger.make_ready()
            ledger.catch_up()
            hold_the_same(ledger)
            assert ledger.archive.position == 18
            with database.pool.connection() as connection:
                assert [version_of(connection, part) for part in PARTS] == [part.version for part in PARTS]
        assert rows_of(older, *TRUTH) == before
    with Database.open(older) as database:
        ledger = OpenLedger(database, tmp_path)
        made, _ = ledger.keys.make(Role.AUDITOR, "bo", per_second=5)  # a role and a limit that it did not know
        assert made.id == 4
        command = COMMANDS["check-in"].model_validate(_scan("check-in", 9, "V0000002", "2018-12-04")[1])
        (new,) = ledger.intake.execute([order_of(command=command, source="new", id="1", by="station:C01")])
        assert isinstance(new, Accepted)
        assert (new.position, new.duplicate) == (19, False)
        ledger.catch_up()
        assert ledger.current_generation().position == 19


def test_numbers_that_an_older_version_merged_are_counted_as_one_person_from_now_on(
    database_url: str, tmp_path: Path
) -> None:
    fill(database_url, OLDER[-1])
    merged = VolunteerMerged(
        occurred_at=1543971600,
        recorded_at=1543971600,
        by="person:anna",
        command="then#1",
        volunteer="V0000001",
        into="V0000002",
        reason="two-cards",
    )
    with psycopg.connect(database_url) as connection:
        columns = "originator_id, originator_version, topic, state, notification_id"
        connection.execute(
            f"INSERT INTO ledger.stored_events ({columns}) VALUES (%s, 2, %s, %s, 19)",  # noqa: S608 - the test's own names
            (merged.stream_id, *encode(merged)),
        )
        connection.execute("UPDATE replay.generations SET position = 19")  # that version took it in and changed nothing
    with Database.open(database_url) as database:
        ledger = OpenLedger(database, tmp_path)
        assert not ledger.current_generation().readable
        ledger.make_ready()
        schema = ledger.current_generation().schema
        with database.pool.connection() as connection:
            hours = f"SELECT volunteer, credited_minutes FROM {schema}.volunteer_hours WHERE year = 0"  # noqa: S608 - the test's own names
            assert connection.execute(hours).fetchall() == [
                ("V0000002", 6180 + 360 - 120)
            ]  # two hours of a day were theirs twice


def test_what_an_older_version_knew_as_one_kind_of_a_station_is_its_kinds_by_day_from_now_on(
    database_url: str, tmp_path: Path
) -> None:
    fill(database_url, OLDER[-1])
    reopened = StationOpened(
        occurred_at=1795687240,  # a day after the first opening
        recorded_at=1795687240,
        by="person:anna",
        command="then#1",
        station="C01",
        kind="community",
    )
    with psycopg.connect(database_url) as connection:
        columns = "originator_id, originator_version, topic, state, notification_id"
        connection.execute(
            f"INSERT INTO ledger.stored_events ({columns}) VALUES (%s, 2, %s, %s, 19)",  # noqa: S608 - the test's own names
            (reopened.stream_id, *encode(reopened)),
        )
        connection.execute("UPDATE replay.generations SET position = 19")
        connection.execute("UPDATE replay.stations SET kind = 2")  # that version kept the last one alone
    with Database.open(database_url) as database:
        ledger = OpenLedger(database, tmp_path)
        assert not ledger.current_generation().readable
        ledger.make_ready()
        assert ledger.current_generation().readable
        with database.pool.connection() as connection:
            rows = connection.execute("SELECT station, kind, opened_at FROM replay.stations ORDER BY opened_at")
            (first, second) = rows.fetchall()
        assert (first[:2], second) == (("C01", 1), ("C01", 2, reopened.occurred_at))
        assert first[2] < second[2]


def test_read_models_of_an_older_version_are_told_by_the_status(bare: CommandLine, database_url: str) -> None:
    hours = bare
    fill(database_url, OLDER[0])
    for options in ([], ["--deep"]):
        told = hours("status", *options)
        assert told.code == 1
        assert "generation 1 was made by another version of this program: run `hours rebuild`" in told.out
    assert hours("rebuild").code == 0
    assert hours("status", "--deep").code == 0


def written_then(url: str, folder: Path) -> None:
    """Write a backup of a database as the program that made it would have, before backups told their versions."""
    folder.mkdir()
    tables: dict[str, Any] = {}
    with psycopg.connect(url) as connection:
        for name, columns in TABLES.items():
            schema, table = name.split(".")
            found = connection.execute(
                "SELECT column_name FROM information_schema.columns WHERE table_schema = %s AND table_name = %s",
                (schema, table),
            ).fetchall()
            there = [column for column in columns if (column,) in found]
            if not there:
                continue
            order = " ORDER BY notification_id" if name == LOG else ""
            with connection.cursor().copy(f"COPY (SELECT {', '.join(there)} FROM {name}{order}) TO STDOUT") as copy:  # noqa: S608 - the test's own names
                content = b"".join(bytes(row) for row in copy)
            path = folder / f"{name}.copy.zst"
            with pa.CompressedOutputStream(str(path), "zstd") as file:
                file.write(content)
            tables[name] = {
                "columns": there,
                "rows": content.count(b"\n"),
                "content_sha256": hashlib.sha256(content).hexdigest(),
                "file_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            }
        ledger, head = connection.execute(
            "SELECT id, (SELECT max(notification_id) FROM ledger.stored_events) FROM ledger.identity"
        ).fetchall()[0]
    said = {"format": 1, "ledger": str(ledger), "head": head, "made_at": "2026-11-24T00:00:00+00:00", "tables": tables}
    (folder / "manifest.json").write_text(json.dumps(said))


def test_a_backup_of_an_older_version_is_restored(
    older: str, new_database_url: Callable[[], str], tmp_path: Path
) -> None:
    written_then(older, tmp_path / "then")
    with Database.open(new_database_url()) as database:
        ledger = OpenLedger(database, tmp_path / "elsewhere")
        then = restore(tmp_path / "then", database, PARTS)
        ledger.make_ready()
        hold_the_same(ledger)
        again = back_up(database, tmp_path / "again")
        assert (again.log_sha256, again.head, again.ledger) == (then.log_sha256, 18, then.ledger)
        assert rows_of(older, *TRUTH) == rows_of(database.url, *TRUTH)


def test_a_backup_of_older_tables_is_restored_through_the_steps_that_came_since(
    database: Database, new_database_url: Callable[[], str], tmp_path: Path
) -> None:
    fill(url := new_database_url(), OLDER[-1])
    with Database.open(url) as now:
        OpenLedger(now, tmp_path / "now")
        back_up(now, tmp_path / "backup")
    (tmp_path / "later.sql").write_text(
        "ALTER TABLE ledger.persons ADD COLUMN initials text;"
        "UPDATE ledger.persons SET initials = left(name, 1);"
        "ALTER TABLE ledger.persons ALTER COLUMN initials SET NOT NULL"
    )
    later = [Part(one.name, (*one.steps, tmp_path / "later.sql")) if one.name == "ledger" else one for one in PARTS]
    OpenLedger(database, tmp_path / "data")
    with database.pool.connection() as connection:
        upgrade_tables(connection, later[0])
    restore(tmp_path / "backup", database, later)
    with database.pool.connection() as connection:
        assert connection.execute("SELECT initials FROM ledger.persons").fetchall() == [("王",)]
        assert [version_of(connection, part) for part in later] == [part.version for part in later]
    assert database.log.head() == 18
    made = back_up(database, tmp_path / "later")
    assert (
        Manifest.model_validate_json((tmp_path / "later" / "manifest.json").read_bytes()).parts["ledger"]
        == later[0].version
    )
    assert made.log_sha256


# --- refused --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", [part.name for part in PARTS])
def test_a_ledger_of_a_newer_version_is_refused_in_a_sentence(hours: CommandLine, database_url: str, part: str) -> None:
    assert hours("keys", "list").code == 0
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE ledger.parts SET version = 99 WHERE part = %s", (part,))
    before = rows_of(database_url, "ledger.parts", *TRUTH)
    for command in (("keys", "list"), ("status",), ("serve", "--port", "0"), ("backup", hours.data / "backup")):
        said = hours(*command).sentence
        assert f"a newer version of this program has used this database: its tables `{part}` have version 99" in said
        assert "install the newer version again" in said
    assert rows_of(database_url, "ledger.parts", *TRUTH) == before


def test_data_of_another_postgresql_are_moved_as_the_sentence_says(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    new_database_url: Callable[[], str],
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    data, folder = tmp_path / "data", tmp_path / "backup"
    program = [sys.executable, "-c", "from api.cli.main import main; main()", "--data", str(data)]
    then = os.environ | {"PGSERVER_POSTGRES_VERSION": "16"}
    for command in (["init", "--no-rules"], ["backup", str(folder)]):
        subprocess.run([*program, *command], env=then, capture_output=True, timeout=PATIENCE_SECONDS, check=True)
    hours = CommandLine(data, capsys)
    said = hours("keys", "list").sentence
    assert f"{data}/postgres was created by PostgreSQL 16, but this program includes 18: run" in said
    way = f"`PGSERVER_POSTGRES_VERSION=16 hours --data {data} backup FOLDER`"  # as was just done
    assert f"run {way}, then `hours --data ELSEWHERE restore FOLDER`" in said
    monkeypatch.setenv("DATABASE_URL", new_database_url())
    assert hours("restore", folder).code == 0


def test_data_of_a_postgresql_that_the_program_has_never_brought_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    (tmp_path / "data" / "postgres").mkdir(parents=True)
    (tmp_path / "data" / "postgres" / "PG_VERSION").write_text("12\n")
    said = CommandLine(tmp_path / "data", capsys)("keys", "list").sentence
    assert "PostgreSQL 12" in said
    assert "run `hours backup FOLDER` with the version of this program that created it" in said
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["postgres"]


# --- steps ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def connection(database: Database) -> Iterator[psycopg.Connection[Any]]:
    """A connection to a fresh ledger."""
    with psycopg.connect(database.url, autocommit=True) as connection:
        yield connection


def part_of(folder: Path, *steps: str) -> Part:
    paths = [folder / f"{number}.sql" for number in range(1, len(steps) + 1)]
    for path, step in zip(paths, steps, strict=True):
        path.write_text(step)
    return Part("notes", tuple(paths))


FIRST = "CREATE TABLE IF NOT EXISTS notes (text text)"
SECOND = "INSERT INTO notes VALUES ('second')"


def notes(connection: psycopg.Connection[Any]) -> list[str]:
    return [row[0] for row in connection.execute("SELECT text FROM notes").fetchall()]


def test_missing_steps_are_taken_once_in_their_order(connection: psycopg.Connection[Any], tmp_path: Path) -> None:
    for steps in ([FIRST], [FIRST, SECOND], [FIRST, SECOND], [FIRST, SECOND, "UPDATE notes SET text = text || '!'"]):
        upgrade_tables(connection, part_of(tmp_path, *steps))
        assert version_of(connection, part_of(tmp_path, *steps)) == len(steps)
    assert notes(connection) == ["second!"]
    with pytest.raises(NewerDatabaseError, match="have version 3, this program supports 1"):
        upgrade_tables(connection, part_of(tmp_path, FIRST))


def test_a_step_that_fails_leaves_the_old_version(connection: psycopg.Connection[Any], tmp_path: Path) -> None:
    upgrade_tables(connection, part_of(tmp_path, FIRST))
    broken = part_of(tmp_path, FIRST, SECOND, "INSERT INTO nowhere VALUES (1)")
    with pytest.raises(psycopg.errors.UndefinedTable):
        upgrade_tables(connection, broken)
    assert (version_of(connection, broken), notes(connection)) == (1, [])


KILLED = """
import os, signal, sys
from pathlib import Path
import psycopg
from ledger.store.upgrading import Part, upgrade_tables

class Deadly(type(Path())):
    def read_bytes(self):
        os.kill(os.getpid(), signal.SIGKILL)

*steps, last = sys.argv[2:]
with psycopg.connect(sys.argv[1], autocommit=True) as connection:
    upgrade_tables(connection, Part("notes", (*map(Path, steps), Deadly(last))))
"""


def test_an_upgrade_that_is_killed_leaves_the_old_version_and_is_done_the_next_time(
    connection: psycopg.Connection[Any], database: Database, tmp_path: Path
) -> None:
    upgrade_tables(connection, part_of(tmp_path, FIRST))
    whole = part_of(tmp_path, FIRST, SECOND, "INSERT INTO notes VALUES ('third')")
    assert run("-c", KILLED, database.url, *whole.steps, timeout=PATIENCE_SECONDS).returncode == -signal.SIGKILL
    assert (version_of(connection, whole), notes(connection)) == (1, [])
    upgrade_tables(connection, whole)
    assert notes(connection) == ["second", "third"]


def test_processes_that_begin_at_once_take_each_step_once(database: Database, tmp_path: Path) -> None:
    part = part_of(tmp_path, FIRST, SECOND + "; SELECT pg_sleep(0.1)")

    def begin() -> None:
        with psycopg.connect(database.url, autocommit=True) as one:
            upgrade_tables(one, part)

    threads = [Thread(target=begin) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with psycopg.connect(database.url) as one:
        assert notes(one) == ["second"]


RELEASED = {
    "ledger": [
        "de1c50e169311594",
        "08369c8dad20aacc",
        "057ed6e06e522776",
        "8f8cd182b89235cf",
        "23df9cfbcfcf7956",
        "f322b73847fe432b",
        "eb1b39b9ae85b50b",
        "3996ac05892f81f4",
        "4a9443163e530044",
        "e5c164e4e69fb791",
    ],
    "replay": ["3b2d9a3459d4f9a7", "d53170cd6866c22c", "0b4c4b310df470f3", "8c61507ab0c59510", "9903de0821a91f85"],
    "keys": ["746bb001aa4c1c1b", "334a615f373b5a12", "1d8fa7ae9caa05c5"],
    "signatures": ["ea36223a696276bb", "ab771d4d093c707b"],
    "candidates": ["9378b89e3f25167d"],
}
TOPICS = {
    1: "88ad18a9c4e5fd87",
    2: "be748e5566f9ab36",
    3: "be748e5566f9ab36",
    4: "be748e5566f9ab36",
    5: "6cf1d50d993fc3f3",
    6: "e9ea77e73e626420",
    7: "2b496cf716e7227d",
    8: "2b496cf716e7227d",
    9: "4747501141a9ec48",
    10: "4747501141a9ec48",
}
"""The topics that the ledger's tables of a version may hold."""


def test_a_step_that_was_released_is_never_edited() -> None:
    """Databases that have taken it would not take it again. To change a table, add a step behind it, and here."""
    found = {part.name: [hashlib.sha256(step.read_bytes()).hexdigest()[:16] for step in part.steps] for part in PARTS}
    assert found == RELEASED


def test_a_new_kind_of_event_comes_with_a_step() -> None:
    """A program that does not know it must not open the ledger. Add a step to `ledger`, if an empty one, and here."""
    topics = "\n".join(sorted({*EVENTS, *older_topics()}))
    (ledger,) = (part for part in PARTS if part.name == "ledger")
    assert TOPICS[ledger.version] == hashlib.sha256(topics.encode()).hexdigest()[:16]
