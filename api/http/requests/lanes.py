"""Lanes: how many requests compute at once, in which order, and for how long.

    queries   plain reads of the current generation, six at a time
    replays   reads that need a replay, one at a time: it uses all cores and, at full scale, gigabytes of memory
    checks    rules to be checked, one at a time
    plans     honours to be conferred, one at a time
    exports   streams of the log, eight at a time
    files     checkpoints, tiles and keys, which anybody may read without a key, four at a time
    keys      lookups of keys, with threads and connections that readers cannot occupy

Each lane serves the keys that wait in turn, and limits how many requests of one key it holds, so that one key cannot
delay the others by more than one request. Work in the lanes has threads of its own and a deadline: after it, the
request is answered with `timed-out`, and the work stops at its next checkpoint (`replay/progress.py`). The lane is
occupied until then; in the computing process (`api/http/computing/`), work that does not stop ends the process.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager, suppress
from contextvars import copy_context
from functools import partial
from threading import Thread
from typing import TypeVar

from anyio import CapacityLimiter, fail_after
from anyio.to_thread import run_sync

from api.access.roles import Caller
from api.messages.problems import problem
from api.operations import jobs
from replay.progress import OutOfTimeError, Stop, StoppedError, stopped_by

QUERIES_AT_ONCE = 6
QUERIES_OF_KEY_AT_ONCE = 4
"""The rest is for other keys, however long this key's queries take."""
EXPORTS_AT_ONCE = 8
EXPORTS_PER_KEY_MAX = 2
"""Streams of the log occupy threads of all requests for a moment each, and last as long as their reader likes."""
FILES_AT_ONCE = 4
FILES_PER_CLIENT_MAX = 64
"""Requests of one address of the network for files that run or wait; a client may ask for many tiles at once."""
QUERY_SECONDS_MAX = 5.0
REPLAY_SECONDS_MAX = 60.0
"""How long a query or a replay waits for others of its kind before it is answered with `busy`."""
READ_SECONDS_MAX = 20.0
"""How long a plain read may take; nearly all take milliseconds."""
COMPUTE_SECONDS_MAX = 60.0
"""How long a replay or a check of rules may take; at full scale they take a few seconds."""
HELD_PER_KEY_MAX = 4
"""Requests of one key that run or wait in a lane of expensive work."""

T = TypeVar("T")


class Permit:
    """A permit of a `Lane`, held until it is released."""

    def __init__(self, lane: Lane, share: Hashable) -> None:
        self._lane: Lane | None = lane
        self._share = share
        self.granted = asyncio.Event()

    def overrun(self) -> None:
        """Report that the work went on after its deadline, if it still does."""
        if self._lane is not None:
            self._lane.on_overrun()

    def release(self) -> None:
        """Release the permit; releasing it again changes nothing."""
        if self._lane is not None:
            lane, self._lane = self._lane, None
            lane.released(self, self._share)

    def handed_over(self) -> Permit:
        """Return a permit that takes the place of this one, which then holds nothing."""
        lane, self._lane = self._lane, None
        if lane is None:
            raise RuntimeError("the permit was released before")
        permit = Permit(lane, self._share)
        permit.granted.set()
        return permit


class Lane:
    """Grants at most `at_once` permits at a time, to each share (a key) in turn.

    It refuses a request (`busy`) that has waited `seconds_max`, or whose share already holds `held_max` permits or
    places in the queue. A share has at most `of_share_at_once` permits at a time. `on_overrun` is called for work that
    goes on `jobs.OVERRUN_SECONDS` after its deadline. It belongs to one event loop.
    """

    def __init__(
        self,
        at_once: int,
        seconds_max: float,
        held_max: int | None = None,
        of_share_at_once: int | None = None,
        on_overrun: Callable[[], None] = lambda: None,
    ) -> None:
        self.at_once = at_once
        self.on_overrun = on_overrun
        self.seconds_max = seconds_max
        self.held_max = held_max
        self._of_share_at_once = at_once if of_share_at_once is None else of_share_at_once
        self._running = 0
        self._running_of: dict[Hashable, int] = {}
        self._held: dict[Hashable, int] = {}
        self._waiting: OrderedDict[Hashable, deque[Permit]] = OrderedDict()  # the share whose turn it is comes first

    @asynccontextmanager
    async def permit(self, share: Hashable) -> AsyncIterator[Permit]:
        """Wait for a permit; it is released at the end of the block at the latest."""
        permit = await self.acquire(share)
        try:
            yield permit
        finally:
            permit.release()

    async def acquire(self, share: Hashable) -> Permit:
        """Wait for a permit, which the caller releases.

        Raises:
            Problem: the share holds too many permits, or the wait was too long.
        """
        held = self._held.get(share, 0)
        if self.held_max is not None and held >= self.held_max:
            detail = f"{held} requests of this kind with this key run or wait; send it again when one has been answered"
            raise problem("busy", detail)
        self._held[share] = held + 1
        permit = Permit(self, share)
        self._waiting.setdefault(share, deque()).append(permit)
        self._grant()
        if permit.granted.is_set():
            return permit
        try:
            with fail_after(self.seconds_max):
                await permit.granted.wait()
        except TimeoutError:
            permit.release()
            detail = f"too many requests at once: this one has waited {self.seconds_max:g} s; send it again"
            raise problem("busy", detail) from None
        except BaseException:
            permit.release()
            raise
        return permit

    def released(self, permit: Permit, share: Hashable) -> None:
        """Take a permit back, whether it was granted or still waits."""
        self._held[share] -= 1
        if not self._held[share]:
            del self._held[share]
        if permit.granted.is_set():
            self._running -= 1
            self._running_of[share] -= 1
            if not self._running_of[share]:
                del self._running_of[share]
        else:
            self._waiting[share].remove(permit)
            self._forget_if_idle(share)
        self._grant()

    def _grant(self) -> None:
        while self._running < self.at_once and (share := self._next_share()) is not None:
            self._waiting[share].popleft().granted.set()
            self._running += 1
            self._running_of[share] = self._running_of.get(share, 0) + 1
            self._waiting.move_to_end(share)
            self._forget_if_idle(share)

    def _next_share(self) -> Hashable | None:
        """Return the share whose turn it is, None if none waits that may run."""
        most = self._of_share_at_once
        return next((share for share in self._waiting if self._running_of.get(share, 0) < most), None)

    def _forget_if_idle(self, share: Hashable) -> None:
        if not self._waiting[share]:
            del self._waiting[share]


class ConcurrencyLimits:
    """The lanes of a process. `on_overrun`: called for work that does not stop after its deadline."""

    def __init__(self, on_overrun: Callable[[], None] = lambda: None) -> None:
        self.queries = Lane(QUERIES_AT_ONCE, QUERY_SECONDS_MAX, of_share_at_once=QUERIES_OF_KEY_AT_ONCE)
        self.replays = Lane(1, REPLAY_SECONDS_MAX, HELD_PER_KEY_MAX, on_overrun=on_overrun)
        self.checks = Lane(1, REPLAY_SECONDS_MAX, HELD_PER_KEY_MAX, on_overrun=on_overrun)
        self.plans = Lane(1, REPLAY_SECONDS_MAX, HELD_PER_KEY_MAX, on_overrun=on_overrun)
        self.exports = Lane(EXPORTS_AT_ONCE, QUERY_SECONDS_MAX, EXPORTS_PER_KEY_MAX)
        self.files = Lane(FILES_AT_ONCE, QUERY_SECONDS_MAX, FILES_PER_CLIENT_MAX, FILES_AT_ONCE - 1)
        self.keys = CapacityLimiter(2)


def share_of(caller: Caller) -> Hashable:
    """Return whose share of a lane a request takes: its key's."""
    return caller.by if caller.key is None else caller.key


async def pass_through(limits: ConcurrencyLimits) -> None:
    """Go the way of a read request, without reading anything; return when it would have been answered."""
    await run_sync(_nothing, limiter=limits.keys)
    async with limits.queries.permit("readiness"):
        await run_sync(_nothing)


def _nothing() -> None:
    """Do nothing, in a thread."""


async def compute(lane: Lane, caller: Caller, work: Callable[[], T], seconds_max: float | None = None) -> T:
    """Run expensive work in a thread of its own, in turn with that of other keys, for a bounded time.

    Raises:
        Problem: the key holds too many places in the lane, the wait was too long (`busy`), or the work (`timed-out`).
    """
    permit = await lane.acquire(share_of(caller))
    return await run_with(permit, work, COMPUTE_SECONDS_MAX if seconds_max is None else seconds_max)


async def run_with(permit: Permit, work: Callable[[], T], seconds_max: float) -> T:
    """Run work in a thread of its own for a bounded time; the permit is released when the work has left.

    Raises:
        Problem: the work took too long (`timed-out`).
    """
    stop, loop = Stop(), asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        try:
            with stopped_by(stop):
                complete = partial(_answer, answer, work())
        except BaseException as error:  # noqa: BLE001 - raised again where the answer is awaited
            complete = partial(_fail, answer, error)
        with suppress(RuntimeError):  # the loop is closed, so nothing awaits the answer
            loop.call_soon_threadsafe(permit.release)
            loop.call_soon_threadsafe(complete)

    try:
        # A daemon, because a process that ends must not wait for it; see `api.operations.ending`.
        Thread(target=copy_context().run, args=(run,), name="compute", daemon=True).start()
    except RuntimeError:  # the system has no more threads
        permit.release()
        raise
    try:
        with fail_after(seconds_max):
            return await answer
    except (TimeoutError, StoppedError):
        loop.call_later(jobs.OVERRUN_SECONDS, permit.overrun)
        raise problem("timed-out", str(OutOfTimeError(seconds_max))) from None
    finally:
        stop.request()  # of no effect on work that has ended


def _answer(answer: asyncio.Future[T], result: T) -> None:
    if not answer.done():
        answer.set_result(result)


def _fail(answer: asyncio.Future[T], error: BaseException) -> None:
    if not answer.done():
        answer.set_exception(error)
