"""The import of a table of old records: read, rehearsed line by line, and only then recorded.

The file stays in the browser. Its lines come back as events, which are sent in slices: first as a dry run, then to be
recorded; so an import that was stopped is simply sent again, and nothing is recorded twice.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request
from fastapi.responses import JSONResponse, Response

from api.access.roles import Caller, Right
from api.messages.cloud_events import BATCH
from api.pages.languages import texts_for
from api.pages.ledger_client import LedgerClient, RefusedByApiError
from api.pages.page_routes import needs_right, page_router
from api.pages.refusals import SENTENCES, refusals
from api.pages.rendering import TEMPLATES, render

router = page_router()
Importer = Annotated[Caller, Depends(needs_right(Right.IMPORT))]
EXAMPLES = TEMPLATES / "office" / "mappings"
OF_FORMS = {"name-taken", "invalid"}
"""Refusals whose sentences are about a form that was sent, not about a line of a table."""


@router.get("/office/import")
async def import_page(request: Request, caller: Importer) -> Response:
    """The form that takes a file and its mapping."""
    examples = {path.stem: path.read_text("utf-8") for path in sorted(EXAMPLES.glob("*.toml"))}
    texts = texts_for(request.headers)
    refused = refusals(texts.gettext, texts.language)
    sentences = {name: sentence for name in SENTENCES.keys() - OF_FORMS if (sentence := refused(name))}
    return await render(request, "office/import.html", examples=examples, given=caller.imports, sentences=sentences)


@router.post("/office/import/lines")
async def read_lines(request: Request, _caller: Importer) -> Response:
    """The lines of a file as events, as the API reads them."""
    return await _passed_on(request, "/v1/imports/lines", "application/json", {})


@router.post("/office/import/rehearsals")
async def rehearse(request: Request, _caller: Importer) -> Response:
    """What would become of some events."""
    return await _passed_on(request, "/v1/events", BATCH, {"dry_run": "true"})


@router.post("/office/import/records")
async def record(request: Request, _caller: Importer) -> Response:
    """Record some events."""
    return await _passed_on(request, "/v1/events", BATCH, {})


async def _passed_on(request: Request, path: str, media_type: str, query: dict[str, str]) -> Response:
    """Return the API's answer to a script of the page, also where it refuses."""
    content = await request.body()
    try:
        answer = await LedgerClient(request).send("POST", path, content, media_type, query)
    except RefusedByApiError as error:
        return JSONResponse(error.problem, error.status)
    return Response(answer.content, answer.status, media_type="application/json")
