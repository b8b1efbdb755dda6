"""The archive: the log as Parquet segments on disk, from which replays start.

It contains nothing that is not in the log, so it may be deleted at any time, and everything a replay needs, so a copy
can be replayed without the log. Segments are written under another name and renamed; the manifest, which is replaced
atomically, lists the valid ones. An archive that is damaged is refused and never repaired in place: a new archive is
built next to it and then replaces it, if the log still has the digests in the manifest. An archive that disagrees with
the log (an event was changed in the database, or an older backup restored) is evidence: it is refused, stops growing,
and is replaced only when an operator says so; it is then kept beside the new one.

    replay/archive/manifest.py      the list of valid segments, and the errors
    replay/archive/segments.py      the files of a segment
    replay/archive/open_archive.py  reading the segments of the manifest
    replay/archive/reader.py        from files to facts
    replay/archive/growth.py        appending and merging segments
    replay/archive/folder.py        the lock, unfinished segments, removing obsolete ones
    replay/archive/checking.py      comparing an archive with the log and with its checksums
    replay/archive/agreement.py     whether log and archive agree; the record of a disagreement
    replay/archive/copying.py       copying an archive elsewhere
    replay/archive/archivist.py     updating the archive while the ledger runs
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn, TypeVar

from ledger.store.database import Database
from ledger.store.log_queries import LogQueries
from projections.kernels.facts import Facts
from replay.archive.agreement import clear, compare, differing_part, record, recorded, require_agreement
from replay.archive.checking import Finding
from replay.archive.folder import UNFINISHED, finish, has_segments, keep_beside, locked, sweep, write_error
from replay.archive.growth import Growth, merge
from replay.archive.log_columns import Dictionaries
from replay.archive.log_reader import HoleError
from replay.archive.manifest import (
    MANIFEST,
    REMEDY,
    ArchiveDamagedError,
    ArchiveDisagreesError,
    ArchiveError,
    ForeignArchiveError,
    Manifest,
    Segment,
    next_edition,
    read_manifest,
    readable_parts,
    write_manifest,
)
from replay.archive.open_archive import OpenArchive
from replay.archive.reader import read_dictionaries
from replay.progress import Progress, ignore

_T = TypeVar("_T")

logger = logging.getLogger(__name__)


class Archive(OpenArchive):
    """The archive of one ledger in one folder. Any thread may use it. `kept`: where the last `rebuild` kept the archive
    that it replaced.
    """

    kept: Path | None = None
    _foreign = False

    # --- growing ----------------------------------------------------------------------------------------------------

    def catch_up(self, database: Database, progress: Progress = ignore) -> int:
        """Append the events that the archive does not have yet, and return the position reached.

        Raises:
            ArchiveDisagreesError: the log differs from the archive at the archive's end, or a disagreement is recorded.
            ArchiveBusyError: another process is writing to the archive.
            ArchiveError: a segment could not be written (a full disk); the archive is unchanged.
            replay.progress.StoppedError: from `progress`; segments published before it remain.
        """
        with locked(self.folder, progress):
            self.refresh()
            if read_manifest(self.folder) is None and has_segments(self.folder):
                raise ArchiveDamagedError(f"{self.folder / MANIFEST} is missing, but there are segments; {REMEDY}")
            require_agreement(self.folder)
            self._check_end(database)
            head = database.log.head()
            if head > self.position:
                with self._recording(database):
                    self._grow(database, head, progress)
            return head

    def _grow(self, database: Database, head: int, progress: Progress) -> None:
        names = read_dictionaries(self.folder, self.segments)
        growth = Growth(self.folder, database, self.manifest.edition, progress)
        for segment in growth.appended(self.position, head, names):
            self._publish([*self.segments, segment])
        self._merge(growth)
        sweep(self.folder, {segment.folder for segment in self.segments})

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

    def rebuild(self, database: Database, progress: Progress = ignore, *, replace_disagreeing: bool = False) -> int:
        """Build a new archive from the whole log, and return the position reached. An old archive that disagrees with
        the log, or whose manifest cannot be read, is kept beside the new one, in the folder `kept`.

        Readers use the old archive until the new one replaces it. If the rebuild fails, the old one is unchanged.
        Raises as `catch_up`.

        Args:
            replace_disagreeing: also replace an archive that disagrees with the log.
        """
        with locked(self.folder, progress):
            comparable = self._comparable()
            agrees = comparable is not None and self._agrees(database, comparable, progress)
            if comparable is not None and not agrees and not replace_disagreeing:
                self._raise_disagreement(database, comparable)
            edition, head = next_edition(self.folder), database.log.head()
            self.kept = None
            growth = Growth(self.folder, database, edition, progress)
            names = Dictionaries.empty()
            try:
                segments = list(growth.appended(0, head, names))
                if not agrees and has_segments(self.folder):
                    self.kept = keep_beside(self.folder)
                    logger.warning("the replaced archive is kept in %s", self.kept)
                self._publish(segments, Manifest(database.log.identity(), (), edition))
            except BaseException:
                shutil.rmtree(self.folder / UNFINISHED, ignore_errors=True)
                raise
            self._unread = False
            clear(self.folder)
            sweep(self.folder, {segment.folder for segment in segments})
            return head

    def bring_up_to_date(self, database: Database, progress: Progress = ignore) -> int:
        """Catch up; if the archive is damaged, rebuild it first. Raises as `catch_up`."""
        return self._with_rebuild(database, progress, lambda: self.catch_up(database, progress))

    def facts_from(self, database: Database, until: int | None = None, progress: Progress = ignore) -> Facts:
        """Return the facts up to a position (the log's head, if it is None), after catching up to it. If the archive
        is damaged, rebuild it and try again. Raises as `catch_up`.
        """

        def read() -> Facts:
            if until is None or until > self.position:
                self.catch_up(database, progress)
            return self.facts(until)

        return self._with_rebuild(database, progress, read)

    def _with_rebuild(self, database: Database, progress: Progress, work: Callable[[], _T]) -> _T:
        try:
            return work()
        except ArchiveDamagedError as error:
            logger.warning("rebuilding the archive: %s", error)
            self.rebuild(database, progress)
            return work()

    # --- agreeing with the log --------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Read the manifest again. Raises as `OpenArchive.refresh`."""
        self._foreign = False
        try:
            super().refresh()
        except ForeignArchiveError:
            self._foreign = True
            raise

    def disagreement(self) -> Finding | None:
        """Return the recorded disagreement with the log, None if there is none."""
        if self._foreign:
            return Finding(1, max(self.position, 1), "it belongs to another ledger")
        return recorded(self.folder)

    def _require_own(self, database: Database, manifest: Manifest) -> None:
        self._foreign = database.log.identity() != manifest.ledger
        if self._foreign:
            raise ForeignArchiveError(self.folder)

    def require_agreement(self) -> None:
        """Refuse an archive with a recorded disagreement.

        Raises:
            ArchiveDisagreesError
        """
        require_agreement(self.folder)

    def verify_log(self, database: Database, progress: Progress = ignore) -> int:
        """Compare the log with the digests of the whole archive, and return how many events were compared. A
        difference is recorded.

        Raises:
            ArchiveDisagreesError: they differ; it names the first position. ArchiveDamagedError: no manifest.
        """
        self.refresh()
        self._require_own(database, self.manifest)
        finding = compare(self, self.manifest, database, progress)
        if finding is not None:
            self._record(finding)
            raise ArchiveDisagreesError(self.folder, finding.what, finding.first, finding.last)
        return self.position

    def end_agrees(self, log: LogQueries) -> bool:
        """Return whether the log has the archive's last event, unchanged: the part of `verify_log` that takes no
        time.
        """
        end = self.manifest.end
        return end is None or log.digest(self.position - 1, self.position) == end.end

    def _check_end(self, database: Database) -> None:
        """Compare the ledger and the last event, which is enough to detect a restored or truncated log."""
        self._require_own(database, self.manifest)
        if not self.end_agrees(database.log):
            self._raise_disagreement(database, self.manifest)

    def _raise_disagreement(self, database: Database, manifest: Manifest) -> NoReturn:
        """Find the first position at which the log differs from a manifest, record it, and raise the error."""
        self._require_own(database, manifest)
        position = manifest.position
        finding = compare(self, manifest, database) or Finding(position, position, f"event {position} differs")
        self._record(finding)
        raise ArchiveDisagreesError(self.folder, finding.what, finding.first, finding.last)

    @contextmanager
    def _recording(self, database: Database) -> Iterator[None]:
        """Record a disagreement, or a hole in the log, that is found while the archive grows."""
        try:
            yield
        except ArchiveDisagreesError as error:
            self._record(Finding(error.first, error.last, error.why))
            raise
        except HoleError as error:
            missing = database.log.first_missing(error.after, error.until) or error.until
            self._record(Finding(missing, missing, f"position {missing} of the log holds no event"))
            raise

    def _record(self, finding: Finding) -> None:
        """Record a disagreement. It is raised as well, so a full disk hides nothing."""
        logger.error("the archive disagrees with the log: %s", finding.what)
        with suppress(ArchiveError):
            record(self.folder, finding)

    def _comparable(self) -> Manifest | None:
        """Return the manifest, or what can be read of a damaged one; None if there is nothing to compare."""
        try:
            return read_manifest(self.folder)
        except ArchiveDamagedError:
            return readable_parts(self.folder)

    def _agrees(self, database: Database, manifest: Manifest, progress: Progress) -> bool:
        """Return whether the log has everything that a manifest has."""
        log = database.log
        if log.identity() != manifest.ledger or log.head() < manifest.position:
            return False
        return differing_part(manifest, database, manifest.position, progress) is None

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
