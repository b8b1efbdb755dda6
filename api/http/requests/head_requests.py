"""HEAD: every address that answers GET answers HEAD, with the same status and headers and no body (RFC 9110, 9.3.2)."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

IS_HEAD = "hours.head"
"""The key in a request's scope that says that it was sent as HEAD."""


class HeadAsGet:
    """Middleware that has a HEAD request handled as a GET request, and leaves out the body of its answer.

    The server reads the method of the answer from the same scope, so it is HEAD again when the answer begins.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        scope["method"], scope[IS_HEAD] = "GET", True

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.start":
                scope["method"] = "HEAD"
                await send(message)
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        await self._app(scope, receive, send_head)
