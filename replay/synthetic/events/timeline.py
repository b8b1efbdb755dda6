"""All events in the order of the log, which is the order of their instants of recording."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from replay.synthetic.events.sources import Chunk, Slots, Source
from replay.synthetic.planning.randomness import Array, ranks_within


class Timeline:
    """The order of the log: for each position, the source, the event's number in it, and its version in its stream."""

    def __init__(self, sources: Sequence[Source]) -> None:
        """Merge the sources. Events with equal instants are in the order of the sources."""
        self.sources = sources
        sizes = [len(source.recorded_at) for source in sources]
        order = np.argsort(np.concatenate([source.recorded_at for source in sources]), kind="stable")
        self.source = np.repeat(np.arange(len(sources), dtype=np.uint8), sizes)[order]
        self.number = np.concatenate([np.arange(size, dtype=np.int32) for size in sizes])[order]
        streams = np.concatenate([source.stream.astype(np.int32) for source in sources])[order]
        del order
        by_stream = np.argsort(streams, kind="stable")
        self.version = np.empty(len(streams), np.uint8)
        self.version[by_stream] = ranks_within(streams[by_stream]) + 1

    def __len__(self) -> int:
        return len(self.source)

    def chunks(self, after: int, size: int) -> Iterator[Chunk]:
        """Yield the events after a position in chunks that end at multiples of `size`."""
        while after < len(self):
            until = min((after // size + 1) * size, len(self))
            yield self.chunk(after, until)
            after = until

    def chunk(self, after: int, until: int) -> Chunk:
        """Write the events after the position `after`, up to and including `until`."""
        source, number, version = self.source[after:until], self.number[after:until], self.version[after:until]
        lines = [""] * (until - after)
        for kind in np.unique(source).tolist():
            rows = np.flatnonzero(source == kind)
            slots = Slots((rows + after + 1).tolist(), version[rows].tolist())
            for row, line in zip(rows.tolist(), self.sources[kind].lines(number[rows], slots), strict=True):
                lines[row] = line
        return Chunk(after + 1, until - after, "".join(lines).encode("ascii"))

    def positions(self, source: Source) -> Array:
        """Return the position of each event of a source."""
        kind = next(i for i, known in enumerate(self.sources) if known is source)
        found = np.flatnonzero(self.source == kind)
        positions = np.empty(len(found), np.int64)
        positions[self.number[found]] = found + 1
        return positions
