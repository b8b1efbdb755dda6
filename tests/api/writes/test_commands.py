"""`POST /v1/commands/<type>`: every command, generated from the ledger's table; repeated without harm."""

from __future__ import annotations

from concurrent.futures import Future
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import psycopg
import pytest

from api.access.roles import Role
from api.messages.examples import EXAMPLES
from api.messages.problems import MEDIA_TYPE, RULES
from ledger.aggregates import COMMANDS
from ledger.aggregates.certificate import number_of, register_of
from ledger.aggregates.scans import SCANS
from ledger.intake.answers import Accepted, Answer
from ledger.intake.group_commit import QueueFull
from ledger.rejections import Rejection
from tests.support.api.serving import OTHER_STATION, PROJECT, STATION, Served, take

pytest_plugins = ["tests.support.api.fixtures"]

MORNING, NOON = "2018-12-04T09:00:00+08:00", "2018-12-04T12:00:00+08:00"


@pytest.mark.parametrize("command_type", COMMANDS)
def test_every_command_has_an_example_that_fits_and_is_described(served: Served, command_type: str) -> None:
    COMMANDS[command_type].model_validate(EXAMPLES[command_type])
    description = served.client.get("/openapi.json").json()
    operation = description["paths"][f"/v1/commands/{command_type}"]["post"]
    content = operation["requestBody"]["content"]["application/json"]
    assert content["example"] == EXAMPLES[command_type]
    assert content["schema"]["$ref"].endswith(COMMANDS[command_type].__name__)
    assert operation["summary"]


def approved(act: str, fields: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return an act as one asks for it and another approves it."""
    request = uuid4().hex
    return [("request-act", {"request": request, "act": act, "fields": fields}), ("approve-act", {"request": request})]


OF_APPROVER = {"answer-dispute", "settle-dispute", "approve-act", "decline-act"}


def a_year_in_the_life(served: Served) -> list[tuple[str, dict[str, Any]]]:
    """Return every command there is, in an order in which each can be granted."""
    volunteer, other = served.volunteer(), served.volunteer()
    new = f"n{uuid4().hex[:12]}"
    shift, attested, raise_id = str(uuid4()), str(uuid4()), "spring-7"
    about = {"volunteer": volunteer, "shift": shift, "reason": "checked"}
    scan = {"volunteer": volunteer, "station": STATION, "shift": shift}
    # An old record, as an award of today has to wait for its notice to end.
    old = {"award": f"old-{new}", "honor": "star-1", "volunteer": other, "occurred_at": MORNING}
    assert isinstance(take(served.ledger, "announce-honor", old, imported=True), Accepted)
    entry = {name: EXAMPLES["attest-shift"][name] for name in ("check_in", "check_out", "evidence")}
    return [
        ("found-organisation", {"organisation": new, "kind": "ngo", "parent": "luohu"}),
        ("open-station", {"station": new, "kind": "special", "theme": "health", "organisation": new}),
        ("rename-station", {"station": new, "name": "Another name"}),
        ("rename-organisation", {"organisation": new, "name": "Another name"}),
        ("launch-project", {"project": new, "content": "health", "in_charge": volunteer, "organisation": new}),
        ("rename-project", {"project": new, "name": "Another name"}),
        ("register-volunteer", {"volunteer": new, "registered_on": "2018-01-01", "organisation": new}),
        ("join-organisation", {"volunteer": volunteer, "organisation": new, "joined_on": "2018-01-01"}),
        ("leave-organisation", {"volunteer": volunteer, "organisation": new, "left_on": "2018-06-01"}),
        ("move-organisation", {"organisation": new, "moved_on": "2018-07-01", "reason": "reform"}),
        ("record-training", {**EXAMPLES["record-training"], "volunteer": volunteer}),
        ("void-training", {**EXAMPLES["void-training"], "volunteer": volunteer}),
        ("check-in", {**scan, "occurred_at": MORNING, "project": PROJECT}),
        ("check-out", {**scan, "occurred_at": NOON}),
        ("punch", {"volunteer": volunteer, "station": STATION, "occurred_at": "2018-12-02T09:00:00+08:00"}),
        ("dispute-shift", {**about, "text": "I stayed until noon."}),
        ("answer-dispute", about),
        ("settle-dispute", {**about, "outcome": "rejected"}),
        *approved("correct-shift", {**about, "changes": ["station"], "station": OTHER_STATION}),
        *approved("void-shift", about),
        *approved("reinstate-shift", about),
        *approved("move-shift", {**about, "to_volunteer": other}),
        *approved("attest-shift", {"volunteer": volunteer, "station": STATION, "shift": attested, **entry}),
        ("count-people-served", {"station": new, "day": "2018-12-04", "people": 12, "project": PROJECT}),
        *approved("record-opening-balance", {**EXAMPLES["record-opening-balance"], "volunteer": volunteer}),
        *approved("void-opening-balance", {"volunteer": volunteer, "reason": "checked"}),
        *approved("raise-day-cap", {**EXAMPLES["raise-day-cap"], "volunteer": volunteer, "raise_id": raise_id}),
        *approved(
            "withdraw-day-cap-raise",
            {**EXAMPLES["withdraw-day-cap-raise"], "volunteer": volunteer, "raise_id": raise_id},
        ),
        ("request-act", {"request": f"{new}-1", "act": "void-shift", "fields": {**about, "shift": attested}}),
        ("decline-act", {"request": f"{new}-1", "reason": "was-real"}),
        ("request-act", {"request": f"{new}-2", "act": "void-shift", "fields": {**about, "shift": attested}}),
        ("withdraw-request", {"request": f"{new}-2", "reason": "mistaken"}),
        (
            "announce-honor",
            {**EXAMPLES["announce-honor"], "award": new, "volunteer": volunteer, "evidence_position": 1},
        ),
        ("object-to-honor", {"award": new, "reason": "hours-doubted", "text": "Far too many."}),
        ("settle-honor-objection", {**EXAMPLES["settle-honor-objection"], "award": new}),
        ("award-honor", {**EXAMPLES["award-honor"], "award": f"old-{new}", "evidence_position": 1}),
        ("revoke-honor", {"award": new, "reason": "checked"}),
        (
            "issue-certificate",
            {
                **EXAMPLES["issue-certificate"],
                "volunteer": volunteer,
                "organisation": new,
                "evidence_position": 1,
                "rules_digest": served.ledger.current_generation().rules_digest,
            },
        ),
        ("revoke-certificate", {"certificate": next_certificate(served), "reason": "checked"}),
        *approved("merge-volunteer", {"volunteer": other, "into": volunteer, "reason": "checked"}),
        *approved("undo-merge", {"volunteer": other, "into": volunteer, "reason": "checked"}),
        ("withdraw-volunteer", {"volunteer": volunteer, "withdrawn_on": "2018-12-01", "reason": "moved-away"}),
        ("end-project", {"project": new, "reason": "completed"}),
        ("close-station", {"station": new, "reason": "rebuilding"}),
        ("end-organisation", {"organisation": new, "ended_on": "2018-12-01", "reason": "dissolved"}),
    ]


def next_certificate(served: Served) -> str:
    """Return the number that the next certificate will have."""
    year = datetime.now(ZoneInfo("Asia/Shanghai")).year
    return number_of(year, served.ledger.log.versions([register_of(year).bytes])[register_of(year).bytes] + 1)


OF_RULES = {"publish-rules", "put-rules-in-force"}
"""Commands that change what all other tests of this ledger see."""


def test_every_command_can_be_given_and_again_under_its_name(served: Served) -> None:
    given = a_year_in_the_life(served)
    asked = {body["request"]: body["act"] for command_type, body in given if command_type == "request-act"}
    assert {command_type for command_type, _ in given} | set(asked.values()) == set(COMMANDS) - OF_RULES
    for command_type, body in given:
        key = str(uuid4())
        role = Role.APPROVER if command_type in OF_APPROVER else Role.STAFF
        role = Role.ADMIN if command_type == "settle-honor-objection" else role  # who announced may not settle
        role = Role.STATION if command_type in SCANS else role
        first = served.command(command_type, role, key=key, **body)
        assert first.status_code == 201, (command_type, first.text)
        assert (first.json()["id"], first.json()["source"]) == (
            key,
            f"/callers/{f'station:{STATION}' if role is Role.STATION else f'person:{role}'}",
        )
        again = served.command(command_type, role, key=key, **body)
        assert (again.status_code, again.json()) == (200, {**first.json(), "duplicate": True}), command_type
        act = asked[body["request"]] if command_type == "approve-act" else command_type
        assert (first.json()["shift"] is not None) == ("shift" in COMMANDS[act].model_fields), command_type


def test_only_an_admin_publishes_rules_and_the_same_ones_once(served: Served) -> None:
    status = served.get("/v1/status").json()
    text = served.ledger.current_generation().rules_text
    assert status["rules"]["version"] == 1
    refused = served.command("publish-rules", role=Role.ADMIN, text=text)
    assert (refused.status_code, refused.json()["rejection"]) == (409, "already-published")


def test_rules_that_cannot_be_read_are_refused_by_their_key(served: Served) -> None:
    text = served.ledger.current_generation().rules_text.replace("day_minutes_max", "day_minute_max", 1)
    head = served.ledger.log.head()
    for wrong, said in ((text, "day_minute_max"), ("name = ", "TOML")):
        refused = served.command("publish-rules", role=Role.ADMIN, text=wrong)
        assert (refused.status_code, refused.json()["field"]) == (422, "text")
        assert said in refused.json()["detail"]
    assert served.ledger.log.head() == head


def test_a_name_is_made_up_where_none_is_sent(served: Served) -> None:
    volunteer = served.volunteer()
    answers = [
        served.command("check-in", volunteer=volunteer, station=STATION, occurred_at=MORNING).json() for _ in range(2)
    ]
    assert UUID(answers[0]["id"]) != UUID(answers[1]["id"])
    assert answers[1]["position"] == answers[0]["position"] + 1


def test_the_same_name_for_other_content_is_a_conflict(served: Served) -> None:
    volunteer, key = served.volunteer(), str(uuid4())
    scan: dict[str, Any] = {"volunteer": volunteer, "station": STATION}
    assert served.command("check-in", key=key, **scan, occurred_at=MORNING).status_code == 201
    refused = served.command("check-in", key=key, **scan, occurred_at=NOON)
    assert (refused.status_code, refused.json()["rejection"]) == (422, "name-taken")


def test_two_callers_may_choose_the_same_name(served: Served) -> None:
    volunteer, key = served.volunteer(), str(uuid4())
    count = {"station": STATION, "day": "2018-12-04", "people": 40, "reason": volunteer.lower()}
    answers = [
        served.command("count-people-served", key=key, role=role, **count) for role in (Role.STAFF, Role.STATION)
    ]
    assert [answer.status_code for answer in answers] == [201, 201]


def test_a_name_that_cannot_be_kept_is_refused(served: Served) -> None:
    for key in ("two words", "x" * 121):
        refused = served.command("check-in", key=key, **EXAMPLES["check-in"])
        assert (refused.status_code, refused.json()["field"]) == (422, "Idempotency-Key")


def test_a_request_for_what_cannot_be_is_refused_by_the_rule_of_its_act(served: Served) -> None:
    fields: dict[str, Any] = {"volunteer": served.volunteer(), "station": STATION, "evidence": "paper-list"}
    asked: dict[str, Any] = {
        "request": "backwards",
        "act": "attest-shift",
        "fields": {**fields, "check_in": NOON, "check_out": MORNING},
    }
    told = served.command("request-act", Role.STAFF, **asked)
    assert (told.status_code, told.json()["rejection"], told.json()["field"]) == (
        422,
        "ends-before-it-begins",
        "check_out",
    )
    told = served.command("request-act", Role.STAFF, **(asked | {"fields": fields | {"check_in": "noon"}}))
    assert (told.status_code, told.json()["rejection"], told.json()["field"]) == (422, "invalid", "fields")
    assert "check_in: is not an ISO 8601 instant" in told.json()["detail"]


@pytest.mark.parametrize(
    ("command_type", "change", "status", "rejection", "field"),
    [
        ("check-in", {"volunteer": "V9999999"}, 404, "unknown-volunteer", "volunteer"),
        ("check-in", {"station": "X99"}, 404, "unknown-station", "station"),
        ("check-in", {"project": "x"}, 404, "unknown-project", "project"),
        ("check-in", {"occurred_at": "2099-01-01T00:00:00Z"}, 422, "future", "occurred_at"),
        ("check-in", {"occurred_at": "2018-12-04 09:00"}, 422, "invalid", "occurred_at"),
        ("check-in", {"occurred_at": "2018-13-04T09:00:00Z"}, 422, "invalid", "occurred_at"),
        ("check-in", {"occurred_at": "1999-12-31T00:00:00Z"}, 422, "invalid", "occurred_at"),
        ("check-in", {"occurred_at": None}, 422, "invalid", "occurred_at"),
        ("check-in", {"shift": "x"}, 422, "invalid", "shift"),
        ("check-in", {"extra": 1}, 422, "invalid", "extra"),
        ("check-out", {"shift": None, "volunteer": "V9999999"}, 404, "unknown-volunteer", "volunteer"),
        ("punch", {"station": "X99"}, 404, "unknown-station", "station"),
        ("punch", {"direction": "up"}, 422, "invalid", "direction"),
        ("attest-shift", {}, 409, "needs-approval", "command"),
        ("void-shift", {}, 409, "needs-approval", "command"),
        ("dispute-shift", {}, 404, "unknown-shift", "shift"),
        ("register-volunteer", {}, 409, "already-registered", "volunteer"),
        ("register-volunteer", {"registered_on": "2099-01-01"}, 422, "future", "registered_on"),
        ("register-volunteer", {"registered_on": "2018-02-30"}, 422, "invalid", "registered_on"),
        ("merge-volunteer", {"into": None}, 422, "invalid", "into"),
    ],
)
def test_a_refusal_names_the_rule_the_field_and_the_way_out(
    served: Served, command_type: str, change: dict[str, Any], status: int, rejection: str, field: str
) -> None:
    example = {name: value for name, value in EXAMPLES[command_type].items() if name != "organisation"}
    volunteer = served.volunteer()
    if "station" in example:
        example["station"] = STATION
    head = served.ledger.log.head()
    answer = served.command(command_type, **{**example, "volunteer": volunteer, **change})
    told = answer.json()
    assert (answer.status_code, told["rejection"], told["field"]) == (status, rejection, field), told
    assert answer.headers["content-type"] == MEDIA_TYPE
    assert told["type"] == f"/problems/{rejection}"
    assert told["status"] == status
    assert told["remedy"]
    assert field in told["detail"]
    assert served.ledger.log.head() == head
    explained = served.client.get(told["type"]).json()
    assert (explained["title"], explained["status"]) == (told["title"], status)


def test_every_rejection_has_a_status_and_a_way_out() -> None:
    assert {rejection.code for rejection in Rejection} <= set(RULES)
    for name, rule in RULES.items():
        assert 400 <= rule.status < 600, name
        assert rule.title, name
        assert rule.remedy, name


def test_a_full_queue_says_to_come_again(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise QueueFull

    monkeypatch.setattr(served.service.commits, "submit", full)
    answer = served.command("check-in", **EXAMPLES["check-in"])
    assert (answer.status_code, answer.json()["rejection"]) == (503, "busy")
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["retry"] is True


@pytest.mark.parametrize(
    ("error", "status", "rejection"),
    [(psycopg.OperationalError("secret host"), 503, "unavailable"), (ZeroDivisionError("secret"), 500, "failed")],
)
def test_a_failure_tells_nothing_of_the_insides(
    served: Served, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, rejection: str
) -> None:
    future: Future[list[Answer]] = Future()
    future.set_exception(error)
    monkeypatch.setattr(served.service.commits, "submit", lambda *_: future)
    answer = served.command("check-in", **EXAMPLES["check-in"])
    assert (answer.status_code, answer.json()["rejection"]) == (status, rejection)
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    ("content", "media_type", "status", "rejection"),
    [
        (b"{", "application/json", 400, "malformed"),
        (b"\xff", "application/json", 400, "malformed"),
        (b"[]", "application/json", 422, "invalid"),
        (b'"x"', "application/json", 422, "invalid"),
        (b"", "application/json", 422, "invalid"),
        (b"{}", "text/plain", 415, "wrong-media-type"),
    ],
)
def test_a_body_that_is_no_object_is_refused(
    served: Served, content: bytes, media_type: str, status: int, rejection: str
) -> None:
    headers = served.headers(Role.STAFF) | {"Content-Type": media_type}
    answer = served.client.post("/v1/commands/check-in", content=content, headers=headers)
    assert (answer.status_code, answer.json()["rejection"]) == (status, rejection), answer.text
    assert answer.headers["content-type"] == MEDIA_TYPE
