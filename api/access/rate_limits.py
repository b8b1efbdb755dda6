"""How many requests a second a key may make: a token bucket for each, in this process.

A bucket holds a burst of a few seconds, so that a tablet that was offline can send its day. A batch is one request: it
is bounded by its size, and by the ledger's queue.
"""

from __future__ import annotations

import time
from collections.abc import Callable

PER_SECOND = 10_000
"""Requests a second that any key may make, unless its keeper or the service's says otherwise: more than one process
answers, so nobody is slowed who was not meant to be."""

BURST_SECONDS = 5
BUCKETS_MAX = 10_000


class RateLimits:
    """The buckets of one process, by key. Used by one thread, the event loop's."""

    def __init__(self, per_second: int = PER_SECOND, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_second = per_second
        self._clock = clock
        self._buckets: dict[int, tuple[float, float]] = {}  # what is in it, and since when

    def wait_seconds(self, key: int, per_second: int | None) -> float:
        """Take one request out of a key's bucket; return 0, or how long the key has to wait for it."""
        rate = per_second or self.per_second
        burst, now = rate * BURST_SECONDS, self._clock()
        held, since = self._buckets.get(key, (float(burst), now))
        held = min(burst, held + (now - since) * rate)
        if held < 1:
            return (1 - held) / rate
        if len(self._buckets) >= BUCKETS_MAX and key not in self._buckets:
            self._buckets.clear()
        self._buckets[key] = held - 1, now
        return 0.0
