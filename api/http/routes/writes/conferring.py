"""Announcing and awarding honours by their names; the evidence comes from the read models (replay/awards/plans.py).

Each announcement or award is a command of its own: one that is refused does not affect the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import Annotated, Self
from uuid import uuid4

from fastapi import APIRouter, Depends, Path, Request
from pydantic import BaseModel, ConfigDict, Field, model_validator

from api.access.roles import Caller
from api.http.requests.dependencies import ServiceDep, allowed_to_send, run_plan
from api.http.requests.json_routes import JsonRoute
from api.http.requests.submission import IntakeOptions, IntakeQuery, Reader, submit
from api.messages.periods import local_day
from api.messages.problems import Fault, Problem, ProblemDetails, details_of, fault_of_refusal, problem
from api.operations.service import Service
from ledger.intake.answers import Accepted, Answer
from ledger.names import AS_WRITTEN, NAME_PATTERN, Day, HonorId, HonorYear
from ledger.rejections import Refused
from replay.awards.plans import Plan, PlanError, PlanRequest, Step, plan_announcements, plan_awards
from replay.axes.answers import Answer as QueryAnswer
from replay.axes.answers import Basis

router = APIRouter(prefix="/v1/honors", tags=["commands"], route_class=JsonRoute)

Honor = Annotated[str, Path(description="A threshold's or a ranking's id.", pattern=NAME_PATTERN, examples=["star-1"])]
Limit = Annotated[int, Field(strict=True, ge=1, le=10_000, description="The maximum number of recipients."), AS_WRITTEN]


class _Recipients(BaseModel):
    model_config = ConfigDict(extra="forbid")

    volunteer: HonorId | None = None
    project: HonorId | None = None
    year: Annotated[HonorYear | None, Field(description="The year of a ranking; omit it for a threshold.")] = None
    limit: Limit = 1000

    def plan_request(self, honor: str) -> PlanRequest:
        """Return the request for a plan."""
        return PlanRequest(honor, self.year, self.volunteer or self.project, self.limit)

    def require_one_or_all(self, name: str, value: bool) -> None:  # noqa: FBT001 - the value of a field
        """Require either one recipient or the field `name`, which means all of them."""
        if (self.volunteer is not None) + (self.project is not None) + value != 1:
            raise ValueError(f"set exactly one of volunteer, project and {name}")


class AnnouncementsRequest(_Recipients):
    """For whom to announce an honour: one recipient, or all who have reached it and for whom it was never announced."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"all_eligible": True, "limit": 100}]})

    all_eligible: bool = False

    @model_validator(mode="after")
    def _has_recipients(self) -> Self:
        self.require_one_or_all("all_eligible", self.all_eligible)
        return self


class AwardsRequest(_Recipients):
    """To whom to award an announced honour: one recipient, or all whose notice has ended without objection."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"all_due": True, "limit": 100}]})

    all_due: bool = False
    awarded_on: Annotated[Day | None, Field(description="By default today.")] = None

    @model_validator(mode="after")
    def _has_recipients(self) -> Self:
        self.require_one_or_all("all_due", self.all_due)
        return self


class Outcome(QueryAnswer):
    """The outcome of one command: its position (null after a dry run), or its problem."""

    award: str
    recipient: str
    position: int | None
    problem: ProblemDetails | None


class Passed(QueryAnswer):
    """A recipient who was skipped, and why."""

    recipient: str
    award: str
    why: str


class Conferred(Basis):
    """The outcome for each recipient. The evidence is based on the position and the rules of this answer. `passed_by`:
    recipients who were skipped; `left`: the number of recipients beyond the limit.
    """

    honor: str
    accepted: int
    refused: int
    left: int
    outcomes: list[Outcome]
    passed_by: list[Passed]


@router.post("/{honor}/announcements", summary="Announce an honour, with its evidence")
async def announce(
    request: Request,
    honor: Honor,
    recipients: AnnouncementsRequest,
    service: ServiceDep,
    caller: Annotated[Caller, Depends(allowed_to_send("announce-honor"))],
    options: IntakeQuery,
) -> Conferred:
    """Give public notice of the honour for one recipient who has reached it, or for all. Recipients for whom it was
    rejected or revoked before are skipped unless they are named.
    """
    plan_request, queries = recipients.plan_request(honor), service.ledger.queries
    plan = await _plan(request, lambda: plan_announcements(queries, plan_request, _today(service)))
    return await _execute(request, plan, honor, caller, options)


@router.post("/{honor}/awards", summary="Award an announced honour, with its evidence")
async def award(
    request: Request,
    honor: Honor,
    recipients: AwardsRequest,
    service: ServiceDep,
    caller: Annotated[Caller, Depends(allowed_to_send("award-honor"))],
    options: IntakeQuery,
) -> Conferred:
    """The evidence is computed again: recipients who no longer reach the honour are skipped."""
    plan_request, queries = recipients.plan_request(honor), service.ledger.queries
    plan = await _plan(request, lambda: plan_awards(queries, plan_request, _today(service), recipients.awarded_on))
    return await _execute(request, plan, honor, caller, options)


def _today(service: Service) -> date:
    return local_day(service.ledger.clock(), service.ledger.current_generation().timeline())


async def _plan(request: Request, work: Callable[[], Plan]) -> Plan:
    try:
        return await run_plan(request, work)
    except PlanError as error:
        raise problem(error.rejection, str(error), field=error.field) from None


async def _execute(request: Request, plan: Plan, honor: str, caller: Caller, options: IntakeOptions) -> Conferred:
    reader = Reader(caller)
    service: Service = request.app.state.service
    reader.charge(service.limits, len(plan.steps))
    orders = [reader.order(step.command, realm="honors", id=str(uuid4())) for step in plan.steps]
    if faults := [order for order in orders if isinstance(order, Fault)]:
        raise Problem(faults[0])
    answers = await submit(request, [order for order in orders if not isinstance(order, Fault)], options)
    return conferred(plan, honor, answers)


def conferred(plan: Plan, honor: str, answers: Sequence[Answer]) -> Conferred:
    """Return the answers to a plan's commands as one answer."""
    outcomes = [_outcome(step, answer) for step, answer in zip(plan.steps, answers, strict=True)]
    return Conferred(
        **dict(plan.basis),
        honor=honor,
        accepted=sum(isinstance(answer, Accepted) for answer in answers),
        refused=sum(isinstance(answer, Refused) for answer in answers),
        left=plan.left,
        outcomes=outcomes,
        passed_by=[Passed(**skipped._asdict()) for skipped in plan.passed_by],
    )


def _outcome(step: Step, answer: Answer) -> Outcome:
    return Outcome(
        award=step.command.award,
        recipient=step.recipient,
        position=answer.position if isinstance(answer, Accepted) else None,
        problem=details_of(fault_of_refusal(answer)) if isinstance(answer, Refused) else None,
    )
