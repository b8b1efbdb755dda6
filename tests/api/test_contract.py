"""The service against its own OpenAPI description: Schemathesis asks, valid and invalid, and looks at every answer.

Here with few examples; `python -m bench.contract --examples 100` asks for longer. What it found stands below, by
name.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from jsonschema_rs import validator_for

from api.access.roles import Role
from api.messages.examples import EXAMPLES
from bench.contract.run import served as serve_stocked
from bench.contract.run import verify
from replay.queries.queries import UnknownNameError
from tests.support.api.serving import PROJECT, STATION, Served, listening

pytest_plugins = ["tests.support.api.fixtures"]

FEW = 2
ALIKE = "^/v1/events$|^/v1/commands/(?!check-in|attest-shift|correct-shift|raise-day-cap|announce-honor)"
"""The commands' operations are made by one function from one table: at the bounds of their schemas, five stand for all
thirty here, and for the types of events, whose bounds alone are five thousand requests. The long run asks them all."""

OPERATIONS_OF_A_PARAMETER = 2
"""An optional parameter that many operations have with the same schema (an axis, a page) is asked at its bounds of so
many of them. The long run asks it of all."""


@pytest.fixture(scope="module")
def service(new_database_url: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The address of a served ledger with a little history, and an administrator's key."""
    with serve_stocked(new_database_url(), tmp_path_factory.mktemp("contract")) as (address, token):
        yield address, token


@pytest.fixture(scope="module")
def description(service: tuple[str, str]) -> dict[str, Any]:
    """The description that the service gives of itself."""
    with urlopen(f"{service[0]}/openapi.json") as response:  # noqa: S310 - the address is ours
        described: dict[str, Any] = json.load(response)
    return described


@pytest.mark.usefixtures("description")  # made before it is asked for within ten seconds
def test_every_operation_answers_as_it_is_described(service: tuple[str, str]) -> None:
    result = verify(*service, examples=FEW, phases=["examples", "fuzzing"])
    assert result.failures == 0, result.report
    assert result.operations >= 65, result.report
    assert result.requests >= 150, result.report


def test_every_operation_answers_as_it_is_described_at_the_bounds_of_its_schema(
    service: tuple[str, str], description: dict[str, Any], tmp_path: Path
) -> None:
    shorter = tmp_path / "openapi.json"
    shorter.write_text(json.dumps(with_each_parameter_in_few_operations(description)))
    result = verify(*service, examples=FEW, phases=["coverage"], without=ALIKE, description=shorter)
    assert result.failures == 0, result.report
    assert result.operations >= 59, result.report
    assert result.requests >= 2000, result.report


def with_each_parameter_in_few_operations(description: dict[str, Any]) -> dict[str, Any]:
    """Leave out optional parameters that enough earlier operations have, among those that are asked."""
    seen: Counter[tuple[str, str, str]] = Counter()

    def is_asked(parameter: dict[str, Any]) -> bool:
        schema = {key: value for key, value in parameter["schema"].items() if key not in {"description", "title"}}
        key = parameter["in"], parameter["name"], json.dumps(schema, sort_keys=True)
        seen[key] += 1
        return parameter["required"] or seen[key] <= OPERATIONS_OF_A_PARAMETER

    return description | {
        "paths": {
            path: {
                method: operation | {"parameters": [each for each in operation.get("parameters", ()) if is_asked(each)]}
                for method, operation in operations.items()
            }
            for path, operations in description["paths"].items()
            if not re.search(ALIKE, path)
        }
    }


def test_each_parameter_is_asked_at_its_bounds(description: dict[str, Any]) -> None:
    def parameters(paths: dict[str, Any]) -> list[tuple[str, str]]:
        operations = [operation for path in paths for operation in paths[path].values() if not re.search(ALIKE, path)]
        return [(each["in"], each["name"]) for operation in operations for each in operation.get("parameters", ())]

    every, asked = (
        Counter(parameters(each["paths"])) for each in (description, with_each_parameter_in_few_operations(description))
    )
    assert set(asked) == set(every)
    assert asked["query", "known_at"] == OPERATIONS_OF_A_PARAMETER < every["query", "known_at"]
    assert asked["path", "number"] == every["path", "number"]


def test_every_operation_answers_as_it_is_described_to_whoever_has_no_key(service: tuple[str, str]) -> None:
    result = verify(service[0], None, examples=1, phases=["examples"])
    assert result.failures == 0, result.report
    assert result.requests >= 60, result.report


def test_a_service_that_answers_otherwise_than_described_is_found_out(
    service: tuple[str, str], description: dict[str, Any], tmp_path: Path
) -> None:
    """The same asked of a description that promises too much."""
    described = deepcopy(description)
    described["components"]["schemas"]["Health"]["properties"]["status"] = {"type": "integer"}
    lie = tmp_path / "openapi.json"
    lie.write_text(json.dumps(described | {"paths": {"/healthz": described["paths"]["/healthz"]}}))
    result = verify(*service, examples=1, phases=["examples", "fuzzing"], description=lie)
    assert (result.operations, result.failures) == (1, 1), result.report
    assert "response violates schema" in result.report.lower()


# --- what was found once --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v1/rankings/ten-best", f"/v1/projects/{PROJECT}/ranks"])
def test_a_year_without_any_project_s_hours_is_no_failure(served: Served, path: str) -> None:
    answer = served.get(path, year=2001)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("written", [0, 1.5, "0", "1543888800", "2018-12-04T00:00:00", True])
def test_a_number_is_no_day(served: Served, written: object) -> None:
    told = served.command("register-volunteer", volunteer="V0", registered_on=written)
    assert (told.status_code, told.json()["field"]) == (422, "registered_on")
    assert "2018-12-04" in told.json()["remedy"]


def test_a_number_is_no_day_in_an_address(served: Served) -> None:
    told = served.get("/v1/honors", valid_at="0")
    assert (told.status_code, told.json()["field"]) == (422, "valid_at")


def test_a_whole_number_may_be_written_with_a_point(served: Served) -> None:
    """JSON knows numbers, and JSON Schema calls 42.0 an integer."""
    said: dict[str, Any] = {"volunteer": served.volunteer(), "station": STATION}
    assert served.command("check-in", occurred_at=1543888800.0, **said).status_code == 201
    entry = {"volunteer": said["volunteer"], "tier": "basic", "content": "x", "learning_minutes": 60.5}
    told = served.command("record-training", provider="x", completed_on="2018-12-04", **entry)
    assert (told.status_code, told.json()["field"]) == (422, "learning_minutes")
    assert served.command("check-in", occurred_at=True, **said).status_code == 422


def test_an_empty_name_is_no_name(served: Served) -> None:
    """It was taken for none at all, and what was sent twice was recorded twice."""
    said: dict[str, Any] = {"volunteer": served.volunteer(), "station": STATION, "occurred_at": 1543888800}
    headers = served.headers(Role.STAFF) | {"Idempotency-Key": ""}
    told = served.client.post("/v1/commands/check-in", json=said, headers=headers)
    assert (told.status_code, told.json()["field"]) == (422, "Idempotency-Key")


@pytest.mark.parametrize("body", [{"switch": 0}, {"switch": "no"}, {"rules": True}, {"rules": "1"}])
def test_what_to_build_is_said_in_its_own_types(served: Served, body: dict[str, Any]) -> None:
    told = served.client.post("/v1/generations", json=body, headers=served.headers(Role.ADMIN))
    assert (told.status_code, told.json()["field"]) == (422, next(iter(body)))


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("/v1/generations", "GET, HEAD, POST"),
        ("/v1/jobs/5fa565da-0f59-45c6-a98c-039f0cbdf5f8", "DELETE, GET, HEAD"),
        ("/v1/rules/candidates", "POST"),
        ("/v1/rules/1", "GET, HEAD"),
        ("/metrics", "GET, HEAD"),
    ],
)
def test_a_method_that_is_not_taken_is_answered_with_all_that_are(served: Served, address: str, allowed: str) -> None:
    for method in ("PUT", "OPTIONS", "TRACE"):
        told = served.client.request(method, address, headers=served.headers(Role.ADMIN))
        assert (told.status_code, told.headers["allow"]) == (405, allowed), method


def test_candidates_are_not_read_at_the_address_they_are_posted_to(served: Served) -> None:
    told = served.get("/v1/rules/candidates")
    assert (told.status_code, told.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("command_type", EXAMPLES)
def test_the_example_of_a_command_fits_its_schema(description: dict[str, Any], command_type: str) -> None:
    """Instants were described as numbers, and written as text."""
    body = description["paths"][f"/v1/commands/{command_type}"]["post"]["requestBody"]["content"]["application/json"]
    schema = {**body["schema"], "components": description["components"]}
    validator = validator_for(schema)
    assert validator.is_valid(body["example"])
    assert not validator.is_valid({**body["example"], "occurred_at": []})


def test_problems_with_a_way_out_in_a_header_are_described_with_it(description: dict[str, Any]) -> None:
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            told = operation["responses"]
            assert ("401" in told) == bool(operation.get("security")), (method, path)
            if operation.get("security"):
                assert "WWW-Authenticate" in told["401"]["headers"]
                assert all("Retry-After" in told[status]["headers"] for status in ("429", "503"))


def test_an_honour_s_evidence_lies_where_positions_can_lie(served: Served) -> None:
    award = EXAMPLES["award-honor"] | {"evidence_position": 10**30}
    told = served.command("award-honor", **award)
    assert (told.status_code, told.json()["field"]) == (422, "evidence_position")


@pytest.mark.parametrize("name", ["%00", "V1%22", "V1%5C", "V%22,%22V0000001", "%C2%85", "V%202"])
@pytest.mark.parametrize(
    "path", ["volunteers/{}", "volunteers/{}/shifts", "stations/{}/activity", "honors/{}/standings"]
)
def test_what_can_be_no_name_is_answered_so(served: Served, path: str, name: str) -> None:
    """A quotation mark broke the list of names that the database was asked for."""
    told = served.get(f"/v1/{path.format(name)}")
    assert told.status_code in {404, 422}, told.text


def test_a_name_with_a_quotation_mark_is_a_name_that_is_not_there(served: Served) -> None:
    """Past HTTP, as the command line asks."""
    for name in ('V1"', "V1\\", 'V","V0000001'):
        with pytest.raises(UnknownNameError):
            served.ledger.queries.volunteer_hours(name)


def test_the_next_page_begins_behind_a_name(served: Served) -> None:
    told = served.get(f"/v1/stations/{STATION}/shifts?day=2018-12-04&after=%00")
    assert (told.status_code, told.json()["field"]) == (422, "after")


@pytest.mark.parametrize(
    "address",
    [
        "/healthz",
        "/readyz",
        "/metrics",
        "/openapi.json",
        "/docs",
        "/v1/status",
        "/v1/rules/1",
        "/v1/volunteers/V1",
        "/no",
    ],
)
def test_head_is_answered_as_get_without_a_body(served: Served, address: str) -> None:
    headers = served.headers(Role.ADMIN)
    got, head = served.client.get(address, headers=headers), served.client.head(address, headers=headers)
    assert (head.status_code, head.content) == (got.status_code, b"")
    assert head.headers["content-type"] == got.headers["content-type"]


def test_an_address_without_get_has_no_head(served: Served) -> None:
    head = served.client.head("/v1/events", headers=served.headers(Role.STATION))
    assert (head.status_code, head.headers["allow"], head.content) == (405, "POST", b"")


def test_a_server_answers_head_and_goes_on(served: Served) -> None:
    with listening(served) as server, server.connected() as connection, connection.makefile("rb") as answers:
        for request in (b"HEAD", b"GET", b"GET"):  # what follows a head is the next answer, or its own body
            connection.sendall(request + b" /healthz HTTP/1.1\r\nHost: ledger\r\n\r\n")
            assert answers.readline().startswith(b"HTTP/1.1 200 ")
            lengths = [line for line in iter(answers.readline, b"\r\n") if line.startswith(b"content-length:")]
            length = int(lengths[0].split()[1])
            assert length > 0
            if request == b"GET":
                assert json.loads(answers.read(length)) == {"status": "ok"}
