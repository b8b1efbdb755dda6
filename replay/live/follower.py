"""The live follower: keeps read models shortly behind the log and equal to a rebuild at every position.

It processes new events in micro-batches. For the affected volunteers it runs the kernels twice, on their shifts before
and after the batch, and adds the exact difference to their hours, to station days and to project months, with the new
position in the same transaction. Late events and corrections are therefore not special cases.

Any number of processes may follow; the one that holds the lock processes the next batch. An event that cannot be read,
or a position without an event, stops the follower with an alert; no event is skipped.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg.errors import ReadOnlySqlTransaction

from ledger.names import Position
from ledger.store.append import CHANNEL, LockHeldError
from ledger.store.database import Database
from ledger.store.listening import listen
from ledger.store.log_queries import LogQueries
from ledger.store.mapper import decode
from replay.generations import store
from replay.live.batch import Batch
from replay.live.continuity import contiguous, verify_length

BATCH_EVENTS = 2_000
"""The most events of a batch: enough to keep up with any intake, and processed in a fraction of a second."""
LOCK_SECONDS_MAX = 5
"""How long to wait for another follower or a rebuild before reporting it and trying again."""

POLL_SECONDS = 1.0
"""How long to wait for a notification before reading the log anyway: a notification can be lost with its connection."""

PAUSE_SECONDS = 0.025
"""The pause after a batch, so that following events share one: a batch of one event takes this process, which also
serves requests, almost as much time as a batch of fifty."""

REST_SECONDS_MAX = 0.25
"""While commands arrive, the follower pauses as long as it worked, so that it uses at most half of the process's time;
batches become larger, which takes less time per event. The pause is limited because a check-out should be visible
immediately."""

logger = logging.getLogger(__name__)


class OutdatedGenerationError(Exception):
    """The current generation was built by another version, with other tables or columns."""

    def __init__(self, generation: int) -> None:
        super().__init__(f"generation {generation} was made by another version of this program: run `hours rebuild`")


class Follower:
    """Keeps the current generation up to date with the log. `alert` says why the follower stopped; `trouble` says why
    it is waiting to try again. Both are None while all is well.
    """

    def __init__(self, database: Database, intake_is_busy: Callable[[], bool] = lambda: False) -> None:
        self._database = database
        self._intake_is_busy = intake_is_busy
        self._log: LogQueries = database.recorder
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.alert: str | None = None
        self.trouble: str | None = None

    def start(self) -> None:
        """Start the follower's thread."""
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop after the current batch."""
        self._stop.set()
        if self._thread:
            self._thread.join()

    def catch_up(self) -> Position:
        """Process batches until no events are left; return the position reached."""
        while self.process_batch():
            pass
        with self._database.pool.connection() as connection:
            generation = store.current_generation(connection)
        return Position(generation.position if generation else 0)

    def process_batch(self) -> int:
        """Process one batch in one transaction; return its number of events.

        Raises:
            replay.live.continuity.ContinuityError: the log does not continue where the read models are.
            OutdatedGenerationError
        """
        with self._database.reserved.connection() as connection, connection.transaction():
            # Rows and position are in one transaction, so a batch lost in a power failure is processed again.
            connection.execute("SET LOCAL synchronous_commit = off")
            store.take_follower_lock(connection, LOCK_SECONDS_MAX)
            generation = store.current_generation(connection)
            if generation is None:
                return 0
            if not generation.readable:
                raise OutdatedGenerationError(generation.id)
            recorded = contiguous(generation.position, self._log.read(Position(generation.position), BATCH_EVENTS))
            if not recorded:
                verify_length(generation.position, self._log.head())
                return 0
            events = [decode(event.topic, event.state) for event in recorded]
            Batch(self._log, connection, generation, recorded, events).apply()
            return len(events)

    def _run(self) -> None:
        try:
            listen(
                self._database.url,
                CHANNEL,
                self._stop,
                self._follow,
                lost=self._on_lost,
                regained=lambda: logger.info("the follower is connected to the database again"),
                errors=(psycopg.OperationalError, psycopg.InterfaceError, ReadOnlySqlTransaction),
            )
        except Exception as error:
            self.alert = f"the follower stopped: {error}"
            logger.exception("the follower stopped; read models are not updated until it is restarted")

    def _on_lost(self, error: Exception, first: bool) -> None:  # noqa: FBT001 - called by `listen`
        self.trouble = str(error) if isinstance(error, LockHeldError) else "the follower cannot use the database"
        if first:
            logger.warning("the follower cannot continue and will retry: %s", error)

    def _follow(self, listener: psycopg.Connection[Any]) -> None:
        while not self._stop.is_set():
            began = time.monotonic()
            while (events := self.process_batch()) and not self._stop.is_set():
                self.trouble = None
                seconds = time.monotonic() - began
                if self._intake_is_busy():
                    self._stop.wait(min(max(seconds, PAUSE_SECONDS), REST_SECONDS_MAX))
                elif events < BATCH_EVENTS:
                    self._stop.wait(PAUSE_SECONDS)
                began = time.monotonic()
            self.trouble = None
            for _ in listener.notifies(timeout=POLL_SECONDS / 5, stop_after=1):
                break
