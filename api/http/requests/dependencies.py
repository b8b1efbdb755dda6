"""FastAPI dependencies: the service, the caller, and where a request's work is done."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from typing import Annotated, Any, TypeVar

import psycopg
from anyio import move_on_after
from anyio.to_thread import run_sync
from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.types import Scope

from api.access.rate_limits import rate_of
from api.access.refusals import fault_of_role, require
from api.access.roles import Caller, Right, forbids_address, forbids_right, forbids_type
from api.access.signatures import SignedRequest
from api.access.signed_content import NotRecordedError, require_recorded
from api.access.signed_requests import BadSignatureError, Sent, Signed, verify
from api.http.requests import lanes
from api.http.requests.computing_client import ComputingClient
from api.http.requests.in_progress import RequestsInProgress
from api.http.requests.lanes import ConcurrencyLimits, compute, run_with, share_of
from api.http.requests.limits import is_stream
from api.http.requests.links import link_for
from api.http.requests.request_log import CALLER
from api.http.requests.wire import HANDED_OVER
from api.messages.problems import Problem, fault, problem
from api.operations.service import Service
from api.pages.sessions import is_page
from replay.queries.queries import Axes

KEY_SECONDS_MAX = 1.0
"""How long `/readyz` waits for a key to be looked up."""

_bearer = HTTPBearer(auto_error=False, description="An API key: `hours keys make` makes one.")
T = TypeVar("T")


async def get_service(request: Request) -> Service:
    """Return the service of this process. (Async, because FastAPI would call a plain function in a thread.)"""
    service: Service = request.app.state.service
    return service


ServiceDep = Annotated[Service, Depends(get_service)]


async def run_query(request: Request, axes: Axes, work: Callable[[], T]) -> T:
    """Run a query: as a replay, unless the current generation's rows can answer it."""
    return await (run_read(request, work) if axes.current else run_replay(request, work))


async def run_read(request: Request, work: Callable[[], T]) -> T:
    """Run a plain read in a thread of its own, with a deadline; it keeps the request's permit until it has left."""
    with_names = named(request, work)  # nothing may fail between handing the permit over and the thread that holds it
    return await run_with(request.state.permit.handed_over(), with_names, lanes.READ_SECONDS_MAX)


def named(request: Request, work: Callable[[], T]) -> Callable[[], T]:
    """Return work whose answer has the names of its places beside their ids."""
    service: Service = request.app.state.service
    return lambda: service.ledger.named(work())


async def run_lookup(request: Request, work: Callable[[], T]) -> T:
    """Run a short read on behalf of a request that holds no permit, in turn with the reads of other keys."""
    limits: ConcurrencyLimits = request.app.state.concurrency
    async with limits.queries.permit(share_of(request.scope[CALLER])):
        return await run_sync(work)


async def run_replay(request: Request, work: Callable[[], T]) -> T:
    """Run a read request that needs a replay: after other replays, and without holding a permit for queries."""
    request.state.permit.release()
    return await run_exclusively(request, work)


async def hand_over(request: Request) -> None:
    """Hand a request that computes over to the computing process, if there is one; this process then does not go on.

    Raises:
        HandedOver: with the answer of the computing process.
        Problem: too many requests are handed over (`busy`).
    """
    computing: ComputingClient | None = request.app.state.computing
    if computing is not None:
        raise await computing.hand_over(request)


async def run_exclusively(request: Request, work: Callable[[], T]) -> T:
    """Run work that uses as many resources as a replay: one at a time, keys in turn, with a deadline."""
    await hand_over(request)
    limits: ConcurrencyLimits = request.app.state.concurrency
    return await compute(limits.replays, request.scope[CALLER], named(request, work))


async def run_check(request: Request, work: Callable[[], T]) -> T:
    """Run a check of rules that a caller sent: one at a time, keys in turn, with a deadline."""
    await hand_over(request)
    limits: ConcurrencyLimits = request.app.state.concurrency
    return await compute(limits.checks, request.scope[CALLER], work)


async def run_plan(request: Request, work: Callable[[], T]) -> T:
    """Find the evidence of honours to be conferred: one request at a time, keys in turn, with a deadline."""
    await hand_over(request)
    limits: ConcurrencyLimits = request.app.state.concurrency
    return await compute(limits.plans, request.scope[CALLER], work)


async def get_caller(
    request: Request,
    service: ServiceDep,
    _described: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
) -> Caller:
    """Return the caller whose key the request carries; see `authenticated`. Links are made for that key."""
    caller = await authenticated(request, service)
    link_for(caller)
    return caller


async def authenticated(request: Request, service: Service) -> Caller:
    """Return the caller whose key the request carries, after checking its rate, its address and its signature.

    Raises:
        Problem: there is no valid key or signature, the rate is exceeded, or the role may not use this address.
    """
    known: Caller | None = request.scope.get(CALLER)
    caller = await identify(request) if known is None else await confirm(request)
    if caller.public_key is not None:
        # The scope keeps the caller without the signature: `confirm` compares it with the caller of the key.
        return caller._replace(proof=await _verify_signature(request, service, caller, caller.public_key))
    return caller


async def identify(request: Request) -> Caller:
    """Return the caller whose key the request carries, after checking its rate, its address, and how many of its
    requests are in progress. Reads no body.

    Raises:
        Problem: there is no valid key, the rate is exceeded, the role may not use this address, or the key has too many
            requests in progress.
    """
    caller = await _find_caller(request)
    service: Service = request.app.state.service
    request.scope[CALLER] = caller
    if HANDED_OVER in request.scope:
        return caller
    rate = rate_of(caller, service.limits)
    if caller.key is not None and (seconds := service.limits.wait_seconds(caller.key, rate)):
        detail = f"key {caller.key} exceeds its rate of {rate} requests or commands a second"
        raise Problem(fault("too-often", detail), {"Retry-After": str(math.ceil(seconds))})
    path = request.url.path  # a page says itself whom it is for, and reads with the key of its reader
    if not is_page(path) and (forbidden := forbids_address(caller, request.method, path)):
        raise Problem(fault_of_role(forbidden))
    in_progress: RequestsInProgress = request.app.state.in_progress
    in_progress.begin(request.scope, caller)
    return caller


async def check_key(scope: Scope) -> None:
    """Look up the caller of a request, or look it up again if that was done before."""
    request = Request(scope)
    await (confirm(request) if CALLER in scope else identify(request))


async def confirm(request: Request) -> Caller:
    """Look the request's key up again: a body may take minutes to arrive, and the key may be revoked meanwhile.

    Raises:
        Problem: the key is revoked or expired, or its rights are no longer those with which the request began.
    """
    caller = await _find_caller(request)
    if caller != request.scope[CALLER]:
        raise problem("no-key", "the key was changed while the request arrived; send the request again")
    return caller


async def is_reader(request: Request) -> bool:
    """Return whether the request carries a key that may read, as far as that is known within KEY_SECONDS_MAX.

    While the database is away, a key counts as it was last known.
    """
    service: Service = request.app.state.service
    limits: ConcurrencyLimits = request.app.state.concurrency
    token = _token_of(request)
    caller = service.keys.last_known(token) if token else None
    if token and caller is None:
        with move_on_after(KEY_SECONDS_MAX), suppress(psycopg.OperationalError):
            caller = await run_sync(service.keys.caller, token, limiter=limits.keys, abandon_on_cancel=True)
    return caller is not None and forbids_right(caller, Right.READ) is None


def _token_of(request: Request) -> str | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" and token else None


async def _find_caller(request: Request) -> Caller:
    token = _token_of(request)
    if token is None:
        raise problem("no-key")
    service: Service = request.app.state.service
    limits: ConcurrencyLimits = request.app.state.concurrency
    caller = service.keys.cached(token) or await run_sync(service.keys.caller, token, limiter=limits.keys)
    if caller is None:
        raise problem("no-key")
    return caller


async def _verify_signature(
    request: Request, service: Service, caller: Caller, public_key: bytes
) -> SignedRequest | None:
    """Verify a request's signature, and that it signs nothing but what is recorded; read requests need none."""
    if request.method in {"GET", "HEAD"}:
        return None
    if not set(request.headers) & {"signature", "signature-input"}:
        if caller.must_sign and is_stream(request.scope):
            detail = f"a stream cannot be signed, and requests with key {caller.key} must be; send signed batches"
            raise problem("not-signed", f"{detail} (docs/access.md)", remedy="send signed batches")
        if caller.must_sign:
            raise problem("not-signed", f"requests with key {caller.key} must be signed; see docs/access.md")
        return None
    if is_stream(request.scope):
        raise problem("not-signed", "a stream cannot be signed; send batches", remedy="send batches")
    sent = Sent(request.method, str(request.url), request.headers, await request.body())
    await confirm(request)
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
        raise problem("bad-signature", f"the signature is not valid: {error}", remedy=error.remedy) from None


CallerDep = Annotated[Caller, Depends(get_caller)]


async def handed_over(request: Request, _caller: CallerDep) -> None:
    """Hand every request of a router over to the computing process, if there is one."""
    await hand_over(request)


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


async def query_permit(request: Request, caller: CallerDep) -> AsyncIterator[None]:
    """Hold a permit for queries until the answer is computed; it is released before the answer is sent."""
    limits: ConcurrencyLimits = request.app.state.concurrency
    async with limits.queries.permit(share_of(caller)) as permit:
        request.state.permit = permit
        yield


PermitDep = Annotated[None, Depends(query_permit, scope="function")]
"""For reads without axes: like all reads they wait for their key's turn, so that no key occupies all threads."""
