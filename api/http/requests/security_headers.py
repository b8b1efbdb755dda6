"""Headers that tell browsers and caches to keep answers to themselves. Every answer carries them.

The page of descriptions is the only one that loads anything, so it sets a policy of its own
(`api/http/descriptions.py`), which is not replaced here.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = b"content-security-policy"
SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (POLICY, b"default-src 'none'; frame-ancestors 'none'"),
)
_WITHOUT_POLICY = SECURITY_HEADERS[:-1]


class SecurityHeaders:
    """Middleware that adds the headers to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                has_policy = any(name == POLICY for name, _ in headers)
                headers += _WITHOUT_POLICY if has_policy else SECURITY_HEADERS
                message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)
