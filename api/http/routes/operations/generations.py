"""Generations over HTTP: which there are, building one under published rules, switching, dropping.

To publish rules and let them answer: `POST /v1/commands/publish-rules`, then `POST /v1/generations`. The second is long
work, so it is answered with a job (api/http/routes/operations/jobs.py) that tells its progress; the numbers of the old
generation answer until it is done. Whoever may read may look at generations; to change what answers takes an admin key.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from api.access.refusals import require
from api.access.roles import Caller, Right
from api.http.requests.dependencies import CallerDep, ServiceDep
from api.http.routes.operations.jobs import start
from api.messages.problems import Problem, problem
from api.operations.jobs import JobStatus
from api.operations.service import OpenLedger
from ledger.names import AS_WRITTEN
from replay.axes import answers
from replay.generations import retention as generations
from replay.generations import store
from replay.generations.rebuild import build, rebuild
from replay.generations.switching import switch
from replay.progress import Progress
from replay.published import NoRulesError, Rules, published_rules

router = APIRouter(prefix="/v1/generations", tags=["generations"])

RetentionReason = Literal["answers", "answered before", "built beside", "dropped next"]

POLICY = (
    f"kept are the generation that answers, the {generations.PREVIOUS_MAX} that answered before it, and the "
    f"{generations.BESIDE_MAX} latest built beside; the rest is dropped after the next build or switch"
)


class GenerationStatus(BaseModel):
    """One replay's read models: under which rules, up to which position, and why they are kept.

    `switched_at`: when it was last switched to; null if it never answered. `valid_at`: the last day whose results it
    holds, if it was built so.
    """

    id: int
    kept: RetentionReason
    rules: answers.RulesUsed
    position: int
    checksum: str
    valid_at: date | None
    made_at: datetime | None
    switched_at: datetime | None
    rows: dict[str, int]
    size_bytes: int


class GenerationList(BaseModel):
    """All generations, the oldest first, and the policy by which they are kept."""

    policy: str
    generations: list[GenerationStatus]


class NewGeneration(BaseModel):
    """What to build. `rules`: a published version, by default the latest; `switch`: whether it is to answer."""

    model_config = ConfigDict(extra="forbid")

    rules: Annotated[int, Field(strict=True, ge=1), AS_WRITTEN] | None = None
    switch: Annotated[bool, Field(strict=True)] = True


class GenerationReady(BaseModel):
    """A generation that was built, or switched to."""

    generation: int
    answers: bool
    rules_version: int
    position: int
    checksum: str


def ready(generation: store.Generation, *, answering: bool) -> GenerationReady:
    """Return what is told of a generation at the end of a job."""
    return GenerationReady(
        generation=generation.id,
        answers=answering,
        rules_version=generation.rules_version,
        position=generation.position,
        checksum=f"{generation.checksum:016x}",
    )


def listed(ledger: OpenLedger) -> GenerationList:
    """Return all generations of a ledger."""
    return GenerationList(policy=POLICY, generations=[_status(one) for one in generations.overview(ledger.database)])


def _status(found: generations.Overview) -> GenerationStatus:
    generation = found.generation
    return GenerationStatus(
        id=generation.id,
        kept=found.kept.value,
        rules=answers.RulesUsed(
            name=generation.timeline().name, version=generation.rules_version, digest=generation.rules_digest
        ),
        position=generation.position,
        checksum=f"{generation.checksum:016x}",
        valid_at=generation.valid_at,
        made_at=generation.made_at,
        switched_at=generation.switched_at,
        rows=found.rows,
        size_bytes=found.size_bytes,
    )


@router.get("", summary="The generations of the read models")
def generation_list(service: ServiceDep, _caller: CallerDep) -> GenerationList:
    """Which answers, which can be switched back to, and which are dropped next."""
    return listed(service.ledger)


_JOB: dict[int | str, dict[str, Any]] = {
    202: {"model": JobStatus, "description": "It is under way: `Location` names the job."}
}
GenerationId = Annotated[int, Path(ge=1, le=2**31 - 1, description="The generation's id.")]


@router.post("", summary="Build a generation under published rules", status_code=202, responses=_JOB)
async def make(service: ServiceDep, caller: CallerDep, asked: NewGeneration | None = None) -> JSONResponse:
    """It is built beside the one that answers, catches up, is verified, and (unless `switch` is false) answers then."""
    _admin(caller)
    ledger, wanted = service.ledger, asked or NewGeneration()
    rules = await run_in_threadpool(_rules, ledger, wanted.rules)

    def work(progress: Progress) -> GenerationReady:
        make_one = rebuild if wanted.switch else build
        built = make_one(ledger.database, ledger.archive, rules, progress=progress)
        return ready(built.generation, answering=wanted.switch)

    return start(service, caller, "build-generation", work)


@router.post("/{generation}/switch", summary="Let another generation answer", status_code=202, responses=_JOB)
async def switch_to(service: ServiceDep, caller: CallerDep, generation: GenerationId) -> JSONResponse:
    """It first catches up with the one that answers, and is verified as a new one would be."""
    _admin(caller)
    ledger = service.ledger
    await run_in_threadpool(_known, ledger, generation)

    def work(progress: Progress) -> GenerationReady:
        return ready(switch(ledger.database, ledger.archive, generation, progress=progress), answering=True)

    return start(service, caller, "switch-generation", work)


@router.delete("/{generation}", summary="Drop a generation that does not answer", status_code=204)
async def drop(service: ServiceDep, caller: CallerDep, generation: GenerationId) -> Response:
    """Nothing is lost: the same rules make the same generation again."""
    _admin(caller)
    try:
        await run_in_threadpool(generations.drop, service.ledger.database, generation)
    except generations.UnknownGenerationError as error:
        raise _unknown(error) from None
    except generations.GenerationInUseError as error:
        raise problem("generation-in-use", str(error), field="generation") from None
    return Response(status_code=204)


def _admin(caller: Caller) -> None:
    require(caller, Right.CHANGE_GENERATIONS)


def _rules(ledger: OpenLedger, version: int | None) -> Rules:
    try:
        return published_rules(ledger.log, version=version)
    except NoRulesError:
        sentence = f"version {version} of the rules has not been published; leave it out for the latest"
        raise problem("invalid", sentence, field="rules") from None


def _known(ledger: OpenLedger, generation: int) -> None:
    with ledger.database.pool.connection() as connection:
        if all(one.id != generation for one in store.list_generations(connection)):
            raise _unknown(generations.UnknownGenerationError(generation))


def _unknown(error: generations.UnknownGenerationError) -> Problem:
    return problem("unknown-generation", str(error), field="generation")
