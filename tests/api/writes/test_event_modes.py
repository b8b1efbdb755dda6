"""The four ways of CloudEvents over HTTP, and how events are taken: whole, as a dry run, until they are projected."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from email.message import Message
from itertools import pairwise
from typing import Any, NoReturn
from uuid import UUID, uuid4

import psycopg
import pytest
from cloudevents.core.bindings.http import HTTPMessage, to_binary_event, to_structured_event
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent as SdkEvent
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from api.access.roles import Caller, Permission, Role
from api.http.requests import submission
from api.http.requests.submission import Reader, refused_for_content
from api.http.routes.writes.event_stream import LINE_BYTES_MAX, NDJSON, chunks_of
from api.http.routes.writes.events import read_batch
from api.messages.answers import BatchAnswer, EventAccepted, accepted, as_json, batch_answer
from api.messages.cloud_events import (
    BATCH,
    COMMAND_OF_TYPE,
    EVENT,
    CloudEvent,
    event_type,
    read_binary,
    read_event,
)
from api.messages.examples import EXAMPLES
from api.messages.json_bodies import BYTE_ORDER_MARK
from api.messages.problems import Fault, Problem
from ledger.aggregates import Order, Sender
from ledger.intake.answers import Accepted, Answer
from ledger.intake.group_commit import QueueFull
from ledger.intake.prepare import Prepared
from ledger.names import Position
from ledger.rejections import Rejection, refuse
from replay.generations import store
from tests.support.api.serving import OTHER_STATION, STATION, Served
from tests.support.ledger.orders import order_of
from tests.support.oracle.histories import patiently

pytest_plugins = ["tests.support.api.fixtures"]

AT = "2018-12-04T09:00:00+08:00"


def check_in(served: Served, **more: Any) -> dict[str, Any]:
    return served.event("check-in", volunteer=served.volunteer(), station=STATION, occurred_at=AT, **more)


def post(served: Served, message: HTTPMessage, **asked: Any) -> Any:
    headers = served.headers(Role.STATION) | message.headers
    return served.client.post("/v1/events", content=message.body, headers=headers, params=asked)


# --- the official SDK as a client -----------------------------------------------------------------------------------


@pytest.mark.parametrize("written", [to_binary_event, to_structured_event])
def test_the_official_sdk_is_understood(served: Served, written: Callable[[SdkEvent], HTTPMessage]) -> None:
    shift = uuid4()
    event = SdkEvent(
        {
            "id": f"sdk {uuid4()}".replace(" ", "-"),
            "source": f"/stations/{STATION}",
            "type": event_type("check-in"),
            "time": datetime(2018, 12, 4, 1, tzinfo=UTC),
            "datacontenttype": "application/json",
            "batterylevel": "81",
        },
        {"volunteer": served.volunteer(), "station": STATION, "shift": str(shift)},
    )
    first, again = post(served, written(event)), post(served, written(event))
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == {**first.json(), "duplicate": True}
    (stored,) = served.ledger.log.read(Position(first.json()["position"] - 1), 1)
    told = json.loads(stored.state)
    assert (told["occurred_at"], told["shift"]) == (1543885200, str(shift))


def test_a_batch_of_the_official_sdk_is_understood(served: Served) -> None:
    events = [json.loads(JSONFormat().write(SdkEvent(*_sdk(check_in(served))))) for _ in range(3)]
    assert served.send(events).json()["accepted"] == 3


def _sdk(event: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    return {key: value for key, value in event.items() if key != "data"}, event["data"]


def test_binary_attributes_are_percent_decoded_and_typed(served: Served) -> None:
    event = check_in(served)
    data = event.pop("data")
    headers = {f"ce-{name}": value for name, value in event.items()} | {"Content-Type": "application/json"}
    headers |= {"ce-id": "a%22b-%31" + event["id"], "ce-imported": "false"}
    answer = served.client.post("/v1/events", json=data, headers=served.headers(Role.STATION) | headers)
    assert answer.status_code == 201, answer.text
    assert answer.json()["id"] == 'a"b-1' + event["id"]
    (stored,) = served.ledger.log.read(Position(answer.json()["position"] - 1), 1)
    assert b'"imported"' not in stored.state
    headers |= {"ce-id": "again", "ce-data": "an extension, as any other"}
    assert (
        served.client.post("/v1/events", json=data, headers=served.headers(Role.STATION) | headers).status_code == 201
    )


@pytest.mark.parametrize(
    ("headers", "body", "status", "rejection"),
    [
        ({"Content-Type": "text/plain"}, b"{}", 415, "wrong-media-type"),
        ({}, b"{", 400, "malformed"),
        ({"ce-type": "nothing"}, b"{}", 422, "invalid"),
        ({}, b"[]", 422, "invalid"),
        ({}, b"", 400, "malformed"),
        ({}, b'{"volunteer": NaN}', 400, "malformed"),
        ({"ce-id": "a b"}, b"{", 400, "malformed"),
        ({"ce-imported": "perhaps"}, b"{}", 422, "invalid"),
        ({"ce-data": "x"}, b"[]", 422, "invalid"),
        ({"ce-data_base64": "e30="}, b"{}", 422, "invalid"),
    ],
)
def test_binary_events_that_are_not_right_are_refused(
    served: Served, headers: dict[str, str], body: bytes, status: int, rejection: str
) -> None:
    whole = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/stations/C01", "ce-type": event_type("check-in")}
    sent = served.headers(Role.STATION) | whole | {"Content-Type": "application/json"} | headers
    answer = served.client.post("/v1/events", content=body, headers=sent)
    assert (answer.status_code, answer.json()["rejection"]) == (status, rejection)


# --- streams --------------------------------------------------------------------------------------------------------


def stream(served: Served, lines: list[Any], role: Role = Role.STATION, **asked: Any) -> list[dict[str, Any]]:
    content = b"".join(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n" for line in lines)
    headers = served.headers(role) | {"Content-Type": NDJSON}
    answer = served.client.post("/v1/events", content=content, headers=headers, params=asked)
    assert answer.headers["content-type"].startswith(NDJSON), answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


def test_a_stream_is_answered_line_by_line_and_may_be_longer_than_a_batch(served: Served) -> None:
    volunteer = served.volunteer()
    events = [
        served.event("check-in", volunteer=volunteer, station=STATION, occurred_at=AT, shift=str(uuid4()))
        for _ in range(2500)
    ]
    answers = stream(served, [*events, b"\n", b"{nonsense\n", events[0], {**events[1], "type": "x"}])
    assert [answer["outcome"] for answer in answers] == ["accepted"] * 2500 + ["refused", "accepted", "refused"]
    assert [answer["id"] for answer in answers[:2500]] == [event["id"] for event in events]
    assert answers[2500]["rejection"] == "malformed"
    assert answers[2500]["detail"].startswith("the event is not JSON: ")
    assert (answers[2501]["duplicate"], answers[2501]["position"]) == (True, answers[0]["position"])
    assert [answer["position"] for answer in answers[:2500]] == list(
        range(answers[0]["position"], answers[0]["position"] + 2500)
    )


def test_a_stream_without_a_last_line_feed_is_read_to_its_end(served: Served) -> None:
    (answer,) = stream(served, [json.dumps(check_in(served)).encode()], wait="projected")
    assert (answer["outcome"], answer["projected"]) == ("accepted", True)
    assert stream(served, []) == []


def test_a_stream_waits_while_the_queue_is_full(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.http.routes.writes.event_stream.FULL_WAIT_SECONDS", 0.01)
    submit, calls = served.service.commits.submit, iter([True, True])

    def sometimes_full(*given: Any) -> object:
        if next(calls, False):
            raise QueueFull
        return submit(*given)

    event = check_in(served)
    monkeypatch.setattr(served.service.commits, "submit", sometimes_full)
    (answer,) = stream(served, [event])
    assert answer["outcome"] == "accepted"


def test_a_line_that_comes_byte_by_byte_is_put_together_once() -> None:
    """A MiB: copied anew with each byte, as it once was, it would take minutes."""
    line = b"x" * (LINE_BYTES_MAX - 1)

    async def parts() -> AsyncIterator[bytes]:
        for byte in line + b"\n \nrest":
            yield bytes([byte])

    async def collected() -> list[list[bytes]]:
        return [lines async for lines in chunks_of(parts())]

    assert asyncio.run(collected()) == [[line], [b"rest"]]


@given(st.binary(max_size=200).map(lambda content: content.replace(b"x", b"\n")), st.data())
def test_lines_are_the_same_however_the_body_is_cut(content: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)))))
    pieces = [content[start:end] for start, end in pairwise([0, *cuts, len(content)])]

    async def parts() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    async def collected() -> list[bytes]:
        return [line async for lines in chunks_of(parts()) for line in lines]

    assert asyncio.run(collected()) == [line for line in content.split(b"\n") if line.strip()]


def test_what_ends_a_stream_is_its_last_line(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.http.routes.writes.event_stream.LINE_BYTES_MAX", 2000)
    event = check_in(served)
    told = stream(served, [event, b" " * 3000])
    assert told[-1]["rejection"] == "too-large"


def test_a_stream_is_not_taken_as_a_whole(served: Served) -> None:
    headers = served.headers(Role.STATION) | {"Content-Type": NDJSON}
    answer = served.client.post("/v1/events?atomic=true", content=b"", headers=headers)
    assert (answer.status_code, answer.json()["field"]) == (422, "atomic")


# --- how events are taken -------------------------------------------------------------------------------------------


def batch(served: Served, events: list[Any], **asked: Any) -> dict[str, Any]:
    headers = served.headers(Role.STATION) | {"Content-Type": BATCH}
    answer = served.client.post("/v1/events", json=events, headers=headers, params=asked)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    assert BatchAnswer.model_validate(told).model_dump(mode="json") == told
    return told


def test_an_atomic_batch_is_recorded_whole_or_not_at_all(served: Served) -> None:
    good, bad = check_in(served), check_in(served)
    bad["data"]["volunteer"] = "V9999999"
    theirs = served.event("check-in", volunteer="V0000000", station=OTHER_STATION, occurred_at=AT)
    head = served.ledger.log.head()
    for wrong, rejection in ((bad, "unknown-volunteer"), (theirs, "forbidden"), ({"id": "1"}, "invalid")):
        told = batch(served, [good, wrong], atomic=True)
        assert [answer["rejection"] for answer in told["answers"]] == ["not-alone", rejection]
        assert (told["accepted"], told["refused"], told["position"]) == (0, 2, None)
    assert served.ledger.log.head() == head
    assert batch(served, [good, check_in(served)], atomic=True)["accepted"] == 2


def test_a_dry_run_says_what_would_be(served: Served) -> None:
    good, bad, known = check_in(served), check_in(served), check_in(served)
    bad["data"]["volunteer"] = "V9999999"
    first = served.send(known).json()
    head = served.ledger.log.head()
    told = batch(served, [good, bad, known], dry_run=True)
    assert [answer["outcome"] for answer in told["answers"]] == ["would-be-accepted", "refused", "accepted"]
    assert [answer.get("position") for answer in told["answers"]] == [None, None, first["position"]]
    assert served.ledger.log.head() == head
    headers = served.headers(Role.STATION) | {"Content-Type": EVENT}
    single = served.client.post("/v1/events?dry_run=true", json=good, headers=headers)
    assert (single.status_code, single.json()["outcome"]) == (200, "would-be-accepted")
    plain = served.client.post(
        "/v1/commands/check-in?dry_run=true", json=good["data"], headers=served.headers(Role.STATION)
    )
    assert (plain.status_code, plain.json()["recorded"], plain.json()["position"]) == (200, False, None)
    assert served.ledger.log.head() == head


def test_an_answer_waits_for_the_read_models_if_asked(served: Served) -> None:
    assert batch(served, [check_in(served)], wait="projected")["projected"] is True
    assert batch(served, [check_in(served)])["projected"] is None
    event = check_in(served)
    plain = served.client.post(
        "/v1/commands/check-in?wait=projected", json=event["data"], headers=served.headers(Role.STATION)
    ).json()
    assert plain["projected"] is True
    assert served.ledger.current_generation().position >= plain["position"]


def test_what_is_recorded_is_answered_so_even_if_the_read_models_stay_behind(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submission, "PROJECTED_SECONDS_MAX", 0.03)
    behind = served.ledger.read_model_position()
    monkeypatch.setattr(served.service.ledger, "read_model_position", lambda: behind)
    event = check_in(served)
    assert behind < served.ledger.log.head()
    assert (
        served.client.post(
            "/v1/events?wait=projected", json=event, headers=served.headers(Role.STATION) | {"Content-Type": EVENT}
        ).json()["projected"]
        is False
    )


@pytest.mark.parametrize("there_are_some", [False, True])
def test_what_is_recorded_is_answered_so_even_if_the_read_models_cannot_be_asked(
    served: Served,
    monkeypatch: pytest.MonkeyPatch,
    there_are_some: bool,  # noqa: FBT001 - a case of the table above
) -> None:
    def asked(_connection: object) -> None:
        if there_are_some:
            raise psycopg.OperationalError("gone")

    event = check_in(served)
    monkeypatch.setattr(submission, "PROJECTED_SECONDS_MAX", 0.03)
    monkeypatch.setattr(store, "current_generation", asked)
    headers = served.headers(Role.STATION) | {"Content-Type": EVENT}
    answer = served.client.post("/v1/events?wait=projected", json=event, headers=headers)
    assert (answer.status_code, answer.json()["outcome"], answer.json()["projected"]) == (201, "accepted", False)


@pytest.mark.parametrize("asked", [{"atomic": "perhaps"}, {"wait": "for-ever"}, {"dryrun": "true"}])
def test_what_is_asked_wrongly_is_named(served: Served, asked: dict[str, str]) -> None:
    headers = served.headers(Role.STATION) | {"Content-Type": EVENT}
    answer = served.client.post("/v1/events", params=asked, json={}, headers=headers)
    assert answer.status_code == 422
    assert answer.json()["field"] in asked


# --- what is read -----------------------------------------------------------------------------------------------------

USUAL: dict[str, Any] = {
    "specversion": "1.0",
    "id": "1",
    "source": "/stations/C01",
    "type": event_type("check-in"),
    "data": {"volunteer": "V0000001", "station": "C01", "occurred_at": AT, "shift": str(UUID(int=7))},
}

ODD: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers(-5, 1 << 33)
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from([[], {}, 1 << 70, {"a": [1, {"b": None}]}])
)
TEXTS = st.sampled_from(["V0000001", "C01", "C02", "13800138000", "x y", "", "a" * 33, "1_2.3-4", "a\n", 'a"b', "a\\b"])
INSTANTS = st.sampled_from(
    [AT, 1543885200, "2018-12-04T09:00:00", "2018-12-04", "1999-01-01T00:00:00Z", 0, 4_102_444_800, True, 1.5, "now"]
)
SHIFTS = st.sampled_from(
    [str(UUID(int=7)), str(UUID(int=2**127 + 171)).upper(), UUID(int=7).hex, "7", ""]
) | st.uuids().map(str)

DATA_TYPES = st.sampled_from(
    [
        "application/json",
        "application/json; charset=utf-8",
        "application/cloudevents+json",
        "application/json; charset=latin-1",
        "text/xml",
        "json",
    ]
)


@st.composite
def elements(draw: st.DrawFn) -> dict[str, Any]:
    """Draw what a sender may send: nearly always a scan, at times with something odd in it."""
    data: dict[str, Any] = {"volunteer": "V0000001", "station": "C01", "occurred_at": AT, "shift": str(UUID(int=7))}
    element: dict[str, Any] = {
        "specversion": "1.0",
        "id": "1",
        "source": "/stations/C01",
        "type": event_type(draw(st.sampled_from(["check-in", "check-out", "check-in", "void-shift"]))),
        "data": data,
    }
    odd: dict[str, st.SearchStrategy[Any]] = {
        "volunteer": TEXTS,
        "station": TEXTS,
        "project": TEXTS,
        "occurred_at": INSTANTS,
        "shift": SHIFTS,
        "more": TEXTS,
    }
    for key in draw(st.lists(st.sampled_from(sorted(odd)), max_size=2)):
        data[key] = draw(odd[key] | ODD)
    for key in draw(st.lists(st.sampled_from(sorted(data)), max_size=1)):
        del data[key]
    attributes: dict[str, st.SearchStrategy[Any]] = {
        "id": TEXTS,
        "source": TEXTS | st.just("/stations/C01/a"),
        "time": INSTANTS,
        "datacontenttype": DATA_TYPES,
        "subject": TEXTS,
        "imported": st.booleans(),
        "dataschema": TEXTS,
        "specversion": TEXTS,
        "ext": TEXTS,
        "data_base64": TEXTS,
    }
    for key in draw(st.lists(st.sampled_from(sorted(attributes)), max_size=2)):
        element[key] = draw(attributes[key] | ODD)
    return element


@st.composite
def commands(draw: st.DrawFn) -> dict[str, Any]:
    """Draw an event of any type, at times with odd data."""
    kind = draw(st.sampled_from(sorted(EXAMPLES)))
    data: dict[str, Any] = dict(EXAMPLES[kind])
    for key in draw(st.lists(st.sampled_from([*data, "occurred_at", "text"]), max_size=2)):
        data[key] = draw(ODD | TEXTS | INSTANTS)
    return {**USUAL, "type": event_type(kind), "time": AT, "data": data}


WRITTEN: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [{}, {"separators": (",", ":")}, {"indent": 1}, {"ensure_ascii": False}]
)
SENDER = Sender("station:C01", 3, None)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """Draw what a sender may send, as JSON."""
    return json.dumps(draw(elements() | commands()), **draw(WRITTEN)).encode()


@st.composite
def repetitive(draw: st.DrawFn) -> bytes:
    """Draw an event of which some attributes, or fields of its data, stand twice."""
    element = draw(elements())
    data = twice(draw, json.dumps(element.pop("data")), list(USUAL["data"]))
    whole = twice(draw, json.dumps(element), list(USUAL))
    return f'{whole[:-1]},"data":{data}}}'.encode()


def twice(draw: st.DrawFn, text: str, names: list[str]) -> str:
    """Write something before or behind all that an object says."""
    more = f"{json.dumps(draw(st.sampled_from(names)))}:{json.dumps(draw(ODD | TEXTS))}"
    return draw(st.sampled_from([text, f"{{{more},{text[1:]}", f"{text[:-1]},{more}}}"]))


def no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def parsed(body: bytes) -> Any:
    """Return what the standard library's parser reads, less the constants that JSON does not have."""
    return json.loads(body.decode("utf-8-sig"), parse_constant=no_constant)


def closer_look(element: Any, sender: Sender = SENDER) -> Order | None:
    """Return the order that the models find in an element, as slowly as they please."""
    try:
        event = CloudEvent.model_validate(element)
        command_type = COMMAND_OF_TYPE[event.type]
        data = event.data
        if event.time is not None and "occurred_at" in command_type.model_fields and data.get("occurred_at") is None:
            data = {**data, "occurred_at": event.time}
        command = command_type.model_validate(data)
    except (ValidationError, LookupError):
        return None
    if "data_base64" in element or not announces_json(event.datacontenttype):
        return None
    return order_of(command, event.source, event.id, sender.by, event.imported, 3)


def announces_json(written: str | None) -> bool:
    """Return whether a media type is JSON in UTF-8, as the standard library's parser of mail reads it."""
    if written is None:
        return True
    header = Message()
    header["Content-Type"] = written
    is_json = header.get_content_type() == "application/json" or header.get_content_type().endswith("+json")
    return is_json and header.get_content_charset("utf-8") == "utf-8"


def found(body: bytes) -> Order | None:
    """Return the order that a body is; whatever else it is must be told as a fault."""
    read = read_event(body, SENDER)
    assert isinstance(read, Order | Fault)
    return read if isinstance(read, Order) else None


def parsed_order(body: bytes) -> Order | None:
    try:
        return closer_look(parsed(body))
    except (ValueError, RecursionError):
        return None


@patiently
@given(body=bodies(), mark=st.sampled_from([b"", BYTE_ORDER_MARK]))
def test_an_event_is_the_order_that_a_parser_and_the_models_find(body: bytes, mark: bytes) -> None:
    assert found(mark + body) == parsed_order(body)


@patiently
@given(body=bodies(), role=st.sampled_from(list(Role)))
def test_an_event_is_taken_from_those_alone_who_may_give_it(body: bytes, role: Role) -> None:
    caller = Caller(role, "C01", 3)
    read = Reader(caller).read(body)
    assert isinstance(read, Prepared | Fault)
    order = parsed_order(body)
    if order is not None:
        order = order._replace(by=caller.by)
        forbidden = Permission(caller).forbids(order) or refused_for_content(order.command)
        order = None if forbidden else order
    assert (read.order if isinstance(read, Prepared) else None) == order


@patiently
@given(body=repetitive())
def test_of_what_is_said_twice_the_last_counts_or_it_is_refused(body: bytes) -> None:
    assert found(body) in (None, parsed_order(body))


CUT = st.none() | st.integers(0, 2000)
CHANGED = st.none() | st.tuples(st.integers(0, 2000), st.integers(0, 255))


def spoilt(body: bytes, cut: int | None, changed: tuple[int, int] | None) -> bytes:
    """Cut a body off, change one of its bytes, or both."""
    body = body[:cut]
    if changed is not None and changed[0] < len(body):
        body = body[: changed[0]] + bytes([changed[1]]) + body[changed[0] + 1 :]
    return body


@patiently
@given(body=bodies() | repetitive(), cut=CUT, changed=CHANGED)
def test_an_event_that_was_cut_or_changed_is_another_or_none(
    body: bytes, cut: int | None, changed: tuple[int, int] | None
) -> None:
    """Never one that was not sent: whatever is read, a parser of JSON reads as well."""
    body = spoilt(body, cut, changed)
    assert found(body) in (None, parsed_order(body))


@patiently
@given(
    drawn=st.lists(bodies() | repetitive() | st.just(json.dumps(USUAL).encode()), min_size=1, max_size=4),
    cut=CUT,
    changed=CHANGED,
    mark=st.sampled_from([b"", BYTE_ORDER_MARK]),
)
def test_a_batch_that_was_cut_or_changed_is_another_or_none(
    drawn: list[bytes], cut: int | None, changed: tuple[int, int] | None, mark: bytes
) -> None:
    body = spoilt(mark + b"[" + b", ".join(drawn) + b"]", cut, changed)
    try:
        _, read = read_batch(body, Reader(Caller(Role.STAFF, "li.wei", 3)))
    except Problem:
        return
    orders = [one.order._replace(by=SENDER.by) if isinstance(one, Prepared) else None for one in read]
    if orders != [None] * len(orders):
        text = body.decode("utf-8-sig", errors="replace")  # what is not UTF-8 spoils its own element alone
        expected = [closer_look(element) for element in json.loads(text)]
        assert len(orders) == len(expected)
        assert all(order in (None, other) for order, other in zip(orders, expected, strict=True))


@patiently
@given(body=st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_whatever_else_comes_is_a_fault(body: bytes) -> None:
    assert isinstance(read_event(body, SENDER), Fault)
    assert isinstance(read_binary({}, body, SENDER), Fault)
    try:
        elements, read = read_batch(body, Reader(Caller(Role.STATION, "C01", 3)))
    except Problem:
        return
    assert len(elements) == len(read)
    assert all(isinstance(one, Fault) for one in read)


def usual(**more: Any) -> str:
    return json.dumps({**USUAL, **more})


ATTRIBUTES = json.dumps({name: value for name, value in USUAL.items() if name != "data"})[:-1]
DEEP = "[" * 100_000 + "]" * 100_000
UNREADABLE = [
    b"",
    b"\xef\xbb\xbf",
    BYTE_ORDER_MARK * 2 + usual().encode(),
    usual().encode("utf-16"),
    usual(subject="\u00e9").encode().replace(b"\\u00e9", b"\xe9"),
    usual().encode()[:-1] + b',"more":"\xff"}',
    usual().encode()[:-1] + b',"more":{"\xed\xa0\x80":1}}',
    usual(subject="\ud800").encode(),
    usual(more="\udc00").encode(),
    usual(more=["\ud800"]).encode(),
    usual(more=float("nan")).encode(),
    usual(more=float("-inf")).encode(),
    usual(data={**USUAL["data"], "more": float("nan")}).encode(),
    f"{usual()[:-1]},}}".encode(),
    f"{usual()} x".encode(),
    f"{usual()}{usual()}".encode(),
    f'{usual()[:-1]},"more":{DEEP}}}'.encode(),
    f'{ATTRIBUTES},"data":{DEEP}}}'.encode(),
    f'{ATTRIBUTES},"data":{{"volunteer":{"[" * 500 + "]" * 500}}}}}'.encode(),
    f'{usual()[:-1]},"more":01}}'.encode(),
    f'{usual()[:-1]},"more":"\t"}}'.encode(),
    b'{"specversion": 1, "id"',
]
"""What no parser of JSON reads, or none but those that put up with more than JSON."""


@pytest.mark.parametrize("body", UNREADABLE)
def test_what_is_no_json_is_a_malformed_event(body: bytes) -> None:
    attributes = {name: value for name, value in USUAL.items() if name != "data"}
    for read in (read_event(body, SENDER), read_binary(attributes, body, SENDER)):
        assert isinstance(read, Fault)
        assert read.rejection == "malformed"
        assert " is not JSON: " in read.detail


@pytest.mark.parametrize(
    "more", ["1e999", "-0.0", "9" * 5000, '"\\ud83d\\ude00"', '"\\u0000"', "[" * 300 + "]" * 300, '[{"a":1},{"a":2}]']
)
def test_extensions_may_say_whatever_is_json(more: str) -> None:
    expected = closer_look(USUAL)
    assert expected is not None
    assert found(f'{usual()[:-1]},"more":{more}}}'.encode()) == expected
    assert found(f'{{"more":{more},{usual()[1:]}'.encode()) == expected


@pytest.mark.parametrize("number", ["1e999", "-1e999", "9" * 5000, "1" + "0" * 400, "1e-999"])
@pytest.mark.parametrize("field", ["occurred_at", "volunteer", "more"])
def test_a_number_that_is_too_large_is_refused_by_its_field(field: str, number: str) -> None:
    text = usual(data={**USUAL["data"], field: "here"}).replace('"here"', number)
    read = read_event(text.encode(), SENDER)
    assert isinstance(read, Fault)
    assert (read.rejection, read.field) in {("invalid", f"data.{field}"), ("malformed", "data")}


# --- what is answered -------------------------------------------------------------------------------------------------


def test_answers_are_what_their_models_say(served: Served) -> None:
    events = [served.event("check-in", volunteer="V1", station=STATION, occurred_at=AT) for _ in range(5)]
    body = json.dumps([*events, {"id": "x", "source": 1}, 7]).encode()
    elements, read = read_batch(body, Reader(Caller(Role.STATION, STATION, 3)))
    shifts = (UUID(int=1), UUID(int=2))
    answers: list[Answer] = [
        Accepted(Position(9), duplicate=False, shift=shifts[0]),
        Accepted(Position(4), duplicate=True, shift=None, punch=shifts[1]),
        Accepted(None, duplicate=False, shift=None),
        refuse(Rejection.UNKNOWN_VOLUNTEER, "volunteer", "V1"),
        refuse(Rejection.UNKNOWN_STATION, "station", "C9"),
    ]
    for projected in (None, True, False):
        told = json.loads(as_json(batch_answer(elements, read, answers, projected=projected)))
        assert BatchAnswer.model_validate(told).model_dump(mode="json") == told
        assert {key: told[key] for key in ("accepted", "duplicates", "refused", "position", "projected")} == {
            "accepted": 2,
            "duplicates": 1,
            "refused": 4,
            "position": 9,
            "projected": projected,
        }
    outcomes = ["accepted", "accepted", "would-be-accepted", *["refused"] * 4]
    assert [one["outcome"] for one in told["answers"]] == outcomes
    assert [(one["source"], one["id"]) for one in told["answers"][5:]] == [(None, "x"), (None, None)]
    order = read[0]
    assert isinstance(order, Prepared)
    for answer in answers:
        if not isinstance(answer, Accepted):
            continue
        single = json.loads(as_json(accepted(order.order, answer, projected=True)))
        assert EventAccepted.model_validate(single).model_dump(mode="json") == single
