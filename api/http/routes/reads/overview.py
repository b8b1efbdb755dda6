"""The route to a volunteer's own view: hours, progress towards honours, pending matters, and links to explanations."""

from __future__ import annotations

from datetime import date
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Path, Request

from api.http.requests.dependencies import ServiceDep, run_read
from api.http.requests.links import Addresses, linked
from api.http.requests.readings import AxesDep, today_of
from ledger.names import NAME_PATTERN
from replay.queries.overview import overview
from replay.queries.overview_answers import Overview, PendingShift, PlaceHours

router = APIRouter(tags=["readers"])


@router.get("/v1/volunteers/{number}/overview", summary="A volunteer's own view")
async def volunteer_overview(
    request: Request,
    number: Annotated[str, Path(description="The volunteer number.", pattern=NAME_PATTERN, examples=["V0000001"])],
    service: ServiceDep,
    reading: AxesDep,
) -> Overview:
    """Hours by year, station and project; honours reached, and what is missing for the others; open shifts, disputes,
    requests that wait for approval and announced honours; memberships and trainings; all as of `valid_at`, by default
    today. Every number links to the shifts behind it, and every shift to the explanation of its minutes.
    """
    database, today = service.ledger.database, today_of(service, reading)
    addresses = OverviewAddresses(reading.axes)
    return await run_read(request, lambda: addresses.overview(overview(database, number, today, reading.axes)))


class OverviewAddresses(Addresses):
    """Makes the links of a volunteer's own view."""

    def overview(self, found: Overview) -> Overview:
        """Link each part to the shifts, events or other answers behind it."""
        name = found.volunteer
        pending = found.pending
        return found.model_copy(
            update={
                "total": linked(found.total, shifts=self.shifts(name), explanation=self.explanation(name)),
                "years": [
                    linked(row, shifts=self.shifts(name, date(row.year, 1, 1), date(row.year, 12, 31)))
                    if row.year
                    else row
                    for row in found.years
                ],
                "stations": [self._place(station, "stations") for station in found.stations],
                "projects": [self._place(project, "projects") for project in found.projects],
                "honors": [
                    linked(honor, explanation=self.explanation(name, honor.reached_on)) for honor in found.honors
                ],
                "pending": pending.model_copy(
                    update={
                        "open_shifts": [self._shift(name, shift) for shift in pending.open_shifts],
                        "disputes": [self._shift(name, shift) for shift in pending.disputes],
                        "requests": [
                            linked(request, event=self.event(request.position)) for request in pending.requests
                        ],
                        "honors": [
                            linked(honor, life=self._address(f"/v1/awards/{quote(honor.award)}"))
                            for honor in pending.honors
                        ],
                    }
                ),
                "memberships": [
                    linked(
                        membership, organisation=self._address(f"/v1/organisations/{quote(membership.organisation)}")
                    )
                    for membership in found.memberships
                ],
                "trainings": self.trained(found.trainings),
            }
        )

    def _place(self, place: PlaceHours, kind: str) -> PlaceHours:
        if place.name is None:
            return place
        return linked(place, activity=self._address(f"/v1/{kind}/{quote(place.name)}/activity"))

    def _shift(self, volunteer: str, shift: PendingShift) -> PendingShift:
        return linked(shift, events=self.shift_events(shift.volunteer or volunteer, shift.shift))
