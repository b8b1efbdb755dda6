"""Comparisons of a draft with the rules in force: their progress while they run, and what they found."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

from fastapi import Depends, Query, Request
from fastapi.responses import RedirectResponse, Response, StreamingResponse

from api.access.roles import COMMANDS_OF_ROLE, Caller, Right
from api.operations.service import Service
from api.pages.languages import texts_for
from api.pages.ledger_client import LedgerClient, RefusedByApiError
from api.pages.page_routes import UNBUFFERED, needs_right, page_router
from api.pages.rendering import render
from api.pages.what_if.results import bands, reason_words

router = page_router()
Trier = Annotated[Caller, Depends(needs_right(Right.TRY_RULES))]
VOLUNTEERS_OF_A_PAGE = 50
LOOK_SECONDS = 0.3
TABLES = {"csv": "text/csv", "parquet": "application/vnd.apache.parquet"}
ENDED = {"done", "failed", "stopped"}


def as_json(body: object) -> bytes:
    """Return a body as it is sent."""
    return json.dumps(body).encode()


@router.get("/what-if/runs/{job}")
async def shown(
    request: Request,
    job: UUID,
    caller: Trier,
    rules: Annotated[str, Query(max_length=64)] = "",
    page: Annotated[int, Query(ge=1, le=1000)] = 1,
) -> Response:
    """How far a comparison is, or what it found."""
    client = LedgerClient(request)
    status = await client.get(f"/v1/jobs/{job}")
    if status["state"] != "done":
        return await render(request, "what_if_running.html", job=status, rules=rules)
    found = status["result"]
    first = (page - 1) * VOLUNTEERS_OF_A_PAGE
    gettext = texts_for(request.headers).gettext
    known = (await client.get("/v1/rules"))["published"]
    digest = found["after"]["rules"]["digest"]
    return await render(
        request,
        "what_if_result.html",
        job=status,
        found=found,
        bands=bands(found["distribution"], gettext),
        reason=reason_words(gettext),
        titles={one["honor"]: one["title"] for one in found["honors"]},
        page=page,
        volunteers=found["volunteers"][first : first + VOLUNTEERS_OF_A_PAGE],
        pages=-(-len(found["volunteers"]) // VOLUNTEERS_OF_A_PAGE),
        digest=digest,
        is_in_force=any(one["digest"] == digest and one["in_force"] for one in known),
        may_publish="publish-rules" in COMMANDS_OF_ROLE[caller.role],
        name=uuid4().hex[:12],
    )


@router.get("/what-if/runs/{job}/events")
async def events(request: Request, job: UUID, _caller: Trier) -> Response:
    """The progress of a comparison as server-sent events; at the end `ended`, after which the page is loaded again."""
    client = LedgerClient(request)
    service: Service = request.app.state.service
    first = await client.get(f"/v1/jobs/{job}")

    async def told() -> AsyncIterator[str]:
        status: dict[str, Any] = first
        sent = None
        while not service.stopping.is_set():
            if status["progress"] != sent:
                sent = status["progress"]
                yield f"event: progress\ndata: {json.dumps({**sent, 'state': status['state']})}\n\n"
            if status["state"] in ENDED:
                break
            await asyncio.sleep(LOOK_SECONDS)
            try:
                listed = (await client.get("/v1/jobs"))["jobs"]  # without the results, which can be long
            except RefusedByApiError as error:
                if error.status not in {429, 503}:
                    break  # the key has ended
                continue  # too many requests for the moment
            found = next((one for one in listed if one["id"] == str(job)), None)
            if found is None:
                break
            status = found
        yield "event: ended\ndata: {}\n\n"

    return StreamingResponse(
        told(), media_type="text/event-stream", headers={"Cache-Control": "no-store", **UNBUFFERED}
    )


@router.post("/what-if/runs/{job}/stop")
async def stop(
    request: Request, job: UUID, _caller: Trier, rules: Annotated[str, Query(max_length=64)] = ""
) -> Response:
    """Stop a comparison; its page leads back to the draft."""
    await LedgerClient(request).send("DELETE", f"/v1/jobs/{job}")
    return RedirectResponse(f"/what-if/runs/{job}?{urlencode({'rules': rules})}", 303)


@router.get("/what-if/runs/{job}/volunteers.{form}")
async def table(request: Request, job: UUID, form: str, _caller: Trier) -> Response:
    """All volunteers who differ, as a file: the comparison is made again with the same sides."""
    client = LedgerClient(request)
    found = (await client.get(f"/v1/jobs/{job}"))["result"] or {}
    sides = {
        name: {"rules": found[name]["rules"]["digest"], "known_at": found[name]["known_at"]}
        for name in ("before", "after")
    }
    body = {**sides, **{name: found[name] for name in ("valid_at", "as_if_from") if found.get(name)}}
    accept = TABLES.get(form, TABLES["csv"])
    answer = await client.send("POST", "/v1/what-ifs", as_json(body), headers={"accept": accept})
    name = answer.headers.get("content-disposition", "attachment")
    return Response(answer.content, media_type=accept, headers={"Content-Disposition": name})
