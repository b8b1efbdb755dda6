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

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from projections.kernels.facts import Facts
from projections.kernels.order import ShiftKeys
from projections.schema import (
    MERGE_UNDONE,
    MERGED,
    NO_INSTANT,
    NONE,
    REGISTERED,
    Array,
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
    """Joined facts. `unknown`: numbers that the federation's own ledger names and that their ledgers do not have."""

    facts: Facts
    unknown: list[str]


class _Numbers(NamedTuple):
    """The surrogates of a member's names among those of all; the last entry, which index `NONE` finds, is `NONE`."""

    volunteer: Ints
    station: Ints
    project: Ints
    key: Ints


class _Dictionaries(NamedTuple):
    """The names of all members."""

    volunteer: Names
    station: Names
    project: Names
    key: Names


def join(members: Sequence[Member]) -> Joined:
    """Join the facts of ledgers with different names; the federation's own ledger comes last, if there is one.

    A registration of a member's number in the federation's own ledger is left out: the member's own counts.
    """
    names = _Dictionaries(Names(), Names(), Names(), Names())
    numbers = [_numbered(member, names) for member in members]
    of_members = sum(len(member.facts.volunteers) for member in members if member.name is not None)
    known = {member.name for member in members}
    return Joined(
        Facts(
            shifts=_shifts(members, numbers),
            other_events=_other_events(members, numbers, of_members),
            volunteers=names.volunteer,
            stations=names.station,
            projects=names.project,
            raise_ids=names.key,
            shift_keys=_keys([member.facts for member in members]),
        ),
        [name for name in names.volunteer.since(of_members) if name.partition(SEPARATOR)[0] in known],
    )


def _numbered(member: Member, names: _Dictionaries) -> _Numbers:
    facts = member.facts
    dictionaries = (facts.volunteers, facts.stations, facts.projects, facts.raise_ids)
    before = "" if member.name is None else member.name + SEPARATOR
    columns = (
        np.array([*(into.add(before + name) for name in dictionary.texts()), NONE], np.int32)
        for dictionary, into in zip(dictionaries, names, strict=True)
    )
    return _Numbers(*columns)


def _shifts(members: Sequence[Member], numbers: Sequence[_Numbers]) -> ResolvedShifts:
    def column(name: str, numbered: str | None = None) -> Array:
        return np.concatenate(
            [
                getattr(member.facts.shifts, name) if numbered is None
                else getattr(numbers[at], numbered)[getattr(member.facts.shifts, name)]
                for at, member in enumerate(members)
            ]
        )  # fmt: skip

    return ResolvedShifts(
        volunteer=column("volunteer", "volunteer"),
        station=column("station", "station"),
        project=column("project", "project"),
        check_in=column("check_in"),
        check_out=column("check_out"),
        recorded_at=column("recorded_at"),
        flags=column("flags"),
    )


def _other_events(members: Sequence[Member], numbers: Sequence[_Numbers], of_members: int) -> OtherEvents:
    tables, links = [], list[tuple[int, int]]()
    for member, number in zip(members, numbers, strict=True):
        events = member.facts.other_events
        pairs = member.facts.merges().items()
        links += [(int(number.volunteer[a]), int(number.volunteer[b])) for (a, b), in_force in pairs if in_force]
        left_out = (events.code == MERGED) | (events.code == MERGE_UNDONE)
        if member.name is None:
            left_out |= (events.code == REGISTERED) & (number.volunteer[events.volunteer] < of_members)
        kept = np.flatnonzero(~left_out)
        tables.append(
            OtherEvents(
                code=events.code[kept],
                volunteer=number.volunteer[events.volunteer[kept]],
                station=number.station[events.station[kept]],
                project=number.project[events.project[kept]],
                key=number.key[events.key[kept]],
                day=events.day[kept],
                amount=events.amount[kept],
                into=number.volunteer[events.into[kept]],
                opened_at=events.opened_at[kept],
            )
        )
    tables.append(_merges(last_numbers(links)))
    return OtherEvents(*(np.concatenate(columns) for columns in zip(*tables, strict=True)))


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


def _merges(into: dict[int, int]) -> OtherEvents:
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
