"""Lines about requests, and their ids.

A request may bring its id in `X-Request-Id`: 32 hexadecimal digits, with or without the dashes of a UUID, as proxies
make them and as W3C trace ids are. (Nothing else is taken: an id is logged, and a phone number is no id.) Without one
an id is made. It is returned in the same header, and stands in every line that is logged for the request.

By default a line is written for what did not succeed and for what was slow, at most so many a second: posts come by
the thousand, and each line costs as much as a tenth of a post. `hours serve --log-requests` writes one for each.

A line holds the method, the route (a template, never the address asked for), the status, the time until the answer
began, and the number and role of the key. It holds no token, no body, no query, no name.
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
from api.operations.metrics import Counted

HEADER = b"x-request-id"
CALLER = "hours.caller"
"""Where a request's scope holds whose key it carries."""

SLOW_SECONDS = 1.0
LINES_PER_SECOND_MAX = 100
"""Lines about requests a second: when everything fails, the first hundred tell it, and the rest is counted."""

_taken = re.compile(rb"[0-9a-fA-F]{32}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}").fullmatch

logger = logging.getLogger(__name__)


_process, _made = os.urandom(8).hex(), itertools.count(int.from_bytes(os.urandom(4)))


def id_of(told: bytes | None) -> bytes:
    """Return a request's id: what its caller told, if that is one; else a new one."""
    return told if told is not None and _taken(told) else f"{_process}{next(_made):016x}".encode()


class RequestLog:
    """Notes each request that was answered: for the metrics, and where it is worth it as a line of the log."""

    def __init__(
        self, counted: Counted, *, all_requests: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._counted = counted
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
        """Note one more request. It is called as its answer begins."""
        self._counted.request(method, route, status, seconds, rejection)
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
        what = "a slow request" if seconds >= SLOW_SECONDS and status < 400 else "request"
        logger.log(level, what, extra={"fields": fields})


class Watched:
    """Lets every request pass; gives it an id, and notes its route, its status and how long its answer took."""

    def __init__(self, app: ASGIApp, requests: RequestLog) -> None:
        self._app = app
        self._requests = requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, told = time.perf_counter(), False
        own_id = id_of(next((value for name, value in scope["headers"] if name == HEADER), None))
        request_id.set(own_id.decode())

        async def timed(message: Message) -> None:
            nonlocal told
            if message["type"] == "http.response.start":
                told = True
                self._note(scope, message["status"], began, own_id)
                message = {**message, "headers": [*message.get("headers", ()), (HEADER, own_id)]}
            await send(message)

        try:
            await self._app(scope, receive, timed)
        except Exception:
            if not told:  # whoever stands further out answers with 500
                scope.setdefault(REJECTION, "failed")
                self._note(scope, 500, began, own_id)
            raise

    def _note(self, scope: Scope, status: int, began: float, own_id: bytes) -> None:
        route = getattr(scope.get("route"), "path", "none")  # an address that is nowhere is not told apart
        seconds = time.perf_counter() - began
        caller, rejection = scope.get(CALLER), scope.get(REJECTION)
        self._requests.note(scope["method"], route, status, seconds, caller, rejection, own_id)
