"""Readiness tells the truth: of each thing the service needs, and of what it can do without."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from anyio.to_thread import current_default_thread_limiter
from fastapi.testclient import TestClient

from api.access.roles import ROLES_OF_RIGHT, Right, Role
from api.http.app import create_app
from api.http.requests.lanes import ConcurrencyLimits
from api.operations import readiness
from api.operations.service import OpenLedger, running
from replay.archive.archivist import Archivist, Policy
from tests.support.api.serving import STATION, Served
from tests.support.patience import PATIENCE_SECONDS

pytest_plugins = ["tests.support.api.fixtures"]


def readyz(served: Served) -> tuple[int, dict[str, dict[str, Any]]]:
    answer = served.get("/readyz")
    told = answer.json()
    assert (told["status"] == "ready") == (answer.status_code == 200)
    assert ("retry-after" in answer.headers) == (answer.status_code == 503)
    return answer.status_code, {check["name"]: check for check in told["checks"]}


def test_a_service_that_has_all_it_needs_is_ready(served: Served) -> None:
    status, checks = readyz(served)
    assert status == 200
    assert all(check["ok"] for check in checks.values()), checks
    assert set(checks) == {"requests", "computing", "database", "read models", "archive", "tree", "disk", "queue"}


STRANGERS = ("", "Bearer", "Bearer hours_wrong", "Basic aGVsbG86", "volunteer")


@pytest.mark.parametrize("authorization", STRANGERS)
@pytest.mark.parametrize("ready", [True, False])
def test_strangers_are_told_the_status_alone(
    served: Served,
    monkeypatch: pytest.MonkeyPatch,
    authorization: str,
    ready: bool,  # noqa: FBT001 - a case of the table above
) -> None:
    if not ready:
        monkeypatch.setattr(served.service.commits, "queue_orders_max", 0)
    volunteer = served.headers(Role.VOLUNTEER)
    answer = served.client.get(
        "/readyz", headers=volunteer if authorization == "volunteer" else {"Authorization": authorization}
    )
    assert answer.json() == {"status": "ready" if ready else "not ready"}
    assert answer.status_code == (200 if ready else 503)


@pytest.mark.parametrize("role", sorted(ROLES_OF_RIGHT[Right.READ]))
def test_whoever_may_read_is_told_the_checks(served: Served, role: Role) -> None:
    assert [check["ok"] for check in served.get("/readyz", role=role).json()["checks"]] == [True] * 8


def test_a_key_counts_as_it_was_last_known_while_the_database_is_away(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = served.service.keys
    assert becomes(lambda: served.get("/readyz").json().keys() == {"status", "checks"} and keys.is_listening)
    assert becomes(lambda: keys.cached(served.tokens[Role.READER]) is not None)
    monkeypatch.setattr(keys, "_heard_at", 0.0)
    monkeypatch.setattr(keys, "_connected", False)

    def away(_token: str) -> None:
        raise psycopg.OperationalError

    monkeypatch.setattr(keys, "caller", away)
    keys._clear(connected=False)
    keys._clear(connected=False)  # it is tried again and again
    assert keys.cached(served.tokens[Role.READER]) is None
    assert "checks" in served.get("/readyz").json()
    assert "checks" not in served.client.get("/readyz", headers={"Authorization": "Bearer hours_wrong"}).json()
    keys._clear(connected=True)
    assert keys.last_known(served.tokens[Role.READER]) is None  # it may have been revoked meanwhile


@pytest.mark.parametrize(
    ("missing", "status", "said"),
    [
        ("read models", 503, "the follower stopped: poison"),
        ("archive", 200, "the archive cannot grow: no room"),
        ("disk", 503, "1 MiB are free"),
        ("queue", 503, "0 of at most 0 commands are waiting"),
    ],
)
def test_what_is_missing_is_said(
    served: Served, monkeypatch: pytest.MonkeyPatch, missing: str, status: int, said: str
) -> None:
    # Stand-ins: the threads of the real ones take an alert back once they get on again.
    for thread, concern in (("follower", "read models"), ("archivist", "archive")):
        monkeypatch.setattr(
            served.service, thread, SimpleNamespace(alert=said if missing == concern else None, trouble=None)
        )
    if missing == "disk":
        monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=(2 << 20) - 1))
    if missing == "queue":
        monkeypatch.setattr(served.service.commits, "queue_orders_max", 0)
    found, checks = readyz(served)
    assert found == status
    assert said in checks[missing]["detail"]
    assert [name for name, check in checks.items() if not check["ok"]] == [missing]


def test_a_computing_process_is_asked_at_most_once_a_second(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[float] = []

    async def answer(seconds: float) -> bool:
        answers.append(seconds)
        return len(answers) > 1

    probe: readiness.ReadinessProbe = served.client.app.state.readiness  # type: ignore[attr-defined]
    monkeypatch.setattr(probe, "_computing", answer)
    monkeypatch.setattr(probe, "_computing_asked", None)
    monkeypatch.setattr(readiness, "COMPUTING_SECONDS_KNOWN", 600)
    for _ in range(3):
        status, checks = readyz(served)
        assert (status, checks["computing"]["ok"]) == (503, False)
        assert checks["computing"]["detail"] == "the computing process does not answer within 4 seconds"
    assert len(answers) == 1
    monkeypatch.setattr(readiness, "COMPUTING_SECONDS_KNOWN", 0)
    assert readyz(served)[0] == 200


def test_a_computing_process_that_does_not_answer_is_a_problem(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sample(served, "hours_computing_up") == 1
    before = sample(served, "hours_problems")
    monkeypatch.setattr(served.service, "job_states", lambda: None)
    assert "the computing process does not answer" in served.get("/v1/status").json()["problems"]
    assert sample(served, "hours_computing_up") == 0
    assert sample(served, "hours_problems") == before + 1


def test_read_models_that_are_far_behind_are_not_live(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "LAG_EVENTS_MAX", -1)
    assert readyz(served)[0] == 503


def test_a_database_that_is_away_is_said_and_the_process_lives(
    served: Served, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def away(*_: object, **__: object) -> None:
        raise psycopg.OperationalError(f"connection to {tmp_path} failed")

    monkeypatch.setattr(served.ledger.database.pool, "connection", away)
    status, checks = readyz(served)
    assert status == 503
    assert checks["database"]["detail"] == "the database does not answer"
    assert served.client.get("/healthz").json() == {"status": "ok"}
    assert served.get("/v1/status", role=Role.READER).status_code == 503


def test_a_database_that_takes_no_writing_is_not_ready(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a standby is, or a server whose disk its keeper wants to save."""
    url = served.ledger.database.url
    read_only = psycopg.connect(url, options="-c default_transaction_read_only=on")
    monkeypatch.setattr(served.ledger.database.pool, "connection", lambda **_: nullcontext(read_only))
    checks = {check.name: check for check in readiness.check_readiness(served.service).checks or []}
    assert (checks["database"].ok, checks["database"].detail) == (False, "the database is read-only")
    read_only.close()


def test_a_database_that_is_stuck_is_said_while_others_wait_for_it(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    going_on, looks = Event(), []

    def stuck(_service: object) -> tuple[bool, str]:
        looks.append(1)
        return going_on.wait(PATIENCE_SECONDS), "late"

    monkeypatch.setattr(readiness, "PROBE_SECONDS_MAX", 0.1)
    monkeypatch.setattr(readiness, "_database", stuck)
    for _ in range(5):
        status, checks = readyz(served)
        assert (status, checks["database"]["ok"]) == (503, False)
        assert "has not answered for" in checks["database"]["detail"]
    assert served.client.get("/healthz").status_code == 200
    assert len(looks) == 1  # whoever asks more often makes it no worse
    going_on.set()
    monkeypatch.undo()
    assert becomes(lambda: readyz(served)[0] == 200)


@pytest.mark.parametrize("occupied", ["keys", "queries", "threads"])
def test_a_service_that_answers_no_requests_is_not_ready(
    served: Served, monkeypatch: pytest.MonkeyPatch, occupied: str
) -> None:
    """Whatever occupies the way of a request, `/readyz` goes that way too."""
    monkeypatch.setattr(readiness, "PROBE_SECONDS_MAX", 3.0)
    limits: ConcurrencyLimits = served.client.app.state.concurrency  # type: ignore[attr-defined]
    portal = served.client.portal
    assert portal is not None

    held: list[Callable[[], None]] = []

    async def occupy() -> None:
        if occupied == "queries":
            shares = range(limits.queries.at_once)  # of several keys, because one has a part of the lane
            held.extend([(await limits.queries.acquire(share)).release for share in shares])
            return
        limiter = limits.keys if occupied == "keys" else current_default_thread_limiter()
        for holder in [object() for _ in range(int(limiter.total_tokens))]:
            limiter.acquire_on_behalf_of_nowait(holder)
            held.append(partial(limiter.release_on_behalf_of, holder))

    async def release() -> None:
        for each in held:
            each()

    portal.call(occupy)
    try:
        status, checks = readyz(served)
        assert (status, checks["requests"]["ok"], checks["database"]["ok"]) == (503, False, True)
        assert "a read request was not answered" in checks["requests"]["detail"]
        assert served.client.get("/healthz").status_code == 200
    finally:
        portal.call(release)
    monkeypatch.undo()
    assert becomes(lambda: readyz(served)[0] == 200)


def becomes(true: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> bool:
    """Wait until something becomes true; return whether it did."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@contextmanager
def serving(ledger: OpenLedger) -> Iterator[Served]:
    tokens = {role: ledger.keys.make(role, STATION if role is Role.STATION else role.value)[1] for role in Role}
    with running(ledger) as service, TestClient(create_app(service), raise_server_exceptions=False) as client:
        yield Served(service, client, tokens)


def sample(served: Served, name: str) -> float:
    (line,) = (line for line in served.get("/metrics").text.splitlines() if line.startswith(name + " "))
    return float(line.split()[1])


def test_a_follower_that_met_a_riddle_is_told_everywhere_and_stations_go_on(fresh: OpenLedger) -> None:
    with serving(fresh) as served:
        assert readyz(served)[0] == 200
        with fresh.database.pool.connection() as connection:
            connection.execute(
                "INSERT INTO ledger.stored_events SELECT gen_random_uuid(), 1, 'riddle.v9', state, notification_id + 1 "
                "FROM ledger.stored_events ORDER BY notification_id DESC LIMIT 1"
            )
        assert becomes(lambda: served.service.follower.alert is not None)
        status, checks = readyz(served)
        assert (status, checks["read models"]["ok"], checks["database"]["ok"]) == (503, False, True)
        assert "riddle.v9" in checks["read models"]["detail"]
        assert "riddle.v9" in served.get("/v1/status").json()["alert"]
        assert (sample(served, "hours_follower_alert"), sample(served, "hours_read_models_lag_events")) == (1, 1)
        assert sample(served, "hours_problems") >= 1
        assert served.get("/v1/stations").status_code == 200  # as of where they stand


def test_an_archive_that_cannot_grow_is_told_and_mended_by_itself(fresh: OpenLedger) -> None:
    shutil.rmtree(fresh.archive.folder)
    fresh.archive.folder.write_text("in the way")
    with serving(fresh) as served:
        served.service.archivist.close()
        policy = Policy(events_behind_max=1, poll_seconds=0.02, retry_seconds_max=0.1)
        served.service.archivist = Archivist(fresh.database, fresh.archive, policy)
        served.service.archivist.start()
        assert becomes(lambda: served.service.archivist.alert is not None)
        status, checks = readyz(served)
        assert (status, checks["archive"]["ok"], checks["archive"]["needed"]) == (200, False, False)
        assert "the archive cannot grow" in checks["archive"]["detail"]
        assert sample(served, "hours_archivist_alert") == 1
        assert sample(served, "hours_archive_lag_events") == fresh.log.head()
        assert any("cannot grow" in said for said in served.get("/v1/status").json()["problems"])
        fresh.archive.folder.unlink()
        assert becomes(lambda: served.service.archivist.alert is None and fresh.archive.position == fresh.log.head())
        assert readyz(served)[1]["archive"]["ok"]
        assert (sample(served, "hours_archivist_alert"), sample(served, "hours_archive_lag_events")) == (0, 0)
