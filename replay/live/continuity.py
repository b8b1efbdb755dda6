"""Continuity: the log's positions follow one another without a gap, or nobody reads on.

Positions are dense by construction (docs/decisions/0001), so one that holds no event means that an event was deleted,
and a log that ends before what read models have taken in means that an older backup was restored. Hours would be wrong
from there on without anybody noticing: so a reader stops and names the positions. Nothing here reads or repairs.

    ContinuityError
    ├── LogHoleError      positions that hold no event
    └── LogShortError     a log that ends before what was taken in
"""

from __future__ import annotations

from collections.abc import Sequence

from ledger.store.log_queries import RecordedEvent

_REMEDY = "restore the log from a backup, then run `hours rebuild --facts-anew`"


class ContinuityError(Exception):
    """The log is not the one that was read so far."""


class LogHoleError(ContinuityError):
    """Positions from `first` to `last` hold no event, but later ones do."""

    def __init__(self, first: int, last: int) -> None:
        positions = f"position {first} holds" if first == last else f"positions {first} to {last} hold"
        super().__init__(f"{positions} no event though the log goes on behind: events were deleted; {_REMEDY}")
        self.first = first
        self.last = last


class LogShortError(ContinuityError):
    """The log ends at `head`, before the position that was taken in already."""

    def __init__(self, head: int, position: int) -> None:
        super().__init__(
            f"the log ends at position {head}, but events up to {position} were taken in already: events were deleted, "
            f"or an older backup was restored; run `hours rebuild --facts-anew` if the log is right as it is"
        )
        self.head = head
        self.position = position


def dense(position: int, recorded: Sequence[RecordedEvent]) -> Sequence[RecordedEvent]:
    """Return the events that follow a position without a gap, in their order: all of them, if nothing is missing.

    Raises:
        LogHoleError: not even the first one follows.
    """
    if not recorded:
        return recorded
    if recorded[0].position != position + 1:
        raise LogHoleError(position + 1, recorded[0].position - 1)
    if recorded[-1].position == position + len(recorded):  # they ascend, so this leaves no room for a gap
        return recorded
    return [one for place, one in enumerate(recorded, position + 1) if one.position == place]


def verify_length(position: int, head: int) -> None:
    """Hold that the log reaches as far as what was taken in.

    Raises:
        LogShortError: it ends before.
    """
    if head < position:
        raise LogShortError(head, position)
