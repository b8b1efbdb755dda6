"""People served (服务人次): people helped, never volunteers, counted at a station on a day, and for a project."""

from __future__ import annotations

from dataclasses import dataclass, replace
from uuid import UUID

from ledger.deciding.base import Act, Aggregate, Event
from ledger.deciding.case import Case, Decision
from ledger.names import People, ProjectId, ReasonCode, ServiceDay, StationId, stream
from ledger.rejections import Rejection, refuse


@dataclass(frozen=True, slots=True)
class PeopleServed(Aggregate):
    """The count that stands: the last one."""

    counted: PeopleServedCounted | None = None

    def after(self, event: Event) -> PeopleServed:
        counted = event if isinstance(event, PeopleServedCounted) else self.counted
        return replace(self, version=self.version + 1, counted=counted)


class PeopleServedCounted(Event):
    """People served at a station on a day (and for a project): the last count for the same three stands.

    `reason`: why an earlier count is corrected.
    """

    AGGREGATE = PeopleServed
    TOPIC = "people-served-counted.v1"
    station: StationId
    project: ProjectId | None = None
    day: ServiceDay
    people: People
    reason: ReasonCode | None = None  # of a recount

    @property
    def stream_id(self) -> UUID:
        return stream("people-served", self.station, self.project or "", self.day.isoformat())


class CountPeopleServed(Act):
    """People helped at a station on a day, and for a project: the last count for the same three stands. Whoever counts
    again what was counted, but for the station itself, gives a reason.
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
        if self.reason is None and not self._counts_for_itself(case) and case.streams.version(counted.stream_id):
            return refuse(Rejection.NO_REASON, "reason", "left out")
        return [counted]

    def _counts_for_itself(self, case: Case) -> bool:
        """A station counts as the day goes on, and old records may hold several counts of a day."""
        return case.order.imported or case.order.by == f"station:{self.station}"
