"""The archive: the log as Parquet segments on disk, from which replays start.

It holds nothing the log does not hold, so it may be deleted at any time. Segments are written once, into a temporary
folder that is flushed and renamed; the manifest, replaced atomically, says which of them count. An archive that
disagrees with the log (a restored database, say) is refused, never mended in place.

It grows by small segments, which are merged as they add up: a segment is merged with those behind it once they
together are half as large as it is, up to whole segments of a million events. So each event is rewritten a few times,
whatever the pace, and the segments stay few.
"""

from __future__ import annotations

import fcntl
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import TypeVar
from uuid import UUID

from ledger.database import Database
from projections.facts import Facts
from projections.schema import Ints, Words
from replay.archive_reader import guarded, read_dictionaries, read_facts, read_shift_keys
from replay.log_columns import Dictionaries
from replay.log_reader import read_ahead, read_range
from replay.manifest import (
    ArchiveBusyError,
    ArchiveDamagedError,
    ArchiveDisagreesError,
    ArchiveError,
    Manifest,
    PartDigest,
    Segment,
    read_manifest,
    write_manifest,
)
from replay.segments import folder_name, merge_segments, writing_segment

SEGMENT_EVENTS = 1 << 20
"""Events of a whole segment. Segments end at multiples of this, and whole ones are never rewritten."""
PART_EVENTS = 1 << 18
"""Events read from the log at once: a quarter of a gigabyte in all its forms."""
LOCK_SECONDS_MAX = 60.0
"""How long to wait for another archiver: a growing archive takes a second; one that is made anew may take longer."""
_UNFINISHED = "new-"
_T = TypeVar("_T")

Progress = Callable[[int, int], None]
"""Told how many events are done, and of how many."""


class Archive:
    """The archive of one ledger in one folder."""

    def __init__(self, folder: Path, ledger: UUID) -> None:
        """Open an archive, or begin one where the folder has none.

        Raises:
            ArchiveDisagreesError: the folder holds another ledger's archive.
            ArchiveDamagedError: the manifest cannot be read.
        """
        self.folder = folder
        self.manifest = Manifest(ledger)
        folder.mkdir(parents=True, exist_ok=True)
        self._refresh()

    @property
    def position(self) -> int:
        """The last position the archive holds; 0 if none."""
        return self.manifest.position

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The segments that count."""
        return self.manifest.segments

    def bytes_on_disk(self) -> int:
        """Return the size of all segments."""
        return sum(
            path.stat().st_size for segment in self.segments for path in (self.folder / segment.folder).iterdir()
        )

    # --- growing ----------------------------------------------------------------------------------------------------

    def catch_up(self, database: Database, progress: Progress | None = None) -> int:
        """Append what the log holds beyond the archive, and return the position reached.

        Raises:
            ArchiveDisagreesError: the log does not hold what the archive's end says; see `rebuild`.
            ArchiveBusyError: another process is at it.
            ArchiveError: a segment could not be written (a full disk); the archive stays as it was.
        """
        with self._locked():
            self._refresh()
            self._check_end(database)
            head = database.log.head()
            if head > self.position:
                names = read_dictionaries(self.folder, self.segments)
                self._append(database, head, names, progress)
                self._merge()
                self._sweep()
            return head

    def _append(self, database: Database, head: int, names: Dictionaries, progress: Progress | None) -> None:
        parts = _cut(self.position, head)
        read = read_ahead(database, parts, names)
        for _, span in groupby(parts, key=lambda part: part[0] // SEGMENT_EVENTS):
            ranges = list(span)
            first, last = ranges[0][0] + 1, ranges[-1][1]
            shift_events = other_events = shifts = 0
            digests = []
            with self._new_segment(first, last) as folder, writing_segment(folder) as writer:
                for _, high in ranges:
                    taken, part = next(read)
                    writer.add(part)
                    digests.append(PartDigest(high, taken.digest, taken.end().digest))
                    shift_events += len(part.shift_events.code)
                    other_events += len(part.other_events.code)
                    shifts += len(part.new.shift_low)
                    if progress:
                        progress(high, head)
            segment = Segment(first, last, shift_events, other_events, shifts, tuple(digests))
            self._publish([*self.segments, segment])

    def _merge(self) -> None:
        """Merge small segments at the end of the archive into one."""
        run = _mergeable(self.segments)
        if len(run) < 2:
            return
        merged = Segment(
            run[0].first,
            run[-1].last,
            sum(segment.shift_events for segment in run),
            sum(segment.other_events for segment in run),
            sum(segment.shifts for segment in run),
            tuple(part for segment in run for part in segment.parts),
        )
        with self._new_segment(merged.first, merged.last) as folder:
            guarded(self.folder, lambda _: merge_segments([self.folder / segment.folder for segment in run], folder))
        self._publish([*self.segments[: -len(run)], merged])

    @contextmanager
    def _new_segment(self, first: int, last: int) -> Iterator[Path]:
        """Yield a temporary folder; at the end it becomes the segment's."""
        name = folder_name(first, last)
        temporary = self.folder / f"{_UNFINISHED}{name}"
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            temporary.mkdir()
            yield temporary
            shutil.rmtree(self.folder / name, ignore_errors=True)  # left over by a crash before the manifest
            temporary.rename(self.folder / name)
        except OSError as error:
            raise ArchiveError(
                f"could not write positions {first} to {last} to {self.folder}: {error.strerror or error}; "
                "the archive stays as it was: make room and try again"
            ) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def rebuild(self, database: Database, progress: Progress | None = None) -> int:
        """Forget what is there and read the whole log anew. Returns the position reached."""
        with self._locked():
            self._publish([])
            self._sweep()
        return self.catch_up(database, progress)

    def bring_up_to_date(self, database: Database, progress: Progress | None = None) -> int:
        """Catch up; where the archive disagrees with the log or is damaged, rebuild it from the log, which is the
        truth.
        """
        try:
            return self.catch_up(database, progress)
        except (ArchiveDisagreesError, ArchiveDamagedError):
            self.manifest = Manifest(database.log.identity())
            return self.rebuild(database, progress)

    def verify(self, database: Database, progress: Progress | None = None) -> None:
        """Compare every part with the log, byte for byte by digest, and read every file.

        Raises:
            ArchiveDisagreesError, ArchiveDamagedError: with the positions concerned.
        """
        self._check_end(database)
        for segment in self.segments:
            for low, part in segment.ranges():
                if read_range(database, low, part.last).digest != part.digest:
                    raise self._disagrees(f"positions {low + 1} to {part.last} differ from the log")
                if progress:
                    progress(part.last, self.position)
        self.facts()

    def _check_end(self, database: Database) -> None:
        """Compare the ledger and the last event: enough to notice a log that was restored or cut."""
        if not self.segments:
            return
        if database.log.identity() != self.manifest.ledger:
            raise self._disagrees("it belongs to another ledger")
        head = database.log.head()
        if head < self.position:
            raise self._disagrees(f"it holds {self.position} events, the log only {head}")
        end = self.segments[-1].parts[-1].end
        if read_range(database, self.position - 1, self.position).digest != end:
            raise self._disagrees(f"its event {self.position} is not the log's")

    def _disagrees(self, why: str) -> ArchiveDisagreesError:
        return ArchiveDisagreesError(
            f"the archive in {self.folder} disagrees with the log: {why}; "
            "`hours rebuild --archive-anew` makes a new one"
        )

    def _publish(self, segments: Sequence[Segment]) -> None:
        manifest = Manifest(self.manifest.ledger, tuple(segments))
        write_manifest(self.folder, manifest)
        self.manifest = manifest

    def _refresh(self) -> None:
        """Read the manifest as it is now: another process may have replaced it."""
        found = read_manifest(self.folder)
        if found is None:
            self.manifest = Manifest(self.manifest.ledger)
        elif found.ledger != self.manifest.ledger and found.segments:
            raise self._disagrees("it belongs to another ledger")
        else:
            self.manifest = Manifest(self.manifest.ledger, found.segments)

    def _sweep(self) -> None:
        """Remove folders that no longer count. Whoever is reading one finds the manifest changed and begins again."""
        known = {segment.folder for segment in self.segments}
        for path in self.folder.iterdir():
            if path.is_dir() and path.name not in known:
                shutil.rmtree(path, ignore_errors=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as file:
            deadline = time.monotonic() + LOCK_SECONDS_MAX
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise ArchiveBusyError(
                            f"another process is writing to the archive in {self.folder}; wait for it, or stop it"
                        ) from None
                    time.sleep(0.05)
            yield

    # --- reading ----------------------------------------------------------------------------------------------------

    def facts(self, until: int | None = None, threads: int = 2) -> Facts:
        """Read the events up to a position (the axis `known_at`), all if it is None.

        Raises:
            ArchiveDamagedError: a file is missing or damaged. ArchiveError: the archive ends before that position.
        """
        return self._retried(lambda: self._facts(until, threads))

    def _facts(self, until: int | None, threads: int) -> Facts:
        known = self.position if until is None else until
        if known > self.position:
            raise ArchiveError(
                f"the archive in {self.folder} ends at position {self.position}, before {known}: "
                "it is being made anew; try again when that is done"
            )
        segments = [segment for segment in self.segments if segment.first <= known]
        return read_facts(self.folder, segments, known, threads, self._shift_keys)

    def _shift_keys(self, shifts: Ints) -> tuple[Words, Words]:
        """Return the ids of shifts as uint64 halves, high and low. A shift's number never changes."""
        return self._retried(lambda: read_shift_keys(self.folder, self.segments, shifts))

    def _retried(self, read: Callable[[], _T]) -> _T:
        """Read; once more, if segments were merged while we read."""
        while True:
            seen = self.segments
            try:
                return read()
            except ArchiveDamagedError:
                self._refresh()
                if self.segments == seen:
                    raise


def _cut(after: int, head: int) -> list[tuple[int, int]]:
    """Cut the positions after one up to another into parts, none of which crosses a whole segment's end."""
    parts = []
    while after < head:
        upto = min(after + PART_EVENTS, (after // SEGMENT_EVENTS + 1) * SEGMENT_EVENTS, head)
        parts.append((after, upto))
        after = upto
    return parts


def _mergeable(segments: Sequence[Segment]) -> list[Segment]:
    """Return the segments at the end that are to be one: each no more than twice as large as all behind it."""
    run: list[Segment] = []
    events = 0
    for segment in reversed(segments):
        if segment.last % SEGMENT_EVENTS == 0 and run:
            break  # the segments behind it begin the next whole one
        if run and segment.events > 2 * events:
            break
        run.insert(0, segment)
        events += segment.events
    return run
