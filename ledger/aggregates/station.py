"""Stations: opened, renamed and closed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal
from uuid import UUID

from ledger.aggregates.organisation import has_ended
from ledger.deciding.base import Act, Aggregate, Event
from ledger.deciding.case import Case, Decision
from ledger.names import OrganisationId, PlaceName, ReasonCode, StationId, stream
from ledger.rejections import Rejection, refuse

StationKind = Literal["city", "community", "special"]


@dataclass(frozen=True, slots=True)
class Station(Aggregate):
    """A station's last opening, its name, and whether it is open."""

    opened: StationOpened | None = None
    is_open: bool = False
    name: str | None = None

    def after(self, event: Event) -> Station:
        station = replace(self, version=self.version + 1)
        match event:
            case StationOpened():
                return replace(station, opened=event, is_open=True, name=event.name or self.name)
            case StationRenamed():
                return replace(station, name=event.name)
            case StationClosed():
                return replace(station, is_open=False)
            case _:
                return station


class StationEvent(Event):
    AGGREGATE = Station
    STREAM_FIELD = "station"
    station: StationId

    @property
    def stream_id(self) -> UUID:
        return stream("station", self.station)


class StationOpened(StationEvent):
    TOPIC = "station-opened.v1"
    kind: StationKind
    theme: ReasonCode | None = None
    organisation: OrganisationId | None = None
    name: PlaceName | None = None


class StationRenamed(StationEvent):
    TOPIC = "station-renamed.v1"
    EVENTS_MAX = 900
    name: PlaceName


class StationClosed(StationEvent):
    TOPIC = "station-closed.v1"
    reason: ReasonCode


class OpenStation(Act):
    """Open a station, or reopen a closed one with new details. Without a new name it keeps the one it had."""

    TYPE = "open-station"
    station: StationId
    kind: StationKind
    theme: ReasonCode | None = None
    organisation: OrganisationId | None = None
    name: PlaceName | None = None

    def decide(self, case: Case) -> Decision:
        if refused := case.unknown(self, organisation="organisation") or case.future(self, "occurred_at"):
            return refused
        if self.organisation is not None and has_ended(case, self.organisation, case.day_of(self.occurred_at)):
            return refuse(Rejection.ORGANISATION_ENDED, "organisation", self.organisation)
        if case.stream(Station, "station", self.station).is_open:
            return refuse(Rejection.ALREADY_OPEN, "station", self.station)
        return [case.event(StationOpened, self)]


class RenameStation(Act):
    """Give a station a name, or another one."""

    TYPE = "rename-station"
    station: StationId
    name: PlaceName

    def decide(self, case: Case) -> Decision:
        if refused := case.unknown(self, station="station") or case.future(self, "occurred_at"):
            return refused
        if case.stream(Station, "station", self.station).name == self.name:
            return refuse(Rejection.ALREADY_NAMED, "name", self.name)
        return [case.event(StationRenamed, self)]


class CloseStation(Act):
    """Close a station. Scans there are still recorded."""

    TYPE = "close-station"
    station: StationId
    reason: ReasonCode

    def decide(self, case: Case) -> Decision:
        if refused := case.unknown(self, station="station") or case.future(self, "occurred_at"):
            return refused
        if not case.stream(Station, "station", self.station).is_open:
            return refuse(Rejection.ALREADY_CLOSED, "station", self.station)
        return [case.event(StationClosed, self)]
