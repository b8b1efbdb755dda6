"""A volunteer's own view: hours, the way to the next honours, what is pending, and why each number is what it is."""

from __future__ import annotations

from datetime import date
from typing import Annotated
from urllib.parse import quote

from anyio.to_thread import run_sync
from fastapi import APIRouter, Path

from api.http.requests.dependencies import AxesDep, ServiceDep, today_of
from api.http.requests.links import Addresses, linked
from ledger.names import NAME_PATTERN
from replay.queries.overview import overview
from replay.queries.overview_answers import Overview, PendingShift, PlaceHours

router = APIRouter(tags=["readers"])


@router.get("/v1/volunteers/{number}/overview", summary="A volunteer's own view")
async def volunteer_overview(
    number: Annotated[str, Path(description="The volunteer number.", pattern=NAME_PATTERN, examples=["V0000001"])],
    service: ServiceDep,
    reading: AxesDep,
) -> Overview:
    """Hours by year, station and project; honours reached, and of the others what is missing; open shifts, disputes,
    requests that wait for approval and honours that are announced; memberships and trainings, on `valid_at` (by default
    today). Every number leads to the shifts behind it, and a shift to the explanation of its minutes.
    """
    database, today = service.ledger.database, today_of(service, reading)
    found = await run_sync(lambda: overview(database, number, today, reading.axes))
    return OverviewAddresses(reading.axes).overview(found)


class OverviewAddresses(Addresses):
    """What is behind a volunteer's own view."""

    def overview(self, found: Overview) -> Overview:
        """Let each part lead to what is behind it."""
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
                "stations": [self._place(one, "stations") for one in found.stations],
                "projects": [self._place(one, "projects") for one in found.projects],
                "honors": [
                    linked(honor, explanation=self.explanation(name, honor.reached_on)) for honor in found.honors
                ],
                "pending": pending.model_copy(
                    update={
                        "open_shifts": [self._shift(name, one) for one in pending.open_shifts],
                        "disputes": [self._shift(name, one) for one in pending.disputes],
                        "requests": [linked(one, event=self.event(one.position)) for one in pending.requests],
                        "honors": [
                            linked(one, life=self._address(f"/v1/awards/{quote(one.award)}")) for one in pending.honors
                        ],
                    }
                ),
                "memberships": [
                    linked(one, organisation=self._address(f"/v1/organisations/{quote(one.organisation)}"))
                    for one in found.memberships
                ],
                "trainings": self.trained(found.trainings),
            }
        )

    def _place(self, one: PlaceHours, kind: str) -> PlaceHours:
        return (
            one if one.name is None else linked(one, activity=self._address(f"/v1/{kind}/{quote(one.name)}/activity"))
        )

    def _shift(self, volunteer: str, one: PendingShift) -> PendingShift:
        return linked(one, events=self.shift_events(one.volunteer or volunteer, one.shift))
