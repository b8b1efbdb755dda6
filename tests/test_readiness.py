"""Readiness tells the truth: of each thing the service needs, and of what it can do without."""

from __future__ import annotations

import shutil
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from api import readiness
from api.access import Role
from tests.serving import Served

pytest_plugins = ["tests.api_fixtures"]


def readyz(served: Served) -> tuple[int, dict[str, dict[str, Any]]]:
    answer = served.client.get("/readyz")
    told = answer.json()
    assert (told["status"] == "ready") == (answer.status_code == 200)
    assert ("retry-after" in answer.headers) == (answer.status_code == 503)
    return answer.status_code, {check["name"]: check for check in told["checks"]}


def test_a_service_that_has_all_it_needs_is_ready(served: Served) -> None:
    status, checks = readyz(served)
    assert status == 200
    assert all(check["ok"] for check in checks.values()), checks
    assert set(checks) == {"database", "read models", "archive", "disk", "queue"}


@pytest.mark.parametrize(
    ("missing", "status", "said"),
    [
        ("read models", 503, "the follower stopped: poison"),
        ("archive", 200, "the archive does not grow: no room"),
        ("disk", 503, "1 MiB are free"),
        ("queue", 503, "0 commands wait, of 0 at most"),
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
    checks = {check.name: check for check in readiness.look(served.service).checks}
    assert (checks["database"].ok, checks["database"].detail) == (False, "the database takes no writing")
    read_only.close()
