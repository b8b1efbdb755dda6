"""Corrections of shifts, before and after side by side, and late entries; requests, where the rules want them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import tzinfo
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.responses import Response

from api.access.roles import Caller, Role
from api.pages import words
from api.pages.forms import form_of
from api.pages.ledger_client import LedgerClient, RefusedByApiError
from api.pages.office.acting import Act, Recorded, ask, give, kinds_to_approve
from api.pages.office.inputs import FormError, instant_of, new_name, version_of
from api.pages.office.shifts import FIELDS, ShiftNow, changed_since_shown, shift_now
from api.pages.page_routes import needs, needs_command, page_router
from api.pages.rendering import render, text_for

router = page_router()
Corrector = Annotated[Caller, Depends(needs_command("correct-shift"))]
OFFICE = (Role.CORRECTOR, Role.APPROVER, Role.HONORS_OFFICER, Role.STAFF, Role.ADMIN)
Officer = Annotated[Caller, Depends(needs(*OFFICE))]
_ACTS = ("correct-shift", "void-shift", "reinstate-shift", "move-shift")
_CLIENT_ERRORS = range(400, 500)


@router.get("/office/shifts/{volunteer}/{shift}")
async def shift_page(request: Request, _caller: Corrector, volunteer: str, shift: str) -> Response:
    """A shift as it stands, and the form that corrects it."""
    return await _shift_page(request, volunteer, shift, {})


@router.get("/office/shifts/{volunteer}/{shift}/check-out")
async def check_out_form(request: Request, _caller: Corrector, volunteer: str, shift: str) -> Response:
    """The form that enters a forgotten check-out, for the worklist."""
    return await _shift_page(request, volunteer, shift, {"place": "row"})


@router.get("/office/shifts/{volunteer}/{shift}/now")
async def shift_as_it_stands(request: Request, _caller: Officer, volunteer: str, shift: str) -> Response:
    """A shift in one line, for the worklist."""
    now = await shift_now(LedgerClient(request), volunteer, shift, await _zone(request))
    return await render(request, "office/parts/shift_line.html", now=now)


@router.post("/office/shifts/{volunteer}/{shift}")
async def act_on_shift(request: Request, _caller: Corrector, volunteer: str, shift: str) -> Response:
    """Correct, void, reinstate or move a shift; or ask for it, where the rules want a second person."""
    form = await form_of(request)
    zone = await _zone(request)
    client = LedgerClient(request)
    try:
        act = _act_of(request, form, volunteer, shift, zone)
        recorded = await (ask if form.get("as") == "request" else give)(client, act)
    except FormError as error:
        return await _shift_page(request, volunteer, shift, form, sentence=str(error))
    except RefusedByApiError as error:
        if error.status not in _CLIENT_ERRORS:
            raise
        return await _shift_page(request, volunteer, shift, form, problem=error)
    return await done(request, form, recorded)


def _act_of(request: Request, form: Mapping[str, str], volunteer: str, shift: str, zone: tzinfo) -> Act:
    command = form.get("act", "")
    if command not in _ACTS:
        command = "correct-shift"
    fields: dict[str, Any] = {}
    if command == "correct-shift":
        fields = _changes(request, form, zone)
    elif command == "move-shift":
        fields = {"to_volunteer": form.get("to_volunteer", "")}
    about = {"volunteer": volunteer, "shift": shift, "reason": form.get("reason", "")}
    name, text, version = form.get("name") or new_name(), form.get("text"), version_of(form)
    if form.get("settles"):
        settled = {**about, "outcome": "upheld", "act": command, "fields": fields}
        return Act("settle-dispute", settled, name, text, version)
    return Act(command, {**about, **fields}, name, text, version)


def _changes(request: Request, form: Mapping[str, str], zone: tzinfo) -> dict[str, Any]:
    """Return the fields of a correction: those that are not what the form showed."""
    changes = [field for field in FIELDS if field in form and form[field] != form.get(f"was_{field}", "")]
    if not changes:
        raise FormError(text_for(request, "Nothing was changed. Change a field, and send the form again."))
    begin, end = (form.get(field, form.get(f"was_{field}", "")) for field in ("check_in", "check_out"))
    if end and begin and end < begin:
        raise FormError(text_for(request, "The check-out lies before the check-in. Correct one of them."))
    values = {
        field: instant_of(request, form, field, zone) if field.startswith("check_") else form[field] or None
        for field in changes
    }
    return {"changes": changes, **{field: value for field, value in values.items() if value is not None}}


async def _shift_page(
    request: Request,
    volunteer: str,
    shift: str,
    form: Mapping[str, str],
    problem: RefusedByApiError | None = None,
    sentence: str = "",
) -> Response:
    """Return the page of a shift, or its form for the worklist, with what was typed."""
    client = LedgerClient(request)
    now = await shift_now(client, volunteer, shift, await _zone(request))
    values: dict[str, Any] = {
        "now": now,
        "form": form,
        "problem": problem,
        "sentence": sentence,
        "changed": changed_since_shown(now, form),
        "acts_since": _acts_since(now, form),
        "asks": await kinds_to_approve(client),
        "as_request": form.get("as") == "request" or (problem is not None and problem.rejection == "needs-approval"),
        "name": form.get("name") or new_name(),
        "correction_reasons": words.CORRECTION_REASONS,
        "void_reasons": words.VOID_REASONS,
        "upheld_reasons": words.UPHELD_REASONS,
    }
    in_row = form.get("place") == "row"
    status = 200 if in_row or not (problem or sentence) else problem.status if problem else 422
    if in_row and "hx-request" in request.headers:
        return await render(request, "office/parts/check_out.html", status, **values)
    return await render(request, "office/shift.html", status, **values, **await places(client))


def _acts_since(now: ShiftNow, form: Mapping[str, str]) -> list[Mapping[str, Any]]:
    """Return the events that were recorded since a form was made."""
    version = version_of(form)
    return [] if version is None else [event for event in now.events if event["version"] > version]


async def done(request: Request, form: Mapping[str, str], recorded: Recorded) -> Response:
    """Return what was recorded: the part of the worklist that it stands in, or a page."""
    in_row = form.get("place") == "row" and "hx-request" in request.headers
    template = "office/parts/done.html" if in_row else "office/done.html"
    back = "/office/late" if recorded.act.command == "attest-shift" else "/office"
    return await render(request, template, recorded=recorded, problem=None, act=recorded.act, back=back, in_row=in_row)


# --- late entries ---------------------------------------------------------------------------------------------------


@router.get("/office/late")
async def late_page(request: Request, _caller: Corrector, volunteer: str = "") -> Response:
    """The form for a shift that nobody scanned."""
    return await _late_page(request, {"volunteer": volunteer})


@router.post("/office/late")
async def enter_late(request: Request, _caller: Corrector) -> Response:
    """Enter a shift on evidence; or ask for it, where the rules want a second person."""
    form = await form_of(request)
    zone = await _zone(request)
    try:
        act = _late_entry(request, form, zone)
        recorded = await (ask if form.get("as") == "request" else give)(LedgerClient(request), act)
    except FormError as error:
        return await _late_page(request, form, sentence=str(error))
    except RefusedByApiError as error:
        if error.status not in _CLIENT_ERRORS:
            raise
        return await _late_page(request, form, problem=error)
    return await done(request, form, recorded)


def _late_entry(request: Request, form: Mapping[str, str], zone: tzinfo) -> Act:
    fields = {
        "volunteer": form.get("volunteer"),
        "station": form.get("station"),
        "check_in": instant_of(request, form, "check_in", zone),
        "check_out": instant_of(request, form, "check_out", zone),
        "evidence": form.get("evidence"),
    }
    if missing := next((field for field, value in fields.items() if not value), None):
        title = text_for(request, words.FIELDS[missing])
        raise FormError(text_for(request, "%(field)s is missing. Fill it in.") % {"field": title})
    if form.get("project"):
        fields["project"] = form["project"]
    return Act("attest-shift", fields, form.get("name") or new_name(), form.get("text"))


async def _late_page(
    request: Request, form: Mapping[str, str], problem: RefusedByApiError | None = None, sentence: str = ""
) -> Response:
    client = LedgerClient(request)
    kinds = await kinds_to_approve(client)
    needs_approval = problem is not None and problem.rejection == "needs-approval"
    return await render(
        request,
        "office/late.html",
        200 if not (problem or sentence) else problem.status if problem else 422,
        form=form,
        problem=problem,
        sentence=sentence,
        as_request=needs_approval or "attest-shift" in kinds or form.get("as") == "request",
        name=form.get("name") or new_name(),
        evidence=words.EVIDENCE,
        **await places(client),
    )


async def places(client: LedgerClient) -> dict[str, Any]:
    """Return the stations and projects that a form offers."""
    stations = (await client.get("/v1/stations", limit=1000))["stations"]
    projects = (await client.get("/v1/projects", limit=1000))["projects"]
    return {"stations": stations, "projects": projects}


async def _zone(request: Request) -> tzinfo:
    zone: tzinfo = await request.app.state.figures.zone()
    return zone
