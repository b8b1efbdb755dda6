"""Paired ends: the check-out that the rules of pairing give a shift which has none of its own.

What an act changes is shown with it: a correction of such a shift replaces that check-out. Nothing here writes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

from ledger.aggregates.shift import Punched, Shift
from ledger.names import Position
from ledger.store.database import Database
from replay.axes.as_known import Axes, UnknownNameError, read_volunteer
from replay.published import Rules

EndOf = Callable[[str, UUID, Position], int | None]
"""Returns the check-out of a volunteer's shift as known at a position, in epoch seconds; None without one."""


def no_end(_volunteer: str, _shift: UUID, _position: Position) -> None:
    """Return no check-out, for readers that show none."""


def paired_ends(database: Database, rules: Rules) -> EndOf:
    """Return a function to the check-outs that rules give."""

    def end_of(volunteer: str, shift: UUID, position: Position) -> int | None:
        try:
            columns = read_volunteer(database, volunteer, Axes(known_at=position, rules=rules)).tables.columns
        except UnknownNameError:
            return None
        return columns[volunteer, shift].check_out if (volunteer, shift) in columns else None

    return end_of


def with_end(shift: Shift, volunteer: str, number: UUID, position: Position, end_of: EndOf) -> Shift:
    """Return a shift with the check-out that it has by the rules of pairing, if it has none of its own."""
    first = shift.first
    if first is None or shift.check_in is None or shift.check_out is not None or shift.void is not None:
        return shift
    end = end_of(volunteer, number, position)
    if end is None:
        return shift
    punch = Punched(
        occurred_at=end,
        recorded_at=first.recorded_at,
        by=first.by,
        command=first.command,
        volunteer=volunteer,
        shift=number,
        station=shift.station or "",
        direction="out",
    )
    return replace(shift, ends=(*shift.ends, punch))
