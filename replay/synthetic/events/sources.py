"""Sources: each holds events of one kind and writes them as lines of the log.

A line is PostgreSQL's COPY text: stream, version, topic, state, position (`ledger.store.copy_format`). Scans, which are
nearly all events, are written by a template; other events are created as models and encoded by the codec. Tests verify
that both give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from ledger.aggregates import Event
from ledger.store.copy_format import bytea_text
from ledger.store.mapper import encode
from replay.synthetic.events.identity import ShiftIds
from replay.synthetic.planning.randomness import Array


class Chunk(NamedTuple):
    """Consecutive events as ASCII lines for COPY."""

    first_position: int
    events: int
    lines: bytes


class Slots(NamedTuple):
    """The positions of events in the log and their versions in their streams: parallel lists."""

    positions: list[int]
    versions: list[int]


class Source(Protocol):
    """Events of one kind, numbered from 0.

    `recorded_at` holds the instants of recording, `stream` an integer for each stream, unique over all sources.
    """

    @property
    def recorded_at(self) -> Array: ...

    @property
    def stream(self) -> Array: ...

    def lines(self, numbers: Array, slots: Slots) -> list[str]: ...


def command_at(position: int) -> str:
    """Return the command name of the event at a position."""
    return f"simulation#{position}"


Make = Callable[[int, int, str], Event]
"""Creates an event from its number in the source, its instant of recording and its command name."""


class Models(NamedTuple):
    """Events that are created one by one."""

    recorded_at: Array
    stream: Array
    make: Make

    def lines(self, numbers: Array, slots: Slots) -> list[str]:
        lines = []
        recorded = self.recorded_at[numbers].tolist()
        for number, at, position, version in zip(numbers.tolist(), recorded, *slots, strict=True):
            event = self.make(number, at, command_at(position))
            topic, state = encode(event)
            lines.append(f"{event.stream_id.hex}\t{version}\t{topic}\t{bytea_text(state)}\t{position}\n")
        return lines


class _Scans(NamedTuple):
    rows: Array  # of shifts
    occurred_at: Array
    recorded_at: Array
    ids: ShiftIds
    numbers: list[str]  # by volunteer
    volunteer: Array  # by shift
    station: Array
    project: Array
    station_ids: list[str]
    project_fields: list[str]  # as in the state, by project

    @property
    def stream(self) -> Array:
        return self.rows


class CheckIns(_Scans):
    """Scanned check-ins."""

    __slots__ = ()

    def lines(self, numbers: Array, slots: Slots) -> list[str]:
        rows = self.rows[numbers]
        streams, shifts = self.ids.names(rows)
        names, stations, projects = self.numbers, self.station_ids, self.project_fields
        return [
            f'{stream}\t{version}\tchecked-in.v1\t{{"occurred_at":{occurred},"recorded_at":{recorded},'
            f'"by":"station:{stations[station]}","command":"simulation#{position}","volunteer":"{names[volunteer]}",'
            f'"shift":"{shift}","station":"{stations[station]}"{projects[project]}}}\t{position}\n'
            for stream, shift, occurred, recorded, volunteer, station, project, position, version in zip(
                streams,
                shifts,
                self.occurred_at[numbers].tolist(),
                self.recorded_at[numbers].tolist(),
                self.volunteer[rows].tolist(),
                self.station[rows].tolist(),
                self.project[rows].tolist(),
                *slots,
                strict=True,
            )
        ]


class CheckOuts(_Scans):
    """Scanned check-outs."""

    __slots__ = ()

    def lines(self, numbers: Array, slots: Slots) -> list[str]:
        rows = self.rows[numbers]
        streams, shifts = self.ids.names(rows)
        names, stations = self.numbers, self.station_ids
        return [
            f'{stream}\t{version}\tchecked-out.v1\t{{"occurred_at":{occurred},"recorded_at":{recorded},'
            f'"by":"station:{stations[station]}","command":"simulation#{position}","volunteer":"{names[volunteer]}",'
            f'"shift":"{shift}","station":"{stations[station]}"}}\t{position}\n'
            for stream, shift, occurred, recorded, volunteer, station, position, version in zip(
                streams,
                shifts,
                self.occurred_at[numbers].tolist(),
                self.recorded_at[numbers].tolist(),
                self.volunteer[rows].tolist(),
                self.station[rows].tolist(),
                *slots,
                strict=True,
            )
        ]
