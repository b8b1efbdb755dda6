"""What takes a replay is done once at a time, and the last results are kept for the next question.

Keys hold a position and the digest of rules: positions never change what they mean, so what is kept never goes stale.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class ResultCache(Generic[K, V]):
    """Results by key; those longest unused are let go first. Any thread may use it."""

    def __init__(self, is_too_much: Callable[[Collection[V]], bool]) -> None:
        self._is_too_much = is_too_much
        self._found: OrderedDict[K, V] = OrderedDict()
        self._one_at_a_time = threading.Lock()

    def of(self, key: K, work: Callable[[], V]) -> V:
        """Return what was kept, or else do the work, while whoever asks for anything else waits."""
        with self._one_at_a_time:
            if key not in self._found:
                self._found[key] = work()
            self._found.move_to_end(key)
            result = self._found[key]
            while self._found and self._is_too_much(self._found.values()):
                self._found.popitem(last=False)
            return result
