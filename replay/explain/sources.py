"""Sources: which event decides what of a shift, by all events known of it (docs/rules-of-credit.md, step 1).

The kernel (`projections/kernels/resolve.py`) says what is true of a shift; this says why, event by event, for people.
`check` holds the two against one another: a source that does not lead to the kernel's result is an error, never a
story.

Pure: it takes events in log order and reads nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple
from uuid import UUID

from ledger.aggregates.shift import CheckedIn, Shift, ShiftCorrected, ShiftEvent, ShiftVoided
from ledger.names import Position
from projections.schema import VOID
from replay.cohorts.cohort import Shift as ResolvedShift
from replay.explain.stretches import ExplanationError

DECIDED = ("check_in", "check_out", "station", "project", "void", "in_dispute")
"""What events decide of a shift."""


class Source(NamedTuple):
    """An event of a shift, and what it decides of it as things stand: nothing, if another event counts instead."""

    position: Position
    event: ShiftEvent
    decides: tuple[str, ...]


def sources(events: Iterable[tuple[Position, ShiftEvent]]) -> list[Source]:
    """Return the events of one shift, given in log order, with what each decides."""
    known = list(events)
    deciding = Shift.of(event for _, event in known).deciding
    return [
        Source(position, event, tuple(name for name in DECIDED if deciding.get(name) is event))
        for position, event in known
    ]


# --- held against the kernel ----------------------------------------------------------------------------------------


def check(shift: ResolvedShift, found: Sequence[Source]) -> None:
    """Hold what the sources say to what the kernel made of the same events.

    Raises:
        ExplanationError: they differ.
    """
    by_name = {name: source.event for source in found for name in source.decides}
    said = (
        _instant("check_in", by_name),
        _instant("check_out", by_name),
        _name("station", by_name),
        _name("project", by_name),
        isinstance(by_name.get("void"), ShiftVoided),
    )
    resolved = (shift.check_in, shift.check_out, shift.station, shift.project, bool(shift.flags & VOID))
    if said != resolved:
        raise ExplanationError(
            f"shift {UUID(str(shift.shift))} cannot be explained: its events say {said}, its resolution {resolved}; "
            "tell the program's makers, or run `hours rebuild --facts-anew`"
        )


def _instant(name: str, by_name: dict[str, ShiftEvent]) -> int | None:
    event = by_name.get(name)
    if isinstance(event, ShiftCorrected):
        return event.check_in if name == "check_in" else event.check_out
    return event.occurred_at if event else None


def _name(name: str, by_name: dict[str, ShiftEvent]) -> str | None:
    event = by_name.get(name)
    if isinstance(event, CheckedIn | ShiftCorrected):
        return event.station if name == "station" else event.project
    return None
