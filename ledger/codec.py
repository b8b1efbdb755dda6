"""Events as stored bytes: a topic, and compact JSON with the fields in their order and defaults left out.

The bytes are what proofs are made over, so they are written once and never rewritten. An older shape keeps its topic
for ever; its upcaster turns the stored fields into those of the next version when the event is read.

Errors: `UnknownTopicError` for a topic this program does not know (a newer ledger, perhaps); pydantic's
`ValidationError` for bytes that do not fit their topic.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from ledger.events import EVENTS, Event

Fields = dict[str, Any]

EVENT_BY_TOPIC: dict[str, type[Event]] = {event.TOPIC: event for event in EVENTS}


class UnknownTopicError(LookupError):
    """An event whose topic this program does not know."""


def encode(event: Event) -> tuple[str, bytes]:
    """Return the topic and the bytes to store."""
    return event.TOPIC, compact_json(event)


def compact_json(model: BaseModel, exclude: set[str] | None = None) -> bytes:
    """Return what `model_dump_json(exclude_defaults=True)` gives, without its detour over text."""
    return model.__pydantic_serializer__.to_json(model, exclude_defaults=True, exclude=exclude)


def decode(topic: str, state: bytes) -> Event:
    """Return the event in its present shape, whatever version it was stored in."""
    if known := EVENT_BY_TOPIC.get(topic):
        return known.model_validate_json(state)
    fields: Fields = json.loads(state)
    while topic in UPCASTERS:
        topic, upcast = UPCASTERS[topic]
        fields = upcast(fields)
    if topic not in EVENT_BY_TOPIC:
        raise UnknownTopicError(f"topic {topic!r} is not known to this version of the program; upgrade it")
    return EVENT_BY_TOPIC[topic].model_validate_json(json.dumps(fields))


def _checked_in_from_v0(fields: Fields) -> Fields:
    """The pilot wrote `user` for the volunteer and `time` as ISO 8601 text."""
    fields["volunteer"] = fields.pop("user")
    fields["occurred_at"] = int(datetime.fromisoformat(fields.pop("time")).timestamp())
    return fields


UPCASTERS: dict[str, tuple[str, Callable[[Fields], Fields]]] = {
    "checked-in.v0": ("checked-in.v1", _checked_in_from_v0),
}
"""Old topic: the next topic, and the function between them."""
