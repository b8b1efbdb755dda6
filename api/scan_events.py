"""Plain scans among CloudEvents, read without models: what nearly every event of a batch is.

Only what is certain to be taken as it stands is read here, in a fifth of the time: a check-in, or a check-out that
names its shift, whose every field has its plain form and whose caller may give it. Anything else is left to
`api/cloud_events.py`, which says what is wrong; tests hold both to the same orders.
"""

from __future__ import annotations

import re
from collections.abc import Callable
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

_name = re.compile(NAME_PATTERN[:-1] + r"\Z").match
_source = re.compile(r"[!$-\[\]-~]{1,120}\Z").match  # as ledger.names.Source, and no quote, which JSON would escape
_id = re.compile(r"[!#-\[\]-~]{1,120}\Z").match
_shift = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\Z").match


def plain_scan(element: Any, caller: Caller) -> Scan | None:
    """Return the scan that an element of a batch is, None if it has to be looked at more closely."""
    if not _is_plain(element):
        return None
    data, source, begins = element["data"], element["source"], _BEGINS[element["type"]]
    volunteer, station = data["volunteer"], data["station"]
    shift, project, occurred_at = data.get("shift"), data.get("project"), data.get("occurred_at")
    instant = _instant(element.get("time") if occurred_at is None else occurred_at)
    if instant is None or (shift is None and not begins) or (project is not None and not begins):
        return None
    if caller.role is Role.STATION and (station != caller.name or not owns(caller.name, source)):
        return None
    return Scan(
        begins,
        volunteer,
        station,
        instant,
        None if shift is None else int(shift.replace("-", ""), 16),
        project,
        source,
        element["id"],
        caller.by,
        False,  # noqa: FBT003 - by position: a scan is made for every event
        caller.key,
    )


def may_scan(caller: Caller) -> bool:
    """Whether a caller's role may scan at all; where it may not, each event is to be answered why."""
    return caller.role in _MAY_SCAN


def _is_plain(element: Any) -> bool:
    """Whether an element is a scan that says what scans say, and all of it as text of its plain form."""
    if type(element) is not dict or not element.keys() <= _ATTRIBUTES or element.get("type") not in _BEGINS:
        return False
    data = element.get("data")
    if type(data) is not dict or not data.keys() <= _FIELDS or type(element.get("time", "")) is not str:
        return False
    return (
        element.get("specversion") == "1.0"
        and element.get("datacontenttype", "application/json") == "application/json"
        and _matches(_source, element.get("source"))
        and _matches(_id, element.get("id"))
        and _matches(_name, data.get("volunteer"))
        and len(data["volunteer"]) not in {11, 18}  # which might be a phone or identity number
        and _matches(_name, data.get("station"))
        and ((shift := data.get("shift")) is None or _matches(_shift, shift))
        and ((project := data.get("project")) is None or _matches(_name, project))
    )


def _matches(pattern: Callable[[str], object], value: Any) -> bool:
    return type(value) is str and pattern(value) is not None


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
    return int(value)
