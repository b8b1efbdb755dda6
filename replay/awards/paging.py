"""Pages of lists about awards, each continued after an entry by its mark."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

T = TypeVar("T")


class Page(NamedTuple):
    """A page of at most `limit` entries after the one that `next_after` of the page before named."""

    limit: int = 100
    after: str | None = None

    def of(self, entries: Sequence[T], mark: Callable[[T], str]) -> tuple[list[T], str | None]:
        """Return the entries of this page, and the mark of its last if there are more."""
        first = 0
        if self.after is not None:
            numbered = enumerate(entries, 1)
            first = next((number for number, entry in numbered if mark(entry) == self.after), len(entries))
        chosen = list(entries[first : first + self.limit])
        return chosen, mark(chosen[-1]) if first + self.limit < len(entries) else None
