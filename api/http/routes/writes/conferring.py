"""Officers announce and award honours by naming them; the evidence comes from the read models (replay/awards/plans.py).

Each command is one of the ledger's own, answered under its own name: what is refused holds up no other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import Annotated, Self
from uuid import uuid4

from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, ConfigDict, Field, model_validator

from api.access.roles import Caller
from api.http.requests.dependencies import ServiceDep, allowed_to_send
from api.http.requests.submission import IntakeOptions, IntakeQuery, take
from api.messages.periods import local_day
from api.messages.problems import ProblemDetails, details_of, fault_of_refusal, problem
from api.operations.service import Service
from ledger.aggregates import Order
from ledger.intake.answers import Accepted, Answer
from ledger.intake.prepare import prepare_all
from ledger.names import AS_WRITTEN, NAME_PATTERN, Day, HonorId, HonorYear
from ledger.rejections import Refused
from replay.awards.plans import Plan, PlanError, Step, Wish, plan_announcements, plan_awards
from replay.axes.answers import Answer as QueryAnswer
from replay.axes.answers import Basis

router = APIRouter(prefix="/v1/honors", tags=["commands"])

Honor = Annotated[str, Path(description="A threshold's or a ranking's id.", pattern=NAME_PATTERN, examples=["star-1"])]
Limit = Annotated[int, Field(strict=True, ge=1, le=10_000, description="How many at most."), AS_WRITTEN]


class _Recipients(BaseModel):
    model_config = ConfigDict(extra="forbid")

    volunteer: HonorId | None = None
    project: HonorId | None = None
    year: Annotated[HonorYear | None, Field(description="Of a ranking.")] = None
    limit: Limit = 1000

    def wish(self, honor: str) -> Wish:
        """Return what is asked for."""
        return Wish(honor, self.year, self.volunteer or self.project, self.limit)

    def one_or_all(self, name: str, wanted: bool) -> None:  # noqa: FBT001 - the value of a field
        """Hold the request to one recipient, or to all of them said so."""
        if (self.volunteer is not None) + (self.project is not None) + wanted != 1:
            raise ValueError(f"volunteer, project and {name}: name one of them, not several and not none")


class AnnouncementsRequest(_Recipients):
    """For whom an honour is to be announced: one who has reached it, or all who have and for whom it never was."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"all_eligible": True, "limit": 100}]})

    all_eligible: bool = False

    @model_validator(mode="after")
    def _somebody(self) -> Self:
        self.one_or_all("all_eligible", self.all_eligible)
        return self


class AwardsRequest(_Recipients):
    """To whom an announced honour is to be awarded: to one, or to all whose notice has ended with no objection."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"all_due": True, "limit": 100}]})

    all_due: bool = False
    awarded_on: Annotated[Day | None, Field(description="By default today.")] = None

    @model_validator(mode="after")
    def _somebody(self) -> Self:
        self.one_or_all("all_due", self.all_due)
        return self


class Outcome(QueryAnswer):
    """What became of one command: its position (none after a dry run), or the problem it met."""

    award: str
    recipient: str
    position: int | None
    problem: ProblemDetails | None


class Passed(QueryAnswer):
    """Somebody for whom nothing was done, and why."""

    recipient: str
    award: str
    why: str


class Conferred(Basis):
    """What became of each; the evidence rests on the position and the rules of this answer. `left`: how many more there
    are behind the limit.
    """

    honor: str
    accepted: int
    refused: int
    left: int
    outcomes: list[Outcome]
    passed_by: list[Passed]


@router.post("/{honor}/announcements", summary="Announce an honour, with its evidence")
async def announce(
    honor: Honor,
    asked: AnnouncementsRequest,
    service: ServiceDep,
    caller: Annotated[Caller, Depends(allowed_to_send("announce-honor"))],
    taking: IntakeQuery,
) -> Conferred:
    """Public notice for one who has reached the honour, or for all who have: those for whom it was rejected or revoked
    before are passed by, and have to be named.
    """
    wish, today = asked.wish(honor), _today(service)
    plan = await _planned(lambda: plan_announcements(service.ledger.queries, wish, today))
    return await _given(plan, honor, service, caller, taking)


@router.post("/{honor}/awards", summary="Award an announced honour, with its evidence")
async def award(
    honor: Honor,
    asked: AwardsRequest,
    service: ServiceDep,
    caller: Annotated[Caller, Depends(allowed_to_send("award-honor"))],
    taking: IntakeQuery,
) -> Conferred:
    """The evidence is found anew: who has not reached the honour any more is passed by."""
    wish, today = asked.wish(honor), _today(service)
    plan = await _planned(lambda: plan_awards(service.ledger.queries, wish, today, asked.awarded_on))
    return await _given(plan, honor, service, caller, taking)


def _today(service: Service) -> date:
    return local_day(service.ledger.clock(), service.ledger.current_generation().timeline())


async def _planned(work: Callable[[], Plan]) -> Plan:
    try:
        return await run_sync(work)
    except PlanError as error:
        raise problem(error.rejection, str(error), field=error.field) from None


async def _given(plan: Plan, honor: str, service: Service, caller: Caller, taking: IntakeOptions) -> Conferred:
    orders = orders_of(plan, caller.by, caller.key)
    answers = await take(service, prepare_all(orders), taking)
    return conferred(plan, honor, answers)


def orders_of(plan: Plan, by: str, key: int | None = None) -> list[Order]:
    """Return a plan's commands as orders of somebody."""
    return [
        Order.checked(command=step.command, source=f"/honors/{by}", id=str(uuid4()), by=by, key=key)
        for step in plan.steps
    ]


def conferred(plan: Plan, honor: str, answers: Sequence[Answer]) -> Conferred:
    """Return what became of a plan."""
    outcomes = [_outcome(step, answer) for step, answer in zip(plan.steps, answers, strict=True)]
    return Conferred(
        **dict(plan.basis),
        honor=honor,
        accepted=sum(isinstance(answer, Accepted) for answer in answers),
        refused=sum(isinstance(answer, Refused) for answer in answers),
        left=plan.left,
        outcomes=outcomes,
        passed_by=[Passed(**one._asdict()) for one in plan.passed_by],
    )


def _outcome(step: Step, answer: Answer) -> Outcome:
    return Outcome(
        award=step.command.award,
        recipient=step.recipient,
        position=answer.position if isinstance(answer, Accepted) else None,
        problem=details_of(fault_of_refusal(answer)) if isinstance(answer, Refused) else None,
    )
