"""The API as a page uses it: requests within this process, with the key of the page's reader.

Each request passes every check of the API, as one over the network does: key, rate, role, lanes, limits of time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, urlencode

from fastapi import Request
from starlette.types import Message

_FORWARDED = {b"authorization", b"host", b"x-request-id"}


class Answer(NamedTuple):
    """What the API answered. `headers`: names in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def data(self) -> Any:
        """The content as JSON."""
        return json.loads(self.content)


class RefusedByApiError(Exception):
    """The API answered with a problem (RFC 9457)."""

    def __init__(self, answer: Answer) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self.problem: dict[str, Any] = answer.data if answer.content else {}
        super().__init__(self.problem.get("detail") or self.problem.get("title") or str(answer.status))

    @property
    def rejection(self) -> str:
        """The name of the rule that was broken, such as `no-key`."""
        return str(self.problem.get("type", "")).rpartition("/")[2]


class LedgerClient:
    """The API for one page's request."""

    def __init__(self, request: Request) -> None:
        self._request = request

    async def get(self, path: str, /, **query: object) -> Any:
        """Return what an address answers, as JSON.

        Args:
            path: with names already quoted (`address`).
            query: parameters; those that are None are left out. A trailing underscore is dropped (`from_`).

        Raises:
            RefusedByApiError: it answered with a problem.
        """
        return (await self.send("GET", path, query=query)).data

    async def post(self, path: str, body: object, /, headers: Mapping[str, str] | None = None, **query: object) -> Any:
        """Return what an address answers to a body that is sent as JSON; None for an answer without content.

        Raises:
            RefusedByApiError: it answered with a problem.
        """
        answer = await self.send("POST", path, json.dumps(body).encode(), query=query, headers=headers)
        return answer.data if answer.content else None

    async def send(
        self,
        method: str,
        path: str,
        content: bytes = b"",
        media_type: str = "application/json",
        query: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request and return the answer. `headers`: further ones, such as `Accept` or `Idempotency-Key`.

        Raises:
            RefusedByApiError: it answered with a problem.
        """
        pairs = {name.rstrip("_"): value for name, value in (query or {}).items() if value is not None}
        scope = self._request.scope
        sent = [(name, value) for name, value in scope["headers"] if name in _FORWARDED]
        sent += [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
        if content:
            sent += [(b"content-type", media_type.encode()), (b"content-length", str(len(content)).encode())]
        inner = {
            "type": "http",
            "asgi": scope.get("asgi", {"version": "3.0"}),
            "http_version": "1.1",
            "method": method,
            "scheme": scope["scheme"],
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": urlencode(pairs, doseq=True).encode(),
            "root_path": scope.get("root_path", ""),
            "headers": sent,
            "client": scope.get("client"),
            "server": scope.get("server"),
            "state": dict(scope.get("state", {})),
        }
        status, answered = 500, {}
        parts: list[bytes] = []
        body = iter([content])

        async def receive() -> Message:
            for part in body:
                return {"type": "http.request", "body": part, "more_body": False}
            return await self._request.receive()  # the client may hang up

        async def send(message: Message) -> None:
            nonlocal status, answered
            if message["type"] == "http.response.start":
                status = message["status"]
                answered = {
                    name.decode("latin-1").lower(): value.decode("latin-1") for name, value in message["headers"]
                }
            elif message["type"] == "http.response.body":
                parts.append(message.get("body", b""))

        await self._request.app(inner, receive, send)
        answer = Answer(status, answered, b"".join(parts))
        if status >= 400:
            raise RefusedByApiError(answer)
        return answer


def address(template: str, /, **names: object) -> str:
    """Return an address with names in it, quoted: `address("/v1/volunteers/{number}", number=...)`."""
    return template.format(**{name: quote(str(value), safe="") for name, value in names.items()})
