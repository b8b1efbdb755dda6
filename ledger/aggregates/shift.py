"""Shifts: check-ins and check-outs, late entries, and what the events of a shift come to.

A scan about a known volunteer and station is always recorded: a check-out before its check-in, a second check-in, two
stations at once, a closed station, a volunteer who has withdrawn. Only a check-out without a shift id can fail to say
which shift it means.

Scans are resolved independently of the order in which they arrived, corrections and voids in log order. The same rules
are compiled for millions of shifts in `projections/`; here they are written for one, and property tests hold the two
together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from ledger.deciding.base import Aggregate, Command, Event, Noted
from ledger.deciding.case import CLOCK_SKEW_SECONDS_MAX, Case, Decision, EventFields
from ledger.names import (
    CorrectedField,
    Day,
    Digest,
    EpochSeconds,
    Instant,
    ProjectId,
    ReasonCode,
    StationId,
    Upheld,
    VolunteerNumber,
    shift_id_for,
    shift_stream,
    shift_stream_key,
)
from ledger.rejections import Rejection, refuse

OPEN_SHIFT_SECONDS_MAX = 24 * 3600
"""A check-out without a shift id ends a shift of the last 24 hours: no approval in the provincial system reaches beyond
a day (docs/glossary.md, "Caps"), so a shift open for longer is a forgotten check-out, not the shift that is meant."""

C = TypeVar("C", bound="CheckedIn | CheckedOut")


# --- what a shift's events come to ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Shift(Aggregate):
    """The instants and places in force, the shift's standing, and which event decides what."""

    begun: CheckedIn | None = None
    """The check-in that counts: the earliest."""
    ends: tuple[CheckedOut, ...] = ()
    corrected: tuple[tuple[CorrectedField, ShiftCorrected], ...] = ()
    """By field, the correction that counts: the last one in the log."""
    void: ShiftVoided | None = None
    voided_or_reinstated: ShiftVoided | ShiftReinstated | None = None
    disputed: ShiftDisputed | None = None
    """What opened the dispute that is open."""
    disputed_or_settled: ShiftDisputed | DisputeSettled | None = None

    def after(self, event: Event) -> Shift:
        shift = replace(self, version=self.version + 1)
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
            case ShiftDisputed():  # what is said meanwhile opens no dispute of its own
                return replace(shift, disputed=self.disputed or event, disputed_or_settled=event)
            case DisputeSettled():
                return replace(shift, disputed=None, disputed_or_settled=event)
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
        """The scanned or attested check-out that counts, unless it is corrected: the earliest after the check-in."""
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
        return self.begun.station if self.begun else None

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
        """Which event decides each thing that is decided: check_in, check_out, station, project, void, in_dispute."""
        found: dict[str, ShiftEvent | None] = {"check_in": self.begun, "station": self.begun, "check_out": self.ended}
        if self.begun and self.begun.project is not None:
            found["project"] = self.begun
        found |= self.corrected
        found |= {"void": self.voided_or_reinstated, "in_dispute": self.disputed_or_settled}
        return {name: event for name, event in found.items() if event is not None}

    def _correction(self, field: CorrectedField) -> ShiftCorrected | None:
        return dict(self.corrected).get(field)


def earlier(one: C, other: C) -> C:
    """Return the event that counts of two check-ins or two check-outs."""
    return min(one, other, key=_rank)


def _rank(event: CheckedIn | CheckedOut) -> tuple[int, bool, str, str]:
    """The earliest counts; at the same instant a scan before an attested entry; the names decide between equals."""
    return event.occurred_at, event.evidence is not None, event.station, getattr(event, "project", None) or ""


# --- events ----------------------------------------------------------------------------------------------------------


class ShiftEvent(Event):
    """Every event of a shift repeats its volunteer, so that the log can be cut by volunteer without a join."""

    AGGREGATE = Shift
    volunteer: VolunteerNumber
    shift: UUID

    @property
    def stream_id(self) -> UUID:
        return shift_stream(self.volunteer, self.shift)

    @property
    def stream_key(self) -> bytes:
        return shift_stream_key(self.volunteer, self.shift)


class CheckedIn(ShiftEvent):
    """A check-in: `occurred_at` is its instant. Scanned unless `evidence` says on what grounds it was attested."""

    TOPIC = "checked-in.v1"
    station: StationId
    project: ProjectId | None = None
    evidence: ReasonCode | None = None
    replaces: VolunteerNumber | None = None  # moved here: the volunteer whose shift of the same id it replaces
    note: Digest | None = None

    @staticmethod
    def upcast_v0_v1(fields: dict[str, object]) -> None:
        """The pilot wrote `user` for the volunteer and `time` as ISO 8601 text."""
        fields["volunteer"] = fields.pop("user")
        fields["occurred_at"] = int(datetime.fromisoformat(str(fields.pop("time"))).timestamp())


class CheckedOut(ShiftEvent):
    """A check-out: `occurred_at` is its instant. The station is where it was scanned; the shift keeps its own."""

    TOPIC = "checked-out.v1"
    station: StationId
    evidence: ReasonCode | None = None
    note: Digest | None = None


class ShiftCorrected(ShiftEvent):
    """`changes` names the fields this correction sets; one named without a value is cleared. The last one wins."""

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
    """A dispute is opened, or more is said in one that is open, which changes no due date."""

    TOPIC = "shift-disputed.v1"
    reason: ReasonCode
    note: Digest | None = None
    answer_due: Day | None = None  # by the rules published when it was opened
    settle_due: Day | None = None


class DisputeAnswered(ShiftEvent):
    TOPIC = "dispute-answered.v1"
    reason: ReasonCode
    note: Digest | None = None


class DisputeSettled(ShiftEvent):
    """The dispute has ended. What it led to was recorded with it: the events of the same command."""

    TOPIC = "dispute-settled.v1"
    outcome: Upheld
    reason: ReasonCode
    note: Digest | None = None


# --- scans -----------------------------------------------------------------------------------------------------------


class CheckIn(Command):
    """A scan: the volunteer begins a shift. Without `shift` the ledger makes its id from the instant and the name."""

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
                **_scanned(case, self.occurred_at),
                volunteer=self.volunteer,
                shift=self.shift or shift_id_for(self.occurred_at, case.order.name),
                station=self.station,
                project=self.project,
            )
        ]


class CheckOut(Command):
    """A scan: the volunteer ends a shift. Without `shift` it is matched to the volunteer's one open shift."""

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
        shifts = [self.shift] if self.shift else open_shifts(case, self.volunteer, self.occurred_at)
        if not shifts:
            return refuse(Rejection.NO_OPEN_SHIFT, "shift", "left out")
        if len(shifts) > 1:
            return refuse(Rejection.SEVERAL_OPEN_SHIFTS, "shift", "left out", tuple(shifts))
        said = _scanned(case, self.occurred_at)
        return [CheckedOut(**said, volunteer=self.volunteer, shift=shifts[0], station=self.station)]


def _scanned(case: Case, occurred_at: int) -> EventFields:
    """Return what the event of a scan says: whoever holds the scanner, it is the volunteer's."""
    said = case.said(occurred_at)
    said["by_volunteer"] = None
    return said


def open_shifts(case: Case, volunteer: str, instant: int) -> list[UUID]:
    """Return the volunteer's shifts that a check-out at this instant could end, oldest first."""
    earliest = instant - OPEN_SHIFT_SECONDS_MAX
    found: list[tuple[int, UUID]] = []
    for events in case.streams.shifts(volunteer, *open_shift_days(instant)):
        shift, first = Shift.of(events), events[0]
        if shift.void or shift.check_out is not None or shift.check_in is None:
            continue
        if earliest <= shift.check_in < instant and isinstance(first, ShiftEvent) and first.volunteer == volunteer:
            found.append((shift.check_in, first.shift))
    return [shift for _, shift in sorted(found)]


def open_shift_days(instant: int) -> tuple[int, int]:
    """Return the days (since 1970) on which the id of a shift still open at this instant can have been made.

    The id was made by a station's clock, which may be ahead of the one that scanned the check-out.
    """
    earliest = instant - OPEN_SHIFT_SECONDS_MAX - CLOCK_SKEW_SECONDS_MAX
    latest = instant + CLOCK_SKEW_SECONDS_MAX
    return earliest // 86400, latest // 86400


# --- late entries ----------------------------------------------------------------------------------------------------


class AttestShift(Noted):
    """A late entry: a whole shift, entered by a person on some evidence."""

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
                **case.said(self.check_in),
                volunteer=self.volunteer,
                shift=shift,
                station=self.station,
                project=self.project,
                evidence=self.evidence,
                note=case.note,
            ),
            CheckedOut(
                **case.said(self.check_out),
                volunteer=self.volunteer,
                shift=shift,
                station=self.station,
                evidence=self.evidence,
            ),
        ]
