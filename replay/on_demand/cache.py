"""A cache of expensive results, which are computed one at a time.

Keys contain a position and the digest of rules, and what they denote never changes, so results never become stale.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable
from typing import Generic, TypeVar

from replay.progress import checkpoint

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class ResultCache(Generic[K, V]):
    """Results by key; the least recently used are evicted while `is_too_large`. Any thread may use it."""

    def __init__(self, is_too_large: Callable[[Collection[V]], bool]) -> None:
        self._is_too_large = is_too_large
        self._results: OrderedDict[K, V] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: K, compute: Callable[[], V]) -> V:
        """Return the cached result, or compute it while other callers wait."""
        checkpoint()
        with self._lock:
            if key not in self._results:
                self._results[key] = compute()
            self._results.move_to_end(key)
            result = self._results[key]
            while self._results and self._is_too_large(self._results.values()):
                self._results.popitem(last=False)
            return result
