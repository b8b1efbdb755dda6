"""`POST /v1/events`: CloudEvents, one and many, answered one by one, recorded once."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest

from api.access.roles import Role
from api.http.requests.limits import BODY_BYTES_MAX
from api.http.routes.writes.event_stream import NDJSON
from api.http.routes.writes.events import BATCH_EVENTS_MAX
from api.messages.cloud_events import BATCH, COMMAND_OF_TYPE, EVENT, read_event
from api.messages.examples import EVENT_EXAMPLE, EVENTS_EXAMPLE
from api.messages.json_bodies import BYTE_ORDER_MARK
from api.messages.problems import Fault
from ledger.aggregates import COMMANDS, Order, Sender
from ledger.aggregates.scans import CheckIn
from ledger.names import COMMAND_ID_FORM, SOURCE_FORM
from ledger.sentences import form_of
from tests.support.api.serving import STATION, Served

pytest_plugins = ["tests.support.api.fixtures"]

MORNING, NOON = "2018-12-04T09:00:00+08:00", "2018-12-04T12:00:00+08:00"


def read(event: dict[str, Any], by: str = f"station:{STATION}") -> Order | Fault:
    """Read an event from JSON."""
    return read_event(json.dumps(event).encode(), Sender.of_operator(by))


def post(served: Served, content: bytes | str, media_type: str | None) -> dict[str, Any]:
    """Post raw content; return the problem it was answered with."""
    headers = served.headers(Role.STATION) | ({"Content-Type": media_type} if media_type else {})
    told: dict[str, Any] = served.client.post("/v1/events", content=content, headers=headers).json()
    return told


def test_one_event_is_created_and_then_a_duplicate_with_the_same_answer(served: Served) -> None:
    event = served.event("check-in", volunteer=served.volunteer(), station=STATION, occurred_at=MORNING)
    first, again = served.send(event), served.send(event)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["duplicate"] is False
    assert again.json() == {**first.json(), "duplicate": True}
    assert first.json()["shift"] is not None


def test_the_same_name_with_other_content_is_refused(served: Served) -> None:
    event = served.event("check-in", volunteer=served.volunteer(), station=STATION, occurred_at=MORNING)
    assert served.send(event).status_code == 201
    other = {**event, "data": {**event["data"], "occurred_at": NOON}}
    refused = served.send(other)
    assert (refused.status_code, refused.json()["rejection"]) == (422, "name-taken")
    assert refused.json()["retry"] is False


def test_a_batch_is_answered_in_its_order_and_counted(served: Served) -> None:
    volunteer, shift = served.volunteer(), str(uuid4())
    known = served.event("check-in", volunteer=volunteer, station=STATION, occurred_at=MORNING, shift=shift)
    assert served.send(known).status_code == 201
    end = served.event("check-out", volunteer=volunteer, station=STATION, occurred_at=NOON, shift=shift)
    unknown = served.event("check-in", volunteer="V9999999", station=STATION, occurred_at=MORNING)
    nothing: dict[str, Any] = {"id": "x", "source": "/y"}
    answer = served.send([known, unknown, nothing, end, 7])
    assert answer.status_code == 200
    told = answer.json()
    assert (told["accepted"], told["duplicates"], told["refused"]) == (1, 1, 3)
    assert [one["outcome"] for one in told["answers"]] == ["accepted", "refused", "refused", "accepted", "refused"]
    assert [one.get("duplicate") for one in told["answers"]] == [True, None, None, False, None]
    assert told["position"] == told["answers"][3]["position"]
    assert told["answers"][1]["rejection"] == "unknown-volunteer"
    assert told["answers"][1]["retry"] is True
    assert (told["answers"][2]["id"], told["answers"][2]["source"]) == ("x", "/y")
    assert told["answers"][4]["id"] is None


def test_a_batch_may_be_empty_or_repeat_an_event(served: Served) -> None:
    assert served.send([]).json()["answers"] == []
    event = served.event("check-in", volunteer=served.volunteer(), station=STATION, occurred_at=MORNING)
    told = served.send([event, event]).json()
    assert [one["duplicate"] for one in told["answers"]] == [False, True]
    assert told["answers"][0]["position"] == told["answers"][1]["position"]


def test_a_batch_of_a_thousand_is_taken_and_one_more_is_too_large(served: Served) -> None:
    volunteer = served.volunteer()
    data = {"volunteer": volunteer, "station": STATION, "day": "2018-12-04"}
    batch = [
        served.event("count-people-served", **{k: v for k, v in data.items() if k != "volunteer"}, people=number)
        for number in range(BATCH_EVENTS_MAX)
    ]
    assert served.send(batch).json()["accepted"] == BATCH_EVENTS_MAX
    more = served.send([*batch, batch[0]])
    assert (more.status_code, more.json()["rejection"]) == (413, "too-large")
    assert "1001" in more.json()["detail"]


@pytest.mark.parametrize("told_beforehand", [True, False])
def test_a_body_larger_than_a_mebibyte_is_refused(served: Served, told_beforehand: bool) -> None:  # noqa: FBT001
    body = b'"' + b"x" * BODY_BYTES_MAX + b'"'
    content = body if told_beforehand else (body[start : start + 65536] for start in range(0, len(body), 65536))
    headers = served.headers(Role.STATION) | {"Content-Type": EVENT}
    answer = served.client.post("/v1/events", content=content, headers=headers)
    assert (answer.status_code, answer.json()["rejection"]) == (413, "too-large")


@pytest.mark.parametrize("media_type", [None, "application/json", "text/plain"])
def test_other_media_types_are_refused_by_name(served: Served, media_type: str | None) -> None:
    told = post(served, "{}", media_type)
    assert (told["status"], told["rejection"]) == (415, "wrong-media-type")
    assert EVENT in told["remedy"]
    assert BATCH in told["remedy"]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b'{"id": ', b'{"id": 1, ', b"[" * 100_000])
def test_what_is_no_json_is_malformed(served: Served, content: bytes) -> None:
    told = post(served, content, EVENT)
    assert (told["status"], told["rejection"], told["field"]) == (400, "malformed", None)
    assert told["detail"].startswith("the event is not JSON: ")
    told = post(served, content, BATCH)
    assert (told["status"], told["rejection"]) == (400, "malformed")
    assert told["detail"].startswith("the body is not JSON: ")


@pytest.mark.parametrize("broken", [b'{"source": "/y", "more": "\xff"}', b'"\xff"', b'{"id": "\xc3\x28"}'])
def test_a_broken_element_of_a_batch_is_refused_alone(served: Served, broken: bytes) -> None:
    volunteer = served.volunteer()
    good = [
        json.dumps(served.event("check-in", volunteer=volunteer, station=STATION, occurred_at=at)).encode()
        for at in (MORNING, NOON)
    ]
    told = post(served, b"[" + good[0] + b"," + broken + b"," + good[1] + b"]", BATCH)
    assert [one["outcome"] for one in told["answers"]] == ["accepted", "refused", "accepted"]
    assert told["answers"][1]["rejection"] == "malformed"
    assert told["answers"][1]["detail"].startswith("the event is not JSON: ")


@pytest.mark.parametrize("media_type", [EVENT, BATCH, NDJSON])
@pytest.mark.parametrize("gap", [b"", b"\r\n  "])
def test_a_byte_order_mark_is_no_part_of_a_body(served: Served, media_type: str, gap: bytes) -> None:
    event = json.dumps(served.event("check-in", volunteer=served.volunteer(), station=STATION, occurred_at=MORNING))
    body = f"[{event}]" if media_type == BATCH else event
    gap = b"" if media_type == NDJSON else gap
    told = post(served, BYTE_ORDER_MARK + gap + body.encode(), media_type)
    answer = told["answers"][0] if media_type == BATCH else told
    assert (answer["outcome"], answer["id"]) == ("accepted", json.loads(event)["id"])
    refused = post(served, BYTE_ORDER_MARK + body.replace(STATION, "C99").encode(), media_type)
    refused = refused["answers"][0] if media_type == BATCH else refused
    assert refused["rejection"] == "forbidden"
    assert refused.get("id", json.loads(event)["id"]) == json.loads(event)["id"]


def test_a_byte_order_mark_is_no_part_of_data(served: Served) -> None:
    event = served.event("check-in", volunteer=served.volunteer(), station=STATION, occurred_at=MORNING)
    data = json.dumps(event.pop("data")).encode()
    headers = {f"ce-{name}": value for name, value in event.items()} | {"Content-Type": "application/json"}
    answer = served.client.post(
        "/v1/events", content=BYTE_ORDER_MARK + data, headers=served.headers(Role.STATION) | headers
    )
    assert answer.status_code == 201, answer.text


def test_a_media_type_may_carry_parameters(served: Served) -> None:
    assert post(served, "[]", BATCH + "; charset=utf-8")["accepted"] == 0


def test_a_batch_is_a_list_and_an_event_is_not(served: Served) -> None:
    assert post(served, "{}", BATCH)["status"] == 422
    assert post(served, "[]", EVENT)["status"] == 422


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"specversion": "0.3"}, "specversion"),
        ({"id": ""}, "id"),
        ({"id": "a b"}, "id"),
        ({"id": None}, "id"),
        ({"source": "/a#b"}, "source"),
        ({"type": "check-in"}, "type"),
        ({"type": "org.service-hours.check-in.v2"}, "type"),
        ({"datacontenttype": "text/xml"}, "datacontenttype"),
        ({"data": None}, "data"),
        ({"data": {}}, "data.volunteer"),
        ({"data_base64": "e30="}, "data_base64"),
        ({"imported": "yes"}, "imported"),
        ({"data": {**EVENT_EXAMPLE["data"], "occurred_at": "2018-12-04T09:00:00"}}, "data.occurred_at"),
        ({"data": {**EVENT_EXAMPLE["data"], "occurred_at": "yesterday"}}, "data.occurred_at"),
        ({"data": {**EVENT_EXAMPLE["data"], "occurred_at": 1543885200000}}, "data.occurred_at"),
        ({"data": {**EVENT_EXAMPLE["data"], "occurred_at": 0}}, "data.occurred_at"),
        ({"data": {**EVENT_EXAMPLE["data"], "volunteer": "13800138000"}}, "data.volunteer"),
        ({"data": {**EVENT_EXAMPLE["data"], "shift": "17"}}, "data.shift"),
        ({"data": {**EVENT_EXAMPLE["data"], "nickname": "x"}}, "data.nickname"),
    ],
)
def test_an_event_that_is_not_right_is_refused_by_its_field(change: dict[str, Any], field: str) -> None:
    fault = read({**EVENT_EXAMPLE, **change})
    assert isinstance(fault, Fault)
    assert fault.rejection == "invalid"
    assert fault.field == field
    assert fault.detail.startswith(field)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"specversion": "0.3"}, "specversion should be '1.0'"),
        ({"specversion": None}, "specversion should be '1.0'"),
        ({"id": "a b"}, f"id is not allowed: {form_of(COMMAND_ID_FORM)}; correct it"),
        ({"id": "a\n"}, f"id is not allowed: {form_of(COMMAND_ID_FORM)}; correct it"),
        ({"id": 7}, "id should be a valid string"),
        ({"id": 1e300}, "id should be a valid string"),
        ({"source": "/a#b"}, f"source is not allowed: {form_of(SOURCE_FORM)}; correct it"),
        ({"source": None}, "source should be a valid string"),
        ({"type": []}, "type should be a valid string"),
        ({"time": 1543885200}, "time should be a valid string"),
        ({"subject": {}}, "subject should be a valid string"),
        (
            {"datacontenttype": "text/xml"},
            "datacontenttype is 'text/xml', which is not JSON; write application/json, and send data as JSON",
        ),
        ({"dataschema": False}, "dataschema should be a valid string"),
        ({"imported": "yes"}, "imported should be a valid boolean"),
        ({"imported": None}, "imported should be a valid boolean"),
        ({"imported": 1}, "imported should be a valid boolean"),
        ({"data": None}, "data is not a JSON object; send the fields as one"),
        ({"data": "{}"}, "data is not a JSON object; send the fields as one"),
        ({"data": [EVENT_EXAMPLE["data"]]}, "data is not a JSON object; send the fields as one"),
        ({"data_base64": None}, "data_base64 is not supported; send the fields as JSON in data"),
        ({"id": 7, "source": 7, "type": "x", "data": 7}, "id should be a valid string"),
    ],
)
def test_the_first_fault_of_an_event_is_told_in_a_sentence(change: dict[str, Any], sentence: str) -> None:
    fault = read({**EVENT_EXAMPLE, **change})
    assert isinstance(fault, Fault)
    assert (fault.rejection, fault.detail) == ("invalid", sentence)


@pytest.mark.parametrize("field", ["specversion", "id", "source", "type", "data"])
def test_an_attribute_that_is_missing_is_named(field: str) -> None:
    fault = read({name: value for name, value in EVENT_EXAMPLE.items() if name != field})
    assert isinstance(fault, Fault)
    assert (fault.rejection, fault.field) == ("invalid", field)
    assert (fault.detail, fault.remedy) == (f"{field} is missing; add it", "add it")


def test_the_time_of_an_event_stands_for_the_instant_it_leaves_out() -> None:
    data = {name: value for name, value in EVENT_EXAMPLE["data"].items() if name != "occurred_at"}
    order = read({**EVENT_EXAMPLE, "time": "2018-12-04T01:00:00Z", "data": data})
    assert isinstance(order, Order)
    assert isinstance(order.command, CheckIn)
    assert order.command.occurred_at == 1543885200
    given = read({**EVENT_EXAMPLE, "time": "2018-12-04T03:00:00Z"})
    assert isinstance(given, Order)
    assert given.command == order.command  # what data says comes first


def test_extension_attributes_are_accepted() -> None:
    event = {**EVENT_EXAMPLE, "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "subject": "x"}
    assert isinstance(read(event), Order)


def test_every_command_has_a_type_of_event_and_the_examples_are_events() -> None:
    assert set(COMMAND_OF_TYPE.values()) == set(COMMANDS.values())
    orders = [read(event) for event in EVENTS_EXAMPLE]
    assert [order.command.TYPE for order in orders if isinstance(order, Order)] == ["check-in", "check-out"]


def test_every_type_of_event_is_described_with_its_data_and_an_example(served: Served) -> None:
    description = served.client.get("/openapi.json").json()
    schemas = description["components"]["schemas"]
    mapping = schemas["CloudEvent"]["discriminator"]["mapping"]
    assert set(mapping) == set(COMMAND_OF_TYPE)
    examples = description["paths"]["/v1/events"]["post"]["requestBody"]["content"][EVENT]["examples"]
    for kind, command in COMMAND_OF_TYPE.items():
        schema = schemas[mapping[kind].rpartition("/")[2]]
        assert schema["properties"]["type"]["const"] == kind
        assert schema["properties"]["data"]["$ref"].rpartition("/")[2] == command.__name__
        assert command.__name__ in schemas
        assert isinstance(read(examples[command.TYPE]["value"], "person:staff"), Order)
