"""The kinds of streams, a file each: their events, what those fold to, their commands and decisions.

Decisions are pure functions of an order, the streams as they are, and the instant of recording. Nothing in this folder
knows PostgreSQL, HTTP, a clock or a read model. `COMMANDS` and `EVENTS` name everything there is.
"""

from ledger.aggregates import (
    day_cap,
    dispute,
    honor,
    opening_balance,
    organisation,
    people_served,
    project,
    request,
    rules,
    shift,
    shift_acts,
    station,
    volunteer,
)
from ledger.aggregates.base import COMMANDS, EVENTS, Aggregate, Command, Event, Order, command_of
from ledger.aggregates.case import Case, Decision
from ledger.aggregates.permission import forbids

__all__ = [
    "COMMANDS",
    "EVENTS",
    "Aggregate",
    "Case",
    "Command",
    "Decision",
    "Event",
    "Order",
    "command_of",
    "day_cap",
    "decide",
    "dispute",
    "honor",
    "opening_balance",
    "organisation",
    "people_served",
    "project",
    "request",
    "rules",
    "shift",
    "shift_acts",
    "station",
    "volunteer",
]


def decide(case: Case) -> Decision:
    """Return the events that grant an order, or why it is refused."""
    return forbids(case) or case.order.command.decide(case)
