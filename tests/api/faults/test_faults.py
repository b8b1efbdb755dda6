"""Faults that pass: each is told in a clear sentence, costs nothing that was acknowledged, and mends by itself.

Here one process serves and something around it fails; what befalls PostgreSQL is in
tests/api/faults/test_faults_postgres.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import psycopg
import pytest
from fastapi.testclient import TestClient
from httpx2 import Response
from psycopg import errors

from api.access.roles import Role
from api.http.app import create_app
from api.http.requests import lanes, submission
from api.messages.database_faults import NO_CONNECTION_FREE
from api.messages.problems import MEDIA_TYPE
from api.operations import service
from api.operations.service import DEFAULT_RULES, OpenLedger, running
from api.operations.usage_errors import exit_message
from ledger.store import append
from ledger.store.append import WRITERS_LOCK, LockHeldError
from ledger.store.database import POOL_SIZE_MAX, Database
from replay.archive import growth
from replay.archive.archivist import Archivist, Policy
from replay.generations import store
from replay.generations.store import FOLLOWER_LOCK
from replay.live import follower
from tests.support.api.serving import STATION, Served, found
from tests.support.patience import PATIENCE_SECONDS

NOON = 1543896000  # 2018-12-04T12:00+08:00
HOUR = 3600
SECONDS_MAX = PATIENCE_SECONDS


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> int:
        return self.now


CLOCK = Clock()


@pytest.fixture(scope="module")
def served(new_database_url: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A served ledger for these tests, whose archive grows with every event, and which outlives each of them."""
    eager = Policy(events_behind_max=1, poll_seconds=0.05, retry_seconds_max=0.2)
    with pytest.MonkeyPatch.context() as context, Database.open(new_database_url()) as database:
        context.setattr(service, "Archivist", partial(Archivist, policy=eager))
        context.setattr(lanes, "QUERY_SECONDS_MAX", 0.5)
        ledger = OpenLedger(database, tmp_path_factory.mktemp("data"), CLOCK)
        found(ledger)
        ledger.make_ready()
        tokens = {role: ledger.keys.make(role, STATION if role is Role.STATION else role.value)[1] for role in Role}
        with running(ledger) as run, TestClient(create_app(run), raise_server_exceptions=False) as client:
            one = Served(run, client, tokens)
            one.volunteer()
            yield one


def until(holds: Callable[[], object]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + SECONDS_MAX
    while not holds():
        assert time.monotonic() < deadline, "it does not mend by itself"
        time.sleep(0.02)


def scan(served: Served, occurred_at: int = NOON - 60) -> dict[str, Any]:
    """Return a check-in at an instant."""
    return served.event("check-in", volunteer="V0000100", station=STATION, occurred_at=occurred_at)


def told(answer: Response, rejection: str, said: str) -> None:
    """Hold an answer to a problem that can be tried again."""
    problem = answer.json()
    assert (answer.status_code, problem["rejection"], problem["retry"]) == (503, rejection, True), answer.text
    assert said in problem["detail"]
    assert answer.headers["content-type"] == MEDIA_TYPE
    assert int(answer.headers["retry-after"]) > 0


def all_is_well(served: Served) -> None:
    """Hold that something new is recorded, and that the follower and the archivist take it in by themselves."""
    answer = served.send(scan(served))
    assert answer.status_code == 201, answer.text
    position = answer.json()["position"]

    def taken_in() -> bool:
        status = served.get("/v1/status").json()
        return bool(status["head"] == status["position"] == status["archive"]["position"] == position)

    until(taken_in)
    until(lambda: all(check["ok"] for check in served.get("/readyz").json()["checks"]))


@contextmanager
def another_session(served: Served, statement: str) -> Iterator[None]:
    """Let another session hold in a transaction what a statement takes."""
    with psycopg.connect(served.ledger.database.url) as connection:
        connection.execute(statement)
        yield
        connection.rollback()


# --- the clock --------------------------------------------------------------------------------------------------------


def test_a_clock_that_goes_back_an_hour_moves_nothing_that_was_recorded(served: Served) -> None:
    before = served.send(scan(served, NOON - 60)).json()["position"]
    CLOCK.now -= HOUR
    of_now, of_the_morning = scan(served, NOON - 30), scan(served, NOON - 3 * HOUR)
    refused, accepted = served.send([of_now, of_the_morning]).json()["answers"]
    assert (refused["outcome"], refused["rejection"], refused["retry"]) == ("refused", "future", True)
    assert "check the clock" in refused["detail"]
    assert (accepted["outcome"], accepted["position"]) == ("accepted", before + 1)
    assert served.send(of_now).status_code == 422

    CLOCK.now += HOUR + 1
    again = served.send(of_now)
    assert (again.status_code, again.json()["position"]) == (201, before + 2)
    events = served.get("/v1/log", role=Role.AUDITOR, after=before - 1).json()["events"]
    assert [event["event"]["recorded_at"] for event in events] == [NOON, NOON, NOON + 1]
    assert [event["position"] for event in events] == [before, before + 1, before + 2]
    all_is_well(served)


# --- connections ------------------------------------------------------------------------------------------------------


def test_slow_readers_take_nothing_from_stations_and_others_are_turned_away_meanwhile(served: Served) -> None:
    text = DEFAULT_RULES.read_text("utf-8") + "# a candidate\n"
    digest = served.client.post(
        "/v1/rules/candidates",
        content=text,
        headers={**served.headers(Role.ANALYST), "Content-Type": "application/toml"},
    ).json()["digest"]
    slow = partial(served.get, "/v1/volunteers/V0000100", rules=digest)
    at_once, of_key = lanes.QUERIES_AT_ONCE, lanes.QUERIES_OF_KEY_AT_ONCE
    assert of_key < at_once <= 2 * of_key  # so it takes two keys to occupy the lane
    with ThreadPoolExecutor(at_once) as pool:
        with another_session(served, "LOCK TABLE api.rule_candidates"):
            waiting = [pool.submit(slow, role=Role.APPROVER) for _ in range(of_key)]
            until(lambda: reading(served) == of_key)
            told(served.get("/v1/volunteers/V0000100", role=Role.APPROVER), "busy", "send it again")
            assert served.get("/v1/volunteers/V0000100", role=Role.STAFF).status_code == 200
            waiting += [pool.submit(slow, role=Role.ANALYST) for _ in range(at_once - of_key)]
            until(lambda: reading(served) == at_once)
            told(served.get("/v1/volunteers/V0000100", role=Role.STAFF), "busy", "send it again")
            batch = served.send([scan(served) for _ in range(50)])
            assert {one["outcome"] for one in batch.json()["answers"]} == {"accepted"}
            new = served.ledger.keys.make(Role.STATION, STATION)[1]
            answer = served.client.post(
                "/v1/events?wait=projected",
                json=scan(served),
                headers={"Authorization": f"Bearer {new}", "Content-Type": "application/cloudevents+json"},
            )
            assert (answer.status_code, answer.json()["projected"]) == (201, True)
        assert {one.result().status_code for one in waiting} == {200}
    assert served.get("/v1/volunteers/V0000100").status_code == 200
    all_is_well(served)


def reading(served: Served) -> int:
    """Return how many sessions wait for the table of candidates."""
    with served.ledger.database.reserved.connection() as connection:
        waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'api.rule_candidates'::regclass"
        return int(connection.execute(waits).fetchall()[0][0])


def test_a_pool_that_is_used_up_is_told_to_readers_alone(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = served.ledger.database.pool
    monkeypatch.setattr(pool, "timeout", 0.3)
    until(lambda: served.service.keys.is_listening)
    with ExitStack() as stack:
        for _ in range(POOL_SIZE_MAX):
            stack.enter_context(pool.connection(timeout=SECONDS_MAX))
        told(served.get("/v1/volunteers/V0000100"), "busy", NO_CONNECTION_FREE)
        event = scan(served)
        assert served.client.get("/readyz").status_code == 503
        answer = served.send([event])
        assert answer.json()["answers"][0]["outcome"] == "accepted"
    assert served.get("/v1/volunteers/V0000100").status_code == 200
    all_is_well(served)


# --- locks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("in_batch", [False, True])
def test_a_writers_lock_that_is_held_is_told_and_waited_for(
    served: Served,
    monkeypatch: pytest.MonkeyPatch,
    in_batch: bool,  # noqa: FBT001 - a case of the table above
) -> None:
    monkeypatch.setattr(append, "LOCK_TIMEOUT_SECONDS", 1)
    event = scan(served)
    with another_session(served, f"SELECT pg_advisory_xact_lock({WRITERS_LOCK})"):
        answer = served.send([event] if in_batch else event)
        told(answer, "locked", "another session has held the writers' lock for 1 s; nothing was recorded")
        assert served.get("/v1/volunteers/V0000100").status_code == 200
    assert served.send(event).status_code == 201
    all_is_well(served)


def test_a_read_models_lock_that_is_held_is_told_and_commands_are_taken(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "LOCK_SECONDS_MAX", 1)
    monkeypatch.setattr(store, "FOLLOWER_LOCK_SECONDS_MAX", 1)
    monkeypatch.setattr(submission, "PROJECTED_SECONDS_MAX", 0.03)
    said = "another session has held the read models' lock for 1 s"
    with another_session(served, f"SELECT pg_advisory_xact_lock({FOLLOWER_LOCK})"):
        answer = served.client.post(
            "/v1/events?wait=projected",
            json=scan(served),
            headers={**served.headers(Role.STATION), "Content-Type": "application/cloudevents+json"},
        )
        assert (answer.status_code, answer.json()["projected"]) == (201, False)
        until(lambda: said in str(served.get("/readyz").json()))
        job = built(served)
        assert (job["state"], job["problem"]["rejection"]) == ("failed", "locked")
        assert said in job["problem"]["detail"]
    all_is_well(served)
    assert served.service.follower.trouble is None
    assert built(served)["state"] == "done"


def test_a_generation_that_another_session_holds_is_told_and_switched_to_later(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "FOLLOWER_LOCK_SECONDS_MAX", 1)
    before = served.ledger.current_generation().id
    assert built(served)["state"] == "done"
    with another_session(served, f"SELECT id FROM replay.generations WHERE id = {before} FOR UPDATE"):  # noqa: S608 - the test's own names
        job = ended(served, f"/v1/generations/{before}/switch")
        assert job["problem"]["rejection"] == "locked"
        assert f"another session has held generation {before} for 1 s" in job["problem"]["detail"]
    assert ended(served, f"/v1/generations/{before}/switch")["state"] == "done"
    assert served.ledger.current_generation().id == before
    all_is_well(served)


def built(served: Served) -> dict[str, Any]:
    """Have a generation built; return the job at its end."""
    return ended(served, "/v1/generations")


def ended(served: Served, address: str) -> dict[str, Any]:
    """Start a job; return it at its end."""
    answer = served.client.post(address, headers=served.headers(Role.ADMIN))
    job: dict[str, Any] = answer.json()
    assert answer.status_code == 202, job
    until(lambda: served.get(f"/v1/jobs/{job['id']}").json()["state"] in {"done", "failed"})
    return dict(served.get(f"/v1/jobs/{job['id']}").json())


# --- a read-only database ---------------------------------------------------------------------------------------------


def test_a_database_that_takes_no_writing_for_a_while_fails_no_order_and_stops_no_follower(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a failover to a standby that is not yet promoted."""
    event = scan(served)
    with monkeypatch.context() as context:
        context.setattr(follower, "BATCH_EVENTS", 0)  # it leaves something to be taken in
        assert served.send(scan(served)).status_code == 201
        stack = ExitStack()
        stack.enter_context(read_only(served))
    with stack:
        told(served.send(event), "unavailable", "the database is read-only; nothing was recorded")
        told(served.send([event]), "unavailable", "is read-only")
        ready = served.get("/readyz")
        assert (ready.status_code, "read-only" in ready.text) == (503, True)
        until(lambda: served.service.follower.trouble)
    assert served.send(event).status_code == 201
    assert served.service.follower.alert is None
    all_is_well(served)


@contextmanager
def read_only(served: Served) -> Iterator[None]:
    """Let all sessions that begin from now on be read-only, and end those that are not."""
    url = served.ledger.database.url
    with psycopg.connect(url, autocommit=True, options="-c default_transaction_read_only=off") as keeper:
        name = keeper.info.dbname
        others = f"datname = '{name}' AND pid <> pg_backend_pid()"
        ended = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"  # noqa: S608 - the test's own names
        try:
            keeper.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
            keeper.execute(ended)
            yield
        finally:
            keeper.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
            keeper.execute(ended)


# --- the disk ---------------------------------------------------------------------------------------------------------


def test_a_full_disk_is_told_and_nothing_is_recorded_until_there_is_room(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As PostgreSQL and the archive say it; on a disk that really is full:
    tests/api/faults/test_faults_postgres.py."""
    events = [scan(served) for _ in range(3)]
    head = served.ledger.log.head()

    def full(*_: object) -> None:
        raise errors.DiskFull('could not extend file "base/5/16384": No space left on device')

    with monkeypatch.context() as context:
        context.setattr(append.Append, "events", full)
        answer = served.send(events)
        told(answer, "disk-full", "disk is full; nothing was recorded")
        assert answer.headers["retry-after"] == "10"
        told(served.send(events[0]), "disk-full", "disk is full")
        assert "base/5" not in answer.text
    with monkeypatch.context() as context:
        context.setattr(growth, "digests_of", no_room)
        answers = served.send(events).json()["answers"]
        assert [one["position"] for one in answers] == [head + 1, head + 2, head + 3]
        until(lambda: "free some space" in str(served.get("/v1/status").json()["problems"]))
        assert served.client.get("/readyz").status_code == 200  # a ledger can do without its archive
    all_is_well(served)


def no_room(*_: object) -> Any:
    raise OSError(28, "No space left on device")


# --- the command line -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "said", "code"),
    [
        (
            LockHeldError("another session has held the writers' lock for 10 s"),
            "lock for 10 s; try again in a moment",
            1,
        ),
        (
            errors.DiskFull("could not extend file"),
            "disk is full, and nothing was changed; free some space, and try again",
            1,
        ),
        (
            psycopg.OperationalError("connection refused\nIs the server running?"),
            "refused; check DATABASE_URL, and that its server runs",
            2,
        ),
    ],
)
def test_a_command_that_meets_a_fault_of_the_database_says_what_to_do(error: Exception, said: str, code: int) -> None:
    sentence, ended = exit_message(error) or ("", 0)
    assert sentence.endswith(said)
    assert ended == code
