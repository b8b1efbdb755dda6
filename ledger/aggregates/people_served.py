"""People served (服务人次): people helped, never volunteers, counted by station, day and optionally project."""

from __future__ import annotations

from dataclasses import dataclass, replace
from uuid import UUID

from ledger.deciding.base import Act, Aggregate, Event
from ledger.deciding.case import Case, Decision
from ledger.names import People, ProjectId, ReasonCode, ServiceDay, StationId, stream
from ledger.rejections import Rejection, refuse


@dataclass(frozen=True, slots=True)
class PeopleServed(Aggregate):
    """The count in force: the last one."""

    counted: PeopleServedCounted | None = None

    def after(self, event: Event) -> PeopleServed:
        counted = event if isinstance(event, PeopleServedCounted) else self.counted
        return replace(self, version=self.version + 1, counted=counted)


class PeopleServedCounted(Event):
    """People served at a station on a day, and for a project if one is given. The last count for the same three is in
    force. `reason`: why an earlier count was replaced.
    """

    AGGREGATE = PeopleServed
    STREAM_FIELD = "day"
    EVENTS_MAX = 10_000
    TOPIC = "people-served-counted.v1"
    station: StationId
    project: ProjectId | None = None
    day: ServiceDay
    people: People
    reason: ReasonCode | None = None

    @property
    def stream_id(self) -> UUID:
        return stream("people-served", self.station, self.project or "", self.day.isoformat())


class CountPeopleServed(Act):
    """Count the people served at a station on a day, and for a project if one is given. The last count for the same
    three is in force. A recount needs a reason, unless the station itself sends it.
    """

    TYPE = "count-people-served"
    station: StationId
    day: ServiceDay
    people: People
    project: ProjectId | None = None
    reason: ReasonCode | None = None

    def decide(self, case: Case) -> Decision:
        if refused := case.unknown(self, station="station", project="project") or case.future(
            self, "occurred_at", "day"
        ):
            return refused
        counted = case.event(PeopleServedCounted, self)
        if self.reason is None and not self._needs_no_reason(case) and case.streams.version(counted.stream_id):
            return refuse(Rejection.NO_REASON, "reason", "left out")
        return [counted]

    def _needs_no_reason(self, case: Case) -> bool:
        """Return whether a recount needs no reason: stations count all day, and old records may repeat a day."""
        return case.order.imported or case.order.by == f"station:{self.station}"
