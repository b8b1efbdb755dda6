"""Sources: which event decides which field of a shift, by all known events (docs/rules-of-credit.md, step 1).

The kernel (`projections/kernels/resolve.py`) resolves a shift; this module says which event decided each field. `check`
compares the two: sources that do not give the kernel's result are an error.

Pure: it takes events in log order and reads nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple
from uuid import UUID

from ledger.aggregates.shift import CheckedIn, CheckedOut, Punched, Shift, ShiftCorrected, ShiftEvent, ShiftVoided, rank
from ledger.names import Position
from projections.schema import PUNCH, VOID
from replay.cohorts.cohort import Shift as ResolvedShift
from replay.explain.stretches import ExplanationError

DECIDED = ("check_in", "check_out", "station", "project", "void", "in_dispute")
"""The fields of a shift that events decide."""


class Source(NamedTuple):
    """An event of a shift, and the fields that it decides: none, if other events decide them."""

    position: Position
    event: ShiftEvent
    decides: tuple[str, ...]


def sources(events: Iterable[tuple[Position, ShiftEvent]]) -> list[Source]:
    """Return the events of one shift, given in log order, with the fields that each decides."""
    history = list(events)
    deciding = Shift.of(event for _, event in history).deciding
    return [
        Source(position, event, tuple(name for name in DECIDED if deciding.get(name) is event))
        for position, event in history
    ]


def sources_of_punch(events: Sequence[tuple[Position, ShiftEvent]]) -> list[Source]:
    """Return the events of a punch that ends a shift; the one that decides its instant decides the check-out."""
    state = Shift.of(event for _, event in events)
    correction = dict(state.corrected).get("check_out" if state.begun is None else "check_in")
    deciding = correction or state.begun or min(state.ends, key=rank)
    return [Source(position, event, ("check_out",) if event is deciding else ()) for position, event in events]


def ended_by_punch(own: Sequence[Source], punch: Sequence[Source]) -> list[Source]:
    """Return the events of a shift and of the punch that ends it, in log order."""
    return sorted([*own, *punch], key=lambda source: source.position)


# --- verification against the kernel --------------------------------------------------------------------------------


def check(shift: ResolvedShift, found: Sequence[Source]) -> None:
    """Verify that the sources give the shift that the kernel resolved from the same events.

    Raises:
        ExplanationError: they differ.
    """
    if shift.flags & PUNCH and (shift.check_in is None or shift.flags & VOID):
        return  # a punch that begins no shift: pairing decides what it is, and void ones are not paired
    by_name = {name: source.event for source in found for name in source.decides}
    expected = (
        _instant("check_in", by_name),
        _instant("check_out", by_name),
        _name("station", by_name),
        _name("project", by_name),
        isinstance(by_name.get("void"), ShiftVoided),
    )
    resolved = (shift.check_in, shift.check_out, shift.station, shift.project, bool(shift.flags & VOID))
    if expected != resolved:
        raise ExplanationError(
            f"shift {UUID(str(shift.shift))} cannot be explained: its events give {expected}, but it was resolved to "
            f"{resolved}; run `hours rebuild --new-facts`, and if the error remains, report it as a bug"
        )


def _instant(name: str, by_name: dict[str, ShiftEvent]) -> int | None:
    event = by_name.get(name)
    if isinstance(event, ShiftCorrected):
        return event.check_in if name == "check_in" or name not in event.changes else event.check_out
    return event.occurred_at if event else None


def _name(name: str, by_name: dict[str, ShiftEvent]) -> str | None:
    event = by_name.get(name)
    if name == "station" and isinstance(event, CheckedIn | CheckedOut | Punched | ShiftCorrected):
        return event.station
    return event.project if isinstance(event, CheckedIn | Punched | ShiftCorrected) else None
