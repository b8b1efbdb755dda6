"""The kinds of streams, one file each: their events, what those fold to, their commands and decisions.

Decisions are pure functions of an order, the current streams and the instant of recording. Nothing in this folder
knows PostgreSQL, HTTP, a clock or a read model. `COMMANDS` and `EVENTS` are the complete registries.
"""

from ledger.aggregates import (
    certificate,
    day_cap,
    dispute,
    honor,
    opening_balance,
    organisation,
    people_served,
    project,
    request,
    rules,
    scans,
    shift,
    shift_acts,
    station,
    volunteer,
)
from ledger.aggregates.four_eyes.effects import check_effects
from ledger.aggregates.four_eyes.permission import check_permission
from ledger.deciding.base import COMMANDS, EVENTS, Aggregate, Command, Event, Order, Sender, command_of
from ledger.deciding.case import Case, Decision
from ledger.deciding.versions import check_version
from ledger.rejections import Refused, RefusedError

__all__ = [
    "COMMANDS",
    "EVENTS",
    "Aggregate",
    "Case",
    "Command",
    "Decision",
    "Event",
    "Order",
    "Sender",
    "certificate",
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
    "scans",
    "shift",
    "shift_acts",
    "station",
    "volunteer",
]


_KINDS = (
    *(shift, scans, shift_acts, dispute, volunteer, organisation, station, project, people_served),
    *(opening_balance, day_cap, request, rules, honor, certificate),
)
"""In the order in which descriptions list their commands and events."""

_order = {kind.__name__: number for number, kind in enumerate(_KINDS)}
for _registry in (COMMANDS, EVENTS):
    _sorted = sorted(_registry.items(), key=lambda each: _order[each[1].__module__])
    _registry.clear()
    _registry.update(_sorted)  # type: ignore[arg-type]


def decide(case: Case) -> Decision:
    """Return the events that an order results in, or its refusal."""
    try:
        command = case.order.command
        decision = check_permission(case) or command.decide(case)
        if isinstance(decision, Refused) or command.TYPE in scans.SCANS:
            return decision
        return check_effects(case, decision) or check_version(case, command.precondition, decision) or decision
    except RefusedError as error:
        return error.refused
