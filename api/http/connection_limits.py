"""The limits of connections and of what precedes a body."""

from __future__ import annotations

from dataclasses import dataclass

from api.http.requests.in_progress import CONNECTIONS_MAX


@dataclass(frozen=True)
class ConnectionLimits:
    """The limits of one server. Sizes are in bytes."""

    connections: int = CONNECTIONS_MAX
    url_bytes: int = 8 << 10
    head_bytes: int = 32 << 10
    """The request line and all headers together; also any other part of a message that is not its body."""
    headers: int = 100
    pipelined: int = 64
    """Requests that one connection may send before the first of them is answered."""
    head_seconds: float = 10.0
    write_seconds: float = 60.0
    """How long a client may leave an answer unread."""
    unread_seconds: float = 5.0
    unread_bytes: int = 1 << 20
    """How long, and how much of, the rest of an answered request is read and dropped: a connection that is closed at
    once would be reset, and the client would lose the answer."""
