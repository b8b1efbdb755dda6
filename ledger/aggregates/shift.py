"""Shifts: check-ins and check-outs, late entries, and the state that the events of a shift fold to.

A scan of a known volunteer at a known station is always recorded: a check-out before its check-in, a second check-in,
two stations at once, a closed station, a volunteer who has withdrawn. Only a check-out without a shift id is refused if
no shift or several shifts match it.

Scans are resolved independently of their order of arrival, corrections and voids in log order.
`projections/kernels/resolve.py` compiles the same rules for millions of shifts; property tests compare the two.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple, TypeVar
from uuid import UUID

from ledger.deciding.base import Aggregate, Command, Event, Noted
from ledger.deciding.case import CLOCK_SKEW_SECONDS_MAX, Case, Decision, EventFields
from ledger.names import (
    CorrectedField,
    Day,
    Digest,
    EpochSeconds,
    Instant,
    Outcome,
    ProjectId,
    ReasonCode,
    StationId,
    VolunteerNumber,
    shift_id_for,
    shift_stream,
    shift_stream_key,
)
from ledger.rejections import Refused, Rejection, refuse

OPEN_SHIFT_SECONDS_MAX = 24 * 3600
"""A check-out without a shift id ends a shift of the last 24 hours: no approval in the provincial system exceeds a day
(docs/glossary.md, "Caps"), so a shift that is open for longer lacks its check-out and is not the one meant."""

OPEN_SHIFTS_MAX = 100
"""More open shifts of one volunteer are no stays at stations."""
CANDIDATES_MAX = 10
"""The number of open shifts that a refusal lists, the oldest first."""

C = TypeVar("C", bound="CheckedIn | CheckedOut")


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

    begun: CheckedIn | None = None
    """The check-in that counts: the earliest."""
    ends: tuple[CheckedOut, ...] = ()
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
            case CheckedIn():
                return replace(shift, begun=event if self.begun is None else earlier(self.begun, event))
            case CheckedOut():
                return replace(shift, ends=(*self.ends, event))
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
    def ended(self) -> CheckedOut | None:
        """The scanned or attested check-out that counts if no correction sets one: the earliest after the check-in."""
        begun = self.check_in
        later = [event for event in self.ends if begun is not None and event.occurred_at > begun]
        return min(later, key=_rank) if later else None

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
    def _counter(self) -> CheckedIn | CheckedOut | None:
        """The event that names the station unless a correction does: the check-in; or if only a correction tells the
        check-in, the earliest check-out after it, or else the earliest check-out.
        """
        if self.begun or self.check_in is None:
            return self.begun
        return self.ended or min(self.ends, key=_rank, default=None)

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
    return min(one, other, key=_rank)


def _rank(event: CheckedIn | CheckedOut) -> tuple[int, bool, str, str]:
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


# --- scans -----------------------------------------------------------------------------------------------------------


class CheckIn(Command):
    """Record a scan that begins a shift. Without `shift`, the ledger derives the id from the instant and the command's
    name.
    """

    TYPE = "check-in"
    volunteer: VolunteerNumber
    station: StationId
    occurred_at: Instant
    shift: UUID | None = None
    project: ProjectId | None = None

    def decide(self, case: Case) -> Decision:
        if not case.knows("volunteer", self.volunteer):
            return refuse(Rejection.UNKNOWN_VOLUNTEER, "volunteer", self.volunteer)
        if not case.knows("station", self.station):
            return refuse(Rejection.UNKNOWN_STATION, "station", self.station)
        if self.project is not None and not case.knows("project", self.project):
            return refuse(Rejection.UNKNOWN_PROJECT, "project", self.project)
        if case.is_future(self.occurred_at):
            return refuse(Rejection.FUTURE, "occurred_at", self.occurred_at)
        return [
            CheckedIn(
                **_scan_fields(case, self.occurred_at),
                volunteer=self.volunteer,
                shift=self.shift or shift_id_for(self.occurred_at, case.order.name),
                station=self.station,
                project=self.project,
            )
        ]


class CheckOut(Command):
    """Record a scan that ends a shift. Without `shift`, it ends the volunteer's only open shift."""

    TYPE = "check-out"
    volunteer: VolunteerNumber
    station: StationId
    occurred_at: Instant
    shift: UUID | None = None

    def decide(self, case: Case) -> Decision:
        if not case.knows("volunteer", self.volunteer):
            return refuse(Rejection.UNKNOWN_VOLUNTEER, "volunteer", self.volunteer)
        if not case.knows("station", self.station):
            return refuse(Rejection.UNKNOWN_STATION, "station", self.station)
        if case.is_future(self.occurred_at):
            return refuse(Rejection.FUTURE, "occurred_at", self.occurred_at)
        shift = self.shift or _only_open_shift(case, self.volunteer, self.occurred_at)
        if isinstance(shift, Refused):
            return shift
        fields = _scan_fields(case, self.occurred_at)
        return [CheckedOut(**fields, volunteer=self.volunteer, shift=shift, station=self.station)]


def _scan_fields(case: Case, occurred_at: int) -> EventFields:
    """Return the common fields of a scan's event, which never names the volunteer whose key was used."""
    fields = case.common_fields(occurred_at)
    fields["by_volunteer"] = None
    return fields


def _only_open_shift(case: Case, volunteer: str, instant: int) -> UUID | Refused:
    """Return the one shift of a volunteer that a check-out at an instant could end."""
    found = case.streams.shifts(Shift, volunteer, *open_shift_days(instant), _is_open)
    if found is None or len(found) > OPEN_SHIFTS_MAX:
        return refuse(Rejection.TOO_MANY_SHIFTS, "shift", "left out")
    earliest = instant - OPEN_SHIFT_SECONDS_MAX
    shifts: list[tuple[int, UUID]] = []
    for shift in found:
        check_in, first = shift.check_in, shift.first
        if first and check_in is not None and earliest <= check_in < instant and first.volunteer == volunteer:
            shifts.append((check_in, first.shift))
    if not shifts:
        return refuse(Rejection.NO_OPEN_SHIFT, "shift", "left out")
    if len(shifts) > 1:
        oldest = tuple(shift for _, shift in sorted(shifts)[:CANDIDATES_MAX])
        return refuse(Rejection.SEVERAL_OPEN_SHIFTS, "shift", "left out", oldest)
    return shifts[0][1]


def _is_open(shift: Shift) -> bool:
    return not shift.void and shift.check_out is None and shift.check_in is not None


def _is_scan_or_dispute(event: ShiftEvent) -> bool:
    if isinstance(event, CheckedIn | CheckedOut):
        return event.evidence is None
    return isinstance(event, ShiftDisputed | DisputeAnswered | DisputeSettled)


def open_shift_days(instant: int) -> tuple[int, int]:
    """Return the first and last day (since 1970) on which the id of a shift open at an instant can have been made.

    The id was made by a station's clock, which may be ahead of the clock of the check-out.
    """
    earliest = instant - OPEN_SHIFT_SECONDS_MAX - CLOCK_SKEW_SECONDS_MAX
    latest = instant + CLOCK_SKEW_SECONDS_MAX
    return earliest // 86400, latest // 86400


# --- late entries ----------------------------------------------------------------------------------------------------


class AttestShift(Noted):
    """Record a late entry: a whole shift, which a person entered on the given evidence."""

    TYPE = "attest-shift"
    volunteer: VolunteerNumber
    station: StationId
    check_in: Instant
    check_out: Instant
    evidence: ReasonCode
    shift: UUID | None = None
    project: ProjectId | None = None

    def decide(self, case: Case) -> Decision:
        if refused := case.unknown(self, volunteer="volunteer", station="station", project="project") or case.future(
            self, "check_out"
        ):
            return refused
        if self.check_out <= self.check_in:
            return refuse(Rejection.ENDS_BEFORE_IT_BEGINS, "check_out", self.check_out)
        shift = self.shift or shift_id_for(self.check_in, case.order.name)
        if case.streams.version(shift_stream(self.volunteer, shift)):
            return refuse(Rejection.SHIFT_EXISTS, "shift", shift)
        return [
            CheckedIn(
                **case.common_fields(self.check_in),
                volunteer=self.volunteer,
                shift=shift,
                station=self.station,
                project=self.project,
                evidence=self.evidence,
                note=case.note,
            ),
            CheckedOut(
                **case.common_fields(self.check_out),
                volunteer=self.volunteer,
                shift=shift,
                station=self.station,
                evidence=self.evidence,
            ),
        ]
