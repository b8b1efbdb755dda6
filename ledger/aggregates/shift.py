"""Shifts: their events, and the state that those of one shift fold to. `ledger/aggregates/scans.py` records scans.

Scans are resolved independently of their order of arrival, corrections and voids in log order.
`projections/kernels/resolve.py` compiles the same rules for millions of shifts; property tests compare the two. A punch
has a stream like a shift's. Which punches and shifts belong together is not known here: it depends on rules.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple, TypeVar
from uuid import UUID

from ledger.deciding.base import Aggregate, Event
from ledger.names import (
    CorrectedField,
    Day,
    Digest,
    Direction,
    EpochSeconds,
    Outcome,
    ProjectId,
    ReasonCode,
    StationId,
    VolunteerNumber,
    shift_stream,
    shift_stream_key,
)

C = TypeVar("C", bound="CheckedIn | CheckedOut | Punched")


# --- the state of a shift --------------------------------------------------------------------------------------------


class Involved(NamedTuple):
    """Who caused an event: the actor, the volunteer whose key was used, the approver."""

    by: str
    by_volunteer: str | None
    approved_by: str | None

    @classmethod
    def in_event(cls, event: Event) -> Involved:
        """Return who caused an event."""
        return cls(event.by, event.by_volunteer, event.approved_by)


@dataclass(frozen=True, slots=True)
class Shift(Aggregate):
    """The instants and places in force, whether the shift is void or disputed, and the events that decide each."""

    begun: CheckedIn | Punched | None = None
    """The check-in that counts: the earliest. A punch without direction begins a shift until it is paired."""
    ends: tuple[CheckedOut | Punched, ...] = ()
    corrected: tuple[tuple[CorrectedField, ShiftCorrected], ...] = ()
    """The correction that counts for each field: the last one in the log."""
    void: ShiftVoided | None = None
    voided_or_reinstated: ShiftVoided | ShiftReinstated | None = None
    disputed: ShiftDisputed | None = None
    """The event that opened the dispute, if one is open."""
    disputed_or_settled: ShiftDisputed | DisputeSettled | None = None
    statements: int = 0
    """The number of statements in the open dispute: the one that opened it, and its additions."""
    first: ShiftEvent | None = None
    entered: frozenset[Involved] = frozenset()
    """Who entered the shift or acted on it; nobody is responsible for a scan."""
    entered_before: frozenset[Involved] = frozenset()
    """The same when the open dispute was opened."""

    def after(self, event: Event) -> Shift:
        assert isinstance(event, ShiftEvent)  # noqa: S101 - a shift's stream has no others
        entered = self.entered if _is_scan_or_dispute(event) else self.entered | {Involved.in_event(event)}
        shift = replace(self, version=self.version + 1, first=self.first or event, entered=entered)
        match event:
            case CheckedOut() | Punched(direction="out"):
                return replace(shift, ends=(*self.ends, event))
            case CheckedIn() | Punched():
                return replace(shift, begun=event if self.begun is None else earlier(self.begun, event))
            case ShiftCorrected():
                corrected = dict(self.corrected) | dict.fromkeys(event.changes, event)
                return replace(shift, corrected=tuple(corrected.items()))
            case ShiftVoided():
                return replace(shift, void=event, voided_or_reinstated=event)
            case ShiftReinstated():
                return replace(shift, void=None, voided_or_reinstated=event)
            case ShiftDisputed():  # while a dispute is open, another event adds to it
                before = self.entered_before if self.disputed else self.entered
                shift = replace(shift, disputed=self.disputed or event, entered_before=before)
                return replace(shift, disputed_or_settled=event, statements=self.statements + 1)
            case DisputeSettled():
                return replace(shift, disputed=None, disputed_or_settled=event, statements=0)
            case _:
                return shift

    @property
    def check_in(self) -> int | None:
        """The instant of the check-in in force."""
        if correction := self._correction("check_in"):
            return correction.check_in
        return self.begun.occurred_at if self.begun else None

    @property
    def ended(self) -> CheckedOut | Punched | None:
        """The scanned or attested check-out that counts if no correction sets one: the earliest after the check-in, or
        else one at the same instant, which makes a shift of no time.
        """
        begun = self.check_in
        after = [event for event in self.ends if begun is not None and event.occurred_at > begun]
        found = after or [event for event in self.ends if event.occurred_at == begun]
        return min(found, key=rank) if found else None

    @property
    def check_out(self) -> int | None:
        """The instant of the check-out in force."""
        if correction := self._correction("check_out"):
            return correction.check_out
        ended = self.ended
        return ended.occurred_at if ended else None

    @property
    def station(self) -> str | None:
        """The station the shift counts for."""
        if correction := self._correction("station"):
            return correction.station
        counter = self._counter
        return counter.station if counter else None

    @property
    def _counter(self) -> CheckedIn | CheckedOut | Punched | None:
        """The event that names the station unless a correction does: the check-in; or if only a correction tells the
        check-in, the check-out that counts, or else the earliest check-out.
        """
        if self.begun or self.check_in is None:
            return self.begun
        return self.ended or min(self.ends, key=rank, default=None)

    @property
    def check_out_station(self) -> str | None:
        """Where the volunteer checked out."""
        ended = self.ended
        return self.station if ended is None or self._correction("check_out") else ended.station

    @property
    def project(self) -> str | None:
        """The project the shift counts for."""
        if correction := self._correction("project"):
            return correction.project
        return self.begun.project if self.begun else None

    @property
    def deciding(self) -> dict[str, ShiftEvent]:
        """The event that decides each of check_in, check_out, station, project, void and in_dispute, where any does."""
        found: dict[str, ShiftEvent | None] = {
            "check_in": self.begun,
            "station": self._counter,
            "check_out": self.ended,
        }
        if self.begun and self.begun.project is not None:
            found["project"] = self.begun
        found |= self.corrected
        found |= {"void": self.voided_or_reinstated, "in_dispute": self.disputed_or_settled}
        return {name: event for name, event in found.items() if event is not None}

    def _correction(self, field: CorrectedField) -> ShiftCorrected | None:
        return dict(self.corrected).get(field)


def earlier(one: C, other: C) -> C:
    """Return which of two check-ins or two check-outs counts."""
    return min(one, other, key=rank)


def rank(event: CheckedIn | CheckedOut | Punched) -> tuple[int, bool, str, str]:
    """Return the sort key of a check-in or check-out: instant, scans before attested entries, station and project."""
    return event.occurred_at, event.evidence is not None, event.station, getattr(event, "project", None) or ""


# --- events ----------------------------------------------------------------------------------------------------------


class ShiftEvent(Event):
    """An event of a shift. It repeats the volunteer, so that the log can be filtered by volunteer without a join."""

    AGGREGATE = Shift
    STREAM_FIELD = "shift"
    EVENTS_MAX = 700
    volunteer: VolunteerNumber
    shift: UUID

    @property
    def stream_id(self) -> UUID:
        return shift_stream(self.volunteer, self.shift)

    @property
    def stream_key(self) -> bytes:
        return shift_stream_key(self.volunteer, self.shift)


class CheckedIn(ShiftEvent):
    """A check-in at `occurred_at`. It is a scan, unless `evidence` names the grounds on which it was attested."""

    TOPIC = "checked-in.v1"
    EVENTS_MAX = 300
    station: StationId
    project: ProjectId | None = None
    evidence: ReasonCode | None = None
    replaces: VolunteerNumber | None = None  # of a moved shift: the volunteer whose shift of the same id it replaces
    note: Digest | None = None

    @staticmethod
    def upcast_v0_v1(fields: dict[str, object]) -> None:
        """Convert an event of the pilot, which stored the volunteer as `user`, and `time` as ISO 8601 text."""
        fields["volunteer"] = fields.pop("user")
        fields["occurred_at"] = int(datetime.fromisoformat(str(fields.pop("time"))).timestamp())


class CheckedOut(ShiftEvent):
    """A check-out at `occurred_at`, with the station where it was scanned. The station of the shift does not change."""

    TOPIC = "checked-out.v1"
    EVENTS_MAX = 300
    station: StationId
    evidence: ReasonCode | None = None
    note: Digest | None = None


class Punched(ShiftEvent):
    """A scan of a card without a shift id, in the direction that the reader knows, if any. `shift` is the punch's own
    id. The rules say what it is paired with (`projections/kernels/pairing.py`).
    """

    TOPIC = "punched.v1"
    EVENTS_MAX = 300
    station: StationId
    direction: Direction | None = None
    project: ProjectId | None = None
    evidence: ReasonCode | None = None


class ShiftCorrected(ShiftEvent):
    """A correction. It sets the fields named in `changes`, and clears those without a value. The last one wins."""

    TOPIC = "shift-corrected.v1"
    changes: tuple[CorrectedField, ...]
    check_in: EpochSeconds | None = None
    check_out: EpochSeconds | None = None
    station: StationId | None = None
    project: ProjectId | None = None
    reason: ReasonCode
    note: Digest | None = None


class ShiftVoided(ShiftEvent):
    TOPIC = "shift-voided.v1"
    reason: ReasonCode
    replaced_by: VolunteerNumber | None = None
    note: Digest | None = None


class ShiftReinstated(ShiftEvent):
    TOPIC = "shift-reinstated.v1"
    reason: ReasonCode
    note: Digest | None = None


class ShiftDisputed(ShiftEvent):
    """A dispute was opened, or an open one was added to, which keeps its due dates."""

    TOPIC = "shift-disputed.v1"
    EVENTS_MAX = 400
    reason: ReasonCode
    note: Digest | None = None
    answer_due: Day | None = None  # by the rules published when it was opened
    settle_due: Day | None = None


class DisputeAnswered(ShiftEvent):
    TOPIC = "dispute-answered.v1"
    EVENTS_MAX = 500
    reason: ReasonCode
    note: Digest | None = None


class DisputeSettled(ShiftEvent):
    """A dispute was settled. Events of the resulting command, if any, were recorded under the same command name."""

    TOPIC = "dispute-settled.v1"
    EVENTS_MAX = 1000
    outcome: Outcome
    reason: ReasonCode
    note: Digest | None = None


def _is_scan_or_dispute(event: ShiftEvent) -> bool:
    if isinstance(event, CheckedIn | CheckedOut | Punched):
        return event.evidence is None
    return isinstance(event, ShiftDisputed | DisputeAnswered | DisputeSettled)
