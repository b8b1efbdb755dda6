"""FastAPI dependencies: the service, the caller, and the axes of time of a read request.

`at_least` lets clients read their own writes: the request waits a moment until the read models include that position.
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
from api.access.signatures import SignedRequest
from api.access.signed_content import NotRecordedError, require_recorded
from api.access.signed_requests import BadSignatureError, Sent, Signed, verify
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
"""How long a query or a replay waits for others of its kind before it is answered with `busy`."""
_POLL_SECONDS = 0.02

_bearer = HTTPBearer(auto_error=False, description="An API key: `hours keys make` makes one.")
T = TypeVar("T")


async def get_service(request: Request) -> Service:
    """Return the service of this process. (Async, because FastAPI would call a plain function in a thread.)"""
    service: Service = request.app.state.service
    return service


ServiceDep = Annotated[Service, Depends(get_service)]


class Permit:
    """A permit of a `BoundedLimiter`, held until it is released."""

    def __init__(self, limiter: CapacityLimiter) -> None:
        self._limiter: CapacityLimiter | None = limiter

    def release(self) -> None:
        """Release the permit; releasing it again changes nothing."""
        if self._limiter is not None:
            self._limiter.release_on_behalf_of(self)
            self._limiter = None


class BoundedLimiter:
    """Grants at most `at_once` permits at a time; refuses a request (`busy`) that has waited `seconds_max`."""

    def __init__(self, at_once: int, seconds_max: float) -> None:
        self._limiter = CapacityLimiter(at_once)
        self.at_once = at_once
        self.seconds_max = seconds_max

    @asynccontextmanager
    async def permit(self) -> AsyncIterator[Permit]:
        """Wait for a permit; it is released at the end of the block at the latest."""
        permit = Permit(self._limiter)
        try:
            with fail_after(self.seconds_max):
                await self._limiter.acquire_on_behalf_of(permit)
        except TimeoutError:
            detail = f"too many requests at once: this one has waited {self.seconds_max:g} s; send it again"
            raise problem("busy", detail) from None
        try:
            yield permit
        finally:
            permit.release()


class ConcurrencyLimits:
    """How many requests may use the database at once, by what they do; others wait, for a bounded time.

    The readers' pool has ten connections. A query uses one or two for a moment. A replay uses two for seconds, and
    gigabytes of memory: one runs at a time. Keys have their own connections and threads, so that readers never delay
    stations.
    """

    def __init__(self) -> None:
        self.queries = BoundedLimiter(6, QUERY_SECONDS_MAX)
        self.replays = BoundedLimiter(1, REPLAY_SECONDS_MAX)
        self.keys = CapacityLimiter(2)


async def query_permit(request: Request) -> AsyncIterator[None]:
    """Hold a permit for queries until the answer is computed; it is released before the answer is sent."""
    limits: ConcurrencyLimits = request.app.state.concurrency
    async with limits.queries.permit() as permit:
        request.state.permit = permit
        yield


async def run_query(request: Request, axes: Axes, work: Callable[[], T]) -> T:
    """Run a query in a thread: as a replay, unless the current generation's rows can answer it."""
    return await (run_sync(work) if axes.current else run_replay(request, work))


async def run_replay(request: Request, work: Callable[[], T]) -> T:
    """Run a read request that needs a replay: after other replays, and without holding a permit for queries."""
    request.state.permit.release()
    return await run_exclusively(request, work)


async def run_exclusively(request: Request, work: Callable[[], T]) -> T:
    """Run work that uses as many resources as a replay, in a thread: one at a time."""
    limits: ConcurrencyLimits = request.app.state.concurrency
    async with limits.replays.permit():
        return await run_sync(work)


async def get_caller(
    request: Request,
    service: ServiceDep,
    _described: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
) -> Caller:
    """Return the caller whose key the request carries; see `authenticated`."""
    return await authenticated(request, service)


async def authenticated(request: Request, service: Service) -> Caller:
    """Return the caller whose key the request carries, after checking its rate, its address and its signature.

    Raises:
        Problem: there is no valid key or signature, the rate is exceeded, or the role may not use this address.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise problem("no-key")
    limits: ConcurrencyLimits = request.app.state.concurrency
    caller = service.keys.cached(token) or await run_sync(service.keys.caller, token, limiter=limits.keys)
    if caller is None:
        raise problem("no-key")
    request.scope[CALLER] = caller
    if caller.key is not None and (seconds := service.limits.wait_seconds(caller.key, caller.per_second)):
        allowed = caller.per_second or service.limits.per_second
        detail = f"key {caller.key} exceeds its rate of {allowed} requests a second"
        raise Problem(fault("too-often", detail), {"Retry-After": str(math.ceil(seconds))})
    if forbidden := forbids_address(caller, request.method, request.url.path):
        raise Problem(fault_of_role(forbidden))
    if caller.public_key is not None:
        return caller._replace(proof=await _verify_signature(request, service, caller, caller.public_key))
    return caller


async def _verify_signature(
    request: Request, service: Service, caller: Caller, public_key: bytes
) -> SignedRequest | None:
    """Verify a request's signature, and that it signs nothing but what is recorded; read requests need none."""
    if request.method in {"GET", "HEAD"}:
        return None
    if not set(request.headers) & {"signature", "signature-input"}:
        if caller.must_sign:
            raise problem("not-signed", f"requests with key {caller.key} must be signed; see docs/access.md")
        return None
    if is_stream(request.scope):
        raise problem("not-signed", "a stream cannot be signed; send batches", remedy="send batches")
    sent = Sent(request.method, str(request.url), request.headers, await request.body())
    limits: ConcurrencyLimits = request.app.state.concurrency

    def verified() -> Signed:
        signed = verify(sent, caller.key or 0, public_key, service.signed_within)
        require_recorded(signed)
        return signed

    try:
        return SignedRequest(caller.key or 0, public_key, await run_sync(verified, limiter=limits.keys))
    except NotRecordedError as error:
        raise problem("invalid", str(error), field=error.field, remedy=f"leave {error.field} out") from None
    except BadSignatureError as error:
        raise problem("bad-signature", f"the signature is not valid: {error}") from None


CallerDep = Annotated[Caller, Depends(get_caller)]


def allowed_to(right: Right) -> Callable[[Caller], Coroutine[Any, Any, Caller]]:
    """Return a dependency: the caller, whose role must have this right. It is checked before the body is validated."""

    async def allowed(caller: CallerDep) -> Caller:
        require(caller, right)
        return caller

    return allowed


def allowed_to_send(command_type: str) -> Callable[[Caller], Coroutine[Any, Any, Caller]]:
    """Return a dependency: the caller, whose role must be allowed to send this type of command."""

    async def allowed(caller: CallerDep) -> Caller:
        if forbidden := forbids_type(caller, command_type):
            raise Problem(fault_of_role(forbidden))
        return caller

    return allowed


class Reading(NamedTuple):
    """The axes of a read request, with the current generation, which answers if no axis excludes events."""

    axes: Axes
    generation: Generation

    @property
    def rules(self) -> Rules:
        """The rules on which the answer is based."""
        found = self.generation
        return self.axes.rules or Rules(found.rules_version, found.rules_digest, found.rules_text)

    @property
    def known_at(self) -> Position:
        """The last position that the answer includes."""
        return Position(self.generation.position) if self.axes.known_at is None else self.axes.known_at

    def basis(self) -> answers.Basis:
        """Return the basis that every answer repeats: its axes and its position."""
        return answers.Basis(
            valid_at=self.axes.valid_at,
            known_at=self.known_at,
            rules=answers.RulesUsed(
                name=self.rules.timeline().name, version=self.rules.version, digest=self.rules.digest
            ),
            position=self.generation.position,
        )


def today_of(service: Service, reading: Reading) -> date:
    """Return today's date in the time zone of an answer's rules."""
    return local_day(service.ledger.clock(), reading.rules.timeline())


async def get_axes(
    service: ServiceDep,
    _caller: CallerDep,
    _permit: Annotated[None, Depends(query_permit, scope="function")],
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
        Query(ge=0, description="Wait (at most 2 s) until the answer includes this position."),
    ] = None,
) -> Reading:
    """Return the axes of a read request, as soon as the read models include the requested position."""
    log = service.ledger.log
    position = None if known_at is None else await run_in_threadpool(position_of, log, known_at)
    required = [bound for bound in (position, at_least) if bound is not None]
    generation = await _generation_at(service.ledger, max(required, default=0))
    candidates = service.ledger.candidates
    return Reading(await run_in_threadpool(read_axes, log, valid_at, position, rules, candidates), generation)


AxesDep = Annotated[Reading, Depends(get_axes)]


async def _generation_at(ledger: OpenLedger, position: int) -> Generation:
    """Wait until the read models include a position; return the current generation.

    Raises:
        AxisError: the position is beyond the log's last one.
        Problem: the read models did not reach the position in time.
    """
    deadline = time.monotonic() + AT_LEAST_SECONDS_MAX
    while True:
        generation = await run_in_threadpool(ledger.current_generation)
        if generation.position >= position:
            return generation
        if position > (head := await run_in_threadpool(ledger.log.head)):
            sentence = f"at_least {position} is beyond the log's last position, {head}; use one from an answer"
            raise AxisError("at_least", sentence)
        if time.monotonic() > deadline:
            detail = f"the read models are at position {generation.position}, not yet at {position}; send it again"
            raise problem("behind", detail, field="at_least")
        await asyncio.sleep(_POLL_SECONDS)
