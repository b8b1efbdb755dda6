"""Awards: the state of each announced honour, folded from the log's own events.

No table holds them. They are few (tens of thousands among millions of events), an index finds them in the log, and they
depend on no rules. So they are folded in memory, cached, and updated with new events. As known at an earlier position
they are folded from the beginning. Measured: 20,000 awards (46,000 events) take 0.4 s the first time, no time
afterwards, and 0.4 s as known at a position in the middle.

Whether an award is still supported is reported by replay/awards/reports.py. Nothing here reads rules or a clock.
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
"""announced: the notice runs or has ended; objected: an objection is open; rejected: one was upheld."""


class Evidence(NamedTuple):
    """The evidence of an announcement or an award: rules and position, and the result by them."""

    rules_version: int
    position: int
    credited_minutes: int
    reached_on: date | None
    rank: int | None


class Objection(NamedTuple):
    """An objection and its outcome. `number` counts from 1 within the award."""

    number: int
    by: str
    recorded_at: int
    reason: str
    outcome: Literal["upheld", "rejected"] | None = None
    settled_by: str | None = None


class Award(NamedTuple):
    """An announced honour and its state."""

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
    version: int = 1
    """The number of its events."""

    @property
    def recipient(self) -> str:
        """The announced recipient: a volunteer number, or a project's id."""
        return self.volunteer or self.project or ""

    def holder(self, merged: Mapping[str, str]) -> str:
        """Return who holds it: a project's id, or the person's number of a volunteer.

        Args:
            merged: the person's number of each merged one.
        """
        return merged.get(self.volunteer, self.volunteer) if self.volunteer else self.recipient

    def notice_runs(self, on: date) -> bool:
        """Return whether its notice runs on a day."""
        return self.notice_until is not None and on <= self.notice_until

    @property
    def open_objections(self) -> list[Objection]:
        """The objections that are not settled."""
        return [objection for objection in self.objections if objection.outcome is None]

    @property
    def state(self) -> State:
        """Its state."""
        if self.revoked_for is not None:
            return "revoked"
        if self.awarded_on is not None:
            return "awarded"
        if any(objection.outcome == "upheld" for objection in self.objections):
            return "rejected"
        return "objected" if self.open_objections else "announced"

    @property
    def is_active(self) -> bool:
        """Whether it is awarded or may still be awarded, so that the honour need not be announced again."""
        return self.state in {"announced", "objected", "awarded"}


def apply(award: Award | None, event: Event) -> Award | None:
    """Return an award after its next event; None if it was never announced, which decisions prevent."""
    if isinstance(event, HonorAnnounced):
        return _announced(event)
    if award is not None:
        award = award._replace(version=award.version + 1)
        match event:
            case HonorObjected():
                number = len(award.objections) + 1
                objection = Objection(number, event.by, event.recorded_at, event.reason)
                award = award._replace(objections=(*award.objections, objection))
            case HonorObjectionSettled():
                award = award._replace(objections=tuple(_settled(objection, event) for objection in award.objections))
            case HonorAwarded():
                evidence = Evidence(
                    event.rules_version,
                    event.evidence_position,
                    event.credited_minutes,
                    event.reached_on,
                    event.rank,
                )
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
        evidence = Evidence(
            event.rules_version, event.evidence_position, event.credited_minutes, event.reached_on, event.rank
        )
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
    """Apply events to awards; return the awards by id, in the order of their announcement."""
    found = dict(awards)
    for event in events:
        if isinstance(event, HonorEvent) and (award := apply(found.get(event.award), event)) is not None:
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
        """Return all awards up to the head of the log, which can be ahead of the read models."""
        return self.at(self._log.head())

    def at(self, position: Position) -> Mapping[str, Award]:
        """Return all awards as known at a position, by id in the order of their announcement."""
        with self._lock:
            since, known = self._position, self._awards
        if position < since:
            since, known = Position(0), {}
        events = [decode(recorded.topic, recorded.state) for recorded in self._log.read_honors(since, position)]
        found = fold(known, events) if events else known
        with self._lock:
            if position > self._position:
                self._position, self._awards = position, found
        return found
