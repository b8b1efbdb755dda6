"""The stored form of events: a topic, and compact JSON with the fields in order and without default values.

Stored bytes are never rewritten, because proofs are made over them. An older form keeps its topic; methods
`upcast_v0_v1` and so on of the current class convert the stored fields to the next version on reading, by the
convention of the eventsourcing library.

Errors: `UnknownTopicError` for a topic that this program does not know (perhaps of a newer version); msgspec's
`DecodeError`, a `ValueError`, for bytes that are not JSON, and its subclass `ValidationError` for fields that do not
match their topic.
"""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import msgspec
from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import Mapper, StoredEvent, Transcoder
from pydantic import BaseModel

from ledger.aggregates import EVENTS, Event


class UnknownTopicError(LookupError):
    """An event whose topic this program does not know."""


def compact_json(model: BaseModel, exclude: set[str] | None = None) -> bytes:
    """Return `model_dump_json(exclude_defaults=True)` as bytes, without the conversion to text."""
    return model.__pydantic_serializer__.to_json(model, exclude_defaults=True, exclude=exclude)


_encoder = msgspec.json.Encoder()
_DECODERS: dict[str, msgspec.json.Decoder[Event]] = {
    topic: msgspec.json.Decoder(event) for topic, event in EVENTS.items()
}


def encode(event: Event) -> tuple[str, bytes]:
    """Return the topic and the bytes to store."""
    return event.TOPIC, _encoder.encode(event)


def decode(topic: str, state: bytes) -> Event:
    """Return the event in its current form, whatever the stored version."""
    if decoder := _DECODERS.get(topic):
        return decoder.decode(state)
    current, version = _current_class(topic)
    fields: dict[str, Any] = json.loads(state)
    while upcast := getattr(current, f"upcast_v{version}_v{version + 1}", None):
        upcast(fields)
        version += 1
    return msgspec.convert(fields, current)


def _current_class(topic: str) -> tuple[type[Event], int]:
    """Return the current class for an older topic, and the version in the topic.

    The library's `resolve_topic` is not used: it imports the module that a topic names, and stored bytes must not
    select code.
    """
    name, _, number = topic.rpartition(".v")
    for event in EVENTS.values():
        same_name = event.TOPIC.rpartition(".v")[0] == name and number.isdecimal()
        if same_name and hasattr(event, f"upcast_v{number}_v{int(number) + 1}"):
            return event, int(number)
    raise UnknownTopicError(f"topic {topic!r} is not known to this version of the program; upgrade it")


class CompactJson(Transcoder):
    """The library's transcoder for compact JSON."""

    def encode(self, obj: Event) -> bytes:
        """Return the bytes to store."""
        return encode(obj)[1]

    def decode(self, data: bytes) -> dict[str, Any]:
        """Return the stored fields."""
        fields: dict[str, Any] = json.loads(data)
        return fields


class EventMapper(Mapper[UUID]):
    """The library's mapper between events and their stored form."""

    def to_stored_event(self, domain_event: DomainEventProtocol[UUID]) -> StoredEvent:
        """Return the stored form of an event that has a version."""
        assert isinstance(domain_event, Event)  # noqa: S101 - the ledger has no others
        state = self.transcoder.encode(domain_event)
        return StoredEvent(domain_event.stream_id, domain_event.originator_version, domain_event.TOPIC, state)

    def to_domain_event(self, stored_event: StoredEvent) -> DomainEventProtocol[UUID]:
        """Return the event of a stored event, in its current form."""
        return decode(stored_event.topic, stored_event.state).at_version(stored_event.originator_version)
