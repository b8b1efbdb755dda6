"""CloudEvents 1.0: the envelope in which stations send commands.

`source` and `id` name the command permanently, `type` is `org.service-hours.<TYPE>.v1`, `data` holds the command's
fields. `time` is used as `data.occurred_at` if the command has that field and the data omits it. The extension
attribute `imported` (true) marks an old record, which is never late.

The envelope is parsed by msgspec and the data by the command's model, each once, from the bytes received: half the
time of parsing JSON first (measured, docs/decisions/0018). Nothing here is recorded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal
from urllib.parse import unquote

import msgspec
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json

from api.messages.json_bodies import (
    BYTE_ORDER_MARK,
    fault_of_charset,
    fault_of_repetition,
    is_json,
    media_type_of,
)
from api.messages.problems import Fault, fault, fault_of_validation
from ledger.aggregates import COMMANDS, Command, Order, Sender
from ledger.names import COMMAND_ID_FORM, SOURCE_FORM, CommandId, Source
from ledger.sentences import form_of

EVENT = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"


def event_type(command_type: str) -> str:
    """Return the CloudEvents type of a type of command."""
    return f"org.service-hours.{command_type}.v1"


COMMAND_OF_TYPE: dict[str, type[Command]] = {event_type(name): command for name, command in COMMANDS.items()}
_VALIDATE_JSON: dict[str, Callable[[bytes], Command]] = {
    name: command.__pydantic_validator__.validate_json for name, command in COMMAND_OF_TYPE.items()
}
"""What `model_validate_json` calls: for a scan, calling it directly takes half the time."""
_WITH_INSTANT = {name for name, command in COMMAND_OF_TYPE.items() if "occurred_at" in command.model_fields}


class CloudEvent(BaseModel):
    """A CloudEvent. Attributes that are not listed are extensions: they are accepted and not stored."""

    model_config = ConfigDict(extra="allow", frozen=True)

    specversion: Literal["1.0"]
    id: CommandId
    source: Source
    type: str
    time: str | None = None
    subject: str | None = None
    datacontenttype: str | None = Field(
        default=None, description="A media type of JSON, `application/json` by default."
    )
    dataschema: str | None = None
    imported: bool = Field(default=False, strict=True)
    data: dict[str, Any]


# Python's `$` also matches before a line feed at the end.
_ID, _SOURCE = (form.removesuffix("$") + r"\Z" for form in (COMMAND_ID_FORM, SOURCE_FORM))


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """The attributes of an event, and its data unparsed: empty if there is none."""

    specversion: Literal["1.0"]
    id: Annotated[str, msgspec.Meta(pattern=_ID)]
    source: Annotated[str, msgspec.Meta(pattern=_SOURCE)]
    type: str
    time: str | None = None
    subject: str | None = None
    datacontenttype: str | None = None
    dataschema: str | None = None
    imported: bool = False
    data_base64: msgspec.Raw = msgspec.Raw()
    data: msgspec.Raw = msgspec.Raw()


_REQUIRED = ("specversion", "id", "source", "type", "data")


class _Named(msgspec.Struct):
    """The source and the id of an event, whatever their types."""

    source: Any = None
    id: Any = None


_envelopes = msgspec.json.Decoder(Envelope)
_arrays = msgspec.json.Decoder(list[msgspec.Raw])
_any_json = msgspec.json.Decoder(msgspec.Raw)
_names = msgspec.json.Decoder(_Named)
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def attributes_of(headers: Mapping[str, str]) -> dict[str, Any]:
    """Return the attributes of an event in binary mode: the headers `ce-…`."""
    attributes: dict[str, Any] = {
        name.removeprefix("ce-"): unquote(value) for name, value in headers.items() if name.startswith("ce-")
    }
    if attributes.get("imported") in {"true", "false"}:  # headers have no types
        attributes["imported"] = attributes["imported"] == "true"
    return attributes


def elements_of(body: bytes) -> list[msgspec.Raw]:
    """Return the elements of a batch, unparsed.

    Raises:
        msgspec.ValidationError: the body is JSON, but not an array.
        ValueError: the body is not JSON.
    """
    body = body.removeprefix(BYTE_ORDER_MARK)
    try:
        return _arrays.decode(body)
    except msgspec.ValidationError:
        _any_json.decode(body)  # raises if the body is not JSON at all
        raise


def _text(body: bytes | msgspec.Raw) -> str:
    """Return JSON as text: msgspec does not check that the bytes it skips are UTF-8."""
    return str(body, "utf-8").removeprefix("\ufeff")


def name_of(body: bytes | msgspec.Raw) -> tuple[str | None, str | None]:
    """Return the source and the id of an event, also of an invalid one; None for each that is not a string."""
    try:
        named = _names.decode(_text(body))
    except _UNREADABLE:
        return None, None
    source, name = (value if isinstance(value, str) else None for value in (named.source, named.id))
    return source, name


def read_event(body: bytes | msgspec.Raw, sender: Sender) -> Order | Fault:
    """Parse an event; return the sender's order, or what is wrong with the event."""
    try:
        text = _text(body)
        envelope = _envelopes.decode(text)
        order = _order(envelope, bytes(envelope.data), sender)
        return fault_of_repetition(text, fields=_fields_read(envelope, order)) or order
    except msgspec.ValidationError as error:
        return _fault_of_json(text) or _fault_of_envelope(error)
    except _UNREADABLE as error:
        return _malformed(error)


def _fields_read(envelope: Envelope, order: Order | Fault) -> int | None:
    """Return how many fields of an event were certainly read, its data's included; None if it was not read."""
    if isinstance(order, Fault):
        return None
    optional = (envelope.time, envelope.subject, envelope.datacontenttype, envelope.dataschema)
    attributes = len(_REQUIRED) + len(optional) - optional.count(None) + envelope.imported
    has_instant = envelope.time is not None and envelope.type in _WITH_INSTANT  # its time may be that of the data
    return attributes + len(order.command.model_fields_set) - has_instant


def read_binary(attributes: Mapping[str, Any], data: bytes, sender: Sender) -> Order | Fault:
    """Parse an event whose attributes were sent apart from its data."""
    try:
        text = _text(data)
        event = {**attributes, "data": _any_json.decode(text)}
        if "data_base64" in event:
            event["data_base64"] = event["data"]  # any JSON value will do: it is refused
        envelope = msgspec.convert(event, Envelope)
        if repeated := fault_of_repetition(text, prefix="data."):
            return repeated
    except msgspec.ValidationError as error:
        return _fault_of_envelope(error)
    except _UNREADABLE as error:
        return _malformed(error)
    return _order(envelope, bytes(envelope.data), sender)


def _order(envelope: Envelope, data: bytes, sender: Sender) -> Order | Fault:
    command_type = COMMAND_OF_TYPE.get(envelope.type)
    if command_type is None:
        remedy = f"use a type such as {event_type('check-in')} (see /docs)"
        return fault("invalid", f"type is not an event type of this ledger; {remedy}", field="type", remedy=remedy)
    if wrong := _fault_of_data(envelope, data):
        return wrong
    try:
        if envelope.time is not None and envelope.type in _WITH_INSTANT:
            command = command_type.model_validate(_with_instant(data, envelope.time))
        else:
            command = _VALIDATE_JSON[envelope.type](data)
    except ValidationError as error:
        return fault_of_validation(error.errors(), prefix="data.")
    except ValueError as error:
        return _malformed(error)
    return _named(envelope, command, sender)


def _fault_of_data(envelope: Envelope, data: bytes) -> Fault | None:
    """Return a fault unless there are data, and their type is JSON in UTF-8, however it is written."""
    written = envelope.datacontenttype
    if written is not None and written != "application/json":
        if not is_json(media_type_of(written)):
            remedy = "write application/json, and send data as JSON"
            sentence = f"datacontenttype is {written[:40]!r}, which is not JSON; {remedy}"
            return fault("invalid", sentence, field="datacontenttype", remedy=remedy)
        if wrong := fault_of_charset(written, "datacontenttype"):
            return wrong
    if bytes(envelope.data_base64):
        sentence = "data_base64 is not supported; send the fields as JSON in data"
        return fault("invalid", sentence, field="data_base64")
    return None if data else fault("invalid", "data is missing; add it", field="data", remedy="add it")


def _named(envelope: Envelope, command: Command, sender: Sender) -> Order | Fault:
    try:
        return sender.order(command, source=envelope.source, id=envelope.id, imported=envelope.imported)
    except ValidationError as error:
        return fault_of_validation(error.errors())


def _with_instant(data: bytes, time: str) -> object:
    """Return an event's data, with its time as the instant if the data omits it."""
    fields = from_json(data, allow_inf_nan=False)
    if isinstance(fields, dict) and fields.get("occurred_at") is None:
        return {**fields, "occurred_at": time}
    return fields


# --- what is wrong with an envelope ----------------------------------------------------------------------------------

_PATH = re.compile(r" - at `\$\.(\w+)`$")
_MISSING = re.compile(r"Object missing required field `(\w+)`")
_FORMS = {"id": COMMAND_ID_FORM, "source": SOURCE_FORM}
_SENTENCES = {
    "specversion": "should be '1.0'",
    "imported": "should be a valid boolean",
}


def _fault_of_json(text: str) -> Fault | None:
    """Return a fault if a text is not JSON: an invalid attribute may be reported before the syntax error behind it."""
    try:
        _any_json.decode(text)
    except _UNREADABLE as error:
        return _malformed(error)
    return None


def _fault_of_envelope(error: msgspec.ValidationError) -> Fault:
    """Return msgspec's error about an envelope as a fault that names the attribute."""
    message = str(error)
    if missing := _MISSING.match(message):
        return fault("invalid", f"{missing[1]} is missing; add it", field=missing[1], remedy="add it")
    place = _PATH.search(message)
    if place is None:
        return fault("invalid", "the event is not a JSON object; send a CloudEvent")
    field = place[1]
    if field in _FORMS and "matching" in message:
        sentence = f"is not allowed: {form_of(_FORMS[field])}; correct it"
    else:
        sentence = _SENTENCES.get(field, "should be a valid string")
    return fault("invalid", f"{field} {sentence}", field=field, remedy=sentence.partition("; ")[2] or None)


def _malformed(error: Exception) -> Fault:
    message = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
    return fault("malformed", f"the event is not JSON: {message}; send JSON as UTF-8")
