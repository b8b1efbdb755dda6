"""JSON bodies as all addresses take them: their media types, their encoding, and that no object names a field twice.

Two values of one field are ambiguous: parsers keep the first, the last or both. They are refused, at every depth.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from email.message import Message
from typing import Any

import msgspec

from api.messages.problems import Fault, fault

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""Some programs write it at the beginning of a file."""

_CHARSETS = {"utf-8", "utf8", "us-ascii", "ascii"}
"""The names under which UTF-8 and its subset are sent."""


def media_type_of(header: str) -> str:
    """Return the media type that a Content-Type header names, in lower case and without its parameters."""
    return header.partition(";")[0].strip().lower()


def is_json(media_type: str) -> bool:
    """Return whether a media type without parameters says JSON (RFC 6839): by its subtype or by its suffix."""
    return media_type == "application/json" or (media_type.startswith("application/") and media_type.endswith("+json"))


def fault_of_charset(header: str, field: str = "Content-Type") -> Fault | None:
    """Return a fault if a Content-Type names an encoding other than UTF-8, whatever its media type."""
    if ";" not in header:
        return None
    message = Message()
    message["content-type"] = header
    charset = message.get_content_charset()
    if charset is None or charset in _CHARSETS:
        return None
    remedy = "send UTF-8"
    sentence = f"{field} names the charset {charset[:40]}, which is not supported; {remedy}"
    return fault("wrong-media-type" if field == "Content-Type" else "invalid", sentence, field=field, remedy=remedy)


def fault_of_encoding(headers: Mapping[str, str]) -> Fault | None:
    """Return a fault if the headers say that a body is not UTF-8, or that it is compressed."""
    return fault_of_charset(headers.get("content-type", "")) or _fault_of_compression(
        headers.get("content-encoding", "")
    )


def _fault_of_compression(written: str) -> Fault | None:
    if written.strip().lower() in {"", "identity"}:
        return None
    remedy = "send the body without compression"
    sentence = f"Content-Encoding {written[:40]!r} is not supported; {remedy}"
    return fault("wrong-media-type", sentence, field="Content-Encoding", remedy=remedy)


def fault_of_repetition(text: str, *, fields: int | None = None, prefix: str = "") -> Fault | None:
    """Return a fault if an object in a JSON text names a field twice. What is not JSON is left to other readers.

    Args:
        fields: how many fields a reader of the text kept, of all its objects, if it counted them.
        prefix: the field that holds the text, with a dot.

    Raises:
        RecursionError: the text is nested too deeply.
    """
    if fields is not None and _names_at_most(text, fields):
        return None
    if _has_one_of_each(text):
        return None
    try:
        found = _decode(text)
    except ValueError:
        return None
    if not isinstance(found, _Twice):
        found = _twice_in(found)
    if found is None:
        return None
    field = prefix + found.place
    return fault("invalid", f"{field} is given twice; give it once", field=field, remedy="give it once")


_values = msgspec.json.Decoder()
_BEFORE_COLONS = (" :", "\n:", "\t:", "\r:")


def _names_at_most(text: str, fields: int) -> bool:
    """Return whether a JSON text certainly names no more fields than these, so that none is named twice.

    Each field that is written stands before `":`, unless there is white space between; so there are at least as many of
    these as fields written, and as many fields written as are kept.
    """
    return text.count('":') == fields and not any(space in text for space in _BEFORE_COLONS)


def _has_one_of_each(text: str) -> bool:
    """Return whether a JSON text certainly names no field twice. It takes some microseconds for an event."""
    try:
        value = _values.decode(text)
    except (ValueError, msgspec.MsgspecError):
        return False
    return _names_at_most(text, _fields_in(value))


def _fields_in(value: Any) -> int:
    """Return the number of fields of all objects in a value."""
    if type(value) is dict:
        number = len(value)
        for inner in value.values():
            if type(inner) is dict or type(inner) is list:
                number += _fields_in(inner)
        return number
    if type(value) is list:
        return sum(map(_fields_in, value))
    return 0


class _Twice:
    """Stands for an object in which a field is given twice. `place`: the names of the fields around it, with dots."""

    def __init__(self, place: str) -> None:
        self.place = place


def _object(pairs: list[tuple[str, Any]]) -> Any:
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name in fields:
            return _Twice(name)
        fields[name] = value
    for name, value in pairs:
        if twice := _twice_in(value):
            return _Twice(f"{name}.{twice.place}")
    return fields


def _twice_in(value: Any) -> _Twice | None:
    """Return what is given twice in a value whose objects were read by `_object`, if anything is."""
    if isinstance(value, _Twice):
        return value
    if isinstance(value, list):
        for number, inner in enumerate(value):
            if twice := _twice_in(inner):
                return _Twice(f"{number}.{twice.place}")
    return None


# Numbers become floats, because whole ones of 5,000 digits are refused.
_decode = json.JSONDecoder(object_pairs_hook=_object, parse_int=float).decode
