"""Decisions: pure functions of an order, the streams as they are, and the instant of recording.

Every decision is a flat ladder of early returns, in the order of `ledger/rejections.py`, and ends with the events to
append. Nothing here touches a database, a clock or a random number.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ledger.decide import balances, honors, organisations, places, requests, scans, shifts, volunteers
from ledger.decide.case import Case, Decision
from ledger.decide.permission import forbids

DECISIONS: dict[str, Callable[[Any, Case], Decision]] = {
    "check-in": scans.check_in,
    "check-out": scans.check_out,
    "attest-shift": shifts.attest_shift,
    "correct-shift": shifts.correct_shift,
    "void-shift": shifts.void_shift,
    "reinstate-shift": shifts.reinstate_shift,
    "move-shift": shifts.move_shift,
    "dispute-shift": shifts.dispute_shift,
    "answer-dispute": shifts.answer_dispute,
    "settle-dispute": shifts.settle_dispute,
    "register-volunteer": volunteers.register_volunteer,
    "withdraw-volunteer": volunteers.withdraw_volunteer,
    "merge-volunteer": volunteers.merge_volunteer,
    "undo-merge": volunteers.undo_merge,
    "record-training": volunteers.record_training,
    "void-training": volunteers.void_training,
    "join-organisation": organisations.join_organisation,
    "leave-organisation": organisations.leave_organisation,
    "found-organisation": organisations.found_organisation,
    "move-organisation": organisations.move_organisation,
    "end-organisation": organisations.end_organisation,
    "open-station": places.open_station,
    "close-station": places.close_station,
    "launch-project": places.launch_project,
    "end-project": places.end_project,
    "count-people-served": places.count_people_served,
    "record-opening-balance": balances.record_opening_balance,
    "void-opening-balance": balances.void_opening_balance,
    "raise-day-cap": balances.raise_day_cap,
    "withdraw-day-cap-raise": balances.withdraw_day_cap_raise,
    "request-act": requests.request_act,
    "approve-act": requests.approve_act,
    "decline-act": requests.decline_act,
    "withdraw-request": requests.withdraw_request,
    "publish-rules": honors.publish_rules,
    "announce-honor": honors.announce_honor,
    "object-to-honor": honors.object_to_honor,
    "settle-honor-objection": honors.settle_honor_objection,
    "award-honor": honors.award_honor,
    "revoke-honor": honors.revoke_honor,
}
"""The decision for each type of command."""


def decide(case: Case) -> Decision:
    """Return the events that grant the order, or why it is refused."""
    if refused := forbids(case):
        return refused
    return DECISIONS[case.order.command.TYPE](case.order.command, case)
