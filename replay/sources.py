"""Sources: which event decides what of a shift, by all events known of it (DESIGN.md, "The rules of credit", step 1).

The kernel (`projections/resolve.py`) says what is true of a shift; this says why, event by event, for people. `check`
holds the two against one another: a source that does not lead to the kernel's result is an error, never a story.

Pure: it takes events in log order and reads nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeVar
from uuid import UUID

from ledger.aggregates.shift import (
    CheckedIn,
    CheckedOut,
    DisputeSettled,
    ShiftCorrected,
    ShiftDisputed,
    ShiftEvent,
    ShiftReinstated,
    ShiftVoided,
)
from ledger.names import Position
from projections.schema import VOID
from replay.stretches import ExplanationError
from replay.touched import Shift

E = TypeVar("E", bound=ShiftEvent)


DECIDED = ("check_in", "check_out", "station", "project", "void", "in_dispute")
"""What events decide of a shift."""


class Source(NamedTuple):
    """An event of a shift, and what it decides of it as things stand: nothing, if another event counts instead."""

    position: Position
    event: ShiftEvent
    decides: tuple[str, ...]


class _Known(NamedTuple):
    position: Position
    event: ShiftEvent


def sources(events: Iterable[tuple[Position, ShiftEvent]]) -> list[Source]:
    """Return the events of one shift, given in log order, with what each decides."""
    known = [_Known(*each) for each in events]
    deciding = _deciding(known)
    return [
        Source(position, event, tuple(name for name in DECIDED if deciding.get(name) == position))
        for position, event in known
    ]


def _deciding(known: Sequence[_Known]) -> dict[str, Position]:
    """Return the position of the event that decides each thing that is decided."""
    deciding: dict[str, Position] = {}
    if entered := min(_of(CheckedIn, known), key=_check_in_rank, default=None):
        deciding |= dict.fromkeys(("check_in", "station"), entered[0])
        if entered[1].project is not None:
            deciding["project"] = entered[0]
    corrected: dict[str, tuple[Position, ShiftCorrected]] = {}  # by field: the last in the log that names it
    for position, event in _of(ShiftCorrected, known):
        corrected |= dict.fromkeys(event.changes, (position, event))
    deciding |= {name: position for name, (position, _) in corrected.items()}
    check_in = corrected["check_in"][1].check_in if "check_in" in corrected else entered and entered[1].occurred_at
    later = [each for each in _of(CheckedOut, known) if check_in is not None and each[1].occurred_at > check_in]
    if later and "check_out" not in corrected:
        deciding["check_out"] = min(later, key=lambda each: (each[1].occurred_at, each[1].evidence is not None))[0]
    for name, kinds in (("void", (ShiftVoided, ShiftReinstated)), ("in_dispute", (ShiftDisputed, DisputeSettled))):
        if said := [each.position for each in known if isinstance(each.event, kinds)]:
            deciding[name] = said[-1]
    return deciding


def _of(kind: type[E], known: Iterable[_Known]) -> list[tuple[Position, E]]:
    return [(position, event) for position, event in known if isinstance(event, kind)]


def _check_in_rank(each: tuple[Position, CheckedIn]) -> tuple[int, bool, str, str]:
    """Earliest first, a scan before an attested entry; the names only decide between equals, in any upload order."""
    event = each[1]
    return event.occurred_at, event.evidence is not None, event.station, event.project or ""


# --- held against the kernel ----------------------------------------------------------------------------------------


def check(shift: Shift, found: Sequence[Source]) -> None:
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
