"""The session of a page: a cookie that carries the reader's API key, and only pages accept it.

The key is what grants rights, here as everywhere, so revoking it ends the session at once. Under /v1 the cookie counts
for nothing: a foreign site that makes a browser send it reaches no command.

A request that changes something is accepted from this site's own pages alone. Browsers say where a request comes from
in `Sec-Fetch-Site`; for those that do not, `Origin` is compared with the host.
"""

from __future__ import annotations

from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from api.access.roles import Role

COOKIE = "__Host-session"
DAYS_OF_ROLE = {Role.STATION: 400, Role.VOLUNTEER: 400}
"""Tablets and phones stay signed in. Others sign in again when the browser was closed."""
_API = ("/v1/", "/docs", "/openapi.json", "/metrics", "/readyz", "/healthz", "/problems/", "/.well-known/", "/static-")
_SAFE = {"GET", "HEAD", "OPTIONS"}


def is_page(path: str) -> bool:
    """Return whether an address belongs to the pages, not to the API."""
    return not path.startswith(_API)


def set_cookie(answer: Response, token: str, role: Role) -> None:
    """Begin a session with a key."""
    days = DAYS_OF_ROLE.get(role)
    answer.set_cookie(
        COOKIE, token, max_age=None if days is None else days * 86_400, secure=True, httponly=True, samesite="lax"
    )


def clear_cookie(answer: Response) -> None:
    """End the session."""
    answer.delete_cookie(COOKIE, secure=True, httponly=True, samesite="lax")


class PageSessions:
    """Middleware that puts the key of a page's session where the API looks for one, and refuses foreign requests."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] == "http" and is_page(scope["path"]):
            headers = Headers(scope=scope)
            if scope["method"] not in _SAFE and not is_from_this_site(headers):
                text = "This request does not come from a page of this ledger. Open the page again, and repeat it."
                await Response(text, 403, media_type="text/plain")(scope, receive, send)
                return
            token = token_of(headers)
            if token and "authorization" not in headers:
                scope = {**scope, "headers": [*scope["headers"], (b"authorization", b"Bearer " + token.encode())]}
        await self._app(scope, receive, send)


def is_from_this_site(headers: Headers) -> bool:
    """Return whether a browser sent a request from a page of this very host."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    try:
        origin = urlsplit(headers.get("origin", "")).netloc
    except ValueError:  # it is no address
        return False
    return bool(origin) and origin == headers.get("host")


def token_of(headers: Headers) -> str | None:
    """Return the key in the session's cookie; None if there is none that could be one."""
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return None
    return found.value if found and found.value.isascii() and found.value.isprintable() and found.value else None
