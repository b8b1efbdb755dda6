"""The route that issues a certificate; the hours come from the read models (replay/certificates/issuing.py)."""

from __future__ import annotations

from typing import Annotated
from uuid import uuid4

from fastapi import APIRouter, Depends, Request, Response

from api.access.roles import Caller
from api.http.requests.dependencies import ServiceDep, allowed_to_send, run_plan
from api.http.requests.json_routes import JsonRoute
from api.http.requests.submission import IntakeOptions, Reader, submit, wait_projected
from api.messages.problems import Fault, Problem, fault_of_refusal, problem
from ledger.aggregates.certificate import IssueCertificate
from ledger.names import Position
from ledger.rejections import Refused
from ledger.store.persons import LookedUpBy
from replay.axes.answers import Linked
from replay.certificates.issuing import CertificateRequest, IssueError, plan_certificate
from replay.certificates.register import number_of_event

router = APIRouter(prefix="/v1/certificates", tags=["certificates"], route_class=JsonRoute)

_WAIT = IntakeOptions(wait="projected")


class CertificateIssued(Linked):
    """The number of a new certificate, the position of its event, and the minutes that it states."""

    certificate: str
    position: int
    scanned_minutes: int
    attested_minutes: int


@router.post("", status_code=201, summary="Issue a certificate, with its evidence")
async def issue(
    request: Request,
    wanted: CertificateRequest,
    response: Response,
    service: ServiceDep,
    caller: Annotated[Caller, Depends(allowed_to_send(IssueCertificate.TYPE))],
) -> CertificateIssued:
    """Issue a certificate of the minutes that are credited to a volunteer in whole calendar years now. The ledger gives
    the number. With `with_name` it shows the holder's name from the directory, and the look-up is recorded.
    """
    ledger, who = service.ledger, LookedUpBy(caller.by, caller.key)
    try:
        command = await run_plan(request, lambda: plan_certificate(ledger.database, ledger.queries, wanted, who))
    except IssueError as error:
        remedy = str(error).partition("; ")[2]
        raise problem("invalid", str(error), field=error.field, remedy=remedy) from None
    reader = Reader(caller)
    reader.charge(service.limits, 1)
    order = reader.order(command, realm="certificates", id=str(uuid4()))
    if isinstance(order, Fault):
        raise Problem(order)
    (answer,) = await submit(request, [order], _WAIT)
    if isinstance(answer, Refused):
        raise Problem(fault_of_refusal(answer))
    position = answer.position or Position(0)
    await wait_projected(service, _WAIT, position)
    (event,) = ledger.log.read(Position(position - 1), 1)
    number = number_of_event(event)
    address = f"/v1/certificates/{number}"
    response.headers["Location"] = address
    return CertificateIssued(
        certificate=number,
        position=position,
        scanned_minutes=command.scanned_minutes,
        attested_minutes=command.attested_minutes,
        links={"certificate": address, **{form: f"{address}.{form}" for form in ("pdf", "json", "jwt", "html")}},
    )
