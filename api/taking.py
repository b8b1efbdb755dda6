"""Taking commands from requests: from what a caller sent to orders, and from the ledger's answers to the caller's.

A batch is taken element by element: one that is no command, or is not allowed, is answered so and holds up no other.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import Annotated, Literal, TypeVar
from weakref import WeakKeyDictionary

import psycopg
from fastapi import Query
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field

from api.access import Caller, Forbidden, Right, forbids, forbids_name, forbids_right
from api.problems import Fault, fault, fault_of_role, problem
from api.service import Service
from ledger.answers import TERMS_ORDERS_MAX, Answer, Terms
from ledger.commands import Command, Order, PublishRules
from ledger.group_commit import QueueFull
from ledger.plain.block import Block
from projections.rule_check import require_sound
from projections.rules import RulesError

T = TypeVar("T")

PROJECTED_SECONDS_MAX = 2.0
_POLL_SECONDS = 0.01
_FEW = 16
"""So many orders are prepared at once on the event loop: a thread would cost more than they do."""


class Asked(BaseModel):
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


AskedHere = Annotated[Asked, Query()]


def refused_for_role(caller: Caller, order: Order, *, named_by_caller: bool) -> Fault | None:
    """Return why this caller may not give this order, if so."""
    reasons: tuple[Forbidden | None, ...] = (
        forbids(caller, order.command),
        forbids_right(caller, Right.IMPORT) if order.imported else None,
        forbids_name(caller, order.source) if named_by_caller else None,
    )
    return next((fault_of_role(reason) for reason in reasons if reason), None)


def refused_for_content(command: Command) -> Fault | None:
    """Return what is wrong with a command that the ledger itself cannot tell: it keeps rules, and cannot read them."""
    if isinstance(command, PublishRules):
        try:
            require_sound(command.text)
        except RulesError as error:
            return fault("invalid", f"text: {error}", field="text", remedy="correct the key")
    return None


async def take(service: Service, orders: Sequence[Order], asked: Asked) -> list[Answer]:
    """Record orders together with those of other requests; return their answers in the same order."""
    if (asked.atomic or asked.dry_run) and len(orders) > TERMS_ORDERS_MAX:
        detail = f"{len(orders)} events are more than the {TERMS_ORDERS_MAX} that are taken together; send fewer"
        raise problem("too-large", detail)
    with turned_away():
        if len(orders) > _FEW:
            future = await run_in_threadpool(service.commits.submit, orders, asked.terms)
        else:
            future = service.commits.submit(orders, asked.terms)
    return await _answers_of(future)


async def take_block(service: Service, block: Block) -> None:
    """Record scans together with the orders of other requests; their rows say what became of them."""
    with turned_away():
        future = service.commits.submit_block(block)
    await _answers_of(future)


@contextmanager
def turned_away() -> Iterator[None]:
    """Turn the ledger's saying that it takes nothing now into a problem."""
    try:
        yield
    except QueueFull:
        raise problem("busy") from None
    except RuntimeError:  # it is closing
        raise problem("unavailable", "the service is stopping; send it again in a moment") from None


def _answers_of(future: Future[list[T]]) -> asyncio.Future[list[T]]:
    """Return a future of this event loop that is done when the ledger's is.

    A caller that goes away cancels its own alone: the order may be in mid-commit. (asyncio's `wrap_future` would cancel
    both, and shielding it takes a third future and another turn of the loop.)
    """
    loop = asyncio.get_running_loop()
    own: asyncio.Future[list[T]] = loop.create_future()

    def tell(done: Future[list[T]]) -> None:
        with suppress(RuntimeError):  # the loop is closed, and nobody waits
            loop.call_soon_threadsafe(_settle, own, done)

    future.add_done_callback(tell)
    return own


def _settle(own: asyncio.Future[list[T]], done: Future[list[T]]) -> None:
    if own.done():  # its caller went away
        return
    if error := done.exception():
        own.set_exception(error)
    else:
        own.set_result(done.result())


async def projected(service: Service, asked: Asked, position: int | None) -> bool | None:
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
