"""How an archive grows: parts of the log are appended as small segments, which are merged as they add up.

A segment is merged with those behind it once they together are half as large as it is; once a whole span of a million
events is there, all of it becomes one segment, which is never written again. So each event is rewritten a few times,
whatever the pace, and the segments stay few (tests/replay/archive/test_merging.py holds both to numbers).

Whoever calls this holds the archive's lock, and publishes what comes of it.
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
"""Events of a whole segment. Segments end at multiples of this, and whole ones are never rewritten."""
PART_EVENTS = 1 << 18
"""Events read from the log at once: a quarter of a gigabyte in all its forms."""
PARTS_MAX = 64
"""Parts of a merged segment: of more than these, small ones are digested again as larger ones, lest an archive that
grows event by event had a manifest as long as the log."""
GROWING, MERGING = "reading the log", "merging segments"


class Growth:
    """One archive being grown, in one folder, from one log."""

    def __init__(self, folder: Path, database: Database, edition: int, progress: Progress) -> None:
        self._folder = folder
        self._database = database
        self._edition = edition
        self._progress = progress

    def appended(self, after: int, head: int, names: Dictionaries) -> Iterator[Segment]:
        """Yield segments with the events after a position up to another, as they are written. `names` grow.

        Raises:
            ArchiveError: the disk did not take them.
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
                    taken, part = next(read)
                    writer.add(part)
                    segments.append(_of_part(low, taken, part))
                    self._progress(GROWING, high, head)
            files = digests_of(folder, SCHEMAS)
        parts = tuple(digest for segment in segments for digest in segment.parts)
        return replace(joined(segments, parts, name), files=files)

    def merged(self, segments: Sequence[Segment]) -> Segment:
        """Write what several segments hold as one.

        Raises:
            ArchiveError: the disk did not take it.
            ArchiveDamagedError: one of them cannot be read. ArchiveDisagreesError: the log no longer holds them.
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
        """Digest small parts again as larger ones, holding the log to what they say."""
        for group in _groups(after, parts):
            last = group[-1].last
            if len(group) > 1:
                taken = read_range(self._database, after, last)
                for part, piece in zip(group, taken.pieces([part.last for part in group]), strict=True):
                    if part.digest != piece.digest:
                        why = f"positions {piece.after + 1} to {part.last} differ from the log"
                        raise ArchiveDisagreesError(self._folder, why)
                yield PartDigest(last, taken.digest, group[-1].end)
            else:
                yield group[0]
            after = last


def _of_part(low: int, taken: LogRange, part: Part) -> Segment:
    """Return a part as if it were a segment, to be joined with others."""
    return Segment(
        "",
        low + 1,
        taken.until,
        *part.recorded_at(),
        shift_events=len(part.shift_events.code),
        other_events=len(part.other_events.code),
        shifts=len(part.new.shift_low),
        files={},
        parts=(PartDigest(taken.until, taken.digest, taken.end().digest),),
    )


def _groups(after: int, parts: Sequence[PartDigest]) -> Iterator[list[PartDigest]]:
    """Group parts that are one behind the other into groups of at most `PART_EVENTS`."""
    group: list[PartDigest] = []
    for part in parts:
        if group and part.last - after > PART_EVENTS:
            yield group
            after, group = group[-1].last, []
        group.append(part)
    yield group


def cut(after: int, head: int) -> list[tuple[int, int]]:
    """Cut the positions after one up to another into parts, none of which crosses a whole segment's end."""
    parts = []
    while after < head:
        upto = min(after + PART_EVENTS, (after // SEGMENT_EVENTS + 1) * SEGMENT_EVENTS, head)
        parts.append((after, upto))
        after = upto
    return parts


def span_of(position: int) -> int:
    """Return the number, from 0, of the whole segment that a position is to be in."""
    return (position - 1) // SEGMENT_EVENTS


def spans(segments: Sequence[Segment]) -> list[list[Segment]]:
    """Group segments by the whole segments they are to become."""
    return [list(span) for _, span in groupby(segments, key=lambda segment: span_of(segment.first))]


def mergeable(segments: Sequence[Segment]) -> slice | None:
    """Return which segments are to be one, if any: those of a span that is whole; at the end of the last one, those
    of which each is at most twice as large as all behind it.
    """
    begin = 0
    for span in spans(segments):
        run = len(span) if span[-1].last % SEGMENT_EVENTS == 0 else _tail(span)
        if run > 1:
            return slice(begin + len(span) - run, begin + len(span))
        begin += len(span)
    return None


def _tail(span: Sequence[Segment]) -> int:
    """Return how many segments at the end are to be one."""
    run = events = 0
    for segment in reversed(span):
        if run and segment.events > 2 * events:
            break
        run += 1
        events += segment.events
    return run


Publish = Callable[[Sequence[Segment]], None]


def merge(growth: Growth, segments: Sequence[Segment], publish: Publish) -> list[Segment]:
    """Merge until nothing is to be merged; each merged segment is published on its own."""
    found = list(segments)
    while run := mergeable(found):
        found[run] = [growth.merged(found[run])]
        publish(found)
    return found
