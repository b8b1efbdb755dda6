"""A volunteer's own record: hours, progress towards honours, the latest shifts; and the search for volunteers."""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.responses import RedirectResponse, Response

from api.access.roles import Caller, Right, Role, forbids_right
from api.pages.charts.codes import qr_code
from api.pages.charts.shares import share_bar
from api.pages.forms import Fields
from api.pages.ledger_client import LedgerClient, RefusedByApiError, address
from api.pages.page_routes import needs, page_router
from api.pages.rendering import render, text_for
from api.pages.routes.volunteer.shifts import rows_of_shifts
from ledger.names import NAME_PATTERN

router = page_router()

_SEARCHERS = tuple(role for role in Role if role not in {Role.VOLUNTEER, Role.STATION})
_LATEST_SHIFTS = 5
_FOUND_MAX = 20
Reader = Annotated[Caller, Depends(needs())]
Searcher = Annotated[Caller, Depends(needs(*_SEARCHERS))]


@router.get("/me")
async def own_record(request: Request, caller: Annotated[Caller, Depends(needs(Role.VOLUNTEER))]) -> Response:
    """The record of the volunteer whose key this is."""
    return await _record(request, caller.name)


@router.get("/volunteers")
async def search_page(request: Request, caller: Searcher) -> Response:
    """The field with which volunteers are found."""
    return await _search_page(request, caller)


@router.post("/volunteers")
async def search(request: Request, caller: Searcher, fields: Fields) -> Response:
    """Go to the volunteer of a number, or list whose name or phone number begins so.

    What is searched for is sent in the body, so that no name stands in an address or a log of addresses.
    """
    sought = fields.get("text", "")
    client = LedgerClient(request)
    if re.fullmatch(NAME_PATTERN, sought):
        for number in dict.fromkeys((sought, sought.upper())):
            try:
                await client.get(address("/v1/volunteers/{number}", number=number))
            except RefusedByApiError as error:
                if error.status != 404:
                    raise
            else:
                return RedirectResponse(address("/volunteers/{number}", number=number), 303)
    if not _sees_persons(caller):
        refused = text_for(request, "No volunteer has this number. Check it, and type it as it is printed on the card.")
        return await _search_page(request, caller, sought, refused=refused)
    if not sought:
        return await _search_page(request, caller)
    try:
        found = await client.get("/v1/persons", text=sought, limit=_FOUND_MAX)
    except RefusedByApiError as error:
        if error.status != 422:
            raise
        return await _search_page(request, caller, sought, refused=str(error))
    return await _search_page(request, caller, sought, found=found)


@router.get("/volunteers/{number}")
async def record(request: Request, _caller: Reader, number: str) -> Response:
    """A volunteer's record. The API refuses a volunteer's key for another number."""
    return await _record(request, number)


@router.post("/volunteers/{number}/person")
async def person(request: Request, _caller: Searcher, number: str) -> Response:
    """The name and phone number of a volunteer. It is a post, because the look-up is recorded."""
    client = LedgerClient(request)
    try:
        found = await client.get(address("/v1/persons/{number}", number=number))
    except RefusedByApiError as error:
        if error.status != 404:
            raise
        found = None
    return await _record(request, number, person=found, asked=True)


def _sees_persons(caller: Caller) -> bool:
    return forbids_right(caller, Right.LOOK_UP_PERSONS) is None


async def _search_page(
    request: Request, caller: Caller, sought: str = "", *, refused: str = "", found: dict[str, Any] | None = None
) -> Response:
    return await render(
        request,
        "volunteers.html",
        422 if refused else 200,
        sees_persons=_sees_persons(caller),
        sought=sought,
        refused=refused,
        found=found,
    )


async def _record(
    request: Request, number: str, *, person: dict[str, Any] | None = None, asked: bool = False
) -> Response:
    """Return the page of a record. `person`: the entry of the directory, if it was asked for and there is one."""
    client, caller = LedgerClient(request), request.state.caller
    overview = await client.get(address("/v1/volunteers/{number}/overview", number=number))
    shifts = await client.get(address("/v1/volunteers/{number}/shifts", number=number), limit=_LATEST_SHIFTS)
    certificates = await client.get(address("/v1/volunteers/{number}/certificates", number=number), limit=100)
    label = text_for(request, "QR code of the number %(number)s") % {"number": number}
    return await render(
        request,
        "volunteer.html",
        number=number,
        overview=overview,
        rows=await rows_of_shifts(request, client, number, shifts["shifts"]),
        more=shifts["next_after"] is not None,
        certificates=certificates["certificates"],
        code=qr_code(number, label),
        opening_balances=[
            each for each in (overview["opening_balance"], *overview.get("more_opening_balances", ())) if each
        ],
        share_bar=share_bar,
        progress=_progress(overview["progress"]),
        sees_persons=_sees_persons(caller),
        person=person,
        asked=asked,
    )


def _progress(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the honours that are not reached, first the next one for hours and the next one for years."""
    by_hours = sorted(
        (each for each in entries if each["credited_minutes_min"]), key=lambda each: each["minutes_missing"]
    )
    by_years = sorted(
        (each for each in entries if not each["credited_minutes_min"]), key=lambda each: each["active_years_missing"]
    )
    first = by_hours[:1] + by_years[:1]
    return first + [each for each in entries if each not in first]
