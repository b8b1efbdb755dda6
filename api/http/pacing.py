"""Reading of requests that arrive in small pieces.

Each piece of a body or a head costs the event loop about as much as a whole request, and twenty connections that send
a byte at a time can occupy it. A connection that has sent many small pieces of one message is therefore read at
intervals; what arrives in between waits in the system's buffers and comes as one piece. Nothing is lost or refused, and
a client that sends in usual sizes is never delayed.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Hashable

PIECE_BYTES = 1 << 10
"""A piece of this size counts nothing, a larger one makes up for small ones before it."""
PIECES_FREE = 16
"""Small pieces of one message that are read at once."""
READS_PER_SECOND = 200
"""Small pieces that are read beyond that, of all connections of one key, or of all without a key."""


class PacedReading:
    """The connections of one server that are read at intervals, by whose share of the event loop they take."""

    def __init__(self) -> None:
        self._paused: Counter[Hashable] = Counter()

    def pause(self, share: Hashable) -> float:
        """Count a paused connection; return the seconds until it is to be read again."""
        self._paused[share] += 1
        return self._paused[share] / READS_PER_SECOND

    def resume(self, share: Hashable) -> None:
        """Stop counting a connection."""
        self._paused[share] -= 1
        if not self._paused[share]:
            del self._paused[share]


class Pace:
    """When one connection is read. It belongs to the event loop of its transport."""

    def __init__(self, paced: PacedReading, loop: asyncio.AbstractEventLoop, resume: Callable[[], None]) -> None:
        self._paced = paced
        self._loop = loop
        self._resume = resume
        self._small = 0.0  # pieces of this message, less those that larger ones make up for
        self._timer: asyncio.TimerHandle | None = None
        self._share: Hashable = None

    def received(self, size: int) -> bool:
        """Count a piece of a message that is not complete; return whether reading is to be paused."""
        self._small = max(self._small + 1 - size / PIECE_BYTES, 0)
        return self._small > PIECES_FREE and self._timer is None

    def pause(self, share: Hashable) -> None:
        """Call `resume` when the connection is to be read again."""
        self._share = share
        self._timer = self._loop.call_later(self._paced.pause(share), self._on_timer)

    def message_complete(self) -> None:
        """Count the pieces of the next message."""
        self._small = 0

    def end(self) -> None:
        """End the pause, without a call."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._paced.resume(self._share)

    def _on_timer(self) -> None:
        self.end()
        self._resume()
