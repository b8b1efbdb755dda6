"""Events as stored bytes: a topic, and compact JSON with the fields in their order and defaults left out.

The bytes are what proofs are made over, so they are written once and never rewritten. An older shape keeps its topic
for ever; methods `upcast_v0_v1` and so on of its class lead the stored fields to the next version when the event is
read, as the eventsourcing library has it.

Errors: `UnknownTopicError` for a topic this program does not know (a newer ledger, perhaps); msgspec's `DecodeError`, a
`ValueError`, for bytes that are no JSON, and its subclass `ValidationError` for those that do not fit their topic.
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
    """Return what `model_dump_json(exclude_defaults=True)` gives, without its detour over text."""
    return model.__pydantic_serializer__.to_json(model, exclude_defaults=True, exclude=exclude)


_encoder = msgspec.json.Encoder()
_DECODERS: dict[str, msgspec.json.Decoder[Event]] = {
    topic: msgspec.json.Decoder(event) for topic, event in EVENTS.items()
}


def encode(event: Event) -> tuple[str, bytes]:
    """Return the topic and the bytes to store."""
    return event.TOPIC, _encoder.encode(event)


def decode(topic: str, state: bytes) -> Event:
    """Return the event in its present shape, whatever version it was stored in."""
    if decoder := _DECODERS.get(topic):
        return decoder.decode(state)
    known, version = _newer(topic)
    fields: dict[str, Any] = json.loads(state)
    while upcast := getattr(known, f"upcast_v{version}_v{version + 1}", None):
        upcast(fields)
        version += 1
    return msgspec.convert(fields, known)


def _newer(topic: str) -> tuple[type[Event], int]:
    """Return the present class of an older topic, and the version the topic names.

    The library's `resolve_topic` would import a module that a topic names: stored bytes must not choose what is run.
    """
    name, _, number = topic.rpartition(".v")
    for event in EVENTS.values():
        same = event.TOPIC.rpartition(".v")[0] == name and number.isdecimal()
        if same and hasattr(event, f"upcast_v{number}_v{int(number) + 1}"):
            return event, int(number)
    raise UnknownTopicError(f"topic {topic!r} is not known to this version of the program; upgrade it")


class CompactJson(Transcoder):
    """Events as compact JSON, for the library."""

    def encode(self, obj: Event) -> bytes:
        """Return the bytes to store."""
        return encode(obj)[1]

    def decode(self, data: bytes) -> dict[str, Any]:
        """Return the stored fields."""
        fields: dict[str, Any] = json.loads(data)
        return fields


class EventMapper(Mapper[UUID]):
    """The library's mapper between events and what is stored."""

    def to_stored_event(self, domain_event: DomainEventProtocol[UUID]) -> StoredEvent:
        """Return an event, which knows its version, as it is stored."""
        assert isinstance(domain_event, Event)  # noqa: S101 - the ledger has no others
        state = self.transcoder.encode(domain_event)
        return StoredEvent(domain_event.stream_id, domain_event.originator_version, domain_event.TOPIC, state)

    def to_domain_event(self, stored_event: StoredEvent) -> DomainEventProtocol[UUID]:
        """Return a stored event as it is known today."""
        return decode(stored_event.topic, stored_event.state).at_version(stored_event.originator_version)
