"""Check-ins and check-outs.

A scan about a known volunteer and station is always recorded: a check-out before its check-in, a second check-in, two
stations at once, a closed station, a volunteer who has withdrawn. Only a check-out without a shift id can fail to say
which shift it means.
"""

from __future__ import annotations

from uuid import UUID

from ledger.commands import CheckIn, CheckOut
from ledger.decide.case import CLOCK_SKEW_SECONDS_MAX, Case, Decision
from ledger.decide.shift import resolve
from ledger.events import CheckedIn, CheckedOut, ShiftEvent
from ledger.names import shift_id_for
from ledger.rejections import Rejection, refuse

OPEN_SHIFT_SECONDS_MAX = 24 * 3600
"""A check-out without a shift id ends a shift of the last 24 hours: no approval in the provincial system reaches beyond
a day (DOMAIN.md, "Caps"), so what has been open for longer is a forgotten check-out, not the shift that is meant."""


def check_in(command: CheckIn, case: Case) -> Decision:
    if not case.knows("volunteer", command.volunteer):
        return refuse(Rejection.UNKNOWN_VOLUNTEER, "volunteer", command.volunteer)
    if not case.knows("station", command.station):
        return refuse(Rejection.UNKNOWN_STATION, "station", command.station)
    if command.project is not None and not case.knows("project", command.project):
        return refuse(Rejection.UNKNOWN_PROJECT, "project", command.project)
    if case.is_future(command.occurred_at):
        return refuse(Rejection.FUTURE, "occurred_at", command.occurred_at)
    return [
        CheckedIn(
            **case.said(command.occurred_at),
            volunteer=command.volunteer,
            shift=command.shift or shift_id_for(command.occurred_at, case.order.name),
            station=command.station,
            project=command.project,
        )
    ]


def check_out(command: CheckOut, case: Case) -> Decision:
    if not case.knows("volunteer", command.volunteer):
        return refuse(Rejection.UNKNOWN_VOLUNTEER, "volunteer", command.volunteer)
    if not case.knows("station", command.station):
        return refuse(Rejection.UNKNOWN_STATION, "station", command.station)
    if case.is_future(command.occurred_at):
        return refuse(Rejection.FUTURE, "occurred_at", command.occurred_at)
    shifts = [command.shift] if command.shift else open_shifts(case, command.volunteer, command.occurred_at)
    if not shifts:
        return refuse(Rejection.NO_OPEN_SHIFT, "shift", "left out")
    if len(shifts) > 1:
        return refuse(Rejection.SEVERAL_OPEN_SHIFTS, "shift", "left out", tuple(shifts))
    return [
        CheckedOut(
            **case.said(command.occurred_at),
            volunteer=command.volunteer,
            shift=shifts[0],
            station=command.station,
        )
    ]


def open_shifts(case: Case, volunteer: str, instant: int) -> list[UUID]:
    """Return the volunteer's shifts that a check-out at this instant could end, oldest first."""
    earliest = instant - OPEN_SHIFT_SECONDS_MAX
    found: list[tuple[int, UUID]] = []
    for events in case.streams.shifts(volunteer, *open_shift_days(instant)):
        shift = resolve(events)
        if shift.void or shift.check_out is not None or shift.check_in is None:
            continue
        begun = events[0]
        if earliest <= shift.check_in < instant and isinstance(begun, ShiftEvent) and begun.volunteer == volunteer:
            found.append((shift.check_in, begun.shift))
    return [shift for _, shift in sorted(found)]


def open_shift_days(instant: int) -> tuple[int, int]:
    """Return the days (since 1970) on which the id of a shift still open at this instant can have been made.

    The id was made by a station's clock, which may be ahead of the one that scanned the check-out.
    """
    earliest = instant - OPEN_SHIFT_SECONDS_MAX - CLOCK_SKEW_SECONDS_MAX
    latest = instant + CLOCK_SKEW_SECONDS_MAX
    return earliest // 86400, latest // 86400
