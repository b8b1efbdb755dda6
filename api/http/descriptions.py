"""FastAPI's OpenAPI description, with the models and problems that FastAPI does not know of.

Every operation can answer with problems. The common ones are described by status, with their headers; `default`
describes all others. All have the same schema.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.routing import compile_path

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


def description_of(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI description of an application; it is cached."""
    if app.openapi_schema is None:
        schema = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes, tags=app.openapi_tags
        )
        schemas = schema.setdefault("components", {}).setdefault("schemas", {})
        schemas["ProblemDetails"] = ProblemDetails.model_json_schema()
        schemas.update(event_schemas())
        for unused in ("HTTPValidationError", "ValidationError"):  # the framework's own errors
            schemas.pop(unused, None)
        for operations in schema["paths"].values():
            for operation in operations.values():
                _add_problems(operation)
        app.openapi_schema = schema
    return app.openapi_schema


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


def methods_of(app: FastAPI, address: str) -> list[str]:
    """Return the methods of an address, sorted; none for an address that is not described.

    The framework names only the methods of one route, even if several routes share the address.
    """
    paths: dict[str, Any] = description_of(app)["paths"]
    described = [address] if address in paths else [path for path in paths if compile_path(path)[0].match(address)]
    return sorted({method.upper() for path in described for method in paths[path]})
