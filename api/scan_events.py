"""Plain scans among CloudEvents, read without models: what nearly every event of a batch is.

Only what is certain to be taken as it stands is read here, in a fifth of the time: a check-in, or a check-out that
names its shift, whose every field has its plain form and whose caller may give it. Anything else is left to
`api/cloud_events.py`, which says what is wrong; tests hold both to the same orders.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from api.access import COMMANDS_OF_ROLE, Caller, Role, owns
from api.cloud_events import event_type
from ledger.commands import CheckIn, CheckOut
from ledger.names import EARLIEST_INSTANT, LATEST_INSTANT, NAME_PATTERN
from ledger.scans import Scan

_BEGINS = {event_type(CheckIn.TYPE): True, event_type(CheckOut.TYPE): False}
_MAY_SCAN = {role for role in Role if {CheckIn.TYPE, CheckOut.TYPE} <= COMMANDS_OF_ROLE[role]}
_ATTRIBUTES = {"specversion", "id", "source", "type", "time", "data", "datacontenttype"}
_FIELDS = {"volunteer", "station", "occurred_at", "shift", "project"}

_NAME = NAME_PATTERN[1:-1]
_UUID = "[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"
_name = re.compile(rf"{_NAME}\Z").match
_texts = re.compile(
    r"[!#-\[\]-~]{1,120}\n"  # id, and
    r"[!$-\[\]-~]{1,120}\n"  # source, as in ledger.names, and no quote, which JSON would escape
    rf"{_NAME}\n{_NAME}(?:\n{_UUID})?\Z"
).match
"""Matches an event's texts, a line each: id, source, volunteer, station, and the shift if it has one. None of them may
hold a line feed, so to match them together is to match each, in half the time."""


def plain_scan(element: Any, caller: Caller) -> Scan | None:
    """Return the scan that an element of a batch is, None if it has to be looked at more closely."""
    try:
        begins, data = _BEGINS[element["type"]], element["data"]
        name, source, volunteer, station = element["id"], element["source"], data["volunteer"], data["station"]
    except (LookupError, TypeError):
        return None
    if type(element) is not dict or type(data) is not dict or not _says_what_scans_say(element, data):
        return None
    shift, project, occurred_at = data.get("shift"), data.get("project"), data.get("occurred_at")
    if not (
        type(name) is type(source) is type(volunteer) is type(station) is str
        and (type(shift) is str or (shift is None and begins))
        and (project is None or (begins and type(project) is str and _name(project)))
    ):
        return None
    texts = f"{name}\n{source}\n{volunteer}\n{station}"
    if not _texts(texts if shift is None else f"{texts}\n{shift}") or len(volunteer) in {11, 18}:
        return None  # of such a length might be a phone or identity number
    instant = _instant(element.get("time") if occurred_at is None else occurred_at)
    if instant is None or (caller.role is Role.STATION and (station != caller.name or not owns(caller.name, source))):
        return None
    return Scan(
        begins,
        volunteer,
        station,
        instant,
        None if shift is None else int(shift.replace("-", ""), 16),
        project,
        source,
        name,
        caller.by,
        False,  # noqa: FBT003 - by position: a scan is made for every event
        caller.key,
    )


def may_scan(caller: Caller) -> bool:
    """Whether a caller's role may scan at all; where it may not, each event is to be answered why."""
    return caller.role in _MAY_SCAN


def _says_what_scans_say(element: dict[str, Any], data: dict[str, Any]) -> bool:
    """Whether an element that has a type, an id, a source and data has nothing beside them that needs a closer look."""
    if not data.keys() <= _FIELDS or element.get("specversion") != "1.0":
        return False
    return len(element) == 5 or (
        element.keys() <= _ATTRIBUTES
        and type(element.get("time", "")) is str
        and element.get("datacontenttype", "application/json") == "application/json"
    )


def _instant(value: Any) -> int | None:
    if type(value) is str:
        try:
            instant = datetime.fromisoformat(value)
        except ValueError:
            return None
        if instant.tzinfo is None:
            return None
        value = int(instant.timestamp() // 1)
    if type(value) is not int or not EARLIEST_INSTANT <= value <= LATEST_INSTANT:
        return None
    return value
