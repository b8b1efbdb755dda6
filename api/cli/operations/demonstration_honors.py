"""The synthetic district's honours: announced on the last day of its history, and most of them awarded ten days later.

They are planned and decided like any others (replay/awards/plans.py, ledger/aggregates/honor.py), by a clock that
stands at the end of the history: the same history gives the same awards, with the same instants. What is written adds
no minute.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from api.messages.periods import local_day
from api.operations.service import OpenLedger
from ledger.aggregates import Command, Order
from ledger.aggregates.honor import ObjectToHonor, SettleHonorObjection
from ledger.intake.answers import Accepted
from ledger.intake.intake import Intake
from replay.awards.plans import Plan, Wish, plan_announcements, plan_awards
from replay.queries.queries import UnknownNameError
from replay.synthetic.planning.days import DAY, END_INSTANT, LAST_DAY

OFFICER, OTHER_OFFICER, NEIGHBOUR = "person:officer-01", "person:officer-02", "person:neighbour-07"
AWARDED_DAYS_LATER = 10
WISHES = (
    Wish("star-5", None, None, limit=5_000),
    Wish("top-hundred", LAST_DAY.year, None, limit=5_000),
    Wish("ten-best", LAST_DAY.year, None, limit=5_000),
)
LEFT_ANNOUNCED = Wish("gold", None, None, limit=10)
"""Announced and not awarded, so that somebody can try."""
OBJECTIONS = 2
"""Against the first of the stars: the first is settled, the second is left open."""


def give_honors(ledger: OpenLedger) -> None:
    """Announce and award. What is there already is not done again, so it may be stopped and go on."""
    for wish in (*WISHES, LEFT_ANNOUNCED):
        with suppress(UnknownNameError):  # rules of one's own, which have no such honour
            _carry_out(ledger, plan_announcements(ledger.queries, wish, LAST_DAY), 0)
    book = ledger.queries.awards
    stars = [award for award in book.now().values() if award.honor == WISHES[0].honor][:OBJECTIONS]
    doubted = [ObjectToHonor(award=one.award, reason="hours-doubted") for one in stars if not one.objections]
    _give(ledger, doubted, NEIGHBOUR, 2)
    seen = [_rejection(one.award) for one in stars[: OBJECTIONS - 1] if book.now()[one.award].open_objections]
    _give(ledger, seen, OTHER_OFFICER, 5)
    ledger.catch_up()
    today = local_day(_instant(AWARDED_DAYS_LATER), ledger.current_generation().timeline())
    for wish in WISHES:
        with suppress(UnknownNameError):
            _carry_out(ledger, plan_awards(ledger.queries, wish, today), AWARDED_DAYS_LATER)
    ledger.catch_up()


def _rejection(award: str) -> SettleHonorObjection:
    return SettleHonorObjection(award=award, objection=1, outcome="rejected", reason="seen-by-others")


def _carry_out(ledger: OpenLedger, plan: Plan, days_later: int) -> None:
    _give(ledger, [step.command for step in plan.steps], OFFICER, days_later)


def _give(ledger: OpenLedger, commands: Sequence[Command], by: str, days_later: int) -> None:
    head = ledger.log.head()  # a name is used once, and the same history has the same head here
    orders = [
        Order.checked(command=command, source="/simulation/honors", id=f"{head}-{number}", by=by)
        for number, command in enumerate(commands, 1)
    ]
    answers = Intake(ledger.database, lambda: _instant(days_later)).execute(orders)
    refused = [answer for answer in answers if not isinstance(answer, Accepted)]
    if refused:
        raise RuntimeError(f"the synthetic history's honours were refused: {refused[0]}")


def _instant(days_later: int) -> int:
    return END_INSTANT + days_later * DAY
