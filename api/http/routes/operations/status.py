"""The state of the service, for its operator and for monitoring systems; and explanations of problems."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel

from api.http.requests.dependencies import CallerDep, PermitDep, ServiceDep, is_reader
from api.messages.problems import RULES, problem
from api.operations.readiness import NOT_COMPUTING, Readiness, ReadinessProbe
from replay.axes import answers
from replay.queries.health import ArchiveHealth, measure
from replay.queries.tree_health import TreeHealth

router = APIRouter(tags=["service"])


class JobsUnderWay(BaseModel):
    """The number of jobs of this process."""

    running: int
    waiting: int


class Status(BaseModel):
    """The log's last position (`head`), and the position of the read models. `lag`: the number of events missing from
    them; `lag_seconds`: the age of the oldest; `holes`: positions of the log without an event.

    `alert`: why the follower has stopped, if it has; queries are then answered as of `position`. `problems`: everything
    that is wrong, each in a sentence.
    """

    head: int
    position: int
    lag: int
    lag_seconds: float
    holes: int
    generation: int
    checksum: str
    rules: answers.RulesUsed
    made_at: datetime | None
    age_seconds: float
    switched_at: datetime | None
    archive: ArchiveHealth
    tree: TreeHealth
    jobs: JobsUnderWay
    alert: str | None
    problems: list[str]


class Health(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class RuleExplained(BaseModel):
    """A rule that requests can break: `retry` says whether the same request may succeed later."""

    rejection: str
    status: int
    title: str
    remedy: str
    retry: bool


@router.get("/v1/status", summary="The state of the ledger")
def status(service: ServiceDep, _caller: CallerDep, _permit: PermitDep) -> Status:
    """Return the state of the log, the read models, the archive, the tree, and the jobs of this process."""
    ledger, alert = service.ledger, service.follower.alert
    health = measure(ledger.database, lambda: ledger.archive, service.notary.log)
    generation = health.generation
    states = service.job_states()
    alerts = [*service.alerts, *([NOT_COMPUTING] if states is None else [])]
    jobs = states or ()
    return Status(
        head=health.head,
        position=health.seen,
        lag=health.lag,
        lag_seconds=health.lag_seconds,
        holes=health.holes,
        generation=generation.generation,
        checksum=generation.checksum,
        rules=generation.rules,
        made_at=generation.made_at,
        age_seconds=generation.age_seconds,
        switched_at=generation.switched_at,
        archive=health.archive,
        tree=health.tree,
        jobs=JobsUnderWay(running=jobs.count("running"), waiting=jobs.count("waiting")),
        alert=alert,
        problems=[sentence for sentence in (*alerts, *health.problems) if sentence],
    )


@router.get("/metrics", summary="Metrics for a monitoring system", response_class=PlainTextResponse)
def metrics(request: Request, service: ServiceDep, _caller: CallerDep, _permit: PermitDep) -> Response:
    """Return metrics in Prometheus' text format: of the ledger, its read models and archive, of jobs, and of the
    requests this process has answered.

    A key is required, because the metrics disclose the activity of the district. Any role that may read will do, such
    as `reader`; Prometheus sends the key with `authorization.credentials_file`.
    """
    text = generate_latest(service.metrics.registry) + generate_latest(request.app.state.ledger_metrics)
    return Response(text, media_type=CONTENT_TYPE_LATEST)


@router.get("/healthz", summary="Whether the process answers")
async def healthz() -> Health:
    """Return ok. No key is needed. `/readyz` says whether the service should receive requests."""
    return Health()


@router.get(
    "/readyz",
    summary="Whether the service can serve",
    response_model_exclude_none=True,
    responses={503: {"model": Readiness}},
)
async def readyz(request: Request, response: Response) -> Readiness:
    """Check that requests get through, the computing process, the database, the read models, the archive, the disk
    and the queue; 503 if a needed one is not ok.

    No key is needed. A caller whose key may read also gets each check; other callers get the status alone.
    """
    probe: ReadinessProbe = request.app.state.readiness
    found, may_read = await asyncio.gather(probe.check(), is_reader(request))
    if found.status != "ready":
        response.status_code = 503
        response.headers["Retry-After"] = "5"
    return found if may_read else Readiness(status=found.status)


@router.get("/problems/{rejection}", summary="What a problem means")
def explain(rejection: str) -> RuleExplained:
    """Explain a problem by its name. The `type` of a problem is this address. No key is needed."""
    if rejection not in RULES:
        raise problem("no-such-address", f"no problem has the name {rejection}; see /docs for the addresses")
    rule = RULES[rejection]
    return RuleExplained(
        rejection=rejection, status=rule.status, title=rule.title, remedy=rule.remedy, retry=rule.retry
    )
