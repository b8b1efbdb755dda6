"""Two pairs of eyes: who may act at all, asked before the ladder of any command but a scan.

Nobody acts on their own hours, whatever the rules say; and the published rules name the commands that another has to
approve (`ledger/policies.py`). Somebody is the volunteer concerned if named by that volunteer's number, or if the key
is bound to it; numbers that were merged are one person's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import get_args

from ledger.commands import (
    AnswerDispute,
    ApprovableAct,
    ApproveAct,
    Command,
    DeclineAct,
    Order,
    RequestAct,
    SettleDispute,
    command_of,
)
from ledger.decide.case import Case, last_of
from ledger.decide.merges import goes_on_as
from ledger.events import ActRequested, Event, HonorAnnounced, ProjectLaunched
from ledger.names import stream
from ledger.policies import TIMELINE, Policies, policies_in_force
from ledger.rejections import Refused, Rejection, refuse

_APPROVABLE = frozenset(get_args(ApprovableAct))
_OLD_RECORDS = frozenset({"attest-shift", "record-training", "record-opening-balance", "raise-day-cap"})
"""What old records become that can need approval: `hours import` makes nothing else."""


def forbids(case: Case) -> Refused | None:
    """Return why whoever gives this order may not, if so."""
    command = case.order.command
    if command.TYPE not in _APPROVABLE and not isinstance(
        command, RequestAct | ApproveAct | DeclineAct | AnswerDispute
    ):
        return None
    if own := own_number(case, command):
        return refuse(Rejection.OWN_HOURS, "volunteer", own)
    if needs_approval(case.order, policies(case)):
        return refuse(Rejection.NEEDS_APPROVAL, "command", command.TYPE)
    return None


def policies(case: Case) -> Policies:
    """Return what the rules in force say about acts."""
    return policies_in_force(case.streams.events(TIMELINE))


def needs_approval(order: Order, policies: Policies) -> bool:
    """Whether the rules want another's approval for an order."""
    command, approvals = order.command, policies.approvals
    if order.imported and command.TYPE in _OLD_RECORDS and not approvals.imported:
        return False
    follows = command.act if isinstance(command, SettleDispute) else None
    return command.TYPE in approvals.kinds or follows in approvals.kinds


def own_number(case: Case, command: Command) -> str | None:
    """Return the volunteer whose hours a command is about, if that is whoever gives it."""
    return next(own_numbers(case, lambda: concerned(case, command)), None)


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


def concerned(case: Case, command: Command) -> list[str]:
    """Return the volunteers whose record a command is about."""
    if isinstance(command, RequestAct):
        return concerned(case, command.asked())
    if isinstance(command, ApproveAct | DeclineAct):
        asked = last_of(case.streams.events(stream("request", command.request)), ActRequested)
        if asked is None:
            return []
        act = asked_command(asked)
        return concerned(case, act) + _honored(case, act)
    if isinstance(command, SettleDispute) and (follows := command.follows()):
        return concerned(case, follows)
    named = [getattr(command, field, None) for field in ("volunteer", "to_volunteer", "into")]
    return [one for one in named if one is not None]


def _honored(case: Case, act: Command) -> list[str]:
    """Return who would be honoured by an act; whoever gives it directly is asked by the ladder of honours."""
    award = getattr(act, "award", None)
    announced = last_of(case.streams.events(stream("honor", award)), HonorAnnounced) if award else None
    honored = recipient(case, announced.volunteer, announced.project) if announced else None
    return [honored] if honored else []


def recipient(case: Case, volunteer: str | None, project: str | None) -> str | None:
    """Return the volunteer an honour goes to: of a project's, who is in charge of it, if anybody is."""
    if project is None:
        return volunteer
    launched = last_of(case.streams.events(stream("project", project)), ProjectLaunched)
    return launched.in_charge if launched else None


def asked_command(asked: ActRequested) -> Command:
    """Return the command that was asked for."""
    return command_of(asked.act, asked.fields)
