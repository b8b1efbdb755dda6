"""An archive open for reading: facts, rules and positions from the segments in its manifest.

Other processes may merge segments or rebuild the archive meanwhile. A reader that does not find a file reads the
manifest again and starts over. Nothing here writes, so copies of archives are opened in the same way.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self, TypeVar
from uuid import UUID

from ledger.names import Position
from projections.kernels.facts import Facts
from projections.schema import Ints, Words
from replay.archive.manifest import (
    MANIFEST,
    ArchiveDamagedError,
    ArchiveError,
    ForeignArchiveError,
    Manifest,
    Segment,
    read_manifest,
)
from replay.archive.reader import count_recorded, read_facts, read_other_facts, read_rules_rows, read_shift_keys
from replay.archive.segments import PUBLISHED_ONLY, PUT_IN_FORCE, RulesRow
from replay.published import NoRulesError, Rules

_T = TypeVar("_T")


class OpenArchive:
    """The archive of one ledger in one folder. Any thread may use it."""

    def __init__(self, folder: Path, ledger: UUID) -> None:
        """Open an archive, which need not exist. Errors (a damaged archive, another ledger's) are raised on first
        use.
        """
        self.folder = folder
        self.manifest = Manifest(ledger)
        self._unread = True
        with suppress(ArchiveError):
            self.refresh()

    @classmethod
    def open_copy(cls, folder: Path) -> Self:
        """Open a copy of an archive, without a ledger.

        Raises:
            ArchiveError: the folder contains no archive, or a damaged one.
        """
        found = read_manifest(folder)
        if found is None:
            raise ArchiveError(f"there is no archive in {folder}: it has no {MANIFEST}; check the path")
        return cls(folder, found.ledger)

    @property
    def position(self) -> int:
        """The last position the archive holds; 0 if none."""
        return self.manifest.position

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The valid segments."""
        return self.manifest.segments

    @property
    def recorded_until(self) -> int | None:
        """When the last event was recorded, in epoch seconds; None without events."""
        return self.segments[-1].last_recorded_at if self.segments else None

    def bytes_on_disk(self) -> int:
        """Return the size of all segments."""
        return self.manifest.bytes

    def refresh(self) -> None:
        """Read the manifest again, which another process may have replaced.

        Raises:
            ForeignArchiveError: the archive belongs to another ledger.
            ArchiveDamagedError: the manifest cannot be read.
        """
        found = read_manifest(self.folder)
        if found is not None and found.ledger != self.manifest.ledger:
            raise ForeignArchiveError(self.folder)
        self.manifest = found or Manifest(self.manifest.ledger)
        self._unread = False

    def facts(self, until: int | None = None, threads: int = 2) -> Facts:
        """Read the events up to a position (the axis `known_at`), or all if it is None.

        Raises:
            ArchiveDamagedError: a file is missing or damaged. ArchiveError: the archive ends before that position.
        """
        return self.retried(lambda: self._facts(until, threads))

    def other_facts(self, until: int | None = None) -> Facts:
        """Read the facts but for shifts: all names, and the other events up to a position. Raises as `facts`."""
        return self.retried(lambda: read_other_facts(self.folder, *self._known(until)))

    def _facts(self, until: int | None, threads: int) -> Facts:
        segments, known = self._known(until)
        return read_facts(self.folder, segments, known, threads, self._shift_keys)

    def _known(self, until: int | None) -> tuple[list[Segment], int]:
        """Return the segments that hold what is known at a position, and the position."""
        manifest = self.manifest
        known = manifest.position if until is None else until
        if known > manifest.position:
            raise ArchiveError(
                f"the archive in {self.folder} ends at position {manifest.position}, before {known}: "
                "bring it up to date (`hours archive status`), or choose a known_at up to that position"
            )
        return [segment for segment in manifest.segments if segment.first <= known], known

    def _shift_keys(self, shifts: Ints) -> tuple[Words, Words]:
        """Return the ids of shifts as uint64 halves, high and low."""
        return self.retried(lambda: read_shift_keys(self.folder, self.segments, shifts))

    def rules(self, version: int | None = None, known_at: int | None = None) -> Rules:
        """Return a published version of the rules, by default the one in force at a position.

        Raises:
            NoRulesError: no rules, or not that version, had been published by then.
        """
        known = [row for row in self.rules_rows() if known_at is None or row.position <= known_at]
        if version is None:
            version = next((row.version for row in reversed(known) if row.act != PUBLISHED_ONLY), None)
        for row in known:
            if row.version == version and row.act != PUT_IN_FORCE:
                return Rules(row.version, row.digest, row.text)
        raise NoRulesError

    def published(self) -> list[Rules]:
        """Return all published rule timelines, in log order."""
        rows = self.rules_rows()
        return [Rules(row.version, row.digest, row.text) for row in rows if row.act != PUT_IN_FORCE]

    def rules_rows(self) -> list[RulesRow]:
        """Return what was published and put in force, in log order."""
        return self.retried(lambda: read_rules_rows(self.folder, self.segments))

    def position_at(self, instant: int) -> Position:
        """Return the last position recorded at or before an instant (epoch seconds); 0 if there is none."""
        return self.retried(lambda: self._position_at(instant))

    def _position_at(self, instant: int) -> Position:
        segments = self.segments
        begun = bisect_right([segment.first_recorded_at for segment in segments], instant)
        if begun == 0:
            return Position(0)
        last = segments[begun - 1]  # `recorded_at` never decreases, so earlier segments were recorded earlier
        if last.last_recorded_at <= instant:
            return Position(last.last)
        return Position(last.first - 1 + count_recorded(self.folder, last, instant))

    def retried(self, read: Callable[[], _T]) -> _T:
        """Read; if segments were merged meanwhile, read again."""
        while True:
            if self._unread:
                self.refresh()
            before = self.segments
            try:
                return read()
            except ArchiveDamagedError:
                self.refresh()
                if self.segments == before:
                    raise
