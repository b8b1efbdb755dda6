"""Raises of the day cap: approved for one volunteer and day, and withdrawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated
from uuid import UUID

from pydantic import Field

from ledger.aggregates.four_eyes.permission import policies
from ledger.deciding.base import Act, Aggregate, Event
from ledger.deciding.case import Case, Decision
from ledger.names import AS_WRITTEN, RaiseId, ReasonCode, ServiceDay, VolunteerNumber, stream
from ledger.rejections import Rejection, refuse


@dataclass(frozen=True, slots=True)
class DayCap(Aggregate):
    """The last event of each raise of a volunteer's day, by the raise's id."""

    raises: Mapping[str, DayCapEvent] = field(default_factory=dict)

    def after(self, event: Event) -> DayCap:
        raises = {**self.raises, event.raise_id: event} if isinstance(event, DayCapEvent) else self.raises
        return replace(self, version=self.version + 1, raises=raises)


class DayCapEvent(Event):
    AGGREGATE = DayCap
    STREAM_FIELD = "day"
    EVENTS_MAX = 200
    volunteer: VolunteerNumber
    day: ServiceDay
    raise_id: RaiseId

    @property
    def stream_id(self) -> UUID:
        return stream("day-cap", self.volunteer, self.day.isoformat())


class DayCapRaised(DayCapEvent):
    """A raise of the day cap was approved. The greatest raise in force replaces the cap for this volunteer and day,
    unless the cap is greater.
    """

    TOPIC = "day-cap-raised.v1"
    EVENTS_MAX = 100
    minutes: Annotated[int, Field(strict=True, ge=1, le=1440)]
    reason: ReasonCode


class DayCapRaiseWithdrawn(DayCapEvent):
    TOPIC = "day-cap-raise-withdrawn.v1"
    reason: ReasonCode


class RaiseDayCap(Act):
    """Approve a raise of the day cap for a volunteer and day, under an id of the approver's choice. It is not below the
    cap of that day.
    """

    TYPE = "raise-day-cap"
    volunteer: VolunteerNumber
    day: ServiceDay
    raise_id: RaiseId
    minutes: Annotated[int, Field(strict=True, ge=1, le=1440), AS_WRITTEN]
    reason: ReasonCode

    def decide(self, case: Case) -> Decision:
        if refused := case.unknown(self, volunteer="volunteer") or case.future(self, "occurred_at"):
            return refused
        if self.minutes > policies(case).approvals.raised_day_minutes_max:
            return refuse(Rejection.RAISE_TOO_HIGH, "minutes", self.minutes)
        if self.minutes < policies(case).day_minutes_max(self.day):
            return refuse(Rejection.RAISE_TOO_LOW, "minutes", self.minutes)
        cap = case.stream(DayCap, "day-cap", self.volunteer, self.day.isoformat())
        if self.raise_id in cap.raises:
            return refuse(Rejection.RAISE_EXISTS, "raise_id", self.raise_id)
        return [case.event(DayCapRaised, self)]


class WithdrawDayCapRaise(Act):
    """Withdraw a raise of the day cap."""

    TYPE = "withdraw-day-cap-raise"
    volunteer: VolunteerNumber
    day: ServiceDay
    raise_id: RaiseId
    reason: ReasonCode

    def decide(self, case: Case) -> Decision:
        if refused := case.unknown(self, volunteer="volunteer") or case.future(self, "occurred_at"):
            return refused
        cap = case.stream(DayCap, "day-cap", self.volunteer, self.day.isoformat())
        if not isinstance(cap.raises.get(self.raise_id), DayCapRaised):
            return refuse(Rejection.UNKNOWN_RAISE, "raise_id", self.raise_id)
        return [case.event(DayCapRaiseWithdrawn, self)]
