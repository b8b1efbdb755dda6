"""Merges of volunteer numbers, in the store and in the log.

`replay.merges` holds every pair of numbers that was ever merged, at the current generation's position. Volunteers are
read with all numbers they were ever merged with, so that the merges known at an earlier position can be derived from
the log's streams. The *final number* of a number is the last in its chain of merges; it stands for the person. The
effect of merges on hours is defined in projections/kernels/persons.py.
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
"""Pairs that were ever merged, and whether the merge is in force."""

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
    """Read all pairs that contain one of these numbers, or a number they were ever merged with."""
    merges: dict[Pair, bool] = {}
    done: set[str] = set()
    pending = set(numbers)
    while pending:  # rarely more than once
        found = connection.execute(_GET, {"numbers": text_array(pending)}).fetchall()
        done |= pending
        merges |= {(volunteer, into): stands for volunteer, into, stands in found}
        pending = {number for volunteer, into, _ in found for number in (volunteer, into)} - done
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


def apply_events(merges: Merges, events: Iterable[Event]) -> dict[Pair, bool]:
    """Return the pairs after further events."""
    known = dict(merges)
    for event in events:
        if isinstance(event, VolunteerMerged | VolunteerMergeUndone):
            known[event.volunteer, event.into] = isinstance(event, VolunteerMerged)
    return known


def pairs_in_force(merges: Merges) -> list[Pair]:
    """Return the pairs whose merge is in force."""
    return [pair for pair, stands in merges.items() if stands]


def linked(numbers: Collection[str], pairs: Collection[Pair]) -> list[str]:
    """Return these numbers and all that are linked with them by pairs, directly or indirectly, each once."""
    if not pairs:
        return list(dict.fromkeys(numbers))
    neighbours: dict[str, list[str]] = {}
    for volunteer, into in pairs:
        neighbours.setdefault(volunteer, []).append(into)
        neighbours.setdefault(into, []).append(volunteer)
    reached = dict.fromkeys(numbers)
    pending = list(numbers)
    while pending:
        for other in neighbours.get(pending.pop(), ()):
            if other not in reached:
                reached[other] = None
                pending.append(other)
    return list(reached)


def final_numbers(numbers: Iterable[str], merges: Merges) -> list[str]:
    """Return the final number of each number: the number itself, unless it was merged into another."""
    merged_into = dict(pairs_in_force(merges))
    final = []
    for number in numbers:
        last = number
        while last in merged_into:
            last = merged_into[last]
        final.append(last)
    return final


def final_number(number: str, merges: Merges) -> str:
    """Return the final number of a number."""
    return final_numbers([number], merges)[0]


def merged_numbers(merges: Merges) -> dict[str, str]:
    """Return the final number of every number that was merged into another."""
    numbers = [volunteer for volunteer, _ in pairs_in_force(merges)]
    return dict(zip(numbers, final_numbers(numbers, merges), strict=True))


def merges_known_at(log: LogQueries, merges: Merges, known_at: Position) -> dict[Pair, bool]:
    """Return the pairs whose merge was in force at a position, according to the log."""
    return dict.fromkeys(merge_events(log, merges, known_at), True)


def merge_events(log: LogQueries, merges: Merges, known_at: Position) -> dict[Pair, Position]:
    """Return the pairs whose merge was in force at a position, according to the log, each with the position of its
    event.
    """
    streams = {stream("volunteer", volunteer) for volunteer, _ in merges}
    if not streams:
        return {}
    in_force: dict[Pair, Position] = {}
    for events in log.read_streams(streams, until=known_at).values():  # all events of a pair are in one stream
        for recorded in events:
            event = decode(recorded.topic, recorded.state)
            if isinstance(event, VolunteerMerged):
                in_force[event.volunteer, event.into] = recorded.position
            elif isinstance(event, VolunteerMergeUndone):
                in_force.pop((event.volunteer, event.into), None)
    return in_force
