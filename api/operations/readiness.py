"""Readiness: whether this process can serve requests, checked anew for each request to `/readyz`.

`/healthz` says that the process answers; a supervisor restarts one that does not. `/readyz` says whether it should
receive requests: 503 should take it out of the rotation but not restart it, because a restart does not help. One check
goes the way of a read request, through the same lanes and threads: while these are occupied, the service is not ready.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from threading import Thread
from typing import Any, Literal

import psycopg
from pydantic import BaseModel

from api.messages.problems import Problem
from api.operations.service import Service
from ledger.store.durability import weaknesses
from replay.generations.store import NoGenerationError
from replay.proof.agreement import TreeDisagreesError

DISK_BYTES_MIN = 256 << 20
PROBE_SECONDS_MAX = 5.0
COMPUTING_SECONDS_MAX = 4.0
"""How long the computing process may take to answer: one that was killed is there again within a second or two."""
COMPUTING_SECONDS_KNOWN = 1.0
"""How long its answer is repeated."""
LAG_EVENTS_MAX = 100_000
"""The maximum lag of read models that are ready: they catch up with that in half a minute."""


NOT_COMPUTING = "the computing process does not answer"
Name = Literal["requests", "computing", "database", "read models", "archive", "tree", "disk", "queue"]


class Check(BaseModel):
    """The check of one dependency. `needed`: whether the service is not ready without it; `detail`: its state."""

    name: Name
    ok: bool
    needed: bool
    detail: str


class Readiness(BaseModel):
    """`ready` if every needed check is ok. `checks`: only for callers whose key may read."""

    status: Literal["ready", "not ready"]
    checks: list[Check] | None = None


def check_readiness(service: Service) -> Readiness:
    """Check everything a service needs."""
    database = _check("database", _database, service)
    checks = [
        database,
        _check("read models", _read_models if database.ok else _unknown, service),
        # Without its archive a server still answers, more slowly. But if the log is not what was archived, people have
        # to look before anybody relies on the answers.
        _check("archive", _archive, service, needed=_disagrees(service)),
        # Without checkpoints a server still answers; but if the log is not what was signed, people have to look.
        _check("tree", _tree, service, needed=service.notary.log.disagreement() is not None),
        _check("disk", _disk, service),
        _check("queue", _queue, service),
    ]
    ready = all(check.ok for check in checks if check.needed)
    return Readiness(status="ready" if ready else "not ready", checks=checks)


class ReadinessProbe:
    """Checks readiness in a thread of its own, and always answers within PROBE_SECONDS_MAX.

    If the database hangs or the pool is exhausted, the checks hang too; callers then get an answer that says so. At
    most one run of the checks is in progress: later callers wait for the same run.

    Args:
        way: goes the way of a read request, and returns when such a request would have been answered.
        computing: returns whether the computing process answers within some seconds, None without such a process.
    """

    def __init__(
        self,
        service: Service,
        way: Callable[[], Coroutine[Any, Any, None]],
        computing: Callable[[float], Coroutine[Any, Any, bool | None]],
    ) -> None:
        self._service = service
        self._way = way
        self._computing = computing
        self._computing_asked: asyncio.Task[bool | None] | None = None
        self._computing_asked_at = 0.0
        self._passage: asyncio.Task[None] | None = None
        self._run: Future[Readiness] | None = None
        self._began = 0.0

    async def check(self) -> Readiness:
        """Check everything a service needs, for at most PROBE_SECONDS_MAX."""
        requests, computing, found = await asyncio.gather(self._requests(), self._computes(), self._checked())
        status = found.status if requests.ok and computing.ok else "not ready"
        return Readiness(status=status, checks=[requests, computing, *(found.checks or ())])

    async def _computes(self) -> Check:
        """Check whether the computing process answers; ask it at most once a second."""
        now = time.monotonic()
        asked = self._computing_asked
        if asked is None or (asked.done() and now - self._computing_asked_at > COMPUTING_SECONDS_KNOWN):
            asked = asyncio.create_task(self._computing(COMPUTING_SECONDS_MAX))
            self._computing_asked, self._computing_asked_at = asked, now
        answers = await asyncio.shield(asked)
        if answers is None:
            return Check(name="computing", ok=True, needed=True, detail="requests are computed in this process")
        detail = (
            "the computing process answers" if answers else f"{NOT_COMPUTING} within {COMPUTING_SECONDS_MAX:g} seconds"
        )
        return Check(name="computing", ok=answers, needed=True, detail=detail)

    async def _requests(self) -> Check:
        """Check whether requests are answered, by going their way."""
        if self._passage is None or self._passage.done():
            self._passage = asyncio.create_task(self._way())
            self._passage.add_done_callback(_take_exception)
        try:
            await asyncio.wait_for(asyncio.shield(self._passage), PROBE_SECONDS_MAX)
        except (TimeoutError, Problem):
            detail = (
                f"a read request was not answered within {PROBE_SECONDS_MAX:g} seconds, because others occupy its lane"
            )
            return Check(name="requests", ok=False, needed=True, detail=detail)
        return Check(name="requests", ok=True, needed=True, detail="read requests are answered")

    async def _checked(self) -> Readiness:
        if self._run is None or self._run.done():
            self._began = time.monotonic()
            self._run = Future()
            Thread(target=self._complete, args=(self._run,), name="readiness", daemon=True).start()
        run = self._run
        try:
            return await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(run)), PROBE_SECONDS_MAX)
        except TimeoutError:
            waited = time.monotonic() - self._began
            detail = f"the database has not answered for {waited:.0f} seconds"
            checks = [Check(name="database", ok=False, needed=True, detail=detail)]
            return Readiness(status="not ready", checks=checks)

    def _complete(self, run: Future[Readiness]) -> None:
        try:
            run.set_result(check_readiness(self._service))
        except BaseException as error:  # noqa: BLE001 - passed on to the caller
            run.set_exception(error)


def _take_exception(task: asyncio.Task[None]) -> None:
    """Take the exception of a task that nobody may await any more."""
    if not task.cancelled():
        task.exception()


_Result = tuple[bool, str]
"""Whether a dependency is ok, and the detail."""


def _check(name: Name, examine: Callable[[Service], _Result], service: Service, *, needed: bool = True) -> Check:
    try:
        ok, detail = examine(service)
    except psycopg.Error:
        ok, detail = False, "the database does not answer"
    return Check(name=name, ok=ok, needed=needed, detail=detail)


def _database(service: Service) -> _Result:
    with service.ledger.database.pool.connection(timeout=2) as connection:
        (read_only,) = connection.execute("SELECT current_setting('transaction_read_only') = 'on'").fetchall()[0]
        weak = [weakness for weakness in weaknesses(connection) if not weakness.accepted]
    if read_only:
        return False, "the database is read-only"
    sentences = "; ".join(["the database answers and accepts writes", *(weakness.sentence for weakness in weak)])
    refusing = [weakness.sentence for weakness in weak if weakness.refuses]
    return (False, f"nothing is recorded: {refusing[0]}") if refusing else (True, sentences)


def _unknown(service: Service) -> _Result:
    return False, service.follower.alert or "unknown, because the database does not answer"


def _read_models(service: Service) -> _Result:
    if service.follower.alert:
        return False, service.follower.alert
    try:
        lag = service.ledger.log.head() - service.ledger.current_generation().position
    except NoGenerationError:
        return False, "there are no read models yet; run `hours rebuild`"
    trouble = f": {service.follower.trouble}" if service.follower.trouble else ""
    return lag <= LAG_EVENTS_MAX, f"the read models lag by {max(lag, 0):,} events{trouble}"


def _disagrees(service: Service) -> bool:
    return service.ledger.archive.disagreement() is not None


def _archive(service: Service) -> _Result:
    if recorded := service.ledger.archive.disagreement():  # by whichever process found it
        return False, f"the archive disagrees with the log: {recorded.what}"
    return (False, service.archivist.alert) if service.archivist.alert else (True, "the archive grows with the log")


def _tree(service: Service) -> _Result:
    if found := service.notary.log.disagreement():
        return False, str(TreeDisagreesError(found))
    return (False, service.notary.alert) if service.notary.alert else (True, "the tree grows with the log")


def _disk(service: Service) -> _Result:
    free = shutil.disk_usage(service.ledger.data).free
    return free >= DISK_BYTES_MIN, f"{free >> 20:,} MiB are free in the data directory"


def _queue(service: Service) -> _Result:
    waiting, limit = service.commits.waiting, service.commits.queue_orders_max
    return waiting < limit, f"{waiting:,} of at most {limit:,} commands are waiting"
