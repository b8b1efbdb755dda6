"""A real server and raw connections: streams that are answered while they are sent, and callers that hang up."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from api.access.roles import Role
from api.http.routes.writes.event_stream import NDJSON
from api.messages.cloud_events import EVENT
from ledger.names import Position
from tests.support.api.serving import STATION, Served, listening
from tests.support.patience import PATIENCE_SECONDS

pytest_plugins = ["tests.support.api.fixtures"]

AT = "2018-12-04T09:00:00+08:00"


@pytest.fixture(scope="module")
def port(served: Served) -> Iterator[int]:
    """Where the ledger is served."""
    with listening(served) as one:
        yield one.port


def begin(served: Served, port: int, media_type: str, length: str) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)
    token = served.tokens[Role.STATION]
    head = f"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: {media_type}\r\n"
    connection.sendall(f"{head}{length}\r\n\r\n".encode())
    return connection


def chunk(content: bytes) -> bytes:
    return f"{len(content):x}\r\n".encode() + content + b"\r\n"


def line(event: dict[str, Any]) -> bytes:
    return json.dumps(event).encode() + b"\n"


def answer_of(connection: socket.socket, name: str) -> dict[str, Any]:
    """Read until the answer to an event has come."""
    held = b""
    while True:
        held += connection.recv(65536)
        for one in held.split(b"\r\n"):
            if one.startswith(b"{") and one.endswith(b"\n") and (said := json.loads(one))["id"] == name:
                return dict(said)


def scans(served: Served, number: int) -> list[dict[str, Any]]:
    volunteer = served.volunteer()
    about = {"volunteer": volunteer, "station": STATION, "occurred_at": AT}
    return [served.event("check-in", shift=str(uuid4()), **about) for _ in range(number)]


def test_a_line_is_answered_before_the_next_is_sent(served: Served, port: int) -> None:
    with begin(served, port, NDJSON, "Transfer-Encoding: chunked") as connection:
        positions = []
        for event in scans(served, 3):
            whole = line(event)
            connection.sendall(chunk(whole[:40]))
            connection.sendall(chunk(whole[40:]))
            positions.append(answer_of(connection, event["id"])["position"])
        connection.sendall(b"0\r\n\r\n")
    assert positions == list(range(positions[0], positions[0] + 3))


def test_a_stream_that_breaks_off_in_a_line_has_recorded_those_before(served: Served, port: int) -> None:
    first, second = scans(served, 2)
    with begin(served, port, NDJSON, "Transfer-Encoding: chunked") as connection:
        connection.sendall(chunk(line(first)))
        position = answer_of(connection, first["id"])["position"]
        connection.sendall(chunk(line(second)[:50]))
    assert served.send(first).json()["position"] == position
    answer = served.send(second)
    assert (answer.status_code, answer.json()["duplicate"]) == (201, False)


@pytest.mark.parametrize("more", ["", "ce-specversion: 1.0\r\n"])
def test_a_caller_that_hangs_up_in_its_body_records_nothing(
    served: Served, port: int, caplog: pytest.LogCaptureFixture, more: str
) -> None:
    (event,) = scans(served, 1)
    head = served.ledger.log.head()
    media_type = EVENT if not more else "application/json"
    with begin(served, port, media_type, f"{more}Content-Length: 5000") as connection:
        connection.sendall(line(event))
    assert served.send({**event, "id": f"{event['id']}-again"}).status_code == 201  # the server goes on
    assert served.ledger.log.head() == head + 1
    assert [record for record in caplog.records if record.exc_info] == []


def test_a_caller_that_does_not_wait_for_its_answer_is_recorded_all_the_same(served: Served, port: int) -> None:
    (event,) = scans(served, 1)
    content = line(event)
    with begin(served, port, EVENT, f"Content-Length: {len(content)}") as connection:
        connection.sendall(content)
    again = served.send(event)  # behind it in the queue, so it is there by now, or this one is the first
    assert again.status_code in {200, 201}
    events = served.ledger.log.read(Position(served.ledger.log.head() - 1), 10)
    assert sum(event["id"].encode() in one.state for one in events) == 1
