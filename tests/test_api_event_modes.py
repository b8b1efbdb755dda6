"""The four ways of CloudEvents over HTTP, and how events are taken: whole, as a dry run, until they are projected."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from cloudevents.core.bindings.http import HTTPMessage, to_binary_event, to_structured_event
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from api import taking
from api.access import Caller, Role
from api.cloud_events import BATCH, EVENT, BatchAnswer, batch_answer, event_type, read_order
from api.event_stream import NDJSON
from api.problems import Fault
from api.scan_answers import answers_text, batch_text
from api.scan_reader import ARRAY, LINES, ONE, read_scans
from api.taking import refused_for_role
from ledger.aggregates import Order
from ledger.intake.group_commit import QueueFull
from ledger.names import Position
from ledger.plain.block import RECORDED, REPEATED
from ledger.rejections import Rejection, refuse
from replay import store
from tests.histories import patiently
from tests.serving import OTHER_STATION, STATION, Served

pytest_plugins = ["tests.api_fixtures"]

AT = "2018-12-04T09:00:00+08:00"


def check_in(served: Served, **more: Any) -> dict[str, Any]:
    return served.event("check-in", volunteer=served.volunteer(), station=STATION, occurred_at=AT, **more)


def post(served: Served, message: HTTPMessage, **asked: Any) -> Any:
    headers = served.headers(Role.STATION) | message.headers
    return served.client.post("/v1/events", content=message.body, headers=headers, params=asked)


# --- the official SDK as a client -----------------------------------------------------------------------------------


@pytest.mark.parametrize("written", [to_binary_event, to_structured_event])
def test_the_official_sdk_is_understood(served: Served, written: Callable[[CloudEvent], HTTPMessage]) -> None:
    shift = uuid4()
    event = CloudEvent(
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
    events = [json.loads(JSONFormat().write(CloudEvent(*_sdk(check_in(served))))) for _ in range(3)]
    assert served.send(events).json()["accepted"] == 3


def _sdk(event: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    return {key: value for key, value in event.items() if key != "data"}, event["data"]


def test_binary_attributes_are_percent_decoded_and_typed(served: Served) -> None:
    event = check_in(served)
    data = event.pop("data")
    headers = {f"ce-{name}": value for name, value in event.items()} | {"Content-Type": "application/json"}
    headers |= {"ce-id": "a%22b-%31" + event["id"], "ce-imported": "true"}
    answer = served.client.post("/v1/events", json=data, headers=served.headers(Role.STAFF) | headers)
    assert answer.status_code == 201, answer.text
    assert answer.json()["id"] == 'a"b-1' + event["id"]
    (stored,) = served.ledger.log.read(Position(answer.json()["position"] - 1), 1)
    assert b'"imported":true' in stored.state


@pytest.mark.parametrize(
    ("headers", "body", "status", "rejection"),
    [
        ({"Content-Type": "text/plain"}, b"{}", 415, "wrong-media-type"),
        ({}, b"{", 400, "malformed"),
        ({"ce-type": "nothing"}, b"{}", 422, "invalid"),
        ({}, b"[]", 422, "invalid"),
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
    assert (answers[2501]["duplicate"], answers[2501]["position"]) == (True, answers[0]["position"])
    assert [answer["position"] for answer in answers[:2500]] == list(
        range(answers[0]["position"], answers[0]["position"] + 2500)
    )


def test_a_stream_without_a_last_line_feed_is_read_to_its_end(served: Served) -> None:
    (answer,) = stream(served, [json.dumps(check_in(served)).encode()], wait="projected")
    assert (answer["outcome"], answer["projected"]) == ("accepted", True)
    assert stream(served, []) == []


def test_a_stream_waits_while_the_queue_is_full(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.event_stream.FULL_WAIT_SECONDS", 0.01)
    submit, calls = served.service.commits.submit, iter([True, True])

    def sometimes_full(*given: Any) -> object:
        if next(calls, False):
            raise QueueFull
        return submit(*given)

    event = check_in(served)
    monkeypatch.setattr(served.service.commits, "submit", sometimes_full)
    (answer,) = stream(served, [event])
    assert answer["outcome"] == "accepted"


def test_what_ends_a_stream_is_its_last_line(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.event_stream.LINE_BYTES_MAX", 2000)
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
    monkeypatch.setattr(taking, "PROJECTED_SECONDS_MAX", 0.03)
    behind = served.ledger.reached()
    monkeypatch.setattr(served.service.ledger, "reached", lambda: behind)
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
    monkeypatch.setattr(taking, "PROJECTED_SECONDS_MAX", 0.03)
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


# --- plain scans ----------------------------------------------------------------------------------------------------

USUAL: dict[str, Any] = {
    "specversion": "1.0",
    "id": "1",
    "source": "/stations/C01",
    "type": event_type("check-in"),
    "data": {"volunteer": "V0000001", "station": "C01", "occurred_at": AT, "shift": str(UUID(int=7))},
}

ODD: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers(-5, 1 << 33) | st.text(max_size=5) | st.just([]) | st.just({})
)
TEXTS = st.sampled_from(["V0000001", "C01", "C02", "13800138000", "x y", "", "a" * 33, "1_2.3-4", "a\n", 'a"b', "a\\b"])
INSTANTS = st.sampled_from(
    [AT, 1543885200, "2018-12-04T09:00:00", "2018-12-04", "1999-01-01T00:00:00Z", 0, 4_102_444_800, True, 1.5, "now"]
)
SHIFTS = st.sampled_from(
    [str(UUID(int=7)), str(UUID(int=2**127 + 171)).upper(), UUID(int=7).hex, "7", ""]
) | st.uuids().map(str)


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
        "datacontenttype": st.just("application/json"),
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


def closer_look(element: object, caller: Caller) -> Order | Fault:
    order = read_order(element, caller.by, caller.key)
    return order if isinstance(order, Fault) else refused_for_role(caller, order, named_by_caller=True) or order


WRITTEN = st.sampled_from([{}, {"separators": (",", ":")}, {"indent": 1}, {"ensure_ascii": False}])


@patiently
@given(element=elements(), role=st.sampled_from(list(Role)), written=WRITTEN)
def test_a_plain_scan_is_the_order_that_a_closer_look_finds(
    element: dict[str, Any], role: Role, written: dict[str, Any]
) -> None:
    caller = Caller(role, "C01", 3)
    scan = read_scans(json.dumps(element, **written).encode(), ONE, caller)
    if scan is not None:
        assert [scan.order(0)] == [closer_look(element, caller)]


@patiently
@given(
    drawn=st.lists(elements() | st.just(USUAL), min_size=1, max_size=4),
    shape=st.sampled_from([ARRAY, LINES]),
    written=WRITTEN,
    cut=st.none() | st.integers(0, 2000),
    changed=st.none() | st.tuples(st.integers(0, 2000), st.integers(0, 255)),
)
def test_a_body_is_read_as_a_parser_of_json_reads_it_or_not_at_all(
    drawn: list[dict[str, Any]],
    shape: int,
    written: dict[str, Any],
    cut: int | None,
    changed: tuple[int, int] | None,
) -> None:
    """A body that was cut, or one of whose bytes was changed, is another body or none; never one that was not sent."""
    caller = Caller(Role.STAFF, "li.wei", 3)
    if shape == LINES:
        body = b"\n".join(json.dumps(element).encode() for element in drawn)
    else:
        body = json.dumps(drawn, **written).encode()
    body = body[:cut]
    if changed is not None and changed[0] < len(body):
        body = body[: changed[0]] + bytes([changed[1]]) + body[changed[0] + 1 :]
    block = read_scans(body, shape, caller)
    if block is None:
        return
    parsed = json.loads(body) if shape == ARRAY else [json.loads(line) for line in body.split(b"\n") if line.strip()]
    assert [block.order(row) for row in range(len(block))] == [closer_look(element, caller) for element in parsed]


def test_the_scans_of_a_usual_batch_are_plain() -> None:
    caller = Caller(Role.STATION, "C01", 3)
    data = {"volunteer": "V0000001", "station": "C01", "shift": str(UUID(int=7))}
    envelope = {"specversion": "1.0", "id": "1", "source": "/stations/C01"}
    for kind in ("check-in", "check-out"):
        for more in ({"data": {**data, "occurred_at": AT}}, {"data": data, "time": AT}):
            element = {**envelope, "type": event_type(kind), **more}
            for body, shape, count in (
                (json.dumps(element), ONE, 1),
                (json.dumps([element] * 3, indent=2), ARRAY, 3),
                (f"{json.dumps(element)}\r\n\n{json.dumps(element)}\n", LINES, 2),
            ):
                block = read_scans(body.encode(), shape, caller)
                assert block is not None, body
                assert [block.order(row) for row in range(len(block))] == [closer_look(element, caller)] * count
    assert read_scans(b"[]", ARRAY, caller) is None


@pytest.mark.parametrize("instant", ["2018-12-04T09:00:00+08:00", "2000-02-29T23:59:59Z", "2099-12-31T00:00:00-11:30"])
def test_instants_are_read_as_the_calendar_has_them(instant: str) -> None:
    caller = Caller(Role.STAFF, "li.wei", 3)
    begin = datetime.fromisoformat(instant)
    for days in range(0, 800, 7):
        moved = begin + timedelta(days=days, hours=days % 24)
        element = {**USUAL, "data": {**USUAL["data"], "occurred_at": moved.isoformat()}}
        block = read_scans(json.dumps(element).encode(), ONE, caller)
        if moved.year < 2100:
            assert block is not None
            assert block.rows["occurred_at"][0] == moved.timestamp()


def test_an_answer_written_by_hand_is_the_model_s(served: Served) -> None:
    caller = Caller(Role.STATION, "C01", 3)
    events = [served.event("check-in", volunteer="V1", station="C01", occurred_at=AT) for _ in range(3)]
    block = read_scans(json.dumps(events).encode(), ARRAY, caller)
    assert block is not None
    block.rows["outcome"], block.rows["position"] = [RECORDED, REPEATED, RECORDED], [9, 10, 11]
    for refused_row in (None, 0, 1, 2):
        if refused_row is not None:
            block.answer_row(refused_row, refuse(Rejection.UNKNOWN_VOLUNTEER, "volunteer", "V1"))
        expected = batch_answer(events, [block.order(row) for row in range(3)], list(block)).model_dump(mode="json")
        assert json.loads(batch_text(block, projected=None)) == expected
        lines = answers_text(block, "\n", projected=None).decode().splitlines()
        assert [json.loads(line) for line in lines] == expected["answers"]
