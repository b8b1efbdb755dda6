"""Keys end, are revoked, make too many requests, and are told in events. What each may do:
tests/api/access/test_roles.py."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from fastapi.testclient import TestClient

from api.access import key_memory
from api.access.key_memory import KeyMemory
from api.access.keys import CHANNEL, Keys
from api.access.rate_limits import BURST_SECONDS, VOLUNTEER_PER_SECOND, RateLimits
from api.access.roles import Caller, Role
from api.http.app import create_app
from api.operations.service import OpenLedger, running
from ledger.store.database import Database
from tests.support.api.command_line import CommandLine
from tests.support.api.serving import STATION, Served
from tests.support.patience import PATIENCE_SECONDS

pytest_plugins = ["tests.support.api.fixtures"]

# --- keys that end --------------------------------------------------------------------------------------------------


class Clock:
    now = 1_543_888_800.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def keys(database: Database) -> Keys:
    made = Keys(database.pool)
    made.create_table()
    return made


@pytest.fixture
def memory(keys: Keys, database: Database) -> Iterator[KeyMemory]:
    found = KeyMemory(keys, database.url, Clock())
    found.start()
    assert becomes(lambda: found._connected)
    yield found
    found.close()


def becomes(what: Callable[[], object], wanted: object = True) -> bool:  # noqa: FBT002 - what is waited for, as a rule
    """Wait until something is so; a busy machine may take long."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while what() != wanted:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.002)
    return True


def learned(memory: KeyMemory, token: str) -> Caller:
    """Return whose key it is, once that is cached: the news of its making may come a little later."""
    callers: list[Caller] = []

    def is_cached() -> bool:
        callers[:] = [caller for caller in (memory.caller(token), memory.cached(token)) if caller is not None]
        return len(callers) == 2

    assert becomes(is_cached)
    return callers[1]


def test_a_key_that_was_seen_is_remembered_until_any_key_changes(keys: Keys, memory: KeyMemory) -> None:
    key, token = keys.make(Role.STATION, "C01", per_second=7)
    assert memory.cached(token) is None
    caller = learned(memory, token)
    assert (caller.by, caller.key, caller.per_second) == ("station:C01", key.id, 7)
    assert memory.cached(token) == caller
    keys.revoke(key.id)
    assert becomes(lambda: memory.cached(token), None)
    assert memory.caller(token) is None


def test_a_key_changed_by_hand_is_forgotten(keys: Keys, memory: KeyMemory, database: Database) -> None:
    key, token = keys.make(Role.READER, "anna")
    learned(memory, token)
    with psycopg.connect(database.url) as connection:
        connection.execute("DELETE FROM api.keys WHERE id = %s", (key.id,))
    assert becomes(lambda: memory.cached(token), None)
    assert memory.caller(token) is None


def test_a_key_read_before_it_was_revoked_is_not_remembered_after(
    keys: Keys, memory: KeyMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, token = keys.make(Role.READER, "anna")
    find = keys.find

    def slow(digest: bytes) -> object:
        found = find(digest)
        changes = memory._changes
        keys.revoke(key.id)
        assert becomes(lambda: memory._changes > changes)
        return found

    monkeypatch.setattr(keys, "find", slow)
    memory.caller(token)
    assert memory.cached(token) is None


def test_what_cannot_be_heard_is_not_remembered(
    keys: Keys, memory: KeyMemory, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_memory, "RETRY_SECONDS", 0.3)
    key, token = keys.make(Role.READER, "anna")
    learned(memory, token)
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE query LIKE 'LISTEN%api_keys%' AND datname = current_database()"
        )
    assert becomes(lambda: memory.cached(token), None)
    keys.revoke(key.id)
    assert memory.caller(token) is None
    _, other = keys.make(Role.READER, "bo")
    assert becomes(lambda: memory._connected)
    assert learned(memory, other).name == "bo"


@pytest.mark.skipif("TEST_DATABASE_URL" in os.environ, reason="the server's processes may be elsewhere")
def test_a_connection_that_died_without_a_word_counts_as_lost(
    keys: Keys, memory: KeyMemory, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_memory, "HEARD_SECONDS_MAX", 0.5)
    key, token = keys.make(Role.READER, "anna")
    learned(memory, token)
    with psycopg.connect(database.url, autocommit=True) as connection:
        ((listener,),) = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE query LIKE 'LISTEN%api_keys%' AND datname = current_database()"
        ).fetchall()
        os.kill(listener, signal.SIGSTOP)
        try:
            keys.revoke(key.id)
            assert memory._connected
            assert becomes(lambda: memory.cached(token), None)
            assert memory._connected  # nobody has told it that it is deaf
            assert memory.caller(token) is None
        finally:
            os.kill(listener, signal.SIGCONT)


def test_a_key_ends_when_its_time_has_come(keys: Keys, database: Database) -> None:
    clock = Clock()
    memory = KeyMemory(keys, database.url, clock)
    memory.start()
    assert becomes(lambda: memory._connected)
    _, token = keys.make(Role.READER, "anna", datetime.fromtimestamp(clock.now, UTC) + timedelta(seconds=1))
    learned(memory, token)
    clock.now += 1
    assert memory.cached(token) is None
    assert memory.caller(token) is None
    memory.close()


def test_keys_of_an_older_ledger_keep_working(database: Database) -> None:
    """As the table was before keys could end."""
    with database.pool.connection() as connection:
        connection.execute("CREATE SCHEMA api")
        connection.execute(
            "CREATE TABLE api.keys (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, role text NOT NULL "
            "CHECK (role IN ('station', 'staff', 'reader', 'admin')), name text NOT NULL, "
            "digest bytea NOT NULL UNIQUE, made_at timestamptz NOT NULL DEFAULT now(), revoked_at timestamptz)"
        )
        connection.execute("INSERT INTO api.keys (role, name, digest) VALUES ('staff', 'anna', sha256('hours_old'))")
    keys = Keys(database.pool)
    for _ in range(2):
        keys.create_table()
    found = KeyMemory(keys, database.url).caller("hours_old")
    assert found is not None
    assert (found.role, found.name, found.key) == (Role.STAFF, "anna", 1)
    keys.make(Role.AUDITOR, "bo")


# --- when a key was last used ----------------------------------------------------------------------------------------


def test_the_last_use_of_a_key_is_noted_now_and_then(
    keys: Keys, memory: KeyMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, token = keys.make(Role.READER, "anna")
    keys.make(Role.READER, "bo")
    learned(memory, token)
    assert [one.used_at for one in keys.list()] == [None, None]
    monkeypatch.setattr(key_memory, "USES_SECONDS", 0.0)
    used = datetime.fromtimestamp(Clock.now, UTC)
    assert becomes(lambda: [one.used_at for one in keys.list()], [used, None])
    keys.note_uses({key.id: Clock.now - 10})
    assert keys.list()[0].used_at == used


def test_a_use_is_no_change_of_a_key(keys: Keys, database: Database) -> None:
    key, _ = keys.make(Role.READER, "anna")
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute(f"LISTEN {CHANNEL}")
        keys.note_uses({key.id: Clock.now})
        assert list(connection.notifies(timeout=0.1)) == []
        keys.revoke(key.id)
        assert len(list(connection.notifies(timeout=PATIENCE_SECONDS, stop_after=1))) == 1


def test_the_last_uses_are_noted_when_the_service_ends(keys: Keys, database: Database) -> None:
    _, token = keys.make(Role.READER, "anna")
    memory = KeyMemory(keys, database.url)
    memory.start()
    assert memory.caller(token) is not None
    memory.close()
    assert keys.list()[0].used_at is not None


def test_a_key_that_was_refused_was_not_used(keys: Keys, database: Database) -> None:
    key, token = keys.make(Role.READER, "anna")
    keys.revoke(key.id)
    memory = KeyMemory(keys, database.url)
    assert memory.caller(token) is None
    memory.close()
    assert keys.list()[0].used_at is None


def test_a_key_that_is_to_sign_is_remembered_as_one(keys: Keys, memory: KeyMemory) -> None:
    key, token = keys.make(Role.STATION, "C01")
    learned(memory, token)
    keys.sign_with(key.id, bytes(32), required=True)
    assert becomes(lambda: memory.cached(token), None)
    for caller in (learned(memory, token), memory.caller(token)):
        assert caller is not None
        assert (caller.must_sign, caller.public_key) == (True, bytes(32))


# --- how often ------------------------------------------------------------------------------------------------------


def test_commands_are_counted_and_a_batch_is_paid_for_afterwards() -> None:
    clock = Clock()
    limits = RateLimits(per_second=2, clock=clock)
    rate = limits.rate(None, of_volunteer=True)
    assert (rate, limits.rate(None), limits.rate(7, of_volunteer=True)) == (2, 2, 7)
    assert RateLimits().rate(None, of_volunteer=True) == VOLUNTEER_PER_SECOND
    assert limits.wait_seconds(1, rate) == 0
    limits.charge(1, rate, 1000)
    assert limits.wait_seconds(1, rate) == pytest.approx((1000 - rate * BURST_SECONDS + 1) / rate)
    clock.now += 1000 / rate
    assert limits.wait_seconds(1, rate) == 0


def test_a_bucket_holds_a_burst_and_fills_again() -> None:
    clock = Clock()
    limits = RateLimits(per_second=2, clock=clock)
    assert [limits.wait_seconds(1, None) for _ in range(2 * BURST_SECONDS)] == [0.0] * 2 * BURST_SECONDS
    assert limits.wait_seconds(1, None) == pytest.approx(0.5)
    assert limits.wait_seconds(2, None) == 0
    clock.now += 0.5
    assert limits.wait_seconds(1, None) == 0
    assert limits.wait_seconds(1, 4) == pytest.approx(0.25)


def test_a_key_that_asks_too_often_is_told_when_to_come_again(fresh: OpenLedger) -> None:
    _, token = fresh.keys.make(Role.READER, "anna", per_second=1)
    _, other = fresh.keys.make(Role.READER, "bo")
    with running(fresh) as service, TestClient(create_app(service)) as client:
        answers = [
            client.get("/v1/status", headers={"Authorization": f"Bearer {token}"}) for _ in range(BURST_SECONDS + 2)
        ]
        assert [answer.status_code for answer in answers][:BURST_SECONDS] == [200] * BURST_SECONDS
        assert answers[-1].status_code == 429
        assert answers[-1].headers["Retry-After"] == "1"
        assert answers[-1].json()["rejection"] == "too-often"
        assert client.get("/v1/status", headers={"Authorization": f"Bearer {other}"}).status_code == 200


# --- what events and logs say ---------------------------------------------------------------------------------------


def test_an_event_says_which_key_was_used(served: Served) -> None:
    volunteer = served.volunteer()
    data = {"volunteer": volunteer, "station": STATION, "occurred_at": "2018-12-04T09:00:00+08:00"}
    for answer in (served.send(served.event("check-in", **data)), served.command("check-in", Role.STATION, **data)):
        (event,) = served.ledger.log.read(answer.json()["position"] - 1, 1)
        number = next(key.id for key in served.ledger.keys.list() if key.role == "station")
        assert f'"key":{number},"volunteer"'.encode() in event.state


def test_no_token_is_told_to_anybody(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    token = served.tokens[Role.STAFF]
    wrong = f"{token}x"
    answers = [
        served.client.get("/v1/status", headers={"Authorization": f"Bearer {wrong}"}),
        served.client.get("/v1/status", headers={"Authorization": f"Basic {token}"}),
        served.client.get(f"/v1/nothing?key={token}", headers={"Authorization": f"Bearer {token}"}),
        served.command("check-in", Role.READER, volunteer="V1", station=STATION, occurred_at=1),
    ]
    assert [answer.status_code for answer in answers] == [401, 401, 404, 422]
    assert not any(token in answer.text for answer in answers)
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith(("httpx", "asyncio"))]
    assert not any(token in said for said in ours)


def test_a_thread_that_waits_for_a_change_ends_with_the_service(keys: Keys, database: Database) -> None:
    memory = KeyMemory(keys, database.url)
    memory.start()
    memory.close()
    assert all(thread.name != "key-memory" or thread is not memory._thread for thread in threading.enumerate())


def test_a_link_carries_the_key_behind_the_address_of_the_pages(hours: CommandLine) -> None:
    wanted = ("keys", "make", "--role", "reader", "--name", "anna", "--link")
    made = hours(*wanted, "https://hours.example.org/", "--json").answer
    assert made["link"] == f"https://hours.example.org/sign-in#{made['key']}"
    shown = hours(*wanted, "http://[::1]:8000").out
    assert re.search(r"^http://\[::1\]:8000/sign-in#hours_\S+$", shown, re.MULTILINE)
    assert "▄" in shown  # the code
    for wrong in ("hours.example.org", "https://hours.example.org/counter", "https://a b", "ftp://a", "https://a?b"):
        assert "is not the address of the pages" in hours(*wanted, wrong).sentence
    assert len(hours("keys", "list", "--json").answer) == 2
