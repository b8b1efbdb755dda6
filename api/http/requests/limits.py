"""What is checked while the body of a request arrives: its key, its size and its time.

A body costs memory and time, so none is read for a caller without a key, whichever way reads it. A body that takes time
to arrive may outlive its key, so the key is looked up again when it is whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.requests.request_log import CALLER
from api.messages.problems import fault, problem, response

BODY_BYTES_MAX = 1 << 20
BODY_SECONDS_MAX = 60.0
"""How long a body may take to arrive; for a stream, how long the server waits for the next part of it."""
UNREAD_SECONDS_MAX = 1.0
"""How long the rest of a body is awaited before a connection is closed behind an error."""
_WITHOUT_BODY = {"GET", "HEAD"}


class BodyLimit:
    """Middleware that gives a body only to callers with a key, and refuses bodies that are too large or too slow.

    Args:
        check_key: looks up the caller of a request, or looks it up again; raises a Problem if there is none.
    """

    def __init__(
        self, app: ASGIApp, check_key: Callable[[Scope], Awaitable[object]], seconds_max: float = BODY_SECONDS_MAX
    ) -> None:
        self._app = app
        self._check_key = check_key
        self._seconds_max = seconds_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(scope, receive, self._check_key, self._seconds_max)
        if _is_closed_after(scope):
            send = _sending_after(body, send)
        length = _header(scope, b"content-length")
        if not body.is_stream and length.isdigit() and int(length) > BODY_BYTES_MAX:
            await response(fault("too-large", _DETAIL))(scope, receive, send)
            return
        await self._app(scope, body.receive, send)


class _Body:
    """The body of one request, as it arrives."""

    def __init__(
        self, scope: Scope, receive: Receive, check_key: Callable[[Scope], Awaitable[object]], seconds_max: float
    ) -> None:
        self.is_stream = is_stream(scope)
        self._scope = scope
        self._receive = receive
        self._check_key = check_key
        self._seconds_max = seconds_max
        self._received = 0
        self._deadline = 0.0
        self._is_open_to_all = scope["method"] in _WITHOUT_BODY
        self.is_complete = False

    async def receive(self) -> Message:
        """Return the next part of the body.

        Raises:
            Problem: the request has no valid key, or the body is too large or too slow.
        """
        if self.is_complete or self._is_open_to_all:
            return await self._receive()  # waits for the client to hang up
        is_first = not self._deadline
        if is_first and CALLER not in self._scope:
            await self._check_key(self._scope)
        if self.is_stream or is_first:
            self._deadline = asyncio.get_running_loop().time() + self._seconds_max
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            part = "the next part of the stream" if self.is_stream else "the body"
            raise problem("too-slow", f"{part} did not arrive within {self._seconds_max:g} s; send it again") from None
        self.is_complete = not message.get("more_body", False)
        # A stream is processed line by line, so its size needs no limit.
        self._received += len(message.get("body", b""))
        if self._received > BODY_BYTES_MAX and not self.is_stream:
            raise problem("too-large", _DETAIL)
        if self.is_complete and not is_first:
            await self._check_key(self._scope)
        return message

    async def drop(self) -> None:
        """Receive the rest and drop it, within limits."""
        received = 0
        try:
            async with asyncio.timeout(UNREAD_SECONDS_MAX):
                while not self.is_complete and received <= BODY_BYTES_MAX:
                    message = await self._receive()
                    received += len(message.get("body", b""))
                    self.is_complete = not message.get("more_body", False)
        except TimeoutError:
            pass


def _is_closed_after(scope: Scope) -> bool:
    """Return whether the connection is closed behind the answer, and the client does not wait to send its body."""
    closed = scope.get("http_version") == "1.0" or b"close" in _header(scope, b"connection").lower()
    return closed and not _header(scope, b"expect")


def _sending_after(body: _Body, send: Send) -> Send:
    """Return a `send` that first receives the body of a request that is refused.

    A connection that is closed while the client still sends is reset, and the client loses the answer.
    """

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] >= 400 and not body.is_complete:
            await body.drop()
        await send(message)

    return sending


def is_stream(scope: Scope) -> bool:
    """Return whether a request is a stream of events."""
    if scope["path"] != "/v1/events":
        return False
    return _header(scope, b"content-type").partition(b";")[0].strip().lower() == b"application/x-ndjson"


def _header(scope: Scope, name: bytes) -> bytes:
    value: bytes = next((value for key, value in scope["headers"] if key == name), b"")
    return value


_DETAIL = f"the body is larger than {BODY_BYTES_MAX >> 20} MiB; send fewer events at a time"
