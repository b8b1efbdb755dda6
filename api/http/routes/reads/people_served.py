"""The route to people served (服务人次): people helped, not volunteers."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query, Request

from api.http.requests.dependencies import ServiceDep, run_query
from api.http.requests.links import Addresses, linked
from api.http.requests.readings import AxesDep, today_of
from api.messages.periods import period
from api.messages.problems import problem
from ledger.names import NAME_PATTERN, QueryDay
from replay.organisations.people_served import PeopleServedQuery, people_served
from replay.organisations.people_served_answers import PeopleServed, ServedDay

router = APIRouter(tags=["readers"])

_AFTER = re.compile(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}/[A-Za-z0-9._-]{1,32}/[A-Za-z0-9._-]{0,32}$")


@router.get("/v1/people-served", summary="People served, by station, project, organisation and day")
async def served(
    request: Request,
    service: ServiceDep,
    reading: AxesDep,
    station: Annotated[str | None, Query(description="Only at this station.", pattern=NAME_PATTERN)] = None,
    project: Annotated[str | None, Query(description="Only for this project.", pattern=NAME_PATTERN)] = None,
    organisation: Annotated[
        str | None,
        Query(description="Only what belongs to this organisation or to one below it.", pattern=NAME_PATTERN),
    ] = None,
    first: Annotated[QueryDay | None, Query(alias="from", description="The first day; by default a month ago.")] = None,
    last: Annotated[QueryDay | None, Query(alias="to", description="The last day; by default today.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="The maximum number of days.")] = 100,
    after: Annotated[
        str | None, Query(description="`next_after` of the page before.", json_schema_extra={"pattern": _AFTER.pattern})
    ] = None,
) -> PeopleServed:
    """The last count for a station, project and day is in force. Every count is listed, with who entered it and why."""
    if after is not None and not _AFTER.match(after):
        raise problem(
            "invalid",
            f"after {after!r} is not the next_after of a page; omit it for the first page",
            field="after",
        )
    begin, end = period(first, last, today_of(service, reading))
    queries, database, axes = service.ledger.queries, service.ledger.database, reading.axes
    query = PeopleServedQuery(begin, end, station, project, organisation)
    addresses = ServedAddresses(axes)

    def read() -> PeopleServed:
        found = people_served(queries, database, query, axes, limit=limit, after=after)
        return found.model_copy(update={"days": [addresses.day(day) for day in found.days]})

    return await run_query(request, axes, read)


class ServedAddresses(Addresses):
    """Makes the links of counts."""

    def day(self, day: ServedDay) -> ServedDay:
        """Link a day to the station's activity on it, and each count to its event."""
        counts = [linked(count, event=self.event(count.position)) for count in day.counts]
        station = self._address(f"/v1/stations/{quote(day.station)}/activity", **{"from": day.day, "to": day.day})
        return linked(day.model_copy(update={"counts": counts}), station_day=station)
