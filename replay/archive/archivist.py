"""The archivist: lets the archive grow by itself while the ledger runs, and looks after it.

It brings the archive up to the log when that is so many events ahead, or when an event has waited so long; replays in
between bring it up themselves, and it does not mind. Every now and then it holds a million events of the archive to the
log, in turn, and all files to their checksums; an archive that is damaged or disagrees is made anew from the log,
beside the old one. Of all processes of a ledger one has an archivist at work; another takes over when that ends.

Errors stop nothing: `alert` says what is wrong for as long as it is, and the archivist tries again.
"""

from __future__ import annotations

import fcntl
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
from replay.archive.manifest import ArchiveBusyError, ArchiveDamagedError
from replay.progress import StoppedError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Policy:
    """When the archivist acts.

    At 2,000 events a second it archives every fifty seconds; where little happens, every five minutes. Each time it
    reads the dictionaries anew: a fifth of a second a million shifts, against 40 to 60 bytes a shift of memory if they
    were kept, so that a server grew by its ledger's length.
    """

    events_behind_max: int = 100_000
    seconds_behind_max: float = 300.0
    look_seconds: float = 5.0
    check_seconds: float = 600.0
    retry_seconds_max: float = 300.0


POLICY = Policy()


class Archivist:
    """Looks after one ledger's archive. `alert` says what is wrong with it, if anything is."""

    def __init__(self, database: Database, archive: Archive, policy: Policy = POLICY) -> None:
        self._database = database
        self._archive = archive
        self._policy = policy
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._turn: IO[str] | None = None
        self._waiting_since: float | None = None
        self._checked_at = time.monotonic()
        self._span = 0
        self.alert: str | None = None

    def start(self) -> None:
        """Look after the archive in a thread of its own."""
        self._thread = threading.Thread(target=self._run, name="archivist", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop; what is being written is thrown away."""
        self._stop.set()
        if self._thread:
            self._thread.join()
        if self._turn:
            self._turn.close()

    def _run(self) -> None:
        pause = 1.0
        while not self._stop.is_set():
            wait = self._policy.look_seconds
            try:
                self.look()
                self.alert, pause = None, 1.0
            except StoppedError:
                return
            except ArchiveBusyError:
                pass  # it grows, then
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                logger.warning("the archivist lost the database, trying again: %s", error)
            except Exception as error:  # whatever it is, readers are served and the log is whole
                if self.alert is None:
                    logger.exception("the archive does not grow")
                self.alert = f"the archive does not grow: {error}"
                wait, pause = pause, min(2 * pause, self._policy.retry_seconds_max)
            self._stop.wait(wait)

    def look(self) -> None:
        """Do what is due."""
        if not self._has_turn():
            return
        if self._is_due():
            self._archive.bring_up_to_date(self._database, self._progress)
            self._waiting_since = None
        if time.monotonic() - self._checked_at > self._policy.check_seconds:
            self._check()
            self._checked_at = time.monotonic()

    def _has_turn(self) -> bool:
        """Return whether this process is the one whose archivist works; its lock is free when it ends."""
        if self._turn is None:
            self._archive.folder.mkdir(parents=True, exist_ok=True)
            file = (self._archive.folder / ARCHIVIST).open("w")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
                return False
            self._turn = file
        return True

    def _is_due(self) -> bool:
        """Return whether the archive is to be brought up to the log."""
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
        """Hold one span of the archive to the log, the next one in turn."""
        findings = check_span(self._archive, self._database, self._span, self._progress)
        self._span = self._span + 1 if findings is not None else 0
        if findings:
            logger.warning("the archive is made anew: %s", findings[0])
            self._archive.rebuild(self._database, self._progress)

    def _progress(self, _stage: str, _done: int, _in_all: int) -> None:
        if self._stop.is_set():
            raise StoppedError
