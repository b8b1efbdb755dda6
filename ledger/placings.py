"""Placings: since when an organisation has stood where in the tree, by the events of its stream.

Decisions ask it to keep the tree a tree; whoever adds up over the tree asks it where an organisation stood on a day.
The parent an organisation was founded under is its parent from the beginning of time: old records may be of before it
was entered.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from ledger.events import Event, OrganisationEnded, OrganisationFounded, OrganisationMoved

Placing = tuple[date, str | None]
"""The first day, and the parent."""


def placings(history: Sequence[Event]) -> list[Placing]:
    """Return an organisation's placings in the order in which they were said; later ones may be of earlier days."""
    found: list[Placing] = []
    ended_on = date.min
    for event in history:
        match event:
            case OrganisationFounded():
                found.append(((event.founded_on or ended_on) if found else date.min, event.parent))
            case OrganisationMoved():
                found.append((event.moved_on, event.parent))
            case OrganisationEnded():
                ended_on = event.ended_on
            case _:
                pass
    return found


def parent_on(history: Sequence[Event], day: date) -> str | None:
    """Return the parent on a day: the latest placing up to it counts, of several of one day the last that was said."""
    known = [(since, number, parent) for number, (since, parent) in enumerate(placings(history)) if since <= day]
    return max(known, key=lambda each: each[:2])[2] if known else None


def standing(history: Sequence[Event]) -> list[tuple[date, date]]:
    """Return the days on which an organisation stood: from the first to before the second, `date.max` while it does."""
    spans: list[tuple[date, date]] = []
    for event in history:
        match event:
            case OrganisationFounded() if not spans:
                spans.append((date.min, date.max))
            case OrganisationFounded():
                spans.append((event.founded_on or spans[-1][1], date.max))
            case OrganisationEnded():
                spans[-1] = spans[-1][0], event.ended_on
            case _:
                pass
    return spans
