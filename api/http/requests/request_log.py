"""The request log, and the ids of requests.

A request may bring its id in `X-Request-Id`: 32 hexadecimal digits, with or without the dashes of a UUID, as proxies
and W3C trace contexts use. Any other value is ignored, because ids are logged and the value could be personal data; the
request then gets a new id. The id is returned in the same header, and is in every line logged for the request.

By default only failed and slow requests are logged, at most LINES_PER_SECOND_MAX per second: posts come by the
thousand, and a line costs a tenth of a post. `hours serve --log-requests` logs every request.

A line holds the method, the route (a template, never the actual path), the status, the time until the answer began, and
the id and role of the key. It holds no token, body, query or name.
"""

from __future__ import annotations

import itertools
import logging
import os
import re
import time
from collections.abc import Callable
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.access.roles import Caller
from api.messages.problems import REJECTION
from api.operations.logs import request_id
from api.operations.metrics import ProcessMetrics

HEADER = b"x-request-id"
CALLER = "hours.caller"
"""The key in a request's scope that holds its caller."""

SLOW_SECONDS = 1.0
LINES_PER_SECOND_MAX = 100
"""Lines per second: when everything fails, the first hundred lines show it, and the rest is counted."""

_is_id = re.compile(rb"[0-9a-fA-F]{32}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}").fullmatch

logger = logging.getLogger(__name__)


_process, _counter = os.urandom(8).hex(), itertools.count(int.from_bytes(os.urandom(4)))


def choose_id(sent: bytes | None) -> bytes:
    """Return the id of a request: the one its caller sent, if that is valid; else a new one."""
    return sent if sent is not None and _is_id(sent) else f"{_process}{next(_counter):016x}".encode()


class RequestLog:
    """Records each answered request in the metrics, and in the log if it failed or was slow."""

    def __init__(
        self, metrics: ProcessMetrics, *, all_requests: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._metrics = metrics
        self._all_requests = all_requests
        self._clock = clock
        self._second = 0
        self._lines = 0
        self._left_out = 0

    def note(
        self,
        method: str,
        route: str,
        status: int,
        seconds: float,
        caller: Caller | None,
        rejection: str | None,
        own_id: bytes,
    ) -> None:
        """Record a request; called when its answer begins."""
        self._metrics.request(method, route, status, seconds, rejection)
        if self._all_requests or status >= 400 or seconds >= SLOW_SECONDS:
            fields: dict[str, Any] = {
                "method": method,
                "route": route,
                "status": status,
                "milliseconds": round(seconds * 1000, 2),
                "request_id": own_id.decode(),
            }
            if caller is not None:
                fields |= {"key": caller.key, "role": caller.role.value}
            if rejection is not None:
                fields["rejection"] = rejection
            self._write(fields, status, seconds)

    def _write(self, fields: dict[str, Any], status: int, seconds: float) -> None:
        second = int(self._clock())
        if second != self._second:
            self._second, self._lines = second, 0
        if self._lines >= LINES_PER_SECOND_MAX and not self._all_requests:
            self._left_out += 1
            return
        self._lines += 1
        if self._left_out:
            fields["left_out"], self._left_out = self._left_out, 0
        level = logging.ERROR if status == 500 else logging.WARNING if status >= 500 else logging.INFO
        message = "a slow request" if seconds >= SLOW_SECONDS and status < 400 else "request"
        logger.log(level, message, extra={"fields": fields})


class RequestLogging:
    """Middleware that gives each request an id, and records its route, status and duration."""

    def __init__(self, app: ASGIApp, requests: RequestLog) -> None:
        self._app = app
        self._requests = requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, noted = time.perf_counter(), False
        own_id = choose_id(next((value for name, value in scope["headers"] if name == HEADER), None))
        request_id.set(own_id.decode())

        async def timed(message: Message) -> None:
            nonlocal noted
            if message["type"] == "http.response.start":
                noted = True
                self._note(scope, message["status"], began, own_id)
                message = {**message, "headers": [*message.get("headers", ()), (HEADER, own_id)]}
            await send(message)

        try:
            await self._app(scope, receive, timed)
        except Exception:
            if not noted:  # the outermost handler answers with 500
                scope.setdefault(REJECTION, "failed")
                self._note(scope, 500, began, own_id)
            raise

    def _note(self, scope: Scope, status: int, began: float, own_id: bytes) -> None:
        route = getattr(scope.get("route"), "path", "none")  # one name for all addresses that do not exist
        seconds = time.perf_counter() - began
        caller, rejection = scope.get(CALLER), scope.get(REJECTION)
        self._requests.note(scope["method"], route, status, seconds, caller, rejection, own_id)
