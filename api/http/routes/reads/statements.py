"""The route to a volunteer's statement: JSON for programs, CSV and Excel for offices, a page to print for everybody."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from fastapi import APIRouter, Path, Query, Request, Response

from api.files.statement_page import POLICY, as_page
from api.files.statements import as_csv, as_excel
from api.http.requests.dependencies import AxesDep, ServiceDep, run_read, today_of
from api.http.requests.links import Addresses, linked
from api.messages.periods import check_period
from ledger.names import NAME_PATTERN, QueryDay
from replay.queries.statement_answers import Statement, StatementLine
from replay.queries.statements import statement

router = APIRouter(tags=["readers"])

HTML, CSV = "text/html", "text/csv"
EXCEL = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_SUFFIXES = {CSV: "csv", EXCEL: "xlsx"}


class _File(NamedTuple):
    content: str | bytes
    media_type: str


@router.get(
    "/v1/volunteers/{number}/statement",
    summary="A volunteer's statement of service",
    response_model=Statement,
    responses={200: {"content": {HTML: {}, CSV: {}, EXCEL: {}}, "description": "The statement."}},
)
async def volunteer_statement(
    request: Request,
    number: Annotated[str, Path(description="The volunteer number.", pattern=NAME_PATTERN, examples=["V0000001"])],
    service: ServiceDep,
    reading: AxesDep,
    first: Annotated[QueryDay | None, Query(alias="from", description="Only minutes on this day or later.")] = None,
    last: Annotated[QueryDay | None, Query(alias="to", description="Only minutes on this day or earlier.")] = None,
) -> Response | Statement:
    """What was served on each day, where, under which organisation, what counted, and why not the rest; in order of
    time. The sums are those of the volunteer's hours; without a period the credited minutes are their total.

    With `Accept: text/html` the answer is a page to print, with `text/csv` or
    `application/vnd.openxmlformats-officedocument.spreadsheetml.sheet` a table.
    """
    check_period(first, last)
    ledger, axes, today = service.ledger, reading.axes, today_of(service, reading)
    accepted = request.headers.get("accept", "")
    media_type = next((kind for kind in (HTML, CSV, EXCEL) if kind in accepted), None)

    def read() -> Statement | _File:
        found = ledger.named(statement(ledger.database, number, (first, last), today, axes))
        match media_type:
            case None:
                return StatementAddresses(axes).statement(found)
            case "text/html":
                return _File(as_page(found), HTML)
            case "text/csv":
                return _File(as_csv(found), CSV)
            case _:
                return _File(as_excel(found), EXCEL)

    found = await run_read(request, read)
    if isinstance(found, Statement):
        return found
    headers = {"Vary": "Accept"}
    if found.media_type == HTML:
        headers["Content-Security-Policy"] = POLICY
    else:
        suffix = _SUFFIXES[found.media_type]
        headers["Content-Disposition"] = f'attachment; filename="statement-{number}.{suffix}"'
    return Response(found.content, media_type=found.media_type, headers=headers)


class StatementAddresses(Addresses):
    """Makes the links of a statement."""

    def statement(self, found: Statement) -> Statement:
        """Link each line to the explanation of its day and to the events of its shift."""
        return found.model_copy(update={"lines": [self._line(found.volunteer, line) for line in found.lines]})

    def _line(self, volunteer: str, line: StatementLine) -> StatementLine:
        links = {"events": self.shift_events(line.volunteer or volunteer, line.shift)}
        if line.raw_minutes:
            links["explanation"] = self.explanation(volunteer, line.day)
        return linked(line, **links)
