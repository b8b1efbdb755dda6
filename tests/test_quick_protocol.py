"""The short way for single scans: on a real connection, the same answers as the framework gives, in the same order."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager
from typing import Any

import httpx2
import psycopg
import pytest
import uvicorn

from api.access import Role
from api.app import create_app
from api.cloud_events import BATCH, EVENT
from api.quick_protocol import BODY_BYTES_MAX, Answered, Cycle, quick_protocol
from ledger.intake.answers import Answer
from ledger.intake.group_commit import QueueFull
from tests.serving import STATION, Served
from tests.test_access import becomes

pytest_plugins = ["tests.api_fixtures"]

AT = "2018-12-04T09:00:00+08:00"


class Spoken:
    """The served ledger behind a socket; `framework` counts what went the long way."""

    def __init__(self, served: Served, port: int, server: uvicorn.Server) -> None:
        self.served = served
        self.port = port
        self.server = server
        self.framework = 0
        self.client = httpx2.Client(base_url=f"http://127.0.0.1:{port}")

    def headers(self, events: int = 1, role: Role = Role.STATION) -> dict[str, str]:
        token = self.served.tokens[role]
        keys = self.served.service.keys
        assert becomes(lambda: self.served.get("/v1/status", role=role) and keys.remembered(token) is not None)
        return self.served.headers(role) | {"Content-Type": BATCH if events > 1 else EVENT}

    def both_ways(self, events: list[Any], role: Role = Role.STATION) -> tuple[Any, Any]:
        """Post the same the short way and then, with a question mark, the long way, as a repetition."""
        content: Any = events if len(events) > 1 else events[0]
        headers = self.headers(len(events), role)
        short = self.client.post("/v1/events", json=content, headers=headers)
        return short, self.client.post("/v1/events?atomic=false", json=content, headers=headers)

    def raw(self, event: dict[str, Any], *more: str) -> bytes:
        """Return a request as it is sent."""
        body = json.dumps(event).encode()
        lines = [f"{name}: {value}" for name, value in self.headers().items()]
        head = "\r\n".join(["POST /v1/events HTTP/1.1", "Host: x", *lines, *more, f"Content-Length: {len(body)}"])
        return head.encode() + b"\r\n\r\n" + body

    def connected(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)


@contextmanager
def listening(served: Served) -> Iterator[Spoken]:
    app = create_app(served.service)
    spoken: Spoken

    async def counting(scope: Any, receive: Any, send: Any) -> None:
        spoken.framework += scope["type"] == "http"
        await app(scope, receive, send)

    config = uvicorn.Config(
        counting,
        http=quick_protocol(served.service, app.state.requests),
        log_level="warning",
        lifespan="on",
        timeout_graceful_shutdown=10,
    )
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        server = uvicorn.Server(config)
        spoken = Spoken(served, listener.getsockname()[1], server)
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
        thread.start()
        assert becomes(lambda: server.started)
        try:
            with spoken.client:
                yield spoken
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def spoken(served: Served) -> Iterator[Spoken]:
    with listening(served) as one:
        yield one


def check_in(served: Served, **more: Any) -> dict[str, Any]:
    return served.event("check-in", volunteer=served.volunteer(), station=STATION, occurred_at=AT, **more)


@pytest.mark.parametrize("number", [1, 3])
def test_the_short_way_records_and_the_long_way_repeats_it(spoken: Spoken, number: int) -> None:
    before = spoken.framework
    short, long = spoken.both_ways([check_in(spoken.served) for _ in range(number)])
    assert spoken.framework == before + 1
    assert (short.status_code, long.status_code) == ((201, 200) if number == 1 else (200, 200))
    told, again = short.json(), long.json()
    firsts, repeated = (told["answers"], again["answers"]) if number > 1 else ([told], [again])
    assert repeated == [{**answer, "duplicate": True} for answer in firsts]
    assert {name for name in short.headers if name != "date"} == {name for name in long.headers if name != "date"}
    assert short.headers["content-type"] == long.headers["content-type"]


def test_what_was_there_before_is_answered_200(spoken: Spoken) -> None:
    event = check_in(spoken.served)
    answers = [spoken.client.post("/v1/events", json=event, headers=spoken.headers()) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 200]


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "x"},
        {"data": {}},
        {"specversion": "0.3"},
        {"source": "/stations/C02"},
        {"id": ""},
        {"data": {"volunteer": "V9", "station": STATION, "occurred_at": AT}},
        {"data": {"volunteer": "V9", "station": STATION, "occurred_at": "2099-01-01T00:00:00Z"}},
    ],
)
def test_both_ways_refuse_with_the_same_problem(spoken: Spoken, wrong: dict[str, Any]) -> None:
    short, long = spoken.both_ways([{**check_in(spoken.served), **wrong}])
    assert short.status_code == long.status_code >= 400
    assert short.json() == long.json()
    assert short.headers["content-type"] == long.headers["content-type"]


def test_both_ways_say_when_the_database_is_away(spoken: Spoken, monkeypatch: pytest.MonkeyPatch) -> None:
    future: Future[list[Answer]] = Future()
    future.set_exception(psycopg.OperationalError("secret host"))
    event = check_in(spoken.served)
    monkeypatch.setattr(spoken.served.service.commits, "submit_block", lambda *_: future)
    short, long = spoken.both_ways([event])
    assert (short.status_code, short.json()) == (long.status_code, long.json()) == (503, long.json())
    assert short.headers["retry-after"] == "1"
    assert "secret" not in short.text


def test_both_ways_turn_away_what_the_queue_has_no_room_for(spoken: Spoken, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise QueueFull

    event = check_in(spoken.served)
    monkeypatch.setattr(spoken.served.service.commits, "submit_block", full)
    short, long = spoken.both_ways([event])
    assert (short.status_code, short.json()) == (long.status_code, long.json())
    assert short.json()["type"] == "/problems/busy"
    assert short.headers["retry-after"] == long.headers["retry-after"]


def test_a_failure_of_the_service_is_answered_as_one(
    spoken: Spoken, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    future: Future[list[Answer]] = Future()
    future.set_exception(ZeroDivisionError("secret"))
    event, headers = check_in(spoken.served), spoken.headers()
    monkeypatch.setattr(spoken.served.service.commits, "submit_block", lambda *_: future)
    answer = spoken.client.post("/v1/events", json=event, headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (500, "/problems/failed")
    assert "secret" not in answer.text
    assert "a request failed" in caplog.text


def test_a_request_that_cannot_be_answered_holds_up_no_other(
    spoken: Spoken, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    event, headers = check_in(spoken.served), spoken.headers()
    with monkeypatch.context() as broken:
        broken.setattr(Cycle, "answer", lambda *_: 1 / 0)
        with pytest.raises(httpx2.TransportError):
            spoken.client.post("/v1/events", json=event, headers=headers)
    assert "could not be answered" in caplog.text
    assert spoken.client.post("/v1/events", json=event, headers=headers).status_code == 200


def test_posts_are_counted_either_way(spoken: Spoken) -> None:
    def counted() -> float:
        text = spoken.client.get("/metrics", headers=spoken.served.headers(Role.READER)).text
        start = 'http_requests_total{method="POST",route="/v1/events",status="201"} '
        return next((float(line.removeprefix(start)) for line in text.splitlines() if line.startswith(start)), 0.0)

    before = counted()
    spoken.both_ways([check_in(spoken.served)])
    spoken.client.post("/v1/events?atomic=false", json=check_in(spoken.served), headers=spoken.headers())
    assert counted() == before + 2


def test_requests_sent_behind_one_another_are_answered_in_order(spoken: Spoken) -> None:
    events = [check_in(spoken.served) for _ in range(4)]
    with spoken.connected() as connection:
        connection.sendall(b"".join(map(spoken.raw, events)))
        told = b""
        while told.count(b'"outcome"') < 4:
            told += connection.recv(65536)
    places = [told.index(f'"id":"{event["id"]}"'.encode()) for event in events]
    assert places == sorted(places)


@pytest.mark.parametrize("size", [1, 50])
def test_a_request_that_comes_in_pieces_is_taken_when_it_is_whole(spoken: Spoken, size: int) -> None:
    request = spoken.raw(check_in(spoken.served), "Connection: close")
    with spoken.connected() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(request), size):
            connection.sendall(request[at : at + size])
        told = b"".join(iter(lambda: connection.recv(65536), b""))  # and the connection is closed
    assert told.startswith(b"HTTP/1.1 201 Created\r\n")
    assert b"connection: close\r\n" in told


def test_who_hangs_up_before_the_answer_is_recorded_all_the_same(spoken: Spoken) -> None:
    event = check_in(spoken.served)
    with spoken.connected() as connection:
        connection.sendall(spoken.raw(event))
    assert becomes(lambda: spoken.client.post("/v1/events", json=event, headers=spoken.headers()).status_code == 200)


@pytest.mark.parametrize(
    "more", [{"Transfer-Encoding": "chunked"}, {"Expect": "100-continue"}, {"Authorization": "Bearer hours_unknown"}]
)
def test_what_is_unusual_goes_the_long_way(spoken: Spoken, more: dict[str, str]) -> None:
    event, before = check_in(spoken.served), spoken.framework
    headers = spoken.headers() | more
    content: Any = json.dumps(event).encode()
    if "Transfer-Encoding" in more:
        answer = spoken.client.post("/v1/events", content=iter([content]), headers=headers)
    else:
        answer = spoken.client.post("/v1/events", content=content, headers=headers)
    assert answer.status_code == (401 if "Authorization" in more else 201)
    assert spoken.framework == before + 1


def test_a_large_batch_goes_the_long_way(spoken: Spoken) -> None:
    volunteer = spoken.served.volunteer()
    data = {"volunteer": volunteer, "station": STATION, "occurred_at": AT}
    events = [spoken.served.event("check-in", **data) for _ in range(BODY_BYTES_MAX // 100)]
    before = spoken.framework
    answer = spoken.client.post("/v1/events", json=events, headers=spoken.headers(len(events)))
    assert (answer.status_code, answer.json()["accepted"]) == (200, len(events))
    assert spoken.framework == before + 1


def test_a_key_that_asks_too_often_is_told_when_to_come_again(spoken: Spoken, monkeypatch: pytest.MonkeyPatch) -> None:
    event, headers = check_in(spoken.served), spoken.headers()
    monkeypatch.setattr(spoken.served.service.limits, "wait_seconds", lambda *_: 3.0)
    answer = spoken.client.post("/v1/events", json=event, headers=headers)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "3")


def test_a_server_that_stops_answers_what_it_has_taken(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(served) as one:
        event, headers = check_in(served), one.headers()
        begun, go = threading.Event(), threading.Event()
        take = served.service.ledger.intake.execute_prepared

        def slowly(*arguments: Any) -> Any:
            begun.set()
            assert go.wait(20)
            return take(*arguments)

        monkeypatch.setattr(served.service.ledger.intake, "execute_prepared", slowly)
        answers: list[Any] = []
        posting = threading.Thread(
            target=lambda: answers.append(one.client.post("/v1/events", json=event, headers=headers))
        )
        posting.start()
        assert begun.wait(20)
        one.server.should_exit = True
        go.set()
        posting.join(20)
        assert [answer.status_code for answer in answers] == [201]


def test_answers_that_come_while_others_are_told_are_told_as_well() -> None:
    """However the two threads take turns, nobody is forgotten."""
    turns: list[Any] = []

    class Loop:
        def call_soon_threadsafe(self, call: Any) -> None:
            turns.append(call)

    told: list[int] = []
    answered = Answered(Loop())  # type: ignore[arg-type]

    class Told:
        def __init__(self, number: int) -> None:
            self.number = number

        def answer(self, _: object) -> None:
            told.append(self.number)
            if self.number == 1:
                answered.tell(Told(2), Future())  # type: ignore[arg-type]

    answered.tell(Told(1), Future())  # type: ignore[arg-type]
    while turns:
        turns.pop(0)()
    answered.tell(Told(3), Future())  # type: ignore[arg-type]
    while turns:
        turns.pop(0)()
    assert told == [1, 2, 3]


def test_the_short_way_keeps_and_logs_the_requests_id(spoken: Spoken, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "api.request_log")
    own = "4bf92f3577b34da6a3ce929d0e0e4736"
    for told, returned in ((own, {own}), ("13800138000", None)):
        before, caplog.records[:] = spoken.framework, []
        event = spoken.served.event("check-in", volunteer="V7777777", station=STATION, occurred_at=AT)
        answer = spoken.client.post("/v1/events", json=event, headers=spoken.headers() | {"X-Request-Id": told})
        assert (answer.status_code, spoken.framework) == (404, before)
        found = answer.headers["x-request-id"]
        assert found in returned if returned else (len(found), told in found) == (32, False)
        (fields,) = (vars(record)["fields"] for record in caplog.records if record.name == "api.request_log")
        assert (fields["request_id"], fields["rejection"], fields["role"]) == (found, "unknown-volunteer", "station")
        assert (fields["status"], isinstance(fields["key"], int)) == (404, True)
