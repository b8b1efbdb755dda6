"""The keys this process has seen, so that a request need not ask the database whose key it carries.

Revoking must hold from the next request on, in every process. So a thread listens for changes of the table of keys
(`api/access/keys.sql` notifies) and forgets all keys when one comes; while it cannot listen nothing is remembered, and
every request asks the database. A connection may be dead without a word, so the thread asks for an answer again and
again; what was not answered lately counts as lost. The end of a key is checked against the clock each time.

It also knows when each key was last used, and has that written down once a minute.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from threading import Event, Lock, Thread

import psycopg
from psycopg.rows import TupleRow

from api.access.keys import CHANNEL, Found, Keys, digest
from api.access.roles import Caller

KEYS_MAX = 10_000
RETRY_SECONDS = 0.5
USES_SECONDS = 60.0
HEARD_SECONDS_MAX = 2.0
"""How long ago the listening connection may have answered last."""
_WAIT_SECONDS = 0.25

logger = logging.getLogger(__name__)


class KeyMemory:
    """Looks keys up, and remembers them while it hears of changes. Start it, and close it."""

    def __init__(self, keys: Keys, url: str, clock: Callable[[], float] = time.time) -> None:
        self._keys = keys
        self._url = url
        self._clock = clock
        self._found: dict[bytes, Found] = {}
        self._uses: dict[int, float] = {}
        self._noted_at = time.monotonic()
        self._lock = Lock()
        self._changes = 0
        self._hears = False
        self._heard_at = 0.0
        self._lost = False
        self._closing = Event()
        self._thread = Thread(target=self._listen, name="key-memory", daemon=True)

    def start(self) -> None:
        """Listen, so that keys can be remembered."""
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()
        self._note_uses()

    @property
    def hears(self) -> bool:
        """Whether the database answered lately, so that changes of keys are heard of."""
        return self._hears and time.monotonic() - self._heard_at <= HEARD_SECONDS_MAX

    def remembered(self, token: str) -> Caller | None:
        """Return whose key a token is, if that is certain without asking."""
        return self._valid(self._found.get(digest(token))) if self.hears else None

    def caller(self, token: str) -> Caller | None:
        """Return whose key a token is; nobody's when it is unknown, revoked or has ended. It may ask the database."""
        key = digest(token)
        with self._lock:
            changes = self._changes
        found = self._keys.find(key)
        with self._lock:  # what was read before a change must not outlive it
            if found is not None and self._hears and changes == self._changes:
                if len(self._found) >= KEYS_MAX:
                    self._found.clear()
                self._found[key] = found
        return self._valid(found)

    def _valid(self, found: Found | None) -> Caller | None:
        now = self._clock()
        if found is None or (found.expires_at is not None and found.expires_at <= now):
            return None
        if found.caller.key is not None:
            self._uses[found.caller.key] = now
        return found.caller

    def _note_uses(self) -> None:
        uses, self._uses, self._noted_at = self._uses, {}, time.monotonic()
        if not uses:
            return
        try:
            self._keys.note_uses(uses)
        except psycopg.Error as error:
            logger.warning("the last uses of %d keys could not be noted: %s", len(uses), error)

    def _forget(self, *, hears: bool) -> None:
        with self._lock:
            self._changes += 1
            self._hears = hears
            self._found = {}

    def _ask(self, connection: psycopg.Connection[TupleRow]) -> None:
        """Listen, or have it confirmed that this connection does."""
        asked_at = time.monotonic()
        connection.execute(f"LISTEN {CHANNEL}")
        self._heard_at = asked_at

    def _listen(self) -> None:
        while not self._closing.is_set():
            try:
                with psycopg.connect(
                    self._url, autocommit=True, connect_timeout=5, tcp_user_timeout=5000
                ) as connection:
                    self._ask(connection)
                    self._forget(hears=True)
                    if self._lost:
                        self._lost = False
                        logger.info("changes of keys are heard again")
                    while not self._closing.is_set():
                        for _ in connection.notifies(timeout=_WAIT_SECONDS):
                            self._forget(hears=True)
                            logger.info("a key was made, changed or revoked: all are looked up again")
                        self._ask(connection)  # what is notified meanwhile comes with the next notifies
                        if time.monotonic() - self._noted_at >= USES_SECONDS:
                            self._note_uses()
            except psycopg.Error as error:
                self._forget(hears=False)
                if not self._lost:  # once, not twice a second as long as the database is away
                    self._lost = True
                    logger.warning("changes of keys cannot be heard, so every request looks its key up: %s", error)
                self._closing.wait(RETRY_SECONDS)
        self._forget(hears=False)
