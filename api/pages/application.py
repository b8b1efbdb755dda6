"""Puts the pages into the application: their routes, their files, and the public figures they share."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI
from starlette.routing import BaseRoute

from api.operations.service import Service
from api.pages import assets
from api.pages.figures_cache import FiguresCache
from api.pages.routes import (
    audit,
    counter,
    honors,
    office,
    overview,
    sign_in,
    stations,
    volunteers,
    what_if,
)
from api.pages.routes.volunteer import disputes, papers, shifts

_ROUTERS = (
    *(assets.router, overview.router, sign_in.router, counter.router, volunteers.router, stations.router),
    *(shifts.router, disputes.router, papers.router),
    *(office.router, honors.router, what_if.router, audit.router),
)


def _addresses() -> list[BaseRoute]:
    """Return the addresses of the pages, built at once, as those of the API are (`api/http/app.py`)."""
    shared = APIRouter()
    for router in _ROUTERS:
        shared.include_router(router)
    for route in shared.routes:
        route.matches({"type": "http", "method": "GET", "path": "/", "root_path": ""})
    return shared.routes


_ADDRESSES = _addresses()


def add_pages(app: FastAPI, service: Service) -> None:
    """Add the pages to the application of a service."""
    app.state.figures = FiguresCache(service)
    app.router.routes += _ADDRESSES
