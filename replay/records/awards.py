"""Awards: what has become of each honour that was announced, folded from the log's own events.

No table holds them. They are few (tens of thousands among millions of events), an index finds them in the log, and they
depend on no rules; so they are folded in memory, kept, and gone on with when there are more. As of an earlier position
they are folded anew. Measured: 20,000 awards (46,000 events) take 0.4 s the first time, nothing afterwards, and 0.4 s
as of a position in the middle.

What an award is worth today, reports tell (replay/awards/reports.py). Nothing here reads rules or a clock.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Literal, NamedTuple

from ledger.aggregates import Event
from ledger.aggregates.honor import (
    HonorAnnounced,
    HonorAwarded,
    HonorEvent,
    HonorObjected,
    HonorObjectionSettled,
    HonorRevoked,
)
from ledger.names import Position
from ledger.store.log_queries import LogQueries
from ledger.store.mapper import decode

State = Literal["announced", "objected", "rejected", "awarded", "revoked"]
"""How far an award is: its notice runs or has ended; an objection is open; one was upheld; conferred; taken back."""


class Evidence(NamedTuple):
    """What an announcement or an award rests on: rules and position, and what was found by them."""

    rules_version: int
    position: int
    credited_minutes: int
    reached_on: date | None
    rank: int | None


class Objection(NamedTuple):
    """An objection and what became of it; `number` counts from 1 within the award."""

    number: int
    by: str
    recorded_at: int
    reason: str
    outcome: Literal["upheld", "rejected"] | None = None
    settled_by: str | None = None


class Award(NamedTuple):
    """An honour that was announced for somebody, and how far it is."""

    award: str
    honor: str
    volunteer: str | None
    project: str | None
    year: int | None
    announced_at: int
    announced_by: str
    notice_until: date | None
    announced: Evidence | None
    """None in old records."""
    objections: tuple[Objection, ...] = ()
    awarded_on: date | None = None
    awarded_by: str | None = None
    awarded: Evidence | None = None
    revoked_for: str | None = None

    @property
    def recipient(self) -> str:
        """Whom it is for: a volunteer number, or a project's id."""
        return self.volunteer or self.project or ""

    def holder(self, merged: Mapping[str, str]) -> str:
        """Who it is for today: a project's id, or the number that a volunteer goes on as.

        Args:
            merged: as which number each merged one goes on.
        """
        return merged.get(self.volunteer, self.volunteer) if self.volunteer else self.recipient

    def notice_runs(self, on: date) -> bool:
        """Tell whether its notice still runs on a day."""
        return self.notice_until is not None and on <= self.notice_until

    @property
    def open_objections(self) -> list[Objection]:
        """Those nobody has settled."""
        return [one for one in self.objections if one.outcome is None]

    @property
    def state(self) -> State:
        """How far it is."""
        if self.revoked_for is not None:
            return "revoked"
        if self.awarded_on is not None:
            return "awarded"
        if any(one.outcome == "upheld" for one in self.objections):
            return "rejected"
        return "objected" if self.open_objections else "announced"

    @property
    def stands(self) -> bool:
        """Whether it is conferred, or on its way: as long as it is, nobody has to announce it."""
        return self.state in {"announced", "objected", "awarded"}


def applied(award: Award | None, event: Event) -> Award | None:
    """Return an award after one more of its events; None where there is none, which decisions rule out."""
    if isinstance(event, HonorAnnounced):
        return _announced(event)
    if award is not None:
        match event:
            case HonorObjected():
                number = len(award.objections) + 1
                objection = Objection(number, event.by, event.recorded_at, event.reason)
                award = award._replace(objections=(*award.objections, objection))
            case HonorObjectionSettled():
                award = award._replace(objections=tuple(_settled(one, event) for one in award.objections))
            case HonorAwarded():
                said = event.rules_version, event.evidence_position, event.credited_minutes
                evidence = Evidence(*said, event.reached_on, event.rank)
                award = award._replace(awarded_on=event.awarded_on, awarded_by=event.by, awarded=evidence)
            case HonorRevoked():
                award = award._replace(revoked_for=event.reason)
            case _:
                pass
    return award


def _settled(objection: Objection, event: HonorObjectionSettled) -> Objection:
    if objection.number != event.objection:
        return objection
    return objection._replace(outcome=event.outcome, settled_by=event.by)


def _announced(event: HonorAnnounced) -> Award:
    evidence = None
    if event.rules_version is not None and event.evidence_position is not None and event.credited_minutes is not None:
        said = event.rules_version, event.evidence_position, event.credited_minutes
        evidence = Evidence(*said, event.reached_on, event.rank)
    return Award(
        award=event.award,
        honor=event.honor,
        volunteer=event.volunteer,
        project=event.project,
        year=event.year,
        announced_at=event.recorded_at,
        announced_by=event.by,
        notice_until=event.notice_until,
        announced=evidence,
    )


def fold(awards: Mapping[str, Award], events: Iterable[Event]) -> dict[str, Award]:
    """Return awards, by id in the order of their announcement, after more events of theirs."""
    found = dict(awards)
    for event in events:
        if isinstance(event, HonorEvent) and (award := applied(found.get(event.award), event)) is not None:
            found[event.award] = award
    return found


class AwardBook:
    """The awards of one log, as known at any position."""

    def __init__(self, log: LogQueries) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._position = Position(0)
        self._awards: dict[str, Award] = {}

    def now(self) -> Mapping[str, Award]:
        """Return all awards as the log knows them, whatever the read models have seen."""
        return self.at(self._log.head())

    def at(self, position: Position) -> Mapping[str, Award]:
        """Return all awards as known at a position, by id in the order of their announcement."""
        with self._lock:
            since, known = self._position, self._awards
        if position < since:
            since, known = Position(0), {}
        events = [decode(one.topic, one.state) for one in self._log.read_honors(since, position)]
        found = fold(known, events) if events else known
        with self._lock:
            if position > self._position:
                self._position, self._awards = position, found
        return found
