"""Continuity: a reader of the log stops where positions are missing.

Positions are dense by construction (docs/decisions/0001). A position without an event means that an event was deleted,
and a log that ends before the read models' position means that an older backup was restored. Computed hours would be
silently wrong from there on, so readers stop and name the positions. Nothing here reads or repairs the log.

    ContinuityError
    ├── LogHoleError      positions without an event
    └── LogShortError     the log ends before the position reached
"""

from __future__ import annotations

from collections.abc import Sequence

from ledger.store.log_queries import RecordedEvent

_REMEDY = "restore the log from a backup, then run `hours rebuild --new-facts`"


class ContinuityError(Exception):
    """The log does not continue where the read models are."""


class LogHoleError(ContinuityError):
    """Positions `first` to `last` hold no event, but later positions do."""

    def __init__(self, first: int, last: int) -> None:
        positions = f"position {first} holds" if first == last else f"positions {first} to {last} hold"
        super().__init__(f"{positions} no event, but later positions do: events were deleted; {_REMEDY}")
        self.first = first
        self.last = last


class LogShortError(ContinuityError):
    """The log ends at `head`, before the position of the read models."""

    def __init__(self, head: int, position: int) -> None:
        super().__init__(
            f"the log ends at position {head}, but the read models are at {position}: events were deleted, or an older "
            "backup was restored; if the log is correct, run `hours rebuild --new-facts`"
        )
        self.head = head
        self.position = position


def contiguous(position: int, recorded: Sequence[RecordedEvent]) -> Sequence[RecordedEvent]:
    """Return the events that follow a position, up to the first gap.

    Raises:
        LogHoleError: the first event does not follow the position.
    """
    if not recorded:
        return recorded
    if recorded[0].position != position + 1:
        raise LogHoleError(position + 1, recorded[0].position - 1)
    if recorded[-1].position == position + len(recorded):  # positions ascend, so there is no gap
        return recorded
    return [event for expected, event in enumerate(recorded, position + 1) if event.position == expected]


def verify_length(position: int, head: int) -> None:
    """Verify that the log does not end before a position.

    Raises:
        LogShortError: it does.
    """
    if head < position:
        raise LogShortError(head, position)
