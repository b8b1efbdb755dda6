"""What earlier batches of this process learned of the log, so that the next one need not ask again.

Nothing here has to be right for the log to be right. That a volunteer, station or project is known never ceases to be
true. How long a stream was, and which names were answered, may have changed by another process's doing; a batch
that is written on such a memory breaks a unique index, writes nothing, and is decided again on what the log says.

Only what a committed transaction saw is kept. Used by one thread at a time per batch; a lock holds the rest together.
"""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock
from typing import Generic, TypeVar

V = TypeVar("V")

YOUNG_MAX = 1 << 16
"""So many entries are kept at least, and twice as many at most: about half an hour of a busy district's commands."""

KNOWN_MAX = 1 << 20
"""More names than that are forgotten together and learned again."""


class Recent(Generic[V]):
    """A dictionary that forgets what was not put in for long: a young and an old generation."""

    def __init__(self) -> None:
        self._young: dict[str, V] = {}
        self._old: dict[str, V] = {}

    def get(self, key: str) -> V | None:
        """Return what is remembered of a key."""
        found = self._young.get(key)
        return self._old.get(key) if found is None else found

    def update(self, entries: Mapping[str, V]) -> None:
        """Remember entries."""
        self._young.update(entries)
        if len(self._young) >= YOUNG_MAX:
            self._young, self._old = {}, self._young

    def clear(self) -> None:
        """Forget all."""
        self._young, self._old = {}, {}


class Memory(Generic[V]):
    """What one intake remembers; `V` is what it keeps of a name that was answered."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.known: set[tuple[str, str]] = set()
        """Kind and key of volunteers, stations and projects that the ledger has heard of."""
        self.versions: Recent[int] = Recent()
        """How many events a shift's stream had."""
        self.answers: Recent[V] = Recent()

    def keep(self, known: set[tuple[str, str]], versions: Mapping[str, int], answers: Mapping[str, V]) -> None:
        """Remember what a committed batch saw and wrote."""
        with self._lock:
            if len(self.known) + len(known) > KNOWN_MAX:
                self.known = set()
            self.known |= known
            self.versions.update(versions)
            self.answers.update(answers)

    def doubt(self) -> None:
        """Forget whatever another process may have changed."""
        with self._lock:
            self.versions.clear()
            self.answers.clear()
