"""The synthetic district's honours: announced on the last day of its history, and most of them awarded ten days later.

They are planned and decided like all others (replay/awards/plans.py, ledger/aggregates/honor.py), by a clock set to the
end of the history: the same history gives the same awards, with the same instants. They change no minutes.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from api.messages.periods import local_day
from api.operations.service import OpenLedger
from ledger.aggregates import Command, Sender
from ledger.aggregates.honor import ObjectToHonor, SettleHonorObjection
from ledger.intake.answers import Accepted
from ledger.intake.intake import Intake
from replay.awards.plans import Plan, PlanRequest, plan_announcements, plan_awards
from replay.queries.queries import UnknownNameError
from replay.synthetic.planning.days import DAY, END_INSTANT, LAST_DAY

OFFICER, OTHER_OFFICER, NEIGHBOUR = "person:officer-01", "person:officer-02", "person:neighbour-07"
AWARDED_DAYS_LATER = 10
PLAN_REQUESTS = (
    PlanRequest("star-5", None, None, limit=5_000),
    PlanRequest("top-hundred", LAST_DAY.year, None, limit=5_000),
    PlanRequest("ten-best", LAST_DAY.year, None, limit=5_000),
)
LEFT_ANNOUNCED = PlanRequest("gold", None, None, limit=10)
"""Announced and not awarded, so that a user can award it."""
OBJECTIONS = 2
"""Objections to the first star awards: the first is settled, the second stays open."""


def confer_honors(ledger: OpenLedger) -> None:
    """Announce and award the honours of a synthetic history; an interrupted call can be repeated."""
    for plan_request in (*PLAN_REQUESTS, LEFT_ANNOUNCED):
        with suppress(UnknownNameError):  # custom rules may lack this honour
            _carry_out(ledger, plan_announcements(ledger.queries, plan_request, LAST_DAY), 0)
    book = ledger.queries.awards
    stars = [award for award in book.now().values() if award.honor == PLAN_REQUESTS[0].honor][:OBJECTIONS]
    objections = [ObjectToHonor(award=star.award, reason="hours-doubted") for star in stars if not star.objections]
    _execute(ledger, objections, NEIGHBOUR, 2)
    rejections = [_rejection(star.award) for star in stars[: OBJECTIONS - 1] if book.now()[star.award].open_objections]
    _execute(ledger, rejections, OTHER_OFFICER, 5)
    ledger.catch_up()
    today = local_day(_instant(AWARDED_DAYS_LATER), ledger.current_generation().timeline())
    for plan_request in PLAN_REQUESTS:
        with suppress(UnknownNameError):
            _carry_out(ledger, plan_awards(ledger.queries, plan_request, today), AWARDED_DAYS_LATER)
    ledger.catch_up()


def _rejection(award: str) -> SettleHonorObjection:
    return SettleHonorObjection(award=award, objection=1, outcome="rejected", reason="seen-by-others")


def _carry_out(ledger: OpenLedger, plan: Plan, days_later: int) -> None:
    _execute(ledger, [step.command for step in plan.steps], OFFICER, days_later)


def _execute(ledger: OpenLedger, commands: Sequence[Command], by: str, days_later: int) -> None:
    head = ledger.log.head()  # makes the names unique; the same history has the same head here
    sender = Sender.of_operator(by)
    orders = [
        sender.order(command, source="/simulation/honors", id=f"{head}-{number}", imported=False)
        for number, command in enumerate(commands, 1)
    ]
    answers = Intake(ledger.database, lambda: _instant(days_later)).execute(orders)
    refused = [answer for answer in answers if not isinstance(answer, Accepted)]
    if refused:
        raise RuntimeError(f"the synthetic history's honours were refused: {refused[0]}")


def _instant(days_later: int) -> int:
    return END_INSTANT + days_later * DAY
