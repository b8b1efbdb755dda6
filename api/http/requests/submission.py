"""Submission of orders from requests to the ledger.

A batch is processed element by element: an element that is not a valid command, or is not allowed, is refused on its
own and does not affect the others.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Annotated, Any, Literal, TypeVar
from weakref import WeakKeyDictionary

import msgspec
import psycopg
from fastapi import Query, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from api.access.rate_limits import RateLimits, rate_of
from api.access.refusals import fault_of_role
from api.access.roles import Caller, Permission
from api.http.requests.dependencies import confirm
from api.messages.cloud_events import read_binary, read_event
from api.messages.problems import Fault, fault, fault_of_validation, problem
from api.operations.service import Service
from ledger.aggregates import Command, Order
from ledger.aggregates.rules import PublishRules
from ledger.aggregates.scans import Scan
from ledger.intake.answers import TERMS_ORDERS_MAX, Accepted, Answer, Terms
from ledger.intake.group_commit import QueueFull
from ledger.intake.prepare import Prepared, prepare
from projections.rules.checking import require_sound
from projections.rules.timeline import RulesError

A = TypeVar("A", bound=Answer)

PROJECTED_SECONDS_MAX = 2.0
_POLL_SECONDS = 0.01
SMALL_BYTES_MAX = 8192
"""A body up to this size is parsed on the event loop: passing it to a thread would take longer."""


class IntakeOptions(BaseModel):
    """How submitted commands are to be processed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    atomic: bool = Field(default=False, description="All or nothing: if one is refused, none is recorded.")
    dry_run: bool = Field(default=False, description="Only return what the answer would be; nothing is recorded.")
    wait: Literal["projected"] | None = Field(
        default=None, description="Answer when the read models include it, or after 2 s: `projected` says which."
    )

    @property
    def terms(self) -> Terms:
        """These options as the ledger's terms."""
        return Terms(atomic=self.atomic, dry_run=self.dry_run)


IntakeQuery = Annotated[IntakeOptions, Query()]


class Reader:
    """Makes the orders of a caller, whatever the request, and prepares them for the ledger, or returns faults.

    Every order of a request is made here: the names are checked, and what the caller may do.
    """

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._sender = caller.sender
        self._permission = Permission(caller)
        self.proof = caller.proof
        """The request's signature, if it has one."""

    def order(self, command: Command, *, realm: str, id: str) -> Prepared | Fault:  # noqa: A002 - the field
        """Make an order of a command that was sent without a source: the source is the caller's own of this realm."""
        source = f"/{realm}/{self._sender.by}"
        try:
            return self._prepared(self._sender.order(command, source=source, id=id, imported=False))
        except ValidationError as error:
            return fault_of_validation(error.errors())

    def charge(self, limits: RateLimits, commands: int) -> None:
        """Count the commands of one request, also those that are faults: limits are of commands, not of requests."""
        if self._caller.key is not None:
            limits.charge(self._caller.key, rate_of(self._caller, limits), commands)

    async def wait(self, limits: RateLimits) -> None:
        """Wait until the caller may send again; that slows the sender of a stream, which is one request."""
        key, rate = self._caller.key, rate_of(self._caller, limits)
        while key is not None and (seconds := limits.wait_seconds(key, rate)):  # noqa: ASYNC110 - time is waited for
            await asyncio.sleep(seconds)

    def read(self, event: bytes | msgspec.Raw) -> Prepared | Fault:
        """Parse an event."""
        return self._prepared(read_event(event, self._sender))

    def read_binary(self, attributes: Mapping[str, Any], data: bytes) -> Prepared | Fault:
        """Parse an event whose attributes were sent apart from its data."""
        return self._prepared(read_binary(attributes, data, self._sender))

    def _prepared(self, order: Order | Fault) -> Prepared | Fault:
        if isinstance(order, Fault):
            return order
        if forbidden := self._permission.forbids(order):
            return fault_of_role(forbidden)
        if wrong := refused_for_content(order.command):
            return wrong
        prepared = prepare(order)
        return prepared if self.proof is None else prepared._replace(proof=self.proof)


def refused_for_content(command: Command) -> Fault | None:
    """Return a fault that the ledger itself cannot detect, or None: it stores rules without parsing them."""
    if isinstance(command, PublishRules):
        try:
            require_sound(command.text)
        except RulesError as error:
            return fault("invalid", f"text: {error}", field="text", remedy="correct the key")
    return None


def valid_orders(parsed: Sequence[Prepared | Fault], service: Service) -> list[Prepared]:
    """Return the elements that are orders; count the others as refused in the metrics."""
    faults = [item.rejection for item in parsed if isinstance(item, Fault)]
    if faults:
        service.metrics.refusals(faults)
    return [item for item in parsed if not isinstance(item, Fault)]


async def submit(request: Request, orders: Sequence[Prepared], options: IntakeOptions) -> list[Answer]:
    """Record a request's orders, in one commit with those of others; return their answers in the same order.

    The key is looked up again: whatever took the time, a body, a queue or a computation, nothing is recorded under a
    key that has been revoked meanwhile.

    Raises:
        Problem: the key is no longer valid, there are too many orders for these options, the queue is full, or the
            service is stopping.
    """
    await confirm(request)
    service: Service = request.app.state.service
    if not orders:
        return []
    if (options.atomic or options.dry_run) and len(orders) > TERMS_ORDERS_MAX:
        detail = f"{len(orders)} events are more than the {TERMS_ORDERS_MAX} allowed with atomic or dry_run; send fewer"
        raise problem("too-large", detail)
    try:
        future = service.commits.submit(orders, options.terms)
    except QueueFull:
        raise problem("busy") from None
    except RuntimeError:  # closing
        raise problem("unavailable", "the service is stopping; send it again in a moment") from None
    return await _answers_of(future)


def _answers_of(future: Future[list[Answer]]) -> asyncio.Future[list[Answer]]:
    """Return a future of this event loop that completes with the ledger's.

    A client that disconnects cancels only its own future, because the order may be in mid-commit. (asyncio's
    `wrap_future` would cancel both, and shielding it takes a third future and another iteration of the loop.)
    """
    loop = asyncio.get_running_loop()
    own: asyncio.Future[list[Answer]] = loop.create_future()

    def on_done(done: Future[list[Answer]]) -> None:
        with suppress(RuntimeError):  # the loop is closed, so nothing awaits the future
            loop.call_soon_threadsafe(_complete, own, done)

    future.add_done_callback(on_done)
    return own


def _complete(own: asyncio.Future[list[Answer]], done: Future[list[Answer]]) -> None:
    if own.done():  # cancelled
        return
    if error := done.exception():
        own.set_exception(error)
    else:
        own.set_result(done.result())


async def wait_projected(service: Service, options: IntakeOptions, position: int | None) -> bool | None:
    """Wait, if the options say so, until the read models include a position.

    Returns:
        Whether they do, or None without `wait` or a position. A database error counts as not yet, because the command
        is recorded anyway.
    """
    if options.wait is None or position is None:
        return None
    deadline = time.monotonic() + PROJECTED_SECONDS_MAX
    while await _read_model_position(service) < position:
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(_POLL_SECONDS)
    return True


async def with_shifts(service: Service, orders: Sequence[Prepared], answers: Sequence[A]) -> list[A]:
    """Return answers to projected orders, in which punches name the shift that they came to by the rules in force."""
    punches = [
        (order.order.command.volunteer, answer.punch)
        for order, answer in zip(orders, answers, strict=True)
        if isinstance(answer, Accepted) and answer.punch and isinstance(order.order.command, Scan)
    ]
    if not punches:
        return list(answers)
    found = await run_in_threadpool(service.ledger.queries.shifts_of_punches, punches)
    return [
        answer._replace(shift=found.get(answer.punch)) if isinstance(answer, Accepted) and answer.punch else answer
        for answer in answers
    ]


_position_queries: WeakKeyDictionary[Service, asyncio.Task[int]] = WeakKeyDictionary()


async def _read_model_position(service: Service) -> int:
    """Return the position of the read models; concurrent callers share one query."""
    task = _position_queries.get(service)
    if task is None or task.done() or task.get_loop() is not asyncio.get_running_loop():
        task = asyncio.create_task(run_in_threadpool(_query_position, service))
        _position_queries[service] = task
    return await asyncio.shield(task)


def _query_position(service: Service) -> int:
    try:
        return service.ledger.read_model_position()
    except psycopg.OperationalError:
        return 0
