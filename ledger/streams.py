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
from ledger.commands import CheckIn, CheckOut
from ledger.events import Event, ShiftEvent
from ledger.names import shift_stream_ranges
from ledger.prepare import Prepared, Range
from ledger.writing import uuid_array

# One look at the end of each stream, in the order asked: the plan cannot be anything else, and no id has to come back.
_VERSIONS = """
SELECT (SELECT max(originator_version) FROM ledger.stored_events WHERE originator_id = asked.id)
FROM unnest(%s::uuid[]) WITH ORDINALITY AS asked (id, place) ORDER BY place
"""
_EVENTS = """
SELECT originator_id, topic, state FROM ledger.stored_events
WHERE originator_id = ANY(%s::uuid[]) ORDER BY originator_id, originator_version
"""
# LATERAL with an order of its own: one walk of the index for each range, whatever the planner thinks of BETWEEN.
_RANGES = """
SELECT range.low, found.originator_id, found.topic, found.state
FROM unnest(%s::uuid[], %s::uuid[]) AS range (low, high), LATERAL (
    SELECT originator_id, topic, state FROM ledger.stored_events
    WHERE originator_id BETWEEN range.low AND range.high ORDER BY originator_id, originator_version
) AS found
"""


class BatchStreams:
    """Implements `ledger.decide.case.Streams` with the log and the events of one batch."""

    def __init__(self, cursor: Cursor[TupleRow], orders: Sequence[Prepared]) -> None:
        self._cursor = cursor
        # Keys are the ids' integers: a UUID is hashed and compared by Python code, which took a quarter of an order.
        self._versions: dict[int, int] = {}
        self._stored: dict[int, list[tuple[str, bytes]]] = {}
        self._in_range: dict[int, set[int]] = {}  # by the range's lower end
        self._new: list[tuple[int, Event]] = []
        self._indexed = 0
        self._new_of: defaultdict[int, list[Event]] = defaultdict(list)
        self._new_shifts_of: defaultdict[str, set[int]] = defaultdict(set)
        self._read_versions({stream_id.int: stream_id for one in orders for stream_id in one.lengths}.values())
        self._read_events({stream_id.int: stream_id for one in orders for stream_id in one.histories}.values())
        self._read_ranges({span[0].int: span for one in orders for span in one.ranges}.values())
        self.complete = all(isinstance(one.order.command, CheckIn | CheckOut) for one in orders)
        """Whether no decision will have to read any more: all that scans can ask for has been read."""

    def version(self, stream_id: UUID) -> int:
        """Return how many events a stream has, those of this batch included."""
        version = self._versions.get(stream_id.int)
        if version is None:
            self._read_versions([stream_id])
            version = self._versions[stream_id.int]
        return version

    def events(self, stream_id: UUID) -> Sequence[Event]:
        """Return a stream's events, those of this batch included."""
        if stream_id.int not in self._stored:
            self._read_events([stream_id])
        return self._events(stream_id.int)

    def _events(self, key: int) -> Sequence[Event]:
        self._index_new()
        return [decode(topic, state) for topic, state in self._stored[key]] + self._new_of[key]

    def shifts(self, volunteer: str, first_day: int, last_day: int) -> Iterator[Sequence[Event]]:
        """Yield the volunteer's shifts whose ids were made on these days or hold no time."""
        ranges = shift_stream_ranges(volunteer, first_day, last_day)
        self._read_ranges([one for one in ranges if one[0].int not in self._in_range])
        self._index_new()
        new = self._new_shifts_of[volunteer]
        for low, high in ranges:
            begun = {key for key in new if low.int <= key <= high.int}
            for key in self._in_range[low.int] | begun:
                self._stored.setdefault(key, [])  # begun in this batch, or else its range would have had it
                yield self._events(key)

    def append(self, event: Event) -> tuple[UUID, int]:
        """Take an event that was decided; return its stream and its version in it."""
        stream_id = event.stream_id
        version = self.version(stream_id) + 1
        self._versions[stream_id.int] = version
        self._new.append((stream_id.int, event))
        return stream_id, version

    def _index_new(self) -> None:
        """Index the new events by stream and volunteer, which most batches never ask for."""
        for key, event in self._new[self._indexed :]:
            self._new_of[key].append(event)
            if isinstance(event, ShiftEvent):
                self._new_shifts_of[event.volunteer].add(key)
        self._indexed = len(self._new)

    def _read_versions(self, ids: Collection[UUID]) -> None:
        if ids:
            versions = self._cursor.execute(_VERSIONS, (uuid_array(ids),)).fetchall()
            keys = [stream_id.int for stream_id in ids]
            self._versions.update(zip(keys, [version or 0 for (version,) in versions], strict=True))

    def _read_events(self, ids: Collection[UUID]) -> None:
        if ids:
            self._stored.update((stream_id.int, []) for stream_id in ids)
            for stream_id, topic, state in self._cursor.execute(_EVENTS, (uuid_array(ids),)).fetchall():
                self._stored[stream_id.int].append((topic, state))
            for stream_id in ids:  # unless it is known: events of this batch may have gone on from there
                self._versions.setdefault(stream_id.int, len(self._stored[stream_id.int]))

    def _read_ranges(self, ranges: Collection[Range]) -> None:
        if ranges:
            self._in_range.update((low.int, set()) for low, _ in ranges)
            lows, highs = zip(*ranges, strict=True)
            rows = self._cursor.execute(_RANGES, (uuid_array(lows), uuid_array(highs))).fetchall()
            for low, stream_id, topic, state in rows:
                key, begun = stream_id.int, self._in_range[low.int]
                if key not in begun:
                    begun.add(key)
                    self._stored[key] = []
                self._stored[key].append((topic, state))
            for low, _ in ranges:
                for key in self._in_range[low.int]:
                    self._versions.setdefault(key, len(self._stored[key]))
