"""Events with a field given twice: however it is written, it is refused, and nothing else is.

A plain parser, which keeps every pair, says whether a body has one.
"""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from api.messages.cloud_events import COMMAND_OF_TYPE, event_type, read_event
from api.messages.examples import EXAMPLES
from api.messages.problems import Fault
from ledger.aggregates import Order
from ledger.deciding.base import Sender
from tests.support.examples import examples

SENDER = Sender.of_operator("person:p")
SPACES = st.sampled_from(["", "", "", " ", "\n", "\t", "\r", " \r\n\t"])
TEXTS = st.one_of(st.sampled_from(['":', '\\":', '{"a":1,"a":2}', "😀", "\ufeff", "\\u0064ata"]), st.text(max_size=5))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2),
    max_leaves=4,
)
TOP = ("specversion", "id", "source", "type", "time", "subject", "datacontenttype", "dataschema", "imported", "data")


class Pairs(list[tuple[str, Any]]):
    """An object as a list of its fields, each with its value, also those that are given twice."""


def pairs_of(value: Any) -> Any:
    """Return a value whose objects are pairs."""
    if isinstance(value, dict):
        return Pairs((name, pairs_of(inner)) for name, inner in value.items())
    return [pairs_of(inner) for inner in value] if isinstance(value, list) else value


def objects_in(value: Any) -> list[Pairs]:
    """Return all objects in a value, the outer ones first."""
    if isinstance(value, Pairs):
        return [value, *(found for _, inner in value for found in objects_in(inner))]
    return [found for inner in value for found in objects_in(inner)] if isinstance(value, list) else []


def has_twice(text: str) -> bool:
    """Return whether an object of a JSON text gives a field twice."""
    found = json.loads(text, object_pairs_hook=Pairs)
    return any(len(dict(each)) < len(each) for each in objects_in(found))


def written(draw: st.DrawFn, value: Any) -> str:
    """Return a value as JSON, with white space and escapes wherever they may stand."""

    def space() -> str:
        return draw(SPACES)

    if isinstance(value, Pairs):
        fields = (
            f"{space()}{_string(draw, name)}{space()}:{space()}{written(draw, inner)}{space()}" for name, inner in value
        )
        return "{" + ",".join(fields) + "}"
    if isinstance(value, list):
        return "[" + ",".join(f"{space()}{written(draw, inner)}{space()}" for inner in value) + "]"
    return _string(draw, value) if isinstance(value, str) else json.dumps(value)


def _string(draw: st.DrawFn, text: str) -> str:
    """Return a string as JSON; some of its characters as escapes."""
    escaped = draw(st.sampled_from([0, 0, 0, 1, len(text)]))
    first = "".join(f"\\u{ord(each):04x}" if ord(each) < 0x10000 else each for each in text[:escaped])
    return '"' + first + json.dumps(text[escaped:], ensure_ascii=draw(st.booleans()))[1:]


@st.composite
def bodies(draw: st.DrawFn) -> str:
    """Return an event of any type, with extensions; often with a field given twice, of any object in it."""
    command = draw(st.sampled_from(sorted(EXAMPLES)))
    event: dict[str, Any] = {"specversion": "1.0", "id": "a-1", "source": "/stations/C01", "type": event_type(command)}
    data = dict(EXAMPLES[command])
    optional: dict[str, Any] = {"subject": "x", "datacontenttype": "application/json", "dataschema": "x:y"}
    optional |= {"time": draw(st.sampled_from(["2018-12-04T09:00:00+08:00", None])), "imported": draw(st.booleans())}
    chosen = draw(st.sets(st.sampled_from(sorted(optional))))
    if event.get("time") is None and "time" in chosen and optional["time"] and "occurred_at" in data:
        if draw(st.booleans()):
            del data["occurred_at"]
        elif draw(st.booleans()):
            data["occurred_at"] = None
    extensions = draw(st.dictionaries(TEXTS.filter(lambda name: name not in (*TOP, "data_base64")), VALUES, max_size=2))
    found = pairs_of(event | {name: optional[name] for name in chosen} | extensions | {"data": data})
    for _ in range(draw(st.integers(0, 2))):
        place = draw(st.sampled_from([each for each in objects_in(found) if each]))
        name, value = draw(st.sampled_from(place))
        again = value if draw(st.booleans()) else pairs_of(draw(VALUES))
        place.insert(draw(st.integers(0, len(place))), (name, again))
    bom = draw(st.sampled_from(["", "", "\ufeff"]))
    return bom + draw(SPACES) + written(draw, found) + draw(SPACES)


@settings(max_examples=examples(800))
@given(bodies())
def test_a_field_given_twice_is_refused_and_nothing_else(body: str) -> None:
    read = read_event(body.encode("utf-8", "surrogatepass"), SENDER)
    if has_twice(body.removeprefix("\ufeff")):
        assert isinstance(read, Fault)
        return
    assert isinstance(read, Order), read
    plain = json.loads(body.removeprefix("\ufeff"))
    data = plain["data"]
    if plain.get("time") and data.get("occurred_at") is None:
        data = {**data, "occurred_at": plain["time"]}
    fields = COMMAND_OF_TYPE[plain["type"]].model_fields
    data = {name: value for name, value in data.items() if name in fields}
    assert read.command == COMMAND_OF_TYPE[plain["type"]].model_validate_json(json.dumps(data))
