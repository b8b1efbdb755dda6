"""Two numbers of one person: which merge is in force, and as which number a person goes on."""

from __future__ import annotations

from ledger.decide.case import Case, last_of
from ledger.events import VolunteerMerged, VolunteerMergeUndone
from ledger.names import stream


def merge_in_force(case: Case, volunteer: str) -> VolunteerMerged | None:
    """Return the merge by which a number goes on as another, if it does."""
    history = case.streams.events(stream("volunteer", volunteer))
    last = last_of(history, VolunteerMerged, VolunteerMergeUndone)
    return last if isinstance(last, VolunteerMerged) else None


def goes_on_as(case: Case, volunteer: str) -> str:
    """Return the number that a volunteer's hours count under in the end: another, where it was merged.

    Merges in force make no ring (`ledger/decide/volunteers.py` refuses what would), so this walk ends.
    """
    while merge := merge_in_force(case, volunteer):
        volunteer = merge.into
    return volunteer
