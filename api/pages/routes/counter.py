"""The counter of a station: check in and out by a code, a card or a number, also without a network.

The page keeps its scans in the browser and sends them as CloudEvents through `/counter/send`, because the session's
cookie opens nothing under /v1. Its service worker lets it open without a network. The camera has an address of its own:
the reader of codes is WebAssembly, which the policy allows there alone.
"""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Annotated, Any

from fastapi import Depends, Query, Request
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from api.access.roles import Caller, Role
from api.messages.cloud_events import BATCH
from api.operations.service import Service
from api.pages.assets import asset_address, assets
from api.pages.ledger_client import LedgerClient, RefusedByApiError, address
from api.pages.page_routes import Needs, needs, page_router
from api.pages.rendering import POLICY, render, text_for

router = page_router()
STATION_HEADER = "x-station"


class OfThePage(Needs):
    """A dependency: the station for which the page was made that sends the request.

    A page outlives its session: another key may have been put in the browser since, by somebody else's link too. Then
    no scan is sent under it, which would be refused for good, and no list is taken from it.
    """

    async def __call__(self, request: Request) -> Caller:
        """Return the station."""
        caller = await super().__call__(request)
        if request.headers.get(STATION_HEADER, caller.name) != caller.name:
            raise HTTPException(403)
        return caller


Station = Annotated[Caller, Depends(needs(Role.STATION))]
PageStation = Annotated[Caller, Depends(OfThePage(frozenset({Role.STATION})))]

CAMERA_POLICY = f"{POLICY}; script-src 'self' 'wasm-unsafe-eval'"
NIGHT_ENDS_AT = 6
"""Before this hour who checked in yesterday evening is still here; later the check-out was forgotten."""
NIGHT_HOURS = 12
FORGOTTEN_DAYS = 14
"""So long a volunteer is reminded of a check-out that is missing."""
SHIFTS_MAX = 50
SHELL = (
    *("vendor/pico-2.1.1.classless.min.css", "app.css", "counter.css", "app.js", "counter.js", "counter_scans.js"),
    *("counter_signing.js", "vendor/idb-8.0.4.js", "icons/hours.svg"),
)
"""The files without which the counter does not open."""
_SIGNATURE = ("signature", "signature-input", "content-digest")


@router.get("/counter")
async def counter(request: Request, caller: Station) -> Response:
    """The counter."""
    return await _page(request, caller, camera=False)


@router.get("/counter/camera")
async def counter_with_camera(request: Request, caller: Station) -> Response:
    """The counter, with the camera open."""
    return await _page(request, caller, camera=True)


async def _page(request: Request, caller: Caller, *, camera: bool) -> Response:
    client = LedgerClient(request)
    today = (await _today(request))[0].date()
    path = address("/v1/stations/{station}/activity", station=caller.name)
    activity = await client.get(path, from_=today, to=today)
    projects = (await client.get("/v1/projects", limit=1000))["projects"]
    return await render(
        request,
        "counter.html",
        200,
        {"Content-Security-Policy": CAMERA_POLICY} if camera else {},
        camera=camera,
        station=caller.name,
        station_name=activity.get("station_name"),
        projects=[each for each in projects if not each["ended"]],
        zone=str(await request.app.state.figures.zone()),
        key=caller.key,
        public_key=b64encode(caller.public_key or b"").decode(),
    )


@router.get("/counter/here")
async def here(request: Request, caller: PageStation) -> Response:
    """Who is here, as the ledger knows it: those who checked in today and not out."""
    now, begin = await _today(request)
    client, path = LedgerClient(request), address("/v1/stations/{station}/shifts", station=caller.name)
    present: dict[str, dict[str, Any]] = {}
    positions = []
    try:
        for day in sorted({begin.date(), now.date()}):
            after = None
            while True:
                found = await client.get(path, day=day, limit=1000, after=after)
                positions.append(found["position"])
                present |= {each["volunteer"]: _present(each) for each in found["shifts"] if _is_here(each, begin)}
                after = found["next_after"]
                if after is None:
                    break
    except RefusedByApiError as error:
        return _as_json(error)
    return JSONResponse({"position": min(positions), "here": list(present.values())})


@router.get("/counter/volunteers/{volunteer}")
async def volunteer_now(
    request: Request, volunteer: str, caller: PageStation, at_least: Annotated[int | None, Query()] = None
) -> Response:
    """A volunteer's minutes that count so far, whether the volunteer is here, and when the latest shift of earlier days
    without a check-out began; null if nobody has this number.
    """
    now, begin = await _today(request)
    client, path = LedgerClient(request), address("/v1/volunteers/{number}", number=volunteer)
    try:
        since = begin.date() - timedelta(days=FORGOTTEN_DAYS)
        shifts = await client.get(f"{path}/shifts", from_=since, to=now.date(), limit=SHIFTS_MAX, at_least=at_least)
        total = (await client.get(path, at_least=at_least))["total"]
    except RefusedByApiError as error:
        return JSONResponse(None) if error.status == 404 else _as_json(error)
    present = [_present(each) for each in shifts["shifts"] if each["station"] == caller.name and _is_here(each, begin)]
    return JSONResponse(
        {
            "minutes": total["credited_minutes"],
            "position": shifts["position"],
            "here": max(present, key=lambda each: each["since"], default=None),
            "forgotten": next((each["since"] for each in _forgotten(shifts["shifts"], begin)), None),
        }
    )


async def _today(request: Request) -> tuple[datetime, datetime]:
    """Return the local time, and the time from which on who checked in is still here."""
    service: Service = request.app.state.service
    now = datetime.fromtimestamp(service.ledger.clock(), await request.app.state.figures.zone())
    if now.hour < NIGHT_ENDS_AT:
        return now, now - timedelta(hours=NIGHT_HOURS)
    return now, now.replace(hour=0, minute=0, second=0)


def _is_here(shift: dict[str, Any], begin: datetime) -> bool:
    is_open = shift["check_in"] is not None and shift["check_out"] is None
    return is_open and datetime.fromisoformat(shift["check_in"]) >= begin


def _forgotten(shifts: list[dict[str, Any]], begin: datetime) -> list[dict[str, Any]]:
    """Return the shifts of earlier days without a check-out, the latest first."""
    is_open = [each for each in shifts if "no-check-out" in each["flags"] and "void" not in each["flags"]]
    return [_present(each) for each in is_open if datetime.fromisoformat(each["check_in"]) < begin]


def _present(shift: dict[str, Any]) -> dict[str, Any]:
    since = int(datetime.fromisoformat(shift["check_in"]).timestamp())
    return {"volunteer": shift.get("volunteer"), "shift": shift["shift"], "since": since}


@router.post("/counter/send")
async def send(
    request: Request, _caller: PageStation, dry_run: Annotated[str | None, Query(pattern="^true$")] = None
) -> Response:
    """Send scans, a batch of CloudEvents, and return the ledger's answer to each."""
    signature = {name: request.headers[name] for name in _SIGNATURE if name in request.headers}
    try:
        answer = await LedgerClient(request).send(
            "POST", "/v1/events", await request.body(), BATCH, {"dry_run": dry_run}, signature
        )
    except RefusedByApiError as error:
        return _as_json(error)
    return Response(answer.content, answer.status, media_type="application/json")


def _as_json(error: RefusedByApiError) -> Response:
    kept = {"Retry-After": error.headers["retry-after"]} if "retry-after" in error.headers else {}
    return JSONResponse(error.problem, error.status, kept)


@router.get("/counter/service-worker.js")
async def service_worker() -> Response:
    """The script that keeps the counter's files in the browser. It changes whenever one of them does."""
    addresses = [asset_address(name) for name in SHELL]
    own = assets()["counter_worker.js"]
    digest = sha256("".join([*addresses, own.digest]).encode()).hexdigest()[:10]
    head = f"const CACHE = {json.dumps(f'counter-{digest}')};\nconst FILES = {json.dumps(addresses)};\n"
    headers = {"Cache-Control": "no-cache", "Service-Worker-Allowed": "/counter", "Content-Security-Policy": POLICY}
    return Response(head.encode() + own.content, media_type="text/javascript", headers=headers)


@router.get("/counter/manifest.webmanifest")
async def manifest(request: Request) -> Response:
    """What a tablet needs to install the counter as an application."""
    icons = [
        {"src": asset_address(f"icons/hours-{size}.png"), "sizes": f"{size}x{size}", "type": "image/png"}
        for size in (192, 512)
    ]
    maskable = {**icons[1], "src": asset_address("icons/hours-maskable-512.png"), "purpose": "maskable"}
    named = {"name": text_for(request, "Service hours"), "short_name": text_for(request, "Counter")}
    shown = {"display": "standalone", "background_color": "#f7f8f7", "theme_color": "#0b7a5b"}
    made = {**named, "id": "/counter", "start_url": "/counter", "scope": "/counter", **shown}
    return JSONResponse({**made, "icons": [*icons, maskable]}, media_type="application/manifest+json")
