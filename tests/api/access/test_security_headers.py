"""Every answer tells browsers and caches to keep it to themselves, and the page of descriptions still works."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256

import pytest

from api.access.roles import Role
from tests.api.access.test_walls import routes
from tests.support.api.serving import Served

pytest_plugins = ["tests.support.api.fixtures"]

STATIC = "/static-offline-docs/swagger-ui-bundle.js"


def policy(headers: dict[str, str]) -> dict[str, list[str]]:
    """Return the directives of the Content-Security-Policy; there must be one policy."""
    directives = (directive.split() for directive in headers["content-security-policy"].split("; "))
    return {name: values for name, *values in directives}


OF_ANYBODY = {"/v1/log/checkpoint": "public, max-age=5", "/.well-known/service-hours-keys": "public, max-age=5"}
"""What may be cached, because anybody may have it; of the tiles, tests/api/proof/test_proofs.py."""


def holds(answer_headers: dict[str, str], caching: str = "no-store") -> None:
    assert answer_headers["x-content-type-options"] == "nosniff"
    assert answer_headers["cache-control"] == caching
    assert policy(answer_headers)["frame-ancestors"] == ["'none'"]
    assert policy(answer_headers)["default-src"] == ["'none'"]


@pytest.mark.parametrize("role", [None, Role.ADMIN, Role.VOLUNTEER])
def test_every_address_answers_with_the_headers(served: Served, role: Role | None) -> None:
    addresses = [*routes(served), ("GET", "/nowhere"), ("GET", "/docs"), ("GET", "/openapi.json")]
    addresses += [("GET", STATIC), ("GET", "/static-offline-docs/none.js"), ("PATCH", "/healthz"), ("HEAD", "/healthz")]
    for method, path in addresses:
        if method == "DELETE" or "generations" in path:
            continue  # they change what other tests read
        address = path.replace("{", "").replace("}", "")
        answer = served.client.request(method, address, headers=served.headers(role), follow_redirects=False)
        holds(dict(answer.headers), OF_ANYBODY.get(path, "no-store") if answer.status_code == 200 else "no-store")
        assert len(answer.headers.get_list("content-security-policy")) == 1, path
        assert len(answer.headers.get_list("cache-control")) == 1, path


def test_a_failure_answers_with_the_headers(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(served.service.commits, "submit", fail)
    event = served.event("check-in", volunteer="V1", station="C01", occurred_at=1543885200)
    answer = served.send(event)
    assert answer.status_code == 500
    holds(dict(answer.headers))


def test_a_stream_answers_with_the_headers(served: Served) -> None:
    headers = served.headers(Role.STATION) | {"Content-Type": "application/x-ndjson"}
    answer = served.client.post("/v1/events", content=b"{}\n", headers=headers)
    assert answer.status_code == 200
    holds(dict(answer.headers))


def test_the_page_of_descriptions_may_load_what_it_loads_and_nothing_else(served: Served) -> None:
    answer = served.client.get("/docs")
    allowed = policy(dict(answer.headers))
    inline = re.findall(r"<script>(.*?)</script>", answer.text, re.DOTALL)
    digests = {f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" for script in inline}
    assert inline
    assert set(allowed["script-src"]) == {"'self'", *digests}
    assert "'unsafe-inline'" not in allowed["script-src"]
    assert allowed["connect-src"] == ["'self'"]
    loaded = re.findall(r'(?:src|href)="([^"]+)"', answer.text)
    assert len(loaded) == 3
    for address in loaded:
        assert address.startswith("/"), address
        assert served.client.get(address).status_code == 200


def test_the_page_of_descriptions_follows_the_path_of_a_proxy(served: Served) -> None:
    page = type(served.client)(served.client.app, root_path="/ledger").get("/docs")
    assert "'/ledger/openapi.json'" in page.text
    assert '"/ledger/static-offline-docs/swagger-ui-bundle.js"' in page.text
