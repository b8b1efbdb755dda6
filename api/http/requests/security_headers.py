"""Headers that tell browsers and caches to keep answers to themselves. Every answer carries them.

The page of descriptions is the only one that loads anything, so it sets a policy of its own
(`api/http/descriptions.py`), which is not replaced here. Checkpoints and tiles may be cached.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = b"content-security-policy"
SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (POLICY, b"default-src 'none'; frame-ancestors 'none'"),
)
_REPLACEABLE = {POLICY, b"cache-control"}
"""An answer may say otherwise by itself: the page of descriptions; checkpoints and tiles, which anybody may have."""


class SecurityHeaders:
    """Middleware that adds the headers to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                own = {name for name, _ in headers if name in _REPLACEABLE}
                headers += [(name, value) for name, value in SECURITY_HEADERS if name not in own]
                message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)
