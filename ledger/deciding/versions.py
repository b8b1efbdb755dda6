"""Versions: an act may name the version of the record that it is based on, and is refused if that has changed since.

A record is a stream, and its version the number of its events. The record of a command is the stream of the first event
that the command results in. Versions are compared once the command is decided, as RFC 9110 (13.2.1) asks for
preconditions: an act that would be refused anyway is refused for its own reason.
"""

from __future__ import annotations

from ledger.deciding.base import Event
from ledger.deciding.case import Case
from ledger.rejections import Refused, Rejection, refuse

NAME_LENGTH_MAX = 80
"""A longer value is a text, such as that of the rules, and names no record."""


def check_version(case: Case, expected: int | None, events: list[Event]) -> Refused | None:
    """Return the refusal if the record that these events change has another version than was expected; None expects
    any.
    """
    return None if expected is None else changed_since(expected, version_of(case, events), events[0])


def version_of(case: Case, events: list[Event]) -> int:
    """Return the version of the record that an order's events change, before they are appended."""
    return case.streams.version(events[0].stream_id)


def changed_since(expected: int, actual: int, event: Event) -> Refused | None:
    """Return the refusal if a record's version is not the expected one."""
    if expected == actual:
        return None
    field = event.STREAM_FIELD
    name = str(getattr(event, field, ""))
    of_record = f"{name} " if len(name) <= NAME_LENGTH_MAX else ""
    refused = refuse(Rejection.CHANGED_SINCE, field, f"{of_record}has version {actual}, not {expected}")
    return refused._replace(expected_version=expected, actual_version=actual)
