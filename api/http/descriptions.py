"""FastAPI's OpenAPI description, with the models and problems that FastAPI does not know of; and its page.

Every operation can answer with problems. The common ones are described by status, with their headers; `default`
describes all others. All have the same schema.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import fastapi_offline
from anyio.to_thread import run_sync
from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute

from api.messages.event_schemas import event_schemas
from api.messages.problems import MEDIA_TYPE, ProblemDetails

_CONTENT = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}}
ANY_PROBLEM = {"description": "A problem (RFC 9457)", "content": _CONTENT}


def _problem(description: str, header: str | None = None, **schema: str) -> dict[str, Any]:
    headers = {header: {"required": True, "schema": schema}} if header else {}
    return {"description": description, "content": _CONTENT} | ({"headers": headers} if headers else {})


_SECONDS = {"type": "string", "pattern": "^[0-9]+$"}
_WITH_KEY = {
    "401": _problem("No key, an invalid key, or no valid signature.", "WWW-Authenticate", type="string"),
    "403": _problem("The key may not do this."),
    "429": _problem("The key exceeds its request rate. Nothing was recorded.", "Retry-After", **_SECONDS),
    "503": _problem("The service is busy, stopping, or without its database.", "Retry-After", **_SECONDS),
}
_WITH_PARAMETERS = {"422": _problem("A value is not valid; `field` names it.")}
_WITH_BODY = {
    "400": _problem("The body is not JSON."),
    "413": _problem("The body is larger than 1 MiB, or has too many elements."),
    "415": _problem("The media type of the body is not supported."),
}


def describe(title: str, version: str, text: str, routes: Sequence[BaseRoute]) -> dict[str, Any]:
    """Return the OpenAPI description of an application's routes."""
    schema = get_openapi(title=title, version=version, description=text, routes=routes)
    schemas = schema.setdefault("components", {}).setdefault("schemas", {})
    schemas["ProblemDetails"] = ProblemDetails.model_json_schema()
    schemas.update(event_schemas())
    for unused in ("HTTPValidationError", "ValidationError"):  # the framework's own errors
        schemas.pop(unused, None)
    for operations in schema["paths"].values():
        for operation in operations.values():
            _add_problems(operation)
    return schema


async def description_text(app: FastAPI) -> bytes:
    """Return the OpenAPI description as JSON. It is made once, in a thread: that takes a second or two."""
    async with app.state.describing:
        if app.state.description is None:
            app.state.description = await run_sync(lambda: json.dumps(app.openapi()).encode())
    text: bytes = app.state.description
    return text


def _add_problems(operation: dict[str, Any]) -> None:
    """Add the problems of an operation to its responses."""
    problems: dict[str, Any] = {}
    if "requestBody" in operation:
        problems |= _WITH_BODY
    if "requestBody" in operation or operation.get("parameters"):
        problems |= _WITH_PARAMETERS
    if operation.get("security"):
        problems |= _WITH_KEY
    responses = operation["responses"]
    responses.pop("422", None)  # the framework's own error
    operation["responses"] = dict(sorted({**problems, **responses}.items()))


DESCRIPTION_PATH = "/openapi.json"
STATIC = "/static-offline-docs"
"""The address of the files of the page, which FastAPI-offline brings along."""
_FILES = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css", "favicon.png": "image/png"}


def file_of_page(name: str) -> Response:
    """Return a file of the page. It is read once: strangers ask for files, which would occupy the threads of others.

    Raises:
        HTTPException: the page has no such file.
    """
    if name not in _FILES:
        raise HTTPException(404)
    return Response(_content(name), media_type=_FILES[name])


@cache
def _content(name: str) -> bytes:
    return (Path(fastapi_offline.__file__).parent / "static" / name).read_bytes()


def page_of(app: FastAPI, root_path: str) -> HTMLResponse:
    """Return the page of descriptions, with a policy that allows its own files and its one script, and no others.

    The framework's page has no policy, and its script is inline, so the policy names the script by its digest.

    Args:
        root_path: the path under which a proxy serves the application.
    """
    static = root_path + STATIC
    page = get_swagger_ui_html(
        openapi_url=f"{root_path}{DESCRIPTION_PATH}",
        title=app.title,
        swagger_js_url=f"{static}/swagger-ui-bundle.js",
        swagger_css_url=f"{static}/swagger-ui.css",
        swagger_favicon_url=f"{static}/favicon.png",
        swagger_ui_parameters=app.swagger_ui_parameters,
    )
    scripts = re.findall(rb"<script>(.*?)</script>", bytes(page.body), re.DOTALL)
    digests = " ".join(f"'sha256-{b64encode(sha256(script).digest()).decode()}'" for script in scripts)
    page.headers["Content-Security-Policy"] = (
        f"default-src 'none'; script-src 'self' {digests}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )
    return page


def methods_of(routes: Sequence[APIRoute], address: str) -> list[str]:
    """Return the methods of an address, sorted; none for an address that none of the routes has.

    The framework names only the methods of one route, even if several routes share the address. Strangers can ask for
    any address, so this takes no more time than finding its route.
    """
    matching = [route for route in routes if route.path == address]
    matching = matching or [route for route in routes if route.path_regex.match(address)]
    methods = {method for route in matching for method in route.methods or ()}
    return sorted(methods | ({"HEAD"} if "GET" in methods else set()))
