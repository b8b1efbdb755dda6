"""A real server and raw connections: each request is answered, in order, whatever befalls those beside it."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import IO, Any, NamedTuple

import psycopg
import pytest

from api.access.roles import Role
from api.http.requests.submission import SMALL_BYTES_MAX
from api.messages.cloud_events import BATCH, EVENT
from ledger.intake.answers import Answer
from ledger.intake.group_commit import QueueFull
from ledger.names import Position
from tests.support.api.serving import STATION, Listening, Served, listening
from tests.support.patience import PATIENCE_SECONDS

pytest_plugins = ["tests.support.api.fixtures"]

AT = "2018-12-04T09:00:00+08:00"
CALLERS, POSTS = 8, 30


@pytest.fixture(scope="module")
def server(served: Served) -> Iterator[Listening]:
    """The served ledger behind a socket."""
    with listening(served) as one:
        yield one


class SocketAnswer(NamedTuple):
    """An answer as it came."""

    status: int
    headers: dict[str, str]
    body: Any


@contextmanager
def talking(server: Listening) -> Iterator[tuple[socket.socket, IO[bytes]]]:
    """Open a connection; yield it, and where its answers are read."""
    with server.connected() as connection, connection.makefile("rb") as answers:
        yield connection, answers


def told(answers: IO[bytes]) -> SocketAnswer:
    """Read the next answer of a connection."""
    status = int(answers.readline().split()[1])
    headers: dict[str, str] = {}
    while line := answers.readline().strip():
        name, _, value = line.decode().partition(": ")
        headers[name.lower()] = value
    content = answers.read(int(headers.get("content-length", 0)))
    return SocketAnswer(status, headers, json.loads(content) if content else None)


def check_in(served: Served, volunteer: str | None = None) -> dict[str, Any]:
    return served.event("check-in", volunteer=volunteer or served.volunteer(), station=STATION, occurred_at=AT)


def post(served: Served, content: Any, *more: str, version: str = "1.1", role: Role = Role.STATION) -> bytes:
    """Return a request as it is sent: one event, or a list of them, or bytes that are taken for one."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    lines = [
        f"POST /v1/events HTTP/{version}",
        "Host: x",
        f"Authorization: {served.headers(role)['Authorization']}",
        f"Content-Type: {BATCH if isinstance(content, list) else EVENT}",
        *more,
    ]
    if not any(line.startswith("Transfer-Encoding") for line in more):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def asked(server: Listening, request: bytes) -> SocketAnswer:
    """Send a request on a connection of its own; return the answer."""
    with talking(server) as (connection, answers):
        connection.sendall(request)
        return told(answers)


# --- connections ------------------------------------------------------------------------------------------------------


def test_requests_sent_behind_one_another_are_answered_in_order(served: Served, server: Listening) -> None:
    events = [check_in(served) for _ in range(6)]
    unknown = check_in(served, "V9999999")
    status = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    requests = [post(served, events[0]), status, post(served, events[1:3]), post(served, b"{"), post(served, unknown)]
    requests += [post(served, event) for event in (*events[3:], events[0])]
    with talking(server) as (connection, answers):
        connection.sendall(b"".join(requests))
        found = [told(answers) for _ in requests]
    assert [one.status for one in found] == [201, 200, 200, 400, 404, 201, 201, 201, 200]
    assert [one["id"] for one in found[2].body["answers"]] == [event["id"] for event in events[1:3]]
    singles = [found[0], *found[5:]]
    assert [one.body["id"] for one in singles] == [event["id"] for event in (events[0], *events[3:], events[0])]
    positions = [one.body["position"] for one in (*singles[:1], found[2], *singles[1:4])]
    assert positions == sorted(positions)
    assert len({one.headers["x-request-id"] for one in found}) == len(found)


@pytest.mark.parametrize(("version", "more"), [("1.1", ["Connection: close"]), ("1.0", [])])
def test_a_connection_is_closed_behind_the_answer_where_that_was_asked(
    served: Served, server: Listening, version: str, more: list[str]
) -> None:
    with talking(server) as (connection, answers):
        connection.sendall(post(served, check_in(served), *more, version=version))
        answer = told(answers)
        assert (answer.status, answer.headers["connection"]) == (201, "close")
        assert answers.read() == b""


def test_a_connection_serves_on_whatever_was_answered(
    served: Served, server: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    event, other = check_in(served), check_in(served)
    with talking(server) as (connection, answers):

        def answer(content: Any, role: Role = Role.STATION) -> SocketAnswer:
            connection.sendall(post(served, content, role=role))
            return told(answers)

        assert answer(b"{").status == 400
        assert answer(b"[" * 100_000).status == 400
        assert answer({**event, "source": "/elsewhere"}).status == 403
        assert answer(event, Role.READER).status == 403
        with monkeypatch.context() as context:
            context.setattr(served.service.commits, "submit", failing(psycopg.OperationalError()))
            assert answer(other).status == 503
        assert answer(event).status == 201
        assert [one["outcome"] for one in answer([event, 7, other]).body["answers"]] == [
            "accepted",
            "refused",
            "accepted",
        ]


@pytest.mark.parametrize("size", [1, 50])
def test_a_request_that_comes_in_pieces_is_taken_when_it_is_whole(served: Served, server: Listening, size: int) -> None:
    request = post(served, check_in(served))
    with talking(server) as (connection, answers):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(request), size):
            connection.sendall(request[at : at + size])
        assert told(answers).status == 201


def test_a_body_may_come_in_chunks_or_be_announced(served: Served, server: Listening) -> None:
    body = json.dumps(check_in(served)).encode()
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:9], body[9:])) + b"0\r\n\r\n"
    assert asked(server, post(served, chunks, "Transfer-Encoding: chunked")).status == 201
    request = post(served, check_in(served), "Expect: 100-continue")
    head, _, body = request.partition(b"\r\n\r\n")
    with talking(server) as (connection, answers):
        connection.sendall(head + b"\r\n\r\n")
        assert told(answers).status == 100
        connection.sendall(body)
        assert told(answers).status == 201


def test_a_large_batch_is_read_beside_the_others(served: Served, server: Listening) -> None:
    volunteer = served.volunteer()
    events = [check_in(served, volunteer) for _ in range(SMALL_BYTES_MAX // 100)]
    answer = asked(server, post(served, events))
    assert (answer.status, answer.body["accepted"]) == (200, len(events))


# --- under load -------------------------------------------------------------------------------------------------------


def test_each_of_many_requests_gets_its_own_answer(served: Served, server: Listening) -> None:
    """Some are refused, some repeated, some hang up: every other one is answered, and recorded once."""
    volunteers = [served.volunteer() for _ in range(CALLERS)]

    def upload(caller: int) -> dict[str, int]:
        positions: dict[str, int] = {}
        with talking(server) as (connection, answers):
            for number in range(POSTS):
                events = [check_in(served, volunteers[caller]) for _ in range(1 + number % 3)]
                events.append(check_in(served, "V9999999"))
                if number % 7 == 0:
                    with server.connected() as other:
                        other.sendall(post(served, events)[:-1])
                connection.sendall(post(served, events) + post(served, events[0]))
                batch, single = told(answers), told(answers)
                found = batch.body["answers"]
                assert [one["id"] for one in found] == [event["id"] for event in events]
                assert [one["outcome"] for one in found] == ["accepted"] * (len(events) - 1) + ["refused"]
                assert (single.status, single.body) == (200, {**found[0], "duplicate": True})
                positions |= {f"{one['source']}#{one['id']}": one["position"] for one in found[:-1]}
        return positions

    head = int(served.ledger.log.head())
    with ThreadPoolExecutor(CALLERS) as pool:
        positions: dict[str, int] = {}
        for one in pool.map(upload, range(CALLERS)):
            positions |= one
    assert len(positions) == CALLERS * sum(1 + number % 3 for number in range(POSTS))
    recorded = served.ledger.log.read(Position(head), 10_000)
    assert {json.loads(one.state)["command"]: one.position for one in recorded} == positions


def raising(error: Exception) -> Callable[..., Any]:
    def submit(*_: object) -> None:
        raise error

    return submit


def failing(error: Exception) -> Callable[..., Any]:
    future: Future[list[Answer]] = Future()
    future.set_exception(error)
    return lambda *_: future


@pytest.mark.parametrize(
    ("submit", "status", "rejection", "retry_after"),
    [
        (raising(QueueFull("secret")), 503, "busy", "1"),
        (raising(RuntimeError("secret, and closing")), 503, "unavailable", "1"),
        (failing(psycopg.OperationalError("secret host")), 503, "unavailable", "1"),
        (failing(ZeroDivisionError("secret")), 500, "failed", None),
    ],
)
@pytest.mark.parametrize("in_batch", [False, True])
def test_what_is_not_taken_is_told_so_and_may_come_again(
    served: Served,
    server: Listening,
    monkeypatch: pytest.MonkeyPatch,
    submit: Callable[..., Any],
    status: int,
    rejection: str,
    retry_after: str | None,
    in_batch: bool,  # noqa: FBT001 - a case of the table above
) -> None:
    event = check_in(served)
    with monkeypatch.context() as context:
        context.setattr(served.service.commits, "submit", submit)
        answer = asked(server, post(served, [event] if in_batch else event))
    assert (answer.status, answer.body["rejection"], answer.body["retry"]) == (status, rejection, True)
    assert answer.headers.get("retry-after") == retry_after
    assert len(answer.headers["x-request-id"]) == 32
    assert "secret" not in str(answer)
    assert asked(server, post(served, event)).status == 201


# --- the end ----------------------------------------------------------------------------------------------------------


def test_a_server_that_stops_answers_what_it_has_taken(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go = threading.Event(), threading.Event()
    execute = served.service.ledger.intake.execute_prepared

    def slowly(*arguments: Any) -> Any:
        begun.set()
        assert go.wait(PATIENCE_SECONDS)
        return execute(*arguments)

    event = check_in(served)
    with listening(served) as one, talking(one) as (connection, answers), one.connected() as idle:
        monkeypatch.setattr(served.service.ledger.intake, "execute_prepared", slowly)
        connection.sendall(post(served, event))
        assert begun.wait(PATIENCE_SECONDS)
        one.server.should_exit = True
        assert idle.recv(1) == b""  # it has begun to stop
        go.set()
        answer = told(answers)
        assert (answer.status, answer.body["id"]) == (201, event["id"])
        assert connection.recv(1) == b""
    with pytest.raises(ConnectionError):
        one.connected()


# --- ids --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", ["4bf92f3577b34da6a3ce929d0e0e4736", None])
def test_a_request_keeps_or_gets_an_id_which_is_returned_and_logged(
    served: Served, server: Listening, caplog: pytest.LogCaptureFixture, kept: str | None
) -> None:
    caplog.set_level("INFO", "api.http.requests.request_log")
    event = check_in(served, "V9999999")
    answer = asked(server, post(served, event, f"X-Request-Id: {kept or '13800138000'}"))
    found = answer.headers["x-request-id"]
    assert found == kept if kept else (len(found), "13800138000" in found) == (32, False)
    (fields,) = (vars(record)["fields"] for record in caplog.records if record.name == "api.http.requests.request_log")
    assert (fields["request_id"], fields["rejection"], fields["role"]) == (found, "unknown-volunteer", "station")
    assert (fields["method"], fields["route"], fields["status"]) == ("POST", "/v1/events", 404)
    assert isinstance(fields["key"], int)
