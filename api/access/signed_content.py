"""The content of signed requests: nothing but what is recorded.

A signature can be verified only with the whole body and all headers it covers, so all of that is stored for ever. A
request that says more than the ledger records (an unknown attribute, a field named twice, a comment in a header) is
therefore refused if it is signed, and the answer names what to leave out.

Error: `NotRecordedError`.
"""

from __future__ import annotations

import json
import re
from typing import Any

import http_sf
import msgspec

from api.access.signed_requests import COMMANDS_PATH, Signed, covered
from api.messages.cloud_events import attributes_of, elements_of, name_of
from ledger.instants import NoLeapSecondError, parse_instant

_ATTRIBUTES = {"specversion", "id", "source", "type", "time", "datacontenttype", "imported", "data"}
"""The attributes of an event that are recorded, or have one possible value."""
_COMPONENTS = {
    "@method",
    "@path",
    "@query",
    "@authority",
    "@scheme",
    "@target-uri",
    "content-digest",
    "content-length",
    "content-type",
    "date",
    "idempotency-key",
}
_PARAMETERS = {"created", "expires", "keyid", "alg", "nonce"}
_FORMS = {
    "content-type": re.compile(r"[a-z]+/[a-z+.-]+(;\s?charset=utf-8)?", re.IGNORECASE),
    "nonce": re.compile(r"[A-Za-z0-9+/=_-]{1,88}"),
}
_DATA_TYPE = re.compile(r"application/json(;\s?charset=utf-8)?", re.IGNORECASE)


class NotRecordedError(ValueError):
    """A signed request holds something that is not recorded. `field`: what it is."""

    def __init__(self, field: str, what: str = "is not recorded") -> None:
        super().__init__(f"{field} {what}, and a signed request is stored as it was signed; leave {field} out")
        self.field = field


def require_recorded(signed: Signed) -> None:
    """Require that a signed request holds nothing but what is recorded. What is not JSON is left to the route.

    Raises:
        NotRecordedError: it does not.
    """
    components = covered(signed.base)
    _require_components(components)
    if components["@path"].startswith(COMMANDS_PATH):
        _plain(signed.body, "")
        return
    if attributes := attributes_of(components):
        _require_attributes({**attributes, "data": None}, "")
        _plain(signed.body, "")
        return
    try:
        elements = elements_of(signed.body)
    except (ValueError, RecursionError):
        _require_event(signed.body, "")
        return
    for number, element in enumerate(elements):
        _require_event(element, f"{number}.")


def _require_components(components: dict[str, str]) -> None:
    for name, value in components.items():
        if name == "@signature-params":
            parsed: Any = http_sf.parse(value.encode(), tltype="list")
            parameters: dict[str, Any] = parsed[0][1]
            for parameter, given in parameters.items():
                form = _FORMS.get(parameter)
                if parameter not in _PARAMETERS or (form and not form.fullmatch(str(given))):
                    raise NotRecordedError(parameter)
        elif name.startswith("ce-"):
            if name.removeprefix("ce-") not in _ATTRIBUTES:
                raise NotRecordedError(name)
        elif name not in _COMPONENTS or (name in _FORMS and not _FORMS[name].fullmatch(value)):
            raise NotRecordedError(name)


def _require_event(element: bytes | msgspec.Raw, place: str) -> None:
    event = _plain(bytes(element), place)
    if isinstance(event, dict):
        _require_attributes(event, place)


def _require_attributes(event: dict[str, Any], place: str) -> None:
    if unknown := sorted(set(event) - _ATTRIBUTES):
        raise NotRecordedError(place + unknown[0])
    data_type = event.get("datacontenttype")
    if isinstance(data_type, str) and not _DATA_TYPE.fullmatch(data_type):
        raise NotRecordedError(f"{place}datacontenttype", "is not application/json")
    time = event.get("time")
    if isinstance(time, str):  # otherwise the event is not valid
        try:
            parse_instant(time)
        except NoLeapSecondError:
            return  # the event is not valid, and its answer says why
        except ValueError:
            raise NotRecordedError(f"{place}time", "is not an ISO 8601 instant") from None


def _plain(body: bytes, place: str) -> Any:
    """Return the value of JSON in which no field is named twice; None for what the route will not accept either."""

    def fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in pairs:
            if name in found:
                raise NotRecordedError(place + name, "is named twice")
            found[name] = value
        return found

    try:
        # Numbers become floats, because whole ones of 5,000 digits are refused here and skipped by the route.
        return json.loads(body.decode("utf-8-sig"), object_pairs_hook=fields, parse_int=float)
    except NotRecordedError:
        raise
    except (RecursionError, ValueError) as error:
        if name_of(body) == (None, None):  # the route cannot read it either
            return None
        what = "is nested too deeply" if isinstance(error, RecursionError) else "is not plain JSON"
        raise NotRecordedError(f"{place}data", what) from None
