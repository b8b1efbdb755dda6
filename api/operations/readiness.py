"""Whether this process can serve: each thing it needs, looked at afresh, for whoever routes requests to it.

`/healthz` says that the process answers; a supervisor restarts one that does not. `/readyz` says whether it should be
sent requests: 503 takes it out of the rotation and must not restart it, because what it lacks it cannot mend itself.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import Literal

import psycopg
from pydantic import BaseModel

from api.operations.service import Service
from replay.generations.store import NoGenerationError

DISK_BYTES_MIN = 256 << 20
LOOK_SECONDS_MAX = 5.0
LAG_EVENTS_MAX = 100_000
"""Read models that lack more are not live: half a minute of catching up."""


class Check(BaseModel):
    """One thing the service needs. `detail`: how it is, in a sentence."""

    name: Literal["database", "read models", "archive", "disk", "queue"]
    ok: bool
    needed: bool
    detail: str


class Readiness(BaseModel):
    """`ready` if everything needed is there."""

    status: Literal["ready", "not ready"]
    checks: list[Check]


def look(service: Service) -> Readiness:
    """Look at everything a service needs."""
    database = _check("database", _database, service)
    checks = [
        database,
        _check("read models", _read_models if database.ok else _unknown, service),
        # A server without its archive answers, only slower, and the archive is made anew by itself.
        _check("archive", _archive, service, needed=False),
        _check("disk", _disk, service),
        _check("queue", _queue, service),
    ]
    ready = all(check.ok for check in checks if check.needed)
    return Readiness(status="ready" if ready else "not ready", checks=checks)


class Looker:
    """Looks for whoever asks, in a thread of its own, and answers in any case.

    A database that is stuck answers nobody, and a pool that is used up lets nobody in; whoever asks then is told so
    after some seconds, by whichever look is under way: there is never more than one.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._look: Future[Readiness] | None = None
        self._began = 0.0

    async def look(self) -> Readiness:
        """Look at everything a service needs, for so many seconds at most."""
        if self._look is None or self._look.done():
            self._began = time.monotonic()
            self._look = Future()
            Thread(target=self._into, args=(self._look,), name="readiness", daemon=True).start()
        under_way = self._look
        try:
            return await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(under_way)), LOOK_SECONDS_MAX)
        except TimeoutError:
            waited = time.monotonic() - self._began
            detail = f"the database has not answered for {waited:.0f} seconds"
            checks = [Check(name="database", ok=False, needed=True, detail=detail)]
            return Readiness(status="not ready", checks=checks)

    def _into(self, found: Future[Readiness]) -> None:
        try:
            found.set_result(look(self._service))
        except BaseException as error:  # noqa: BLE001 - whoever asked gets it
            found.set_exception(error)


Looked = tuple[bool, str]
Name = Literal["database", "read models", "archive", "disk", "queue"]


def _check(name: Name, looked_at: Callable[[Service], Looked], service: Service, *, needed: bool = True) -> Check:
    try:
        ok, detail = looked_at(service)
    except psycopg.Error:
        ok, detail = False, "the database does not answer"
    return Check(name=name, ok=ok, needed=needed, detail=detail)


def _database(service: Service) -> Looked:
    with service.ledger.database.pool.connection(timeout=2) as connection:
        (read_only,) = connection.execute("SELECT current_setting('transaction_read_only') = 'on'").fetchall()[0]
    return (False, "the database takes no writing") if read_only else (True, "the database answers and takes writing")


def _unknown(service: Service) -> Looked:
    return False, service.follower.alert or "the database has to answer first"


def _read_models(service: Service) -> Looked:
    if service.follower.alert:
        return False, service.follower.alert
    try:
        lag = service.ledger.log.head() - service.ledger.current_generation().position
    except NoGenerationError:
        return False, "there are none yet; run `hours rebuild`"
    trouble = f": {service.follower.trouble}" if service.follower.trouble else ""
    return lag <= LAG_EVENTS_MAX, f"they lack {max(lag, 0):,} events{trouble}"


def _archive(service: Service) -> Looked:
    return (False, service.archivist.alert) if service.archivist.alert else (True, "it grows with the log")


def _disk(service: Service) -> Looked:
    free = shutil.disk_usage(service.ledger.data).free
    return free >= DISK_BYTES_MIN, f"{free >> 20:,} MiB are free in the data directory"


def _queue(service: Service) -> Looked:
    waiting, room = service.commits.waiting, service.commits.queue_orders_max
    return waiting < room, f"{waiting:,} commands wait, of {room:,} at most"
