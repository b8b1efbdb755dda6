"""Routes to the log: in pages, or as one stream of lines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from api.http.media_types import chosen
from api.http.requests.dependencies import CallerDep, ServiceDep, run_read
from api.http.requests.lanes import ConcurrencyLimits, Permit, share_of
from api.http.requests.readings import AxesDep
from api.operations.service import OpenLedger
from ledger.names import POSITION_MAX, Position
from replay.axes import answers
from replay.queries.queries import UnknownNameError, logged_event

PAGE_EVENTS_MAX = 1000
NDJSON = "application/x-ndjson"

router = APIRouter(prefix="/v1/log", tags=["readers"])


class LogPage(answers.Basis):
    """Events in the order of their positions. `next_after`: the `after` of the next page, null on the last one."""

    events: list[answers.LoggedEvent]
    next_after: int | None


class LogEntry(answers.Basis):
    """One event of the log."""

    event: answers.LoggedEvent


@router.get(
    "",
    summary="The log",
    response_model=LogPage,
    responses={
        200: {"content": {NDJSON: {"schema": {"type": "string", "description": "One `LoggedEvent` per line."}}}}
    },
)
async def log(
    request: Request,
    service: ServiceDep,
    caller: CallerDep,
    reading: AxesDep,
    after: Annotated[int, Query(ge=0, le=POSITION_MAX, description="Only events after this position.")] = 0,
    limit: Annotated[
        int | None,
        Query(
            ge=1,
            le=POSITION_MAX,
            description="The maximum number of events. Page: 100 by default, at most 1,000; stream: all by default.",
        ),
    ] = None,
) -> LogPage | StreamingResponse:
    """Events as they are stored. With `Accept: application/x-ndjson` a stream of one event per line, up to `known_at`.

    To continue an interrupted stream, set `after` to the last position received.
    """
    ledger, known_at = service.ledger, reading.axes.known_at
    until = await run_sync(ledger.log.head) if known_at is None else known_at
    if chosen(request, NDJSON) == NDJSON:
        lines = (event.model_dump_json() + "\n" for event in events_of(ledger, after, until, limit))
        limits: ConcurrencyLimits = request.app.state.concurrency
        return _Export(lines, await limits.exports.acquire(share_of(caller)))
    page = min(limit or 100, PAGE_EVENTS_MAX)
    events = await run_read(request, lambda: list(events_of(ledger, after, until, page)))
    more = bool(events) and events[-1].position < until
    return LogPage(**dict(reading.basis()), events=events, next_after=events[-1].position if more else None)


class _Export(StreamingResponse):
    """A stream of lines that holds a permit until it ends."""

    def __init__(self, lines: Iterator[str], permit: Permit) -> None:
        super().__init__(lines, media_type=NDJSON)
        self._permit = permit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._permit.release()


@router.get("/{position}", summary="One event")
async def event(
    request: Request,
    position: Annotated[int, Path(ge=1, le=POSITION_MAX, description="Its position in the log.")],
    service: ServiceDep,
    reading: AxesDep,
) -> LogEntry:
    """The event at a position, as it is stored. Events after `known_at` are not found."""
    known_at = reading.axes.known_at
    if known_at is not None and position > known_at:
        raise UnknownNameError("event", str(position))
    found = await run_read(request, lambda: service.ledger.queries.event(position))
    return LogEntry(**dict(reading.basis()), event=found)


def events_of(ledger: OpenLedger, after: int, until: Position, limit: int | None) -> Iterator[answers.LoggedEvent]:
    """Yield events after a position, up to and including `until`, reading a page at a time."""
    left = until - after if limit is None else limit
    while left > 0 and after < until:
        page = ledger.log.read(Position(after), min(left, PAGE_EVENTS_MAX), until)
        if not page:  # events were removed from the log, which others report
            return
        for event in page:
            yield logged_event(event)
            after, left = event.position, left - 1
