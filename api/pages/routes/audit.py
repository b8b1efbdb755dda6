"""Audit: what auditors look at (findings, samples, checkpoints), and where their browser verifies it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Depends, Query, Request
from fastapi.responses import Response

from api.access.roles import Caller, Right
from api.pages.audit_words import KINDS, reason_of
from api.pages.languages import texts_for
from api.pages.ledger_client import LedgerClient, RefusedByApiError
from api.pages.page_routes import needs_right, page_router
from api.pages.rendering import render
from api.pages.routes import audit_log

router = page_router()
router.include_router(audit_log.router)
Auditor = Annotated[Caller, Depends(needs_right(Right.AUDIT))]
FINDINGS_OF_A_PAGE = 50


@router.get("/audit")
async def audit(request: Request, _caller: Auditor) -> Response:
    """What there is to look at, and the button that verifies."""
    client = LedgerClient(request)
    status = await client.get("/v1/status")
    return await render(
        request,
        "audit.html",
        status=status,
        signers=await _signers(client),
        keys=await _keys(client),
        position=status["tree"]["published"],
    )


@router.get("/audit/findings")
async def findings(request: Request, _caller: Auditor) -> Response:
    """How many findings of each kind there are. To count them takes seconds after a start, so it is no part of the page
    itself.
    """
    counts: dict[str, int] | None = None
    try:
        counts = (await LedgerClient(request).get("/v1/anomalies", limit=1))["counts"]
    except RefusedByApiError as error:
        if error.status not in {429, 503}:
            raise
    return await render(request, "parts/findings.html", counts=counts, kinds=KINDS)


async def _keys(client: LedgerClient) -> dict[str, Any] | None:
    """Return the keys as published; None if there are none yet."""
    try:
        return dict(await client.get("/.well-known/service-hours-keys"))
    except RefusedByApiError as error:
        if error.rejection != "no-checkpoint":
            raise
    return None


async def _signers(client: LedgerClient) -> list[str]:
    """Return the names of all who signed the published checkpoint, each once; none before the first."""
    try:
        note = (await client.send("GET", "/v1/log/checkpoint")).content.decode()
    except RefusedByApiError as error:
        if error.rejection != "no-checkpoint":
            raise
        return []
    return list(dict.fromkeys(line.split(" ")[1] for line in note.splitlines() if line.startswith("— ")))


@router.get("/audit/anomalies")
async def anomalies(
    request: Request,
    _caller: Auditor,
    kind: str = "",
    station: str = "",
    volunteer: str = "",
    actor: str = "",
    first: Annotated[str, Query(alias="from")] = "",
    last: Annotated[str, Query(alias="to")] = "",
    after: str = "",
    known_at: str = "",
) -> Response:
    """Findings as a worklist, the latest first."""
    chosen = _given(kind=kind, station=station, volunteer=volunteer, actor=actor, from_=first, to=last)
    found = await LedgerClient(request).get(
        "/v1/anomalies", **chosen, after=after or None, known_at=known_at or None, limit=FINDINGS_OF_A_PAGE
    )
    gettext = texts_for(request.headers).gettext
    return await render(
        request,
        "audit_anomalies.html",
        found=found,
        kinds=KINDS,
        chosen={name: value or "" for name, value in chosen.items()},
        reasons={each["anomaly"]: reason_of(each, gettext) for each in found["anomalies"]},
    )


@router.get("/audit/spot-check")
async def spot_check(
    request: Request,
    _caller: Auditor,
    seed: str = "",
    size: str = "20",
    station: str = "",
    first: Annotated[str, Query(alias="from")] = "",
    last: Annotated[str, Query(alias="to")] = "",
    strata: str = "none",
    known_at: str = "",
    form: str = "",
) -> Response:
    """A random sample of shifts to print and take into the field; without a seed, the form alone."""
    query = _given(seed=seed, size=size, station=station, strata=strata, known_at=known_at, from_=first, to=last)
    client = LedgerClient(request)
    if seed and form == "csv":
        answer = await client.send("GET", "/v1/spot-check", query=query, headers={"accept": "text/csv"})
        name = answer.headers.get("content-disposition", "attachment")
        return Response(answer.content, media_type="text/csv", headers={"Content-Disposition": name})
    found = await client.get("/v1/spot-check", **query) if seed else None
    return await render(
        request,
        "audit_spot_check.html",
        found=found,
        drawn_at=datetime.now(UTC),
        chosen={name: value or "" for name, value in query.items()},
    )


def _given(**fields: str) -> dict[str, str | None]:
    """Return the fields of a form by the names of the API; None for those that were left empty."""
    return {name.rstrip("_"): value.strip() or None for name, value in fields.items()}
