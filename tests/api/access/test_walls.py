"""Who may do what: without a key nothing is written and nothing personal is read; each role stays inside its walls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient

from api.access.keys import UnknownKeyError
from api.access.roles import COMMANDS_OF_ROLE, ROLES_OF_RIGHT, Permission, Right, Role
from api.http import app
from api.http.app import create_app
from api.messages.cloud_events import BATCH, EVENT
from api.messages.examples import EXAMPLES
from api.messages.problems import MEDIA_TYPE
from ledger.aggregates import COMMANDS
from ledger.aggregates.scans import SCANS
from ledger.names import Position
from tests.api.access.test_keys import becomes
from tests.support.api.serving import OTHER_STATION, STATION, Served
from tests.support.ledger.orders import order_of

pytest_plugins = ["tests.support.api.fixtures"]

OPEN_TO_ALL = {
    "/healthz",
    "/readyz",
    "/problems/{rejection}",
    "/v1/certificates/{certificate}/state",
    "/v1/log/checkpoint",
    "/v1/log/tile/{level}/{index}",
    "/.well-known/service-hours-keys",
}
STATION_COMMANDS = {"check-in", "check-out", "punch", "count-people-served"}


def routes(served: Served) -> list[tuple[str, str]]:
    """Return method and address of everything the service describes."""
    paths: dict[str, dict[str, Any]] = served.client.get("/openapi.json").json()["paths"]
    return [(method.upper(), path) for path, methods in paths.items() for method in methods]


def test_every_address_but_the_open_ones_asks_for_a_key(served: Served) -> None:
    walled = [(method, path) for method, path in routes(served) if path not in OPEN_TO_ALL]
    assert len(walled) > len(COMMANDS) + 10  # every command has an address, and reading has many
    head = served.ledger.log.head()
    for method, path in walled:
        address = path.replace("{shift}", str(uuid4())).replace("{", "").replace("}", "")
        body = EXAMPLES.get(path.removeprefix("/v1/commands/"))
        for headers in ({}, {"Authorization": "Bearer hours_wrong"}, {"Authorization": "Basic aGVsbG86"}):
            answer = served.client.request(method, address, json=body, headers=headers)
            assert answer.status_code == 401, (method, path)
            assert answer.headers["content-type"] == MEDIA_TYPE
            assert answer.headers["www-authenticate"] == "Bearer"
            assert answer.json()["rejection"] == "no-key"
    assert served.ledger.log.head() == head


@pytest.mark.parametrize("path", ["/healthz", "/problems/future", "/docs", "/openapi.json"])
def test_health_problems_and_descriptions_need_no_key(served: Served, path: str) -> None:
    assert served.get(path, role=None).status_code == 200


def test_the_descriptions_need_no_network(served: Served) -> None:
    page = served.client.get("/docs").text
    assert "/static-offline-docs/swagger-ui-bundle.js" in page
    assert "https://" not in page
    assert served.client.get("/static-offline-docs/swagger-ui-bundle.js").status_code == 200


def test_strangers_have_the_description_made_once_however_often_they_ask(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def description() -> dict[str, str]:
        made.append("description")
        return {"openapi": "3.1.0"}

    monkeypatch.setattr(app, "description", description)
    with TestClient(create_app(served.service)) as client:
        refused = [client.delete(path) for path in ("/v1/stations", "/v1/volunteers/V1/shifts", "/v1/rules/candidates")]
        assert [(answer.status_code, answer.headers["allow"]) for answer in refused] == [
            (405, "GET, HEAD"),
            (405, "GET, HEAD"),
            (405, "POST"),
        ]
        assert made == []
        assert [client.get("/openapi.json").json() for _ in range(3)] == [{"openapi": "3.1.0"}] * 3
        assert len(made) == 1


def references(part: object) -> Iterator[str]:
    """Yield every reference in a description."""
    match part:
        case {"$ref": str(reference)}:
            yield reference
        case dict():
            for value in part.values():
                yield from references(value)
        case list():
            for value in part:
                yield from references(value)
        case _:
            pass


def test_the_description_names_problems_and_refers_to_nothing_that_is_not_there(served: Served) -> None:
    description = served.client.get("/openapi.json").json()
    named = set(references(description))
    assert {"#/components/schemas/ProblemDetails", "#/components/schemas/CloudEvent"} <= named
    assert named <= {f"#/components/schemas/{name}" for name in description["components"]["schemas"]}
    assert "HTTPValidationError" not in str(description)
    for path, operations in description["paths"].items():
        for operation in operations.values():
            assert MEDIA_TYPE in operation["responses"]["default"]["content"], path


@pytest.mark.parametrize("role", sorted(ROLES_OF_RIGHT[Right.READ]))
def test_every_role_but_the_volunteer_s_may_read(served: Served, role: Role) -> None:
    volunteer = served.volunteer()
    assert served.get("/v1/stations", role=role, at_least=served.ledger.log.head()).status_code == 200
    for path in ("/v1/status", "/v1/log", "/v1/stations", "/v1/honors", f"/v1/volunteers/{volunteer}"):
        answer = served.get(path, role=role)
        assert answer.status_code == 200, (path, answer.text)


OWN: dict[str, dict[str, str]] = {"dispute-shift": {"volunteer": "V0000001"}}
"""What the key of a volunteer needs besides the example of a command."""


@pytest.mark.parametrize("command_type", COMMANDS)
@pytest.mark.parametrize("role", list(Role))
def test_each_role_may_give_its_commands_and_no_others(served: Served, role: Role, command_type: str) -> None:
    may = command_type in COMMANDS_OF_ROLE[role]
    if role in {Role.READER, Role.ANALYST, Role.AUDITOR}:
        assert not may
    if role in {Role.STATION, Role.STAFF, Role.ADMIN}:
        everything_but: dict[Role, set[str]] = {
            Role.STATION: set(COMMANDS) - STATION_COMMANDS,
            Role.STAFF: {"publish-rules", "put-rules-in-force"},
            Role.ADMIN: set(),
        }
        assert may == (command_type not in everything_but[role])
    if command_type in SCANS:  # a reader sends them, or a person types them
        assert may == (role in {Role.STATION, Role.CORRECTOR, Role.STAFF, Role.ADMIN})
    command = COMMANDS[command_type].model_validate(EXAMPLES[command_type] | OWN.get(command_type, {}))
    caller = served.service.keys.caller(served.tokens[role])
    assert caller is not None
    asks_for = EXAMPLES[command_type]["act"] if command_type == "request-act" else command_type
    may = may and asks_for in COMMANDS_OF_ROLE[role]  # a role asks for what it may do itself
    order = order_of(command, source=f"/callers/{caller.by}", id="1", by=caller.by)
    assert (Permission(caller).forbids(order) is None) == may
    if may:
        return  # that a granted command is recorded is shown elsewhere
    head = served.ledger.log.head()
    answer = served.command(command_type, role=role, **EXAMPLES[command_type])
    assert (answer.status_code, answer.json()["rejection"]) == (403, "forbidden")
    assert served.ledger.log.head() == head


def test_a_station_key_serves_its_own_station_only(served: Served) -> None:
    volunteer = served.volunteer()
    scan = {"volunteer": volunteer, "occurred_at": "2018-12-04T09:00:00+08:00"}
    refused = served.command("check-in", role=Role.STATION, station=OTHER_STATION, **scan)
    assert (refused.status_code, refused.json()["field"]) == (403, "station")
    granted = served.command("check-in", role=Role.STATION, station=STATION, **scan)
    assert granted.status_code == 201
    (event,) = served.ledger.log.read(granted.json()["position"] - 1, 1)
    assert b'"by":"station:C01"' in event.state


def test_a_station_names_its_events_under_its_own_source(served: Served) -> None:
    volunteer = served.volunteer()
    data = {"volunteer": volunteer, "station": STATION, "occurred_at": "2018-12-04T09:00:00+08:00"}
    for source in (f"/stations/{OTHER_STATION}", f"/stations/{STATION}1", "urn:tablet"):
        answer = served.send(served.event("check-in", source=source, **data))
        assert (answer.status_code, answer.json()["field"]) == (403, "source"), source
    for source in (f"/stations/{STATION}", f"/stations/{STATION}/tablet-2"):
        assert served.send(served.event("check-in", source=source, **data)).status_code == 201


def test_a_batch_refuses_what_is_not_allowed_and_takes_the_rest(served: Served) -> None:
    data = {"volunteer": served.volunteer(), "occurred_at": "2018-12-04T09:00:00+08:00"}
    mine = served.event("check-in", station=STATION, **data)
    theirs = served.event("check-in", station=OTHER_STATION, **data)
    answers = served.send([theirs, mine]).json()["answers"]
    assert [answer["outcome"] for answer in answers] == ["refused", "accepted"]
    assert (answers[0]["rejection"], answers[0]["field"]) == ("forbidden", "station")


def test_a_revoked_key_is_refused_at_once(served: Served) -> None:
    keys = served.ledger.keys
    key, token = keys.make(Role.READER, "leaving")
    headers = {"Authorization": f"Bearer {token}"}
    assert served.client.get("/v1/status", headers=headers).status_code == 200
    keys.revoke(key.id)
    assert becomes(lambda: served.client.get("/v1/status", headers=headers).status_code, 401)
    keys.revoke(key.id)  # again is no error
    with pytest.raises(UnknownKeyError, match="999999"):
        keys.revoke(999_999)


def test_the_database_holds_no_token(served: Served) -> None:
    token = served.tokens[Role.STAFF]
    with served.ledger.database.pool.connection() as connection:
        rows = connection.execute("SELECT keys::text FROM api.keys").fetchall()
    assert len(rows) >= len(Role)
    assert not any(token in row[0] or token.removeprefix("hours_") in row[0] for row in rows)


def test_events_say_whose_key_it_was(served: Served) -> None:
    volunteer = served.volunteer()
    (event,) = served.ledger.log.read(Position(served.ledger.log.head() - 1), 1)
    assert f'"volunteer":"{volunteer}"'.encode() in event.state
    assert b'"by":"person:staff"' in event.state


@pytest.mark.parametrize("media_type", [EVENT, BATCH])
def test_a_reader_may_send_no_event(served: Served, media_type: str) -> None:
    event = served.event("check-in", volunteer="V1", station=STATION, occurred_at=1543885200)
    answer = served.send(event if media_type == EVENT else [event], role=Role.READER)
    told = answer.json() if media_type == EVENT else answer.json()["answers"][0]
    assert told["rejection"] == "forbidden"
