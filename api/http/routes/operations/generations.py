"""Generations over HTTP: listing, building under published rules, switching and dropping them.

What answers follows the rules in force, which the log records: a build or a switch to other published rules first puts
these in force, by the caller and for the reason that the body gives, and is refused if that needs an approval.

To publish rules and put them into use: `POST /v1/commands/publish-rules`, then `POST /v1/generations`. The second
starts a job (api/http/routes/operations/jobs.py); queries are answered from the current generation until it is done.
Any role that may read may list generations; changing them needs an admin key.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import uuid4

from fastapi import APIRouter, Depends, Path, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from api.access.refusals import require
from api.access.roles import Caller, Right
from api.http.requests.dependencies import CallerDep, PermitDep, ServiceDep, handed_over
from api.http.requests.json_routes import JsonRoute
from api.http.requests.submission import Reader
from api.http.routes.operations.jobs import start
from api.messages.problems import Fault, Problem, fault_of_refusal, problem
from api.operations.jobs import JobStatus, Task
from api.operations.service import OpenLedger
from ledger.aggregates.rules import PutRulesInForce
from ledger.names import AS_WRITTEN, ReasonCode
from ledger.rejections import Refused, Rejection
from replay.axes import answers
from replay.generations import retention as generations
from replay.generations import store
from replay.generations.rebuild import NotPublishedError, build, rebuild
from replay.generations.switching import NotSwitchableError, require_switchable, switch
from replay.progress import Progress
from replay.published import NoRulesError, Rules, published_rules

router = APIRouter(
    prefix="/v1/generations", tags=["generations"], dependencies=[Depends(handed_over)], route_class=JsonRoute
)

SWITCHED = "generation-switched"
"""Why rules are put in force by a switch, if nobody gives another reason."""
RetentionReason = Literal["answers", "answered before", "built beside", "dropped next"]

POLICY = (
    f"the generation that answers, the {generations.PREVIOUS_MAX} that answered before it, and the "
    f"{generations.BESIDE_MAX} latest built beside it are kept; the others are dropped after the next build or switch"
)


class GenerationStatus(BaseModel):
    """The read models of one replay: their rules, their position, and why they are kept.

    `switched_at`: when the generation last became the current one; null if it never did. `valid_at`: the last day whose
    results it includes, if it was built with that limit.
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
    """All generations, the oldest first, and the retention policy."""

    policy: str
    generations: list[GenerationStatus]


class NewGeneration(BaseModel):
    """What to build. `rules`: a published version, by default the one in force; `switch`: whether to switch to it. That
    puts the version in force, for a `reason`; if it has another time zone, only with `change_time_zone`.
    """

    model_config = ConfigDict(extra="forbid")

    rules: Annotated[int, Field(strict=True, ge=1), AS_WRITTEN] | None = None
    switch: Annotated[bool, Field(strict=True)] = True
    reason: ReasonCode = "generation-built"
    change_time_zone: Annotated[bool, Field(strict=True)] = False


class Switch(BaseModel):
    """Why a generation is switched to. It is recorded if the generation's rules are not in force yet; if they have
    another time zone, that is refused without `change_time_zone`.
    """

    model_config = ConfigDict(extra="forbid")

    reason: ReasonCode = SWITCHED
    change_time_zone: Annotated[bool, Field(strict=True)] = False


class GenerationReady(BaseModel):
    """A generation that was built or switched to. `answers`: whether it is the current one."""

    generation: int
    answers: bool
    rules_version: int
    position: int
    checksum: str


def ready(generation: store.Generation, *, answering: bool) -> GenerationReady:
    """Return the result of a job that built or switched to a generation."""
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
        kept=found.retention.value,
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
def generation_list(service: ServiceDep, _caller: CallerDep, _permit: PermitDep) -> GenerationList:
    """The current generation, those that can be switched back to, and those that are dropped next."""
    return listed(service.ledger)


_JOB: dict[int | str, dict[str, Any]] = {
    202: {"model": JobStatus, "description": "The job was started; its address is in `Location`."}
}
GenerationId = Annotated[int, Path(ge=1, le=2**31 - 1, description="The generation's id.")]


@router.post("", summary="Build a generation under published rules", status_code=202, responses=_JOB)
async def make(service: ServiceDep, caller: CallerDep, options: NewGeneration | None = None) -> JSONResponse:
    """Build a generation beside the current one, let it catch up, and verify it; switch to it if `switch` is true."""
    _require_admin(caller)
    ledger, new = service.ledger, options or NewGeneration()
    rules = await run_in_threadpool(_rules, ledger, new.rules)
    if new.switch:
        await run_in_threadpool(_put_in_force, ledger, caller, rules.version, new)

    def work(progress: Progress) -> GenerationReady:
        ledger.archive.bring_up_to_date(ledger.database, progress)
        ledger.archive.verify_log(ledger.database, progress)
        make_generation = rebuild if new.switch else build
        built = make_generation(ledger.database, ledger.archive, rules, progress=progress)
        return ready(built.generation, answering=new.switch)

    return start(service, caller, Task("build-generation", work, first=True))


@router.post("/{generation}/switch", summary="Switch to another generation", status_code=202, responses=_JOB)
async def switch_to(
    service: ServiceDep, caller: CallerDep, generation: GenerationId, body: Switch | None = None
) -> JSONResponse:
    """The generation first catches up with the current one, and is verified like a new one. If its rules are not in
    force, they are put in force; a switch that needs an approval is requested with `put-rules-in-force` instead.
    """
    _require_admin(caller)
    ledger = service.ledger
    if version := await run_in_threadpool(_version_to_record, ledger, generation):
        await run_in_threadpool(_put_in_force, ledger, caller, version, body or Switch())

    def work(progress: Progress) -> GenerationReady:
        return ready(switch(ledger.database, ledger.archive, generation, progress=progress), answering=True)

    return start(service, caller, Task("switch-generation", work, first=True))


@router.delete("/{generation}", summary="Drop a generation that is not the current one", status_code=204)
async def drop(service: ServiceDep, caller: CallerDep, generation: GenerationId) -> Response:
    """No data are lost: the generation can be built again under the same rules."""
    _require_admin(caller)
    try:
        await run_in_threadpool(generations.drop, service.ledger.database, generation)
    except generations.UnknownGenerationError as error:
        raise _unknown(error) from None
    except generations.GenerationInUseError as error:
        raise problem("generation-in-use", str(error), field="generation") from None
    return Response(status_code=204)


def _require_admin(caller: Caller) -> None:
    require(caller, Right.CHANGE_GENERATIONS)


def _rules(ledger: OpenLedger, version: int | None) -> Rules:
    try:
        return published_rules(ledger.log, version=version)
    except NoRulesError:
        sentence = f"version {version} of the rules has not been published; leave it out for the latest"
        raise problem("invalid", sentence, field="rules") from None


def _version_to_record(ledger: OpenLedger, generation: int) -> int | None:
    try:
        return version_to_record(ledger, generation)
    except generations.UnknownGenerationError as error:
        raise _unknown(error) from None


def version_to_record(ledger: OpenLedger, generation: int) -> int | None:
    """Return the version of the rules that a switch to a generation puts in force; None if it cannot become current,
    which the switch says.

    Raises:
        UnknownGenerationError: the generation does not exist.
    """
    with ledger.database.pool.connection() as connection:
        live = store.current_generation(connection)
        found = next((one for one in store.list_generations(connection) if one.id == generation), None)
    if found is None:
        raise generations.UnknownGenerationError(generation)
    if live is None:
        return None
    try:
        require_switchable(found, live)
    except (NotPublishedError, NotSwitchableError):
        return None
    return found.rules_version


def _put_in_force(ledger: OpenLedger, caller: Caller, version: int, asked: NewGeneration | Switch) -> None:
    """Put a version in force, in the caller's name, unless it is."""
    if published_rules(ledger.log).version == version:
        return
    command = PutRulesInForce(rules_version=version, reason=asked.reason, change_time_zone=asked.change_time_zone)
    prepared = Reader(caller).order(command, realm="callers", id=str(uuid4()))
    if isinstance(prepared, Fault):
        raise Problem(prepared)
    (answer,) = ledger.intake.execute_prepared([prepared])
    if isinstance(answer, Refused) and answer.rejection is not Rejection.ALREADY_IN_FORCE:
        raise Problem(fault_of_refusal(answer))


def _unknown(error: generations.UnknownGenerationError) -> Problem:
    return problem("unknown-generation", str(error), field="generation")
