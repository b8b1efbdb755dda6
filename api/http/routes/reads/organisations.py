"""Routes about organisations: the tree, what belongs to an organisation, its activity, and that of its members."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, TypeVar
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Request, Response

from api.http.requests.dependencies import ServiceDep, run_read, run_replay
from api.http.requests.links import Addresses, linked
from api.http.requests.paging import PAGE_MAX, PageAfter, PageLimit, page_of
from api.http.requests.preconditions import TAGGED, tag
from api.http.requests.readings import AxesDep, today_of
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
WhichOnes = Annotated[
    Of, Query(description="By the organisations of the stations, or by those that lead the projects.")
]
Rows = Annotated[By, Query(description="A row for each year, or for each month.")]


@router.get("/v1/organisations", summary="The organisation tree")
async def all_organisations(
    request: Request, service: ServiceDep, reading: AxesDep, limit: PageLimit = PAGE_MAX, after: PageAfter = None
) -> Organisations:
    """Districts, subdistricts, communities, group members and NGOs, as of `valid_at`, by default today."""
    queries, database, today = service.ledger.queries, service.ledger.database, today_of(service, reading)
    addresses = OrganisationAddresses(reading.axes)

    def read() -> Organisations:
        found = organisations.organisations(queries, database, today, reading.axes)
        by_name = {organisation.organisation: organisation for organisation in found.organisations}
        names, next_after = page_of(list(by_name), limit, after)
        listed = [addresses.linked(by_name[name]) for name in names]
        return found.model_copy(update={"organisations": listed, "next_after": next_after})

    return await run_read(request, read)


@router.get("/v1/organisations/{organisation}", summary="An organisation, and what belongs to it", responses=TAGGED)
async def one_organisation(
    request: Request, organisation: Name, service: ServiceDep, reading: AxesDep, response: Response
) -> OrganisationAnswer:
    """Its place in the tree, its stations, projects and members on `valid_at` (by default today), and its history."""
    queries, database, today = service.ledger.queries, service.ledger.database, today_of(service, reading)
    found = await run_read(
        request, lambda: organisations.organisation(queries, database, organisation, today, reading.axes)
    )
    tag(response, found.organisation.version)
    return OrganisationAddresses(reading.axes).answer(found)


@router.get("/v1/organisations/{organisation}/activity", summary="The activity in an organisation")
async def organisation_activity(
    request: Request,
    organisation: Name,
    service: ServiceDep,
    reading: AxesDep,
    year: Year = None,
    by: Rows = "year",
    of: WhichOnes = "places",
) -> OrganisationActivity:
    """A shift counts for the organisation of its station on the day it begins or, if the station has none, for that of
    its project; people served likewise. With `of=projects` everything counts for the organisation that leads the
    project, wherever it took place. `rows` include all organisations below; `own` and `parts` add up to them, except
    for volunteers, who count once each. The first query after an event needs a replay.
    """
    queries, database, axes = service.ledger.queries, service.ledger.database, reading.axes
    rows = RowFilter(year, by, of)
    found = await run_replay(request, lambda: organisations.activity(queries, database, organisation, rows, axes))
    return OrganisationAddresses(axes).done(found)


@router.get("/v1/organisations/{organisation}/members", summary="The activity of an organisation's members")
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
    """Their service on the days of their membership, wherever it took place. Service before a change of membership
    stays with the former organisation. A member of several organisations counts in each of them, and once in the
    organisations above them.
    """
    queries, database, axes = service.ledger.queries, service.ledger.database, reading.axes
    rows = RowFilter(year, by)
    found = await run_replay(
        request,
        lambda: organisations.members(queries, database, organisation, rows, axes, limit=limit, after=after),
    )
    return OrganisationAddresses(axes).members(found)


@router.get("/v1/district/activity", summary="All activity in the district, by organisation")
async def district_activity(
    request: Request,
    service: ServiceDep,
    reading: AxesDep,
    year: Year = None,
    by: Rows = "year",
    of: WhichOnes = "places",
) -> DistrictActivity:
    """All shifts and all people served. `parts`: the organisations at the top of the tree, and what belongs to none."""
    queries, database, axes = service.ledger.queries, service.ledger.database, reading.axes
    found = await run_replay(request, lambda: organisations.district(queries, database, RowFilter(year, by, of), axes))
    return OrganisationAddresses(axes).district(found)


class OrganisationAddresses(Addresses):
    """Makes the links of organisations and their figures."""

    def _of(self, name: str) -> str:
        return f"/v1/organisations/{quote(name)}"

    def activity_of(self, name: str, **parameters: object) -> str:
        """Return the address of the activity in an organisation."""
        return self._address(f"{self._of(name)}/activity", **parameters)

    def linked(self, organisation: Organisation) -> Organisation:
        """Link an organisation to what belongs to it, to its activity, and to that of its members."""
        name = organisation.organisation
        return linked(
            organisation,
            organisation=self._address(self._of(name)),
            activity=self.activity_of(name),
            members=self._address(f"{self._of(name)}/members"),
        )

    def answer(self, found: OrganisationAnswer) -> OrganisationAnswer:
        """Link each station and project of an organisation to its activity, and each change to its event."""
        return found.model_copy(
            update={
                "organisation": self.linked(found.organisation),
                "stations": [
                    linked(station, activity=self._address(f"/v1/stations/{quote(station.name)}/activity"))
                    for station in found.stations
                ],
                "projects": [
                    linked(project, activity=self._address(f"/v1/projects/{quote(project.name)}/activity"))
                    for project in found.projects
                ],
                "history": [linked(change, event=self.event(change.position)) for change in found.history],
            }
        )

    def done(self, found: OrganisationActivity) -> OrganisationActivity:
        """Link each year to its months, and each part to its activity."""
        name = found.organisation
        rows = [
            self._row(row, lambda year: self.activity_of(name, year=year, by="month", of=found.of))
            for row in found.rows
        ]
        return found.model_copy(update={"rows": rows, "parts": self._parts(found)})

    def district(self, found: DistrictActivity) -> DistrictActivity:
        """Link each year of the district to its months, and each part to its activity."""
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
        """Link each member to the shifts during the membership, and each part to its members."""
        parts = [
            linked(part, members=self._address(f"{self._of(part.organisation)}/members", by=found.by))
            for part in found.parts
        ]
        return found.model_copy(update={"parts": parts, "members": [self._member(member) for member in found.members]})

    def _member(self, member: Member) -> Member:
        last = member.until - timedelta(days=1) if member.until else None
        return linked(member, shifts=self.shifts(member.volunteer, member.since, last))
