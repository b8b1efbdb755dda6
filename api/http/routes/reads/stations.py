"""Routes about stations: the list, the activity of one, and the shifts of a day."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request

from api.http.requests.dependencies import ServiceDep, run_query, run_read
from api.http.requests.links import Addresses
from api.http.requests.paging import PAGE_MAX, PageAfter, PageLimit, page_of
from api.http.requests.readings import AxesDep, today_of
from api.messages.periods import period
from api.operations.service import OpenLedger
from ledger.aggregates.station import Station as StationState
from ledger.aggregates.station import StationKind
from ledger.names import NAME_PATTERN, Position, QueryDay, stream
from ledger.store.mapper import decode
from replay.axes import answers

router = APIRouter(prefix="/v1/stations", tags=["readers"])

_SUMS = tuple(answers.StationSums.model_fields)
SHIFT_DAYS_MAX = 31
"""The persons of all these days are computed for one answer."""


class Station(answers.Answer):
    """A station as it was last opened, and whether it still is. `name`: null if it has none.

    `version`: of its record. `sums`: those of the period that was asked for.
    """

    station: str
    name: answers.StationName = None
    kind: StationKind
    theme: str | None
    organisation: str | None
    organisation_name: answers.OrganisationName = answers.omit_none()
    open: bool
    version: int
    sums: answers.StationSums | None = answers.omit_none()


class Stations(answers.Basis):
    """Stations by id; `next_after` continues the list."""

    stations: list[Station]
    next_after: str | None


@router.get("", summary="The stations")
async def stations(
    request: Request,
    service: ServiceDep,
    reading: AxesDep,
    limit: PageLimit = PAGE_MAX,
    after: PageAfter = None,
    first: Annotated[QueryDay | None, Query(alias="from", description="Also the sums from this day on.")] = None,
    last: Annotated[QueryDay | None, Query(alias="to", description="Also the sums up to this day.")] = None,
) -> Stations:
    """City, community and special stations as known at `known_at`. The other axes affect only the sums, which cover
    at most ten years.
    """
    summed = period(first, last, today_of(service, reading)) if first or last else None
    queries, axes = service.ledger.queries, reading.axes

    def read() -> Stations:
        names, next_after = page_of(queries.stations(), limit, after)
        found = stations_known(service.ledger, names, reading.known_at)
        if summed:
            sums, none = queries.station_sums(*summed, axes), answers.StationSums(**dict.fromkeys(_SUMS, 0))
            found = [each.model_copy(update={"sums": sums.get(each.station, none)}) for each in found]
        return Stations(**dict(reading.basis()), stations=found, next_after=next_after)

    return await (run_query(request, axes, read) if summed else run_read(request, read))


def stations_known(ledger: OpenLedger, names: Sequence[str], known_at: Position) -> list[Station]:
    """Return those of the stations that were known at a position."""
    streams = {stream("station", name): name for name in names}
    found = []
    for stream_id, events in ledger.log.read_streams(list(streams), until=known_at).items():
        state = StationState.of(decode(event.topic, event.state) for event in events)
        if (last := state.opened) is not None:
            found.append(
                Station(
                    station=streams[stream_id],
                    kind=last.kind,
                    theme=last.theme,
                    organisation=last.organisation,
                    open=state.is_open,
                    version=state.version,
                )
            )
    return sorted(found, key=lambda station: station.station)


@router.get("/{station}/activity", summary="The activity of a station, by day")
async def station_activity(
    request: Request,
    station: Annotated[str, Path(description="The station's id.", pattern=NAME_PATTERN, examples=["C01"])],
    service: ServiceDep,
    reading: AxesDep,
    first: Annotated[QueryDay | None, Query(alias="from", description="The first day; by default a month ago.")] = None,
    last: Annotated[QueryDay | None, Query(alias="to", description="The last day; by default today.")] = None,
) -> answers.StationActivity:
    """Shifts, volunteers, minutes and people served of each day, and their totals. A day with shifts is a day open."""
    begin, end = period(first, last, today_of(service, reading))
    queries, axes = service.ledger.queries, reading.axes
    addresses = Addresses(axes)
    return await run_query(
        request, axes, lambda: addresses.activity(queries.station_activity(station, begin, end, axes))
    )


@router.get("/{station}/shifts", summary="The shifts behind a station's day")
async def station_shifts(
    request: Request,
    station: Annotated[str, Path(description="The station's id.", pattern=NAME_PATTERN, examples=["C01"])],
    day: Annotated[QueryDay, Query(description="The local day.", examples=["2018-12-04"])],
    service: ServiceDep,
    reading: AxesDep,
    days: Annotated[
        int, Query(ge=1, le=SHIFT_DAYS_MAX, description="The number of days, of which `day` is the last.")
    ] = 1,
    limit: Annotated[int, Query(ge=1, le=1000, description="The maximum number of volunteers.")] = 100,
    after: Annotated[str | None, Query(description="`next_after` of the page before.", pattern=NAME_PATTERN)] = None,
) -> answers.StationDayShifts:
    """The part of each shift on that day, by volunteer; over all pages the parts add up to the day's activity. With
    `days`, the part of each shift on each of the days.
    """
    queries, axes = service.ledger.queries, reading.axes
    addresses = Addresses(axes)
    return await run_query(
        request, axes, lambda: addresses.station_day(queries.station_shifts(station, day, axes, limit, after, days))
    )
