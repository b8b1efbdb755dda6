"""Persons in the store and in the log: which numbers were ever merged, and which go on as the same one.

`replay.merges` holds every pair of numbers that was ever merged, at the current generation's position. Whoever reads
volunteers reads all they were ever merged with, so that the merges known at any earlier position can be folded from the
log's streams. Nothing here says what a merge is worth (projections/kernels/persons.py).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from psycopg import Connection

from ledger.aggregates import Event
from ledger.aggregates.volunteer import VolunteerMerged, VolunteerMergeUndone
from ledger.names import Position, stream
from ledger.store.log_queries import LogQueries
from ledger.store.mapper import decode
from replay.cohorts.shift_columns import text_array

Pair = tuple[str, str]
"""A number, and the one it was merged into."""
Merges = Mapping[Pair, bool]
"""Pairs that were ever merged, and whether that stands."""

_GET = """
SELECT volunteer, into_number, stands FROM replay.merges WHERE volunteer = ANY(%(numbers)s::text[])
UNION SELECT volunteer, into_number, stands FROM replay.merges WHERE into_number = ANY(%(numbers)s::text[])
"""
_PUT = """
INSERT INTO replay.merges (volunteer, into_number, stands)
SELECT * FROM unnest(%s::text[], %s::text[], %s::boolean[])
ON CONFLICT (volunteer, into_number) DO UPDATE SET stands = EXCLUDED.stands
"""


def read_merges(connection: Connection[Any], numbers: Iterable[str]) -> dict[Pair, bool]:
    """Read the pairs that these numbers, or any they were ever merged with, are in."""
    merges: dict[Pair, bool] = {}
    asked: set[str] = set()
    more = set(numbers)
    while more:  # hardly ever twice
        found = connection.execute(_GET, {"numbers": text_array(more)}).fetchall()
        asked |= more
        merges |= {(volunteer, into): stands for volunteer, into, stands in found}
        more = {number for volunteer, into, _ in found for number in (volunteer, into)} - asked
    return merges


def read_all_merges(connection: Connection[Any]) -> dict[Pair, bool]:
    """Read every pair that was ever merged."""
    found = connection.execute("SELECT volunteer, into_number, stands FROM replay.merges").fetchall()
    return {(volunteer, into): stands for volunteer, into, stands in found}


def write_merges(connection: Connection[Any], merges: Merges) -> None:
    """Record pairs, in the caller's transaction."""
    if merges:
        volunteers, into = zip(*merges, strict=True)
        connection.execute(_PUT, (text_array(volunteers), text_array(into), list(merges.values())))


def told(merges: Merges, events: Iterable[Event]) -> dict[Pair, bool]:
    """Return the pairs as they are when some more events are known."""
    known = dict(merges)
    for event in events:
        if isinstance(event, VolunteerMerged | VolunteerMergeUndone):
            known[event.volunteer, event.into] = isinstance(event, VolunteerMerged)
    return known


def standing(merges: Merges) -> list[Pair]:
    """Return the pairs that stand."""
    return [pair for pair, stands in merges.items() if stands]


def linked(numbers: Collection[str], pairs: Collection[Pair]) -> list[str]:
    """Return these numbers and all that pairs link with them, directly or through others."""
    if not pairs:
        return list(numbers)
    neighbours: dict[str, list[str]] = {}
    for volunteer, into in pairs:
        neighbours.setdefault(volunteer, []).append(into)
        neighbours.setdefault(into, []).append(volunteer)
    found = dict.fromkeys(numbers)
    waiting = list(numbers)
    while waiting:
        for other in neighbours.get(waiting.pop(), ()):
            if other not in found:
                found[other] = None
                waiting.append(other)
    return list(found)


def ends(numbers: Iterable[str], merges: Merges) -> list[str]:
    """Return for each number the one it goes on as in the end: itself, unless it was merged."""
    following = dict(standing(merges))
    found = []
    for number in numbers:
        end = number
        while end in following:
            end = following[end]
        found.append(end)
    return found


def goes_on_as(number: str, merges: Merges) -> str:
    """Return the number that this one goes on as in the end."""
    return ends([number], merges)[0]


def merged_numbers(merges: Merges) -> dict[str, str]:
    """Return every number that does not go on as itself, and the one it goes on as in the end."""
    numbers = [volunteer for volunteer, _ in standing(merges)]
    return dict(zip(numbers, ends(numbers, merges), strict=True))


def merges_known_at(log: LogQueries, merges: Merges, known_at: Position) -> dict[Pair, bool]:
    """Return which of the pairs stood at a position, by the log."""
    return dict.fromkeys(merge_events(log, merges, known_at), True)


def merge_events(log: LogQueries, merges: Merges, known_at: Position) -> dict[Pair, Position]:
    """Return which of the pairs stood at a position, by the log, each with the position of the merge that says so."""
    streams = {stream("volunteer", volunteer) for volunteer, _ in merges}
    if not streams:
        return {}
    stood: dict[Pair, Position] = {}
    for recorded in log.read_streams(streams, until=known_at).values():  # a pair's events are all in one stream
        for one in recorded:
            event = decode(one.topic, one.state)
            if isinstance(event, VolunteerMerged):
                stood[event.volunteer, event.into] = one.position
            elif isinstance(event, VolunteerMergeUndone):
                stood.pop((event.volunteer, event.into), None)
    return stood
