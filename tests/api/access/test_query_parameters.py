"""Every address refuses query parameters that it does not have, by name, and those that are given twice."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest
from httpx2 import Response

from api.access.roles import Role
from api.http.app import _ROUTES as ROUTES
from api.http.query_parameters import address_of, needs_key, parameters_of
from tests.support.api.serving import Served

pytest_plugins = ["tests.support.api.fixtures"]

ADDRESSES = {address_of(route): route for route in ROUTES}


def ask(served: Served, address: str, query: list[tuple[str, str]], role: Role | None = Role.ADMIN) -> Response:
    method, _, path = address.partition(" ")
    while "{" in path:
        path = f"{path.partition('{')[0]}7{path.partition('}')[2]}"
    return served.client.request(method, f"{path}?{urlencode(query)}", headers=served.headers(role))


def test_the_parameters_of_an_address_are_those_of_its_description(served: Served) -> None:
    described: dict[str, set[str]] = {}
    for path, operations in served.client.get("/openapi.json").json()["paths"].items():
        for method, operation in operations.items():
            names = {one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"}
            described[f"{method.upper()} {path}"] = names
    assert {address: set(parameters_of(route)) for address, route in ADDRESSES.items()} == described


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_unknown_parameter_is_refused_by_name_at_every_address(served: Served, address: str) -> None:
    known = sorted(parameters_of(ADDRESSES[address]))
    head = served.ledger.log.head()
    for name in ("yeer", "Limit", "x" * 5000):
        refused = ask(served, address, [(name, "2018")])
        problem: dict[str, Any] = refused.json()
        assert (refused.status_code, problem["rejection"], problem["field"]) == (422, "invalid", name[:80]), address
        assert f"is not a query parameter of {address}; it has {', '.join(known) or 'none'}" in problem["detail"]
        assert "leave" in problem["remedy"]
    if needs_key(ADDRESSES[address]):
        assert ask(served, address, [("yeer", "2018")], role=None).status_code == 401
    assert served.ledger.log.head() == head


@pytest.mark.parametrize("address", [address for address, route in ADDRESSES.items() if parameters_of(route)])
def test_a_parameter_that_is_given_twice_is_refused_at_every_address(served: Served, address: str) -> None:
    for name in parameters_of(ADDRESSES[address]):
        refused = ask(served, address, [(name, "1"), (name, "2")])
        problem = refused.json()
        assert (refused.status_code, problem["field"], problem["remedy"]) == (422, name, "give it once"), address


def test_a_year_is_no_parameter_of_a_statement(served: Served) -> None:
    refused = served.get("/v1/volunteers/V0000001/statement", year=2018)
    assert refused.status_code == 422
    assert refused.json()["detail"] == (
        "year is not a query parameter of GET /v1/volunteers/{number}/statement; it has at_least, from, known_at, "
        "rules, to, valid_at, with_name"
    )
