"""How many requests of one key are in progress: a request holds a connection while it arrives, waits and is answered.

A request takes as long as its sender likes: a body that trickles, a stream without an end, the progress of a job.
Without this limit one key could hold all connections of the server.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from api.access.roles import Caller
from api.http.requests.lanes import share_of
from api.messages.problems import problem

CONNECTIONS_MAX = 1000
"""The connections of a server, by default."""
SHARE_OF_CONNECTIONS = 4
"""A key may hold a quarter of the connections."""
_SHARE = "hours.share"
"""The key in a request's scope that holds whose share of the connections it takes."""


class RequestsInProgress:
    """The requests in progress by key. It belongs to one event loop."""

    def __init__(self, connections: int = CONNECTIONS_MAX) -> None:
        self.held_max = held_max_of(connections)
        self._held: dict[Hashable, int] = {}

    def begin(self, scope: Scope, caller: Caller) -> None:
        """Count a request whose caller is known, once: a page's is found before its body is read.

        Raises:
            Problem: the key has too many requests in progress.
        """
        if _SHARE in scope:
            return
        share = share_of(caller)
        held = self._held.get(share, 0)
        if held >= self.held_max:
            detail = f"{held} requests with this key are in progress; send it again when one has been answered"
            raise problem("busy", detail)
        self._held[share] = held + 1
        scope[_SHARE] = share

    def end(self, scope: Scope) -> None:
        """Stop counting a request, if it was counted."""
        share = scope.pop(_SHARE, None)
        if share is None:
            return
        if self._held[share] == 1:
            del self._held[share]
        else:
            self._held[share] -= 1


def share_of_scope(scope: Mapping[str, Any]) -> Hashable:
    """Return whose share of the connections a request takes, None if no key of it is known."""
    return scope.get(_SHARE)


def held_max_of(connections: int) -> int:
    """Return how many requests of one key may be in progress on a server with so many connections."""
    return max(connections // SHARE_OF_CONNECTIONS, 1)


class CountInProgress:
    """Middleware that stops counting each request when its answer has been sent, or its client is gone."""

    def __init__(self, app: ASGIApp, requests: RequestsInProgress) -> None:
        self._app = app
        self._requests = requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        try:
            await self._app(scope, receive, send)
        finally:
            self._requests.end(scope)
