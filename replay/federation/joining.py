"""Joining: the facts of several ledgers as those of one.

A name of a member ledger gets the ledger's name before it, `luohu.v0001` for volunteer `v0001` of `luohu`, so that
equal names of different ledgers stay different. The federation's own ledger, which links persons, uses these names
already.

The kernels that follow know nothing of federations. A shift has all its events in one ledger, so shifts are resolved
there and their states are joined. Of the merges, each number gets the last number of its person, in one step: a link
between ledgers is recorded without knowing what the ledgers merge before or after it, so links and merges together
could name two targets for one number, or a ring.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from projections.kernels.facts import Facts
from projections.kernels.order import ShiftKeys
from projections.schema import (
    MERGE_UNDONE,
    MERGED,
    NO_INSTANT,
    NONE,
    OPENING_RECORDED,
    OPENING_VOIDED,
    REGISTERED,
    TRAINING_VOIDED,
    Ints,
    OtherEvents,
    ResolvedShifts,
    Words,
)
from projections.surrogates import Names

SEPARATOR = "."


class Member(NamedTuple):
    """The facts of one ledger. `name`: the ledger's, without a separator; None for the federation's own ledger."""

    name: str | None
    facts: Facts


class Joined(NamedTuple):
    """Joined facts. `unknown`: numbers that the federation's own ledger names and that their ledgers have not
    registered.
    """

    facts: Facts
    unknown: list[str]


class Dictionaries(NamedTuple):
    """The names of all ledgers so far; `registered`: the volunteers that member ledgers have registered."""

    volunteers: Names
    stations: Names
    projects: Names
    raise_ids: Names
    registered: set[int]

    @classmethod
    def empty(cls) -> Dictionaries:
        """Return the dictionaries of no ledger."""
        return cls(Names(), Names(), Names(), Names(), set())


class Renamed(NamedTuple):
    """What a ledger holds, with the surrogates of all ledgers.

    other_events: all but merges. links: its merges in force, the first number into the second. unknown: of the
    federation's own ledger, the numbers of members that are not registered there.
    """

    shifts: ResolvedShifts
    other_events: OtherEvents
    links: list[tuple[int, int]]
    unknown: list[str]


def rename(member: Member, names: Dictionaries, ledgers: Collection[str]) -> Renamed:
    """Give what a ledger holds the surrogates of all ledgers, and add its names to theirs.

    Of a member's number, the federation's own ledger replaces neither the registration nor the opening balance, and
    voids no training. What events say decides, not which names are there: a file of an archive may have more names than
    its events up to a head.

    Args:
        ledgers: the names of all member ledgers.
    """
    facts = member.facts
    before = "" if member.name is None else member.name + SEPARATOR
    volunteers, stations, projects, raise_ids = (
        np.array([*(into.add(before + name) for name in dictionary.texts()), NONE], np.int32)  # `NONE` finds the last
        for dictionary, into in (
            (facts.volunteers, names.volunteers),
            (facts.stations, names.stations),
            (facts.projects, names.projects),
            (facts.raise_ids, names.raise_ids),
        )
    )
    shifts, events = facts.shifts, facts.other_events
    left_out = (events.code == MERGED) | (events.code == MERGE_UNDONE)
    links = [(int(volunteers[a]), int(volunteers[b])) for (a, b), in_force in facts.merges().items() if in_force]
    unknown = list[str]()
    if member.name is None:
        texts = facts.volunteers.texts()
        of_member = np.array([*(name.partition(SEPARATOR)[0] in ledgers for name in texts), False], np.bool_)
        known = np.isin(volunteers, [*names.registered])
        left_out |= (events.code == REGISTERED) & known[events.volunteer]
        left_out |= (
            np.isin(events.code, (OPENING_RECORDED, OPENING_VOIDED, TRAINING_VOIDED)) & of_member[events.volunteer]
        )
        named = np.unique(np.concatenate([events.volunteer, events.into]))
        unknown = [texts[at] for at in named.tolist() if at >= 0 and of_member[at] and not known[at]]
    else:
        names.registered.update(volunteers[events.volunteer[events.code == REGISTERED]].tolist())
    kept = np.flatnonzero(~left_out)
    return Renamed(
        shifts._replace(
            volunteer=volunteers[shifts.volunteer], station=stations[shifts.station], project=projects[shifts.project]
        ),
        OtherEvents(
            code=events.code[kept],
            volunteer=volunteers[events.volunteer[kept]],
            station=stations[events.station[kept]],
            project=projects[events.project[kept]],
            key=raise_ids[events.key[kept]],
            day=events.day[kept],
            amount=events.amount[kept],
            into=volunteers[events.into[kept]],
            opened_at=events.opened_at[kept],
        ),
        links,
        unknown,
    )


def join(members: Sequence[Member]) -> Joined:
    """Join the facts of ledgers with different names; the federation's own ledger comes last, if there is one."""
    names = Dictionaries.empty()
    ledgers = {member.name for member in members if member.name is not None}
    renamed = [rename(member, names, ledgers) for member in members]
    merges = merges_of(last_numbers(link for each in renamed for link in each.links))
    tables = [*(each.other_events for each in renamed), merges]
    return Joined(
        Facts(
            shifts=ResolvedShifts(*map(np.concatenate, zip(*(each.shifts for each in renamed), strict=True))),
            other_events=OtherEvents(*map(np.concatenate, zip(*tables, strict=True))),
            volunteers=names.volunteers,
            stations=names.stations,
            projects=names.projects,
            raise_ids=names.raise_ids,
            shift_keys=_keys([member.facts for member in members]),
        ),
        [name for each in renamed for name in each.unknown],
    )


def last_numbers(links: Iterable[tuple[int, int]]) -> dict[int, int]:
    """Return the last number of each linked number that is not the last one of its person itself.

    Args:
        links: in force, the first number into the second; those within ledgers before those between them. A link
            makes the person of the first number one with that of the second, whose last number stays.
    """
    into: dict[int, int] = {}

    def last(number: int) -> int:
        while number in into:
            into[number] = into.get(into[number], into[number])  # so that long chains are followed once
            number = into[number]
        return number

    for first, second in links:
        before, after = last(first), last(second)
        if before != after:
            into[before] = after
    return {number: last(number) for number in into}


def merges_of(into: dict[int, int]) -> OtherEvents:
    """Return merges of numbers into the last number of their person."""
    count = len(into)
    none = np.full(count, NONE, np.int32)
    return OtherEvents(
        code=np.full(count, MERGED, np.uint8),
        volunteer=np.array([*into], np.int32),
        station=none,
        project=none,
        key=none,
        day=none,
        amount=none,
        into=np.array([*into.values()], np.int32),
        opened_at=np.full(count, NO_INSTANT, np.uint32),
    )


def _keys(facts: Sequence[Facts]) -> ShiftKeys:
    """Return a function that looks up the ids of joined shifts, each in its own ledger."""
    ends = np.cumsum([len(each.shifts.flags) for each in facts])

    def shift_keys(shifts: Ints) -> tuple[Words, Words]:
        high, low = np.empty(len(shifts), np.uint64), np.empty(len(shifts), np.uint64)
        ledgers = np.searchsorted(ends, shifts, side="right")
        for at in np.unique(ledgers):
            rows = np.flatnonzero(ledgers == at)
            first = ends[at] - len(facts[at].shifts.flags)
            high[rows], low[rows] = facts[at].shift_keys((shifts[rows] - first).astype(np.int32))
        return high, low

    return shift_keys
