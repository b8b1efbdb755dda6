"""The HTTP application: its routes, error handlers and OpenAPI description. Everything it needs is passed in.

Every error is answered as a problem (`api/messages/problems.py`), also those that the framework itself raises.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.routing import APIRoute, APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import BaseRoute

from api.axes.written import AxisError
from api.http.descriptions import (
    ANY_PROBLEM,
    DESCRIPTION_PATH,
    STATIC,
    describe,
    description_text,
    file_of_page,
    methods_of,
    page_of,
)
from api.http.query_parameters import check_query
from api.http.requests.computing_client import ComputingClient, HandedOver
from api.http.requests.dependencies import check_key
from api.http.requests.head_requests import IS_HEAD, HeadAsGet
from api.http.requests.in_progress import CountInProgress, RequestsInProgress
from api.http.requests.lanes import ConcurrencyLimits, pass_through
from api.http.requests.limits import BodyLimit
from api.http.requests.request_log import RequestLog, RequestLogging
from api.http.requests.security_headers import SECURITY_HEADERS, SecurityHeaders
from api.http.routes.certificates import issuing, reading
from api.http.routes.operations import generations, jobs, status, what_ifs
from api.http.routes.operations import rules as rule_routes
from api.http.routes.proof import tree
from api.http.routes.reads import (
    audits,
    awards,
    cases,
    honors,
    log,
    organisations,
    overview,
    people_served,
    persons,
    projects,
    rankings,
    statements,
    stations,
    volunteers,
    worklist,
)
from api.http.routes.writes import commands, conferring, events, imports
from api.messages.database_faults import fault_of_database
from api.messages.json_bodies import is_json, media_type_of
from api.messages.problems import Problem, fault, fault_of_validation, response
from api.operations.ledger_metrics import LedgerCollector
from api.operations.logs import request_id
from api.operations.readiness import ReadinessProbe
from api.operations.service import Service
from api.pages.application import add_pages
from api.pages.page_routes import no_such_page, wants_page
from api.pages.sessions import PageSessions
from replay.archive.manifest import ArchiveDisagreesError, ArchiveError
from replay.explain.stretches import TooManyShiftsError
from replay.generations.store import NoGenerationError
from replay.published import NoRulesError
from replay.queries.queries import UnknownNameError

logger = logging.getLogger(__name__)

TITLE, VERSION = "Service-hours ledger", "1"
DESCRIPTION = """
Every check-in, check-out, correction and award is an event in a log; hours, activity and honours are derived from it.

* **Stations** post events to `/v1/events`; every command also has an address of its own under `/v1/commands`.
* **Readers** query under three axes of time: `valid_at` (results up to a day), `known_at` (what the ledger knew then)
  and `rules` (a published version, or a candidate's digest). Every answer repeats them, with the log position on which
  it is based. `at_least` waits until the answer includes a position that was just written.
* **Errors** are `application/problem+json`: the rule broken, the field, the remedy, and whether a retry can help.

Send `Authorization: Bearer <key>`; `hours keys make` makes keys.
"""


_ROUTERS = (
    *(events.router, volunteers.router, overview.router, statements.router, persons.router, stations.router),
    *(organisations.router, projects.router),
    tree.router,  # before the log, whose positions stand where it has names
    *(people_served.router, log.router, status.router, honors.router, rankings.router, awards.router),
    *(conferring.router, audits.router, commands.router, cases.router, rule_routes.router, what_ifs.router),
    *(generations.router, jobs.router, worklist.router, issuing.router, reading.router, imports.router),
)
_ROUTES = [route for router in _ROUTERS for route in router.routes if isinstance(route, APIRoute)]


def _addresses() -> list[BaseRoute]:
    """Return the addresses of every application.

    FastAPI would build them at an application's first request, which would occupy the event loop for half a second.
    """
    shared = APIRouter(responses={"default": ANY_PROBLEM})
    for router in _ROUTERS:
        # Events are posted so often that their route checks its query itself.
        shared.include_router(router, dependencies=[] if router is events.router else [Depends(check_query)])
    for route in shared.routes:
        route.matches({"type": "http", "method": "GET", "path": "/", "root_path": ""})
    return shared.routes


_ADDRESSES = _addresses()


@cache
def description() -> dict[str, Any]:
    """Return the OpenAPI description of every application: they have the same addresses."""
    return describe(TITLE, VERSION, DESCRIPTION, _ADDRESSES)


def create_app(service: Service, computing: Path | None = None) -> FastAPI:
    """Return the application for a service.

    Args:
        computing: the socket of the process that computes (`api/http/computing/`); None to compute in this one.
    """
    app = _application(service, computing)
    add_pages(app, service)
    requests = RequestLog(service.metrics, all_requests=service.logs_all_requests)
    app.add_middleware(HeadAsGet)
    app.add_middleware(BodyLimit, check_key=check_key)
    app.add_middleware(CountInProgress, requests=app.state.in_progress)
    app.add_middleware(RequestLogging, requests=requests)
    app.add_middleware(PageSessions)
    app.add_middleware(SecurityHeaders)
    return app


def create_computing_app(service: Service) -> FastAPI:
    """Return the application for requests that a server hands over: it has limited, counted and logged them."""
    return _application(service, computing=None)


def _application(service: Service, computing: Path | None) -> FastAPI:
    app = FastAPI(
        openapi_url=None,  # the description, its page and its files are below: they need a policy, and cost nothing
        title=TITLE,
        version=VERSION,
        swagger_ui_parameters={"persistAuthorization": True},
        description=DESCRIPTION,
        lifespan=_lifespan,
    )
    app.state.service = service
    app.state.readiness = ReadinessProbe(
        service, lambda: pass_through(app.state.concurrency), lambda seconds: _computing_answers(app, seconds)
    )
    app.state.ledger_metrics = LedgerCollector.registry(service)
    app.state.description = None
    app.state.in_progress = RequestsInProgress()
    app.state.computing_path = computing
    _add_error_handlers(app)

    @app.get(DESCRIPTION_PATH, include_in_schema=False)
    async def openapi() -> Response:
        return Response(await description_text(app), media_type="application/json")

    @app.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> Response:
        return page_of(app, request.scope.get("root_path", ""))

    @app.get(f"{STATIC}/{{name}}", include_in_schema=False)
    async def file(name: str) -> Response:
        return file_of_page(name)

    app.router.routes += _ADDRESSES
    app.openapi = description  # type: ignore[method-assign]
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    path: Path | None = app.state.computing_path
    app.state.concurrency = ConcurrencyLimits(app.state.service.on_overrun)
    app.state.computing = None if path is None else ComputingClient(path)
    app.state.describing = asyncio.Lock()
    yield


async def _computing_answers(app: FastAPI, seconds_max: float) -> bool | None:
    """Return whether the computing process answers within some seconds; None if this process computes itself."""
    computing: ComputingClient | None = app.state.computing
    return None if computing is None else await computing.answers(seconds_max)


# --- errors ---------------------------------------------------------------------------------------------------------

_OF_FRAMEWORK = {400: "malformed", 404: "no-such-address", 405: "wrong-method", 413: "too-large"}


async def _on_problem(_request: Request, error: Problem) -> Response:
    return response(error.fault, error.headers)


async def _on_handed_over(_request: Request, handed: HandedOver) -> Response:
    return handed.answer


async def _on_http(request: Request, error: HTTPException) -> Response:
    name = _OF_FRAMEWORK.get(error.status_code, "failed")
    if name == "no-such-address":
        if wants_page(request):
            return await no_such_page(request)
        return response(fault(name, f"{request.url.path} does not exist; see /docs for all addresses"))
    if name == "wrong-method":
        allowed = ", ".join(methods_of(_ROUTES, request.url.path)) or (error.headers or {}).get("Allow", "GET")
        method = "HEAD" if IS_HEAD in request.scope else request.method
        detail = f"{request.url.path} does not support {method}; use {allowed}"
        return response(fault(name, detail, remedy=f"use {allowed}"), {"Allow": allowed})
    return response(fault(name, error.detail), error.headers)


async def _on_invalid(request: Request, error: RequestValidationError) -> Response:
    media_type = request.headers.get("content-type", "no media type")
    if isinstance(error.body, bytes) and error.body and not is_json(media_type_of(media_type)):
        remedy = "set the Content-Type header to application/json"
        return response(fault("wrong-media-type", f"{media_type} is not supported here; {remedy}", remedy=remedy))
    return response(fault_of_validation(error.errors()))


async def _on_axis(_request: Request, error: AxisError) -> Response:
    return response(fault("invalid", str(error), field=error.axis))


async def _on_unknown(_request: Request, error: UnknownNameError) -> Response:
    return response(fault(f"unknown-{error.kind}", str(error), field=error.kind))


async def _on_too_many_shifts(_request: Request, error: Exception) -> Response:
    return response(fault("not-explained", str(error), field="day"))


async def _on_no_read_models(_request: Request, error: Exception) -> Response:
    return response(fault("no-read-models", str(error)))


async def _on_database(request: Request, error: Exception) -> Response:
    logger.error("a request failed with a database error: %s", error)
    service: Service = request.app.state.service
    return response(fault_of_database(error, reachable=service.keys.is_listening))


async def _on_disconnect(_request: Request, _error: Exception) -> Response:
    return response(fault("malformed", "the body is shorter than its length"))  # for metrics: the client is gone


async def _on_disagreement(_request: Request, _error: Exception) -> Response:
    return response(fault("archive-disagrees"))


async def _on_failure(_request: Request, _error: Exception) -> Response:
    # The framework logs the traceback. It answers outside of the middleware that adds these headers.
    headers = {name.decode(): value.decode() for name, value in SECURITY_HEADERS}
    return response(fault("failed"), {"X-Request-Id": request_id.get() or "", **headers})


def _add_error_handlers(app: FastAPI) -> None:
    handlers: dict[type[Exception], Any] = {  # Any, because each handler accepts another type of error
        Problem: _on_problem,
        HandedOver: _on_handed_over,
        HTTPException: _on_http,
        RequestValidationError: _on_invalid,
        AxisError: _on_axis,
        UnknownNameError: _on_unknown,
        TooManyShiftsError: _on_too_many_shifts,
        NoGenerationError: _on_no_read_models,
        NoRulesError: _on_no_read_models,
        ArchiveDisagreesError: _on_disagreement,
        ArchiveError: _on_failure,
        psycopg.OperationalError: _on_database,
        ClientDisconnect: _on_disconnect,
        Exception: _on_failure,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)
