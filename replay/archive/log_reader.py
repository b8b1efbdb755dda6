"""Reading the log for the archive: ranges of positions as columns. The next range is read while one is parsed.

PostgreSQL joins a range of events into two values, their states and their topics, because one protocol message per
event would cost more than everything else. No event is skipped: a range with a hole is an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import sha256
from typing import NamedTuple

from ledger.store.database import Database
from ledger.store.log_queries import LogReader
from replay.archive.log_columns import Dictionaries, columns_of
from replay.archive.manifest import ArchiveError
from replay.archive.segments import Part


class HoleError(ArchiveError):
    """Positions are missing in the log. Writers leave no holes, so events were deleted."""

    def __init__(self, after: int, until: int, found: int) -> None:
        super().__init__(
            f"the log holds only {found} events for positions {after + 1} to {until}: it has a hole; check the database"
        )
        self.after = after
        self.until = until


class LogRange(NamedTuple):
    """The events after one position up to another: states joined by line feeds, topics by commas."""

    after: int
    until: int
    lines: bytes
    topics: str

    @property
    def digest(self) -> str:
        """SHA-256 of the states and the topics, 64 hex digits."""
        digest = sha256(self.lines)
        digest.update(b"\n\n")
        digest.update(self.topics.encode())
        return digest.hexdigest()

    def end(self) -> LogRange:
        """Return the last event alone."""
        line, topic = self.lines[self.lines.rfind(b"\n") + 1 :], self.topics[self.topics.rfind(",") + 1 :]
        return LogRange(self.until - 1, self.until, line, topic)

    def pieces(self, ends: Sequence[int]) -> Iterator[LogRange]:
        """Yield the range in pieces that end at these positions."""
        lines, topics, after = self.lines.split(b"\n"), self.topics.split(","), self.after
        for end in ends:
            rows = slice(after - self.after, end - self.after)
            yield LogRange(after, end, b"\n".join(lines[rows]), ",".join(topics[rows]))
            after = end


def read_range(database: Database, after: int, until: int) -> LogRange:
    """Read a range of positions, over a connection outside the pool: the driver's buffer grows to the largest value
    received, and ten pooled connections with buffers for a quarter of a million events held 100 MiB permanently.

    Raises:
        HoleError: positions are missing.
    """
    with database.connection() as connection:
        found = LogReader(connection).joined(after, until)
    if found.events != until - after:
        raise HoleError(after, until, found.events)
    return LogRange(after, until, found.states, found.topics)


def read_ahead(
    database: Database, ranges: Sequence[tuple[int, int]], names: Dictionaries
) -> Iterator[tuple[LogRange, Part]]:
    """Read ranges of positions as columns; new names are added to `names`.

    Raises:
        HoleError: positions are missing.
    """
    with ThreadPoolExecutor(1) as pool:
        following: Future[LogRange] | None = None
        for number, (low, high) in enumerate(ranges):
            read = following.result() if following else read_range(database, low, high)
            if number + 1 < len(ranges):
                following = pool.submit(read_range, database, *ranges[number + 1])
            yield read, columns_of(read.lines, read.topics.split(","), low + 1, names)
