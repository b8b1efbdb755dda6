"""The overview: the public figures of the district, which change while one looks at them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import date

from babel.dates import get_day_names, get_month_names
from fastapi import Request
from fastapi.responses import Response, StreamingResponse
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from api.access.clients import client_of
from api.operations.service import Service
from api.pages.charts.bars import Bar, bars
from api.pages.charts.calendar import calendar, thresholds
from api.pages.figures_cache import FiguresCache
from api.pages.formats import Formats
from api.pages.languages import texts_for
from api.pages.page_routes import UNBUFFERED, page_router
from api.pages.rendering import render
from replay.queries.public_figures import PublicFigures

router = page_router()
YEARS_OPEN = 3
"""Calendars that are shown at once; the others are loaded when they are opened."""
HEARTBEAT_SECONDS = 15


@router.get("/")
async def overview(request: Request) -> Response:
    """The overview."""
    cache: FiguresCache = request.app.state.figures
    figures = await cache.current()
    if figures is None:
        return await render(request, "empty.html")
    texts = texts_for(request.headers)
    formats = Formats(texts.locale, await cache.zone())
    totals = {year: sum(day.credited_minutes for day in days) for year, days in figures.years.items()}
    by_year = [
        Bar(str(year), minutes / 60, f"{formats.whole_hours(minutes)} h", strong=year == figures.today.year)
        for year, minutes in sorted(totals.items())
    ]
    service: Service = request.app.state.service
    checkpoint = service.ledger.tree.checkpoints.published()
    return await render(
        request,
        "overview.html",
        figures=figures,
        today=figures.on(figures.today),
        chart=bars(by_year, texts.gettext("Hours by year")),
        totals=totals,
        calendars={year: _calendar(request, figures, year) for year in list(figures.years)[:YEARS_OPEN]},
        checkpoint=checkpoint,
    )


@router.get("/overview/calendar/{year}")
async def calendar_of_year(request: Request, year: int) -> Response:
    """The calendar of one year."""
    figures = await request.app.state.figures.current()
    if figures is None or year not in figures.years:
        raise HTTPException(404)
    return await render(request, "parts/calendar.html", year=year, chart=_calendar(request, figures, year))


def _calendar(request: Request, figures: PublicFigures, year: int) -> str:
    texts = texts_for(request.headers)
    months = get_month_names("abbreviated", locale=texts.locale)
    weekdays = get_day_names("narrow" if texts.language == "zh" else "abbreviated", locale=texts.locale)
    label = texts.gettext("Hours of each day")
    minutes = {day.day: day.credited_minutes for day in figures.years[year]}
    return calendar(
        year,
        minutes,
        thresholds(list(minutes.values())),
        [months[number] for number in range(1, 13)],
        [weekdays[number] for number in range(7)],
        f"{label}, {year}",
        date(year, 12, 31) if year < figures.today.year else figures.today,
    )


@router.get("/live")
async def live(request: Request) -> Response:
    """The totals as server-sent events, whenever they change."""
    cache: FiguresCache = request.app.state.figures
    service: Service = request.app.state.service

    async def events() -> AsyncIterator[str]:
        sent, quiet = -1, 0
        while not service.stopping.is_set():
            figures = await cache.current()
            if figures is not None and figures.position != sent:
                sent, quiet = figures.position, 0
                yield f"data: {json.dumps(_ticking(figures))}\n\n"
            elif quiet >= HEARTBEAT_SECONDS:
                quiet = 0
                yield ": still here\n\n"
            await asyncio.sleep(1)
            quiet += 1

    return _CountedStream(events(), cache, client_of(request))


class _CountedStream(StreamingResponse):
    """A stream that counts as its client's from before its first byte, so that no burst of requests gets past a limit,
    until it has ended in whatever way.
    """

    def __init__(self, events: AsyncIterator[str], cache: FiguresCache, client: str) -> None:
        super().__init__(events, media_type="text/event-stream", headers=UNBUFFERED)
        self._cache, self._client = cache, client

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream, or that there is no room for it."""
        if not self._cache.begin_stream(self._client):
            await Response(status_code=503, headers={"Retry-After": "60"})(scope, receive, send)
            return
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._cache.end_stream(self._client)


def _ticking(figures: PublicFigures) -> dict[str, int]:
    today = figures.on(figures.today)
    return {
        "minutes": figures.credited_minutes,
        "year_minutes": figures.year_minutes,
        "volunteers": figures.volunteers,
        "people_served": figures.people_served,
        "stations_today": today.stations,
        "minutes_today": today.credited_minutes,
        "position": figures.position,
    }
