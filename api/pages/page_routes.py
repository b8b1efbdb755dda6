"""Routes of pages: the reader is found first, and an error is a page, not JSON.

A reader without a key is sent to the sign-in page, which leads back.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from api.access.roles import COMMANDS_OF_ROLE, ROLES_OF_RIGHT, Caller, Right, Role
from api.messages.problems import Problem
from api.operations.service import Service
from api.pages.ledger_client import RefusedByApiError
from api.pages.rendering import render
from api.pages.sessions import is_page

UNBUFFERED = {"X-Accel-Buffering": "no"}
"""On server-sent events: a proxy passes each on as it comes."""
_KEYS_AT_ONCE = CapacityLimiter(4)
"""Threads in which keys are looked up: strangers, who can send any cookie, wait for each other alone."""


async def caller_of(request: Request) -> Caller | None:
    """Return the reader whose key the request carries; None for nobody, or for a key that is not valid (any more)."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        return None
    service: Service = request.app.state.service
    return service.keys.cached(token) or await run_sync(service.keys.caller, token, limiter=_KEYS_AT_ONCE)


class PageRoute(APIRoute):
    """A route of pages. `request.state.caller` is the reader, or None."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler of requests."""
        handle = super().get_route_handler()

        async def handle_page(request: Request) -> Response:
            caller = request.state.caller = await caller_of(request)
            try:
                if caller is not None:
                    request.app.state.in_progress.begin(request.scope, caller)
                return await handle(request)
            except RefusedByApiError as error:
                return await _refused(request, error.status, error.rejection, str(error), error.problem)
            except Problem as error:
                found = error.fault
                return await _refused(request, error.status_code, found.rejection, found.detail, {})
            except RequestValidationError as error:
                where = ", ".join(str(each["loc"][-1]) for each in error.errors())
                return await _refused(request, 422, "invalid", f"{where} is not valid", {})
            except HTTPException as error:
                return await _refused(request, error.status_code, "no-such-page", "", {})

        return handle_page


def page_router(**more: Any) -> APIRouter:
    """Return a router of pages, which the description of the API leaves out."""
    return APIRouter(include_in_schema=False, route_class=PageRoute, **more)


@dataclass(frozen=True, eq=False)  # annotations that are equal are one: a subclass of a tuple would not be asked
class Needs:
    """A dependency: the reader, whose role must be one of `roles`."""

    roles: frozenset[Role]

    async def __call__(self, request: Request) -> Caller:
        """Return the reader."""
        caller: Caller | None = request.state.caller
        if caller is None:
            raise HTTPException(401)
        if caller.role not in self.roles:
            raise HTTPException(403)
        return caller


def needs(*roles: Role) -> Needs:
    """Return a dependency: the reader, whose role must be one of these; of any role if none is named."""
    return Needs(frozenset(roles or Role))


def needs_right(right: Right) -> Needs:
    """Return a dependency: the reader, whose role must have a right."""
    return Needs(ROLES_OF_RIGHT[right])


def needs_command(command_type: str) -> Needs:
    """Return a dependency: the reader, whose role must be allowed to send a type of command."""
    return Needs(frozenset(role for role in Role if command_type in COMMANDS_OF_ROLE[role]))


def wants_page(request: Request) -> bool:
    """Return whether a browser asks for a page, at an address that is none of the API's."""
    return is_page(request.url.path) and "text/html" in request.headers.get("accept", "")


async def no_such_page(request: Request) -> Response:
    """Return the page that says that there is none at this address."""
    request.state.caller = await caller_of(request)
    return await _refused(request, 404, "no-such-address", "", {})


async def _refused(request: Request, status: int, rejection: str, detail: str, problem: dict[str, Any]) -> Response:
    """Return the page of an error; the part of a page that htmx asked for gets the sentence alone."""
    is_part = "hx-request" in request.headers
    if status == 401 and not is_part and request.method == "GET":
        target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        answer: Response = RedirectResponse(f"/sign-in?next={quote(target, safe='')}", 303)
        return answer
    template = "parts/problem.html" if is_part else "problem.html"
    return await render(request, template, status, status=status, rejection=rejection, detail=detail, problem=problem)
