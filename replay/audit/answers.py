"""What auditors get of anomalies: answers, each with the axes it rests on."""

from __future__ import annotations

from datetime import date
from uuid import UUID

from projections.anomalies.findings import Kind
from projections.rules.anomalies import AnomalyRules
from replay.axes.answers import Basis, Grade, Linked


class ShiftBehind(Linked):
    """A shift that a finding rests on. `volunteer`: the number under which it was recorded."""

    volunteer: str
    shift: UUID


class EventBehind(Linked):
    """An event that a finding rests on."""

    position: int


class Anomaly(Linked):
    """A finding: what is odd, in a sentence, and what is behind it.

    `anomaly` names it: equal as long as what is behind it is. `volunteer`: whom it is about, by the number that goes
    on. `day` is the local day of the last thing behind it. `figures` are what the reason says, as numbers. At most a
    hundred shifts and events are listed, of as many as `shift_count` and `event_count` say; of a finding about shifts
    as such, the events are all of theirs.
    """

    anomaly: str
    kind: Kind
    day: date
    reason: str
    volunteer: str | None
    station: str | None
    other_station: str | None
    actor: str | None
    figures: dict[str, int]
    shifts: list[ShiftBehind]
    shift_count: int
    events: list[EventBehind]
    event_count: int


class Anomalies(Basis):
    """Findings, the latest first, and how many there are of each kind, whatever kind is asked for. `next_after`
    continues the list; naming the `known_at` of the first page keeps the following ones on the same knowledge.
    `late_minutes`: raw minutes of the late entries among them, by grade.
    """

    thresholds: AnomalyRules
    counts: dict[Kind, int]
    late_minutes: dict[Grade, int]
    anomalies: list[Anomaly]
    next_after: str | None
