"""What readers ask about awards: the public notices, who is eligible, what was undercut, and one award's whole life."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Annotated, TypeVar
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Request

from api.http.requests.dependencies import AxesDep, ServiceDep, in_turn, replaying, today_of
from api.http.requests.links import Addresses, linked
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
from replay.awards.reports import AwardFilter, Page
from replay.published import published_rules
from replay.queries.queries import Axes
from replay.records.awards import State

router = APIRouter(tags=["readers"])
A = TypeVar("A", bound=AwardAnswer)

AwardName = Annotated[str, Path(description="The award's id.", pattern=AWARD_PATTERN, examples=["star-1-V0000001"])]
Limit = Annotated[int, Query(ge=1, le=1000)]
After = Annotated[str | None, Query(description="`next_after` of the page before.", max_length=120)]
OfHonor = Annotated[str | None, Query(description="Only of this honour.", pattern=NAME_PATTERN)]
OfYear = Annotated[int | None, Query(ge=2000, le=2100, description="Only of this year of a ranking.")]
For = Annotated[str | None, Query(alias="for", description="Only for this volunteer or project.", pattern=NAME_PATTERN)]


@router.get("/v1/awards", summary="Awards, and how far each is")
def awards(
    service: ServiceDep,
    reading: AxesDep,
    honor: OfHonor = None,
    year: OfYear = None,
    recipient: For = None,
    state: State | None = None,
    limit: Limit = 100,
    after: After = None,
) -> Awards:
    """Announced, objected (an objection is open), rejected (one was upheld), awarded or revoked; by announcement.

    `valid_at` leaves out what was conferred after that day.
    """
    wanted = AwardFilter(honor, year, recipient, state)
    found = reports.awards(service.ledger.queries, reading.axes, wanted, Page(limit, after))
    addresses = AwardAddresses(reading.axes)
    return found.model_copy(update={"awards": [addresses.award(one) for one in found.awards]})


@router.get("/v1/awards/{award}", summary="One award's whole life, with its events")
def award_life(award: AwardName, service: ServiceDep, reading: AxesDep) -> AwardLife:
    """Announcement, objections and their settlement, award, revocation; `known_at` cuts it."""
    found = reports.award_life(service.ledger.queries, service.ledger.log, award, reading.axes)
    return found.model_copy(update={"award": AwardAddresses(reading.axes).award(found.award)})


@router.get("/v1/awards/{award}/as-given", summary="What an honour looked like on the day it was given")
async def as_given(request: Request, award: AwardName, service: ServiceDep, reading: AxesDep) -> AsGiven:
    """The recipient's hours, honours and place as known at the position of the evidence, under its rules.

    The axes of the answer are those of the evidence; `found` is what the ledger says by them, and `agrees` whether the
    evidence named the same. `known_at` decides which events of the award count; its year's ranking is replayed.
    """
    queries, log = service.ledger.queries, service.ledger.log

    def read() -> AsGiven:
        return reports.as_given(queries, log, award, reading.axes)

    found = await replaying(request, read)
    then = Axes(None, Position(found.known_at), published_rules(log, version=found.rules.version))
    addresses = AwardAddresses(then)
    changes: dict[str, object] = {"award": addresses.award(found.award)}
    if found.hours is not None:
        changes["hours"] = addresses.hours(found.hours)
    return found.model_copy(update=changes)


@router.get("/v1/public-notices", summary="The public notice list")
def public_notices(service: ServiceDep, reading: AxesDep, limit: Limit = 100, after: After = None) -> PublicNotices:
    """What is announced and neither awarded nor ended: until when, and which objections are open; as of today, or
    `valid_at`.
    """
    today = today_of(service, reading)
    found = reports.public_notices(service.ledger.queries, reading.axes, today, Page(limit, after))
    addresses = AwardAddresses(reading.axes)
    return found.model_copy(update={"notices": [addresses.award(one) for one in found.notices]})


@router.get("/v1/undercut-awards", summary="Awards that a later correction or rule has undercut")
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
    """What each rested on, what holds now, the difference, and which events and rules caused it.

    A threshold is undercut when it was not reached on the day of the award, by what is known now; a ranking's honour
    when the rank lies behind the last place.
    """
    queries, log, axes = service.ledger.queries, service.ledger.log, reading.axes
    wanted, page = AwardFilter(honor, year, recipient), Page(limit, after)
    whole = replace(axes, valid_at=None)
    found = await in_turn(request, whole, lambda: reports.undercut(queries, log, axes, wanted, page))
    addresses = AwardAddresses(axes)
    return found.model_copy(update={"undercut": [addresses.undercut(one) for one in found.undercut]})


@router.get("/v1/honors/{honor}/eligible", summary="Who is eligible for an honour and was not awarded it")
async def eligible(
    request: Request,
    honor: Annotated[str, Path(description="A threshold's or a ranking's id.", pattern=NAME_PATTERN)],
    service: ServiceDep,
    reading: AxesDep,
    year: Year = None,
    limit: Limit = 100,
    after: After = None,
) -> EligibleForHonor:
    """By the day on which it was reached, up to `valid_at` (by default today); of a ranking, by rank within the places.

    Where it was announced, `award` and `state` say how far that is.
    """
    queries, axes = service.ledger.queries, reading.axes
    today = today_of(service, reading)

    def read() -> EligibleForHonor:
        return reports.eligible(queries, honor, year, today, axes, Page(limit, after))

    found = await of_year(request, reading, year, read)
    addresses = AwardAddresses(axes)
    return found.model_copy(update={"eligible": [addresses.eligible(found, one) for one in found.eligible]})


class AwardAddresses(Addresses):
    """Where an award, its recipient and its evidence are."""

    def award(self, award: A) -> A:
        """Let an award lead to its life, to the day it was given on, and to its recipient."""
        own = self._address(f"/v1/awards/{quote(award.award)}")
        links = {"life": own, "as_given": self._address(f"/v1/awards/{quote(award.award)}/as-given")}
        return linked(award, **links, **self._recipient(award.volunteer, award.project, award.year))

    def eligible(self, found: EligibleForHonor, one: Eligible) -> Eligible:
        """Let somebody eligible lead to what was reached, and to what was announced."""
        of_volunteers = found.of == "volunteers"
        links = self._recipient(one.name if of_volunteers else None, None if of_volunteers else one.name, found.year)
        if one.award is not None:
            links["award"] = self._address(f"/v1/awards/{quote(one.award)}")
        if one.reached_on is not None:
            links["explanation"] = self.explanation(one.name, one.reached_on)
        return linked(one, **links)

    def undercut(self, one: Undercut) -> Undercut:
        """Let an undercut award lead to its evidence, and each shift behind it to its events."""
        shifts = [
            linked(
                shift,
                events=self.shift_events(shift.volunteer or one.volunteer or "", shift.shift),
                explanation=self.explanation(one.volunteer or "", shift.day),
            )
            for shift in one.causes.shifts
        ]
        return self.award(one).model_copy(update={"causes": one.causes.model_copy(update={"shifts": shifts})})

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
