"""What readers ask about a volunteer: hours, shifts, and the events behind a shift."""

from __future__ import annotations

from datetime import date
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query

from api.dependencies import ReadingHere, ServiceHere
from api.periods import check_period
from replay import answers
from replay.queries import UnknownNameError

router = APIRouter(prefix="/v1/volunteers", tags=["readers"])

Number = Annotated[str, Path(description="The volunteer number.", examples=["V0000001"], max_length=32)]
First = Annotated[date | None, Query(alias="from", description="Only shifts that begin on this day or later.")]
Last = Annotated[date | None, Query(alias="to", description="Only shifts that begin on this day or earlier.")]


class ShiftEvents(answers.Basis):
    """The events behind a shift, in log order."""

    volunteer: str
    shift: UUID
    events: list[answers.LoggedEvent]


@router.get("/{number}", summary="A volunteer's hours, per year and in all")
def volunteer_hours(number: Number, service: ServiceHere, reading: ReadingHere) -> answers.VolunteerHours:
    """Raw, counted and credited minutes side by side, scanned and attested apart, and the honours reached."""
    return service.ledger.queries.volunteer_hours(number, reading.axes)


@router.get("/{number}/shifts", summary="A volunteer's shifts, each with its trace")
def volunteer_shifts(
    number: Number, service: ServiceHere, reading: ReadingHere, first: First = None, last: Last = None
) -> answers.VolunteerShifts:
    """Where each minute went, the latest shift first; what is odd about a shift is named in its `flags`.

    raw = counted + superseded + too short + clipped + overlapped + capped;
    credited = counted + factor change - rounding.
    """
    check_period(first, last)
    return service.ledger.queries.volunteer_shifts(number, reading.axes, first, last)


@router.get("/{number}/shifts/{shift}/events", summary="The events behind a shift")
def shift_events(number: Number, shift: UUID, service: ServiceHere, reading: ReadingHere) -> ShiftEvents:
    """Who said what, when, and by which command; `known_at` cuts it."""
    events = service.ledger.queries.shift_events(number, shift)
    known = [event for event in events if event.position <= reading.known_at]
    if not known:
        raise UnknownNameError("shift", str(shift))
    return ShiftEvents(**dict(reading.basis()), volunteer=number, shift=shift, events=known)
