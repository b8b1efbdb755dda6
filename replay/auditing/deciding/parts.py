"""The decisions of a log in parts, each of which a process of its own may repeat.

A decision reads nothing but the log before it. The index of the streams lies in the audit's folder, shared by all
processes; what else is known of the events before a part (which names exist, who was merged) is read from the results
of the chunks. An order belongs to the part in which its first event is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from replay.auditing.chunks import Chunk, Recorded
from replay.auditing.deciding.content import Content
from replay.auditing.deciding.decisions import Decisions, PastStreams, Repeated, shift_streams
from replay.auditing.deciding.orders import in_one_order
from replay.auditing.streams import StreamIndex
from replay.progress import Progress, ignore

LoadChunk = Callable[[int], Chunk]
"""Returns the result of a chunk by its number."""


class Part(NamedTuple):
    """Chunks whose decisions are repeated together, from `first` to before `last`."""

    first: int
    last: int


def parts_of(others: Sequence[int], count: int) -> list[Part]:
    """Return parts of about the same work.

    Args:
        others: the number of events of each chunk that are decided.
        count: the number of parts, which may be fewer.
    """
    parts: list[Part] = []
    whole, first, done = sum(others), 0, 0
    for number, events in enumerate(others, 1):
        done += events
        if number == len(others) or done * count >= whole * (len(parts) + 1):
            parts.append(Part(first, number))
            first = number
    return parts


class Deciding(NamedTuple):
    """What is known to all parts: the bundle, its events and chunks, the audit's folder, and the last position of a
    synthetic history.
    """

    bundle: Path
    size: int
    chunks: int
    work: Path
    simulated: int

    def repeat(self, part: Part, load: LoadChunk, progress: Progress = ignore) -> Repeated:
        """Repeat the decisions of a part."""
        index = StreamIndex.load(self.work)
        content = Content(self.bundle, self.size)
        streams = PastStreams(index, content)
        decisions = Decisions(streams, self.simulated)
        for number in range(part.first):
            streams.pass_over(load(number).events)
        last = min(part.last, self.chunks)
        touched: set[bytes] = set()
        for number in range(part.first, last):
            touched |= shift_streams(load(number).events)
        content.read_ahead(index, touched, progress)

        def chunk_events(number: int) -> list[Recorded]:
            events = load(number).events
            streams.read_index({recorded.stream for recorded in events})
            content.known.update((recorded.position, (recorded.topic, recorded.state)) for recorded in events)
            return events

        events = _events_of(part, self.chunks, load, chunk_events)
        decisions.repeat(events, self.size, progress)
        return decisions.repeated


def _events_of(
    part: Part, chunks: int, load: LoadChunk, events_of: Callable[[int], list[Recorded]]
) -> Iterator[Recorded]:
    """Yield the events of all orders that begin in a part."""
    before = load(part.first - 1).events if part.first else []
    passed: Recorded | None = before[-1] if before else None
    last: Recorded | None = None
    for number in range(part.first, chunks):
        for recorded in events_of(number) if number < part.last else load(number).events:
            if passed is not None and in_one_order(passed, recorded):
                passed = recorded
                continue
            passed = None
            if number >= part.last and (last is None or not in_one_order(last, recorded)):
                return
            last = recorded
            yield recorded
        if number >= part.last and last is None:
            return
