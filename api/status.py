"""How the service is: for its keeper, and for whatever watches it."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

from api.dependencies import CallerHere, ServiceHere
from api.problems import RULES, problem
from replay import answers

router = APIRouter(tags=["service"])


class Status(BaseModel):
    """The log's last position, and how far the read models are. `lag` is what they still have to take in.

    `alert` says why the read models stopped following, if they did: until then they answer as of their position.
    """

    head: int
    position: int
    lag: int
    generation: int
    checksum: str
    rules: answers.RulesUsed
    alert: str | None


class Health(BaseModel):
    """The database answers."""

    status: Literal["ok"] = "ok"


class RuleExplained(BaseModel):
    """A rule that requests can break: `retry` says whether the same request may succeed later."""

    rejection: str
    status: int
    title: str
    remedy: str
    retry: bool


@router.get("/v1/status", summary="The log's head, and how far the read models are")
def status(service: ServiceHere, _caller: CallerHere) -> Status:
    """Return the state of the ledger and its read models."""
    head = service.ledger.log.head()
    generation = service.ledger.current_generation()
    timeline = generation.timeline()
    return Status(
        head=max(head, generation.position),
        position=generation.position,
        lag=max(head - generation.position, 0),
        generation=generation.id,
        checksum=f"{generation.checksum:016x}",
        rules=answers.RulesUsed(name=timeline.name, version=generation.rules_version, digest=generation.rules_digest),
        alert=service.follower.alert,
    )


@router.get("/healthz", summary="Whether the service can serve")
def healthz(service: ServiceHere) -> Health:
    """Return ok when the database answers; no key is needed."""
    service.ledger.log.head()
    return Health()


@router.get("/problems/{rejection}", summary="What a problem means")
def explain(rejection: str) -> RuleExplained:
    """Explain a problem by its name: problems link here. No key is needed."""
    if rejection not in RULES:
        raise problem("no-such-address", f"no problem is named {rejection}; the names are those of /docs")
    rule = RULES[rejection]
    return RuleExplained(
        rejection=rejection, status=rule.status, title=rule.title, remedy=rule.remedy, retry=rule.retry
    )
