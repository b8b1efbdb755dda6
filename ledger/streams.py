"""The streams a batch of orders touches: read from the log in a few queries, and kept up as its events are decided.

A scan asks only whether streams exist and how long they are, so for scans that is all that is read; other orders need
the events, which are decoded when asked for. Used under the writers' lock, so nothing that was read grows old.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from uuid import UUID

from psycopg import Cursor
from psycopg.rows import TupleRow

from ledger.codec import decode
from ledger.commands import COMMANDS, CheckIn, CheckOut, Command, Order
from ledger.decide.scans import open_shift_days
from ledger.events import Event, ShiftEvent
from ledger.names import shift_id_for, shift_stream, shift_stream_ranges, stream

Range = tuple[UUID, UUID]

_VERSIONS = """
SELECT originator_id, max(originator_version) FROM ledger.stored_events
WHERE originator_id = ANY(%s) GROUP BY originator_id
"""
_EVENTS = """
SELECT originator_id, topic, state FROM ledger.stored_events
WHERE originator_id = ANY(%s) ORDER BY originator_id, originator_version
"""
# LATERAL with an order of its own: one walk of the index for each range, whatever the planner thinks of BETWEEN.
_RANGES = """
SELECT range.low, range.high, found.originator_id, found.topic, found.state
FROM unnest(%s::uuid[], %s::uuid[]) AS range (low, high), LATERAL (
    SELECT originator_id, topic, state FROM ledger.stored_events
    WHERE originator_id BETWEEN range.low AND range.high ORDER BY originator_id, originator_version
) AS found
"""

_KINDS = ("volunteer", "station", "project", "organisation")
_KINDS_OF: dict[type[Command], tuple[str, ...]] = {
    command: tuple(kind for kind in _KINDS if kind in command.model_fields) for command in COMMANDS.values()
}


class BatchStreams:
    """Implements `ledger.decide.case.Streams` with the log and the events of one batch."""

    def __init__(self, cursor: Cursor[TupleRow], orders: Sequence[Order]) -> None:
        self._cursor = cursor
        self._versions: dict[UUID, int] = {}
        self._stored: dict[UUID, list[tuple[str, bytes]]] = {}
        self._in_range: dict[Range, set[UUID]] = {}
        self._new: defaultdict[UUID, list[Event]] = defaultdict(list)
        self._new_shifts: defaultdict[str, set[UUID]] = defaultdict(set)
        self._read_beforehand(orders)

    def version(self, stream_id: UUID) -> int:
        """Return how many events a stream has, those of this batch included."""
        if stream_id not in self._versions:
            self._read_versions([stream_id])
        return self._versions[stream_id]

    def events(self, stream_id: UUID) -> Sequence[Event]:
        """Return a stream's events, those of this batch included."""
        if stream_id not in self._stored:
            self._read_events([stream_id])
        return [decode(topic, state) for topic, state in self._stored[stream_id]] + self._new[stream_id]

    def shifts(self, volunteer: str, first_day: int, last_day: int) -> Iterator[Sequence[Event]]:
        """Yield the volunteer's shifts whose ids were made on these days or hold no time."""
        ranges = shift_stream_ranges(volunteer, first_day, last_day)
        self._read_ranges([one for one in ranges if one not in self._in_range])
        for low, high in ranges:
            begun = {stream_id for stream_id in self._new_shifts[volunteer] if low <= stream_id <= high}
            for stream_id in self._in_range[low, high] | begun:
                yield self.events(stream_id)

    def append(self, event: Event) -> tuple[UUID, int]:
        """Take an event that was decided; return its stream and its version in it."""
        stream_id = event.stream_id
        version = self.version(stream_id) + 1
        self._versions[stream_id] = version
        self._new[stream_id].append(event)
        if isinstance(event, ShiftEvent):
            self._new_shifts[event.volunteer].add(stream_id)
        return stream_id, version

    def _read_beforehand(self, orders: Sequence[Order]) -> None:
        """Read what the orders are sure to ask for; what they ask beyond it is read when they ask."""
        lengths: set[UUID] = set()
        histories: set[UUID] = set()
        ranges: set[Range] = set()
        for order in orders:
            command = order.command
            ids = lengths if isinstance(command, CheckIn | CheckOut) else histories
            for kind in _KINDS_OF[type(command)]:
                if key := getattr(command, kind):
                    ids.add(stream(kind, key))
            shift: UUID | None = getattr(command, "shift", None)
            if isinstance(command, CheckIn) and not shift:
                shift = shift_id_for(command.occurred_at, order.name)
            if shift:
                ids.add(shift_stream(command.volunteer, shift))  # type: ignore[attr-defined]
            elif isinstance(command, CheckOut):
                ranges.update(shift_stream_ranges(command.volunteer, *open_shift_days(command.occurred_at)))
        self._read_versions(lengths)
        self._read_events(histories)
        self._read_ranges(ranges)

    def _read_versions(self, ids: Collection[UUID]) -> None:
        if ids:
            self._versions.update(dict.fromkeys(ids, 0))
            self._versions.update(self._cursor.execute(_VERSIONS, (list(ids),)).fetchall())

    def _read_events(self, ids: Collection[UUID]) -> None:
        if ids:
            self._stored.update((stream_id, []) for stream_id in ids)
            for stream_id, topic, state in self._cursor.execute(_EVENTS, (list(ids),)):
                self._stored[stream_id].append((topic, state))

    def _read_ranges(self, ranges: Collection[Range]) -> None:
        if ranges:
            self._in_range.update((one, set()) for one in ranges)
            lows, highs = zip(*ranges, strict=True)
            for low, high, stream_id, topic, state in self._cursor.execute(_RANGES, (list(lows), list(highs))):
                if stream_id not in self._in_range[low, high]:
                    self._in_range[low, high].add(stream_id)
                    self._stored[stream_id] = []
                self._stored[stream_id].append((topic, state))
