"""The live follower: read models a moment behind the log, equal to a rebuild at every position.

It takes new events in micro-batches. For the touched volunteers it runs the kernels twice, on their shifts before and
after the batch, and adds the exact difference to their hours, to station days and project months; rows and position in
one transaction. A late event or a correction is therefore no special case.

Any number of processes may follow: whoever holds the lock takes the next batch. An event that cannot be understood, and
a position that holds none, stop the follower with an alert; nothing is ever skipped.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg import sql
from psycopg.errors import ReadOnlySqlTransaction

from ledger.names import Position
from ledger.store.append import CHANNEL, LockHeldError
from ledger.store.database import Database
from ledger.store.log_queries import LogQueries
from ledger.store.mapper import decode
from replay.generations import store
from replay.live.batch import Batch
from replay.live.continuity import dense, verify_length

BATCH_EVENTS = 2_000
"""Events a batch takes at most: enough to outrun any intake, few enough to show within a fraction of a second."""
LOCK_SECONDS_MAX = 5
"""How long it waits for another follower, or a rebuild, before it says so and begins again."""

POLL_SECONDS = 1.0
"""How long to wait for a notification before looking anyway: a notification can be lost with its connection."""

PAUSE_SECONDS = 0.025
"""What comes so soon after a batch is taken together: a batch of one event costs the process, which is also to answer
counters, nearly as much as a batch of fifty."""

REST_SECONDS_MAX = 0.25
"""While commands come in, the follower rests as long as it worked, so that it takes at most half of the process; its
batches are larger then, and an event costs less. Not longer than this: a check-out is to be read at once."""

logger = logging.getLogger(__name__)


class OutdatedGenerationError(Exception):
    """The read models lack tables or columns of this program."""

    def __init__(self, generation: int) -> None:
        super().__init__(f"generation {generation} was made by another version of this program: run `hours rebuild`")


class Follower:
    """Keeps the current generation up with the log. `alert` says why it stopped, if it did; `trouble`, what it waits
    for, and tries again.
    """

    def __init__(self, database: Database, others_are_busy: Callable[[], bool] = lambda: False) -> None:
        self._database = database
        self._others_are_busy = others_are_busy
        self._log: LogQueries = database.recorder
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.alert: str | None = None
        self.trouble: str | None = None

    def start(self) -> None:
        """Follow in a thread of its own."""
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop after the batch at hand."""
        self._stop.set()
        if self._thread:
            self._thread.join()

    def catch_up(self) -> Position:
        """Take batches until nothing is left; return the position reached."""
        while self.take_batch():
            pass
        with self._database.pool.connection() as connection:
            generation = store.current_generation(connection)
        return Position(generation.position if generation else 0)

    def take_batch(self) -> int:
        """Take one batch in one transaction; return how many events it had.

        Raises:
            replay.live.continuity.ContinuityError: the log does not go on where the read models are.
            OutdatedGenerationError
        """
        with self._database.reserved.connection() as connection, connection.transaction():
            # Whatever a power cut takes away is taken in again: rows and position went together.
            connection.execute("SET LOCAL synchronous_commit = off")
            store.take_follower_lock(connection, LOCK_SECONDS_MAX)
            generation = store.current_generation(connection)
            if generation is None:
                return 0
            if not generation.readable:
                raise OutdatedGenerationError(generation.id)
            recorded = dense(generation.position, self._log.read(Position(generation.position), BATCH_EVENTS))
            if not recorded:
                verify_length(generation.position, self._log.head())
                return 0
            events = [decode(event.topic, event.state) for event in recorded]
            Batch(self._log, connection, generation, recorded, events).apply()
            return len(events)

    def _run(self) -> None:
        pause, lost = 0.1, False
        while not self._stop.is_set():
            try:
                with psycopg.connect(self._database.url, autocommit=True) as listener:
                    listener.execute(sql.SQL("LISTEN {}").format(sql.Identifier(CHANNEL)))
                    pause = 0.1
                    if lost:
                        lost = False
                        logger.info("the follower has the database again")
                    self._follow(listener)
            except (psycopg.OperationalError, psycopg.InterfaceError, ReadOnlySqlTransaction) as error:
                self.trouble = str(error) if isinstance(error, LockHeldError) else "the database failed the follower"
                if not lost:
                    lost = True
                    logger.warning("the follower cannot go on, and tries again until it can: %s", error)
                self._stop.wait(pause)
                pause = min(2 * pause, 5.0)
            except Exception as error:
                self.alert = f"the follower stopped: {error}"
                logger.exception("the follower stopped; read models stay as they are until it is restarted")
                return

    def _follow(self, listener: psycopg.Connection[Any]) -> None:
        while not self._stop.is_set():
            begun = time.monotonic()
            while (taken := self.take_batch()) and not self._stop.is_set():
                self.trouble = None
                took = time.monotonic() - begun
                if self._others_are_busy():
                    self._stop.wait(min(max(took, PAUSE_SECONDS), REST_SECONDS_MAX))
                elif taken < BATCH_EVENTS:
                    self._stop.wait(PAUSE_SECONDS)
                begun = time.monotonic()
            self.trouble = None
            for _ in listener.notifies(timeout=POLL_SECONDS / 5, stop_after=1):
                break
