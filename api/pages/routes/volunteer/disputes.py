"""Disputing a shift (Order 67, Art. 13): a reason is chosen, a few words may be added, and it is sent."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID, uuid4

from fastapi import Depends, Request
from fastapi.responses import RedirectResponse, Response

from api.access.roles import Caller
from api.pages.forms import Fields
from api.pages.ledger_client import LedgerClient, RefusedByApiError, address
from api.pages.page_routes import page_router
from api.pages.rendering import render, text_for
from api.pages.routes.volunteer.shifts import MAY_DISPUTE, rows_of_shifts, shift_with_events
from api.pages.words import DISPUTE_REASONS

router = page_router()
Disputer = Annotated[Caller, Depends(MAY_DISPUTE)]


@router.get("/volunteers/{number}/shifts/{shift}/dispute")
async def dispute_page(request: Request, _caller: Disputer, number: str, shift: UUID) -> Response:
    """The form: what is wrong with the shift."""
    return await _page(request, number, shift)


@router.post("/volunteers/{number}/shifts/{shift}/dispute")
async def dispute(request: Request, _caller: Disputer, fields: Fields, number: str, shift: UUID) -> Response:
    """Dispute the shift, and go back to it. Two taps on the button of one form, which has a name, are one dispute."""
    reason, text, name = (fields.get(each, "") for each in ("reason", "text", "name"))
    if not reason:
        return await _page(request, number, shift, text, text_for(request, "Choose what is wrong."))
    body = {"volunteer": number, "shift": str(shift), "reason": reason, **({"text": text} if text else {})}
    try:
        await LedgerClient(request).post(
            "/v1/commands/dispute-shift", body, wait="projected", headers={"Idempotency-Key": name} if name else None
        )
    except RefusedByApiError as error:
        if error.status not in (409, 422):
            raise
        return await _page(request, number, shift, text, str(error))
    return RedirectResponse(
        address("/volunteers/{number}/shifts/{shift}?sent=dispute", number=number, shift=shift), 303
    )


async def _page(request: Request, number: str, shift: UUID, text: str = "", refused: str = "") -> Response:
    client = LedgerClient(request)
    _, found = await shift_with_events(request, client, number, shift)
    rows = await rows_of_shifts(request, client, number, [found] if found else [])
    return await render(
        request,
        "volunteer_dispute.html",
        422 if refused else 200,
        number=number,
        shift=shift,
        row=rows[0] if rows else None,
        reasons=DISPUTE_REASONS,
        text=text,
        refused=refused,
        form=uuid4(),
    )
