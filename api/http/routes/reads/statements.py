"""The route to a volunteer's statement: JSON for programs, CSV and Excel for offices, a page to print for everybody."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from fastapi import APIRouter, Path, Query, Request, Response

from api.access.refusals import require
from api.access.roles import Right
from api.files.statement_page import POLICY, as_page
from api.files.statements import as_csv, as_excel
from api.http.media_types import chosen
from api.http.requests.dependencies import CallerDep, ServiceDep, run_read
from api.http.requests.links import Addresses, linked
from api.http.requests.readings import AxesDep
from api.messages.periods import check_period, local_day
from ledger.names import NAME_PATTERN, QueryDay
from ledger.store.persons import LookedUpBy, Persons
from replay.queries.queries import UnknownNameError
from replay.queries.statement_answers import Statement, StatementLine, named_person
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
    caller: CallerDep,
    reading: AxesDep,
    first: Annotated[QueryDay | None, Query(alias="from", description="Only minutes on this day or later.")] = None,
    last: Annotated[QueryDay | None, Query(alias="to", description="Only minutes on this day or earlier.")] = None,
    with_name: Annotated[  # noqa: FBT002 - a parameter of the query
        bool, Query(description="With the person's name, for keys that may look up persons; the look-up is recorded.")
    ] = False,
) -> Response | Statement:
    """What was served on each day, where, under which organisation, what counted, and why not the rest; in order of
    time. The sums are those of the volunteer's hours; without a period the credited minutes are their total.

    With `Accept: text/html` the answer is a page to print, with `text/csv` or
    `application/vnd.openxmlformats-officedocument.spreadsheetml.sheet` a table.
    """
    check_period(first, last)
    if with_name:
        require(caller, Right.LOOK_UP_PERSONS)
    ledger, axes, today = service.ledger, reading.axes, local_day(service.ledger.clock(), reading.rules.timeline())
    media_type = chosen(request, HTML, CSV, EXCEL)

    def read() -> Statement | _File:
        found = ledger.named(statement(ledger.database, number, (first, last), today, axes))
        if with_name:
            person = Persons(ledger.database.pool).show(number, LookedUpBy(caller.by, caller.key))
            if person is None:
                raise UnknownNameError("person", number)
            found = named_person(found, person)
        match media_type:
            case "text/html":
                return _File(as_page(found), HTML)
            case "text/csv":
                return _File(as_csv(found), CSV)
            case "application/json":
                return StatementAddresses(axes).statement(found)
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
