"""Raw sockets: where one request ends and the next begins is never in doubt; what is in doubt ends the connection."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from api.messages.cloud_events import EVENT
from api.messages.problems import MEDIA_TYPE
from tests.api.writes.test_sockets import check_in, post, talking, told
from tests.support.api.serving import Listening, Served, listening

pytest_plugins = ["tests.support.api.fixtures"]

NEXT = b"GET /problems/future HTTP/1.1\r\nHost: x\r\n\r\n"
SMUGGLED = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module")
def server(served: Served) -> Iterator[Listening]:
    """The served ledger behind a socket."""
    with listening(served) as one:
        yield one


UPGRADES = {
    "h2c, as Java's client asks": ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAA"),
    "h2c in another order": ("Upgrade: h2c", "Connection: upgrade"),
    "websocket": ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: eA==", "Sec-WebSocket-Version: 13"),
    "TLS": ("Connection: Upgrade", "Upgrade: TLS/1.0"),
    "several": ("Connection: keep-alive, Upgrade", "Upgrade: h2c, websocket"),
    "without Connection": ("Upgrade: h2c",),
    "without Upgrade": ("Connection: Upgrade",),
}


@pytest.mark.parametrize("name", UPGRADES)
@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("apart", [False, True])
def test_upgrade_is_ignored_and_its_body_is_a_body(
    served: Served,
    server: Listening,
    name: str,
    chunked: bool,  # noqa: FBT001 - a case of the table above
    apart: bool,  # noqa: FBT001 - the same
) -> None:
    event = check_in(served)
    body = json.dumps(event).encode()
    more = UPGRADES[name]
    if chunked:
        more = (*more, "Transfer-Encoding: chunked")
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    request = post(served, body, *more)
    with talking(server) as (connection, answers):
        if apart:
            head, _, rest = request.partition(b"\r\n\r\n")
            connection.sendall(head + b"\r\n\r\n")
            request = rest
        connection.sendall(request + NEXT)
        first, second = told(answers), told(answers)
    assert (first.status, first.body["id"]) == (201, event["id"])
    assert (second.status, second.body["rejection"]) == (200, "future")


def test_a_body_that_looks_like_a_request_is_never_one(served: Served, server: Listening) -> None:
    for more in UPGRADES.values():
        with talking(server) as (connection, answers):
            connection.sendall(post(served, SMUGGLED, *more) + NEXT)
            assert told(answers).body["rejection"] == "malformed"
            assert told(answers).body["rejection"] == "future"


def request_of(*lines: str, body: bytes = b"", first: str = "POST /v1/events HTTP/1.1") -> bytes:
    return "\r\n".join([first, *lines]).encode("latin-1") + b"\r\n\r\n" + body


CHUNKED = "Transfer-Encoding: chunked"
LAST = b"0\r\n\r\n"
AMBIGUOUS = {
    "both framings": request_of("Host: x", "Content-Length: 5", CHUNKED, body=LAST),
    "both framings, the other way round": request_of("Host: x", CHUNKED, "Content-Length: 5", body=LAST),
    "two lengths": request_of("Host: x", "Content-Length: 5", "Content-Length: 6", body=b"hello!"),
    "the same length twice": request_of("Host: x", "Content-Length: 5", "Content-Length: 5", body=b"hello"),
    "a list of lengths": request_of("Host: x", "Content-Length: 5, 5", body=b"hello"),
    "a length with a sign": request_of("Host: x", "Content-Length: +5", body=b"hello"),
    "a negative length": request_of("Host: x", "Content-Length: -5", body=b"hello"),
    "a hexadecimal length": request_of("Host: x", "Content-Length: 0x5", body=b"hello"),
    "an empty length": request_of("Host: x", "Content-Length: ", body=b"hello"),
    "a length past all numbers": request_of("Host: x", f"Content-Length: {10**30}", body=b"hello"),
    "another coding": request_of("Host: x", "Transfer-Encoding: gzip", body=b"hello"),
    "another coding before chunked": request_of("Host: x", "Transfer-Encoding: gzip, chunked", body=LAST),
    "chunked is not the last": request_of("Host: x", "Transfer-Encoding: chunked, identity", body=LAST),
    "chunked twice": request_of("Host: x", CHUNKED, CHUNKED, body=LAST),
    "nearly chunked": request_of("Host: x", "Transfer-Encoding: xchunked", body=LAST),
    "a space before the colon": request_of("Host: x", "Transfer-Encoding : chunked", body=LAST),
    "a control character": request_of("Host: x", "Transfer-Encoding: \x0bchunked", body=LAST),
    "chunked in HTTP/1.0": request_of("Host: x", CHUNKED, body=LAST, first="POST /v1/events HTTP/1.0"),
    "obs-fold": request_of("Host: x", "Accept: text/plain,", " text/html"),
    "obs-fold by a tab": request_of("Host: x", "Accept: text/plain,", "\ttext/html"),
    "a space before the first header": request_of(" Host: x"),
    "a header without a name": request_of("Host: x", ": y"),
    "NUL in a header": request_of("Host: x", "Accept: a\0b"),
    "a bare CR in a header": request_of("Host: x", "Accept: a\rContent-Length: 5", body=b"hello"),
    "bare LF": b"GET /healthz HTTP/1.1\nHost: x\n\n",
    "no Host": request_of("Accept: */*"),
    "two Hosts": request_of("Host: x", "Host: y"),
    "HTTP/0.9": b"GET /healthz\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/2 in the line": request_of("Host: x", first="GET /healthz HTTP/2.0"),
    "HTTP/3 in the line": request_of("Host: x", first="GET /healthz HTTP/3.0"),
    "CONNECT": request_of("Host: x", first="CONNECT x:443 HTTP/1.1"),
    "an unknown method": request_of("Host: x", first="SMUGGLE / HTTP/1.1"),
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00",
    "not ASCII in the address": request_of("Host: x", first="GET /\xe9 HTTP/1.1"),
}


@pytest.mark.parametrize("name", AMBIGUOUS)
@pytest.mark.parametrize("byte_by_byte", [False, True])
def test_what_is_ambiguous_is_refused_and_nothing_behind_it_is_read(
    served: Served,
    server: Listening,
    name: str,
    byte_by_byte: bool,  # noqa: FBT001 - a case of the table above
) -> None:
    head = served.ledger.log.head()
    with talking(server) as (connection, answers):
        for part in [bytes([byte]) for byte in AMBIGUOUS[name]] if byte_by_byte else [AMBIGUOUS[name]]:
            connection.sendall(part)
        connection.sendall(post(served, check_in_unrecorded(served)))
        answer = told(answers)
        assert (answer.status, answer.body["rejection"]) == (400, "not-http"), answer
        assert (answer.headers["content-type"], answer.headers["connection"]) == (MEDIA_TYPE, "close")
        assert len(answer.headers["x-request-id"]) == 32
        assert answers.read() == b""
    assert served.ledger.log.head() == head


def check_in_unrecorded(served: Served) -> bytes:
    return json.dumps(served.event("check-in", volunteer="V1", station="C01", occurred_at=1543885200)).encode()


BAD_CHUNKS = {
    "with 0x": b"0x5\r\nhello\r\n",
    "with a sign": b"+5\r\nhello\r\n",
    "negative": b"-5\r\nhello\r\n",
    "with a space": b"5 \r\nhello\r\n",
    "no size": b"\r\nhello\r\n",
    "not hexadecimal": b"g\r\nhello\r\n",
    "past all numbers": b"fffffffffffffffff\r\nhello\r\n",
    "shorter than its data": b"3\r\nhello\r\n",
    "longer than its data": b"6\r\nhello\r\n0\r\n\r\n",
    "by bare LF": b"5\nhello\n",
    "an extension with a bare LF": b"5;\nxx\r\nhello\r\n",
    "an extension without an end": b"5;" + b"x" * 1_000_000,
    "a trailer without an end": b"0\r\nX: " + b"x" * 1_000_000,
    "too many trailers": b"0\r\n" + b"X: y\r\n" * 200,
}


@pytest.mark.parametrize("name", BAD_CHUNKS)
def test_a_body_with_a_bad_chunk_is_refused(served: Served, server: Listening, name: str) -> None:
    lines = post(served, b"", CHUNKED)
    with talking(server) as (connection, answers):
        connection.sendall(lines + BAD_CHUNKS[name])
        answer = told(answers)
        assert answer.status in {400, 431}, answer
        assert answer.headers["connection"] == "close"
        assert answers.read() == b""


@pytest.mark.parametrize("name", ["with 0x", "shorter than its data"])
def test_a_bad_chunk_ends_a_stream_that_is_being_answered(served: Served, server: Listening, name: str) -> None:
    line = json.dumps(check_in(served)).encode() + b"\n"
    head = post(served, b"", CHUNKED).replace(EVENT.encode(), b"application/x-ndjson")
    with talking(server) as (connection, answers):
        connection.sendall(head + b"%x\r\n%s\r\n" % (len(line), line))
        while not (got := answers.readline()).startswith(b"{"):
            pass
        assert json.loads(got)["outcome"] == "accepted"
        connection.sendall(BAD_CHUNKS[name])
        assert b"HTTP/1.1" not in answers.read()  # no second answer within the first


def test_a_trailer_is_no_header(served: Served, server: Listening) -> None:
    request = post(served, b"0\r\nAuthorization: Bearer x\r\nX-Request-Id: " + b"a" * 32 + b"\r\n\r\n", CHUNKED)
    with talking(server) as (connection, answers):
        connection.sendall(request + NEXT)
        assert told(answers).body["rejection"] == "malformed"
        assert told(answers).body["rejection"] == "future"


def test_what_came_before_an_error_is_answered_first(served: Served, server: Listening) -> None:
    events = [check_in(served) for _ in range(3)]
    with talking(server) as (connection, answers):
        bad = AMBIGUOUS["both framings"]
        connection.sendall(b"".join(post(served, event) for event in events) + bad + NEXT)
        found = [told(answers) for _ in events]
        assert [(one.status, one.body["id"]) for one in found] == [(201, event["id"]) for event in events]
        assert told(answers).body["rejection"] == "not-http"
        assert answers.read() == b""


def test_the_body_of_a_queued_request_may_be_the_error(served: Served, server: Listening) -> None:
    event = check_in(served)
    with talking(server) as (connection, answers):
        connection.sendall(post(served, event) + post(served, b"", CHUNKED) + BAD_CHUNKS["with 0x"] + NEXT)
        assert told(answers).body["id"] == event["id"]
        assert told(answers).body["rejection"] == "not-http"
        assert answers.read() == b""


def test_a_client_that_waits_to_send_its_body_is_not_left_in_doubt(served: Served, server: Listening) -> None:
    event = check_in(served)
    request = post(served, event, "Expect: 100-continue")
    head, _, body = request.partition(b"\r\n\r\n")
    with talking(server) as (connection, answers):
        connection.sendall(head + b"\r\n\r\n")
        assert answers.readline() == b"HTTP/1.1 100 Continue\r\n"
        assert answers.readline() == b"\r\n"
        connection.sendall(body)
        assert told(answers).status == 201
    unknown = head.replace(b"Bearer hours_", b"Bearer wrong_")
    with talking(server) as (connection, answers):
        connection.sendall(unknown + b"\r\n\r\n")
        assert told(answers).status == 401
        assert answers.read() == b""
