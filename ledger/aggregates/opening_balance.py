"""Opening balances: attested minutes of the paper era. A volunteer has at most one in force."""

from __future__ import annotations

from dataclasses import dataclass, replace
from uuid import UUID

from ledger.deciding.base import Act, Aggregate, Event
from ledger.deciding.case import Case, Decision
from ledger.names import Day, Minutes, ReasonCode, VolunteerNumber, stream
from ledger.rejections import Rejection, refuse


@dataclass(frozen=True, slots=True)
class OpeningBalance(Aggregate):
    """The balance in force, if any."""

    recorded: OpeningBalanceRecorded | None = None

    def after(self, event: Event) -> OpeningBalance:
        recorded = event if isinstance(event, OpeningBalanceRecorded) else None
        return replace(self, version=self.version + 1, recorded=recorded)


class OpeningBalanceEvent(Event):
    AGGREGATE = OpeningBalance
    STREAM_FIELD = "volunteer"
    volunteer: VolunteerNumber

    @property
    def stream_id(self) -> UUID:
        return stream("opening-balance", self.volunteer)


class OpeningBalanceRecorded(OpeningBalanceEvent):
    """Attested minutes of the paper era up to and including the day `as_of`."""

    TOPIC = "opening-balance-recorded.v1"
    minutes: Minutes
    as_of: Day
    evidence: ReasonCode


class OpeningBalanceVoided(OpeningBalanceEvent):
    TOPIC = "opening-balance-voided.v1"
    reason: ReasonCode


class RecordOpeningBalance(Act):
    """Record the minutes of the paper era, up to and including the day `as_of`."""

    TYPE = "record-opening-balance"
    volunteer: VolunteerNumber
    minutes: Minutes
    as_of: Day
    evidence: ReasonCode

    def decide(self, case: Case) -> Decision:
        if refused := case.unknown(self, volunteer="volunteer") or case.future(self, "occurred_at", "as_of"):
            return refused
        if case.stream(OpeningBalance, "opening-balance", self.volunteer).recorded:
            return refuse(Rejection.BALANCE_STANDS, "volunteer", self.volunteer)
        return [case.event(OpeningBalanceRecorded, self)]


class VoidOpeningBalance(Act):
    """Void the opening balance in force."""

    TYPE = "void-opening-balance"
    volunteer: VolunteerNumber
    reason: ReasonCode

    def decide(self, case: Case) -> Decision:
        if refused := case.unknown(self, volunteer="volunteer") or case.future(self, "occurred_at"):
            return refused
        if not case.stream(OpeningBalance, "opening-balance", self.volunteer).recorded:
            return refuse(Rejection.NO_BALANCE, "volunteer", self.volunteer)
        return [case.event(OpeningBalanceVoided, self)]
