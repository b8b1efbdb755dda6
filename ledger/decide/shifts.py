"""Late entries, and acts on recorded shifts: correct, void, reinstate, move, dispute, answer, settle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from ledger.commands import (
    AnswerDispute,
    AttestShift,
    CorrectShift,
    DisputeShift,
    MoveShift,
    ReinstateShift,
    SettleDispute,
    ShiftAct,
    VoidShift,
)
from ledger.decide.case import Case, Decision, Said
from ledger.decide.permission import policies, same_person
from ledger.decide.shift import Shift, resolve
from ledger.events import (
    CheckedIn,
    CheckedOut,
    DisputeAnswered,
    DisputeSettled,
    Event,
    ShiftCorrected,
    ShiftDisputed,
    ShiftReinstated,
    ShiftVoided,
)
from ledger.names import shift_id_for, shift_stream
from ledger.rejections import Refused, Rejection, refuse


class ActSaid(Said):
    """What every event of an act on a shift says."""

    volunteer: str
    shift: UUID
    reason: str
    note: str | None


def _act(command: ShiftAct, case: Case) -> ActSaid:
    return {
        **case.said(command.occurred_at),
        "volunteer": command.volunteer,
        "shift": command.shift,
        "reason": command.reason,
        "note": case.note,
    }


def _exists(case: Case, volunteer: str, shift: UUID) -> bool:
    return case.streams.version(shift_stream(volunteer, shift)) > 0


def _shift(case: Case, volunteer: str, shift: UUID) -> Shift:
    return resolve(case.streams.events(shift_stream(volunteer, shift)))


def _not_recorded(command: ShiftAct, case: Case) -> Refused | None:
    """The rungs that every act on a recorded shift begins with."""
    if not case.knows("volunteer", command.volunteer):
        return refuse(Rejection.UNKNOWN_VOLUNTEER, "volunteer", command.volunteer)
    if case.is_future(command.occurred_at):
        return refuse(Rejection.FUTURE, "occurred_at", command.occurred_at)
    if not _exists(case, command.volunteer, command.shift):
        return refuse(Rejection.UNKNOWN_SHIFT, "shift", command.shift)
    return None


def attest_shift(command: AttestShift, case: Case) -> Decision:
    if not case.knows("volunteer", command.volunteer):
        return refuse(Rejection.UNKNOWN_VOLUNTEER, "volunteer", command.volunteer)
    if not case.knows("station", command.station):
        return refuse(Rejection.UNKNOWN_STATION, "station", command.station)
    if command.project is not None and not case.knows("project", command.project):
        return refuse(Rejection.UNKNOWN_PROJECT, "project", command.project)
    if case.is_future(command.check_out):
        return refuse(Rejection.FUTURE, "check_out", command.check_out)
    if command.check_out <= command.check_in:
        return refuse(Rejection.ENDS_BEFORE_IT_BEGINS, "check_out", command.check_out)
    shift = command.shift or shift_id_for(command.check_in, case.order.name)
    if _exists(case, command.volunteer, shift):
        return refuse(Rejection.SHIFT_EXISTS, "shift", shift)
    return [
        CheckedIn(
            **case.said(command.check_in),
            volunteer=command.volunteer,
            shift=shift,
            station=command.station,
            project=command.project,
            evidence=command.evidence,
            note=case.note,
        ),
        CheckedOut(
            **case.said(command.check_out),
            volunteer=command.volunteer,
            shift=shift,
            station=command.station,
            evidence=command.evidence,
        ),
    ]


def correct_shift(command: CorrectShift, case: Case) -> Decision:
    if not case.knows("volunteer", command.volunteer):
        return refuse(Rejection.UNKNOWN_VOLUNTEER, "volunteer", command.volunteer)
    if command.station is not None and not case.knows("station", command.station):
        return refuse(Rejection.UNKNOWN_STATION, "station", command.station)
    if command.project is not None and not case.knows("project", command.project):
        return refuse(Rejection.UNKNOWN_PROJECT, "project", command.project)
    for field in ("occurred_at", "check_in", "check_out"):
        if case.is_future(getattr(command, field)):
            return refuse(Rejection.FUTURE, field, getattr(command, field))
    if not _exists(case, command.volunteer, command.shift):
        return refuse(Rejection.UNKNOWN_SHIFT, "shift", command.shift)
    return [
        ShiftCorrected(
            **_act(command, case),
            changes=command.changes,
            check_in=command.check_in,
            check_out=command.check_out,
            station=command.station,
            project=command.project,
        )
    ]


def void_shift(command: VoidShift, case: Case) -> Decision:
    if refused := _not_recorded(command, case):
        return refused
    if _shift(case, command.volunteer, command.shift).void:
        return refuse(Rejection.ALREADY_VOID, "shift", command.shift)
    return [ShiftVoided(**_act(command, case))]


def reinstate_shift(command: ReinstateShift, case: Case) -> Decision:
    if refused := _not_recorded(command, case):
        return refused
    void = _shift(case, command.volunteer, command.shift).void
    if not void:
        return refuse(Rejection.NOT_VOID, "shift", command.shift)
    if holder := _holder(case, void):
        return refuse(Rejection.REPLACEMENT_STANDS, "volunteer", holder)
    return [ShiftReinstated(**_act(command, case))]


def _holder(case: Case, void: ShiftVoided | None) -> str | None:
    """Return the volunteer for whom a shift that moved away counts now; it may have moved on from there.

    A shift never moves to a volunteer who has or had it, so this walk ends.
    """
    while void and void.replaced_by:
        holder = void.replaced_by
        void = _shift(case, holder, void.shift).void
        if not void:
            return holder
    return None


def move_shift(command: MoveShift, case: Case) -> Decision:
    for field in ("volunteer", "to_volunteer"):
        if not case.knows("volunteer", getattr(command, field)):
            return refuse(Rejection.UNKNOWN_VOLUNTEER, field, getattr(command, field))
    if command.to_volunteer == command.volunteer:
        return refuse(Rejection.SAME_VOLUNTEER, "to_volunteer", command.to_volunteer)
    if case.is_future(command.occurred_at):
        return refuse(Rejection.FUTURE, "occurred_at", command.occurred_at)
    if not _exists(case, command.volunteer, command.shift):
        return refuse(Rejection.UNKNOWN_SHIFT, "shift", command.shift)
    if _exists(case, command.to_volunteer, command.shift):
        return refuse(Rejection.SHIFT_EXISTS, "to_volunteer", command.to_volunteer)
    shift = _shift(case, command.volunteer, command.shift)
    if shift.void:
        return refuse(Rejection.ALREADY_VOID, "shift", command.shift)
    if shift.check_in is None or shift.station is None:
        return refuse(Rejection.NO_CHECK_IN, "shift", command.shift)
    # Void here, attested there, with the instants and places in force.
    events: list[Event] = [
        ShiftVoided(**_act(command, case), replaced_by=command.to_volunteer),
        CheckedIn(
            **case.said(shift.check_in),
            volunteer=command.to_volunteer,
            shift=command.shift,
            station=shift.station,
            project=shift.project,
            evidence=command.reason,
            replaces=command.volunteer,
        ),
    ]
    if shift.check_out is not None:
        events.append(
            CheckedOut(
                **case.said(shift.check_out),
                volunteer=command.to_volunteer,
                shift=command.shift,
                station=shift.check_out_station or shift.station,
                evidence=command.reason,
            )
        )
    return events


def dispute_shift(command: DisputeShift, case: Case) -> Decision:
    """A dispute that is open can be gone on with, which moves no due date."""
    if refused := _not_recorded(command, case):
        return refused
    act = _act(command, case)
    opened = _shift(case, command.volunteer, command.shift).disputed
    due = (opened.answer_due, opened.settle_due) if opened else policies(case).due(act["occurred_at"])
    answer_due, settle_due = due or (None, None)
    return [ShiftDisputed(**act, answer_due=answer_due, settle_due=settle_due)]


def answer_dispute(command: AnswerDispute, case: Case) -> Decision:
    if refused := _not_recorded(command, case):
        return refused
    if not _shift(case, command.volunteer, command.shift).disputed:
        return refuse(Rejection.NO_OPEN_DISPUTE, "shift", command.shift)
    return [DisputeAnswered(**_act(command, case))]


def settle_dispute(command: SettleDispute, case: Case) -> Decision:
    """What follows from a dispute that is upheld goes up the ladder of its own command, and is recorded with it."""
    if refused := _not_recorded(command, case):
        return refused
    events = case.streams.events(shift_stream(command.volunteer, command.shift))
    opened = resolve(events).disputed
    if opened is None:
        return refuse(Rejection.NO_OPEN_DISPUTE, "shift", command.shift)
    if same_person(case, [opened]):
        return refuse(Rejection.OWN_DISPUTE, "shift", command.shift)
    if same_person(case, _disputed_entry(events, opened)):
        return refuse(Rejection.OWN_ENTRY, "shift", command.shift)
    settled = DisputeSettled(**_act(command, case), outcome=command.outcome)
    follows = command.follows()
    if follows is None:
        return [settled]
    decided = _FOLLOWS[follows.TYPE](follows, case._replace(note=None))  # the text is the settlement's
    return decided if isinstance(decided, Refused) else [settled, *decided]


_FOLLOWS: dict[str, Callable[[Any, Case], Decision]] = {
    "correct-shift": correct_shift,
    "void-shift": void_shift,
    "reinstate-shift": reinstate_shift,
    "move-shift": move_shift,
}
"""What can follow from a dispute."""


def _disputed_entry(events: Sequence[Event], opened: ShiftDisputed) -> list[Event]:
    """Return what people had made of the shift when it was disputed: its entry by hand, and every act on it."""
    before = events[: list(events).index(opened)]
    scans = (CheckedIn, CheckedOut)
    talk = (ShiftDisputed, DisputeAnswered, DisputeSettled)
    return [
        event
        for event in before
        if not isinstance(event, talk) and not (isinstance(event, scans) and event.evidence is None)
    ]
