"""Taking commands from requests: from what a caller sent to orders, and from the ledger's answers to the caller's.

A batch is taken element by element: one that is no command, or is not allowed, is answered so and holds up no other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from fastapi.concurrency import run_in_threadpool

from api.access import Caller, Forbidden, Right, forbids, forbids_name, forbids_right
from api.problems import Fault, fault, fault_of_role, problem
from api.service import Service
from ledger.answers import Answer
from ledger.commands import Command, Order, PublishRules
from ledger.group_commit import QueueFull
from projections.rule_check import require_sound
from projections.rules import RulesError


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


async def take(service: Service, orders: Sequence[Order]) -> list[Answer]:
    """Record orders together with those of other requests; return their answers in the same order."""
    try:
        future = await run_in_threadpool(service.commits.submit, orders)
    except QueueFull:
        raise problem("busy") from None
    # Shielded: a caller that goes away must not cancel what may already be in mid-commit.
    return await asyncio.shield(asyncio.wrap_future(future))
