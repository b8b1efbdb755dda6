"""What one process remembers of the log between batches, so that it need not ask.

Nothing that is remembered has to be right for the log to be right. That a volunteer, station or project is known never
ceases to be true. How long a stream was, and which names were answered, may have changed by another process's doing: a
batch that is written on such a memory breaks a unique index, writes nothing, and is decided again on what the log says.
Only what a committed transaction saw is kept. One thread writes, so there is no lock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Generic, NamedTuple, TypeVar
from uuid import UUID

YOUNG_MAX = 1 << 16
"""So many entries are kept at least, and twice as many at most: about half an hour of a busy district's commands."""

KNOWN_MAX = 500_000
"""More names than that are forgotten together and learned again."""

V = TypeVar("V")


class Answered(NamedTuple):
    """A command that was answered: the digest of its content, its position, and the shift it is about."""

    content: bytes
    position: int
    shift: UUID | None


class Recent(Generic[V]):
    """A dictionary that forgets what was not put in for long: a young and an old generation."""

    def __init__(self) -> None:
        self._young: dict[bytes, V] = {}
        self._old: dict[bytes, V] = {}

    def get(self, key: bytes) -> V | None:
        """Return what is remembered of a key."""
        found = self._young.get(key)
        return self._old.get(key) if found is None else found

    def update(self, entries: Mapping[bytes, V]) -> None:
        """Remember entries, no more than a batch's."""
        self._young.update(entries)
        if len(self._young) >= YOUNG_MAX:
            self._old, self._young = self._young, {}

    def clear(self) -> None:
        """Forget all."""
        self._old, self._young = {}, {}


class Memory:
    """What one intake remembers."""

    def __init__(self) -> None:
        self.known: set[tuple[str, str]] = set()
        """Volunteers, stations, projects and organisations that the ledger has heard of, by kind and name."""
        self.versions: Recent[int] = Recent()
        """How many events a shift's stream had."""
        self.names: Recent[Answered] = Recent()
        """Commands that were answered, by the digest of their name."""

    def learn(self, names: Iterable[tuple[str, str]]) -> None:
        """Remember that these are known."""
        self.known.update(names)
        if len(self.known) > KNOWN_MAX:
            self.known.clear()

    def doubt(self) -> None:
        """Forget whatever another process may have changed."""
        self.versions.clear()
        self.names.clear()
