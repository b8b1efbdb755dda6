"""Routes about honours: the honours of the rules, and the volunteers who have reached one."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel

from api.http.requests.dependencies import ServiceDep, run_query
from api.http.requests.links import Addresses
from api.http.requests.readings import AxesDep, today_of
from api.messages.problems import problem
from ledger.aggregates.volunteer import TrainingTier
from ledger.names import NAME_PATTERN
from projections.rules.timeline import RuleTimeline
from replay.awards.eligibility import eligible_counts
from replay.axes import answers

router = APIRouter(prefix="/v1/honors", tags=["readers"])

_AFTER = re.compile(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}/[A-Za-z0-9._-]{1,32}$")


class Conditions(BaseModel):
    """What an honour requires, from a service date on. A year with `active_year_minutes_min` minutes is active."""

    holds_from: date
    credited_minutes_min: int
    grade: Literal["any", "scanned"]
    tenure_months_min: int
    training_tier_min: TrainingTier | None
    active_years_min: int
    active_year_minutes_min: int


class Honor(BaseModel):
    """An honour, with its conditions in each rule set that has it. `eligible`: how many, if that was asked for."""

    honor: str
    title: str
    conditions: list[Conditions]
    eligible: int | None = answers.omit_none()


class Honors(answers.Basis):
    """All honours of a rule timeline, and the number of working days between announcement and award."""

    notice_working_days: int
    honors: list[Honor]


@router.get("", summary="The honours of the rules")
async def honors(
    request: Request,
    service: ServiceDep,
    reading: AxesDep,
    *,
    eligible: Annotated[bool, Query(description="Also how many reached each and do not hold it.")] = False,
) -> Honors:
    """Each with its conditions, under the rules in force, or those that `rules` or `known_at` names."""
    timeline = reading.rules.timeline()
    days = timeline.public_notice.working_days
    found = Honors(**dict(reading.basis()), notice_working_days=days, honors=honors_of(timeline))
    if not eligible:
        return found
    queries, axes, today = service.ledger.queries, reading.axes, today_of(service, reading)
    counts = await run_query(request, axes, lambda: eligible_counts(queries, today, axes))
    honors = [each.model_copy(update={"eligible": counts.get(each.honor, 0)}) for each in found.honors]
    return found.model_copy(update={"honors": honors})


def honors_of(timeline: RuleTimeline) -> list[Honor]:
    """Return the honours of a timeline, in its order."""
    found: dict[str, Honor] = {}
    for rule_set in timeline.rule_sets:
        for threshold in rule_set.honors:
            honor = found.setdefault(threshold.id, Honor(honor=threshold.id, title=threshold.title, conditions=[]))
            fields = threshold.model_dump(exclude={"id", "title"})
            honor.conditions.append(Conditions(holds_from=rule_set.holds_from, **fields))
    return list(found.values())


@router.get("/{honor}/standings", summary="The volunteers who have reached an honour")
async def standings(
    request: Request,
    honor: Annotated[str, Path(description="The honour's id.", pattern=NAME_PATTERN, examples=["star-1"])],
    service: ServiceDep,
    reading: AxesDep,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    after: Annotated[
        str | None, Query(description="`next_after` of the page before.", json_schema_extra={"pattern": _AFTER.pattern})
    ] = None,
) -> answers.Standings:
    """By the date on which the honour was reached, up to `valid_at` (by default today), then by volunteer number."""
    today = today_of(service, reading)
    queries, axes, start = service.ledger.queries, reading.axes, _checked(after)
    found = await run_query(request, axes, lambda: queries.standings(honor, today, axes, limit, start))
    return Addresses(axes).standings(found)


def _checked(after: str | None) -> str | None:
    if after is None:
        return None
    try:
        if _AFTER.match(after):
            date.fromisoformat(after.partition("/")[0])
            return after
    except ValueError:
        pass
    raise problem(
        "invalid", f"after {after!r} is not the next_after of a page; omit it for the first page", field="after"
    )
