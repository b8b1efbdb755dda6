"""A cache of the API keys this process has seen, so that a request needs no query to find its caller.

Revoking a key must take effect with the next request, in every process. Therefore a thread listens for changes of the
table of keys (`api/access/keys.sql` notifies) and clears the cache at each one. While it cannot listen, nothing is
cached and every request queries the database. A dead connection may go unnoticed, so the thread polls it; a connection
that has not answered recently counts as lost. A key's expiry is checked against the clock at each use.

The cache also collects when each key was last used, and writes that to the database once a minute.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from threading import Event, Lock, Thread

import psycopg
from psycopg.rows import TupleRow

from api.access.keys import CHANNEL, ActiveKey, Keys, digest
from api.access.roles import Caller
from ledger.store.listening import confirm, listen

KEYS_MAX = 10_000
RETRY_SECONDS = 0.5
USES_SECONDS = 60.0
HEARD_SECONDS_MAX = 2.0
"""The listening connection counts as lost when its last answer is older than this."""
_WAIT_SECONDS = 0.25

logger = logging.getLogger(__name__)


class KeyMemory:
    """Looks up keys, and caches them while it is listening for changes. Call `start` before use and `close` after."""

    def __init__(self, keys: Keys, url: str, clock: Callable[[], float] = time.time) -> None:
        self._keys = keys
        self._url = url
        self._clock = clock
        self._cached: dict[bytes, ActiveKey] = {}
        self._last_known: dict[bytes, ActiveKey] = {}  # what was cached when the connection was lost
        self._uses: dict[int, float] = {}
        self._stored_at = time.monotonic()
        self._lock = Lock()
        self._changes = 0
        self._connected = False
        self._heard_at = 0.0
        self._closing = Event()
        self._thread = Thread(target=self._listen, name="key-memory", daemon=True)

    def start(self) -> None:
        """Start listening, so that keys can be cached."""
        self._thread.start()

    def close(self) -> None:
        """Stop listening, and store the last uses."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()
        self._store_uses()

    @property
    def is_listening(self) -> bool:
        """Whether the database answered recently, so that no change of a key goes unnoticed."""
        return self._connected and time.monotonic() - self._heard_at <= HEARD_SECONDS_MAX

    def cached(self, token: str) -> Caller | None:
        """Return the caller whose token this is, if the cache has it and is up to date. Makes no query."""
        return self._valid(self._cached.get(digest(token))) if self.is_listening else None

    def last_known(self, token: str) -> Caller | None:
        """Return the caller whose token this is, as last known, also while the database is away. Makes no query.

        The key may have been revoked meanwhile, so this is for what a former caller may know as well.
        """
        key = digest(token)
        return self._valid(self._cached.get(key) or self._last_known.get(key))

    def caller(self, token: str) -> Caller | None:
        """Return the caller whose token this is, or None if it is unknown, revoked or expired. Queries the database."""
        key = digest(token)
        with self._lock:
            changes = self._changes
        found = self._keys.find(key)
        with self._lock:  # do not cache a row that was read before a change
            if found is not None and self._connected and changes == self._changes:
                if len(self._cached) >= KEYS_MAX:
                    self._cached.clear()
                self._cached[key] = found
        return self._valid(found)

    def _valid(self, found: ActiveKey | None) -> Caller | None:
        now = self._clock()
        caller = None if found is None else found.caller_at(now)
        if caller is not None and caller.key is not None:
            self._uses[caller.key] = now
        return caller

    def _store_uses(self) -> None:
        uses, self._uses, self._stored_at = self._uses, {}, time.monotonic()
        if not uses:
            return
        try:
            self._keys.note_uses(uses)
        except psycopg.Error as error:
            logger.warning("the last uses of %d keys could not be stored: %s", len(uses), error)

    def _clear(self, *, connected: bool) -> None:
        with self._lock:
            self._changes += 1
            self._connected = connected
            self._last_known = {} if connected else self._cached or self._last_known
            self._cached = {}

    def _poll(self, connection: psycopg.Connection[TupleRow]) -> None:
        polled_at = time.monotonic()
        confirm(connection, CHANNEL)
        self._heard_at = polled_at

    def _listen(self) -> None:
        listen(
            self._url,
            CHANNEL,
            self._closing,
            self._follow_changes,
            lost=self._on_lost,
            regained=lambda: logger.info("listening for changes of keys again"),
            errors=(psycopg.Error,),
            pause_seconds_max=RETRY_SECONDS,
        )
        self._clear(connected=False)

    def _follow_changes(self, connection: psycopg.Connection[TupleRow]) -> None:
        self._poll(connection)
        self._clear(connected=True)
        while not self._closing.is_set():
            for _ in connection.notifies(timeout=_WAIT_SECONDS):
                self._clear(connected=True)
                logger.info("a key was created, changed or revoked: the key cache was cleared")
            self._poll(connection)  # notifications that arrive now come with the next notifies()
            if time.monotonic() - self._stored_at >= USES_SECONDS:
                self._store_uses()

    def _on_lost(self, error: Exception, first: bool) -> None:  # noqa: FBT001 - called by `listen`
        self._clear(connected=False)
        if first:
            logger.warning("cannot listen for changes of keys, so every request queries its key: %s", error)
