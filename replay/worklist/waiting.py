"""Something that waits for somebody, of whatever kind."""

from __future__ import annotations

from datetime import date
from typing import NamedTuple
from uuid import UUID

from replay.worklist.answers import WorkKind


class Waiting(NamedTuple):
    """Something that waits. `name` is unique among those of its kind; `waits_from`: the instant from which it does."""

    kind: WorkKind
    name: str
    volunteer: str | None
    station: str | None
    what: str
    since: int
    waits_from: int
    due: date | None
    commands: tuple[str, ...]
    not_by: str | None = None
    shift: UUID | None = None
    request: str | None = None
    award: str | None = None
    project: str | None = None

    @property
    def mark(self) -> str:
        """The sort key as text: deadline, kind, name. "none" is greater than any day."""
        return f"{self.due or 'none'}/{self.kind}/{self.name}"
