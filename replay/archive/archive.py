"""The archive: the log as Parquet segments on disk, from which replays start.

It contains nothing that is not in the log, so it may be deleted at any time, and everything a replay needs, so a copy
can be replayed without the log. Segments are written under another name and renamed; the manifest, which is replaced
atomically, lists the valid ones. An archive that is damaged or disagrees with the log (after the database was restored,
for example) is refused and never repaired in place: a new archive is built next to it and then replaces it.

    replay/archive/manifest.py      the list of valid segments, and the errors
    replay/archive/segments.py      the files of a segment
    replay/archive/open_archive.py  reading the segments of the manifest
    replay/archive/reader.py        from files to facts
    replay/archive/growth.py        appending and merging segments
    replay/archive/folder.py        the lock, unfinished segments, removing obsolete ones
    replay/archive/checking.py      comparing an archive with the log and with its checksums
    replay/archive/copying.py       copying an archive elsewhere
    replay/archive/archivist.py     updating the archive while the ledger runs
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Sequence
from typing import TypeVar

from ledger.store.database import Database
from projections.kernels.facts import Facts
from replay.archive.folder import UNFINISHED, finish, locked, sweep, write_error
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
        """Append the events that the archive does not have yet, and return the position reached.

        Raises:
            ArchiveDisagreesError: the log differs from the archive at the archive's end; see `rebuild`.
            ArchiveBusyError: another process is writing to the archive.
            ArchiveError: a segment could not be written (a full disk); the archive is unchanged.
            replay.progress.StoppedError: from `progress`; segments published before it remain.
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
        """Merge small segments. The archive is complete without that, so after an error (a full disk) the next call
        tries again.
        """
        try:
            merge(growth, self.segments, self._publish)
        except (ArchiveDamagedError, ArchiveDisagreesError):
            raise
        except ArchiveError as error:
            logger.warning("could not merge segments of the archive: %s", error)

    def rebuild(self, database: Database, progress: Progress = ignore) -> int:
        """Build a new archive from the whole log and return the position reached.

        Readers use the old archive until the new one replaces it. If the rebuild fails, the old one is unchanged.
        Raises as `catch_up`.
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
        """Catch up, or rebuild the archive if it is damaged or disagrees with the log. Never replace another ledger's
        archive.
        """
        return self._with_rebuild(database, progress, lambda: self.catch_up(database, progress))

    def facts_from(self, database: Database, until: int | None = None, progress: Progress = ignore) -> Facts:
        """Return the facts up to a position (the log's head, if it is None), after catching up to it. If the archive
        is damaged or disagrees with the log, rebuild it and try again.
        """

        def read() -> Facts:
            if until is None or until > self.position:
                self.catch_up(database, progress)
            return self.facts(until)

        return self._with_rebuild(database, progress, read)

    def _with_rebuild(self, database: Database, progress: Progress, work: Callable[[], _T]) -> _T:
        try:
            return work()
        except ForeignArchiveError:
            raise
        except (ArchiveDisagreesError, ArchiveDamagedError) as error:
            logger.warning("rebuilding the archive: %s", error)
            self.rebuild(database, progress)
            return work()

    def _check_end(self, database: Database) -> None:
        """Compare the ledger and the last event, which is enough to detect a restored or truncated log."""
        if database.log.identity() != self.manifest.ledger:
            raise ForeignArchiveError(self.folder)
        if self.manifest.end is None:
            return
        head = database.log.head()
        if head < self.position:
            why = f"it holds {self.position} events, the log only {head}"
            raise ArchiveDisagreesError(self.folder, why)
        if read_range(database, self.position - 1, self.position).digest != self.manifest.end.end:
            raise ArchiveDisagreesError(self.folder, f"event {self.position} differs")

    def _publish(self, segments: Sequence[Segment], manifest: Manifest | None = None) -> None:
        """Make these the valid segments: move new ones into place, then replace the manifest."""
        before = manifest or self.manifest
        for segment in segments:
            if segment not in before.segments:
                finish(self.folder, segment.folder)
        manifest = Manifest(before.ledger, tuple(segments), before.edition)
        try:
            write_manifest(self.folder, manifest)
        except OSError as error:
            raise write_error(self.folder, error) from error
        self.manifest = manifest
