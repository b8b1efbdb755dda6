"""The streams that a batch reads: loaded from the log in a few queries, and updated as the batch's events are decided.

A scan needs only the existence and versions of streams, most of which are cached. Other orders need
events, which are decoded on demand. The writers' lock is held, so what was read stays valid. Streams are identified by
16 bytes here: UUID is Python code, which took a quarter of the time of an order.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeVar
from uuid import UUID

from ledger.aggregates import Aggregate, Command, Event
from ledger.aggregates.shift import ShiftEvent
from ledger.aggregates.volunteer import VolunteerMerged
from ledger.intake.memory import Memory
from ledger.intake.prepare import Name, Prepared
from ledger.names import shift_stream_ranges, stream_key
from ledger.rejections import Refused, Rejection, refuse
from ledger.store.log_queries import ENTRY_BYTES_MAX, ENTRY_HEAD_BYTES, LogQueries, Range, Stored
from ledger.store.mapper import decode

RANGE_EVENTS_MAX = 2000
"""The number of events that a decision reads of a volunteer's shifts of one day, or of those without one."""

MERGED_MAX = 50
"""The number of numbers that a decision reads which were merged into one number."""

A = TypeVar("A", bound=Aggregate)


def refused_as_full(events: Sequence[Event], version: Callable[[Event], int]) -> Refused | None:
    """Return the refusal of decided events for which their streams have no room.

    Args:
        version: the number of events in an event's stream.
    """
    added: Counter[bytes] | None = Counter() if len(events) > 1 else None
    for event in events:
        before = version(event)
        if added is not None:
            before += added[event.stream_key]
            added[event.stream_key] += 1
        if before >= event.EVENTS_MAX:
            field = event.STREAM_FIELD
            return refuse(Rejection.RECORD_FULL, field, getattr(event, field, ""))
    return None


def refused_as_too_large(command: Command, events: Sequence[tuple[str, bytes]]) -> Refused | None:
    """Return the refusal of a command one of whose decided events is larger than an entry may be, which names the
    longest field of the command.
    """
    for topic, state in events:
        if len(topic) + len(state) > ENTRY_BYTES_MAX - ENTRY_HEAD_BYTES:
            break
    else:
        return None
    lengths = {name: len(str(value)) for name, value in command.model_dump(mode="json").items()}
    field = max(lengths, key=lambda name: lengths[name])
    return refuse(Rejection.EVENT_TOO_LARGE, field, f"of {lengths[field]:,} characters")


class BatchStreams:
    """Implements `ledger.deciding.case.Streams` with the log, the cache, and the events of one batch.

    `careful`: nothing that another process may have changed is taken from the cache.
    """

    def __init__(self, log: LogQueries, memory: Memory, *, careful: bool) -> None:
        self.log = log
        """The log to read from. During the COPY of the batch's events their own connection cannot be used for it."""
        self._memory = memory
        self._careful = careful
        self._known: set[Name] = set()
        self._begun: set[bytes] = set()
        self._retains_events = False
        self._stored: dict[bytes, list[Stored]] = {}
        self._in_range: dict[bytes, set[bytes]] = {}  # by the range's lower end
        self._new_of: defaultdict[bytes, list[Stored]] = defaultdict(list)
        self._new_shifts_of: defaultdict[str, set[bytes]] = defaultdict(set)
        self._decoded: defaultdict[bytes, list[Event]] = defaultdict(list)  # a prefix of the stream's events
        self._states: dict[tuple[bytes, type[Aggregate]], Aggregate] = {}
        self._too_long: set[bytes] = set()  # ranges with too many events, by their lower ends
        self._changes_of: Counter[str] = Counter()
        self._shifts_of: dict[tuple[str, int, int, object], tuple[int, list[Any]]] = {}
        self._merged_into: dict[str, set[str]] = {}  # as read from the log
        self._new_merged_into: defaultdict[str, set[str]] = defaultdict(set)
        self._versions: dict[bytes, int] = {}
        self.new_versions: dict[bytes, int] = {}
        """The versions of the streams to which this batch appends."""

    @property
    def newly_known(self) -> set[Name]:
        """The volunteers, stations and so on that were found in the log or in this batch."""
        return self._known

    def read_for(self, orders: Collection[Prepared]) -> None:
        """Read what the decisions about these orders always need."""
        known = {stream_key(*name): name for order in orders for name in order.known if name not in self._memory.known}
        shifts = {order.shift for order in orders if order.shift}
        if not self._careful:  # a check-in usually begins its stream; if not, a unique index detects it
            self._begun = {order.shift for order in orders if order.begins and order.shift}
            exact = {order.shift for order in orders if order.histories}
            cached = self._memory.versions.get
            shifts = {key for key in shifts if key in exact or (key not in self._begun and cached(key) is None)}
        self._read_versions(known.keys() | shifts)
        self._known.update(name for key, name in known.items() if self._versions[key])
        self._retains_events = any(order.needs_events for order in orders)
        self._read_events({stream_id.bytes for order in orders for stream_id in order.histories})

    def knows(self, kind: str, key: str) -> bool:
        """Return whether the log, or this batch, has this volunteer, station, project or organisation."""
        name = kind, key
        if name in self._memory.known or name in self._known:
            return True
        if self._version(stream_key(kind, key)) == 0:
            return False
        self._known.add(name)
        return True

    def version(self, stream_id: UUID) -> int:
        """Return the number of events in a stream, including those of this batch."""
        return self._version(stream_id.bytes)

    def _version(self, key: bytes) -> int:
        version = self._versions.get(key)
        if version is None:
            self._read_versions([key])
            version = self._versions[key]
        return version

    def events(self, stream_id: UUID) -> Sequence[Event]:
        """Return a stream's events, including those of this batch."""
        return self._events(stream_id.bytes).copy()

    def _events(self, key: bytes) -> list[Event]:
        """Decode the events that were not decoded before: some streams, such as the rules, are read by every order."""
        if key not in self._stored:
            self._read_events([key])
        decoded, stored, new = self._decoded[key], self._stored[key], self._new_of[key]
        for at in range(len(decoded), len(stored) + len(new)):
            decoded.append(decode(*(stored[at] if at < len(stored) else new[at - len(stored)])))
        return decoded

    def state(self, aggregate: type[A], stream_id: UUID) -> A:
        """Return the state of a stream, including the events of this batch."""
        return self._state(aggregate, stream_id.bytes)

    def _state(self, aggregate: type[A], key: bytes) -> A:
        """Fold the events that were not folded before."""
        events, state = self._events(key), self._states.get((key, aggregate))
        if not isinstance(state, aggregate):
            state = aggregate()
        if state.version < len(events):
            state = state.after_all(events[state.version :])
            self._states[key, aggregate] = state
        return state

    def shifts(
        self, aggregate: type[A], volunteer: str, first_day: int, last_day: int, where: Callable[[A], bool]
    ) -> Sequence[A] | None:
        """Return those of a volunteer's shifts whose ids were made on these days (since 1970) or have no time, and for
        which a function holds; None if there are more than are read.
        """
        asked, changes = (volunteer, first_day, last_day, where), self._changes_of[volunteer]
        last = self._shifts_of.get(asked)
        if last is not None and last[0] == changes:
            return last[1]
        keys = self.shift_keys(volunteer, first_day, last_day)
        if keys is None:
            return None
        states = [self._state(aggregate, key) for key in keys]
        self._shifts_of[asked] = changes, [state for state in states if where(state)]
        return self._shifts_of[asked][1]

    def shift_keys(self, volunteer: str, first_day: int, last_day: int) -> list[bytes] | None:
        """Return the streams of a volunteer's shifts whose ids were made on these days (since 1970) or have no time, as
        16 bytes each; None if there are more than are read.
        """
        ranges = shift_stream_ranges(volunteer, first_day, last_day)
        self._read_ranges([span for span in ranges if span[0].bytes not in self._in_range])
        if any(low.bytes in self._too_long for low, _ in ranges):
            return None
        found: list[bytes] = []
        for low, high in ranges:
            begun = {key for key in self._new_shifts_of[volunteer] if low.bytes <= key <= high.bytes}
            for key in self._in_range[low.bytes] | begun:
                self._stored.setdefault(key, [])  # a stream begun in this batch is not in the log's ranges
                found.append(key)
        return found

    def merged_into(self, volunteer: str) -> Sequence[str] | None:
        """Return the numbers that were ever merged into a number; None if there are more than are read."""
        if volunteer not in self._merged_into:
            self._merged_into[volunteer] = set(self.log.merged_into(volunteer, MERGED_MAX + 1))
        merged = self._merged_into[volunteer] | self._new_merged_into[volunteer]
        return None if len(merged) > MERGED_MAX else sorted(merged)

    def full(self, events: Sequence[Event], stream: bytes | None) -> Refused | None:
        """Return the refusal of events for which their streams have no room."""
        return refused_as_full(events, lambda event: self._next_version(stream or event.stream_key) - 1)

    def append(self, event: Event, topic: str, state: bytes, stream: bytes | None) -> tuple[bytes, int]:
        """Add a decided event in its stored form; return its stream and its version."""
        key = stream or event.stream_key
        version = self._next_version(key)
        self._versions[key] = self.new_versions[key] = version
        if self._retains_events:
            self._new_of[key].append(Stored(topic, state))
            if isinstance(event, ShiftEvent):
                self._new_shifts_of[event.volunteer].add(key)
                self._changes_of[event.volunteer] += 1
            elif isinstance(event, VolunteerMerged):
                self._new_merged_into[event.into].add(event.volunteer)
        return key, version

    def _next_version(self, key: bytes) -> int:
        version = self._versions.get(key)
        if version is None and not self._careful:
            version = self._memory.versions.get(key)
            if version is None and key in self._begun:
                version = 0
        return 1 + (self._version(key) if version is None else version)

    def _read_versions(self, keys: Collection[bytes]) -> None:
        """Read the versions of streams from the log."""
        self._versions |= self.log.versions(keys)

    def _read_events(self, keys: Collection[bytes]) -> None:
        if keys:
            found = self.log.read_streams([UUID(bytes=key) for key in keys])
            for key in keys:
                self._stored[key] = [Stored(event.topic, event.state) for event in found.get(UUID(bytes=key), ())]
                # A known version stays: events of this batch may have raised it.
                self._versions.setdefault(key, len(self._stored[key]))

    def _read_ranges(self, ranges: Collection[Range]) -> None:
        if not ranges:
            return
        self._in_range.update((low.bytes, set()) for low, _ in ranges)
        rows = self.log.ranges(list(ranges), RANGE_EVENTS_MAX + 1)
        counts = Counter(low for low, *_ in rows)
        self._too_long |= {low.bytes for low, count in counts.items() if count > RANGE_EVENTS_MAX}
        for low, stream_id, topic, state in rows:
            if low.bytes in self._too_long:
                continue  # the last of its streams may be incomplete
            key, begun = stream_id.bytes, self._in_range[low.bytes]
            if key not in begun:
                begun.add(key)
                self._stored[key] = []
            self._stored[key].append(Stored(topic, state))
        for low, _ in ranges:
            for key in self._in_range[low.bytes]:
                self._versions.setdefault(key, len(self._stored[key]))
