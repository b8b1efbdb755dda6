"""A volunteer's papers: certificates as PDF, and the statement of service to print. They are the API's documents."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import Depends, Path, Query, Request
from fastapi.responses import Response

from api.access.roles import Caller
from api.pages.ledger_client import Answer, LedgerClient, address
from api.pages.page_routes import needs, page_router
from ledger.names import CERTIFICATE_PATTERN

router = page_router()
Reader = Annotated[Caller, Depends(needs())]
_FORWARDED = ("content-disposition", "content-security-policy")


@router.get("/certificates/{certificate}.pdf")
async def certificate(
    request: Request, _caller: Reader, certificate: Annotated[str, Path(pattern=CERTIFICATE_PATTERN)]
) -> Response:
    """A certificate as PDF. The API gives a volunteer the own ones alone."""
    path = address("/v1/certificates/{certificate}.pdf", certificate=certificate)
    return _document(await LedgerClient(request).send("GET", path))


@router.get("/volunteers/{number}/statement")
async def statement(
    request: Request,
    _caller: Reader,
    number: str,
    first: Annotated[date | None, Query(alias="from")] = None,
    last: Annotated[date | None, Query(alias="to")] = None,
) -> Response:
    """The statement of service as a page to print."""
    path = address("/v1/volunteers/{number}/statement", number=number)
    client = LedgerClient(request)
    query = {"from": first, "to": last}
    return _document(await client.send("GET", path, query=query, headers={"Accept": "text/html"}))


def _document(answer: Answer) -> Response:
    headers = {name: answer.headers[name] for name in _FORWARDED if name in answer.headers}
    return Response(answer.content, media_type=answer.headers["content-type"], headers=headers)
