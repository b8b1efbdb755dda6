"""The log for auditors: its events with a search, one event with its bytes, and what their browser verifies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

from fastapi import Depends, Query, Request
from fastapi.responses import RedirectResponse, Response

from api.access.roles import Caller, Right
from api.pages.audit_words import fields_of, topic_words
from api.pages.forms import whole_number
from api.pages.languages import texts_for
from api.pages.ledger_client import LedgerClient, RefusedByApiError
from api.pages.page_routes import needs_right, page_router
from api.pages.rendering import render
from ledger.aggregates import EVENTS
from ledger.names import POSITION_MAX
from replay.proof.entries import EntryError, entries_in, event_of
from replay.proof.tree import TILE_WIDTH, index_path

router = page_router()
Auditor = Annotated[Caller, Depends(needs_right(Right.AUDIT))]
EVENTS_OF_A_PAGE = 50
SEARCHED_AT_ONCE = 1_000
SEARCHED_MAX = 20_000
"""Events that one search looks through; the page says how far it came, and goes on from there."""
RAW_CHARACTERS_MAX = 4_000


class Search(NamedTuple):
    """What events are looked for; empty: any."""

    kind: str = ""
    volunteer: str = ""
    station: str = ""
    by: str = ""
    stream: str = ""

    def takes(self, event: Mapping[str, Any]) -> bool:
        """Return whether an event of the log is one of these."""
        fields = event["event"]
        return (
            (not self.kind or event["topic"] == self.kind)
            and (not self.volunteer or self.volunteer in (fields.get(name) for name in _NUMBERS))
            and (not self.station or fields.get("station") == self.station)
            and (not self.by or self.by in {fields.get("by"), fields.get("approved_by")})
            and (not self.stream or event["stream"] == self.stream)
        )


_NUMBERS = ("volunteer", "to_volunteer", "into", "number")


class Page(NamedTuple):
    """Events, the last position that was looked at, and whether there is more."""

    events: list[dict[str, Any]]
    until: int
    more: bool


@router.get("/audit/log")
async def log(
    request: Request,
    _caller: Auditor,
    after: Annotated[int | None, Query(ge=0, le=POSITION_MAX)] = None,
    position: str = "",
    kind: str = "",
    volunteer: str = "",
    station: str = "",
    by: str = "",
    stream: str = "",
) -> Response:
    """Events of the log: the newest first page, a search, or the event at a position."""
    if (number := whole_number(position)) is not None:
        return RedirectResponse(f"/audit/events/{number}", 303)
    search = Search(*(each.strip() for each in (kind, volunteer, station, by, stream)))
    client = LedgerClient(request)
    head = (await client.get("/v1/log", after=POSITION_MAX, limit=1))["position"]
    if after is None:
        after = 0 if any(search) else max(0, head - EVENTS_OF_A_PAGE)
    page = await _found(client, search, after) if any(search) else await _plain(client, after)
    words = topic_words(texts_for(request.headers).gettext)
    return await render(
        request,
        "audit_log.html",
        page=page,
        search=search,
        chosen={name: value for name, value in search._asdict().items() if value},
        after=after,
        head=head,
        before=max(0, after - EVENTS_OF_A_PAGE),
        topic=words,
        topics=sorted(((words(topic), topic) for topic in EVENTS), key=lambda each: each[0]),
    )


async def _plain(client: LedgerClient, after: int) -> Page:
    found = await client.get("/v1/log", after=after, limit=EVENTS_OF_A_PAGE)
    events = found["events"]
    return Page(events, events[-1]["position"] if events else after, found["next_after"] is not None)


async def _found(client: LedgerClient, search: Search, after: int) -> Page:
    """Look through the log, as far as one request may."""
    events: list[dict[str, Any]] = []
    for _part in range(SEARCHED_MAX // SEARCHED_AT_ONCE):
        answer = await client.get("/v1/log", after=after, limit=SEARCHED_AT_ONCE)
        for event in answer["events"]:
            after = event["position"]
            if search.takes(event):
                events.append(event)
                if len(events) == EVENTS_OF_A_PAGE:
                    return Page(events, after, more=True)
        if answer["next_after"] is None:
            return Page(events, after, more=False)
    return Page(events, after, more=True)


@router.get("/audit/events/{position}")
async def event(request: Request, position: int, _caller: Auditor) -> Response:
    """One event: its fields in words, its bytes as stored, and its proof."""
    client = LedgerClient(request)
    found = (await client.get(f"/v1/log/{position}"))["event"]
    gettext = texts_for(request.headers).gettext
    raw = await _stored(client, position)
    return await render(
        request,
        "audit_event.html",
        event=found,
        title=topic_words(gettext)(found["topic"]),
        fields=list(fields_of(found["event"], gettext)),
        raw=raw[:RAW_CHARACTERS_MAX] if raw is not None else None,
        raw_bytes=0 if raw is None else len(raw.encode()),
        position=position,
    )


async def _stored(client: LedgerClient, position: int) -> str | None:
    """Return the stored bytes of an event as text; None while no checkpoint covers it."""
    try:
        entry = await _entry(client, position)
        return None if entry is None else event_of(entry).state.decode(errors="replace")
    except EntryError:
        return None


async def _entry(client: LedgerClient, position: int) -> bytes | None:
    number, place = divmod(position - 1, TILE_WIDTH)
    size = (await client.get("/v1/status"))["tree"]["published"]
    width = min(TILE_WIDTH, size - number * TILE_WIDTH)
    if place >= width:
        return None
    answer = await client.send("GET", f"/v1/log/tile/entries/{index_path(number, width)}")
    return next((entry for at, entry in enumerate(entries_in(answer.content)) if at == place), None)


@router.get("/audit/events/{position}/entry")
async def entry_bytes(request: Request, position: int, _caller: Auditor) -> Response:
    """The entry of an event as it is stored now: the bytes whose hash is a leaf of the tree."""
    entry = await _entry(LedgerClient(request), position)
    if entry is None:
        return Response(status_code=404, headers={"Cache-Control": "no-store"})
    return Response(entry, media_type="application/octet-stream", headers={"Cache-Control": "no-store"})


@router.get("/audit/events/{position}/proof")
async def proof(request: Request, position: int, _caller: Auditor) -> Response:
    """The proof of an event, as a file."""
    try:
        answer = await LedgerClient(request).send("GET", f"/v1/events/{position}/proof")
    except RefusedByApiError as error:
        if "text/html" in request.headers.get("accept", ""):
            raise
        return Response(str(error), error.status, media_type="text/plain")
    name = f'attachment; filename="{position}.tlog-proof"'
    headers = {"Content-Disposition": name, "Cache-Control": "no-store"}
    return Response(answer.content, media_type="text/plain", headers=headers)
