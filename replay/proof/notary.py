"""The notary: grows the tree and signs checkpoints while the ledger runs.

It looks at intervals whether anything is new, and then grows the tree and publishes a checkpoint. If the log is far
ahead, a process of its own catches up first (`catching_up.py`), so that hashing millions of events does not slow the
intake. One process of a ledger runs the notary; when that process ends, another takes over. `hours checkpoint` may do
the same beside it.

An error does not stop the notary: `alert` describes it while it lasts, and the notary tries again. It replaces nothing
that disagrees with the log.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psycopg

from ledger.store.database import Database
from replay.apart import ApartError, run_apart
from replay.durable import make_private_folder
from replay.locks import lock_if_free
from replay.progress import StoppedError
from replay.proof.agreement import TreeBusyError, TreeDisagreesError, TreeError
from replay.proof.growth import TransparencyLog
from replay.proof.keys import SigningKeyError, default_origin
from replay.proof.witnesses import WitnessError

logger = logging.getLogger(__name__)

CHECKPOINT_SECONDS = 60.0


@dataclass(frozen=True)
class Policy:
    """When the notary acts: how often it signs, and how far the log may be ahead before a process catches up."""

    checkpoint_seconds: float = CHECKPOINT_SECONDS
    events_behind_max: int = 100_000
    retry_seconds_max: float = 300.0


POLICY = Policy()


class Notary:
    """Grows one ledger's tree. `alert` describes what is wrong, or is None."""

    def __init__(self, data: Path, database: Database, log: TransparencyLog, policy: Policy = POLICY) -> None:
        self.log = log
        self.policy = policy
        self._data = data
        self._database = database
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock_file: IO[str] | None = None
        self.alert: str | None = None

    def start(self) -> None:
        """Make keys if the ledger has none yet, then start the notary's thread."""
        try:
            make_missing_keys(self.log, self._database)
        except (OSError, TreeError, SigningKeyError) as error:
            self.alert = f"no signing keys could be made: {error}"
            logger.exception("no signing keys could be made")
        self._thread = threading.Thread(target=self._run, name="notary", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop; what was signed stays."""
        self._stop.set()
        if self._thread:
            self._thread.join()
        if self._lock_file:
            self._lock_file.close()

    def _run(self) -> None:
        pause = 1.0
        while not self._stop.is_set():
            wait = self.policy.checkpoint_seconds
            try:
                self.run_once()
                self.alert, pause = None, 1.0
            except StoppedError:
                return
            except TreeBusyError:
                pass  # another process grows the tree
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                logger.warning("the notary lost its database connection and will retry: %s", error)
            except TreeDisagreesError as error:
                if self.alert != str(error):
                    logger.exception("the tree is left as it is, and nothing is signed")
                self.alert = str(error)
            except Exception as error:  # intake and readers are not affected by any error here
                if self.alert is None:
                    logger.exception("no checkpoint can be signed")
                is_signed = isinstance(error, WitnessError)  # the sentence says what it lacks to be published
                self.alert = str(error) if is_signed else f"no checkpoint can be signed: {error}"
                wait, pause = min(wait, pause), min(2 * pause, self.policy.retry_seconds_max)
            self._stop.wait(wait)

    def run_once(self) -> None:
        """Grow the tree and publish a checkpoint, if anything is new."""
        if not self._holds_lock():
            return
        last = self.log.newest()
        if int(self._database.log.head()) - (last.size if last else 0) > self.policy.events_behind_max:
            self._catch_up_apart()
        self.log.grow(self._progress)

    def _catch_up_apart(self) -> None:
        """Let a process of its own catch up. Its error is raised here, as a sentence."""
        began = time.monotonic()
        try:
            run_apart("replay.proof.catching_up", self._data, self._database.url, self._stop.is_set)
        except ApartError as error:
            if found := self.log.disagreement():
                raise TreeDisagreesError(found) from None
            raise TreeError(f"catching up failed: {error}") from None
        logger.info("the tree caught up with the log in %.0f s", time.monotonic() - began)

    def _holds_lock(self) -> bool:
        """Return whether this process runs the notary. The lock is released when the process ends."""
        if self._lock_file is None:
            make_private_folder(self.log.folder)
            self._lock_file = lock_if_free(self.log.folder / "notary")
        return self._lock_file is not None

    def _progress(self, _stage: str, _done: int, _total: int) -> None:
        if self._stop.is_set():
            raise StoppedError


def make_missing_keys(log: TransparencyLog, database: Database, origin: str | None = None) -> bool:
    """Make signing keys for a ledger that has none and has never signed anything; return whether they were made.

    Raises:
        replay.proof.keys.SigningKeyError: the origin cannot be one, or the ledger has signed with other keys.
        TreeError, OSError: none could be made.
    """
    if log.keys.exist():
        return False
    try:
        published = log.make_keys(origin or default_origin(database.log.identity()))
    except SigningKeyError:
        if log.keys.exist():  # another process was faster
            return False
        raise
    logger.info(
        "made signing keys for the checkpoints of this ledger, of the origin %s; keep them safe with "
        "`hours signing-keys backup`",
        published.origin,
    )
    return True
