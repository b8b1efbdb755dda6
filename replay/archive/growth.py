"""How an archive grows: parts of the log are appended as small segments, which are merged later.

A segment is merged with those after it once those are together at least half its size. Once a span of a million events
is complete, it becomes one segment, which is never rewritten. So each event is rewritten only a few times at any rate,
and the number of segments stays small (tests/replay/archive/test_merging.py checks both).

The caller holds the archive's lock and publishes the resulting segments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from ledger.store.database import Database
from replay.archive.folder import digests_of, unfinished
from replay.archive.log_columns import Dictionaries
from replay.archive.log_reader import LogRange, read_ahead, read_range
from replay.archive.manifest import ArchiveDisagreesError, PartDigest, Segment, folder_name, joined
from replay.archive.reader import guarded
from replay.archive.segments import SCHEMAS, Part, merge_segments, read_table, writing_segment
from replay.progress import Progress

SEGMENT_EVENTS = 1 << 20
"""Events of a full segment. No segment crosses a multiple of this, and full segments are never rewritten."""
PART_EVENTS = 1 << 18
"""Events read from the log at once; in all their forms they take a quarter of a gigabyte of memory."""
PARTS_MAX = 64
"""Parts of a merged segment. If there are more, small parts are digested again as larger ones; otherwise an archive
that grows event by event would have a manifest as long as the log."""
GROWING, MERGING = "reading the log", "merging segments"


class Growth:
    """The update of one archive in one folder from one log."""

    def __init__(self, folder: Path, database: Database, edition: int, progress: Progress) -> None:
        self._folder = folder
        self._database = database
        self._edition = edition
        self._progress = progress

    def appended(self, after: int, head: int, names: Dictionaries) -> Iterator[Segment]:
        """Write the events after one position up to another, and yield each segment once it is written. New names are
        added to `names`.

        Raises:
            ArchiveError: a segment could not be written.
            replay.archive.log_reader.HoleError: the log has a hole.
        """
        parts = cut(after, head)
        read = read_ahead(self._database, parts, names)
        for _, span in groupby(parts, key=lambda part: part[0] // SEGMENT_EVENTS):
            yield self._written(list(span), read, head)

    def _written(self, ranges: list[tuple[int, int]], read: Iterator[tuple[LogRange, Part]], head: int) -> Segment:
        first, last = ranges[0][0] + 1, ranges[-1][1]
        name = folder_name(first, last, self._edition)
        segments = []
        with unfinished(self._folder, name) as folder:
            with writing_segment(folder) as writer:
                for low, high in ranges:
                    log_range, part = next(read)
                    writer.add(part)
                    segments.append(_of_part(low, log_range, part))
                    self._progress(GROWING, high, head)
            files = digests_of(folder, SCHEMAS)
        parts = tuple(digest for segment in segments for digest in segment.parts)
        return replace(joined(segments, parts, name), files=files)

    def merged(self, segments: Sequence[Segment]) -> Segment:
        """Write several segments as one.

        Raises:
            ArchiveError: the segment could not be written.
            ArchiveDamagedError: a segment cannot be read. ArchiveDisagreesError: a segment differs from the log.
        """
        first, last = segments[0].first, segments[-1].last
        name = folder_name(first, last, self._edition)
        parts = tuple(part for segment in segments for part in segment.parts)
        if len(parts) > PARTS_MAX:
            parts = tuple(self._larger(first - 1, parts))
        self._progress(MERGING, 0, 0)
        with unfinished(self._folder, name) as folder:
            merge_segments(
                [self._folder / segment.folder for segment in segments],
                folder,
                lambda path: guarded(path, read_table),
            )
            files = digests_of(folder, SCHEMAS)
        return replace(joined(segments, parts, name), files=files)

    def _larger(self, after: int, parts: Sequence[PartDigest]) -> Iterator[PartDigest]:
        """Yield larger parts in place of small ones, after verifying the small ones against the log."""
        for group in _groups(after, parts):
            last = group[-1].last
            if len(group) > 1:
                whole = read_range(self._database, after, last)
                for part, piece in zip(group, whole.pieces([part.last for part in group]), strict=True):
                    if part.digest != piece.digest:
                        first = piece.after + 1
                        why = (
                            f"event {first} differs" if first == part.last else f"events {first} to {part.last} differ"
                        )
                        raise ArchiveDisagreesError(self._folder, why, first, part.last)
                yield PartDigest(last, whole.digest, group[-1].end)
            else:
                yield group[0]
            after = last


def _of_part(low: int, read: LogRange, part: Part) -> Segment:
    """Return a segment of a single part, to be joined with others."""
    return Segment(
        "",
        low + 1,
        read.until,
        *part.recorded_at(),
        shift_events=len(part.shift_events.code),
        other_events=len(part.other_events.code),
        shifts=len(part.new.shift_low),
        files={},
        parts=(PartDigest(read.until, read.digest, read.end().digest),),
    )


def _groups(after: int, parts: Sequence[PartDigest]) -> Iterator[list[PartDigest]]:
    """Group consecutive parts into groups of at most `PART_EVENTS` events."""
    group: list[PartDigest] = []
    for part in parts:
        if group and part.last - after > PART_EVENTS:
            yield group
            after, group = group[-1].last, []
        group.append(part)
    yield group


def cut(after: int, head: int) -> list[tuple[int, int]]:
    """Split the positions after one up to another into parts, none of which crosses the end of a full segment."""
    parts = []
    while after < head:
        until = min(after + PART_EVENTS, (after // SEGMENT_EVENTS + 1) * SEGMENT_EVENTS, head)
        parts.append((after, until))
        after = until
    return parts


def span_of(position: int) -> int:
    """Return the number, from 0, of the span (later one full segment) of a position."""
    return (position - 1) // SEGMENT_EVENTS


def spans(segments: Sequence[Segment]) -> list[list[Segment]]:
    """Group segments by span."""
    return [list(span) for _, span in groupby(segments, key=lambda segment: span_of(segment.first))]


def mergeable(segments: Sequence[Segment]) -> slice | None:
    """Return the segments to merge next, if any: all of a complete span, or of the last span those at its end of which
    each is at most twice as large as all after it together.
    """
    begin = 0
    for span in spans(segments):
        run = len(span) if span[-1].last % SEGMENT_EVENTS == 0 else _tail(span)
        if run > 1:
            return slice(begin + len(span) - run, begin + len(span))
        begin += len(span)
    return None


def _tail(span: Sequence[Segment]) -> int:
    """Return how many segments at the end are to be merged."""
    run = events = 0
    for segment in reversed(span):
        if run and segment.events > 2 * events:
            break
        run += 1
        events += segment.events
    return run


Publish = Callable[[Sequence[Segment]], None]


def merge(growth: Growth, segments: Sequence[Segment], publish: Publish) -> list[Segment]:
    """Merge until nothing is left to merge; publish after each merge."""
    merged = list(segments)
    while run := mergeable(merged):
        merged[run] = [growth.merged(merged[run])]
        publish(merged)
    return merged
