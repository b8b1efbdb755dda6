"""Rate limits: a token bucket for each key, in this process.

A request costs one token, and one with commands a token for each of them, whether it is recorded or not. A bucket
allows a burst of a few seconds. The commands of one request may overdraw it, so that a tablet that was offline can send
its day at once; then the key waits until the debt is paid.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from api.access.roles import Caller, Role

PER_SECOND = 10_000
"""The default limit of commands per second and key. It is more than one process can answer, so it has no effect until
an operator sets a lower one, for the service or for a key."""

VOLUNTEER_PER_SECOND = 10
"""The default limit of a volunteer's key, which a person uses by hand."""

BURST_SECONDS = 5
BUCKETS_MAX = 10_000


def rate_of(caller: Caller, limits: RateLimits) -> int:
    """Return how many commands a second a caller's key may send."""
    return limits.rate(caller.per_second, of_volunteer=caller.role is Role.VOLUNTEER)


class RateLimits:
    """The buckets of one process, by key. Not thread-safe: used by the event loop only."""

    def __init__(self, per_second: int = PER_SECOND, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_second = per_second
        self._clock = clock
        self._buckets: dict[int, tuple[float, float]] = {}  # tokens left, and when that was computed

    def rate(self, per_second: int | None, *, of_volunteer: bool = False) -> int:
        """Return the limit of a key: its own, or the default for its holder."""
        if per_second is not None:
            return per_second
        return min(self.per_second, VOLUNTEER_PER_SECOND) if of_volunteer else self.per_second

    def wait_seconds(self, key: int, rate: int | None = None) -> float:
        """Count one request of a key; return 0, or the seconds until it is allowed."""
        rate = self.rate(rate)
        tokens, now = self._tokens(key, rate)
        if tokens < 1:
            return (1 - tokens) / rate
        self._buckets[key] = tokens - 1, now
        return 0.0

    def charge(self, key: int, rate: int, commands: int) -> None:
        """Count the commands of a request that was counted before, beyond the first."""
        if commands > 1:
            tokens, now = self._tokens(key, rate)
            self._buckets[key] = tokens - (commands - 1), now

    def _tokens(self, key: int, rate: int) -> tuple[float, float]:
        burst, now = rate * BURST_SECONDS, self._clock()
        tokens, since = self._buckets.get(key, (float(burst), now))
        if len(self._buckets) >= BUCKETS_MAX and key not in self._buckets:
            self._buckets = {one: bucket for one, bucket in self._buckets.items() if bucket[0] < 0}  # debts stay
        return min(burst, tokens + (now - since) * rate), now
