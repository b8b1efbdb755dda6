"""A key that is revoked while a request arrives records nothing, by whichever way; bodies of strangers are not read."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import IO, Any

import pytest

from api.access.roles import Role
from api.http.requests.limits import BODY_BYTES_MAX, BodyLimit
from api.messages.cloud_events import BATCH, EVENT
from api.messages.examples import EXAMPLES
from ledger.aggregates import COMMANDS
from ledger.intake.group_commit import QueueFull
from tests.api.access.test_keys import becomes
from tests.api.writes.test_sockets import AT, talking, told
from tests.support.api.serving import STATION, Listening, Served, listening
from tests.support.patience import PATIENCE_SECONDS

pytest_plugins = ["tests.support.api.fixtures"]

NDJSON = "application/x-ndjson"


@pytest.fixture(scope="module")
def server(served: Served) -> Iterator[Listening]:
    """The served ledger behind a socket."""
    with listening(served) as one:
        yield one


def check_in(served: Served) -> dict[str, Any]:
    return served.event("check-in", volunteer=served.volunteer(), station=STATION, occurred_at=AT)


Request = tuple[str, dict[str, str], bytes]
"""The path, the headers and the body."""
Making = Callable[[Served], Request]


def of_events(
    media_type: str, content: Callable[[dict[str, Any]], Any], query: str = ""
) -> Callable[[Served], Request]:
    def request(served: Served) -> Request:
        body = json.dumps(content(check_in(served))).encode()
        return f"/v1/events{query}", {"Content-Type": media_type}, body

    return request


def binary(served: Served) -> Request:
    event = check_in(served)
    attributes = {f"ce-{name}": event[name] for name in ("specversion", "id", "source", "type")}
    return "/v1/events", {"Content-Type": "application/json", **attributes}, json.dumps(event["data"]).encode()


def command(served: Served) -> Request:
    body = {"volunteer": served.volunteer(), "station": STATION, "occurred_at": AT}
    return "/v1/commands/check-in", {"Content-Type": "application/json"}, json.dumps(body).encode()


def plain(path: str, body: object) -> Making:
    return lambda _served: (path, {"Content-Type": "application/json"}, json.dumps(body).encode())


WAYS: dict[str, tuple[Role, Making]] = {
    "single": (Role.STATION, of_events(EVENT, lambda event: event)),
    "binary": (Role.STATION, binary),
    "batch": (Role.STATION, of_events(BATCH, lambda event: [event])),
    "batch, atomic": (Role.STATION, of_events(BATCH, lambda event: [event, event], "?atomic=true")),
    "large batch": (Role.STATION, of_events(BATCH, lambda event: [event, {"padding": "x" * 20_000}])),
    "stream": (Role.STATION, of_events(NDJSON, lambda event: event)),
    "REST": (Role.STAFF, command),
    "REST, dry run": (Role.STAFF, lambda served: (command(served)[0] + "?dry_run=true", *command(served)[1:])),
    "announcements": (Role.ADMIN, plain("/v1/honors/star-1/announcements", {"all_eligible": True})),
    "awards": (Role.ADMIN, plain("/v1/honors/star-1/awards", {"all_due": True})),
    "candidate": (Role.ADMIN, plain("/v1/rules/candidates", {"text": "name = 'x'"})),
    "what-if": (Role.ADMIN, plain("/v1/what-ifs", {"rules": "1"})),
    "generation": (Role.ADMIN, plain("/v1/generations", {})),
    **{
        f"REST {name}": (Role.ADMIN, plain(f"/v1/commands/{name}", EXAMPLES[name]))
        for name in COMMANDS
        if name != "publish-rules"
    },
}


@contextmanager
def begun(
    served: Served, server: Listening, token: str, request: Request, looked_up: threading.Event
) -> Iterator[tuple[Callable[[], None], IO[bytes]]]:
    """Send a request but for its last byte, until its key is looked up; yield what sends that, and the answers."""
    path, headers, body = request
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {token}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    with talking(server) as (connection, answers):
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body[:-1])
        assert looked_up.wait(PATIENCE_SECONDS)
        yield lambda: connection.sendall(body[-1:]), answers


@pytest.mark.parametrize("way", WAYS)
def test_a_key_revoked_while_a_body_arrives_records_nothing(
    served: Served, server: Listening, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    role, request = WAYS[way]
    key, token = served.ledger.keys.make(role, STATION if role is Role.STATION else "leaving")
    made = request(served)
    keys, looked_up = served.service.keys, threading.Event()
    cached = keys.cached

    def watched(given: str) -> Any:
        try:
            return cached(given)
        finally:
            looked_up.set()

    # The middleware and the routes look it up here, at first; the key is revoked after that.
    assert keys.caller(token) is not None
    assert becomes(lambda: keys.caller(token) is not None and keys.cached(token) is not None)
    monkeypatch.setattr(keys, "cached", watched)
    head = served.ledger.log.head()
    with begun(served, server, token, made, looked_up) as (send_rest, answers):
        served.ledger.keys.revoke(key.id)
        assert becomes(lambda: cached(token) is None)
        send_rest()
        answer = told(answers) if way != "stream" else None
        if answer is not None:
            assert (answer.status, answer.body["rejection"]) == (401, "no-key"), answer
        else:
            while not (line := answers.readline()).startswith(b"{"):
                pass
            assert json.loads(line)["rejection"] == "no-key"
    assert served.ledger.log.head() == head


def test_a_key_revoked_during_a_stream_records_no_further_line(served: Served, server: Listening) -> None:
    key, token = served.ledger.keys.make(Role.STATION, STATION)
    first, second = check_in(served), check_in(served)
    lines = [b"POST /v1/events HTTP/1.1", b"Host: x", b"Authorization: Bearer " + token.encode()]
    lines += [b"Content-Type: application/x-ndjson", b"Transfer-Encoding: chunked", b"", b""]

    def chunk(event: dict[str, Any]) -> bytes:
        line = json.dumps(event).encode() + b"\n"
        return b"%x\r\n%s\r\n" % (len(line), line)

    def answered(answers: IO[bytes]) -> Any:
        while not (line := answers.readline()).startswith(b"{"):
            assert line, "the answer ends"
        return json.loads(line)

    with talking(server) as (connection, answers):
        connection.sendall(b"\r\n".join(lines) + chunk(first))
        assert answered(answers)["outcome"] == "accepted"
        served.ledger.keys.revoke(key.id)
        assert becomes(lambda: served.service.keys.cached(token) is None)
        connection.sendall(chunk(second))
        assert answered(answers)["rejection"] == "no-key"
    assert served.send(second).status_code == 201  # so it was not recorded


LATE = {  # what takes its time when the body is whole
    "large batch": "api.http.routes.writes.events.read_batch",
    "announcements": "api.http.routes.writes.conferring.plan_announcements",
    "awards": "api.http.routes.writes.conferring.plan_awards",
}


@pytest.mark.parametrize("way", LATE)
def test_a_key_revoked_after_the_body_records_nothing(
    served: Served, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    role, request = WAYS[way]
    path, headers, body = request(served)
    key, token = served.ledger.keys.make(role, STATION if role is Role.STATION else "leaving")
    module, _, name = LATE[way].rpartition(".")
    work = getattr(import_module(module), name)

    def slow(*given: Any) -> Any:
        served.ledger.keys.revoke(key.id)
        assert becomes(lambda: served.service.keys.cached(token) is None)
        return work(*given)

    monkeypatch.setattr(LATE[way], slow)
    head = served.ledger.log.head()
    answer = served.client.post(path, content=body, headers={**headers, "Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.json()["rejection"]) == (401, "no-key")
    assert served.ledger.log.head() == head


def test_a_key_revoked_while_a_stream_waits_for_the_queue_records_nothing(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, token = served.ledger.keys.make(Role.STATION, STATION)
    path, headers, body = WAYS["stream"][1](served)

    def full(*_: object) -> None:
        served.ledger.keys.revoke(key.id)
        assert becomes(lambda: served.service.keys.cached(token) is None)
        raise QueueFull

    monkeypatch.setattr("api.http.routes.writes.event_stream.FULL_WAIT_SECONDS", 0.01)
    monkeypatch.setattr(served.service.commits, "submit", full)
    answer = served.client.post(path, content=body, headers={**headers, "Authorization": f"Bearer {token}"})
    assert json.loads(answer.text)["rejection"] == "no-key"


def test_a_key_whose_rights_change_meanwhile_has_to_begin_again(
    served: Served, server: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a signature becomes required while a request without one arrives."""
    _, token = served.ledger.keys.make(Role.STATION, STATION)
    keys, find = served.service.keys, served.service.keys.caller
    answers = iter([True, False])
    caller = find(token)
    assert caller is not None
    monkeypatch.setattr(keys, "cached", lambda _: caller if next(answers) else caller._replace(must_sign=True))
    headers = {"Authorization": f"Bearer {token}", "Content-Type": EVENT}
    answer = served.client.post("/v1/events", json=check_in_unsent(served), headers=headers)
    assert (answer.status_code, answer.json()["rejection"]) == (401, "no-key")
    assert "send the request again" in answer.json()["detail"]


def check_in_unsent(served: Served) -> dict[str, Any]:
    return served.event("check-in", volunteer="V1", station=STATION, occurred_at=AT)


# --- before the body --------------------------------------------------------------------------------------------------


def addresses(served: Served) -> list[tuple[str, str, str]]:
    """Return every method, address and media type that takes a body."""
    paths: dict[str, dict[str, Any]] = served.client.get("/openapi.json").json()["paths"]
    return [
        (method.upper(), path.replace("{", "").replace("}", ""), media_type)
        for path, methods in paths.items()
        for method, operation in methods.items()
        if "requestBody" in operation
        for media_type in operation["requestBody"]["content"]
    ]


def test_no_address_reads_a_body_before_it_knows_the_key(served: Served, server: Listening) -> None:
    found = addresses(served)
    assert {(path, media_type) for _, path, media_type in found} >= {
        ("/v1/events", NDJSON),
        ("/v1/what-ifs", "application/json"),
    }
    for method, path, media_type in found:
        for authorization in ("", "Authorization: Bearer hours_wrong\r\n"):
            with talking(server) as (connection, answers):
                head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {media_type}\r\n{authorization}"
                connection.sendall(f"{head}Content-Length: {BODY_BYTES_MAX}\r\n\r\n".encode())  # and no body
                answer = told(answers)
                assert (answer.status, answer.body["rejection"]) == (401, "no-key"), (method, path, media_type)


def test_a_body_is_not_awaited_for_ever(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.http.app.BodyLimit", lambda app, **named: BodyLimit(app, **named, seconds_max=0.2))
    with listening(served) as server:
        for way in ("single", "binary", "batch", "REST", "candidate"):
            role, request = WAYS[way]
            path, headers, body = request(served)
            lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}"]
            lines += [f"{name}: {value}" for name, value in {**headers, **served.headers(role)}.items()]
            with talking(server) as (connection, answers):
                connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body[:-1])
                answer = told(answers)
                assert (answer.status, answer.body["rejection"], answer.body["retry"]) == (408, "too-slow", True), way
        with talking(server) as (connection, answers):
            path, headers, body = WAYS["stream"][1](served)
            lines = [f"POST {path} HTTP/1.1", "Host: x", "Content-Length: 100000"]
            lines += [f"{name}: {value}" for name, value in {**headers, **served.headers(Role.STATION)}.items()]
            connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body + b"\n")
            found = [json.loads(line) for line in answers if line.startswith(b"{")]
            assert found[0]["outcome"] == "accepted"
            assert found[1]["rejection"] == "too-slow"


@pytest.mark.parametrize("more", ["Connection: close", "Accept: */*"])
def test_whoever_is_refused_gets_the_answer_although_still_sending(
    served: Served, server: Listening, more: str
) -> None:
    body = b"x" * BODY_BYTES_MAX
    lines = ["POST /v1/events HTTP/1.1", "Host: x", f"Content-Type: {EVENT}", f"Content-Length: {len(body)}", more]
    with talking(server) as (connection, answers):
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        assert told(answers).status == 401
