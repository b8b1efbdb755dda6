"""Four-eyes approval: whether the caller may execute a command, checked before every decision except that of a
station's scan.

Nobody may act on their own hours, whatever the rules say, and the published rules name the commands that another person
must approve (`ledger/deciding/policies.py`); those that they name by an effect are checked once they are decided
(`ledger/aggregates/four_eyes/effects.py`). Callers act on their own hours if the actor's name or the key belongs to
the volunteer concerned. Merged numbers are one person.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, get_args

from ledger.aggregates.project import Project
from ledger.aggregates.rules import rules_in_force
from ledger.aggregates.scans import SCANS
from ledger.aggregates.volunteer import person_number
from ledger.deciding.base import Command, Order
from ledger.deciding.case import Case
from ledger.deciding.policies import NO_POLICIES, ApprovableAct, Approvals, Policies, policies_of
from ledger.names import writing_of
from ledger.rejections import Refused, Rejection, refuse

_CHECKED_TYPES = frozenset(get_args(ApprovableAct)) | {"request-act", "approve-act", "decline-act", "answer-dispute"}
"""Types of commands that change hours, or decide about such commands."""

_IMPORTABLE_TYPES = frozenset({"attest-shift", "record-training", "record-opening-balance", "raise-day-cap"})
"""Types of commands that can need approval and that `hours import` makes of old records."""


def check_permission(case: Case) -> Refused | None:
    """Return the refusal if the caller may not submit this order."""
    command = case.order.command
    if command.TYPE in SCANS:
        return None if case.order.by.startswith("station:") else _check_typed_scan(case)
    if command.TYPE not in _CHECKED_TYPES:
        return None
    if own := own_number(case, command):
        return refuse(Rejection.OWN_HOURS, "volunteer", own)
    if needs_approval(case.order, policies(case).approvals):
        return refuse(Rejection.NEEDS_APPROVAL, "command", command.TYPE)
    return None


def _check_typed_scan(case: Case) -> Refused | None:
    if own := own_number(case, case.order.command):
        return refuse(Rejection.OWN_HOURS, "volunteer", own)
    approvals = policies(case).approvals
    if approvals.typed_scans and (approvals.imported or not case.order.imported):
        instead = "a scan that a person types: request attest-shift or correct-shift instead"
        return refuse(Rejection.NEEDS_APPROVAL, "command", f"{case.order.command.TYPE} ({instead})")
    return None


def policies(case: Case) -> Policies:
    """Return the policies of the rules in force."""
    rules = rules_in_force(case)
    return policies_of(rules.text) if rules else NO_POLICIES


def needs_approval(order: Order, approvals: Approvals) -> bool:
    """Return whether the rules require another person's approval of an order because of its type."""
    return any(act in approvals.kinds for act in order.command.acts) and not is_exempt(order, approvals)


def is_exempt(order: Order, approvals: Approvals) -> bool:
    """Return whether an order is an imported old record, which was approved with its table."""
    return order.imported and order.command.TYPE in _IMPORTABLE_TYPES and not approvals.imported


def own_number(case: Case, command: Command) -> str | None:
    """Return the volunteer whose hours a command is about, if the caller is that volunteer."""
    return next(own_numbers(case, lambda: command.concerned(case)), None)


def own_numbers(case: Case, volunteers: Callable[[], Iterable[str]]) -> Iterator[str]:
    """Yield those of the volunteers who are the caller."""
    callers = _persons(case, case.order.by, case.order.by_volunteer)
    numbers = list(volunteers())
    yield from (n for n in numbers if writing_of(f"person:{n}") in callers and case.knows("volunteer", n))
    names = filter(None, (case.order.by.removeprefix("person:"), case.order.by_volunteer))
    if any(case.knows("volunteer", name) for name in names):  # usually false: reads no merges
        yield from (number for number in numbers if _person(case, number) in callers)


class Caused(Protocol):
    """What names who caused it."""

    @property
    def by(self) -> str: ...
    @property
    def by_volunteer(self) -> str | None: ...
    @property
    def approved_by(self) -> str | None: ...


def same_person(case: Case, events: Iterable[Caused]) -> bool:
    """Return whether the caller or the approver of this order also caused or approved one of the events."""
    callers = _persons(case, case.order.by, case.order.by_volunteer)
    if case.approval:
        callers |= _persons(case, case.approval.by, case.approval.by_volunteer)
    return any(
        callers & (_persons(case, event.by, event.by_volunteer) | _persons(case, event.approved_by)) for event in events
    )


def _persons(case: Case, by: str | None, by_volunteer: str | None = None) -> set[str]:
    """Return the writings of a caller: of the actor, and of the person behind the number of the actor or the key.

    Names that differ only in their writing are one person: `Li.Wei` does not approve what `li.wei` requested.
    """
    names = {by} | ({f"person:{by_volunteer}"} if by_volunteer else set())
    persons = {writing_of(name) for name in names if name}
    for name in filter(None, names):
        kind, _, number = name.partition(":")
        if kind == "person" and case.knows("volunteer", number):
            persons.add(_person(case, number))
    return persons


def _person(case: Case, number: str) -> str:
    return writing_of(f"person:{person_number(case, number)}")


def recipient(case: Case, volunteer: str | None, project: str | None) -> str | None:
    """Return the volunteer who receives an honour; for a project, the person in charge of it, if any."""
    if project is None:
        return volunteer
    launched = case.stream(Project, "project", project).launched
    return launched.in_charge if launched else None
