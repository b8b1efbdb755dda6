"""What requests share: the service, whose key it is, and the axes of time of a reading request.

`at_least` makes a reader see its own writing: the request waits a moment until the read models hold that position.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import date
from typing import Annotated, Any, NamedTuple, TypeVar

from anyio import CapacityLimiter, fail_after
from anyio.to_thread import run_sync
from fastapi import Depends, Query, Request, Security
from fastapi.concurrency import run_in_threadpool
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api.access.refusals import fault_of_role, require
from api.access.roles import Caller, Right, forbids_address, forbids_type
from api.access.signed_requests import BadSignatureError, Sent, verify
from api.axes.written import KNOWN_AT_FORM, RULES_FORM, AxisError, position_of, read_axes
from api.http.requests.limits import is_stream
from api.http.requests.request_log import CALLER
from api.messages.periods import local_day
from api.messages.problems import Problem, fault, problem
from api.operations.service import OpenLedger, Service
from ledger.names import Position, WrittenDay
from replay.axes import answers
from replay.generations.store import Generation
from replay.published import Rules
from replay.queries.queries import Axes

AT_LEAST_SECONDS_MAX = 2.0
QUERY_SECONDS_MAX = 5.0
REPLAY_SECONDS_MAX = 60.0
"""How long a request waits for others of its kind before it is told to ask again."""
_POLL_SECONDS = 0.02

_bearer = HTTPBearer(auto_error=False, description="An API key: `hours keys make` makes one.")
T = TypeVar("T")


async def get_service(request: Request) -> Service:
    """Return the service this process runs. (It is async because a plain function would be called in a thread.)"""
    service: Service = request.app.state.service
    return service


ServiceDep = Annotated[Service, Depends(get_service)]


class Turn:
    """Leave to do something that not many may do at once, until it is ended."""

    def __init__(self, limiter: CapacityLimiter) -> None:
        self._limiter: CapacityLimiter | None = limiter

    def end(self) -> None:
        """Let the next one in; to end it again changes nothing."""
        if self._limiter is not None:
            self._limiter.release_on_behalf_of(self)
            self._limiter = None


class Turns:
    """So many at once; the others wait, and are turned away (`busy`) when they would wait too long."""

    def __init__(self, at_once: int, seconds_max: float) -> None:
        self._limiter = CapacityLimiter(at_once)
        self.at_once = at_once
        self.seconds_max = seconds_max

    @asynccontextmanager
    async def one(self) -> AsyncIterator[Turn]:
        """Wait for a turn; it ends with the block, if not before."""
        turn = Turn(self._limiter)
        try:
            with fail_after(self.seconds_max):
                await self._limiter.acquire_on_behalf_of(turn)
        except TimeoutError:
            raise problem(
                "busy", f"too many ask at once: {self.seconds_max:g} s went by before your turn; ask again"
            ) from None
        try:
            yield turn
        finally:
            turn.end()


class Threads:
    """How many requests may use the database at once, by what they do; the others wait, for a bounded time.

    The readers' pool holds ten connections. Reading takes one or two for a moment. A replay takes two for seconds, and
    gigabytes: one at a time. Keys have connections and threads of their own, so that no reader keeps a station waiting.
    """

    def __init__(self) -> None:
        self.reading = Turns(6, QUERY_SECONDS_MAX)
        self.replays = Turns(1, REPLAY_SECONDS_MAX)
        self.keys = CapacityLimiter(2)


async def query_turn(request: Request) -> AsyncIterator[None]:
    """Let a reading request wait for its turn, which ends when its answer is made, before it is sent."""
    threads: Threads = request.app.state.threads
    async with threads.reading.one() as turn:
        request.state.turn = turn
        yield


async def in_turn(request: Request, axes: Axes, work: Callable[[], T]) -> T:
    """Do what may need a replay, in a thread; replays wait for one another, and keep no other reader waiting."""
    return await (run_sync(work) if axes.current else replaying(request, work))


async def replaying(request: Request, work: Callable[[], T]) -> T:
    """Do what takes a replay under any axes: these wait for one another, and keep no other reader waiting."""
    request.state.turn.end()
    return await alone(request, work)


async def alone(request: Request, work: Callable[[], T]) -> T:
    """Do what takes as much as a replay does; these wait for one another."""
    threads: Threads = request.app.state.threads
    async with threads.replays.one():
        return await run_sync(work)


async def get_caller(
    request: Request,
    service: ServiceDep,
    _described: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
) -> Caller:
    """Return whose key the request carries; without a valid one it ends here."""
    return await authenticated(request, service)


async def authenticated(request: Request, service: Service) -> Caller:
    """Return whose key the request carries, once its limits and its signature have been looked at.

    Raises:
        Problem: it carries no valid key, or may not ask this now.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise problem("no-key")
    threads: Threads = request.app.state.threads
    caller = service.keys.remembered(token) or await run_sync(service.keys.caller, token, limiter=threads.keys)
    if caller is None:
        raise problem("no-key")
    request.scope[CALLER] = caller
    if caller.key is not None and (seconds := service.limits.wait_seconds(caller.key, caller.per_second)):
        allowed = caller.per_second or service.limits.per_second
        detail = f"key {caller.key} makes more requests than the {allowed} a second it may"
        raise Problem(fault("too-often", detail), {"Retry-After": str(math.ceil(seconds))})
    if forbidden := forbids_address(caller, request.method, request.url.path):
        raise Problem(fault_of_role(forbidden))
    if caller.public_key is not None:
        await _keep_signature(request, service, caller, caller.public_key)
    return caller


async def _keep_signature(request: Request, service: Service, caller: Caller, public_key: bytes) -> None:
    """Check and store a request's signature, before anything else is done; reading needs none."""
    if request.method in {"GET", "HEAD"}:
        return
    if not set(request.headers) & {"signature", "signature-input"}:
        if caller.must_sign:
            raise problem("not-signed", f"requests with key {caller.key} are to be signed; see docs/access.md")
        return
    if is_stream(request.scope):
        raise problem("not-signed", "a stream cannot be signed; send batches", remedy="send batches")
    sent = Sent(request.method, str(request.url), request.headers, await request.body())
    threads: Threads = request.app.state.threads
    try:
        await run_sync(
            lambda: service.signatures.keep(caller, verify(sent, caller.key or 0, public_key, service.signed_within)),
            limiter=threads.keys,
        )
    except BadSignatureError as error:
        raise problem("bad-signature", f"the signature does not hold: {error}") from None


CallerDep = Annotated[Caller, Depends(get_caller)]


def allowed_to(right: Right) -> Callable[[Caller], Coroutine[Any, Any, Caller]]:
    """Return a dependency: the caller, whose role must have this right. It is asked before the body is read closely."""

    async def allowed(caller: CallerDep) -> Caller:
        require(caller, right)
        return caller

    return allowed


def allowed_to_send(command_type: str) -> Callable[[Caller], Coroutine[Any, Any, Caller]]:
    """Return a dependency: the caller, whose role may give this type of command."""

    async def allowed(caller: CallerDep) -> Caller:
        if forbidden := forbids_type(caller, command_type):
            raise Problem(fault_of_role(forbidden))
        return caller

    return allowed


class Reading(NamedTuple):
    """A reading request's axes, with the generation that answers when none of them cuts events."""

    axes: Axes
    generation: Generation

    @property
    def rules(self) -> Rules:
        """The rules the answer rests on."""
        found = self.generation
        return self.axes.rules or Rules(found.rules_version, found.rules_digest, found.rules_text)

    @property
    def known_at(self) -> Position:
        """The last position that counts."""
        return Position(self.generation.position) if self.axes.known_at is None else self.axes.known_at

    def basis(self) -> answers.Basis:
        """Return what every answer repeats."""
        return answers.Basis(
            valid_at=self.axes.valid_at,
            known_at=self.known_at,
            rules=answers.RulesUsed(
                name=self.rules.timeline().name, version=self.rules.version, digest=self.rules.digest
            ),
            position=self.generation.position,
        )


def today_of(service: Service, reading: Reading) -> date:
    """Return the day it is in the time zone of the rules that an answer rests on."""
    return local_day(service.ledger.clock(), reading.rules.timeline())


async def get_axes(
    service: ServiceDep,
    _caller: CallerDep,
    _turn: Annotated[None, Depends(query_turn, scope="function")],
    valid_at: Annotated[WrittenDay | None, Query(description="Only results dated up to this day.")] = None,
    known_at: Annotated[
        str | None,
        Query(
            description="Only what the ledger knew then: a log position, or an ISO 8601 instant with a zone.",
            examples=["1", "2018-12-04T09:00:00+08:00"],
            json_schema_extra={"pattern": KNOWN_AT_FORM},
        ),
    ] = None,
    rules: Annotated[
        str | None,
        Query(
            description="Rules: a published version, or the digest of a candidate (POST /v1/rules/candidates).",
            max_length=64,
            examples=["1"],
            json_schema_extra={"pattern": RULES_FORM},
        ),
    ] = None,
    at_least: Annotated[
        int | None,
        Query(ge=0, description="Wait (at most 2 s) until the answer includes this position, then answer."),
    ] = None,
) -> Reading:
    """Return the axes of a reading request, once the read models hold what it asks for."""
    log = service.ledger.log
    position = None if known_at is None else await run_in_threadpool(position_of, log, known_at)
    asked = [wanted for wanted in (position, at_least) if wanted is not None]
    generation = await _reached(service.ledger, max(asked, default=0))
    candidates = service.ledger.candidates
    return Reading(await run_in_threadpool(read_axes, log, valid_at, position, rules, candidates), generation)


AxesDep = Annotated[Reading, Depends(get_axes)]


async def _reached(ledger: OpenLedger, position: int) -> Generation:
    """Wait until the read models hold a position.

    Raises:
        AxisError: the log itself does not reach so far, so nobody was ever told of that position.
    """
    deadline = time.monotonic() + AT_LEAST_SECONDS_MAX
    while True:
        generation = await run_in_threadpool(ledger.current_generation)
        if generation.position >= position:
            return generation
        if position > (head := await run_in_threadpool(ledger.log.head)):
            sentence = f"at_least {position} lies beyond the log's last position, {head}; name one that was answered"
            raise AxisError("at_least", sentence)
        if time.monotonic() > deadline:
            detail = f"the read models are at position {generation.position}, not yet at {position}; ask again"
            raise problem("behind", detail, field="at_least")
        await asyncio.sleep(_POLL_SECONDS)
