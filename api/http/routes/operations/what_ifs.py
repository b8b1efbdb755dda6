"""What-ifs over HTTP: compare two sides, before anything is published.

The answer takes seconds at full scale; with `Prefer: respond-async` the comparison is a job that can be followed and
stopped. With the Accept header for CSV or Parquet the answer is a table of all volunteers who differ.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Header, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from api.access.roles import Caller, Right
from api.http.media_types import chosen
from api.http.requests.dependencies import ServiceDep, allowed_to, handed_over, run_check, run_exclusively, run_lookup
from api.http.requests.json_routes import JsonRoute
from api.http.routes.operations.jobs import WHAT_IF, start
from api.messages.problems import problem
from api.operations.jobs import JobStatus, Task
from api.operations.service import OpenLedger
from api.operations.sides import check_trial, is_text, side_axes
from ledger.names import AS_WRITTEN, QueryDay
from projections.rules.timeline import RulesError
from replay.progress import Progress, checked, ignore
from replay.queries.queries import Axes
from replay.what_if.answers import WhatIf
from replay.what_if.comparison import Comparison, points, what_if
from replay.what_if.files import Format, as_bytes
from replay.what_if.sentences import what_if_answer

router = APIRouter(prefix="/v1/what-ifs", tags=["readers"], dependencies=[Depends(handed_over)], route_class=JsonRoute)
T = TypeVar("T")

LIMIT_MAX = 10_000
WHAT_IF_SECONDS_MAX = 300.0
"""How long a what-if that is a job may take; at full scale it takes a few seconds."""
MEDIA_TYPES: dict[str, Format] = {"text/csv": "csv", "application/vnd.apache.parquet": "parquet"}
Number = Annotated[int, Field(strict=True), AS_WRITTEN]
_KNOWN_AT = "A log position, or an ISO 8601 instant with a zone; by default everything known now."


class SideRequest(BaseModel):
    """One side: rules, a point of knowledge, or both. By default the rules in force, and everything known now."""

    model_config = ConfigDict(extra="forbid")

    rules: Annotated[
        Number | str | None,
        Field(
            description='A version, a digest (its first 8 digits are enough), "current", or a candidate\'s TOML; '
            "by default the rules known then."
        ),
    ] = None
    known_at: Annotated[Number | str | None, Field(description=_KNOWN_AT)] = None


class WhatIfRequest(BaseModel):
    """Two sides to compare. `limit`: the maximum length of the lists; the counts always include everything."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"before": {"rules": 1}, "after": {"rules": "current"}, "limit": 20}]},
    )

    before: SideRequest = SideRequest()
    after: SideRequest = SideRequest()
    valid_at: Annotated[QueryDay | None, Field(description="Only results dated up to this day.")] = None
    as_if_from: Annotated[
        QueryDay | None,
        Field(description="Try the new rules of `after` as if they held from this day, by default from their own."),
    ] = None
    limit: Annotated[int, Field(strict=True, ge=0, le=LIMIT_MAX), AS_WRITTEN] = 100


_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"content": {name: {"schema": {"type": "string", "format": "binary"}} for name in MEDIA_TYPES}},
    202: {"model": JobStatus, "description": "With `Prefer: respond-async`: the job, whose address is in `Location`."},
}


@router.post("", summary="Compare two sides", response_model=WhatIf, responses=_RESPONSES)
async def compare(
    request: Request,
    comparison: WhatIfRequest,
    service: ServiceDep,
    caller: Annotated[Caller, Depends(allowed_to(Right.TRY_RULES))],
    prefer: Annotated[str | None, Header(description="`respond-async` to start a job instead of waiting.")] = None,
) -> Response | WhatIf:
    """Return who gains and loses minutes, and by which step of the rules; and the changes at stations, of honours and
    of ranks.

    The sides can differ in rules, in knowledge, or in both. With `Accept: text/csv` or
    `application/vnd.apache.parquet` the answer is a table of all volunteers who differ.
    """
    ledger = service.ledger

    def read_sides() -> tuple[Axes, Axes]:
        both = _axes(ledger, comparison, "before"), _axes(ledger, comparison, "after")
        check_trial(ledger, both, comparison.as_if_from)
        return both

    parses = comparison.as_if_from is not None
    parses |= any(is_text(str(side.rules)) for side in (comparison.before, comparison.after))
    sides = await (run_check if parses else run_lookup)(request, read_sides)

    def work(progress: Progress) -> WhatIf:
        return ledger.named(what_if_answer(compared(ledger, sides, comparison, progress), comparison.limit))

    if "respond-async" in (prefer or "").lower():
        answer = start(service, caller, Task(WHAT_IF, work, seconds_max=WHAT_IF_SECONDS_MAX))
        answer.headers["Preference-Applied"] = "respond-async"
        return answer
    kind = MEDIA_TYPES.get(chosen(request, *MEDIA_TYPES))
    if kind is None:
        return await run_exclusively(request, lambda: work(checked))
    content = await run_exclusively(request, lambda: as_bytes(compared(ledger, sides, comparison, checked), kind))
    return Response(
        content,
        media_type=next(name for name, known in MEDIA_TYPES.items() if known == kind),
        headers={"Content-Disposition": f'attachment; filename="what-if.{kind}"'},
    )


def compared(
    ledger: OpenLedger, sides: tuple[Axes, Axes], comparison: WhatIfRequest, progress: Progress = ignore
) -> Comparison:
    """Compare two sides of a ledger."""
    before, after = points(ledger.database, ledger.archive, sides, progress)
    return what_if(before, after, valid_at=comparison.valid_at, as_if_from=comparison.as_if_from, progress=progress)


def _axes(ledger: OpenLedger, comparison: WhatIfRequest, name: str) -> Axes:
    side: SideRequest = getattr(comparison, name)
    rules, known_at = (None if part is None else str(part) for part in (side.rules, side.known_at))
    try:
        return side_axes(ledger, rules, known_at, comparison.valid_at)
    except RulesError as error:
        remedy = error.findings[0].remedy
        raise problem("unsound-rules", str(error), field=f"{name}.rules", remedy=remedy) from None
