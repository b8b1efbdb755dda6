"""Opening balances and raises of a day's cap."""

from __future__ import annotations

from ledger.commands import RaiseDayCap, RecordOpeningBalance, VoidOpeningBalance, WithdrawDayCapRaise
from ledger.decide.case import Case, Decision, last_of
from ledger.decide.permission import policies
from ledger.events import (
    DayCapEvent,
    DayCapRaised,
    DayCapRaiseWithdrawn,
    OpeningBalanceEvent,
    OpeningBalanceRecorded,
    OpeningBalanceVoided,
)
from ledger.names import stream
from ledger.rejections import Rejection, refuse


def _balance_stands(case: Case, volunteer: str) -> bool:
    events = case.streams.events(stream("opening-balance", volunteer))
    return isinstance(last_of(events, OpeningBalanceEvent), OpeningBalanceRecorded)


def record_opening_balance(command: RecordOpeningBalance, case: Case) -> Decision:
    if not case.knows("volunteer", command.volunteer):
        return refuse(Rejection.UNKNOWN_VOLUNTEER, "volunteer", command.volunteer)
    if case.is_future(command.occurred_at):
        return refuse(Rejection.FUTURE, "occurred_at", command.occurred_at)
    if case.is_future_day(command.as_of):
        return refuse(Rejection.FUTURE, "as_of", command.as_of)
    if _balance_stands(case, command.volunteer):
        return refuse(Rejection.BALANCE_STANDS, "volunteer", command.volunteer)
    return [
        OpeningBalanceRecorded(
            **case.said(command.occurred_at),
            volunteer=command.volunteer,
            minutes=command.minutes,
            as_of=command.as_of,
            evidence=command.evidence,
        )
    ]


def void_opening_balance(command: VoidOpeningBalance, case: Case) -> Decision:
    if not case.knows("volunteer", command.volunteer):
        return refuse(Rejection.UNKNOWN_VOLUNTEER, "volunteer", command.volunteer)
    if case.is_future(command.occurred_at):
        return refuse(Rejection.FUTURE, "occurred_at", command.occurred_at)
    if not _balance_stands(case, command.volunteer):
        return refuse(Rejection.NO_BALANCE, "volunteer", command.volunteer)
    return [OpeningBalanceVoided(**case.said(command.occurred_at), volunteer=command.volunteer, reason=command.reason)]


def _last_of_raise(command: RaiseDayCap | WithdrawDayCapRaise, case: Case) -> DayCapEvent | None:
    events = case.streams.events(stream("day-cap", command.volunteer, command.day.isoformat()))
    same = [event for event in events if isinstance(event, DayCapEvent) and event.raise_id == command.raise_id]
    return same[-1] if same else None


def raise_day_cap(command: RaiseDayCap, case: Case) -> Decision:
    if not case.knows("volunteer", command.volunteer):
        return refuse(Rejection.UNKNOWN_VOLUNTEER, "volunteer", command.volunteer)
    if case.is_future(command.occurred_at):
        return refuse(Rejection.FUTURE, "occurred_at", command.occurred_at)
    if command.minutes > policies(case).approvals.raised_day_minutes_max:
        return refuse(Rejection.RAISE_TOO_HIGH, "minutes", command.minutes)
    if _last_of_raise(command, case):
        return refuse(Rejection.RAISE_EXISTS, "raise_id", command.raise_id)
    return [
        DayCapRaised(
            **case.said(command.occurred_at),
            volunteer=command.volunteer,
            day=command.day,
            raise_id=command.raise_id,
            minutes=command.minutes,
            reason=command.reason,
        )
    ]


def withdraw_day_cap_raise(command: WithdrawDayCapRaise, case: Case) -> Decision:
    if not case.knows("volunteer", command.volunteer):
        return refuse(Rejection.UNKNOWN_VOLUNTEER, "volunteer", command.volunteer)
    if case.is_future(command.occurred_at):
        return refuse(Rejection.FUTURE, "occurred_at", command.occurred_at)
    if not isinstance(_last_of_raise(command, case), DayCapRaised):
        return refuse(Rejection.UNKNOWN_RAISE, "raise_id", command.raise_id)
    return [
        DayCapRaiseWithdrawn(
            **case.said(command.occurred_at),
            volunteer=command.volunteer,
            day=command.day,
            raise_id=command.raise_id,
            reason=command.reason,
        )
    ]
