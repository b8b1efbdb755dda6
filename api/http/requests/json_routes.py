"""Routes whose bodies are JSON, checked as events are before the framework reads them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from api.messages.json_bodies import (
    fault_of_encoding,
    fault_of_repetition,
    is_json,
    media_type_of,
)
from api.messages.problems import Fault, Problem, fault

_WITHOUT_BODY = {"GET", "HEAD"}


class JsonRoute(APIRoute):
    """A route that takes JSON in UTF-8, with or without a byte order mark, and no field twice."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the framework's handler behind the check."""
        handle = super().get_route_handler()

        async def checked(request: Request) -> Response:
            if request.method not in _WITHOUT_BODY and (wrong := await _fault_of_body(request)):
                raise Problem(wrong)
            return await handle(request)

        return checked


async def _fault_of_body(request: Request) -> Fault | None:
    if wrong := fault_of_encoding(request.headers):
        return wrong
    if not is_json(media_type_of(request.headers.get("content-type", ""))):
        return None  # the framework refuses it, if the address takes a body
    try:
        return fault_of_repetition((await request.body()).decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return fault("malformed", f"the body is not JSON: {error}; send JSON as UTF-8")
    except RecursionError:
        return fault("malformed", "the body is not JSON: it is nested too deeply; send JSON as UTF-8")
