"""Pages: who may open which, that other sites cannot use a reader's session, and what browsers may load."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from starlette.types import Message

import api.pages
from api.access.clients import client_of
from api.access.roles import Role
from api.http.app import create_app
from api.pages import figures_cache
from api.pages.figures_cache import STREAMS_MAX, STREAMS_PER_CLIENT_MAX, FiguresCache
from api.pages.forms import whole_number
from api.pages.page_routes import Needs, PageRoute
from api.pages.sessions import COOKIE
from replay.queries.public_figures import public_figures
from tests.support.api.serving import OTHER_STATION, STATION, Served

pytest_plugins = ["tests.support.api.fixtures"]

PUBLIC = {
    *("GET /", "GET /live", "GET /overview/calendar/{year}"),
    *("GET /counter/service-worker.js", "GET /counter/manifest.webmanifest"),
    *("GET /sign-in", "POST /sign-in", "POST /sign-out", "GET /language/{language}"),
}
"""Without a key: public figures, files that hold nothing of the ledger, and the way in and out."""
VALUES = {"number": "V0000001", "volunteer": "V0000001", "station": "C01", "day": "2018-12-04", "position": "1"}
FORM_FIELDS = (
    *(
        "act",
        "name",
        "text",
        "reason",
        "version",
        "check_in",
        "check_out",
        "was_check_in",
        "station",
        "project",
        "year",
    ),
    *("to_volunteer", "volunteer", "evidence", "objection", "outcome", "recipient", "rules", "note", "as_if_from"),
    *("valid_at", "as", "place", "settles", "decision"),
)
ORIGIN = {"Origin": "http://testserver"}


def page_routes(routes: Any) -> Iterator[PageRoute]:
    """Yield the routes of the pages, however deep they are."""
    for route in routes:
        if included := getattr(route, "original_router", None):
            yield from page_routes(included.routes)
        if isinstance(route, PageRoute):
            yield route


def needs_of(route: PageRoute) -> Needs | None:
    """Return whom a route asks for."""
    found = [each.call for each in route.dependant.dependencies if isinstance(each.call, Needs)]
    return found[0] if found else None


@pytest.fixture
def browser(served: Served) -> TestClient:
    """A client without a key, whose cookies the test sets itself."""
    assert isinstance(served.client.app, FastAPI)
    return TestClient(served.client.app, follow_redirects=False)


def walled(served: Served) -> list[tuple[str, str, Needs]]:
    """Return method, address and need of every page that is not public."""
    assert isinstance(served.client.app, FastAPI)
    found = []
    for route in page_routes(served.client.app.routes):
        path = route.path
        for name in route.param_convertors:
            path = path.replace(f"{{{name}}}", VALUES.get(name, "7")).replace(f"{{{name}:path}}", "7")
        for method in sorted(set(route.methods or ()) - {"HEAD"}):
            need = needs_of(route)
            assert (need is None) == (f"{method} {route.path}" in PUBLIC), f"{method} {route.path}: who may open it?"
            if need is not None:
                found.append((method, path, need))
    return found


def session(served: Served, role: Role) -> dict[str, str]:
    """Return the header with the cookie of a session."""
    return {"Cookie": f"{COOKIE}={served.tokens[role]}"}


def test_every_page_asks_for_a_key_of_a_role(served: Served, browser: TestClient) -> None:
    head = served.ledger.log.head()
    for method, path, need in walled(served):
        answer = browser.request(method, path, headers=ORIGIN)
        if method == "GET":
            assert answer.status_code == 303, path
            assert answer.headers["location"].startswith("/sign-in?next=%2F"), path
        else:
            assert answer.status_code == 401, path
        for role in set(Role) - need.roles:
            answer = browser.request(method, path, headers={**ORIGIN, **session(served, role)})
            assert answer.status_code == 403, (path, role)
    assert served.ledger.log.head() == head


def test_what_another_site_sends_is_refused_whoever_is_signed_in(served: Served, browser: TestClient) -> None:
    foreign: list[dict[str, str]] = [
        {},
        {"Origin": "https://evil.example"},
        {"Origin": "http://testserver.evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Sec-Fetch-Site": "cross-site", **ORIGIN},
        {"Sec-Fetch-Site": "same-site", **ORIGIN},
        {"Sec-Fetch-Site": "none"},
    ]
    posts = [path for method, path, _ in walled(served) if method != "GET"] + ["/sign-out", "/sign-in"]
    for path in posts:
        for headers in foreign:
            answer = browser.post(path, headers={**headers, **session(served, Role.ADMIN)})
            assert answer.status_code == 403, (path, headers)
            assert "set-cookie" not in answer.headers


def test_a_session_opens_pages_alone(served: Served, browser: TestClient) -> None:
    cookie = session(served, Role.ADMIN)
    for path in ("/v1/status", "/v1/stations", "/metrics", "/v1/../v1/status"):
        assert browser.get(path, headers=cookie).status_code == 401, path
    answer = browser.post("/v1/commands/found-organisation", json={"organisation": "x"}, headers={**cookie, **ORIGIN})
    assert answer.status_code == 401


def test_signing_in_sets_a_cookie_that_scripts_and_networks_do_not_see(served: Served, browser: TestClient) -> None:
    for role, days in ((Role.STATION, 400), (Role.STAFF, None)):
        answer = browser.post("/sign-in", headers={**served.headers(role), **ORIGIN})
        assert answer.status_code == 200
        cookie = answer.headers["set-cookie"]
        for part in (f"{COOKIE}={served.tokens[role]}", "HttpOnly", "Secure", "SameSite=lax", "Path=/"):
            assert part in cookie, cookie
        assert ("Max-Age" in cookie) == (days is not None)
        assert "Domain" not in cookie
    refused = browser.post("/sign-in", headers={"Authorization": "Bearer hours_wrong", **ORIGIN})
    assert refused.status_code == 401
    assert "set-cookie" not in refused.headers


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/a\r\nb", "evil"]
)
def test_no_link_leads_elsewhere(browser: TestClient, target: str) -> None:
    assert browser.get("/language/zh", params={"next": target}).headers["location"] == "/"
    assert "evil" not in browser.get("/sign-in", params={"next": target}).text


@pytest.mark.parametrize("cookie", ["", "=", f"{COOKIE}=", f"{COOKIE}=\x01", f'{COOKIE}="a b"', "a" * 8_000, "ä=ö"])
def test_odd_cookies_are_nobodys(browser: TestClient, cookie: str) -> None:
    answer = browser.get("/", headers={b"Cookie": cookie.encode("latin-1")})
    assert answer.status_code == 200
    assert "Sign out" not in answer.text


def test_the_policy_allows_nothing_inline_and_nothing_from_elsewhere(served: Served, browser: TestClient) -> None:
    pages = ["/", "/sign-in", "/empty", *(path for method, path, _ in walled(served) if method == "GET")]
    for path in pages:
        answer = browser.get(path, headers={**session(served, Role.ADMIN), "Accept": "text/html"})
        if not answer.headers["content-type"].startswith("text/html"):
            continue
        policy = answer.headers["content-security-policy"]
        assert "default-src 'self'" in policy or "default-src 'none'" in policy, path
        assert "frame-ancestors 'none'" in policy, path
        for word in ("unsafe-inline", "'unsafe-eval'", "https:", "*"):
            assert word not in policy, (path, word)
        assert " style=" not in answer.text, path
        assert "<script>" not in answer.text, path
        assert " onclick=" not in answer.text, path
        assert "hx-on" not in answer.text, path
        assert answer.headers["cache-control"] == "no-store", path


def test_files_may_be_kept_and_no_other_is_served(browser: TestClient) -> None:
    page = browser.get("/").text
    address = page.split('href="/assets/')[1].split('"')[0]
    answer = browser.get(f"/assets/{address}")
    assert answer.headers["cache-control"].endswith("immutable")
    again = browser.get(f"/assets/{address}", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    name = address.partition("/")[2]
    assert browser.get(f"/assets/0000000000/{name}").headers["cache-control"] == "no-cache"
    for path in ("%2e%2e/rendering.py", "..%2frendering.py", "vendor", "none.css"):
        assert browser.get(f"/assets/0/{path}").status_code == 404, path


def test_every_file_of_others_is_named_with_version_and_licence() -> None:
    vendor = Path(api.pages.__file__).parent / "static" / "vendor"
    listed = (vendor / "README.txt").read_text("utf-8")
    for path in vendor.rglob("*"):
        name = path.relative_to(vendor).as_posix()
        if path.is_file() and not name.startswith("LICENSE") and name != "README.txt":
            assert name in listed, name
    assert len(list(vendor.rglob("LICENSE*"))) >= 3


def test_streams_are_few_for_each_client_and_in_total(served: Served) -> None:
    cache = FiguresCache(served.service)
    for _ in range(STREAMS_PER_CLIENT_MAX):
        assert cache.begin_stream("10.0.0.1")
    assert not cache.begin_stream("10.0.0.1")
    for number in range(STREAMS_MAX - STREAMS_PER_CLIENT_MAX):
        assert cache.begin_stream(f"10.0.1.{number}")
    assert not cache.begin_stream("10.0.0.2")
    cache.end_stream("10.0.0.1")
    assert cache.begin_stream("10.0.0.2")


def test_a_burst_of_streams_gets_past_no_limit(served: Served) -> None:
    """Requests that arrive together are all answered before the first of their streams says anything."""
    app = served.client.app

    async def statuses() -> list[int]:
        found: list[int] = []
        served_enough = asyncio.Event()

        async def one() -> None:
            begun = False

            async def receive() -> Message:
                nonlocal begun
                if not begun:
                    begun = True
                    return {"type": "http.request", "body": b"", "more_body": False}
                await served_enough.wait()
                return {"type": "http.disconnect"}

            async def send(message: Message) -> None:
                if message["type"] == "http.response.start":
                    found.append(message["status"])
                    if len(found) == 3 * STREAMS_PER_CLIENT_MAX:
                        served_enough.set()

            scope: dict[str, Any] = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET"}
            scope |= {"scheme": "http", "path": "/live", "raw_path": b"/live", "query_string": b"", "root_path": ""}
            scope |= {"headers": [(b"host", b"testserver")], "client": ("10.0.0.1", 1), "server": ("testserver", 80)}
            await app(scope, receive, send)

        await asyncio.gather(*(one() for _ in range(3 * STREAMS_PER_CLIENT_MAX)))
        return found

    assert served.client.portal is not None
    found = served.client.portal.call(statuses)
    assert found.count(200) == STREAMS_PER_CLIENT_MAX
    assert found.count(503) == 2 * STREAMS_PER_CLIENT_MAX
    assert isinstance(app, FastAPI)
    assert app.state.figures.begin_stream("10.0.0.1"), "streams that have ended are not counted"


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.7", "", "203.0.113.7"),
        ("203.0.113.7", "198.51.100.1", "203.0.113.7"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", "10.0.0.1, 198.51.100.1", "198.51.100.1"),
        ("::1", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.7", "", "203.0.113.7"),
        ("127.0.0.1", "anybody", "127.0.0.1"),
        ("testclient", "", "testclient"),
    ],
)
def test_a_client_is_who_sends_however_many_addresses_it_has(peer: str, forwarded: str, client: str) -> None:
    headers = [(b"x-forwarded-for", forwarded.encode())] if forwarded else []
    assert client_of(Request({"type": "http", "headers": headers, "client": (peer, 1)})) == client


def test_what_a_key_has_open_is_counted_for_pages_too(served: Served) -> None:
    """Pages with streams hold connections, as streams of the API do."""
    assert isinstance(served.client.app, FastAPI)
    in_progress = served.client.app.state.in_progress
    cookie = session(served, Role.ADMIN)
    for path in ("/volunteers", "/volunteers/V0000001", "/no-such-page"):
        served.client.get(path, headers=cookie)
    served.client.post("/volunteers", data={"text": "none"}, headers={**cookie, **ORIGIN})
    assert not in_progress._held
    in_progress.held_max = 0
    try:
        assert served.client.get("/volunteers", headers=cookie).status_code == 503
        assert served.client.get("/").status_code == 200, "strangers have no share"
    finally:
        in_progress.held_max = 250


def test_a_counter_sends_nothing_under_another_stations_key(served: Served) -> None:
    """A page outlives its session: refused for good, scans of an afternoon without a network would be lost."""
    scan = served.event(
        "check-out", volunteer=served.volunteer(), station=STATION, occurred_at="2018-12-04T10:00:00+08:00"
    )
    other = served.station_headers(OTHER_STATION)["Authorization"].partition(" ")[2]
    head = served.ledger.log.head()
    requests = [("POST", "/counter/send"), ("GET", "/counter/here"), ("GET", "/counter/volunteers/V0000001")]
    for method, path in requests:
        for token, status in ((other, 403), (served.tokens[Role.STATION], 200)):
            headers = {"Cookie": f"{COOKIE}={token}", "X-Station": STATION, **ORIGIN}
            answer = served.client.request(method, path, json=[scan] if method == "POST" else None, headers=headers)
            assert answer.status_code == status, (path, answer.text)
    assert served.ledger.log.head() == head + 1


def test_rules_that_take_long_to_parse_are_not_parsed_for_a_form(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused rules are shown again, with what is wrong: on the event loop nobody else was answered meanwhile."""
    parse, parsed = tomllib.loads, list[int]()

    def noted(text: str, **more: Any) -> Any:
        parsed.append(len(text))
        return parse(text[:200], **more)

    monkeypatch.setattr(tomllib, "loads", noted)
    headers = {**session(served, Role.ADMIN), **ORIGIN}
    for path in ("/what-if/runs", "/what-if/check"):
        for text in (".".join("a" * 5_000) + "=1", "a=" + "[" * 5_000, "#" * 300_000):
            served.client.post(path, data={"text": text}, headers=headers)
    assert max(parsed, default=0) < 5_000


DIGITS = ("9" * 5_000, "9" * 16, "\u00b2", "\u0663", "")


@pytest.mark.parametrize("digits", DIGITS, ids=["5,000", "too large", "superscript", "other", "none"])
def test_no_digits_make_a_page_fail(served: Served, digits: str) -> None:
    """Pages that turn a field into a number themselves."""
    headers = {**session(served, Role.ADMIN), **ORIGIN}
    found = served.client.get("/audit/log", params={"position": digits}, headers=headers, follow_redirects=False)
    assert found.status_code == 200, "it is no position"
    for path, form in (
        ("/honors/awards/a1", {"act": "settle-honor-objection", "objection": digits}),
        ("/honors/star-1/awards", {"year": digits}),
    ):
        assert served.client.post(path, data=form, headers=headers).status_code < 500, path
    assert whole_number(digits) is None
    assert (whole_number(" 17 "), whole_number("0"), whole_number("2101", 2100)) == (17, 0, None)


def test_however_many_strangers_look_the_figures_are_computed_once(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    compute = public_figures

    def counted(*arguments: Any) -> Any:
        asked.append(arguments)
        return compute(*arguments)

    monkeypatch.setattr(figures_cache, "public_figures", counted)
    monkeypatch.setattr(figures_cache, "REFRESH_SECONDS", 3600.0)
    with TestClient(create_app(served.service)) as client:
        for _ in range(20):
            assert client.get("/").status_code == 200
    assert len(asked) == 1
