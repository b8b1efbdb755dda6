"""Requests: an act is asked for by one and approved, declined or withdrawn; approving records the act.

What is asked for is decided twice by the ladder of its command: when it is asked for, so that nobody is asked to
approve what cannot be; and when it is approved, as things stand then. A refusal of the act refuses the approval. The
events of the act say who asked (`by`) and who approved (`approved_by`), and carry the text of the request.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

from ledger.commands import (
    ApprovableAct,
    ApproveAct,
    AttestShift,
    Command,
    DeclineAct,
    RequestAct,
    WithdrawRequest,
)
from ledger.decide import balances, honors, places, shifts, volunteers
from ledger.decide.case import Case, Decision
from ledger.decide.permission import asked_command, concerned, same_person
from ledger.events import ActApproved, ActDeclined, ActRequested, ActWithdrawn
from ledger.names import shift_id_for, stream
from ledger.rejections import Refused, Rejection, refuse

ACTS: dict[str, Callable[[Any, Case], Decision]] = {
    "attest-shift": shifts.attest_shift,
    "correct-shift": shifts.correct_shift,
    "void-shift": shifts.void_shift,
    "reinstate-shift": shifts.reinstate_shift,
    "move-shift": shifts.move_shift,
    "settle-dispute": shifts.settle_dispute,
    "merge-volunteer": volunteers.merge_volunteer,
    "undo-merge": volunteers.undo_merge,
    "record-training": volunteers.record_training,
    "count-people-served": places.count_people_served,
    "record-opening-balance": balances.record_opening_balance,
    "void-opening-balance": balances.void_opening_balance,
    "raise-day-cap": balances.raise_day_cap,
    "withdraw-day-cap-raise": balances.withdraw_day_cap_raise,
    "award-honor": honors.award_honor,
    "revoke-honor": honors.revoke_honor,
}
"""The decision for each type of command that can be asked for."""
assert set(ACTS) == set(get_args(ApprovableAct))  # noqa: S101 - the two lists are one


def _decide_asked(command: Command, case: Case) -> Decision:
    return ACTS[command.TYPE](command, case._replace(order=case.order.model_copy(update={"command": command})))


def request_act(command: RequestAct, case: Case) -> Decision:
    if case.is_future(command.occurred_at):
        return refuse(Rejection.FUTURE, "occurred_at", command.occurred_at)
    if case.streams.version(stream("request", command.request)):
        return refuse(Rejection.REQUEST_EXISTS, "request", command.request)
    asked = command.asked()
    if isinstance(asked, AttestShift) and asked.shift is None:  # the id is made of the name that asks, once and for all
        asked = asked.model_copy(update={"shift": shift_id_for(asked.check_in, case.order.name)})
    would_be = _decide_asked(asked, case)
    if isinstance(would_be, Refused):
        return would_be
    about = concerned(case, asked)
    return [
        ActRequested(
            **case.said(command.occurred_at),
            request=command.request,
            act=command.act,
            fields=asked.model_dump(mode="json", exclude_defaults=True),
            volunteer=about[0] if about else None,
            note=case.note,
        )
    ]


def _asked(command: ApproveAct | DeclineAct | WithdrawRequest, case: Case) -> ActRequested | Refused:
    """Return what was asked for and is still open: the rungs that all who decide about a request begin with."""
    if case.is_future(command.occurred_at):
        return refuse(Rejection.FUTURE, "occurred_at", command.occurred_at)
    events = case.streams.events(stream("request", command.request))
    if not events or not isinstance(events[0], ActRequested):
        return refuse(Rejection.UNKNOWN_REQUEST, "request", command.request)
    if len(events) > 1:
        return refuse(Rejection.REQUEST_ENDED, "request", command.request)
    return events[0]


def approve_act(command: ApproveAct, case: Case) -> Decision:
    asked = _asked(command, case)
    if isinstance(asked, Refused):
        return asked
    if same_person(case, [asked]):
        return refuse(Rejection.OWN_REQUEST, "request", command.request)
    who = {"by": asked.by, "key": asked.key, "by_volunteer": asked.by_volunteer, "imported": asked.imported}
    as_asked = case._replace(order=case.order.model_copy(update=who), note=asked.note, approval=case.order)
    decided = _decide_asked(asked_command(asked), as_asked)
    if isinstance(decided, Refused):
        return decided
    said = case.said(command.occurred_at)
    approved = ActApproved(**said, request=command.request, volunteer=asked.volunteer, note=case.note)
    return [approved, *decided]


def decline_act(command: DeclineAct, case: Case) -> Decision:
    asked = _asked(command, case)
    if isinstance(asked, Refused):
        return asked
    if same_person(case, [asked]):
        return refuse(Rejection.OWN_REQUEST, "request", command.request)
    said = case.said(command.occurred_at)
    return [
        ActDeclined(**said, request=command.request, volunteer=asked.volunteer, reason=command.reason, note=case.note)
    ]


def withdraw_request(command: WithdrawRequest, case: Case) -> Decision:
    asked = _asked(command, case)
    if isinstance(asked, Refused):
        return asked
    if not same_person(case, [asked]):
        return refuse(Rejection.ANOTHERS_REQUEST, "request", command.request)
    said = case.said(command.occurred_at)
    return [
        ActWithdrawn(**said, request=command.request, volunteer=asked.volunteer, reason=command.reason, note=case.note)
    ]
