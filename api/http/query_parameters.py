"""Query parameters: every address refuses those that it does not have, and any that is given twice.

A parameter that is misspelt, or belongs to another address, would otherwise be ignored, and the answer would look as if
it had been obeyed.
"""

from __future__ import annotations

from collections.abc import Iterator

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import BaseModel

from api.http.requests.dependencies import authenticated, get_caller
from api.messages.problems import Fault, Problem, fault


async def check_query(request: Request) -> None:
    """Refuse a request with a parameter that its address does not have; callers without a key are refused first.

    Raises:
        Problem
    """
    if not request.scope["query_string"]:
        return
    route: APIRoute = request.scope["route"]
    if wrong := fault_of_query(route, [name for name, _ in request.query_params.multi_items()]):
        if needs_key(route):
            await authenticated(request, request.app.state.service)
        raise Problem(wrong)


def fault_of_query(route: APIRoute, given: list[str]) -> Fault | None:
    """Return a fault if one of these names of parameters is unknown to an address, or given twice."""
    known = parameters_of(route)
    if unknown := next((name for name in given if name not in known), None):
        shown = unknown[:80]
        have = f"it has {', '.join(sorted(known))}" if known else "it has none"
        remedy = f"leave {shown} out, or use one of the parameters of this address" if known else f"leave {shown} out"
        detail = f"{shown} is not a query parameter of {address_of(route)}; {have}"
        return fault("invalid", detail, field=shown, remedy=remedy)
    if len(set(given)) < len(given):
        name = next(name for name in given if given.count(name) > 1)
        return fault("invalid", f"{name} is given twice; give it once", field=name, remedy="give it once")
    return None


def address_of(route: APIRoute) -> str:
    """Return an address as the description writes it."""
    return f"{min(route.methods or ())} {route.path_format}"


def parameters_of(route: APIRoute) -> frozenset[str]:
    """Return the names of the query parameters of an address: those that are declared or described."""
    address = address_of(route)
    if address not in _PARAMETERS:
        described = (route.openapi_extra or {}).get("parameters", ())
        names = [one["name"] for one in described if one["in"] == "query"]
        _PARAMETERS[address] = frozenset([*_declared(route.dependant), *names])
    return _PARAMETERS[address]


def _declared(dependant: Dependant) -> Iterator[str]:
    for field in dependant.query_params:
        model = field.field_info.annotation
        if isinstance(model, type) and issubclass(model, BaseModel):  # its fields are the parameters
            yield from (known.alias or name for name, known in model.model_fields.items())
        else:
            yield field.alias
    for each in dependant.dependencies:
        yield from _declared(each)


_PARAMETERS: dict[str, frozenset[str]] = {}
"""The parameters of each address that was asked with a query: a route cannot be hashed."""


def needs_key(route: APIRoute) -> bool:
    """Return whether an address is for callers with a key only."""

    def asks(dependant: Dependant) -> bool:
        return dependant.call is get_caller or any(map(asks, dependant.dependencies))

    return asks(route.dependant) or "security" in (route.openapi_extra or {})
