"""What-if: rules are changed in a form or as text, checked while one types, and tried, published or thrown away."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import Depends, Query, Request
from fastapi.responses import RedirectResponse, Response

from api.access.roles import COMMANDS_OF_ROLE, Caller, Right
from api.pages.forms import Fields
from api.pages.ledger_client import Answer, LedgerClient, RefusedByApiError, address
from api.pages.page_routes import needs_command, needs_right, page_router
from api.pages.rendering import render
from api.pages.routes import what_if_axes, what_if_runs
from api.pages.what_if.rule_form import rule_form
from ledger.names import POSITION_MAX

router = page_router()
router.include_router(what_if_runs.router)
router.include_router(what_if_axes.router)
Trier = Annotated[Caller, Depends(needs_right(Right.TRY_RULES))]
Decider = Annotated[Caller, Depends(needs_command("approve-act"))]
Publisher = Annotated[Caller, Depends(needs_command("publish-rules"))]
PUT_IN_FORCE = "put-rules-in-force"
CHECKS_MAX, CHECK_AGAIN_SECONDS = 8, 0.4
"""How often a check is asked for again while another of the same key runs."""
VOLUNTEERS_LISTED = 2_000
"""Volunteers of a comparison that a page lists, the greatest change first; the file holds all of them."""


@router.get("/what-if")
async def what_if(
    request: Request,
    caller: Trier,
    rules: Annotated[str, Query(max_length=64)] = "current",
    told: str = "",
    at: Annotated[int | None, Query(ge=0, le=POSITION_MAX)] = None,
) -> Response:
    """The rules in force, or a draft, to be changed. `at`: the position that the page has to show."""
    client = LedgerClient(request)
    if rules == "current":  # what the log says, also while the hours are still being computed by it
        published = (await client.get("/v1/rules"))["published"]
        rules = next((one["digest"] for one in published if one["in_force"]), rules)
    shown = await client.get(address("/v1/rules/{rules}", rules=rules))
    return await _editor(request, caller, shown["text"], told=told, source=shown, at=at)


async def _editor(
    request: Request, caller: Caller, text: str, status: int = 200, at: int | None = None, **more: Any
) -> Response:
    client = LedgerClient(request)
    waiting = (await client.get("/v1/requests", state="open", act=PUT_IN_FORCE, at_least=at))["requests"]
    published = (await client.get("/v1/rules"))["published"]
    jobs = (await client.get("/v1/jobs"))["jobs"]
    values: dict[str, Any] = {
        "told": "",
        "source": None,
        "problem": None,
        "findings": [],
        "as_if_from": "",
        "valid_at": "",
        "text": text,
        "in_force": next((one for one in published if one["in_force"]), None),
        "waiting": waiting,
        "published": published,
        "form": rule_form(text),
        "jobs": [job for job in jobs if job["kind"] == "what-if" and job["state"] != "failed"][:5],
        "may_decide": "approve-act" in COMMANDS_OF_ROLE[caller.role],
        "may_publish": "publish-rules" in COMMANDS_OF_ROLE[caller.role],
    }
    return await render(request, "what_if.html", status, **(values | more))


def text_of(fields: Fields) -> str:
    """Return the text of a form as it is published: lines end with a line feed, the last one too."""
    return fields.get("text", "").replace("\r\n", "\n").strip("\n") + "\n"


@router.post("/what-if/check")
async def check(request: Request, fields: Fields, _caller: Trier) -> Response:
    """What the check of the API says about a text, and the form of its usual values, as parts of the page."""
    text = text_of(fields)
    findings, refusal = await _checked(LedgerClient(request), text, keep=False)
    form = None if refusal else rule_form(text)
    past = None if refusal or findings is None else findings
    return await render(
        request,
        "parts/rules_checked.html",
        findings=past["findings"] if past else _findings(refusal),
        past_days=past["past_days"] if past else [],
        form=form,
    )


async def _checked(
    client: LedgerClient, text: str, *, keep: bool
) -> tuple[dict[str, Any] | None, RefusedByApiError | None]:
    """Return what the API answers to a candidate: its findings, or its refusal."""
    content = what_if_runs.as_json({"text": text, "keep": keep})
    for left in reversed(range(CHECKS_MAX)):
        try:
            answer: Answer = await client.send("POST", "/v1/rules/candidates", content)
        except RefusedByApiError as error:
            if error.status == 503 and left:  # the check of what was typed before is still running
                await asyncio.sleep(CHECK_AGAIN_SECONDS)
                continue
            if error.rejection not in {"unsound-rules", "invalid", "too-large"}:
                raise
            return None, error
        return dict(answer.data), None
    raise AssertionError("unreachable")


def _findings(refusal: RefusedByApiError | None) -> list[dict[str, Any]]:
    if refusal is None:
        return []
    found = refusal.problem.get("findings")
    sentence = {"line": 1, "key": "", "severity": "error", "sentence": str(refusal), "remedy": ""}
    return list(found) if found else [sentence]


@router.post("/what-if/runs")
async def run(request: Request, fields: Fields, caller: Trier) -> Response:
    """Keep a draft, and begin to compare it with the rules in force."""
    text, client = text_of(fields), LedgerClient(request)
    stays: dict[str, Any] = {"as_if_from": fields.get("as_if_from", ""), "valid_at": fields.get("valid_at", "")}
    kept, refusal = await _checked(client, text, keep=True)
    if kept is None:
        return await _editor(request, caller, text, 422, findings=_findings(refusal), **stays)
    body = {
        "before": {"rules": "current"},
        "after": {"rules": kept["digest"]},
        "limit": VOLUNTEERS_LISTED,
        **{name: value for name, value in stays.items() if value},
    }
    try:
        job = await _begun(client, body)
    except RefusedByApiError as error:
        if error.status not in {422, 429, 503}:
            raise
        return await _editor(request, caller, text, error.status, problem=error, **stays)
    return RedirectResponse(f"/what-if/runs/{job}?rules={kept['digest']}", 303)


async def _begun(client: LedgerClient, body: dict[str, Any]) -> str:
    """Start a comparison as a job; return the job's id."""
    content = what_if_runs.as_json(body)
    answer = await client.send("POST", "/v1/what-ifs", content, headers={"prefer": "respond-async"})
    return str(answer.data["id"])


@router.post("/what-if/publish")
async def publish(request: Request, fields: Fields, _caller: Publisher) -> Response:
    """Publish a draft without putting it in force, and ask that another person approve that it be."""
    client, digest = LedgerClient(request), fields.get("rules", "")
    text = (await client.get(address("/v1/rules/{rules}", rules=digest)))["text"]
    version = await _version_of(client, digest)
    if version is None:
        await client.post("/v1/commands/publish-rules", {"text": text, "in_force": False})
        version = await _version_of(client, digest)
    asked = {
        "request": f"rules-{version}-{fields.get('name', '')}"[:64],
        "act": PUT_IN_FORCE,
        "fields": {"rules_version": version, "rules_digest": digest, "reason": "tried-out"},
    }
    note = fields.get("note")
    answer = await client.post("/v1/commands/request-act", {**asked, "text": note} if note else asked)
    return RedirectResponse(f"/what-if?told=asked&at={answer['position']}", 303)


async def _version_of(client: LedgerClient, digest: str) -> int | None:
    """Return the version under which a text was published; None if it was not."""
    published = (await client.get("/v1/rules"))["published"]
    return next((one["version"] for one in published if one["digest"] == digest), None)


@router.post("/what-if/requests/{request_id}/{decision}")
async def decide(request: Request, request_id: str, decision: str, fields: Fields, _caller: Decider) -> Response:
    """Approve or decline that rules be put in force, or withdraw one's own request for it."""
    client, body = LedgerClient(request), {"request": request_id}
    if decision == "approve":
        answer = await client.post("/v1/commands/approve-act", body)
    elif decision == "decline":
        note = fields.get("note")
        answer = await client.post(
            "/v1/commands/decline-act", {**body, "reason": "not-right"} | ({"text": note} if note else {})
        )
    else:
        answer = await client.post("/v1/commands/withdraw-request", body)
    told = "approved" if decision == "approve" else "ended"
    return RedirectResponse(f"/what-if?told={told}&at={answer['position']}", 303)
