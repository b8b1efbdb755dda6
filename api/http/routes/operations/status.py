"""How the service is: for its keeper, and for whatever watches it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel

from api.http.requests.dependencies import CallerDep, ServiceDep
from api.messages.problems import RULES, problem
from api.operations.readiness import Looker, Readiness
from replay.axes import answers
from replay.queries.health import ArchiveHealth, measure

router = APIRouter(tags=["service"])


class JobsUnderWay(BaseModel):
    """Long work of this process."""

    running: int
    waiting: int


class Status(BaseModel):
    """The log's last position, and how far the read models are. `lag` is what they still have to take in, `lag_seconds`
    how long the oldest of it is known; `holes`, positions that should hold an event and do not.

    `alert` says why the read models stopped following, if they did: until then they answer as of their position.
    `problems` are all things that are wrong, each in a sentence.
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


@router.get("/v1/status", summary="The log's head, and how far the read models are")
def status(service: ServiceDep, _caller: CallerDep) -> Status:
    """Return the state of the ledger, its read models, its archive, and the long work of this process."""
    ledger, alert = service.ledger, service.follower.alert
    health = measure(ledger.database, lambda: ledger.archive)
    generation = health.generation
    states = [job.state for job in service.jobs.list()]
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
        jobs=JobsUnderWay(running=states.count("running"), waiting=states.count("waiting")),
        alert=alert,
        problems=[said for said in (alert, service.archivist.alert, *health.problems) if said],
    )


@router.get("/metrics", summary="The same for a monitoring system", response_class=PlainTextResponse)
def metrics(request: Request, service: ServiceDep, _caller: CallerDep) -> Response:
    """Return metrics in Prometheus' text format: of the ledger, its read models and archive, of jobs, and of the
    requests this process has answered.

    They tell how busy a district is, so a key is asked for here as well (any role, `reader` will do): Prometheus sends
    it with `authorization.credentials_file`.
    """
    told = generate_latest(service.counted.registry) + generate_latest(request.app.state.measured)
    return Response(told, media_type=CONTENT_TYPE_LATEST)


@router.get("/healthz", summary="Whether the process answers")
async def healthz() -> Health:
    """Return ok. No key is needed. Whether it should be sent requests is for `/readyz` to say."""
    return Health()


@router.get("/readyz", summary="Whether the service can serve", responses={503: {"model": Readiness}})
async def readyz(request: Request, response: Response) -> Readiness:
    """Look at the database, the read models, the archive, the disk and the queue; 503 if something needed is missing.

    No key is needed.
    """
    looker: Looker = request.app.state.looker
    found = await looker.look()
    if found.status != "ready":
        response.status_code = 503
        response.headers["Retry-After"] = "5"
    return found


@router.get("/problems/{rejection}", summary="What a problem means")
def explain(rejection: str) -> RuleExplained:
    """Explain a problem by its name: problems link here. No key is needed."""
    if rejection not in RULES:
        raise problem("no-such-address", f"no problem is named {rejection}; the names are those of /docs")
    rule = RULES[rejection]
    return RuleExplained(
        rejection=rejection, status=rule.status, title=rule.title, remedy=rule.remedy, retry=rule.retry
    )
