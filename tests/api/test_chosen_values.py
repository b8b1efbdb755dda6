"""Values that callers choose: none makes an address fail, and what is wrong with one is told in a short problem."""

from __future__ import annotations

import json
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import quote, urlencode
from uuid import uuid4

import pytest
from httpx2 import Response

from api.access.roles import Role
from api.messages.problems import MEDIA_TYPE
from tests.support.api.command_line import CommandLine
from tests.support.api.serving import PROJECT, STATION, Served

pytest_plugins = ["tests.support.api.fixtures"]

PROBLEM_BYTES_MAX = 12_000
VALUES = {
    "5,000 digits": "9" * 5_000,
    "4,000 digits": "9" * 4_000,
    "30 digits": "9" * 30,
    "19 digits": "9" * 19,
    "18 digits": "9" * 18,
    "10 digits": "9" * 10,
    "other digits": "٣" * 5_000,
    "superscript digits": "²" * 10,
    "negative": "-" + "9" * 400,
    "exponent": "1e999999",
    "first day": "0001-01-01",
    "last day": "9999-12-31",
    "first instant": "0001-01-01T00:00:00Z",
    "last instant": "9999-12-31T23:59:59-23:59",
    "5,000 characters": "a" * 5_000,
    "repetitions": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!" * 100,
    "dashes": "-" * 5_000,
    "blank": " ",
    "zero byte": "a\0b",
    "line feed": "C01\n",
    "brackets": "[" * 5_000,
    "fraction": "0." + "3" * 5_000,
}
NAMES = {
    "award": "a1",
    "certificate": "2018-000001",
    "form": "json",
    "generation": "1",
    "honor": "star-1",
    "index": "000",
    "job": str(uuid4()),
    "level": "0",
    "number": "V0000001",
    "organisation": "luohu",
    "position": "1",
    "project": PROJECT,
    "ranking": "top-hundred",
    "rejection": "future",
    "rules": "1",
    "shift": str(uuid4()),
    "station": STATION,
    "volunteer": "V0000001",
}
"""A value for each parameter of a path that is not under test."""
NEEDED = {"/v1/spot-check": {"seed": "x", "size": "3"}}


def reads(served: Served) -> list[tuple[str, str, str]]:
    """Return address, place and name of each parameter of every address that is read."""
    paths: dict[str, dict[str, Any]] = served.client.get("/openapi.json").json()["paths"]
    return [
        (path, parameter["in"], parameter["name"])
        for path, methods in paths.items()
        for parameter in methods.get("get", {}).get("parameters", ())
        if parameter["in"] in {"path", "query"} and not path.endswith("/events/stream")
    ]


async def ask(served: Served, path: str, place: str, name: str, value: str) -> Response:
    """Ask the application itself: to parse an address of 5,000 characters costs the client more than it costs us."""
    names = NAMES | ({name: value} if place == "path" else {})
    parameters = NEEDED.get(path, {}) | ({name: value} if place == "query" else {})
    for known, chosen in names.items():
        path = path.replace(f"{{{known}}}", chosen)
    headers = served.headers(Role.ADMIN) | {"Host": "testserver"}
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": quote(path).encode(),
        "root_path": "",
        "query_string": urlencode(parameters).encode(),
        "headers": [(key.lower().encode(), text.encode()) for key, text in headers.items()],
        "client": ("testclient", 50_000),
        "server": ("testserver", 80),
        "state": served.client.app_state.copy(),
    }
    messages: list[MutableMapping[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        messages.append(message)

    await served.client.app(scope, receive, send)
    begun, *parts = messages
    content = b"".join(part.get("body", b"") for part in parts)
    return Response(begun["status"], headers=begun["headers"], content=content)


@pytest.mark.parametrize("name", VALUES)
def test_no_value_of_a_parameter_makes_an_address_fail(served: Served, name: str) -> None:
    asked = [(path, place, parameter, VALUES[name]) for path, place, parameter in reads(served)]

    async def ask_all() -> list[Response]:
        return [await ask(served, *each) for each in asked]

    assert served.client.portal is not None
    failed = []
    for (path, _, parameter, _), answer in zip(asked, served.client.portal.call(ask_all), strict=True):
        if answer.status_code >= 500 or (answer.status_code >= 400 and len(answer.content) > PROBLEM_BYTES_MAX):
            failed.append((path, parameter, answer.status_code, len(answer.content), answer.text[:200]))
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == MEDIA_TYPE, (path, parameter)
            # A problem that nobody knows, and a tile that is not there, are answered so too; all others exist.
            unknown = answer.json()["rejection"] == "no-such-address"
            assert not unknown or path == "/problems/{rejection}" or path.startswith("/v1/log/tile/"), (path, parameter)
    assert failed == []


NUMBERS = ("9" * 5_000, "9" * 4_000, "9" * 30, "-1", "1e400", "1e5", "NaN", "Infinity", "0.1", "true", "null", "[]")
DEEP = ("[" * 100_000, "[" * 5_000 + "]" * 5_000, '{"a":' * 100_000, '{"a":' * 5_000 + "1" + "}" * 5_000)
BODIES: dict[str, tuple[str, ...]] = {
    "/v1/what-ifs": ("limit", "before.known_at", "before.rules", "valid_at", "after"),
    "/v1/generations": ("rules", "switch"),
    "/v1/rules/candidates": ("text",),
    "/v1/honors/star-1/announcements": ("limit", "year", "volunteer", "all_eligible"),
    "/v1/honors/star-1/awards": ("limit", "year", "awarded_on"),
    "/v1/imports/lines": ("name", "content", "mapping", "sheet"),
    "/v1/certificates": ("from_year", "volunteer", "organisation", "with_name"),
    "/v1/persons/V0000001": ("name", "phone", "email"),
    "/v1/commands/check-in": ("occurred_at", "volunteer", "shift"),
    "/v1/commands/record-opening-balance": ("minutes", "as_of"),
    "/v1/commands/count-people-served": ("people",),
    "/v1/events": ("data", "time", "imported"),
}


@pytest.mark.parametrize("value", [*NUMBERS, *DEEP], ids=lambda value: f"{value[:9]} ({len(value)})")
@pytest.mark.parametrize("path", BODIES)
def test_no_value_in_a_body_makes_an_address_fail(served: Served, path: str, value: str) -> None:
    headers = served.headers(Role.ADMIN)
    media_types = ["application/json"]
    if path == "/v1/events":
        media_types = ["application/cloudevents+json", "application/cloudevents-batch+json", "application/x-ndjson"]
    for field in BODIES[path]:
        outer, _, inner = field.partition(".")
        nested = f'{{"{inner}":{value}}}' if inner else value
        for media_type in media_types:
            for body in (f'{{"{outer}":{nested}}}', value):
                content = body.encode() + (b"\n" if media_type.endswith("ndjson") else b"")
                answer = served.client.post(path, content=content, headers=headers | {"Content-Type": media_type})
                failed = answer.status_code >= 500 and answer.json()["rejection"] != "too-many-jobs"
                assert not failed, (field, body[:40], answer.text[:300])
                if answer.status_code >= 400:
                    assert len(answer.content) < PROBLEM_BYTES_MAX, (field, body[:40])
                    assert json.loads(answer.content)["remedy"]


@pytest.mark.parametrize("name", [name for name, value in VALUES.items() if "\0" not in value])  # no argument has one
@pytest.mark.parametrize(
    "arguments",
    [
        ("volunteer", "V0000001", "--known-at"),
        ("volunteer", "V0000001", "--valid-at"),
        ("station", STATION, "--from"),
        ("station", STATION, "--to"),
        ("anomalies", "--from"),
        ("anomalies", "--to"),
        ("diff", "current", "--valid-at"),
    ],
    ids=" ".join,
)
def test_no_value_of_an_option_makes_a_command_fail(reads: CommandLine, arguments: tuple[str, ...], name: str) -> None:
    *words, option = arguments
    told = reads(*words, f"{option}={VALUES[name]}")
    assert told.code in {0, 2}, told.err
    assert "Traceback" not in told.err
    assert len(told.err) < PROBLEM_BYTES_MAX
