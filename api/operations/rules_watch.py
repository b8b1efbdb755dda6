"""The watch on the rules in force: a server whose read models have other rules builds or switches to theirs, as a job.

The event may have come from an approval, from another process, or from before the server started. While a generation is
being built or switched to anyway, here or by another program, the watch waits.
"""

from __future__ import annotations

import logging
import threading
import time

import psycopg

from api.operations.jobs import Job, Jobs, Task, TooManyJobsError
from ledger.store.database import Database
from replay.archive.archive import Archive
from replay.archive.manifest import ArchiveError
from replay.generations.obeying import due, is_being_changed, obey, state
from replay.progress import Progress

KIND = "obey-rules"
ACTOR = "system:rules"
POLL_SECONDS = 1.0
RETRY_SECONDS = 300.0
"""How long to wait before a job that failed or was stopped is started again, if nothing has changed meanwhile."""

logger = logging.getLogger(__name__)


class RulesWatch:
    """Starts a job when the rules in force are not those of the current generation."""

    def __init__(self, database: Database, archive: Archive, jobs: Jobs) -> None:
        self._database = database
        self._archive = archive
        self._jobs = jobs
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._settled: tuple[int, int] | None = None
        self._tried: tuple[int, int] | None = None
        self._retry_at = 0.0

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name="rules", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop watching; a job that runs goes on."""
        self._stop.set()
        if self._thread:
            self._thread.join()

    def check(self) -> Job | None:
        """Start a job if one is due, and return it."""
        if any(job.first and not job.ended for job in self._jobs.list()):
            return None
        now = state(self._database)
        if now == self._settled or is_being_changed(self._database):
            return None
        rules = due(self._database)
        if rules is None:
            self._settled = now
            return None
        if now == self._tried and time.monotonic() < self._retry_at:
            return None
        self._tried, self._retry_at = now, time.monotonic() + RETRY_SECONDS
        logger.info("the rules in force are not those that answer", extra={"fields": {"version": rules.version}})
        return self._jobs.start(Task(KIND, self._obey, first=True), ACTOR)

    def _obey(self, progress: Progress) -> dict[str, int]:
        generation = obey(self._database, self._archive, progress)
        if generation is None:
            return {}
        return {"generation": generation.id, "rules_version": generation.rules_version}

    def _run(self) -> None:
        while not self._stop.wait(POLL_SECONDS):
            try:
                self.check()
            except TooManyJobsError:
                continue
            except (psycopg.Error, ArchiveError, OSError) as error:
                logger.warning("the rules in force cannot be compared with those that answer: %s", error)
