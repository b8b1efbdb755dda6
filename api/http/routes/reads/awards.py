"""Routes about awards: public notices, eligible recipients, undercut awards, and the history of one award."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Annotated, TypeVar
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Request, Response

from api.http.requests.dependencies import ServiceDep, run_query, run_replay
from api.http.requests.links import Addresses, linked
from api.http.requests.preconditions import TAGGED, tag
from api.http.requests.readings import AxesDep, today_of
from api.http.routes.reads.rankings import Year, of_year
from ledger.names import AWARD_PATTERN, NAME_PATTERN, Position
from replay.awards import reports
from replay.awards.answers import (
    AsGiven,
    AwardAnswer,
    AwardLife,
    Awards,
    Eligible,
    EligibleForHonor,
    PublicNotices,
    Undercut,
    UndercutAwards,
)
from replay.awards.eligibility import eligible as eligible_for
from replay.awards.paging import Page
from replay.awards.reports import AwardFilter
from replay.published import published_rules
from replay.queries.queries import Axes
from replay.records.awards import State

router = APIRouter(tags=["readers"])
A = TypeVar("A", bound=AwardAnswer)

CAUSES_MAX = 100
"""At most this many shifts and events among the causes of an undercut award are listed."""
AwardName = Annotated[str, Path(description="The award's id.", pattern=AWARD_PATTERN, examples=["star-1-V0000001"])]
Limit = Annotated[int, Query(ge=1, le=1000)]
After = Annotated[str | None, Query(description="`next_after` of the page before.", pattern=AWARD_PATTERN)]
OfHonor = Annotated[str | None, Query(description="Only awards of this honour.", pattern=NAME_PATTERN)]
OfYear = Annotated[int | None, Query(ge=2000, le=2100, description="Only awards of this year of a ranking.")]
For = Annotated[str | None, Query(alias="for", description="Only for this volunteer or project.", pattern=NAME_PATTERN)]


@router.get("/v1/awards", summary="Awards and their states")
async def awards(
    request: Request,
    service: ServiceDep,
    reading: AxesDep,
    honor: OfHonor = None,
    year: OfYear = None,
    recipient: For = None,
    state: State | None = None,
    awarded_in: Annotated[
        int | None, Query(ge=2000, le=2100, description="Only honours that were awarded in this calendar year.")
    ] = None,
    limit: Limit = 100,
    after: After = None,
) -> Awards:
    """In the order of their announcements. States: announced, objected (an objection is open), rejected (an objection
    was upheld), awarded, revoked.

    `valid_at` excludes honours awarded after that day.
    """
    criteria = AwardFilter(honor, year, recipient, state, awarded_in)
    queries, axes, page = service.ledger.queries, reading.axes, Page(limit, after)
    found = await run_query(request, axes, lambda: reports.awards(queries, axes, criteria, page))
    addresses = AwardAddresses(axes)
    return found.model_copy(update={"awards": [addresses.award(award) for award in found.awards]})


@router.get("/v1/awards/{award}", summary="The history of one award, with its events", responses=TAGGED)
async def award_life(
    request: Request, award: AwardName, service: ServiceDep, reading: AxesDep, response: Response
) -> AwardLife:
    """Announcement, objections and their settlement, award and revocation, up to `known_at`."""
    queries, log, axes = service.ledger.queries, service.ledger.log, reading.axes
    found = await run_query(request, axes, lambda: reports.award_life(queries, log, award, axes))
    tag(response, found.award.version)
    return found.model_copy(update={"award": AwardAddresses(reading.axes).award(found.award)})


@router.get("/v1/awards/{award}/as-given", summary="The evidence of an award, computed again")
async def as_given(request: Request, award: AwardName, service: ServiceDep, reading: AxesDep) -> AsGiven:
    """The recipient's hours, honours and place as known at the position of the evidence, under its rules.

    The axes of the answer are those of the evidence. `found` is what the ledger computes under them, and `agrees` says
    whether the evidence named the same. Only events of the award up to `known_at` count. A ranking is replayed.
    """
    queries, log = service.ledger.queries, service.ledger.log

    def read() -> AsGiven:
        found = reports.as_given(queries, log, award, reading.axes)
        then = Axes(None, Position(found.known_at), published_rules(log, version=found.rules.version))
        addresses = AwardAddresses(then)
        changes: dict[str, object] = {"award": addresses.award(found.award)}
        if found.hours is not None:
            changes["hours"] = addresses.hours(found.hours)
        return found.model_copy(update=changes)

    return await run_replay(request, read)


@router.get("/v1/public-notices", summary="The public notice list")
async def public_notices(
    request: Request, service: ServiceDep, reading: AxesDep, limit: Limit = 100, after: After = None
) -> PublicNotices:
    """Awards that are announced and not yet decided: the end of each notice and its open objections, as of `valid_at`,
    by default today.
    """
    today = today_of(service, reading)
    queries, axes, page = service.ledger.queries, reading.axes, Page(limit, after)
    found = await run_query(request, axes, lambda: reports.public_notices(queries, axes, today, page))
    addresses = AwardAddresses(axes)
    return found.model_copy(update={"notices": [addresses.award(notice) for notice in found.notices]})


@router.get("/v1/undercut-awards", summary="Awards undercut by a later correction or rule")
async def undercut_awards(
    request: Request,
    service: ServiceDep,
    reading: AxesDep,
    honor: OfHonor = None,
    year: OfYear = None,
    recipient: For = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    after: After = None,
) -> UndercutAwards:
    """The evidence of each award, the figures now, the difference, and the events and rules that caused it: a hundred
    shifts and events at most.

    A threshold is undercut if, by what is known now, it was not reached on the day of the award; an honour of a ranking
    if the rank is now behind the last place.
    """
    queries, log, axes = service.ledger.queries, service.ledger.log, reading.axes
    criteria, page = AwardFilter(honor, year, recipient), Page(limit, after)
    whole = replace(axes, valid_at=None)
    found = await run_query(request, whole, lambda: reports.undercut(queries, log, axes, criteria, page))
    addresses = AwardAddresses(axes)
    return found.model_copy(update={"undercut": [addresses.undercut(award) for award in found.undercut]})


@router.get("/v1/honors/{honor}/eligible", summary="Recipients who are eligible for an honour and were not awarded it")
async def eligible(
    request: Request,
    honor: Annotated[str, Path(description="A threshold's or a ranking's id.", pattern=NAME_PATTERN)],
    service: ServiceDep,
    reading: AxesDep,
    year: Year = None,
    limit: Limit = 100,
    after: After = None,
) -> EligibleForHonor:
    """By the day on which the honour was reached, up to `valid_at` (by default today); of a ranking, by rank, within
    its places.

    If the honour was announced, `award` and `state` name the award and its state.
    """
    queries, axes = service.ledger.queries, reading.axes
    today = today_of(service, reading)

    def read() -> EligibleForHonor:
        return eligible_for(queries, honor, year, today, axes, Page(limit, after))

    found = await of_year(request, reading, year, read)
    addresses = AwardAddresses(axes)
    return found.model_copy(update={"eligible": [addresses.eligible(found, entry) for entry in found.eligible]})


class AwardAddresses(Addresses):
    """Makes the links of awards, their recipients and their evidence."""

    def award(self, award: A) -> A:
        """Link an award to its history, to its evidence computed again, and to its recipient's figures."""
        own = self._address(f"/v1/awards/{quote(award.award)}")
        links = {"life": own, "as_given": self._address(f"/v1/awards/{quote(award.award)}/as-given")}
        return linked(award, **links, **self._recipient(award.volunteer, award.project, award.year))

    def eligible(self, found: EligibleForHonor, entry: Eligible) -> Eligible:
        """Link an eligible recipient to the figures, to the day on which the honour was reached, and to the award."""
        of_volunteers = found.of == "volunteers"
        volunteer, project = (entry.name, None) if of_volunteers else (None, entry.name)
        links = self._recipient(volunteer, project, found.year)
        if entry.award is not None:
            links["award"] = self._address(f"/v1/awards/{quote(entry.award)}")
        if entry.reached_on is not None:
            links["explanation"] = self.explanation(entry.name, entry.reached_on)
        return linked(entry, **links)

    def undercut(self, award: Undercut) -> Undercut:
        """Link an undercut award as any other, and each shift among its causes to its events and its day."""
        shifts = [
            linked(
                shift,
                events=self.shift_events(shift.volunteer or award.volunteer or "", shift.shift),
                explanation=self.explanation(award.volunteer or "", shift.day),
            )
            for shift in award.causes.shifts[:CAUSES_MAX]
        ]
        changes = {"shifts": shifts, "positions": award.causes.positions[:CAUSES_MAX]}
        return self.award(award).model_copy(update={"causes": award.causes.model_copy(update=changes)})

    def _recipient(self, volunteer: str | None, project: str | None, year: int | None) -> dict[str, str]:
        of_year = {} if year is None else {"year": year}
        if project is not None:
            return {"activity": self._address(f"/v1/projects/{quote(project)}/activity", **of_year)}
        if volunteer is None:
            return {}
        links = {"hours": self._address(f"/v1/volunteers/{quote(volunteer)}")}
        if year is not None:
            links["shifts"] = self.shifts(volunteer, date(year, 1, 1), date(year, 12, 31))
        return links
