"""A shift as its events leave it, resolved just far enough to decide about it.

Scans are resolved independently of the order in which they arrived, corrections and voids in log order. The same rules
are compiled for millions of shifts in `projections/`; here they are read for one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ledger.events import (
    CheckedIn,
    CheckedOut,
    DisputeSettled,
    Event,
    ShiftCorrected,
    ShiftDisputed,
    ShiftReinstated,
    ShiftVoided,
)


class Shift(NamedTuple):
    """The instants and places in force, and the shift's standing."""

    check_in: int | None
    check_out: int | None
    station: str | None
    check_out_station: str | None
    project: str | None
    void: ShiftVoided | None
    disputed: ShiftDisputed | None
    """What opened the dispute that is open."""


def resolve(events: Sequence[Event]) -> Shift:
    """Return the shift that a stream's events make."""
    corrected: dict[str, Any] = {}
    void: ShiftVoided | None = None
    disputed: ShiftDisputed | None = None
    for event in events:
        match event:
            case ShiftCorrected():
                corrected |= {field: getattr(event, field) for field in event.changes}
            case ShiftVoided():
                void = event
            case ShiftReinstated():
                void = None
            case ShiftDisputed():
                disputed = disputed or event  # what is said meanwhile opens none of its own
            case DisputeSettled():
                disputed = None
            case _:
                pass
    begun = min((event for event in events if isinstance(event, CheckedIn)), key=_by_instant, default=None)
    check_in = corrected.get("check_in", begun and begun.occurred_at)
    station = corrected.get("station", begun and begun.station)
    project = corrected.get("project", begun and begun.project)
    later = (event for event in events if isinstance(event, CheckedOut) and event.occurred_at > (check_in or 0))
    ended = min(later, key=_by_instant, default=None)
    check_out = corrected.get("check_out", ended and ended.occurred_at)
    left_from = station if ended is None or "check_out" in corrected else ended.station
    return Shift(check_in, check_out, station, left_from, project, void, disputed)


def _by_instant(event: CheckedIn | CheckedOut) -> tuple[int, bool, str, str]:
    """The earliest scan counts; at the same instant a scan comes before an attested entry."""
    return event.occurred_at, event.evidence is not None, event.station, getattr(event, "project", None) or ""
