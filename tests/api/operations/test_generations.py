"""Generations over HTTP: published rules come to answer by a build, older ones again by a switch, and only an admin's
key changes what answers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from api.access.roles import Role
from api.http.app import create_app
from api.http.routes.operations import generations as routes
from api.operations.service import DEFAULT_RULES, OpenLedger, running
from ledger.store.database import Database
from replay.generations.rebuild import rebuild
from replay.progress import Progress
from tests.support.api.serving import Served, found

STRICT = DEFAULT_RULES.read_text("utf-8").replace("day_minutes_max = 480", "day_minutes_max = 60")


@pytest.fixture
def served(database: Database, tmp_path: Path) -> Iterator[Served]:
    """A served ledger of this test's own: what answers is changed."""
    ledger = OpenLedger(database, tmp_path)
    found(ledger)
    ledger.make_ready()
    tokens = {role: ledger.keys.make(role, role.value)[1] for role in (Role.STAFF, Role.READER, Role.ADMIN)}
    with running(ledger) as service, TestClient(create_app(service), raise_server_exceptions=False) as client:
        yield Served(service, client, tokens)


def post(served: Served, address: str, role: Role = Role.ADMIN, **body: Any) -> Response:
    return served.client.post(address, json=body or None, headers=served.headers(role))


def ended(served: Served, accepted: Response) -> dict[str, Any]:
    """Follow a job's events to its end; return the last one's data, with its name."""
    assert accepted.status_code == 202, accepted.text
    assert accepted.headers["location"] == f"/v1/jobs/{accepted.json()['id']}"
    stream = served.get(f"{accepted.headers['location']}/events").text
    blocks = [block.splitlines() for block in stream.strip().split("\n\n")]
    last = dict(line.split(": ", 1) for line in blocks[-1])
    return {"event": last["event"], **json.loads(last["data"])}


def listed(served: Served) -> dict[int, dict[str, Any]]:
    return {one["id"]: one for one in served.get("/v1/generations").json()["generations"]}


def minutes(served: Served, volunteer: str, position: int) -> int:
    answer = served.get(f"/v1/volunteers/{volunteer}", at_least=position).json()
    return int(answer["total"]["credited_minutes"])


def test_rules_published_over_http_answer_once_built_and_the_old_ones_again_once_switched(served: Served) -> None:
    volunteer = served.volunteer()
    _, position = served.served_shift(volunteer, "2018-12-04T09:00:00+08:00", "2018-12-04T12:00:00+08:00")
    assert minutes(served, volunteer, position) == 180
    position = served.command("publish-rules", Role.ADMIN, text=STRICT).json()["position"]
    assert minutes(served, volunteer, position) == 180  # published, and not yet built
    before = served.get("/v1/status").json()

    built = ended(served, post(served, "/v1/generations"))
    assert (built["event"], built["answers"], built["rules_version"], built["position"]) == (
        "result",
        True,
        2,
        position,
    )
    assert minutes(served, volunteer, position) == 60
    status = served.get("/v1/status").json()
    assert (status["generation"], status["rules"]["version"]) == (built["generation"], 2)

    _, position = served.served_shift(volunteer, "2018-12-05T09:00:00+08:00", "2018-12-05T12:00:00+08:00")
    assert minutes(served, volunteer, position) == 120
    back = ended(served, post(served, f"/v1/generations/{before['generation']}/switch"))
    assert (back["event"], back["rules_version"]) == ("result", 1)
    assert back["position"] in {position, position + 1}  # the act that puts version 1 in force is an event
    assert minutes(served, volunteer, position) == 360
    kept = {number: (one["kept"], one["rules"]["version"]) for number, one in listed(served).items()}
    assert kept == {before["generation"]: ("answers", 1), built["generation"]: ("answered before", 2)}


def test_a_generation_beside_is_listed_and_dropped(served: Served) -> None:
    live = served.get("/v1/status").json()
    beside = ended(served, post(served, "/v1/generations", rules=1, switch=False))
    assert (beside["answers"], beside["checksum"]) == (False, live["checksum"])
    assert served.get("/v1/status").json()["generation"] == live["generation"]
    shown = listed(served)
    assert shown[beside["generation"]]["kept"] == "built beside"
    assert shown[beside["generation"]]["switched_at"] is None
    assert shown[live["generation"]]["rows"].keys() == shown[beside["generation"]]["rows"].keys()
    assert "built beside" in served.get("/v1/generations").json()["policy"]
    address = f"/v1/generations/{beside['generation']}"
    assert served.client.delete(address, headers=served.headers(Role.ADMIN)).status_code == 204
    assert list(listed(served)) == [live["generation"]]
    gone = served.client.delete(address, headers=served.headers(Role.ADMIN))
    assert (gone.status_code, gone.json()["rejection"]) == (404, "unknown-generation")
    used = served.client.delete(f"/v1/generations/{live['generation']}", headers=served.headers(Role.ADMIN))
    assert (used.status_code, used.json()["rejection"], used.json()["field"]) == (
        409,
        "generation-in-use",
        "generation",
    )


def test_only_an_admin_key_changes_what_answers(served: Served) -> None:
    live = served.get("/v1/status").json()["generation"]
    for role in (Role.READER, Role.STAFF):
        for answer in (
            post(served, "/v1/generations", role),
            post(served, f"/v1/generations/{live}/switch", role),
            served.client.delete(f"/v1/generations/{live}", headers=served.headers(role)),
        ):
            assert (answer.status_code, answer.json()["rejection"]) == (403, "forbidden")
        assert served.get("/v1/generations", role=role).status_code == 200
    assert served.get("/v1/generations", role=None).status_code == 401
    assert served.service.jobs.list() == []


def test_what_cannot_be_built_or_switched_to_is_refused_at_once(served: Served) -> None:
    refused = post(served, "/v1/generations", rules=7)
    assert (refused.status_code, refused.json()["field"]) == (422, "rules")
    assert "version 7" in refused.json()["detail"]
    assert post(served, "/v1/generations", swich=True).json()["field"] == "swich"
    unknown = post(served, "/v1/generations/99/switch")
    assert (unknown.status_code, unknown.json()["rejection"]) == (404, "unknown-generation")
    assert served.service.jobs.list() == []


def test_a_build_that_is_stopped_leaves_what_answers(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    before = served.get("/v1/status").json()

    def stopping(*given: Any, progress: Progress) -> Any:
        def told(stage: str, done: int, in_all: int) -> None:
            if stage == "verifying":
                (job,) = served.service.jobs.list()
                answer = served.client.delete(f"/v1/jobs/{job.id}", headers=served.headers(Role.ADMIN))
                assert answer.status_code == 202
            progress(stage, done, in_all)

        return rebuild(*given, progress=told)

    monkeypatch.setattr(routes, "rebuild", stopping)
    end = ended(served, post(served, "/v1/generations"))
    assert (end["event"], end["rejection"]) == ("problem", "stopped")
    assert served.get("/v1/status").json()["generation"] == before["generation"]
    assert list(listed(served)) == [before["generation"]]
