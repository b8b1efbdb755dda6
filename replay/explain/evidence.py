"""Evidence: the events behind one day of a volunteer, read from the log as known at a position.

It reads streams, determines which event decides what (`replay/explain/sources.py`), and describes the events. It
computes no minutes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timezone
from typing import NamedTuple
from zoneinfo import ZoneInfo

from ledger.aggregates import Event
from ledger.aggregates.day_cap import DayCapRaised, DayCapRaiseWithdrawn
from ledger.aggregates.opening_balance import OpeningBalanceRecorded, OpeningBalanceVoided
from ledger.aggregates.rules import RulesPublished
from ledger.aggregates.shift import ShiftEvent
from ledger.aggregates.station import StationOpened
from ledger.names import Position, shift_stream, stream
from ledger.store.log_queries import LogQueries
from ledger.store.mapper import decode
from projections.kernels.station_kinds import opening_before
from replay.axes.as_known import Known
from replay.cohorts.cohort import PairedTables, Shift
from replay.explain import sources
from replay.explain.explanations import EventBehind
from replay.explain.stretches import ShiftKey, end_instant


@dataclass
class Evidence:
    """Events by what they explain; each names what it decides."""

    shifts: dict[ShiftKey, list[EventBehind]] = field(default_factory=dict)
    stations: dict[str, EventBehind] = field(default_factory=dict)
    """By station: the opening that decides its kind on the day."""
    raises: dict[tuple[str, str], tuple[int, EventBehind]] = field(default_factory=dict)
    """The raises in force, by volunteer number and raise id: minutes and event."""
    openings: dict[str, EventBehind] = field(default_factory=dict)  # by volunteer number
    rules: EventBehind | None = None

    def raised(self, cap: int) -> EventBehind | None:
        """Return the raise that sets a day cap: the first of that many minutes."""
        of_cap = [event for minutes, event in self.raises.values() if minutes == cap]
        return min(of_cap, key=lambda event: event.position, default=None)

    def deciding(self, shift: ShiftKey, *names: str) -> list[int]:
        """Return the positions of the events that decide any of these fields of a shift."""
        return [event.position for event in self.shifts[shift] if not {*names}.isdisjoint(event.decides)]


def read_evidence(log: LogQueries, known: Known, day: date, shifts: Sequence[Shift]) -> Evidence:
    """Read the events behind a day and its shifts.

    Raises:
        replay.explain.stretches.ExplanationError: the events of a shift do not give the shift that the kernel resolved.
    """
    zone = ZoneInfo(known.timeline.time_zone)
    by_stream = {shift_stream(shift.volunteer, shift.shift): shift for shift in shifts}
    keys = [(shift.volunteer, shift.shift) for shift in shifts]
    partners = {key: known.tables.partner_of(key) for key in keys}
    streams = [
        *(stream("opening-balance", number) for number in known.cohort.persons),
        *(stream("day-cap", number, day.isoformat()) for number in known.cohort.persons),
        stream("rules", "timeline"),
        *(stream("station", name) for name in {shift.station for shift in shifts if shift.station}),
    ]
    evidence = Evidence()
    ends = {shift_stream(end.volunteer, end.shift) for end in partners.values() if end is not None}
    found = log.read_streams([*by_stream, *streams, *(ends - by_stream.keys())], until=known.position)
    decoded = {
        key: [(event.position, decode(event.topic, event.state)) for event in recorded]
        for key, recorded in found.items()
    }
    for stream_id, shift in by_stream.items():
        found_sources = sources.sources(_of_shift(decoded[stream_id]))
        if (end := partners[shift.volunteer, shift.shift]) is not None:
            punch = _of_shift(decoded[shift_stream(end.volunteer, end.shift)])
            found_sources = sources.ended_by_punch(found_sources, sources.sources_of_punch(punch))
        sources.check(shift, found_sources)
        evidence.shifts[shift.volunteer, shift.shift] = [
            _event_behind(source.position, source.event, zone, source.decides) for source in found_sources
        ]
    of_shifts = by_stream.keys() | ends
    openings: dict[str, dict[int, EventBehind]] = {}
    for events in (events for stream_id, events in decoded.items() if stream_id not in of_shifts):
        for position, event in events:
            if isinstance(event, StationOpened):
                behind = _event_behind(position, event, zone, ("kind",))
                openings.setdefault(event.station, {})[event.occurred_at] = behind
            else:
                _add_other_event(evidence, position, event, zone, known.rules.version)
    until = end_instant(day, known.timeline.time_zone)
    evidence.stations = {station: opening_before(opened, until) for station, opened in openings.items()}
    return evidence


class BehindShift(NamedTuple):
    """The positions of the events behind a shift, and its version: how many of them are in its own stream."""

    positions: list[Position]
    version: int


def positions_of(log: LogQueries, tables: PairedTables, shifts: Sequence[Shift], until: Position) -> list[BehindShift]:
    """Return the positions of the events behind each shift, with those of the punch that ends it."""
    keys = [(shift.volunteer, shift.shift) for shift in shifts]
    ends = [tables.partner_of(key) for key in keys]
    streams = [
        [shift_stream(*key), *([] if end is None else [shift_stream(end.volunteer, end.shift)])]
        for key, end in zip(keys, ends, strict=True)
    ]
    found = log.positions([stream for own in streams for stream in own], until=until)
    return [
        BehindShift(
            sorted(position for stream in own for position in found.get(stream, [])), len(found.get(own[0], []))
        )
        for own in streams
    ]


def _of_shift(events: Sequence[tuple[Position, Event]]) -> list[tuple[Position, ShiftEvent]]:
    return [(position, event) for position, event in events if isinstance(event, ShiftEvent)]


def _add_other_event(evidence: Evidence, position: Position, event: Event, zone: ZoneInfo, version: int) -> None:
    """Add an event that is not about a shift; called in the order of its stream."""
    match event:
        case OpeningBalanceRecorded():
            evidence.openings[event.volunteer] = _event_behind(position, event, zone, ("opening_balance",))
        case OpeningBalanceVoided():
            evidence.openings.pop(event.volunteer, None)
        case DayCapRaised():
            evidence.raises[event.volunteer, event.raise_id] = (
                event.minutes,
                _event_behind(position, event, zone, ("day_cap",)),
            )
        case DayCapRaiseWithdrawn():
            evidence.raises.pop((event.volunteer, event.raise_id), None)
        case RulesPublished() if event.version == version:
            evidence.rules = _event_behind(position, event, zone, ("rules",))
        case _:
            pass


def _event_behind(position: Position, event: Event, zone: ZoneInfo, decides: Sequence[str]) -> EventBehind:
    return EventBehind(
        position=position,
        topic=event.TOPIC,
        occurred_at=local(event.occurred_at, zone),
        recorded_at=local(event.recorded_at, zone),
        by=event.by,
        decides=list(decides),
        reason=getattr(event, "reason", None),
        evidence=getattr(event, "evidence", None),
    )


def local(instant: int, zone: ZoneInfo) -> datetime:
    """Return epoch seconds as local time, with the UTC offset of that moment."""
    shown = datetime.fromtimestamp(instant, zone)
    offset = shown.utcoffset()
    return shown.replace(tzinfo=None if offset is None else timezone(offset), fold=0)
