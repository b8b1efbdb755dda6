"""The same content is taken, or refused, whichever way it is sent: the four modes of events, and plain commands."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.access.roles import Role
from api.http.routes.writes.event_stream import NDJSON
from api.messages.cloud_events import BATCH, EVENT
from api.messages.json_bodies import BYTE_ORDER_MARK, fault_of_repetition
from ledger.names import Position
from tests.support.api.serving import STATION, Served

pytest_plugins = ["tests.support.api.fixtures"]

AT = "2018-12-04T09:00:00+08:00"
MODES = ["structured", "binary", "batch", "stream", "command"]


def send(
    served: Served,
    mode: str,
    data: str,
    *,
    parameters: str = "",
    mark: bytes = b"",
    encoding: str = "identity",
    **attributes: str,
) -> dict[str, Any]:
    """Send a check-in whose data are this text, in one of the modes; return its answer."""
    event = served.event("check-in")
    del event["data"]
    event |= attributes
    headers = served.headers(Role.STATION)
    if mode == "command":
        address, media_type, body = "/v1/commands/check-in", "application/json", data
    elif mode == "binary":
        address, media_type, body = "/v1/events", "application/json", data
        headers |= {f"ce-{name}": value for name, value in event.items()}
    else:
        address, media_type = "/v1/events", {"structured": EVENT, "batch": BATCH, "stream": NDJSON}[mode]
        text = json.dumps(event)[:-1] + f', "data": {data}}}'
        body = f"[{text}]" if mode == "batch" else text
    headers |= {"Content-Type": media_type + parameters, "Content-Encoding": encoding}
    told = served.client.post(address, content=mark + body.encode(), headers=headers)
    answer: dict[str, Any] = json.loads(told.text)
    return answer["answers"][0] if "answers" in answer else answer


def data(served: Served, at: object = AT) -> str:
    return json.dumps({"volunteer": served.volunteer(), "station": STATION, "occurred_at": at})


def recorded_at(served: Served, answer: dict[str, Any]) -> int:
    """Return the instant of the event that an answer names."""
    assert "position" in answer, answer
    (stored,) = served.ledger.log.read(Position(answer["position"] - 1), 1)
    instant: int = json.loads(stored.state)["occurred_at"]
    return instant


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("mark", [b"", BYTE_ORDER_MARK])
@pytest.mark.parametrize("parameters", ["", "; charset=utf-8", ';charset="UTF-8"', "; profile=x; charset=utf8"])
def test_parameters_of_the_media_type_and_a_byte_order_mark_change_nothing(
    served: Served, mode: str, mark: bytes, parameters: str
) -> None:
    assert recorded_at(served, send(served, mode, data(served), parameters=parameters, mark=mark)) == 1543885200


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("charset", ["utf-16", "latin-1", "GB18030"])
def test_another_charset_is_refused_by_its_name(served: Served, mode: str, charset: str) -> None:
    answer = send(served, mode, data(served), parameters=f"; charset={charset}")
    assert (answer["status"], answer["rejection"], answer["field"]) == (415, "wrong-media-type", "Content-Type")
    assert answer["detail"] == (f"Content-Type names the charset {charset.lower()}, which is not supported; send UTF-8")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("encoding", ["gzip", "br"])
def test_a_compressed_body_is_refused_as_such(served: Served, mode: str, encoding: str) -> None:
    answer = send(served, mode, data(served), encoding=encoding)
    assert (answer["status"], answer["rejection"], answer["field"]) == (415, "wrong-media-type", "Content-Encoding")


@pytest.mark.parametrize("mode", MODES)
def test_the_nil_uuid_names_no_shift(served: Served, mode: str) -> None:
    nil = f'{data(served)[:-1]}, "shift": "00000000-0000-0000-0000-000000000000"}}'
    answer = send(served, mode, nil)
    assert (answer["rejection"], answer["field"]) == ("invalid", "shift" if mode == "command" else "data.shift")
    assert "nil UUID" in answer["detail"]


@pytest.mark.parametrize(
    "written",
    ["application/json; charset=utf-8", "application/json;charset=UTF-8", "Application/JSON", "application/x+json"],
)
@pytest.mark.parametrize("mode", ["structured", "batch", "stream", "binary"])
def test_the_type_of_data_may_be_any_json_in_utf_8(served: Served, mode: str, written: str) -> None:
    assert recorded_at(served, send(served, mode, data(served), datacontenttype=written)) == 1543885200


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ("application/json; charset=utf-16", "datacontenttype names the charset utf-16, which is not supported"),
        ("text/xml", "datacontenttype is 'text/xml', which is not JSON"),
        ("", "datacontenttype is '', which is not JSON"),
    ],
)
@pytest.mark.parametrize("mode", ["structured", "batch", "stream", "binary"])
def test_data_of_another_type_are_refused(served: Served, mode: str, written: str, sentence: str) -> None:
    answer = send(served, mode, data(served), datacontenttype=written)
    assert (answer["rejection"], answer["field"]) == ("invalid", "datacontenttype")
    assert answer["detail"].startswith(sentence)


def test_a_line_that_holds_only_a_byte_order_mark_is_empty(served: Served) -> None:
    line = json.dumps(served.event("check-in", volunteer=served.volunteer(), station=STATION, occurred_at=AT)).encode()
    headers = served.headers(Role.STATION) | {"Content-Type": NDJSON}
    content = BYTE_ORDER_MARK + b"\r\n" + line + b"\n" + BYTE_ORDER_MARK
    (answer,) = served.client.post("/v1/events", content=content, headers=headers).text.splitlines()
    assert json.loads(answer)["outcome"] == "accepted"


@pytest.mark.parametrize("between", [b"", b" ", b", "])
def test_a_stream_that_lost_its_line_feeds_is_told_how(served: Served, between: bytes) -> None:
    event = served.event("check-in", volunteer=served.volunteer(), station=STATION, occurred_at=AT)
    headers = served.headers(Role.STATION) | {"Content-Type": NDJSON}
    content = between.join([json.dumps(event).encode()] * 2)
    (answer,) = served.client.post("/v1/events", content=content, headers=headers).text.splitlines()
    assert "--data-binary" in json.loads(answer)["detail"]


# --- instants -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("written", "instant"),
    [
        ("2018-12-04t01:00:00z", 1543885200),
        ("2018-12-04T01:00:00.999999999Z", 1543885200),
        (1543885200.5, 1543885200),
        ("2016-12-31T23:59:60Z", 1483228799),
        ("2016-12-31t23:59:60.25z", 1483228799),
    ],
)
def test_every_instant_of_rfc_3339_is_read(served: Served, mode: str, written: object, instant: int) -> None:
    answer = send(served, mode, data(served, written))
    assert recorded_at(served, answer) == instant
    notes = [f"{written} is a leap second; it was read as the second before"] if ":60" in str(written) else None
    assert answer.get("notes") == notes


@pytest.mark.parametrize("mode", ["structured", "batch", "stream", "binary"])
def test_the_time_of_an_event_may_be_a_leap_second(served: Served, mode: str) -> None:
    without = json.dumps({"volunteer": served.volunteer(), "station": STATION})
    answer = send(served, mode, without, time="2016-12-31T23:59:60Z")
    assert recorded_at(served, answer) == 1483228799
    assert answer["notes"] == ["2016-12-31T23:59:60Z is a leap second; it was read as the second before"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("written", "told"),
    [
        (1543885200000, "is 1543885200000, which looks like milliseconds; write seconds since 1970, here 1543885200,"),
        ("1543885200", "is the text '1543885200'; write a number without quotation marks, or text such as"),
        ("2018-12-04T09:00:00", "has no zone; write an instant such as"),
        (0, "is 0, which lies outside of the years 2000 to 2099; write seconds since 1970, or text such as"),
    ],
)
def test_what_is_no_instant_is_refused_with_what_was_sent(
    served: Served, mode: str, written: object, told: str
) -> None:
    answer = send(served, mode, data(served, written))
    field = "occurred_at" if mode == "command" else "data.occurred_at"
    assert (answer["rejection"], answer["field"], answer["retry"]) == ("invalid", field, False)
    assert answer["detail"].startswith(f"{field} {told}")
    assert answer["detail"].endswith("2018-12-04T09:00:00+08:00")


@pytest.mark.parametrize("mode", MODES)
def test_a_time_in_the_future_is_told_as_local_time(served: Served, mode: str) -> None:
    answer = send(served, mode, data(served, 4102444799))
    assert (answer["rejection"], answer["retry"]) == ("future", True)
    assert answer["detail"].startswith("occurred_at 2100-01-01 07:59:59 +08:00: lies in the future")


def test_an_entry_that_ends_too_early_is_told_in_local_time(served: Served) -> None:
    entry = {"volunteer": served.volunteer(), "station": STATION, "evidence": "paper"}
    fields = entry | {"check_in": 1543885200, "check_out": 1543881600}
    told = served.command("request-act", request="too-early", act="attest-shift", fields=fields).json()
    assert told["rejection"] == "ends-before-it-begins"
    assert told["detail"] == (
        "check_out 2018-12-04 08:00:00 +08:00 (check_in 2018-12-04 09:00:00 +08:00): "
        "the check-out must be after the check-in; correct one of the two"
    )


# --- what is given twice --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("more", "place"),
    [
        ('"occurred_at": 1543885200', "occurred_at"),
        ('"occurred_at" : 1543885200', "occurred_at"),
        ('"occurred_\\u0061t": 1543885200', "occurred_at"),
        ('"more": {"deep": [7, {"a": 1, "b": ":", "a": 2}]}', "more.deep.1.a"),
    ],
)
def test_a_field_given_twice_is_refused(served: Served, mode: str, more: str, place: str) -> None:
    answer = send(served, mode, f"{data(served)[:-1]}, {more}}}")
    field = place if mode == "command" else f"data.{place}"
    assert (answer["rejection"], answer["field"], answer["retry"]) == ("invalid", field, False)
    assert answer["detail"] == f"{field} is given twice; give it once"


@pytest.mark.parametrize("media_type", [EVENT, BATCH, NDJSON])
def test_an_attribute_given_twice_is_refused(served: Served, media_type: str) -> None:
    event = served.event("check-in", volunteer=served.volunteer(), station=STATION, occurred_at=AT)
    text = json.dumps(event)[:-1] + ', "id": "another"}'
    headers = served.headers(Role.STATION) | {"Content-Type": media_type}
    body = f"[{text}]" if media_type == BATCH else text
    answer = json.loads(served.client.post("/v1/events", content=body, headers=headers).text)
    answer = answer["answers"][0] if media_type == BATCH else answer
    assert (answer["rejection"], answer["field"]) == ("invalid", "id")


@pytest.mark.parametrize("name", ["ce-id", "ce-time", "Idempotency-Key"])
def test_a_header_given_twice_is_refused(served: Served, name: str) -> None:
    event = served.event("check-in")
    body = data(served)
    headers = list((served.headers(Role.STATION) | {"Content-Type": "application/json"}).items())
    if name != "Idempotency-Key":
        headers += [(f"ce-{key}", value) for key, value in event.items() if key not in {"data", name[3:]}]
    headers += [(name, "a"), (name, "b")]
    address = "/v1/commands/check-in" if name == "Idempotency-Key" else "/v1/events"
    told = served.client.post(address, content=body, headers=headers).json()
    assert (told["rejection"], told["field"], told["detail"]) == (
        "invalid",
        name,
        f"{name} is given twice; give it once",
    )


def test_an_option_given_twice_is_refused(served: Served) -> None:
    event = served.event("check-in", volunteer=served.volunteer(), station=STATION, occurred_at=AT)
    headers = served.headers(Role.STATION) | {"Content-Type": EVENT}
    told = served.client.post("/v1/events?dry_run=true&dry_run=false", content=json.dumps(event), headers=headers)
    assert (told.json()["rejection"], told.json()["field"]) == ("invalid", "dry_run")


@pytest.mark.parametrize(
    ("address", "body"),
    [
        ("/v1/what-ifs", '{"a": {}, "b": {}, "a": {}}'),
        ("/v1/generations", '{"rules_version": 1, "a": 1, "a": 1}'),
        ("/v1/rules/candidates", '{"text": "", "a": 7, "a": 7}'),
        ("/v1/honors/star-1/announcements", '{"a": 1, "a": 2}'),
    ],
)
def test_every_address_that_takes_json_refuses_a_field_given_twice(served: Served, address: str, body: str) -> None:
    for role in Role:
        headers = served.headers(role) | {"Content-Type": "application/json"}
        told = served.client.post(address, content=body, headers=headers)
        if told.status_code != 403:
            break
    assert (told.status_code, told.json()["field"], told.json()["detail"]) == (
        422,
        "a",
        "a is given twice; give it once",
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text('":\\ a', max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('":\\ a', max_size=3), inner, max_size=3),
    max_leaves=12,
)


@given(value=JSON, spaced=st.booleans())
def test_no_value_that_is_given_once_is_taken_for_two(value: object, spaced: bool) -> None:  # noqa: FBT001
    assert fault_of_repetition(json.dumps(value, separators=(" , ", " : ") if spaced else (",", ":"))) is None


@given(inner=JSON, spaced=st.booleans(), name=st.text('":\\ a', max_size=3))
def test_any_field_given_twice_is_found(inner: object, spaced: bool, name: str) -> None:  # noqa: FBT001
    key, value, gap = json.dumps(name), json.dumps(inner), " " if spaced else ""
    fault = fault_of_repetition(f'[{value},{{"x":{{{key}{gap}:{value},{key}:7}}}}]')
    assert fault is not None
    assert fault.field == f"1.x.{name}"
