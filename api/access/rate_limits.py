"""Rate limits: a token bucket for each key, in this process.

A bucket allows a burst of a few seconds, so that a tablet that was offline can send its day. A batch is one request: it
is limited by its size and by the ledger's queue.
"""

from __future__ import annotations

import time
from collections.abc import Callable

PER_SECOND = 10_000
"""The default limit of requests per second and key. It is more than one process can answer, so it has no effect until
an operator sets a lower one, for the service or for a key."""

BURST_SECONDS = 5
BUCKETS_MAX = 10_000


class RateLimits:
    """The buckets of one process, by key. Not thread-safe: used by the event loop only."""

    def __init__(self, per_second: int = PER_SECOND, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_second = per_second
        self._clock = clock
        self._buckets: dict[int, tuple[float, float]] = {}  # tokens left, and when that was computed

    def wait_seconds(self, key: int, per_second: int | None) -> float:
        """Count one request of a key; return 0, or the seconds until it is allowed."""
        rate = per_second or self.per_second
        burst, now = rate * BURST_SECONDS, self._clock()
        tokens, since = self._buckets.get(key, (float(burst), now))
        tokens = min(burst, tokens + (now - since) * rate)
        if tokens < 1:
            return (1 - tokens) / rate
        if len(self._buckets) >= BUCKETS_MAX and key not in self._buckets:
            self._buckets.clear()
        self._buckets[key] = tokens - 1, now
        return 0.0
