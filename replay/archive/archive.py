"""The archive: the log as Parquet segments on disk, from which replays start.

It holds nothing the log does not hold, so it may be deleted at any time; and it holds enough for a replay without the
log, so it may be copied elsewhere. Segments are written beside and renamed; the manifest, replaced atomically, says
which of them count. An archive that disagrees with the log (a restored database, say) or is damaged is refused, never
mended in place: a new one is made beside it and takes its place at once.

    replay/archive/manifest.py      which segments count, and the errors
    replay/archive/segments.py      the files of a segment
    replay/archive/open_archive.py  reading what the manifest names
    replay/archive/reader.py        from files to facts
    replay/archive/growth.py        appending and merging segments
    replay/archive/folder.py        the lock, unfinished segments, sweeping
    replay/archive/checking.py      holding an archive to the log and to its checksums
    replay/archive/copying.py       copying it elsewhere
    replay/archive/archivist.py     letting it grow while the ledger runs
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Sequence
from typing import TypeVar

from ledger.store.database import Database
from projections.kernels.facts import Facts
from replay.archive.folder import UNFINISHED, finish, locked, not_written, sweep
from replay.archive.growth import Growth, merge
from replay.archive.log_columns import Dictionaries
from replay.archive.log_reader import read_range
from replay.archive.manifest import (
    ArchiveDamagedError,
    ArchiveDisagreesError,
    ArchiveError,
    ForeignArchiveError,
    Manifest,
    Segment,
    next_edition,
    write_manifest,
)
from replay.archive.open_archive import OpenArchive
from replay.archive.reader import read_dictionaries
from replay.progress import Progress, ignore

_T = TypeVar("_T")

logger = logging.getLogger(__name__)


class Archive(OpenArchive):
    """The archive of one ledger in one folder. Any thread may use it."""

    # --- growing ----------------------------------------------------------------------------------------------------

    def catch_up(self, database: Database, progress: Progress = ignore) -> int:
        """Append what the log holds beyond the archive, and return the position reached.

        Raises:
            ArchiveDisagreesError: the log does not hold what the archive's end says; see `rebuild`.
            ArchiveBusyError: another process is at it.
            ArchiveError: a segment could not be written (a full disk); the archive stays as it was.
            replay.progress.StoppedError: from `progress`; what was published before stays.
        """
        with locked(self.folder, progress):
            self.refresh()
            self._check_end(database)
            head = database.log.head()
            if head > self.position:
                names = read_dictionaries(self.folder, self.segments)
                growth = Growth(self.folder, database, self.manifest.edition, progress)
                for segment in growth.appended(self.position, head, names):
                    self._publish([*self.segments, segment])
                self._merge(growth)
                sweep(self.folder, {segment.folder for segment in self.segments})
            return head

    def _merge(self, growth: Growth) -> None:
        """Merge what adds up. The archive is whole without it, so a full disk only leaves it for the next time."""
        try:
            merge(growth, self.segments, self._publish)
        except (ArchiveDamagedError, ArchiveDisagreesError):
            raise
        except ArchiveError as error:
            logger.warning("segments of the archive stay small: %s", error)

    def rebuild(self, database: Database, progress: Progress = ignore) -> int:
        """Read the whole log anew, beside what is there, which serves readers until the new archive takes its place.

        Returns the position reached. Whatever ends it early leaves the old one as it was. Raises as `catch_up`.
        """
        with locked(self.folder, progress):
            edition, head = next_edition(self.folder), database.log.head()
            growth = Growth(self.folder, database, edition, progress)
            names = Dictionaries.empty()
            try:
                segments = list(growth.appended(0, head, names))
                self._publish(segments, Manifest(database.log.identity(), (), edition))
            except BaseException:
                shutil.rmtree(self.folder / UNFINISHED, ignore_errors=True)
                raise
            self._unread = False
            sweep(self.folder, {segment.folder for segment in segments})
            return head

    def bring_up_to_date(self, database: Database, progress: Progress = ignore) -> int:
        """Catch up; where the archive disagrees with the log or is damaged, rebuild it from the log, which is the
        truth. Another ledger's archive is left alone.
        """
        return self._mended(database, progress, lambda: self.catch_up(database, progress))

    def facts_from(self, database: Database, until: int | None = None, progress: Progress = ignore) -> Facts:
        """Return the facts up to a position (the log's head, if it is None) from an archive that is brought up to it
        first; a file that turns out to be damaged is no reason not to answer: the archive is made anew.
        """

        def read() -> Facts:
            if until is None or until > self.position:
                self.catch_up(database, progress)
            return self.facts(until)

        return self._mended(database, progress, read)

    def _mended(self, database: Database, progress: Progress, work: Callable[[], _T]) -> _T:
        try:
            return work()
        except ForeignArchiveError:
            raise
        except (ArchiveDisagreesError, ArchiveDamagedError) as error:
            logger.warning("the archive is made anew: %s", error)
            self.rebuild(database, progress)
            return work()

    def _check_end(self, database: Database) -> None:
        """Compare the ledger and the last event: enough to notice a log that was restored or cut."""
        if database.log.identity() != self.manifest.ledger:
            raise ForeignArchiveError(self.folder)
        if self.manifest.end is None:
            return
        head = database.log.head()
        if head < self.position:
            why = f"it holds {self.position} events, the log only {head}"
            raise ArchiveDisagreesError(self.folder, why)
        if read_range(database, self.position - 1, self.position).digest != self.manifest.end.end:
            raise ArchiveDisagreesError(self.folder, f"its event {self.position} is not the log's")

    def _publish(self, segments: Sequence[Segment], manifest: Manifest | None = None) -> None:
        """Let these segments count, in the place of those that do; those that were just written move to their place."""
        before = manifest or self.manifest
        for segment in segments:
            if segment not in before.segments:
                finish(self.folder, segment.folder)
        manifest = Manifest(before.ledger, tuple(segments), before.edition)
        try:
            write_manifest(self.folder, manifest)
        except OSError as error:
            raise not_written(self.folder, error) from error
        self.manifest = manifest
