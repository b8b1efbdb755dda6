"""The archive: the log as Parquet segments on disk, from which replays start.

It holds nothing the log does not hold, so it may be deleted at any time. Segments are written once, into a temporary
folder that is flushed and renamed; the manifest, replaced atomically, says which of them count. Only the last segment
may be partial, and only it is replaced when the archive grows. An archive that disagrees with the log (a restored
database, say) is refused, never mended in place.

    ArchiveError
    ├── ArchiveDisagreesError   it belongs to another log, or the log has lost or changed what it holds
    ├── ArchiveDamagedError     a file is missing or fails its checksum
    └── ArchiveBusyError        another process is writing to it
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TypeVar
from uuid import UUID

import numpy as np
import pyarrow as pa

from ledger.database import Database
from projections.facts import Facts
from projections.schema import DTYPES, Array, Ints, OtherEvents, ShiftEvents, Words
from replay.log_columns import Dictionaries, LogColumns
from replay.log_reader import names_by_kind, read_ahead, read_lines
from replay.segments import (
    NAME_KINDS,
    NAMES,
    OTHER_EVENTS,
    SHIFT_EVENTS,
    SHIFTS,
    NewNames,
    folder_name,
    read_columns,
    read_names,
    read_shifts,
    write_segment,
)

_T = TypeVar("_T")

FORMAT = 1
SEGMENT_EVENTS = 1 << 18
"""Events in a whole segment: what a growing archive rewrites at most (half a second), and few enough files at 12
million events.
"""

LOCK_SECONDS_MAX = 60.0
"""How long to wait for another archiver: a growing archive takes a second; one that is made anew may take longer."""
READERS_SECONDS_MAX = 600.0
"""How long a replaced segment stays on disk: longer than anybody reads facts."""
_UNFINISHED = "new-"

Progress = Callable[[int, int], None]
"""Told how many events are done, and of how many."""


class ArchiveError(Exception):
    """The archive cannot be used as it is; the message names the folder and the way out."""


class ArchiveDisagreesError(ArchiveError):
    """The archive and the log tell different stories."""


class ArchiveDamagedError(ArchiveError):
    """A file of the archive is missing or damaged."""


class ArchiveBusyError(ArchiveError):
    """Another process is writing to the archive."""


@dataclass(frozen=True)
class Segment:
    """A line of the manifest. `digest` is SHA-256 of the log's lines, `tail` that of the last line."""

    first: int
    last: int
    shift_events: int
    other_events: int
    shifts: int
    digest: str
    tail: str

    @property
    def folder(self) -> str:
        return folder_name(self.first, self.last)


class Archive:
    """The archive of one ledger in one folder."""

    def __init__(self, folder: Path, ledger: UUID) -> None:
        """Open an archive, or begin one where the folder has none.

        Raises:
            ArchiveDisagreesError: the folder holds another ledger's archive.
            ArchiveDamagedError: the manifest cannot be read.
        """
        self.folder = folder
        self.ledger = ledger
        self.segments: list[Segment] = []
        folder.mkdir(parents=True, exist_ok=True)
        self._read_manifest()

    @property
    def position(self) -> int:
        """The last position the archive holds; 0 if none."""
        return self.segments[-1].last if self.segments else 0

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
            self._read_manifest()
            self._check_tail(database)
            head = database.log.head()
            kept = [segment for segment in self.segments if segment.last % SEGMENT_EVENTS == 0]
            after = kept[-1].last if kept else 0
            if head == self.position:
                return head
            names = self._dictionaries(kept)
            ranges = [(low, min(low + SEGMENT_EVENTS, head)) for low in range(after, head, SEGMENT_EVENTS)]
            for columns, new in read_ahead(database, ranges, names):
                segment = self._write(columns, new)
                kept.append(segment)
                self._publish(kept)
                if progress:
                    progress(segment.last, head)
            self._sweep()
            return head

    def rebuild(self, database: Database, progress: Progress | None = None) -> int:
        """Forget what is there and read the whole log anew. Returns the position reached."""
        with self._locked():
            self.segments = []
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
            self.ledger = database.log.identity()
            return self.rebuild(database, progress)

    def verify(self, database: Database, progress: Progress | None = None) -> None:
        """Compare every segment with the log, byte for byte by digest, and read every file.

        Raises:
            ArchiveDisagreesError, ArchiveDamagedError: with the positions concerned.
        """
        self._check_tail(database)
        for segment in self.segments:
            lines = read_lines(database, segment.first - 1, segment.last)
            if sha256(lines).hexdigest() != segment.digest:
                raise self._disagrees(f"positions {segment.first} to {segment.last} differ from the log")
            if progress:
                progress(segment.last, self.position)
        self.facts()

    def _check_tail(self, database: Database) -> None:
        if not self.segments:
            return
        if database.log.identity() != self.ledger:
            raise self._disagrees("it belongs to another ledger")
        head = database.log.head()
        if head < self.position:
            raise self._disagrees(f"it holds {self.position} events, the log only {head}")
        line = read_lines(database, self.position - 1, self.position)
        if sha256(line).hexdigest() != self.segments[-1].tail:
            raise self._disagrees(f"its event {self.position} is not the log's")

    def _disagrees(self, why: str) -> ArchiveDisagreesError:
        return ArchiveDisagreesError(
            f"the archive in {self.folder} disagrees with the log: {why}; "
            "`hours rebuild --archive-anew` makes a new one"
        )

    def _write(self, columns: LogColumns, new: NewNames) -> Segment:
        shift_events, other_events = columns.shift_events, columns.other_events
        edges = [
            int(table.position[end]) for table in (shift_events, other_events) if len(table.code) for end in (0, -1)
        ]
        segment = Segment(
            first=min(edges),
            last=max(edges),
            shift_events=len(shift_events.code),
            other_events=len(other_events.code),
            shifts=len(new.shift_low),
            digest=columns.digest,
            tail=columns.last_line,
        )
        temporary = self.folder / f"{_UNFINISHED}{segment.folder}"
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            temporary.mkdir()
            write_segment(temporary, shift_events, columns.shift_volunteer, other_events, new)
            shutil.rmtree(self.folder / segment.folder, ignore_errors=True)  # left over by a crash before the manifest
            temporary.rename(self.folder / segment.folder)
        except OSError as error:
            shutil.rmtree(temporary, ignore_errors=True)
            raise ArchiveError(
                f"could not write positions {segment.first} to {segment.last} to {self.folder}: {error.strerror}; "
                "the archive stays as it was: make room and try again"
            ) from error
        return segment

    def _publish(self, segments: list[Segment]) -> None:
        """Replace the manifest: from here on these segments count."""
        text = json.dumps(
            {"format": FORMAT, "ledger": str(self.ledger), "segments": [asdict(segment) for segment in segments]},
            indent=1,
        )
        temporary = self.folder / "manifest.new"
        with temporary.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(self.folder / "manifest.json")
        descriptor = os.open(self.folder, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
        self.segments = list(segments)

    def _read_manifest(self) -> None:
        path = self.folder / "manifest.json"
        try:
            manifest = json.loads(path.read_text())
            segments = [Segment(**line) for line in manifest["segments"]]
            ledger, version = UUID(manifest["ledger"]), manifest["format"]
        except FileNotFoundError:
            self.segments = []  # it was never made, or somebody removed it, which is allowed
            return
        except (ValueError, KeyError, TypeError) as error:
            raise self._damaged(path, error) from error
        if version != FORMAT:
            raise ArchiveDamagedError(f"{path} has format {version}, this program reads {FORMAT}; delete {self.folder}")
        if ledger != self.ledger and segments:
            raise self._disagrees("it belongs to another ledger")
        self.segments = segments

    def _damaged(self, path: Path, error: Exception) -> ArchiveDamagedError:
        return ArchiveDamagedError(
            f"{path} is missing or damaged ({error}); `hours rebuild --archive-anew` makes a new archive from the log"
        )

    def _sweep(self) -> None:
        """Remove folders that no longer count; a replaced one stays for a while, for those who are reading it."""
        known = {segment.folder for segment in self.segments}
        for path in self.folder.iterdir():
            if path.is_dir() and path.name not in known:
                age_seconds = time.time() - path.stat().st_mtime
                if path.name.startswith(_UNFINISHED) or age_seconds > READERS_SECONDS_MAX:
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

    def _dictionaries(self, segments: list[Segment]) -> Dictionaries:
        names = Dictionaries.empty()
        by_kind = names_by_kind(names)
        for segment in segments:
            folder = self.folder / segment.folder
            for kind, texts in self._guard(folder / NAMES, read_names).items():
                for text in texts:
                    by_kind[kind].add(text)
            names.shifts.add(*self._guard(folder / SHIFTS, read_shifts))
        return names

    # --- reading ----------------------------------------------------------------------------------------------------

    def facts(self, until: int | None = None, threads: int = 2) -> Facts:
        """Read the events up to a position (the axis `known_at`), all if it is None.

        Raises:
            ArchiveDamagedError: a file is missing or damaged.
        """
        seen = self.segments
        try:
            return self._facts(until, threads)
        except ArchiveDamagedError:
            self._read_manifest()
            if self.segments == seen:
                raise
            return self._facts(until, threads)  # the archive grew while we read, and replaced its partial segment

    def _facts(self, until: int | None, threads: int) -> Facts:
        known = self.position if until is None else until
        if known > self.position:
            raise ArchiveError(
                f"the archive in {self.folder} ends at position {self.position}, before {known}: "
                "it is being made anew; try again when that is done"
            )
        segments = [segment for segment in self.segments if segment.first <= known]
        shift_events = _allocate(ShiftEvents, sum(segment.shift_events for segment in segments))
        other_events = _allocate(OtherEvents, sum(segment.other_events for segment in segments))
        shift_volunteer = np.empty(sum(segment.shifts for segment in segments), np.int32)
        names = Dictionaries.empty()
        by_kind = names_by_kind(names)

        def load(segment: Segment, at: tuple[int, int, int]) -> dict[str, list[str]]:
            folder = self.folder / segment.folder
            self._load(folder / SHIFT_EVENTS, ShiftEvents._fields, shift_events, at[0], segment.shift_events)
            self._load(folder / OTHER_EVENTS, OtherEvents._fields, other_events, at[1], segment.other_events)
            volunteer = self._guard(folder / SHIFTS, lambda path: read_columns(path, ["volunteer"]))["volunteer"]
            shift_volunteer[at[2] : at[2] + segment.shifts] = volunteer
            return self._guard(folder / NAMES, read_names)

        with ThreadPoolExecutor(threads) as pool:
            for added in pool.map(load, segments, _offsets(segments)):
                for kind in NAME_KINDS:
                    for text in added[kind]:
                        by_kind[kind].add(text)
        facts = Facts(
            shift_events=ShiftEvents(**shift_events),
            other_events=OtherEvents(**other_events),
            shift_volunteer=shift_volunteer,
            volunteers=names.volunteers,
            stations=names.stations,
            projects=names.projects,
            raise_ids=names.keys,
            shift_keys=partial(self._shift_keys, segments),
        )
        return facts if known >= self.position else known_until(facts, known)

    def _shift_keys(self, segments: list[Segment], shifts: Ints) -> tuple[Words, Words]:
        """Return the ids of shifts as uint64 halves, high and low; of all segments that were there when facts were
        read.
        """
        parts = [self._guard(self.folder / segment.folder / SHIFTS, read_shifts)[1:] for segment in segments]
        high = np.concatenate([part[0] for part in parts])
        low = np.concatenate([part[1] for part in parts])
        return high[shifts], low[shifts]

    def _load(self, path: Path, columns: tuple[str, ...], target: dict[str, Array], at: int, rows: int) -> None:
        for name, values in self._guard(path, lambda path: read_columns(path, list(columns))).items():
            if len(values) != rows:
                raise self._damaged(path, ValueError(f"{len(values)} rows instead of {rows}"))
            target[name][at : at + rows] = values

    def _guard(self, path: Path, read: Callable[[Path], _T]) -> _T:
        try:
            return read(path)
        except (OSError, pa.ArrowException) as error:
            raise self._damaged(path, error) from error


def known_until(facts: Facts, position: int) -> Facts:
    """Return the facts as they were known at a position; surrogates stay what they are."""
    shift_rows = int(np.searchsorted(facts.shift_events.position, position, side="right"))
    other_rows = int(np.searchsorted(facts.other_events.position, position, side="right"))
    return replace(
        facts,
        shift_events=ShiftEvents._make(column[:shift_rows] for column in facts.shift_events),
        other_events=OtherEvents._make(column[:other_rows] for column in facts.other_events),
    )


def _offsets(segments: list[Segment]) -> list[tuple[int, int, int]]:
    """Return where each segment's rows begin: events of shifts, other events, shifts."""
    offsets, at = [], (0, 0, 0)
    for segment in segments:
        offsets.append(at)
        at = at[0] + segment.shift_events, at[1] + segment.other_events, at[2] + segment.shifts
    return offsets


def _allocate(table: type[ShiftEvents | OtherEvents], rows: int) -> dict[str, Array]:
    return {name: np.empty(rows, DTYPES.get(name, np.int32)) for name in table._fields}
