"""A volunteer as a list of events knows one, without a database: for tests of what is told about volunteers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import cast
from uuid import UUID

from ledger.aggregates import Event
from ledger.aggregates.shift import ShiftEvent
from ledger.aggregates.station import StationOpened
from ledger.names import Position
from ledger.store.log_queries import END, LogQueries, RecordedEvent
from ledger.store.mapper import encode
from projections.kernels.station_kinds import Openings, add_opening
from replay.axes import answers
from replay.axes.as_known import Known
from replay.cohorts.cohort import Cohort, Person, person_of, resolve_events
from replay.cohorts.merges import apply_events, linked, merge_events, pairs_in_force
from replay.published import Rules


class _ListedLog:
    """Events in a list, read by stream."""

    def __init__(self, events: Sequence[Event]) -> None:
        versions: Counter[UUID] = Counter()
        self._recorded = []
        for position, event in enumerate(events, 1):
            versions[event.stream_id] += 1
            topic, state = encode(event)
            self._recorded.append(
                RecordedEvent(Position(position), event.stream_id, versions[event.stream_id], topic, state)
            )

    def read_streams(self, ids: Collection[UUID], until: Position | None = None) -> dict[UUID, list[RecordedEvent]]:
        streams: dict[UUID, list[RecordedEvent]] = {}
        for event in self._recorded:
            if event.stream_id in ids and event.position <= (END if until is None else until):
                streams.setdefault(event.stream_id, []).append(event)
        return streams

    def positions(self, ids: Collection[UUID], until: Position | None = None) -> dict[UUID, list[Position]]:
        found = self.read_streams(ids, until)
        return {stream_id: [event.position for event in events] for stream_id, events in found.items()}


def listed(events: Sequence[Event]) -> LogQueries:
    """Return a log of these events, of which streams can be read."""
    return cast("LogQueries", _ListedLog(events))


def known(events: Sequence[Event], volunteer: str, rules: Rules) -> Known:
    """Return a volunteer as these events know one."""
    merges = apply_events({}, events)
    persons = {number: Person() for number in linked([volunteer], pairs_in_force(merges))}
    kinds: dict[str, Openings] = {}
    for event in events:
        if (number := person_of(event)) in persons:
            persons[number].apply(event)
        if isinstance(event, StationOpened):
            add_opening(kinds, event)
    numbered = [(Position(at), event) for at, event in enumerate(events, 1)]
    shifts = resolve_events([one for one in numbered if isinstance(one[1], ShiftEvent) and one[1].volunteer in persons])
    used = answers.RulesUsed(name=rules.timeline().name, version=rules.version, digest=rules.digest)
    position = Position(len(events))
    basis = answers.Basis(valid_at=None, known_at=position, rules=used, position=position)
    in_force = {pair: True for pair in pairs_in_force(merges) if pair[0] in persons}
    cohort = Cohort(persons, shifts, kinds, merges=in_force)
    said = merge_events(listed(events), cohort.merges, position)
    return Known(volunteer, cohort, rules, rules.timeline(), position, basis, said)
