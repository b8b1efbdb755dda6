"""Routes to certificates and their documents, and the one with which anybody who has a document asks about it.

A document shows the texts that stand on the certificate, so it needs the right to read texts, or the key of the
volunteer whose certificate it is. The state of a certificate is answered without a key to whoever names its digest,
which only its documents show; the answer names nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from anyio.to_thread import run_sync
from fastapi import APIRouter, Path, Query, Request, Response

from api.access.refusals import require
from api.access.roles import Caller, Right, Role, forbids_right
from api.files.certificate_page import POLICY, as_page
from api.http.requests.dependencies import CallerDep, PermitDep, ServiceDep, run_read
from api.http.requests.lanes import ConcurrencyLimits
from api.messages.problems import problem
from api.operations.service import OpenLedger
from ledger.names import CERTIFICATE_PATTERN, NAME_PATTERN
from replay.axes.answers import Answer
from replay.certificates.documents import Documents
from replay.certificates.register import CertificateRecord, Certificates, CertificateState

router = APIRouter(tags=["certificates"])

PROOF_HEADER = "Tlog-Proof"
"""The header of a document: whether it carries the proof that the ledger recorded and sealed what it states."""
_ANYBODY = "anybody"
"""Whose share of the reads those without a key take, all together."""
DIGEST_PATTERN = r"^[0-9a-f]{32,64}$"
Number = Annotated[str, Path(description="The number.", pattern=CERTIFICATE_PATTERN, examples=["2026-000001"])]
Limit = Annotated[int, Query(ge=1, le=100, description="The maximum number of certificates.")]
After = Annotated[str | None, Query(description="`next_after` of the page before.", pattern=CERTIFICATE_PATTERN)]

_TYPES = {
    "pdf": "application/pdf",
    "json": "application/vc+json",
    "jwt": "application/jwt",
    "html": "text/html; charset=utf-8",
}
_MAKERS: dict[str, Callable[[Documents], bytes | str]] = {
    "pdf": Documents.pdf,
    "json": Documents.json,
    "jwt": Documents.jwt,
    "html": lambda documents: as_page(documents.certificate),
}


class StateNow(Answer):
    """Whether a certificate holds: `valid`; `superseded`, if other hours are credited now; or `revoked`."""

    certificate: str
    state: CertificateState


@router.get("/v1/certificates", summary="The certificates issued in a year")
async def certificates(
    request: Request,
    caller: CallerDep,
    service: ServiceDep,
    _permit: PermitDep,
    year: Annotated[int, Query(ge=2000, le=2099, description="The year in which they were issued.")],
    limit: Limit = 20,
    after: After = None,
) -> Certificates:
    """In the order of their numbers, each with its state now. A superseded one has the hours that are credited now."""
    require(caller, Right.READ)
    return await run_read(request, lambda: service.ledger.certificates.of_year(year, after, limit))


@router.get("/v1/volunteers/{number}/certificates", summary="A volunteer's certificates")
async def certificates_of_volunteer(
    request: Request,
    number: Annotated[str, Path(description="The volunteer number.", pattern=NAME_PATTERN, examples=["V0000001"])],
    _caller: CallerDep,
    service: ServiceDep,
    _permit: PermitDep,
    limit: Limit = 20,
    after: After = None,
) -> Certificates:
    """In the order in which they were issued, under each number of the person, each with its state now."""
    return await run_read(request, lambda: service.ledger.certificates.of_volunteer(number, after, limit))


@router.get("/v1/certificates/{certificate}/state", summary="Whether a certificate holds, for whoever has its document")
async def state(
    request: Request,
    certificate: Number,
    service: ServiceDep,
    digest: Annotated[str, Query(description="The digest that the document shows.", pattern=DIGEST_PATTERN)],
) -> StateNow:
    """No key is needed. If the digest is not that of the certificate, the answer is that of an unknown number."""

    def read() -> StateNow:
        found = service.ledger.certificates.state_of(certificate, digest)
        return StateNow(certificate=certificate, state=found)

    limits: ConcurrencyLimits = request.app.state.concurrency
    async with limits.queries.permit(_ANYBODY):
        return await run_sync(read)


@router.get(
    "/v1/certificates/{certificate}.{form}",
    summary="A certificate's document",
    response_class=Response,
    responses={
        200: {
            "content": {name: {} for name in _TYPES.values()},
            "description": "The document.",
            "headers": {
                PROOF_HEADER: {
                    "description": "`included`; or `none` and why: then `hours verify` does not accept the document.",
                    "schema": {"type": "string"},
                }
            },
        }
    },
)
async def document(
    request: Request,
    certificate: Number,
    form: Annotated[Literal["pdf", "json", "jwt", "html"], Path(description="PDF/A-3, credential, VC-JWT, or a page.")],
    caller: CallerDep,
    service: ServiceDep,
    _permit: PermitDep,
) -> Response:
    """A PDF/A-3 file with the credential attached, an Open Badges 3.0 credential, the same as VC-JWT, or a page to
    print. The same certificate gives the same bytes once its proof is there, which the header `Tlog-Proof` says.
    """
    if caller.role is not Role.VOLUNTEER:
        require(caller, Right.READ_TEXTS)
    ledger = service.ledger

    def make() -> tuple[bytes | str, Documents]:
        found = ledger.certificates.certificate(certificate, ledger.address)
        if caller.role is Role.VOLUNTEER:
            _require_own(caller, ledger, found.issued.volunteer)
        documents = ledger.documents(found)
        return _MAKERS[form](documents), documents

    content, documents = await run_read(request, make)
    headers = {"Content-Security-Policy": POLICY} if form == "html" else {}
    if form != "html":
        headers["Content-Disposition"] = f'attachment; filename="certificate-{certificate}.{form}"'
        headers[PROOF_HEADER] = "included" if documents.proof else f"none; {documents.unproved}"
    return Response(content, media_type=_TYPES[form], headers=headers)


@router.get("/v1/certificates/{certificate}", summary="A certificate and its state")
async def certificate_record(
    request: Request, certificate: Number, caller: CallerDep, service: ServiceDep, _permit: PermitDep
) -> CertificateRecord:
    """What it states, who issued it, and whether it is valid, superseded or revoked now. Its texts are shown to those
    who may read free texts, and to its volunteer.
    """
    ledger = service.ledger

    def read() -> CertificateRecord:
        record = ledger.certificates.record(certificate)
        if caller.role is Role.VOLUNTEER:
            _require_own(caller, ledger, record.volunteer)
        elif forbids_right(caller, Right.READ_TEXTS):
            return record
        return ledger.certificates.record(certificate, texts=True)

    return await run_read(request, read)


def _require_own(caller: Caller, ledger: OpenLedger, volunteer: str) -> None:
    """Refuse a volunteer's key that is not that of the volunteer of a certificate."""
    own = ledger.queries.volunteer_hours(caller.name).numbers or []
    if volunteer not in {caller.name, *own}:
        detail = f"this key opens only the certificates of volunteer {caller.name}"
        raise problem("forbidden", detail, field="role", remedy=f"use /v1/volunteers/{caller.name}/certificates")
