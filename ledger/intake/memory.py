"""The intake's cache of the log, kept by one process between batches to avoid reads.

The log stays correct even if the cache is wrong. That a volunteer, station or project is known never ceases to be true.
The versions of streams and the answered names may be changed by another process: a batch decided on an outdated cache
violates a unique index, writes nothing, and is decided again on the log. Only what a committed transaction saw is
cached. One thread writes, so there is no lock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Generic, NamedTuple, TypeVar
from uuid import UUID

YOUNG_MAX = 1 << 16
"""The cache holds one to two times this number of entries: about half an hour of a busy district's commands."""

KNOWN_MAX = 500_000
"""When there are more names than this, all are dropped and read again."""

V = TypeVar("V")


class Answered(NamedTuple):
    """An answered command: the digest of its content, the position of its last event, the shift it is about, and the id
    of a scan without a shift id.
    """

    content: bytes
    position: int
    shift: UUID | None
    punch: UUID | None = None


class Recent(Generic[V]):
    """A dictionary that drops its oldest entries. It has a young and an old generation."""

    def __init__(self) -> None:
        self._young: dict[bytes, V] = {}
        self._old: dict[bytes, V] = {}

    def get(self, key: bytes) -> V | None:
        """Return the cached value of a key."""
        found = self._young.get(key)
        return self._old.get(key) if found is None else found

    def update(self, entries: Mapping[bytes, V]) -> None:
        """Add entries, at most those of a batch."""
        self._young.update(entries)
        if len(self._young) >= YOUNG_MAX:
            self._old, self._young = self._young, {}

    def clear(self) -> None:
        """Drop all entries."""
        self._old, self._young = {}, {}


class Memory:
    """The cache of one intake."""

    def __init__(self) -> None:
        self.known: set[tuple[str, str]] = set()
        """Volunteers, stations, projects and organisations that the log has, by kind and name."""
        self.versions: Recent[int] = Recent()
        """The number of events in each stream."""
        self.names: Recent[Answered] = Recent()
        """Answered commands, by the digests of their names."""

        self.early: Recent[int] = Recent()
        """The instants of early scans that are stored, by the digests of their names."""
        self.early_stored = 0
        """How many were stored since those beyond the latest were dropped."""

    def add_known(self, names: Iterable[tuple[str, str]]) -> None:
        """Add names that the log has."""
        self.known.update(names)
        if len(self.known) > KNOWN_MAX:
            self.known.clear()

    def invalidate(self) -> None:
        """Drop everything that another process may have changed."""
        self.versions.clear()
        self.names.clear()
