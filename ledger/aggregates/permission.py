"""Four-eyes approval: who may act at all, asked before the decision of any command but a scan.

Nobody acts on their own hours, whatever the rules say; and the published rules name the commands that another has to
approve (`ledger/deciding/policies.py`). Somebody is the volunteer concerned if named by that volunteer's number, or if
the key is bound to it; numbers that were merged are one person's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import get_args

from ledger.aggregates.project import Project
from ledger.aggregates.rules import rules_in_force
from ledger.aggregates.volunteer import goes_on_as
from ledger.deciding.base import Command, Event, Order
from ledger.deciding.case import Case
from ledger.deciding.policies import NO_POLICIES, ApprovableAct, Policies, policies_of
from ledger.rejections import Refused, Rejection, refuse

_ASKED_ABOUT = frozenset(get_args(ApprovableAct)) | {"request-act", "approve-act", "decline-act", "answer-dispute"}
"""Types of commands that change hours, or decide about what changes them."""

_OLD_RECORDS = frozenset({"attest-shift", "record-training", "record-opening-balance", "raise-day-cap"})
"""What old records become that can need approval: `hours import` makes nothing else."""


def forbids(case: Case) -> Refused | None:
    """Return why whoever gives this order may not, if so."""
    command = case.order.command
    if command.TYPE not in _ASKED_ABOUT:
        return None
    if own := own_number(case, command):
        return refuse(Rejection.OWN_HOURS, "volunteer", own)
    if needs_approval(case.order, policies(case)):
        return refuse(Rejection.NEEDS_APPROVAL, "command", command.TYPE)
    return None


def policies(case: Case) -> Policies:
    """Return what the rules in force say about acts."""
    rules = rules_in_force(case)
    return policies_of(rules.text) if rules else NO_POLICIES


def needs_approval(order: Order, policies: Policies) -> bool:
    """Whether the rules want another's approval for an order."""
    approvals = policies.approvals
    if order.imported and order.command.TYPE in _OLD_RECORDS and not approvals.imported:
        return False
    return any(act in approvals.kinds for act in order.command.acts)


def own_number(case: Case, command: Command) -> str | None:
    """Return the volunteer whose hours a command is about, if that is whoever gives it."""
    return next(own_numbers(case, lambda: command.concerned(case)), None)


def own_numbers(case: Case, volunteers: Callable[[], Iterable[str]]) -> Iterator[str]:
    """Yield those of the volunteers who are whoever gives this order."""
    mine = _persons(case, case.order.by, case.order.by_volunteer)
    if any(case.knows("volunteer", one.removeprefix("person:")) for one in mine):  # as a rule nothing more is read
        yield from (one for one in volunteers() if f"person:{goes_on_as(case, one)}" in mine)


def same_person(case: Case, events: Iterable[Event]) -> bool:
    """Whether whoever gives this order, or approves it, did or approved one of these events."""
    mine = _persons(case, case.order.by, case.order.by_volunteer)
    if case.approval:
        mine |= _persons(case, case.approval.by, case.approval.by_volunteer)
    return any(
        mine & (_persons(case, event.by, event.by_volunteer) | _persons(case, event.approved_by)) for event in events
    )


def _persons(case: Case, by: str | None, by_volunteer: str | None = None) -> set[str]:
    """Return the names of whoever did something: as an actor, and as the volunteer that the key or the name tells."""
    names = {by} | ({f"person:{by_volunteer}"} if by_volunteer else set())
    kinds = [(name, *name.partition(":")[::2]) for name in names if name]
    return {
        f"person:{goes_on_as(case, number)}" if kind == "person" and case.knows("volunteer", number) else name
        for name, kind, number in kinds
    }


def recipient(case: Case, volunteer: str | None, project: str | None) -> str | None:
    """Return the volunteer an honour goes to: of a project's, who is in charge of it, if anybody is."""
    if project is None:
        return volunteer
    launched = case.stream(Project, "project", project).launched
    return launched.in_charge if launched else None
