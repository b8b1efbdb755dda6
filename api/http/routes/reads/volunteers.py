"""Routes about a volunteer: hours, shifts, the events behind a shift, and the explanation of a day."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response

from api.http.requests.dependencies import ServiceDep, run_read
from api.http.requests.links import Addresses
from api.http.requests.preconditions import TAGGED, tag
from api.http.requests.readings import AxesDep
from api.messages.periods import check_period
from api.messages.problems import problem
from ledger.names import NAME_PATTERN, QueryDay
from replay.axes import answers
from replay.axes.as_known import MarkError
from replay.explain.explanations import DayExplanation, VolunteerDays
from replay.queries.queries import Period

router = APIRouter(prefix="/v1/volunteers", tags=["readers"])

SHIFTS_MAX = 1000
Number = Annotated[str, Path(description="The volunteer number.", pattern=NAME_PATTERN, examples=["V0000001"])]
First = Annotated[QueryDay | None, Query(alias="from", description="Only shifts that begin on this day or later.")]
Last = Annotated[QueryDay | None, Query(alias="to", description="Only shifts that begin on this day or earlier.")]


class ShiftEvents(answers.Basis):
    """The events behind a shift, in log order. `version`: the number of those in its own record."""

    volunteer: str
    shift: UUID
    version: int
    events: list[answers.LoggedEvent]


@router.get("/{number}", summary="A volunteer's hours, by year and in total", responses=TAGGED)
async def volunteer_hours(
    request: Request, number: Number, service: ServiceDep, reading: AxesDep, response: Response
) -> answers.VolunteerHours:
    """Raw, counted and credited minutes, scanned and attested minutes, trainings, and the honours reached."""
    queries, addresses = service.ledger.queries, Addresses(reading.axes)
    found = await run_read(request, lambda: addresses.hours(queries.volunteer_hours(number, reading.axes)))
    tag(response, found.version)
    return found


@router.get("/{number}/shifts", summary="A volunteer's shifts, each with its trace")
async def volunteer_shifts(
    request: Request,
    number: Number,
    service: ServiceDep,
    reading: AxesDep,
    first: First = None,
    last: Last = None,
    limit: Annotated[int, Query(ge=1, le=SHIFTS_MAX, description="The maximum number of shifts.")] = SHIFTS_MAX,
    after: Annotated[str | None, Query(description="`next_after` of the page before.")] = None,
) -> answers.VolunteerShifts:
    """How each minute was counted, the latest shift first; `flags` name what is unusual about a shift.

    raw = counted + superseded + too short + clipped + overlapped + capped;
    credited = counted + factor change - rounding. `positions`: the events behind a shift, a hundred at most.
    """
    check_period(first, last)
    queries, addresses, period = service.ledger.queries, Addresses(reading.axes), Period(first, last, limit, after)
    try:
        return await run_read(request, lambda: addresses.traced(queries.volunteer_shifts(number, reading.axes, period)))
    except MarkError as error:
        raise problem("invalid", str(error), field="after") from None


@router.get("/{number}/shifts/{shift}/events", summary="The events behind a shift", responses=TAGGED)
async def shift_events(
    request: Request, number: Number, shift: UUID, service: ServiceDep, reading: AxesDep, response: Response
) -> ShiftEvents:
    """Each with its actor, its instant and its command, up to `known_at`, with the events of the punch that ends it."""
    queries, axes = service.ledger.queries, reading.axes
    events, version = await run_read(request, lambda: queries.shift_events(number, shift, reading.known_at, axes))
    tag(response, version)
    return ShiftEvents(**dict(reading.basis()), volunteer=number, shift=shift, version=version, events=events)


@router.get("/{number}/explanation", summary="The explanation of a day, or the list of days")
async def explanation(
    request: Request,
    number: Number,
    service: ServiceDep,
    reading: AxesDep,
    day: Annotated[
        QueryDay | None, Query(description="The local day to explain; by default the answer is the list of days.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=4000, description="The maximum number of days in the list.")] = 100,
    before: Annotated[
        QueryDay | None, Query(description="Only days before this one: `next_before` of the page before.")
    ] = None,
) -> DayExplanation | VolunteerDays:
    """With `day`: each stretch of minutes with its outcome, the rule that decided it, and the events behind it; and how
    shares and rounding turn counted minutes into credited ones. The parts add up to the trace of the day.

    Without `day`: the volunteer's days of service, the latest first.
    """
    queries, addresses = service.ledger.queries, Addresses(reading.axes)

    def read() -> DayExplanation | VolunteerDays:
        if day is None:
            return addresses.days(queries.volunteer_days(number, reading.axes, limit, before))
        return addresses.explained(queries.explanation(number, day, reading.axes))

    return await run_read(request, read)
