"""The archivist: updates and checks the archive while the ledger runs.

It brings the archive up to date when the log is a given number of events ahead, or when an event has waited a given
time; replays may also do so in between. At intervals it compares one span (a million events) with the log and with its
checksums, span after span. If a file is damaged, and the log has all that the manifest has, it builds a new archive.
If the archive disagrees with the log, it replaces nothing: it records the first differing position, and the archive
stays as it is until an operator decides. One process of a ledger runs the archivist; when that process ends, another
takes over.

An error does not stop the archivist: `alert` describes it while it lasts, and the archivist tries again.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import IO

import psycopg

from ledger.store.database import Database
from replay.archive.archive import Archive
from replay.archive.checking import check_span
from replay.archive.folder import ARCHIVIST
from replay.archive.log_reader import HoleError
from replay.archive.manifest import ArchiveBusyError, ArchiveDamagedError, ArchiveDisagreesError
from replay.locks import lock_if_free
from replay.progress import StoppedError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Policy:
    """When the archivist acts.

    At 2,000 events a second it archives every fifty seconds; at low rates, every five minutes. Each time it reads the
    dictionaries again, which takes a fifth of a second per million shifts. Keeping them in memory would take 40 to 60
    bytes per shift, growing with the ledger.
    """

    events_behind_max: int = 100_000
    seconds_behind_max: float = 300.0
    poll_seconds: float = 5.0
    check_seconds: float = 600.0
    retry_seconds_max: float = 300.0


POLICY = Policy()


class Archivist:
    """Updates and checks one ledger's archive. `alert` describes what is wrong with it, or is None."""

    def __init__(self, database: Database, archive: Archive, policy: Policy = POLICY) -> None:
        self._database = database
        self._archive = archive
        self._policy = policy
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock_file: IO[str] | None = None
        self._waiting_since: float | None = None
        self._checked_at = time.monotonic()
        self._span = 0
        self.alert: str | None = None

    def start(self) -> None:
        """Start the archivist's thread."""
        self._thread = threading.Thread(target=self._run, name="archivist", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop, discarding a segment that is being written."""
        self._stop.set()
        if self._thread:
            self._thread.join()
        if self._lock_file:
            self._lock_file.close()

    def _run(self) -> None:
        pause = 1.0
        while not self._stop.is_set():
            wait = self._policy.poll_seconds
            try:
                self.run_once()
                self.alert, pause = None, 1.0
            except StoppedError:
                return
            except ArchiveBusyError:
                pass  # another process is updating the archive
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                logger.warning("the archivist lost its database connection and will retry: %s", error)
            except (ArchiveDisagreesError, HoleError) as error:
                if self.alert != str(error):
                    logger.exception("the archive is left as it is, and does not grow")
                self.alert = str(error)
            except Exception as error:  # readers and the log are not affected by any error here
                if self.alert is None:
                    logger.exception("the archive cannot grow")
                self.alert = f"the archive cannot grow: {error}"
                wait, pause = pause, min(2 * pause, self._policy.retry_seconds_max)
            self._stop.wait(wait)

    def run_once(self) -> None:
        """Update or check the archive, if either is due."""
        if not self._holds_lock():
            return
        self._archive.require_agreement()
        if self._is_due():
            self._archive.bring_up_to_date(self._database, self._progress)
            self._waiting_since = None
        if time.monotonic() - self._checked_at > self._policy.check_seconds:
            self._check()
            self._checked_at = time.monotonic()

    def _holds_lock(self) -> bool:
        """Return whether this process runs the archivist. The lock is released when the process ends."""
        if self._lock_file is None:
            self._archive.folder.mkdir(parents=True, exist_ok=True)
            self._lock_file = lock_if_free(self._archive.folder / ARCHIVIST)
        return self._lock_file is not None

    def _is_due(self) -> bool:
        """Return whether the archive has to be updated."""
        try:
            self._archive.refresh()
        except ArchiveDamagedError:
            return True
        behind = self._database.log.head() - self._archive.position
        if behind == 0:
            self._waiting_since = None
            return False
        if self._waiting_since is None:
            self._waiting_since = time.monotonic()
        waited = time.monotonic() - self._waiting_since
        return behind < 0 or behind >= self._policy.events_behind_max or waited >= self._policy.seconds_behind_max

    def _check(self) -> None:
        """Check the next span of the archive; after the last one, start again at the first."""
        findings = check_span(self._archive, self._database, self._span, self._progress)
        self._span = self._span + 1 if findings is not None else 0
        if findings:
            self._archive.verify_log(self._database, self._progress)
            logger.warning("rebuilding the archive: %s", findings[0])
            self._archive.rebuild(self._database, self._progress)

    def _progress(self, _stage: str, _done: int, _total: int) -> None:
        if self._stop.is_set():
            raise StoppedError
