"""The three axes of time: what was known when, up to which day, by which rules, beside what holds now."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any

from fastapi import Depends, Query, Request
from fastapi.responses import Response

from api.access.roles import Caller, Right
from api.operations.service import Service
from api.pages.ledger_client import LedgerClient, address
from api.pages.page_routes import needs_right, page_router
from api.pages.rendering import render

router = page_router()
Trier = Annotated[Caller, Depends(needs_right(Right.TRY_RULES))]


@router.get("/what-if/axes")
async def axes(
    request: Request,
    _caller: Trier,
    volunteer: str = "",
    known_at: str = "",
    valid_at: str = "",
    rules: Annotated[str, Query(max_length=64)] = "",
) -> Response:
    """The hours of a volunteer or of the district at one point of the three axes, beside those of now."""
    client = LedgerClient(request)
    number = volunteer.strip()
    chosen = {"known_at": known_at or None, "valid_at": valid_at or None, "rules": rules or None}
    then, now = await _figures(client, number, chosen), await _figures(client, number, {})
    known = await client.get("/v1/rules")
    recorded, today = await _first_day(request, client), await _today(request)
    return await render(
        request,
        "what_if_axes.html",
        volunteer=number,
        known_at=known_at,
        valid_at=valid_at,
        rules=rules,
        then=then,
        now=now,
        rows=_rows(then, now),
        published=known["published"],
        candidates=known["candidates"][:20],
        first={"known_at": recorded, "valid_at": date(min([recorded.year, *now["years"]]), 1, 1)},
        today=today,
    )


async def _figures(client: LedgerClient, volunteer: str, axes: Mapping[str, str | None]) -> dict[str, Any]:
    """Return minutes and shifts by year, the honours, and the axes as the API understood them."""
    if volunteer:
        found = await client.get(address("/v1/volunteers/{number}", number=volunteer), **axes)
        rows, honors = found["years"], {one["honor"]: one for one in found["honors"]}
        total = found["total"]["credited_minutes"]
    else:
        found = await client.get("/v1/district/activity", **axes)
        rows, honors = found["rows"], {}
        total = sum(row["credited_minutes"] for row in rows)
    return {
        "total": total,
        "years": {row["year"]: row for row in rows},
        "honors": honors,
        "rules": found["rules"],
        "known_at": found["known_at"],
        "valid_at": found["valid_at"],
    }


def _rows(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for year in sorted(set(then["years"]) | set(now["years"]), reverse=True):
        pair = [side["years"].get(year, {"credited_minutes": 0, "shifts": 0}) for side in (then, now)]
        rows.append({"year": year, "then": pair[0], "now": pair[1]})
    return rows


async def _first_day(request: Request, client: LedgerClient) -> date:
    """Return the day on which the first event was recorded."""
    events = (await client.get("/v1/log", limit=1))["events"]
    zone = await request.app.state.figures.zone()
    return datetime.fromtimestamp(events[0]["event"]["recorded_at"] if events else 0, zone).date()


async def _today(request: Request) -> date:
    service: Service = request.app.state.service
    zone = await request.app.state.figures.zone()
    return datetime.fromtimestamp(service.ledger.clock(), zone).date()
