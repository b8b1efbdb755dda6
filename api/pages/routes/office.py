"""The office: what waits, and the decisions about it. Corrections, late entries and imports are other modules."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query, Request
from fastapi.responses import Response

from api.access.roles import Caller
from api.pages import words
from api.pages.forms import form_of
from api.pages.ledger_client import LedgerClient, RefusedByApiError
from api.pages.office.acting import Act, Recorded, give, may
from api.pages.office.inputs import new_name, version_of
from api.pages.office.waiting import KINDS, Choice, waiting
from api.pages.page_routes import page_router
from api.pages.rendering import render
from api.pages.routes import corrections, imports
from api.pages.routes.corrections import Officer

router = page_router()
router.include_router(corrections.router)
router.include_router(imports.router)
_DECISIONS = {"approve-act", "decline-act", "withdraw-request"}
_OF_DISPUTES = {"answer-dispute", "settle-dispute"}


@router.get("/office")
async def office(
    request: Request,
    caller: Officer,
    kind: str | None = None,
    station: str | None = None,
    overdue: str | None = None,
    after: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """What waits for somebody, one kind at a time, the earliest deadline first."""
    client = LedgerClient(request)
    choice = Choice(kind if kind in KINDS else None, station or None, True if overdue else None, after or None)
    found = await waiting(client, caller, choice)
    stations = (await client.get("/v1/stations", limit=1000))["stations"]
    return await render(
        request,
        "office/worklist.html",
        found=found,
        choice=choice,
        stations=stations,
        kinds=KINDS,
        names=[new_name() for _ in found.entries],
        **reasons(caller),
    )


def reasons(caller: Caller) -> dict[str, Any]:
    """Return what the forms of decisions offer."""
    return {
        "answer_reasons": words.ANSWER_REASONS,
        "upheld_reasons": words.UPHELD_REASONS,
        "rejected_reasons": words.REJECTED_REASONS,
        "decline_reasons": words.DECLINE_REASONS,
        "may": lambda *commands: may(caller, *commands),
    }


@router.post("/office/requests/{name}")
async def decide_request(request: Request, _caller: Officer, name: str) -> Response:
    """Approve, decline or withdraw a request."""
    form = await form_of(request)
    command = form.get("act", "")
    if command not in _DECISIONS:
        command = "decline-act"
    fields: dict[str, Any] = {"request": name}
    if command != "approve-act":
        fields["reason"] = form.get("reason") or "asked-twice"
    return await decided(
        request,
        Act(command, fields, form.get("name") or new_name(), form.get("text"), version_of(form), form.get("volunteer")),
    )


@router.post("/office/disputes/{volunteer}/{shift}")
async def decide_dispute(request: Request, _caller: Officer, volunteer: str, shift: str) -> Response:
    """Answer a dispute, or settle it without changing the record. One that changes it is a correction."""
    form = await form_of(request)
    command = form.get("act", "")
    if command not in _OF_DISPUTES:
        command = "answer-dispute"
    fields: dict[str, Any] = {"volunteer": volunteer, "shift": shift, "reason": form.get("reason", "")}
    if command == "settle-dispute":
        fields["outcome"] = form.get("outcome", "rejected")
    return await decided(
        request, Act(command, fields, form.get("name") or new_name(), form.get("text"), version_of(form))
    )


async def decided(request: Request, act: Act, back: str = "/office") -> Response:
    """Give an act, and show what was recorded; or why not, in place of the entry, which can be opened again."""
    problem: RefusedByApiError | None = None
    recorded: Recorded | None = None
    try:
        recorded = await give(LedgerClient(request), act)
    except RefusedByApiError as error:
        if error.status >= 500:
            raise
        problem = error
    is_part = "hx-request" in request.headers
    template = "office/parts/done.html" if is_part else "office/done.html"
    return await render(
        request,
        template,
        200 if is_part or problem is None else problem.status,
        recorded=recorded,
        problem=problem,
        act=act,
        back=back,
        in_row=is_part,
    )
