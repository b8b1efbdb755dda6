"""The limit on the size of a request's body, enforced as the body arrives, so that memory use is bounded."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.messages.problems import fault, problem, response

BODY_BYTES_MAX = 1 << 20


class BodyLimit:
    """Middleware that refuses larger bodies with 413: by their Content-Length, or when the limit is reached."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        # A stream is processed line by line, so it needs no limit.
        if scope["type"] != "http" or is_stream(scope):
            await self._app(scope, receive, send)
            return
        length = _header(scope, b"content-length")
        if length.isdigit() and int(length) > BODY_BYTES_MAX:
            await response(fault("too-large", _DETAIL))(scope, receive, send)
            return
        received = 0

        async def counting() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > BODY_BYTES_MAX:
                raise problem("too-large", _DETAIL)
            return message

        await self._app(scope, counting, send)


def is_stream(scope: Scope) -> bool:
    """Return whether a request is a stream of events."""
    if scope["path"] != "/v1/events":
        return False
    return _header(scope, b"content-type").partition(b";")[0].strip().lower() == b"application/x-ndjson"


def _header(scope: Scope, name: bytes) -> bytes:
    value: bytes = next((value for key, value in scope["headers"] if key == name), b"")
    return value


_DETAIL = f"the body is larger than {BODY_BYTES_MAX >> 20} MiB; send fewer events at a time"
