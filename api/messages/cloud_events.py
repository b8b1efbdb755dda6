"""CloudEvents 1.0: the envelope in which stations send commands.

`source` and `id` name the command for ever, `type` is `org.service-hours.<TYPE>.v1`, `data` holds the command's fields.
`time` stands for `data.occurred_at` where a command has that field and leaves it out. The extension attribute
`imported` (true) marks an old record, which is never late.

The envelope is read by msgspec and its data by the command's model, each once, from the bytes that were sent: half the
time of parsing JSON first (measured, docs/decisions/0018). Reading only: nothing here is recorded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import unquote

import msgspec
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json

from api.messages.problems import Fault, fault, fault_of_validation
from ledger.aggregates import COMMANDS, Command, Order
from ledger.names import COMMAND_ID_FORM, SOURCE_FORM, CommandId, Source

EVENT = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""Some programs begin a file with it."""


def event_type(command_type: str) -> str:
    """Return the CloudEvents type of a type of command."""
    return f"org.service-hours.{command_type}.v1"


COMMAND_OF_TYPE: dict[str, type[Command]] = {event_type(name): command for name, command in COMMANDS.items()}
_READ: dict[str, Callable[[bytes], Command]] = {
    name: command.__pydantic_validator__.validate_json for name, command in COMMAND_OF_TYPE.items()
}
"""What `model_validate_json` calls: for a scan, that costs as much again."""
_WITH_INSTANT = {name for name, command in COMMAND_OF_TYPE.items() if "occurred_at" in command.model_fields}


class CloudEvent(BaseModel):
    """One event, for the service's description. Attributes that are not named here are extensions: they are accepted
    and not kept.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    specversion: Literal["1.0"]
    id: CommandId
    source: Source
    type: str
    time: str | None = None
    subject: str | None = None
    datacontenttype: Literal["application/json"] | None = None
    dataschema: str | None = None
    imported: bool = Field(default=False, strict=True)
    data: dict[str, Any]


# Python's `$` also stands before a line feed at the end.
_ID, _SOURCE = (form.removesuffix("$") + r"\Z" for form in (COMMAND_ID_FORM, SOURCE_FORM))


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """The attributes of an event, and its data unread, empty where there are none."""

    specversion: Literal["1.0"]
    id: Annotated[str, msgspec.Meta(pattern=_ID)]
    source: Annotated[str, msgspec.Meta(pattern=_SOURCE)]
    type: str
    time: str | None = None
    subject: str | None = None
    datacontenttype: Literal["application/json"] | None = None
    dataschema: str | None = None
    imported: bool = False
    data_base64: msgspec.Raw = msgspec.Raw()
    data: msgspec.Raw = msgspec.Raw()


class _Named(msgspec.Struct):
    """What an event is called, whatever else it says."""

    source: Any = None
    id: Any = None


_envelopes = msgspec.json.Decoder(Envelope)
_arrays = msgspec.json.Decoder(list[msgspec.Raw])
_any_json = msgspec.json.Decoder(msgspec.Raw)
_names = msgspec.json.Decoder(_Named)
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class Sender(NamedTuple):
    """Who gives events, with which key, and whose key it is where it is a volunteer's."""

    by: str
    key: int | None = None
    volunteer: str | None = None


def attributes_of(headers: Mapping[str, str]) -> dict[str, Any]:
    """Return the attributes of an event that are headers `ce-…`, as the binary mode has them."""
    attributes: dict[str, Any] = {
        name.removeprefix("ce-"): unquote(value) for name, value in headers.items() if name.startswith("ce-")
    }
    if attributes.get("imported") in {"true", "false"}:  # headers have no types
        attributes["imported"] = attributes["imported"] == "true"
    return attributes


def elements_of(body: bytes) -> list[msgspec.Raw]:
    """Return the elements of a batch, unread.

    Raises:
        ValueError: the body is no JSON array; the message says what it is.
    """
    body = body.removeprefix(BYTE_ORDER_MARK)
    try:
        return _arrays.decode(body)
    except msgspec.ValidationError:
        _any_json.decode(body)  # what is no JSON at all is told as that
        raise


def _text(body: bytes | msgspec.Raw) -> str:
    """Return JSON as text: what msgspec skips in bytes, it does not hold to be UTF-8."""
    return str(body, "utf-8").removeprefix("\ufeff")


def name_of(body: bytes | msgspec.Raw) -> tuple[str | None, str | None]:
    """Return the source and the id of an event, also of one that is not right, as far as it has any."""
    try:
        named = _names.decode(_text(body))
    except _UNREADABLE:
        return None, None
    source, name = (value if isinstance(value, str) else None for value in (named.source, named.id))
    return source, name


def read_event(body: bytes | msgspec.Raw, giver: Sender) -> Order | Fault:
    """Read an event as an order of somebody, or say what is wrong with it."""
    try:
        text = _text(body)
        envelope = _envelopes.decode(text)
    except msgspec.ValidationError as error:
        return _fault_of_json(text) or _fault_of_envelope(error)
    except _UNREADABLE as error:
        return _malformed(error)
    return _order(envelope, bytes(envelope.data), giver)


def read_binary(attributes: Mapping[str, Any], data: bytes, giver: Sender) -> Order | Fault:
    """Read an event whose attributes came apart from its data."""
    try:
        whole = {**attributes, "data": _any_json.decode(_text(data))}
        if "data_base64" in whole:
            whole["data_base64"] = whole["data"]  # whatever it is, it is not taken
        envelope = msgspec.convert(whole, Envelope)
    except msgspec.ValidationError as error:
        return _fault_of_envelope(error)
    except _UNREADABLE as error:
        return _malformed(error)
    return _order(envelope, bytes(envelope.data), giver)


def _order(envelope: Envelope, data: bytes, giver: Sender) -> Order | Fault:
    command_type = COMMAND_OF_TYPE.get(envelope.type)
    if command_type is None:
        sentence = f"type is not a type of event this ledger takes; write {event_type('check-in')}, say (see /docs)"
        return fault("invalid", sentence, field="type", remedy=f"write {event_type('check-in')}, say (see /docs)")
    if bytes(envelope.data_base64):
        return fault("invalid", "data_base64 is not taken here; send the fields as JSON in data", field="data_base64")
    if not data:
        return fault("invalid", "data is missing; add it", field="data", remedy="add it")
    try:
        if envelope.time is not None and envelope.type in _WITH_INSTANT:
            command = command_type.model_validate(_with_instant(data, envelope.time))
        else:
            command = _READ[envelope.type](data)
    except ValidationError as error:
        return fault_of_validation(error.errors(), prefix="data.")
    except ValueError as error:
        return _malformed(error)
    return Order(command, envelope.source, envelope.id, giver.by, envelope.imported, giver.key, giver.volunteer)


def _with_instant(data: bytes, time: str) -> object:
    """Return an event's data, in which its time stands for the instant that they leave out."""
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
    "datacontenttype": "should be 'application/json'",
    "imported": "should be a valid boolean",
}


def _fault_of_json(text: str) -> Fault | None:
    """Say where a text is not JSON, if so: an attribute may be found wrong before the reading came so far."""
    try:
        _any_json.decode(text)
    except _UNREADABLE as error:
        return _malformed(error)
    return None


def _fault_of_envelope(error: msgspec.ValidationError) -> Fault:
    """Return what msgspec found wrong with an envelope, in one sentence that names the attribute."""
    message = str(error)
    if missing := _MISSING.match(message):
        return fault("invalid", f"{missing[1]} is missing; add it", field=missing[1], remedy="add it")
    place = _PATH.search(message)
    if place is None:
        return fault("invalid", "the event is not a JSON object; send a CloudEvent")
    field = place[1]
    if field in _FORMS and "matching" in message:
        sentence = f"does not have the form {_FORMS[field]}; correct it"
    else:
        sentence = _SENTENCES.get(field, "should be a valid string")
    return fault("invalid", f"{field} {sentence}", field=field, remedy=sentence.partition("; ")[2] or None)


def _malformed(error: Exception) -> Fault:
    message = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
    return fault("malformed", f"the event is not JSON: {message}; send JSON as UTF-8")
