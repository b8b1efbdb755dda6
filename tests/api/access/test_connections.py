"""What precedes a request is bounded: the request line, headers, time, connections. Honest callers are served on."""

from __future__ import annotations

import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from select import select
from typing import IO

import pytest

from api.access.roles import Role
from api.http.connection_limits import ConnectionLimits
from api.http.requests.in_progress import held_max_of
from api.http.server import DESCRIPTORS_RESERVED, limits_of_process
from tests.api.writes.test_sockets import SocketAnswer, check_in, post, talking, told
from tests.support.api.serving import Listening, Served, listening
from tests.support.patience import PATIENCE_SECONDS

pytest_plugins = ["tests.support.api.fixtures"]

LIMITS = ConnectionLimits()
GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture(scope="module")
def server(served: Served) -> Iterator[Listening]:
    """The served ledger behind a socket, with the default limits."""
    with listening(served) as one:
        yield one


def refused(server: Listening, *parts: bytes) -> SocketAnswer:
    """Send parts until the server has had enough; return its answer, behind which it closes."""
    with talking(server) as (connection, answers):
        for part in parts:
            connection.sendall(part)
        answer = told(answers)
        assert answers.read() == b""
    assert answer.headers["connection"] == "close"
    assert answer.headers["x-content-type-options"] == "nosniff"
    return answer


def send_until_reset(connection: socket.socket, part: bytes) -> None:
    """Send a part again and again; the server must close the connection before a hundred."""
    with pytest.raises(OSError, match=r"reset|Broken pipe"):
        connection.sendall(part * 100)


def line(size: int) -> bytes:
    return b"GET /" + b"a" * size


@pytest.mark.parametrize(
    ("parts", "status", "rejection"),
    [
        ([line(LIMITS.url_bytes) + b" HTTP/1.1\r\n"], 414, "url-too-long"),
        ([line(LIMITS.url_bytes + 1)], 414, "url-too-long"),  # without an end
        ([line(1), *[b"a" * 1000] * 10], 414, "url-too-long"),
        ([line(500_000)], 414, "url-too-long"),
        ([GET + b"X: " + b"a" * LIMITS.head_bytes + b"\r\n\r\n"], 431, "headers-too-large"),
        ([GET + b"X: ", *[b"a" * 1000] * 40], 431, "headers-too-large"),
        ([GET, b"X" * 20_000, b"X" * 20_000], 431, "headers-too-large"),
        ([GET + b"X: " + b"a" * 500_000], 431, "headers-too-large"),
        ([GET + b"X: y\r\n" * (LIMITS.headers + 1)], 431, "headers-too-large"),
        ([GET, *[b"X: y\r\n"] * (LIMITS.headers + 1)], 431, "headers-too-large"),
        ([GET, *[b"X: " + b"y" * 4000 + b"\r\n"] * 9], 431, "headers-too-large"),
        ([GET + b"X:" + b" " * 100_000], 431, "headers-too-large"),
        ([b"\r\n" * 50_000], 431, "headers-too-large"),  # empty lines before a request, which are skipped
    ],
)
def test_a_head_is_bounded(server: Listening, parts: list[bytes], status: int, rejection: str) -> None:
    answer = refused(server, *parts)
    assert (answer.status, answer.body["rejection"], answer.body["status"]) == (status, rejection, status)


def test_a_head_within_the_limits_is_served(server: Listening) -> None:
    head = line(LIMITS.url_bytes - 1) + b" HTTP/1.1\r\nHost: x\r\n" + (b"X: " + b"y" * 200 + b"\r\n") * 90 + b"\r\n"
    with talking(server) as (connection, answers):
        for start in range(0, len(head), 500):
            connection.sendall(head[start : start + 500])
        assert told(answers).status == 404
        connection.sendall(GET + b"\r\n")
        assert told(answers).status == 200


def test_an_endless_header_ends_with_the_connection(server: Listening) -> None:
    with server.connected() as connection:
        connection.sendall(GET + b"X: ")
        send_until_reset(connection, b"a" * (1 << 20))


def test_pipelined_requests_are_bounded(served: Served, server: Listening) -> None:
    with talking(server) as (connection, answers):
        connection.sendall((GET + b"\r\n") * (LIMITS.pipelined + 1))
        assert [told(answers).status for _ in range(LIMITS.pipelined)] == [200] * LIMITS.pipelined
        assert told(answers).body["rejection"] == "busy"
        assert answers.read() == b""


# --- time -------------------------------------------------------------------------------------------------------------


@contextmanager
def limited(served: Served, limits: ConnectionLimits) -> Iterator[Listening]:
    with listening(served, limits) as one:
        yield one


@pytest.mark.parametrize("sent", [b"G", GET, GET + b"X: ", b"\r\n"])
def test_a_head_has_to_be_complete_in_time(served: Served, sent: bytes) -> None:
    with limited(served, replace(LIMITS, head_seconds=0.1)) as server:
        answer = refused(server, sent)
        assert (answer.status, answer.body["rejection"], answer.body["retry"]) == (408, "too-slow", True)


def test_a_second_head_has_to_be_complete_in_time(served: Served) -> None:
    with limited(served, replace(LIMITS, head_seconds=0.1)) as server, talking(server) as (connection, answers):
        connection.sendall(GET + b"\r\n" + GET)
        assert told(answers).status == 200
        assert told(answers).status == 408
        assert answers.read() == b""


def test_a_connection_without_a_request_is_closed_without_an_answer(served: Served) -> None:
    with limited(served, replace(LIMITS, head_seconds=0.1)) as server, talking(server) as (_, answers):
        assert answers.read() == b""


def test_the_rest_of_an_answered_request_is_not_waited_for(served: Served) -> None:
    request = post(served, b"x" * 1000).replace(b"Bearer hours_", b"Bearer wrong_")
    with limited(served, replace(LIMITS, unread_seconds=0.1)) as server, talking(server) as (connection, answers):
        connection.sendall(request[:-1])
        assert told(answers).status == 401
        assert answers.read() == b""


def test_the_rest_of_an_answered_request_is_bounded(served: Served, server: Listening) -> None:
    request = post(served, b"", "Transfer-Encoding: chunked").replace(b"Bearer hours_", b"Bearer wrong_")
    with talking(server) as (connection, answers):
        connection.sendall(request)
        assert told(answers).status == 401
        send_until_reset(connection, b"100000\r\n" + b"a" * (1 << 20) + b"\r\n")


def test_an_answer_has_to_be_read(served: Served) -> None:
    with limited(served, replace(LIMITS, write_seconds=0.1)) as server, server.connected() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        page = b"GET /static-offline-docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n"
        connection.sendall(page * 30)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while server.server.server_state.connections:
            assert time.monotonic() < deadline, "the server waits for ever"
            time.sleep(0.01)


# --- connections ------------------------------------------------------------------------------------------------------


def test_half_requests_keep_nobody_out(served: Served) -> None:
    with limited(served, replace(LIMITS, connections=20)) as server, ExitStack() as stack:
        halves: list[tuple[socket.socket, IO[bytes]]] = []
        for number in range(100):
            connection, answers = stack.enter_context(talking(server))
            if number % 2:
                connection.sendall(GET)
            halves.append((connection, answers))
        for _ in range(10):
            with talking(server) as (connection, answers):
                connection.sendall(post(served, check_in(served)))
                assert told(answers).status == 201
        assert len(server.server.server_state.connections) <= 21
        assert halves[0][1].read() == b""  # the oldest went first; it had sent nothing


def test_a_half_request_that_has_to_go_is_told_so(served: Served) -> None:
    with limited(served, replace(LIMITS, connections=1)) as server, talking(server) as (first, answers):
        first.sendall(GET + b"\r\n" + GET)
        assert told(answers).status == 200
        with talking(server) as (second, others):
            second.sendall(GET + b"\r\n")
            assert told(others).status == 200
        answer = told(answers)
        assert (answer.status, answer.body["rejection"]) == (503, "too-many-connections")
        assert "retry-after" in answer.headers
        assert answers.read() == b""


@pytest.mark.parametrize("path", ["/openapi.json", "/static-offline-docs/swagger-ui-bundle.js", "/docs", "/healthz"])
def test_answers_that_are_not_read_keep_nobody_out(served: Served, caplog: pytest.LogCaptureFixture, path: str) -> None:
    request = f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    with limited(served, replace(LIMITS, connections=20)) as server, ExitStack() as stack:
        for _ in range(50):
            connection = stack.enter_context(closing(socket.socket()))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
            connection.settimeout(20)
            connection.connect(("127.0.0.1", server.port))
            connection.sendall(request * LIMITS.pipelined)
        for _ in range(10):
            with talking(server) as (connection, answers):
                connection.sendall(post(served, check_in(served)))
                assert told(answers).status == 201
        assert len(server.server.server_state.connections) <= 21
    assert "Exception in ASGI application" not in caplog.text


def test_a_key_holds_a_part_of_the_connections(served: Served) -> None:
    request, other = post(served, check_in(served)), served.headers(Role.READER)["Authorization"].encode()
    with limited(served, replace(LIMITS, connections=20)) as server, ExitStack() as stack:
        held = [stack.enter_context(talking(server)) for _ in range(held_max_of(20) + 1)]
        for connection, _ in held:
            connection.sendall(request[:-1])
        busy = [answers for connection, answers in held if select([connection], [], [], 0.5)[0]]
        assert len(busy) == 1
        answer = told(busy[0])
        assert (answer.status, answer.body["rejection"]) == (503, "busy")
        with talking(server) as (connection, answers):
            connection.sendall(b"GET /v1/rules HTTP/1.1\r\nHost: x\r\nAuthorization: " + other + b"\r\n\r\n")
            assert told(answers).status == 200
        for connection, answers in held:
            if answers is not busy[0]:
                connection.sendall(request[-1:])
                assert told(answers).status in {200, 201}
        with talking(server) as (connection, answers):  # what has been answered is no longer in progress
            connection.sendall(request)
            assert told(answers).status == 200


def test_requests_in_progress_keep_their_connections(served: Served) -> None:
    request = post(served, check_in(served))
    with limited(served, replace(LIMITS, connections=1)) as server, talking(server) as (connection, answers):
        connection.sendall(GET + b"\r\n" + request[:-1])
        assert told(answers).status == 200  # so the next request has begun
        with talking(server) as (_, others):
            answer = told(others)
            assert (answer.status, answer.body["rejection"]) == (503, "too-many-connections")
        connection.sendall(request[-1:])
        assert told(answers).status == 201


@pytest.mark.parametrize(
    ("soft", "hard", "raised", "connections"),
    [
        (1024, 4096, 1256, 1000),
        (256, 1024, 1024, 1024 - DESCRIPTORS_RESERVED),
        (4096, 4096, None, 1000),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, None, 1000),
        (256, resource.RLIM_INFINITY, 1256, 1000),
        (100, 100, 100, 1),
    ],
)
def test_connections_leave_descriptors_to_the_rest(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, raised: int | None, connections: int
) -> None:
    found: list[int] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, wanted: found.append(wanted[0]))
    assert limits_of_process(LIMITS).connections == connections
    assert found == ([] if raised is None else [raised])


def test_what_is_refused_is_counted(served: Served, server: Listening) -> None:
    def count() -> float:
        metrics = served.get("/metrics").text.splitlines()
        lines = [found for found in metrics if found.startswith('http_problems_total{problem="not-http"}')]
        return float(lines[0].split()[1]) if lines else 0.0

    before = count()
    assert refused(server, b"GET /\r\n\r\n").status == 400
    assert count() == before + 1
