"""What is committed is on disk, whatever the database's defaults are; or nothing is accepted, and everybody is told."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from fastapi.testclient import TestClient
from psycopg import IsolationLevel
from psycopg.sql import SQL, Identifier, Literal

from api.access.roles import Role
from api.http.app import create_app
from api.operations.schema_parts import PARTS
from api.operations.service import DEFAULT_RULES, OpenLedger, running
from ledger.store import durability
from ledger.store.append import Append, take_lock
from ledger.store.copy_format import text_rows
from ledger.store.database import Database
from ledger.store.durability import ACCEPT, UnsafeDatabaseError, Weakness
from ledger.store.persons import Person, Persons
from replay.backup.backup import back_up, restore
from tests.support.api.command_line import CommandLine
from tests.support.api.serving import STATION, Served, found, give

pytest_plugins = ["tests.support.api.fixtures"]

WHO = "V0000001"

# --- every transaction that writes ------------------------------------------------------------------------------------

_PROBE = """
CREATE SCHEMA probe;
CREATE TABLE probe.commits (written text, setting text);
CREATE FUNCTION probe.note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO probe.commits VALUES (TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME, current_setting('synchronous_commit'));
    RETURN NULL;
END $$;
"""
_TRIGGER = """
CREATE CONSTRAINT TRIGGER probe AFTER INSERT OR UPDATE OR DELETE ON {} DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION probe.note()
"""


def default(url: str, setting: str, value: str) -> None:
    """Set a default of a database, for connections made from now on."""
    with psycopg.connect(url, autocommit=True) as connection:
        name = Identifier(connection.info.dbname)
        connection.execute(SQL("ALTER DATABASE {} SET {} = {}").format(name, Identifier(setting), Literal(value)))


def watch(url: str) -> None:
    """Note the setting with which each transaction that writes a row of the ledger or the API is committed."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_PROBE)
        tables = connection.execute(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('ledger', 'api')"
        ).fetchall()
        for table in tables:
            connection.execute(SQL(_TRIGGER).format(Identifier(*table)))


def noted(url: str) -> dict[str, set[str]]:
    """Return the settings of the commits by table."""
    found: dict[str, set[str]] = {}
    with psycopg.connect(url) as connection:
        for table, setting in connection.execute("SELECT DISTINCT written, setting FROM probe.commits").fetchall():
            found.setdefault(table, set()).add(setting)
    return found


@pytest.fixture
def careless(database_url: str, tmp_path: Path) -> Iterator[OpenLedger]:
    """A ledger in a database whose commits do not wait for the disk."""
    default(database_url, "synchronous_commit", "off")
    with Database.open(database_url) as database:
        ledger = OpenLedger(database, tmp_path / "data")
        watch(database_url)
        yield ledger


def _history(ledger: OpenLedger) -> None:
    row = (uuid4(), 1, "checked-in.v1", '{"recorded_at":1543888800}')
    ledger.database.recorder.append_history([text_rows([row], int(ledger.log.head()) + 1).encode()])


def _signing(ledger: OpenLedger) -> None:
    key, _ = ledger.keys.make(Role.STATION, STATION)
    ledger.keys.sign_with(key.id, bytes(32), required=True)
    ledger.keys.revoke(key.id)


def _texts(ledger: OpenLedger) -> None:
    give(ledger, "register-volunteer", volunteer="V0000009", registered_on="2016-03-05")
    late = {"check_in": "2018-12-03T09:00:00+08:00", "check_out": "2018-12-03T10:00:00+08:00", "text": "she said so"}
    give(ledger, "attest-shift", volunteer="V0000009", station=STATION, evidence="paper-list", **late)


def _people(ledger: OpenLedger) -> None:
    persons = Persons(ledger.database.pool)
    persons.save(Person(WHO, "Anna"))
    persons.save_all([Person("V0000002", "Bo")])
    persons.remove(["V0000002"])
    persons.erase(WHO)


WRITES: dict[str, tuple[Callable[[OpenLedger], object], set[str]]] = {
    "commands": (found, {"ledger.stored_events", "ledger.commands"}),
    "texts": (_texts, {"ledger.stored_events", "ledger.commands", "ledger.texts"}),
    "a history": (_history, {"ledger.stored_events"}),
    "rules": (lambda ledger: ledger.publish(DEFAULT_RULES.read_text()), {"ledger.stored_events", "ledger.commands"}),
    "candidates": (
        lambda ledger: ledger.candidates.store(DEFAULT_RULES.read_text(), "person:bo", []),
        {"api.rule_candidates"},
    ),
    "keys": (_signing, {"api.keys"}),
    "persons": (_people, {"ledger.persons"}),
}


@pytest.mark.parametrize("what", WRITES)
def test_every_commit_waits_for_the_disk(careless: OpenLedger, what: str) -> None:
    work, tables = WRITES[what]
    if what != "commands":
        found(careless)
    with careless.database.connection() as connection:
        connection.execute("TRUNCATE probe.commits")
    work(careless)
    seen = noted(careless.database.url)
    assert set(seen) == tables
    assert all(settings == {"on"} for settings in seen.values()), seen


def test_a_restored_ledger_is_on_disk(
    careless: OpenLedger, new_database_url: Callable[[], str], tmp_path: Path
) -> None:
    with Database.open(new_database_url()) as other:
        ledger = OpenLedger(other, tmp_path / "other")
        found(ledger)
        _texts(ledger)
        back_up(other, tmp_path / "backup")
    restore(tmp_path / "backup", careless.database, PARTS)
    seen = noted(careless.database.url)
    assert {"ledger.stored_events", "ledger.commands", "ledger.texts", "ledger.identity"} <= set(seen)
    assert all(settings == {"on"} for settings in seen.values()), seen


def test_every_connection_waits_for_the_disk(careless: OpenLedger) -> None:
    database = careless.database
    for source in (database.pool.connection, database.reserved.connection, database.connection):
        with source() as connection:
            assert connection.execute("SHOW synchronous_commit").fetchone() == ("on",)


@pytest.mark.parametrize(("given", "used"), [("off", "on"), ("local", "local"), ("remote_apply", "remote_apply")])
def test_a_stronger_setting_is_kept(database_url: str, given: str, used: str) -> None:
    default(database_url, "synchronous_commit", given)
    with Database.open(database_url) as database, database.reserved.connection() as connection:
        assert connection.execute("SHOW synchronous_commit").fetchone() == (used,)
        connection.execute("SET synchronous_commit = off")  # a pooler in between may have done it
        with connection.transaction():
            Append(connection)
            assert connection.execute("SHOW synchronous_commit").fetchone() == ("on",)


@pytest.mark.parametrize("level", ["serializable", "repeatable read"])
def test_the_log_is_written_in_the_isolation_that_its_lock_needs(database_url: str, level: str, tmp_path: Path) -> None:
    default(database_url, "default_transaction_isolation", level)
    with Database.open(database_url) as database:
        found(OpenLedger(database, tmp_path))
        with database.reserved.connection() as connection:
            connection.isolation_level = IsolationLevel.SERIALIZABLE
            refused = pytest.raises(UnsafeDatabaseError, match="in a transaction that is serializable")
            with refused, connection.transaction():
                take_lock(connection.cursor())
            connection.isolation_level = IsolationLevel.READ_COMMITTED


# --- what only the operator can change --------------------------------------------------------------------------------


@pytest.fixture
def without_fsync(monkeypatch: pytest.MonkeyPatch, server_url: str) -> None:
    """A server without fsync, as that of the tests is, and an operator who has not accepted it."""
    with psycopg.connect(server_url) as connection:
        if connection.execute("SHOW fsync").fetchone() != ("off",):
            pytest.skip("this server has fsync on")
    monkeypatch.delenv(ACCEPT)


REFUSED: dict[str, Callable[[OpenLedger], object]] = {
    "commands": lambda ledger: give(ledger, "register-volunteer", volunteer="V0000009", registered_on="2016-03-05"),
    "a history": _history,
    "rules": lambda ledger: ledger.publish(DEFAULT_RULES.read_text() + "\n# another"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_without_fsync_nothing_is_recorded(
    fresh: OpenLedger, what: str, without_fsync: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = fresh.log.head()
    with pytest.raises(UnsafeDatabaseError, match=r"fsync is off: .* set fsync = on in PostgreSQL, or accept it with"):
        REFUSED[what](fresh)
    assert fresh.log.head() == head
    monkeypatch.setenv(ACCEPT, "full_page_writes, fsync")
    REFUSED[what](fresh)
    assert fresh.log.head() > head


def test_without_fsync_every_way_in_refuses_and_says_why(
    served: Served, without_fsync: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = served.ledger.log.head()
    scan: dict[str, Any] = {"volunteer": WHO, "station": STATION, "occurred_at": 1543888800}
    answers = [
        served.command("count-people-served", station=STATION, day="2018-12-04", people=1),
        served.send(served.event("check-in", **scan)),
        served.send([served.event("check-in", **scan)]),
    ]
    for answer in answers:
        assert (answer.status_code, answer.json()["rejection"]) == (503, "unavailable"), answer.text
        assert "nothing was recorded, because the database would not keep it; fsync is off" in answer.json()["detail"]
        assert answer.headers["retry-after"]
    ready = served.get("/readyz")
    assert ready.status_code == 503
    assert "nothing is recorded: fsync is off" in ready.text
    assert any("fsync is off" in said for said in served.get("/v1/status").json()["problems"])
    assert served.ledger.log.head() == head


def test_without_fsync_the_command_line_says_it(
    hours: CommandLine, stocked: tuple[str, Path], without_fsync: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", stocked[0])
    status = hours("status")
    assert status.code == 1
    assert "wrong: fsync is off" in " ".join(status.out.split())
    monkeypatch.setenv(ACCEPT, "fsync")
    accepted = hours("status", "--json").answer
    assert "fsync is off" in accepted["durability"][0]
    assert not any("fsync" in said for said in accepted["problems"])


SETTINGS: dict[str, tuple[dict[str, str], str]] = {
    "full_page_writes": ({"full_page_writes": "off"}, "full_page_writes is off"),
    "data_sync_retry": ({"data_sync_retry": "on"}, "data_sync_retry is on"),
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_other_weak_settings_are_reported_and_may_be_accepted(
    fresh: OpenLedger, setting: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    values, sentence = SETTINGS[setting]
    # The server is shared, so its settings are read from a stand-in.
    rows = ",".join(f"('{name}', '{value}')" for name, value in values.items())
    monkeypatch.setattr(durability, "_SETTINGS", f"VALUES {rows} LIMIT cardinality(%s::text[])")
    with caplog.at_level(logging.WARNING), running(fresh) as service, ExitStack() as stack:
        assert any(sentence in record.getMessage() for record in caplog.records)
        client = stack.enter_context(TestClient(create_app(service)))
        status = Served(service, client, {Role.READER: fresh.keys.make(Role.READER, "reader")[1]})
        (database,) = [check for check in status.get("/readyz").json()["checks"] if check["name"] == "database"]
        assert (database["ok"], sentence in database["detail"]) == (True, True)
        assert any(sentence in said for said in status.get("/v1/status").json()["problems"])
        monkeypatch.setenv(ACCEPT, setting)
        assert sentence not in status.get("/readyz").text
        assert status.get("/v1/status").json()["problems"] == []


@pytest.mark.parametrize("table", ["ledger.stored_events", "ledger.commands", "api.keys"])
def test_a_table_that_a_crash_would_empty_is_reported(fresh: OpenLedger, table: str) -> None:
    with fresh.database.pool.connection() as connection:
        assert [weakness for weakness in durability.weaknesses(connection) if not weakness.accepted] == []
        connection.execute(SQL("ALTER TABLE {} SET UNLOGGED").format(Identifier(*table.split("."))))
        sentence = f"a crash empties the table {table}: run ALTER TABLE {table} SET LOGGED"
        assert Weakness("unlogged tables", sentence, accepted=False) in durability.weaknesses(connection)
