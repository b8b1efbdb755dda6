"""What readers ask about organisations: the tree, what belongs to one, what is done there and by its members."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, TypeVar
from urllib.parse import quote

from anyio.to_thread import run_sync
from fastapi import APIRouter, Path, Query, Request

from api.http.requests.dependencies import AxesDep, ServiceDep, replaying, today_of
from api.http.requests.links import Addresses, linked
from ledger.names import NAME_PATTERN
from replay.organisations import organisations
from replay.organisations.answers import (
    ActivityPart,
    ActivityRow,
    By,
    DistrictActivity,
    Member,
    Of,
    Organisation,
    OrganisationActivity,
    OrganisationAnswer,
    OrganisationMembers,
    Organisations,
)
from replay.organisations.organisations import RowFilter

router = APIRouter(tags=["readers"])
T = TypeVar("T")

Name = Annotated[
    str, Path(description="The organisation's id.", pattern=NAME_PATTERN, examples=["luohu"], max_length=32)
]
Year = Annotated[int | None, Query(ge=2000, le=2100, description="By default all years.")]
WhichOnes = Annotated[Of, Query(description="By the stations' organisations, or by those that lead the projects.")]
Rows = Annotated[By, Query(description="A row for each year, or for each month.")]


@router.get("/v1/organisations", summary="The organisation tree")
async def all_organisations(service: ServiceDep, reading: AxesDep) -> Organisations:
    """Districts, subdistricts, communities, group members and NGOs, as they stand on `valid_at`, by default today."""
    queries, database, today = service.ledger.queries, service.ledger.database, today_of(service, reading)
    found = await run_sync(lambda: organisations.organisations(queries, database, today, reading.axes))
    addresses = OrganisationAddresses(reading.axes)
    return found.model_copy(update={"organisations": [addresses.linked(one) for one in found.organisations]})


@router.get("/v1/organisations/{organisation}", summary="An organisation, and what belongs to it")
async def one_organisation(organisation: Name, service: ServiceDep, reading: AxesDep) -> OrganisationAnswer:
    """Its place in the tree, its stations, projects and members on `valid_at` (by default today), and its history."""
    queries, database, today = service.ledger.queries, service.ledger.database, today_of(service, reading)
    found = await run_sync(lambda: organisations.organisation(queries, database, organisation, today, reading.axes))
    return OrganisationAddresses(reading.axes).answer(found)


@router.get("/v1/organisations/{organisation}/activity", summary="What is done in an organisation")
async def organisation_activity(
    request: Request,
    organisation: Name,
    service: ServiceDep,
    reading: AxesDep,
    year: Year = None,
    by: Rows = "year",
    of: WhichOnes = "places",
) -> OrganisationActivity:
    """A shift belongs to its station's organisation on the day it begins, or, if the station has none, to its
    project's; people served likewise. With `of=projects` all is counted where the project is led, wherever it was.
    `rows` are with all below; `own` and `parts` sum to them, but for volunteers, who count once each. It is replayed,
    so the first question after an event takes as long as that does.
    """
    queries, database, axes = service.ledger.queries, service.ledger.database, reading.axes
    wanted = RowFilter(year, by, of)
    found = await replaying(request, lambda: organisations.activity(queries, database, organisation, wanted, axes))
    return OrganisationAddresses(axes).done(found)


@router.get("/v1/organisations/{organisation}/members", summary="What an organisation's members do")
async def organisation_members(
    request: Request,
    organisation: Name,
    service: ServiceDep,
    reading: AxesDep,
    year: Year = None,
    by: Rows = "year",
    limit: Annotated[int, Query(ge=1, le=1000, description="Volunteers at most.")] = 100,
    after: Annotated[str | None, Query(description="`next_after` of the page before.", pattern=NAME_PATTERN)] = None,
) -> OrganisationMembers:
    """What they did on the days of their membership, wherever they served. Whoever moves keeps the past where it was.
    A member of several organisations stands in the sums of each, and once in those of what is above them.
    """
    queries, database, axes = service.ledger.queries, service.ledger.database, reading.axes
    wanted = RowFilter(year, by)
    found = await replaying(
        request,
        lambda: organisations.members(queries, database, organisation, wanted, axes, limit=limit, after=after),
    )
    return OrganisationAddresses(axes).members(found)


@router.get("/v1/district/activity", summary="What is done at all, by organisation")
async def district_activity(
    request: Request,
    service: ServiceDep,
    reading: AxesDep,
    year: Year = None,
    by: Rows = "year",
    of: WhichOnes = "places",
) -> DistrictActivity:
    """All shifts and all people served: the parts of the organisations at the top of the tree, and of none."""
    queries, database, axes = service.ledger.queries, service.ledger.database, reading.axes
    found = await replaying(request, lambda: organisations.district(queries, database, RowFilter(year, by, of), axes))
    return OrganisationAddresses(axes).district(found)


class OrganisationAddresses(Addresses):
    """Where an organisation's figures come from."""

    def _of(self, name: str) -> str:
        return f"/v1/organisations/{quote(name)}"

    def activity_of(self, name: str, **parameters: object) -> str:
        """Return where what is done in an organisation is."""
        return self._address(f"{self._of(name)}/activity", **parameters)

    def linked(self, one: Organisation) -> Organisation:
        """Let an organisation lead to what belongs to it, what is done there, and by its members."""
        name = one.organisation
        return linked(
            one,
            organisation=self._address(self._of(name)),
            activity=self.activity_of(name),
            members=self._address(f"{self._of(name)}/members"),
        )

    def answer(self, found: OrganisationAnswer) -> OrganisationAnswer:
        """Let all that belongs to an organisation lead to what goes on there, and its history to the events."""
        return found.model_copy(
            update={
                "organisation": self.linked(found.organisation),
                "stations": [
                    linked(one, activity=self._address(f"/v1/stations/{quote(one.name)}/activity"))
                    for one in found.stations
                ],
                "projects": [
                    linked(one, activity=self._address(f"/v1/projects/{quote(one.name)}/activity"))
                    for one in found.projects
                ],
                "history": [linked(change, event=self.event(change.position)) for change in found.history],
            }
        )

    def done(self, found: OrganisationActivity) -> OrganisationActivity:
        """Let years lead to their months, and parts to what is done there."""
        name = found.organisation
        rows = [
            self._row(row, lambda year: self.activity_of(name, year=year, by="month", of=found.of))
            for row in found.rows
        ]
        return found.model_copy(update={"rows": rows, "parts": self._parts(found)})

    def district(self, found: DistrictActivity) -> DistrictActivity:
        """The same of the whole district."""
        rows = [
            self._row(row, lambda year: self._address("/v1/district/activity", year=year, by="month", of=found.of))
            for row in found.rows
        ]
        return found.model_copy(update={"rows": rows, "parts": self._parts(found)})

    def _row(self, row: ActivityRow, months: Callable[[int], str]) -> ActivityRow:
        return row if row.month else linked(row, months=months(row.year))

    def _parts(self, found: OrganisationActivity | DistrictActivity) -> list[ActivityPart]:
        return [
            linked(part, activity=self.activity_of(part.organisation, by=found.by, of=found.of)) for part in found.parts
        ]

    def members(self, found: OrganisationMembers) -> OrganisationMembers:
        """Let members lead to their shifts of the time, and parts to their members."""
        parts = [
            linked(part, members=self._address(f"{self._of(part.organisation)}/members", by=found.by))
            for part in found.parts
        ]
        return found.model_copy(update={"parts": parts, "members": [self._member(one) for one in found.members]})

    def _member(self, one: Member) -> Member:
        last = one.until - timedelta(days=1) if one.until else None
        return linked(one, shifts=self.shifts(one.volunteer, one.since, last))
