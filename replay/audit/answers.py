"""Answers about anomalies, each with the axes it rests on."""

from __future__ import annotations

from datetime import date
from typing import Annotated
from uuid import UUID

from pydantic import Field

from projections.anomalies.findings import Kind
from projections.rules.anomalies import AnomalyRules
from replay.axes.answers import Basis, Grade, Linked, NameOf, StationName, omit_none


class ShiftBehind(Linked):
    """A shift that a finding rests on. `volunteer`: the number under which it was recorded."""

    volunteer: str
    shift: UUID


class EventBehind(Linked):
    """An event that a finding rests on."""

    position: int


class Anomaly(Linked):
    """A finding: what is odd, in a sentence, and the shifts and events it rests on.

    `anomaly`: the finding's name, unchanged as long as what it rests on is unchanged. `volunteer`: the person it is
    about, by person's number; `others`: the other persons, if it is about several. `day`: the local day of the latest
    shift or event it rests on. `figures`: the numbers in the reason. At most a hundred shifts, events and others are
    listed; `shift_count` and `event_count` give the totals. A finding about whole shifts lists all their events.
    """

    anomaly: str
    kind: Kind
    day: date
    reason: str
    volunteer: str | None
    others: list[str] = Field(default_factory=list, exclude_if=lambda others: not others)
    station: str | None
    station_name: StationName = omit_none()
    other_station: str | None
    other_station_name: Annotated[str | None, NameOf("station", "other_station")] = omit_none()
    actor: str | None
    figures: dict[str, int]
    shifts: list[ShiftBehind]
    shift_count: int
    events: list[EventBehind]
    event_count: int


class Anomalies(Basis):
    """Findings, the latest first. `counts`: the findings of every kind, also if only one kind was requested.

    `next_after` continues the list; pass the `known_at` of the first page too, so that all pages are as known at
    the same position. `late_minutes`: the raw minutes of the late entries, by grade.
    """

    thresholds: AnomalyRules
    counts: dict[Kind, int]
    late_minutes: dict[Grade, int]
    anomalies: list[Anomaly]
    next_after: str | None
