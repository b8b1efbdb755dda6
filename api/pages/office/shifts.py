"""A shift as it stands, and what changed since a form was shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, NamedTuple

from api.pages.ledger_client import LedgerClient, address
from api.pages.office.inputs import local_text

FIELDS = ("check_in", "check_out", "station", "project")


class ShiftNow(NamedTuple):
    """A shift after all its events. `shown`: its fields as a form holds them; `version`: of its record."""

    volunteer: str
    shift: str
    version: int
    shown: Mapping[str, str]
    names: Mapping[str, str]
    raw_minutes: int
    credited_minutes: int
    flags: Sequence[str]
    events: Sequence[Mapping[str, Any]]
    dispute: Mapping[str, Any] | None

    @property
    def is_void(self) -> bool:
        """Whether it earns nothing."""
        return "void" in self.flags


class Change(NamedTuple):
    """A field that is not what a form showed."""

    field: str
    shown: str
    now: str


async def shift_now(client: LedgerClient, volunteer: str, shift: str, zone: tzinfo) -> ShiftNow:
    """Return a shift as it stands. What is shown is never older than the version that goes with it.

    Raises:
        RefusedByApiError: the volunteer has no such shift.
    """
    path = address("/v1/volunteers/{number}/shifts/{shift}/events", number=volunteer, shift=shift)
    found = await client.get(path)
    events = found["events"]
    last = max(event["position"] for event in events)
    instants = list(_check_ins(events))
    traced: Mapping[str, Any] = {}
    if instants:
        first, until = ((instant.astimezone(zone) + timedelta(days)).date() for instant, days in _ends(instants))
        listed = await client.get(
            address("/v1/volunteers/{number}/shifts", number=volunteer), from_=first, to=until, at_least=last
        )
        traced = next((one for one in listed["shifts"] if one["shift"] == found["shift"]), {})
    disputes = await client.get("/v1/disputes", volunteer=volunteer, limit=1000)
    opened = [one for one in disputes["disputes"] if one["shift"] == found["shift"] and one["state"] != "settled"]
    trace = traced.get("trace", {})
    return ShiftNow(
        volunteer=volunteer,
        shift=found["shift"],
        version=found["version"],
        shown={
            "check_in": local_text(traced.get("check_in"), zone),
            "check_out": local_text(traced.get("check_out"), zone),
            "station": traced.get("station") or "",
            "project": traced.get("project") or "",
        },
        names={field: traced.get(f"{field}_name") or traced.get(field) or "" for field in ("station", "project")},
        raw_minutes=trace.get("raw", 0),
        credited_minutes=trace.get("credited", 0),
        flags=traced.get("flags", []),
        events=events,
        dispute=opened[0] if opened else None,
    )


def changed_since_shown(now: ShiftNow, form: Mapping[str, str]) -> list[Change]:
    """Return the fields that are not what the form showed when it was made (`was_` and the name of each)."""
    return [
        Change(field, form[f"was_{field}"], now.shown[field])
        for field in FIELDS
        if f"was_{field}" in form and form[f"was_{field}"] != now.shown[field]
    ]


def _check_ins(events: Sequence[Mapping[str, Any]]) -> Iterator[datetime]:
    for event in events:
        content = event["event"]
        if event["topic"] in {"checked-in.v1", "punched.v1"}:
            yield datetime.fromtimestamp(content["occurred_at"], UTC)
        elif event["topic"] == "shift-corrected.v1" and content.get("check_in") is not None:
            yield datetime.fromtimestamp(content["check_in"], UTC)


def _ends(instants: Sequence[datetime]) -> tuple[tuple[datetime, int], tuple[datetime, int]]:
    return (min(instants), -1), (max(instants), 1)
