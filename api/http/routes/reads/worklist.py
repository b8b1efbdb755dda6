"""The route to the worklist: what waits for somebody, by its deadline."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query, Request

from api.access.refusals import fault_of_role
from api.access.roles import Caller, Forbidden, Role, roles_of_commands
from api.http.requests.dependencies import CallerDep, ServiceDep, run_replay
from api.http.requests.links import Addresses, linked
from api.http.requests.readings import AxesDep
from api.messages.problems import Problem, problem
from ledger.names import NAME_PATTERN
from replay.axes.as_known import MarkError
from replay.worklist.answers import WorkItem, WorkKind, Worklist
from replay.worklist.worklist import MARK_FORM, WorkFilter, instant_of

router = APIRouter(prefix="/v1", tags=["readers"])


@router.get("/worklist", summary="What waits for somebody, by its deadline")
async def worklist(
    request: Request,
    service: ServiceDep,
    reading: AxesDep,
    caller: CallerDep,
    kind: Annotated[WorkKind | None, Query(description="Only this kind; the counts include all kinds.")] = None,
    station: Annotated[
        str | None, Query(description="Only at this station; a station's key sees its own.", pattern=NAME_PATTERN)
    ] = None,
    organisation: Annotated[
        str | None, Query(description="Only of this organisation and those below it.", pattern=NAME_PATTERN)
    ] = None,
    volunteer: Annotated[str | None, Query(description="Only about this volunteer.", pattern=NAME_PATTERN)] = None,
    overdue: Annotated[bool | None, Query(description="Only what is overdue, or only what is not.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="The maximum number of entries.")] = 100,
    after: Annotated[
        str | None,
        Query(description="`next_after` of the page before.", json_schema_extra={"pattern": MARK_FORM}),
    ] = None,
) -> Worklist:
    """Shifts without a check-out that no scan can end any more, requests that wait for a second person, disputes, and
    awards that their evidence no longer supports: each with the commands that settle it, the roles that may send them,
    and the last day for it by the rules; as of `valid_at` or `known_at`, by default now.

    This needs a replay, which takes seconds for a whole district.
    """
    criteria = WorkFilter(kind, _station_of(caller, station), organisation, volunteer, overdue)
    reader, axes, addresses = service.ledger.worklist, reading.axes, WorkAddresses(reading.axes)
    now = instant_of(axes, reading.rules.timeline(), service.ledger.clock())
    try:
        found = await run_replay(request, lambda: reader.worklist(axes, now, criteria, limit, after))
    except MarkError as error:
        raise problem("invalid", str(error), field="after") from None
    return addresses.worklist(found)


def _station_of(caller: Caller, station: str | None) -> str | None:
    """Return the station that the list is about: that of a station's key, whatever it asks for.

    Raises:
        Problem: a station's key asks for another station.
    """
    if caller.role is not Role.STATION:
        return station
    if station not in {None, caller.name}:
        rule = f"this key belongs to station {caller.name}, not {station}"
        raise Problem(fault_of_role(Forbidden("station", rule, "name the key's own station, or leave it out")))
    return caller.name


class WorkAddresses(Addresses):
    """Makes the links of the worklist."""

    def worklist(self, found: Worklist) -> Worklist:
        """Name the roles that may act on each entry, and link it to its record."""
        items = [
            linked(item.model_copy(update={"roles": roles_of_commands(item.commands)}), **self._links(item))
            for item in found.items
        ]
        return found.model_copy(update={"items": items})

    def _links(self, item: WorkItem) -> dict[str, str]:
        links: dict[str, str] = {}
        if item.volunteer and item.shift:
            links["events"] = self.shift_events(item.volunteer, item.shift)
        if item.volunteer:
            links["history"] = self.record(item.volunteer)
        if item.award:
            links["award"] = self._address(f"/v1/awards/{quote(item.award)}")
        if item.request:
            links["requests"] = self._address("/v1/requests", state="open")
        return links
