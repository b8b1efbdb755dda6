"""The streams a batch of orders touches: read from the log in a few queries, and kept up as its events are decided.

A plain scan asks only whether streams exist and how long they are, most of which an earlier batch has seen; other
orders need the events, which are decoded when asked for. Used under the writers' lock, so nothing that was read grows
old. Streams are named by 32 hexadecimal digits in here: UUID is Python code, which took a quarter of an order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from uuid import UUID

from psycopg import Cursor
from psycopg.rows import TupleRow

from ledger.codec import decode
from ledger.events import Event, ShiftEvent
from ledger.names import shift_stream_ranges, stream
from ledger.plain.tables import Memory
from ledger.prepare import Prepared, Range

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

Stored = tuple[str, bytes]
"""Topic and state."""


class BatchStreams:
    """Implements `ledger.decide.case.Streams` with the log, what is remembered of it, and the events of one batch."""

    def __init__(self, cursor: Cursor[TupleRow], memory: Memory) -> None:
        self._cursor = cursor
        self._memory = memory
        self._stored: dict[str, list[Stored]] = {}
        self._in_range: dict[str, set[str]] = {}  # by the range's lower end
        self._new_of: defaultdict[str, list[Stored]] = defaultdict(list)
        self._new_shifts_of: defaultdict[str, set[str]] = defaultdict(set)
        self._decoded: defaultdict[str, list[Event]] = defaultdict(list)  # as far as it was asked for
        self.versions: dict[str, int] = {}
        """How many events the streams of this batch have, as far as it was asked."""

    def read_for(self, orders: Iterable[Prepared]) -> None:
        """Read what the ladders of these orders are sure to ask."""
        asked = list(orders)
        self.read_versions({stream_id.hex for one in asked for stream_id in one.lengths})
        self._read_events({stream_id.hex for one in asked for stream_id in one.histories})
        self._read_ranges({span[0].int: span for one in asked for span in one.ranges}.values())

    def knows(self, kind: str, key: str) -> bool:
        """Return whether the ledger has ever heard of this volunteer, station, project or organisation."""
        stream_id = stream(kind, key)
        return self._memory.knows(stream_id.int) or self.version(stream_id) > 0

    def version(self, stream_id: UUID) -> int:
        """Return how many events a stream has, those of this batch included."""
        return self._version(stream_id.hex)

    def _version(self, key: str) -> int:
        version = self.versions.get(key)
        if version is None:
            self.read_versions([key])
            version = self.versions[key]
        return version

    def events(self, stream_id: UUID) -> Sequence[Event]:
        """Return a stream's events, those of this batch included."""
        if stream_id.hex not in self._stored:
            self._read_events([stream_id.hex])
        return self._events(stream_id.hex)

    def _events(self, key: str) -> Sequence[Event]:
        """Decode what was not asked for before: the rules, say, are asked for by order after order."""
        decoded, stored = self._decoded[key], self._stored[key]
        for at in range(len(decoded), len(stored) + len(self._new_of[key])):
            decoded.append(decode(*(stored[at] if at < len(stored) else self._new_of[key][at - len(stored)])))
        return decoded.copy()

    def shifts(self, volunteer: str, first_day: int, last_day: int) -> Iterator[Sequence[Event]]:
        """Yield the volunteer's shifts whose ids were made on these days or hold no time."""
        ranges = shift_stream_ranges(volunteer, first_day, last_day)
        self._read_ranges([one for one in ranges if one[0].hex not in self._in_range])
        for low, high in ranges:
            begun = {key for key in self._new_shifts_of[volunteer] if low.hex <= key <= high.hex}
            for key in self._in_range[low.hex] | begun:
                self._stored.setdefault(key, [])  # begun in this batch, or else its range would have had it
                yield self._events(key)

    def append(self, event: Event, topic: str, state: bytes) -> tuple[str, int]:
        """Take an event that was decided, as it will be stored; return its stream and its version in it."""
        key = event.stream_id.hex
        version = self._version(key) + 1
        self.keep(key, version, event.volunteer if isinstance(event, ShiftEvent) else None, topic, state)
        return key, version

    def keep(self, key: str, version: int, shift_of: str | None, topic: str, state: bytes) -> None:
        """Keep a new event, which a later order of the batch may ask for."""
        self.versions[key] = version
        self._new_of[key].append((topic, state))
        if shift_of is not None:
            self._new_shifts_of[shift_of].add(key)

    def read_versions(self, keys: Collection[str]) -> None:
        """Ask the log how long streams are."""
        if keys:
            versions = self._cursor.execute(_VERSIONS, (_array(keys),)).fetchall()
            self.versions.update(zip(keys, [version or 0 for (version,) in versions], strict=True))

    def _read_events(self, keys: Collection[str]) -> None:
        if keys:
            self._stored.update((key, []) for key in keys)
            for stream_id, topic, state in self._cursor.execute(_EVENTS, (_array(keys),)).fetchall():
                self._stored[stream_id.hex].append((topic, state))
            for key in keys:  # unless it is known: events of this batch may have gone on from there
                self.versions.setdefault(key, len(self._stored[key]))

    def _read_ranges(self, ranges: Collection[Range]) -> None:
        if ranges:
            self._in_range.update((low.hex, set()) for low, _ in ranges)
            lows, highs = ([one.hex for one in ends] for ends in zip(*ranges, strict=True))
            rows = self._cursor.execute(_RANGES, (_array(lows), _array(highs))).fetchall()
            for low, stream_id, topic, state in rows:
                key, begun = stream_id.hex, self._in_range[low.hex]
                if key not in begun:
                    begun.add(key)
                    self._stored[key] = []
                self._stored[key].append((topic, state))
            for low in lows:
                for key in self._in_range[low]:
                    self.versions.setdefault(key, len(self._stored[key]))


def _array(keys: Iterable[str]) -> str:
    """Return stream ids as a parameter for `%s::uuid[]`; the driver takes longer over a list of UUID."""
    return "{" + ",".join(keys) + "}"
