"""The streams a batch of orders touches: read from the log in a few queries, and kept up as its events are decided.

A scan of a named shift asks only whether streams exist and how long they are, most of which an earlier batch has seen;
other orders need the events, which are decoded when asked for. Used under the writers' lock, so nothing that was read
grows old. Streams are named by 16 bytes in here: UUID is Python code, which took a quarter of an order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from uuid import UUID

from ledger.aggregates import Event
from ledger.aggregates.shift import ShiftEvent
from ledger.intake.memory import Memory
from ledger.intake.prepare import Name, Prepared
from ledger.names import shift_stream_ranges, stream_key
from ledger.store.log_queries import LogQueries, Range, Stored
from ledger.store.mapper import decode


class BatchStreams:
    """Implements `ledger.deciding.case.Streams` with the log, what is remembered of it, and one batch's events.

    `careful`: nothing that may have changed is taken from memory.
    """

    def __init__(self, log: LogQueries, memory: Memory, *, careful: bool) -> None:
        self.log = log
        """Where the log is asked. While this batch's events are copied, its connection can be asked nothing."""
        self._memory = memory
        self._careful = careful
        self._known: set[Name] = set()
        self._begun: set[bytes] = set()
        self._keeps_events = False
        self._stored: dict[bytes, list[Stored]] = {}
        self._in_range: dict[bytes, set[bytes]] = {}  # by the range's lower end
        self._new_of: defaultdict[bytes, list[Stored]] = defaultdict(list)
        self._new_shifts_of: defaultdict[str, set[bytes]] = defaultdict(set)
        self._decoded: defaultdict[bytes, list[Event]] = defaultdict(list)  # as far as it was asked for
        self._versions: dict[bytes, int] = {}
        self.new_versions: dict[bytes, int] = {}
        """How many events the streams have to which this batch adds."""

    @property
    def newly_known(self) -> set[Name]:
        """Volunteers, stations and so on that the log, or this batch, turned out to have."""
        return self._known

    def read_for(self, orders: Collection[Prepared]) -> None:
        """Read what the decisions about these orders are sure to ask."""
        known = {stream_key(*name): name for one in orders for name in one.known if name not in self._memory.known}
        shifts = {one.shift for one in orders if one.shift}
        if not self._careful:  # a check-in begins its stream, as a rule; where it does not, a unique index says so
            self._begun = {one.shift for one in orders if one.begins and one.shift}
            exact = {one.shift for one in orders if one.histories}
            remembered = self._memory.versions.get
            shifts = {key for key in shifts if key in exact or (key not in self._begun and remembered(key) is None)}
        self._read_versions(known.keys() | shifts)
        self._known.update(name for key, name in known.items() if self._versions[key])
        self._keeps_events = any(one.asks_events for one in orders)
        self._read_events({stream_id.bytes for one in orders for stream_id in one.histories})
        self._read_ranges({span[0]: span for one in orders for span in one.ranges}.values())

    def knows(self, kind: str, key: str) -> bool:
        """Return whether the ledger has ever heard of this volunteer, station, project or organisation."""
        name = kind, key
        if name in self._memory.known or name in self._known:
            return True
        if self._version(stream_key(kind, key)) == 0:
            return False
        self._known.add(name)
        return True

    def version(self, stream_id: UUID) -> int:
        """Return how many events a stream has, those of this batch included."""
        return self._version(stream_id.bytes)

    def _version(self, key: bytes) -> int:
        version = self._versions.get(key)
        if version is None:
            self._read_versions([key])
            version = self._versions[key]
        return version

    def events(self, stream_id: UUID) -> Sequence[Event]:
        """Return a stream's events, those of this batch included."""
        key = stream_id.bytes
        if key not in self._stored:
            self._read_events([key])
        return self._events(key)

    def _events(self, key: bytes) -> Sequence[Event]:
        """Decode what was not asked for before: the rules, say, are asked for by order after order."""
        decoded, stored, new = self._decoded[key], self._stored[key], self._new_of[key]
        for at in range(len(decoded), len(stored) + len(new)):
            decoded.append(decode(*(stored[at] if at < len(stored) else new[at - len(stored)])))
        return decoded.copy()

    def shifts(self, volunteer: str, first_day: int, last_day: int) -> list[Sequence[Event]]:
        """Return the volunteer's shifts whose ids were made on these days or hold no time."""
        ranges = shift_stream_ranges(volunteer, first_day, last_day)
        self._read_ranges([one for one in ranges if one[0].bytes not in self._in_range])
        found: list[Sequence[Event]] = []
        for low, high in ranges:
            begun = {key for key in self._new_shifts_of[volunteer] if low.bytes <= key <= high.bytes}
            for key in self._in_range[low.bytes] | begun:
                self._stored.setdefault(key, [])  # begun in this batch, or else its range would have had it
                found.append(self._events(key))
        return found

    def append(self, event: Event, topic: str, state: bytes, stream: bytes | None) -> tuple[bytes, int]:
        """Take an event that was decided, as it will be stored; return its stream and its version in it."""
        key = stream or event.stream_key
        version = self._next_version(key)
        self._versions[key] = self.new_versions[key] = version
        if self._keeps_events:
            self._new_of[key].append(Stored(topic, state))
            if isinstance(event, ShiftEvent):
                self._new_shifts_of[event.volunteer].add(key)
        return key, version

    def _next_version(self, key: bytes) -> int:
        version = self._versions.get(key)
        if version is None and not self._careful:
            version = self._memory.versions.get(key)
            if version is None and key in self._begun:
                version = 0
        return 1 + (self._version(key) if version is None else version)

    def _read_versions(self, keys: Collection[bytes]) -> None:
        """Ask the log how long streams are."""
        self._versions |= self.log.versions(keys)

    def _read_events(self, keys: Collection[bytes]) -> None:
        if keys:
            found = self.log.read_streams([UUID(bytes=key) for key in keys])
            for key in keys:
                self._stored[key] = [Stored(event.topic, event.state) for event in found.get(UUID(bytes=key), ())]
                # Unless it is known: events of this batch may have gone on from there.
                self._versions.setdefault(key, len(self._stored[key]))

    def _read_ranges(self, ranges: Collection[Range]) -> None:
        if not ranges:
            return
        self._in_range.update((low.bytes, set()) for low, _ in ranges)
        for low, stream_id, topic, state in self.log.ranges(list(ranges)):
            key, begun = stream_id.bytes, self._in_range[low.bytes]
            if key not in begun:
                begun.add(key)
                self._stored[key] = []
            self._stored[key].append(Stored(topic, state))
        for low, _ in ranges:
            for key in self._in_range[low.bytes]:
                self._versions.setdefault(key, len(self._stored[key]))
