"""Answers about the worklist. Like all answers they repeat their axes."""

from __future__ import annotations

from datetime import date, datetime
from typing import Final, Literal, get_args
from uuid import UUID

from pydantic import Field

from replay.axes.answers import Basis, Linked, ProjectName, StationName, omit_none

WorkKind = Literal["open-shift", "request", "dispute", "undercut-award"]
KINDS: Final[tuple[WorkKind, ...]] = get_args(WorkKind)


class WorkItem(Linked):
    """An entry of the worklist.

    `what`: in words. `due`: the last day, by the rules; null if they set none. `commands`: those that settle it, and
    `roles`: whose keys may send one of them. `not_by`: who asked for it, or opened it, and may not decide it.
    """

    kind: WorkKind
    volunteer: str | None
    station: str | None
    station_name: StationName = omit_none()
    what: str
    since: datetime
    due: date | None
    overdue: bool
    commands: list[str]
    roles: list[str] = Field(default_factory=list)
    not_by: str | None = omit_none()
    shift: UUID | None = omit_none()
    request: str | None = omit_none()
    award: str | None = omit_none()
    project: str | None = omit_none()
    project_name: ProjectName = omit_none()


class Worklist(Basis):
    """What waits, the earliest deadline first; what has none comes last. `next_after` continues the list.

    Deadlines are compared with `today`. `counts`: of each kind, whatever the kind asked for.
    """

    today: date
    count: int
    overdue: int
    counts: dict[WorkKind, int]
    items: list[WorkItem]
    next_after: str | None
