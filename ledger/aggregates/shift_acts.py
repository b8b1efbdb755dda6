"""What people record about shifts: late entries, and acts on recorded shifts: correct, void, reinstate, move."""

from __future__ import annotations

from typing import Annotated, Self
from uuid import UUID

from pydantic import Field, model_validator

from ledger.aggregates.shift import CheckedIn, CheckedOut, Shift, ShiftCorrected, ShiftReinstated, ShiftVoided
from ledger.deciding.base import Act, Event, Noted
from ledger.deciding.case import Case, Decision
from ledger.names import (
    CorrectedField,
    Instant,
    NewShiftId,
    ProjectId,
    ReasonCode,
    StationId,
    VolunteerNumber,
    shift_id_for,
    shift_stream,
)
from ledger.rejections import Refused, Rejection, refuse

SHIFT_SECONDS_MAX = 7 * 86_400
"""Of a shift that a person enters or corrects: no rule counts more of one. What stations scanned is a fact."""


class AttestShift(Noted):
    """Record a late entry: a whole shift, which a person entered on the given evidence."""

    TYPE = "attest-shift"
    volunteer: VolunteerNumber
    station: StationId
    check_in: Instant
    check_out: Instant
    evidence: ReasonCode
    shift: NewShiftId | None = None
    project: ProjectId | None = None

    def decide(self, case: Case) -> Decision:
        if refused := case.unknown(self, volunteer="volunteer", station="station", project="project") or case.future(
            self, "check_out"
        ):
            return refused
        if refused := refuse_times(case, self.check_in, self.check_out, "check_out"):
            return refused
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


def refuse_times(case: Case, check_in: int, check_out: int, field: str) -> Refused | None:
    """Return the refusal if the two instants of a shift that a person enters cannot belong to one shift.

    Args:
        field: the instant that is refused, check_in or check_out.
    """
    if check_in < check_out <= check_in + SHIFT_SECONDS_MAX:
        return None
    begin, end = case.local(check_in), case.local(check_out)
    times = f"{end} (check_in {begin})" if field == "check_out" else f"{begin} (check_out {end})"
    early = check_out <= check_in
    return refuse(Rejection.ENDS_BEFORE_IT_BEGINS if early else Rejection.LASTS_TOO_LONG, field, times)


class ShiftAct(Act, Noted):
    """An act on a recorded shift, with its reason."""

    volunteer: VolunteerNumber
    shift: UUID
    reason: ReasonCode

    def not_recorded(self, case: Case) -> Refused | None:
        """Return the refusal if the volunteer or the shift does not exist, or the act is dated in the future."""
        if refused := case.unknown(self, volunteer="volunteer") or case.future(self, "occurred_at"):
            return refused
        if not exists(case, self.volunteer, self.shift):
            return refuse(Rejection.UNKNOWN_SHIFT, "shift", self.shift)
        return None


def exists(case: Case, volunteer: str, shift: UUID) -> bool:
    """Return whether a volunteer has a shift with this id."""
    return case.streams.version(shift_stream(volunteer, shift)) > 0


def shift_of(case: Case, volunteer: str, shift: UUID) -> Shift:
    """Return the current state of a shift."""
    return case.streams.state(Shift, shift_stream(volunteer, shift))


class CorrectShift(ShiftAct):
    """Correct the fields named in `changes`. A named field without a value is cleared; the station cannot be. The
    corrected shift ends after it begins, and at most a week later.
    """

    TYPE = "correct-shift"
    changes: Annotated[tuple[CorrectedField, ...], Field(min_length=1)]
    check_in: Instant | None = None
    check_out: Instant | None = None
    station: StationId | None = None
    project: ProjectId | None = None

    @model_validator(mode="after")
    def _changes_match(self) -> Self:
        if len(set(self.changes)) < len(self.changes):
            raise ValueError("changes names a field twice; name it once")
        for field in ("check_in", "check_out", "station", "project"):
            if getattr(self, field) is not None and field not in self.changes:
                raise ValueError(f"{field} has a value, but changes does not name it; add it to changes")
        if "station" in self.changes and self.station is None:
            raise ValueError("station cannot be cleared; name the station")
        return self

    def decide(self, case: Case) -> Decision:
        if refused := case.unknown(self, volunteer="volunteer", station="station", project="project"):
            return refused
        for field in ("occurred_at", "check_in", "check_out"):
            if case.is_future(getattr(self, field)):
                return refuse(Rejection.FUTURE, field, case.local(getattr(self, field)))
        if not exists(case, self.volunteer, self.shift):
            return refuse(Rejection.UNKNOWN_SHIFT, "shift", self.shift)
        corrected = case.event(ShiftCorrected, self)
        return self._wrong_times(case, corrected) or [corrected]

    def _wrong_times(self, case: Case, corrected: ShiftCorrected) -> Refused | None:
        """Return the refusal if the corrected shift would end before it begins, or lose its check-out by that, or last
        too long. A correction of other fields takes the instants as they are.
        """
        if not {"check_in", "check_out"} & set(self.changes):
            return None
        before = shift_of(case, self.volunteer, self.shift)
        after = before.after(corrected)
        check_out = after.check_out
        if check_out is None and "check_out" not in self.changes:
            check_out = before.check_out
        if after.check_in is None or check_out is None:
            return None
        field = "check_out" if "check_out" in self.changes else "check_in"
        return refuse_times(case, after.check_in, check_out, field)


class VoidShift(ShiftAct):
    """Void a shift that was entered in error; it no longer earns anything."""

    TYPE = "void-shift"

    def decide(self, case: Case) -> Decision:
        if refused := self.not_recorded(case):
            return refused
        if shift_of(case, self.volunteer, self.shift).void:
            return refuse(Rejection.ALREADY_VOID, "shift", self.shift)
        return [case.event(ShiftVoided, self)]


class ReinstateShift(ShiftAct):
    """Reinstate a shift that was voided in error."""

    TYPE = "reinstate-shift"

    def decide(self, case: Case) -> Decision:
        if refused := self.not_recorded(case):
            return refused
        void = shift_of(case, self.volunteer, self.shift).void
        if not void:
            return refuse(Rejection.NOT_VOID, "shift", self.shift)
        if holder := _holder(case, void):
            return refuse(Rejection.REPLACEMENT_STANDS, "volunteer", holder)
        return [case.event(ShiftReinstated, self)]


def _holder(case: Case, void: ShiftVoided | None) -> str | None:
    """Return the volunteer for whom a moved shift counts now; it may have been moved more than once.

    A shift never moves to a volunteer who has or had it, so the loop ends.
    """
    while void and void.replaced_by:
        holder = void.replaced_by
        void = shift_of(case, holder, void.shift).void
        if not void:
            return holder
    return None


class MoveShift(ShiftAct):
    """Move a shift to another volunteer: it is voided for one and entered for the other, under the same id."""

    TYPE = "move-shift"
    to_volunteer: VolunteerNumber

    def decide(self, case: Case) -> Decision:
        for field in ("volunteer", "to_volunteer"):
            if not case.knows("volunteer", getattr(self, field)):
                return refuse(Rejection.UNKNOWN_VOLUNTEER, field, getattr(self, field))
        if self.to_volunteer == self.volunteer:
            return refuse(Rejection.SAME_VOLUNTEER, "to_volunteer", self.to_volunteer)
        if refused := case.future(self, "occurred_at"):
            return refused
        if not exists(case, self.volunteer, self.shift):
            return refuse(Rejection.UNKNOWN_SHIFT, "shift", self.shift)
        if exists(case, self.to_volunteer, self.shift):
            return refuse(Rejection.SHIFT_EXISTS, "to_volunteer", self.to_volunteer)
        shift = shift_of(case, self.volunteer, self.shift)
        if shift.void:
            return refuse(Rejection.ALREADY_VOID, "shift", self.shift)
        if shift.check_in is None or shift.station is None:
            return refuse(Rejection.NO_CHECK_IN, "shift", self.shift)
        # The new shift is attested, with the instants and places in force.
        events: list[Event] = [
            case.event(ShiftVoided, self, replaced_by=self.to_volunteer),
            CheckedIn(
                **case.common_fields(shift.check_in),
                volunteer=self.to_volunteer,
                shift=self.shift,
                station=shift.station,
                project=shift.project,
                evidence=self.reason,
                replaces=self.volunteer,
            ),
        ]
        if shift.check_out is not None:
            events.append(
                CheckedOut(
                    **case.common_fields(shift.check_out),
                    volunteer=self.to_volunteer,
                    shift=self.shift,
                    station=shift.check_out_station or shift.station,
                    evidence=self.reason,
                )
            )
        return events
