"""Routes for auditors: anomalous records, and random samples of shifts for checks in the field."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Query, Request, Response

from api.access.roles import Caller, Right
from api.files.spot_checks import as_csv
from api.http.media_types import chosen
from api.http.requests.dependencies import ServiceDep, allowed_to, run_replay
from api.http.requests.links import Addresses, linked
from api.http.requests.readings import AxesDep
from api.messages.periods import check_period
from api.messages.problems import problem
from ledger.names import ACTOR_PATTERN, NAME_PATTERN, QueryDay
from projections.anomalies.findings import Kind
from replay.audit.anomalies import MARK_FORM, AnomalyFilter
from replay.audit.answers import Anomalies, Anomaly
from replay.audit.spot_checks import SEED_FORM, Draw, SampledShift, SampleTooSmallError, SpotCheck, Strata
from replay.axes.answers import Grade
from replay.axes.as_known import MarkError

router = APIRouter(prefix="/v1", tags=["auditors"])
T = TypeVar("T")

CSV = "text/csv"
Auditor = Annotated[Caller, Depends(allowed_to(Right.AUDIT))]
Station = Annotated[str | None, Query(description="Only at this station.", pattern=NAME_PATTERN)]


@router.get("/anomalies", summary="Anomalous records, the latest first")
async def anomalies(
    request: Request,
    _caller: Auditor,
    service: ServiceDep,
    reading: AxesDep,
    kind: Annotated[Kind | None, Query(description="Only this kind; the counts include all kinds.")] = None,
    station: Station = None,
    volunteer: Annotated[str | None, Query(description="Only about this volunteer.", pattern=NAME_PATTERN)] = None,
    actor: Annotated[
        str | None, Query(description="Only events entered by this person or station.", pattern=ACTOR_PATTERN)
    ] = None,
    first: Annotated[QueryDay | None, Query(alias="from", description="Only dated on this day or later.")] = None,
    last: Annotated[QueryDay | None, Query(alias="to", description="Only dated on this day or earlier.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    after: Annotated[
        str | None,
        Query(description="`next_after` of the page before.", json_schema_extra={"pattern": f"^{MARK_FORM.pattern}$"}),
    ] = None,
) -> Anomalies:
    """Each finding with its reason and the records behind it. A finding is not a verdict: it changes no minutes.

    Anomalies are computed by the rules' table `[anomalies]`, from what is known now or under other axes; this needs a
    replay, which takes seconds for a whole district. `late-entry` lists records entered more than ten working days
    after the service ended.
    """
    check_period(first, last)
    reader, axes = service.ledger.queries.anomalies, reading.axes
    criteria, addresses = AnomalyFilter(kind, station, volunteer, actor, first, last), AuditAddresses(axes)
    try:
        return await run_replay(request, lambda: addresses.anomalies(reader.anomalies(axes, criteria, limit, after)))
    except MarkError as error:
        raise problem("invalid", str(error), field="after") from None


@router.get(
    "/spot-check",
    summary="A random sample of shifts",
    response_model=SpotCheck,
    responses={
        200: {"content": {CSV: {"schema": {"type": "string"}}}},
    },
)
async def spot_check(
    request: Request,
    _caller: Auditor,
    service: ServiceDep,
    reading: AxesDep,
    seed: Annotated[
        str,
        Query(
            description="Chosen by chance outside the program: a lottery number, a die.",
            pattern=SEED_FORM,
            examples=["2018-12"],
        ),
    ],
    size: Annotated[int, Query(ge=1, le=10_000, description="The number of shifts to draw.", examples=[30])],
    station: Station = None,
    first: Annotated[QueryDay | None, Query(alias="from", description="Only checked in on this day or later.")] = None,
    last: Annotated[QueryDay | None, Query(alias="to", description="Only checked in on this day or earlier.")] = None,
    grade: Annotated[Grade | None, Query(description="Only of this grade.")] = None,
    strata: Annotated[
        Strata, Query(description="Draw a proportional share from each kind of station or each grade.")
    ] = "none",
) -> Response | SpotCheck:
    """The same seed draws the same shifts from what was known at the same position, whatever the order of uploads.

    With `Accept: text/csv` the answer is a table for field work, with columns to fill in.
    """
    check_period(first, last)
    spot_checks, axes = service.ledger.queries.spot_checks, reading.axes
    addresses, as_table = AuditAddresses(axes), chosen(request, CSV) == CSV

    def read() -> str | SpotCheck:
        found = service.ledger.named(spot_checks.draw(Draw(seed, size, station, first, last, grade, strata), axes))
        return as_csv(found, reading.rules.timeline().time_zone) if as_table else addresses.sample(found)

    try:
        found = await run_replay(request, read)
    except SampleTooSmallError as error:
        raise problem("invalid", str(error), field="size") from None
    if isinstance(found, str):
        headers = {"Content-Disposition": f'attachment; filename="spot-check-{seed}.csv"'}
        return Response(found, media_type=CSV, headers=headers)
    return found


class AuditAddresses(Addresses):
    """Makes the links of findings and samples."""

    def anomalies(self, found: Anomalies) -> Anomalies:
        """Link each finding to its shifts and events, its volunteer's day and its station's day."""
        return found.model_copy(update={"anomalies": [self._anomaly(anomaly) for anomaly in found.anomalies]})

    def _anomaly(self, found: Anomaly) -> Anomaly:
        links: dict[str, str] = {}
        if found.volunteer:
            links["explanation"] = self.explanation(found.volunteer, found.day)
        if found.station:
            links["station_day"] = self.station_shifts(found.station, found.day)
        changes: dict[str, Any] = {
            "shifts": [linked(shift, events=self.shift_events(shift.volunteer, shift.shift)) for shift in found.shifts],
            "events": [linked(event, event=self.event(event.position)) for event in found.events],
        }
        return linked(found.model_copy(update=changes), **links)

    def sample(self, found: SpotCheck) -> SpotCheck:
        """Link each sampled shift to its events."""
        return found.model_copy(update={"shifts": [self._sampled(shift) for shift in found.shifts]})

    def _sampled(self, shift: SampledShift) -> SampledShift:
        return linked(shift, events=self.shift_events(shift.volunteer, shift.shift))
