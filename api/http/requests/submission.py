"""Taking commands from requests: from orders to the ledger's answers.

A batch is taken element by element: one that is no command, or is not allowed, is answered so and holds up no other.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Annotated, Any, Literal
from weakref import WeakKeyDictionary

import msgspec
import psycopg
from fastapi import Query
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field

from api.access.refusals import fault_of_role
from api.access.roles import Caller, Permission
from api.messages.cloud_events import Sender, read_binary, read_event
from api.messages.problems import Fault, fault, problem
from api.operations.service import Service
from ledger.aggregates import Command, Order
from ledger.aggregates.rules import PublishRules
from ledger.intake.answers import TERMS_ORDERS_MAX, Answer, Terms
from ledger.intake.group_commit import QueueFull
from ledger.intake.prepare import Prepared, prepare
from projections.rules.checking import require_sound
from projections.rules.timeline import RulesError

PROJECTED_SECONDS_MAX = 2.0
_POLL_SECONDS = 0.01
SMALL_BYTES_MAX = 8192
"""A body up to this size is read on the event loop: a thread would cost more than that does."""


class IntakeOptions(BaseModel):
    """How a caller wants its events taken."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    atomic: bool = Field(default=False, description="All or nothing: when one is refused, none is recorded.")
    dry_run: bool = Field(default=False, description="Answer what would be; nothing is recorded.")
    wait: Literal["projected"] | None = Field(
        default=None, description="Answer when the read models include it, or after 2 s: `projected` says which."
    )

    @property
    def terms(self) -> Terms:
        """The same for the ledger."""
        return Terms(atomic=self.atomic, dry_run=self.dry_run)


IntakeQuery = Annotated[IntakeOptions, Query()]


class Reader:
    """Reads a caller's events: from bytes to orders that are ready for the ledger, or to what is wrong with them."""

    def __init__(self, caller: Caller) -> None:
        self._giver = Sender(caller.by, caller.key, caller.volunteer)
        self._permission = Permission(caller)

    def read(self, event: bytes | msgspec.Raw) -> Prepared | Fault:
        """Read an event."""
        return self._allowed(read_event(event, self._giver))

    def read_binary(self, attributes: Mapping[str, Any], data: bytes) -> Prepared | Fault:
        """Read an event whose attributes came apart from its data."""
        return self._allowed(read_binary(attributes, data, self._giver))

    def _allowed(self, read: Order | Fault) -> Prepared | Fault:
        if isinstance(read, Fault):
            return read
        if forbidden := self._permission.forbids(read, named_by_caller=True):
            return fault_of_role(forbidden)
        return refused_for_content(read.command) or prepare(read)


def refused_for_content(command: Command) -> Fault | None:
    """Return what is wrong with a command that the ledger itself cannot tell: it keeps rules, and cannot read them."""
    if isinstance(command, PublishRules):
        try:
            require_sound(command.text)
        except RulesError as error:
            return fault("invalid", f"text: {error}", field="text", remedy="correct the key")
    return None


def orders_among(read: Sequence[Prepared | Fault], service: Service) -> list[Prepared]:
    """Return the elements that are orders, and count the others as refused."""
    faults = [one.rejection for one in read if isinstance(one, Fault)]
    if faults:
        service.counted.refusals(faults)
    return [one for one in read if not isinstance(one, Fault)]


async def take(service: Service, orders: Sequence[Prepared], asked: IntakeOptions) -> list[Answer]:
    """Record orders together with those of other requests; return their answers in the same order."""
    if not orders:
        return []
    if (asked.atomic or asked.dry_run) and len(orders) > TERMS_ORDERS_MAX:
        detail = f"{len(orders)} events are more than the {TERMS_ORDERS_MAX} that are taken together; send fewer"
        raise problem("too-large", detail)
    try:
        future = service.commits.submit(orders, asked.terms)
    except QueueFull:
        raise problem("busy") from None
    except RuntimeError:  # it is closing
        raise problem("unavailable", "the service is stopping; send it again in a moment") from None
    return await _answers_of(future)


def _answers_of(future: Future[list[Answer]]) -> asyncio.Future[list[Answer]]:
    """Return a future of this event loop that is done when the ledger's is.

    A caller that goes away cancels its own alone: the order may be in mid-commit. (asyncio's `wrap_future` would cancel
    both, and shielding it takes a third future and another turn of the loop.)
    """
    loop = asyncio.get_running_loop()
    own: asyncio.Future[list[Answer]] = loop.create_future()

    def tell(done: Future[list[Answer]]) -> None:
        with suppress(RuntimeError):  # the loop is closed, and nobody waits
            loop.call_soon_threadsafe(_settle, own, done)

    future.add_done_callback(tell)
    return own


def _settle(own: asyncio.Future[list[Answer]], done: Future[list[Answer]]) -> None:
    if own.done():  # its caller went away
        return
    if error := done.exception():
        own.set_exception(error)
    else:
        own.set_result(done.result())


async def projected(service: Service, asked: IntakeOptions, position: int | None) -> bool | None:
    """Wait, where that was asked, until the read models include a position; say whether they do.

    What is recorded is answered as recorded, also when the read models cannot be asked.
    """
    if asked.wait is None or position is None:
        return None
    deadline = time.monotonic() + PROJECTED_SECONDS_MAX
    while await _seen(service) < position:
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(_POLL_SECONDS)
    return True


_asking: WeakKeyDictionary[Service, asyncio.Task[int]] = WeakKeyDictionary()


async def _seen(service: Service) -> int:
    """Return the position of the read models; whoever asks at the same time is told by the same query."""
    task = _asking.get(service)
    if task is None or task.done() or task.get_loop() is not asyncio.get_running_loop():
        task = asyncio.create_task(run_in_threadpool(_position_of, service))
        _asking[service] = task
    return await asyncio.shield(task)


def _position_of(service: Service) -> int:
    try:
        return service.ledger.reached()
    except psycopg.OperationalError:
        return 0
