"""Every decision but those about scans of stations, repeated: what was accepted had to be.

Events are taken in the order of the log. The order they answer is put together again, decided by the ledger's own
functions on the streams as they were before it, and the result compared with what was recorded. Nothing here decides
anything itself.

The rules of acceptance are today's. An event of an older version of the program may therefore be reported although it
was accepted rightly; such a finding is a question, not a proof of an alteration.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from ledger.aggregates import EVENTS, Aggregate, Case, Event, decide
from ledger.aggregates.request import ActRequested
from ledger.aggregates.shift import ShiftEvent
from ledger.aggregates.volunteer import VolunteerMerged
from ledger.intake.streams import MERGED_MAX, RANGE_EVENTS_MAX, refused_as_full
from ledger.names import Position, shift_stream_key, shift_stream_ranges, stream_key
from ledger.rejections import Refused
from ledger.store.mapper import decode, encode
from replay.auditing.chunks import Recorded
from replay.auditing.deciding.orders import Found, UnexplainedError, grouped, order_of
from replay.auditing.findings import Check, Finding, altered, bounded, notice, refusable
from replay.auditing.streams import StreamIndex
from replay.progress import Progress, ignore

DECIDING = "repeating decisions"
STATES_MAX = 100_000
FINDINGS_MAX = 1000

A = TypeVar("A", bound=Aggregate)

_SHIFT_TOPICS = frozenset(topic for topic, event in EVENTS.items() if issubclass(event, ShiftEvent))


def shift_streams(events: Iterable[Recorded]) -> set[bytes]:
    """Return the streams of shifts that these events belong to, or that they request to change: decisions read them."""
    found: set[bytes] = set()
    for recorded in events:
        if recorded.topic in _SHIFT_TOPICS or recorded.topic not in EVENTS:
            found.add(recorded.stream)
        elif recorded.topic == ActRequested.TOPIC:
            event = decode(recorded.topic, recorded.state)
            if isinstance(event, ActRequested) and "shift" in event.fields and "volunteer" in event.fields:
                try:
                    shift = UUID(str(event.fields["shift"]))
                except ValueError:
                    continue
                volunteers = {str(event.fields[name]) for name in ("volunteer", "to_volunteer") if name in event.fields}
                found |= {shift_stream_key(volunteer, shift) for volunteer in volunteers}
    return found


class PastStreams:
    """Implements `ledger.deciding.case.Streams` with the log as it was before a position.

    Args:
        content: returns topic and state of the event at a position.
    """

    def __init__(self, index: StreamIndex, content: Callable[[int], tuple[str, bytes]]) -> None:
        self._index = index
        self._content = content
        self._positions: dict[bytes, list[int]] = {}
        self._events: dict[bytes, list[Event]] = {}
        self._states: dict[tuple[bytes, type[Aggregate]], Aggregate] = {}
        self._begun: set[bytes] = set()
        self._merged_into: defaultdict[str, set[str]] = defaultdict(set)
        self.before = 1
        """The position before which events are read."""

    def advance(self, found: Sequence[Found]) -> None:
        """Take the events of an order as recorded."""
        for each in found:
            self._begun.add(each.stream)
            if isinstance(each.event, VolunteerMerged):
                self._merged_into[each.event.into].add(each.event.volunteer)

    def pass_over(self, events: Iterable[Recorded]) -> None:
        """Take events as recorded without deciding them: they are before all that is decided."""
        for recorded in events:
            self._begun.add(recorded.stream)
            if recorded.topic == VolunteerMerged.TOPIC or recorded.topic not in EVENTS:
                event = decode(recorded.topic, recorded.state)
                if isinstance(event, VolunteerMerged):
                    self._merged_into[event.into].add(event.volunteer)

    def read_index(self, streams: set[bytes]) -> None:
        """Look up at once where the events of many streams are: one by one takes ten times as long."""
        if len(self._positions) > STATES_MAX:
            self._positions.clear()
            self._events.clear()
            self._states.clear()
        self._positions |= self._index.positions_of(streams - self._positions.keys())

    def knows(self, kind: str, key: str) -> bool:
        return stream_key(kind, key) in self._begun

    def version(self, stream_id: UUID) -> int:
        return self._version(stream_id.bytes)

    def events(self, stream_id: UUID) -> Sequence[Event]:
        key = stream_id.bytes
        return self._read(key)[: self._version(key)]

    def state(self, aggregate: type[A], stream_id: UUID) -> A:
        key = stream_id.bytes
        version, state = self._version(key), self._states.get((key, aggregate))
        if not isinstance(state, aggregate):
            state = aggregate()
        if state.version < version:
            state = state.after_all(self._read(key)[state.version : version])
            self._states[key, aggregate] = state
        return state

    def shifts(
        self, aggregate: type[A], volunteer: str, first_day: int, last_day: int, where: Callable[[A], bool]
    ) -> Sequence[A] | None:
        found: list[A] = []
        for low, high in shift_stream_ranges(volunteer, first_day, last_day):
            rows = [row for row in self._index.between(low.bytes, high.bytes) if row[1] < self.before]
            if len(rows) > RANGE_EVENTS_MAX:
                return None
            states = [self.state(aggregate, UUID(bytes=key)) for key, _ in groupby(rows, key=lambda row: row[0])]
            found += [state for state in states if where(state)]
        return found

    def merged_into(self, volunteer: str) -> Sequence[str] | None:
        merged = self._merged_into[volunteer]
        return None if len(merged) > MERGED_MAX else sorted(merged)

    def _version(self, key: bytes) -> int:
        positions = self._positions.get(key)
        if positions is None:
            positions = self._positions[key] = self._index.positions(key)
        return bisect_left(positions, self.before)

    def _read(self, key: bytes) -> list[Event]:
        """Return the events of a stream before the position, and perhaps later ones."""
        version = self._version(key)
        events = self._events.setdefault(key, [])
        for position in self._positions[key][len(events) : version]:
            events.append(decode(*self._content(position)))
        return events


class Repeated(msgspec.Struct):
    """What the repetition of decisions gives. `orders`: their number; `loaded`: what today's program would say of the
    events of a synthetic history; `first_known`: the first position of each volunteer, station and project.
    """

    findings: list[Finding] = []
    orders: int = 0
    loaded: dict[str, int] = {}
    first_known: dict[str, dict[str, int]] = {}

    def add(self, later: Repeated) -> None:
        """Add the results of a later part of the log."""
        self.findings = [*self.findings, *later.findings][:FINDINGS_MAX]
        self.orders += later.orders
        for what, count in later.loaded.items():
            self.loaded[what] = self.loaded.get(what, 0) + count
        for kind, names in later.first_known.items():
            self.first_known[kind] = names | self.first_known.get(kind, {})

    def check_first_uses(self, uses: Mapping[str, Mapping[str, int]], simulated: int) -> None:
        """Compare the first scan that names a volunteer, station or project with its first event."""
        for kind, names in uses.items():
            of_kind = self.first_known.get(kind, {})
            for name, position in names.items():
                known = of_kind.get(name)
                if known is not None and known < position:
                    continue
                if position <= simulated:
                    what = "a scan names what is not known yet"
                    self.loaded[what] = self.loaded.get(what, 0) + 1
                    continue
                what = f"a scan of a {kind} that was not known was accepted"
                evidence = f"{name} is first known at position {known:,}" if known else f"{name} is never made known"
                self.findings.append(refusable(Check.DECISIONS, what, position, evidence=evidence))

    def finished(self, simulated: int) -> list[Finding]:
        """Return the findings, and what is to be known of a history that was loaded."""
        findings = bounded(self.findings)
        if simulated:
            words = ", ".join(f"{count:,} times {what}" for what, count in sorted(self.loaded.items()))
            what = "a synthetic history was loaded here without decisions; its people and their service are invented"
            evidence = f"decided today: {words}" if words else "today's program would accept all of it"
            findings.append(notice(Check.DECISIONS, what, 1, simulated, evidence=evidence))
        return findings


class Decisions:
    """The repetition of decisions.

    Args:
        simulated: the last position of a synthetic history that was loaded at the beginning, 0 if none was.
    """

    def __init__(self, streams: PastStreams, simulated: int = 0) -> None:
        self._streams = streams
        self._simulated = simulated
        self.repeated = Repeated()

    def repeat(self, events: Iterable[Recorded], last: int, progress: Progress = ignore) -> None:
        """Repeat the decisions about these events."""
        for number, group in enumerate(grouped(_decoded(events))):
            if number % 1000 == 0:
                progress(DECIDING, group[0].position, last)
            self._repeat_one(group)
            self._streams.advance(group)
            for found in group:
                self._note_names(found)
        progress(DECIDING, last, last)

    def _repeat_one(self, group: Sequence[Found]) -> None:
        self.repeated.orders += 1
        self._streams.before = first = group[0].position
        events = [found.event for found in group]
        try:
            order = order_of(events)
        except UnexplainedError as error:
            self._report(group, "no order results in what was recorded", str(error))
            return
        now, note = events[0].recorded_at, getattr(events[0], "note", None)
        try:
            digests = {name: getattr(events[0], name) for name in order.command.PERSONAL}
            decision = decide(Case(order, self._streams, now, note, None, Position(first - 1), digests=digests))
        except (ValueError, LookupError, TypeError, AttributeError, AssertionError, OverflowError) as error:
            self._report(group, f"{order.command.TYPE} cannot be decided", f"{type(error).__name__}: {error}"[:200])
            return
        if not isinstance(decision, Refused):
            full = refused_as_full(decision, lambda event: self._streams.version(event.stream_id))
            decision = full or decision
        if isinstance(decision, Refused):
            self._report(group, f"{order.command.TYPE} was accepted, but had to be refused", decision.detail)
            return
        if decision != events:
            self._report(group, f"{order.command.TYPE} had to give other events", _difference(decision, events))
            return
        for found in group:
            if found.event.stream_key != found.stream:
                what = "the event is in a stream that is not its own"
                self.repeated.findings.append(
                    altered(Check.STREAMS, what, found.position, where=f"stream {found.stream.hex()}")
                )
            if found.topic == found.event.TOPIC and encode(found.event)[1] != found.state:
                what = "the event is not written as the ledger writes it"
                self.repeated.findings.append(refusable(Check.EVENTS, what, found.position))

    def _report(self, group: Sequence[Found], what: str, evidence: str) -> None:
        first, last = group[0].position, group[-1].position
        if last <= self._simulated:
            self.repeated.loaded[what] = self.repeated.loaded.get(what, 0) + 1
        elif len(self.repeated.findings) < FINDINGS_MAX:
            event = group[0].event
            where = f"{group[0].topic} by {event.by}"
            self.repeated.findings.append(refusable(Check.DECISIONS, what, first, last, where=where, evidence=evidence))

    def _note_names(self, found: Found) -> None:
        kind = found.event.STREAM_FIELD
        if kind in _NAMED:
            name = getattr(found.event, kind, None)
            if isinstance(name, str) and stream_key(kind, name) == found.stream:
                self.repeated.first_known.setdefault(kind, {}).setdefault(name, found.position)


_NAMED = {"volunteer", "station", "project"}


def _decoded(events: Iterable[Recorded]) -> Iterator[Found]:
    for each in events:
        yield Found(each.position, each.stream, each.version, each.topic, each.state, decode(each.topic, each.state))


def _difference(decided: Sequence[Event], recorded: Sequence[Event]) -> str:
    if len(decided) != len(recorded):
        return f"{len(decided)} events instead of {len(recorded)}"
    for one, other in zip(decided, recorded, strict=True):
        if type(one) is not type(other):
            return f"{one.TOPIC} instead of {other.TOPIC}"
        for name in one.__struct_fields__:
            mine, theirs = getattr(one, name), getattr(other, name)
            if mine != theirs:
                return f"{name} {_short(mine)} instead of {_short(theirs)}"
    return "the same fields in another form"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
