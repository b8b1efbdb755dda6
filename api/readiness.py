"""Whether this process can serve: each thing it needs, looked at afresh, for whoever routes requests to it.

`/healthz` says that the process answers; a supervisor restarts one that does not. `/readyz` says whether it should be
sent requests: 503 takes it out of the rotation and must not restart it, because what it lacks it cannot mend itself.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Literal

import psycopg
from pydantic import BaseModel

from api.service import Service
from replay.store import NoGenerationError

DISK_BYTES_MIN = 256 << 20
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
    checks = [
        _check("database", _database, service),
        _check("read models", _read_models, service),
        # A server without its archive answers, only slower, and the archive is made anew by itself.
        _check("archive", _archive, service, needed=False),
        _check("disk", _disk, service),
        _check("queue", _queue, service),
    ]
    ready = all(check.ok for check in checks if check.needed)
    return Readiness(status="ready" if ready else "not ready", checks=checks)


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
