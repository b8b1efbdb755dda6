"""The service's OpenAPI description: what the framework finds, with the models and the problems that no route names.

Every operation can answer with problems. Those with a header that says what to do are told one by one; `default` stands
for all the others, and all have the same form.
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
    "401": _problem("No key, an unknown or ended one, or no signature that holds.", "WWW-Authenticate", type="string"),
    "403": _problem("The key's role or station does not allow this."),
    "429": _problem("The key makes more requests than it may. Nothing was lost.", "Retry-After", **_SECONDS),
    "503": _problem("Busy, stopping, or without its database. Nothing was lost.", "Retry-After", **_SECONDS),
}
_WITH_PARAMETERS = {"422": _problem("The request says something that cannot be; `field` names it.")}
_WITH_BODY = {
    "400": _problem("The body is not JSON."),
    "413": _problem("The body is larger than 1 MiB, or has too many elements."),
    "415": _problem("The body is of a media type that is not taken here."),
}


def description_of(app: FastAPI) -> dict[str, Any]:
    """Return the description of an application, made once."""
    if app.openapi_schema is None:
        schema = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes, tags=app.openapi_tags
        )
        schemas = schema.setdefault("components", {}).setdefault("schemas", {})
        schemas["ProblemDetails"] = ProblemDetails.model_json_schema()
        schemas.update(event_schemas())
        for unused in ("HTTPValidationError", "ValidationError"):  # what the framework would have answered
            schemas.pop(unused, None)
        for operations in schema["paths"].values():
            for operation in operations.values():
                _tell_problems(operation)
        app.openapi_schema = schema
    return app.openapi_schema


def _tell_problems(operation: dict[str, Any]) -> None:
    """Add the problems an operation can answer with to its responses."""
    told: dict[str, Any] = {}
    if "requestBody" in operation:
        told |= _WITH_BODY
    if "requestBody" in operation or operation.get("parameters"):
        told |= _WITH_PARAMETERS
    if operation.get("security"):
        told |= _WITH_KEY
    responses = operation["responses"]
    responses.pop("422", None)  # what the framework would have answered
    operation["responses"] = dict(sorted({**told, **responses}.items()))


def methods_of(app: FastAPI, address: str) -> list[str]:
    """Return the methods an address takes, nothing for one that is not described.

    The framework names those of one route alone, where several share an address.
    """
    paths: dict[str, Any] = description_of(app)["paths"]
    described = [address] if address in paths else [path for path in paths if compile_path(path)[0].match(address)]
    return sorted({method.upper() for path in described for method in paths[path]})
