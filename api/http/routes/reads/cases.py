"""Routes about disputes, requests, and the history of a volunteer's record.

Free texts are included only if the caller's role may read them (docs/access.md).
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request

from api.access.roles import Caller, Right, Role, forbids_right
from api.http.requests.dependencies import CallerDep, ServiceDep, run_read
from api.http.requests.links import Addresses
from api.http.requests.readings import AxesDep, today_of
from ledger.deciding.policies import ApprovableAct
from ledger.names import NAME_PATTERN, POSITION_MAX
from replay.records.case_answers import ActRequests, Disputes, DisputeState, RequestState, Texts, VolunteerHistory
from replay.records.cases import DisputeFilter, RequestFilter

router = APIRouter(prefix="/v1", tags=["readers"])

After = Annotated[int, Query(ge=0, le=POSITION_MAX, description="`next_after` of the page before.")]
Limit = Annotated[int, Query(ge=1, le=1000, description="The maximum number of entries.")]
OfVolunteer = Annotated[str | None, Query(description="Only about this volunteer.", pattern=NAME_PATTERN)]


@router.get("/disputes", summary="Disputes")
async def disputes(
    request: Request,
    service: ServiceDep,
    reading: AxesDep,
    caller: CallerDep,
    state: Annotated[DisputeState | None, Query(description="Only those in this state.")] = None,
    overdue: Annotated[
        bool | None, Query(description="Only those that are overdue, or only those that are not.")
    ] = None,
    station: Annotated[
        str | None, Query(description="Only about shifts at this station.", pattern=NAME_PATTERN)
    ] = None,
    volunteer: OfVolunteer = None,
    after: After = 0,
    limit: Limit = 100,
) -> Disputes:
    """In the order in which they were opened. A dispute is overdue if it was not answered, or not settled, by the
    working day on which that was due; as of `valid_at` or `known_at`, by default today.
    """
    today = reading.axes.valid_at or today_of(service, reading)
    criteria = DisputeFilter(today, state, overdue, station, volunteer)
    queries, addresses, texts = service.ledger.queries, Addresses(reading.axes), may_read_texts(caller)
    return await run_read(
        request, lambda: addresses.disputes(queries.disputes(criteria, reading.axes, after, limit, texts=texts))
    )


@router.get("/requests", summary="Requests for acts that need approval")
async def requests(
    request: Request,
    service: ServiceDep,
    reading: AxesDep,
    caller: CallerDep,
    state: Annotated[RequestState | None, Query(description="Only those in this state.")] = None,
    act: Annotated[ApprovableAct | None, Query(description="Only requests for this type of command.")] = None,
    volunteer: OfVolunteer = None,
    after: After = 0,
    limit: Limit = 100,
) -> ActRequests:
    """In the order in which they were made; `state=open` returns those that wait for a decision."""
    criteria = RequestFilter(state, act, volunteer)
    queries, addresses, texts = service.ledger.queries, Addresses(reading.axes), may_read_texts(caller)
    return await run_read(
        request, lambda: addresses.requests(queries.requests(criteria, reading.axes, after, limit, texts=texts))
    )


@router.get("/volunteers/{number}/history", summary="The history of a volunteer's record")
async def history(
    request: Request,
    number: Annotated[str, Path(description="The volunteer number.", pattern=NAME_PATTERN, examples=["V0000001"])],
    service: ServiceDep,
    reading: AxesDep,
    caller: CallerDep,
    after: After = 0,
    limit: Annotated[int, Query(ge=1, le=200, description="The maximum number of acts.")] = 50,
) -> VolunteerHistory:
    """Every act except scans, in log order: who, when and why, the fields before and after it, and its effect on the
    volunteer's credited minutes under the rules of this answer.
    """
    # A volunteer's key can reach only the volunteer's own record (`forbids_address`): what the volunteer wrote in
    # disputes is shown, and what was answered; what staff wrote for each other is not.
    texts: Texts = "all" if may_read_texts(caller) else "disputes" if caller.role is Role.VOLUNTEER else "none"
    queries, addresses, axes = service.ledger.queries, Addresses(reading.axes), reading.axes
    return await run_read(
        request, lambda: addresses.history(queries.volunteer_history(number, axes, after, limit, texts=texts))
    )


def may_read_texts(caller: Caller) -> bool:
    """Return whether this caller may read free texts."""
    return forbids_right(caller, Right.READ_TEXTS) is None
