"""Ledgers in memory, to be divided into partitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple, cast
from uuid import UUID

from ledger.aggregates import Event
from projections.kernels.facts import Facts, facts_of
from replay.archive.open_archive import OpenArchive
from replay.federation.heads import Head
from replay.partitions.dividing import Division


class _Segment(NamedTuple):
    shifts: int


class InMemory:
    """Stands in for an archive whose events are in memory."""

    def __init__(self, events: Sequence[Event]) -> None:
        self._events = events
        self.segments = [_Segment(len(self.facts().shifts.flags))]

    def facts(self, until: int | None = None, threads: int = 2) -> Facts:  # noqa: ARG002 - of the archive
        return facts_of(self._events[:until])

    other_facts = facts


def division(ledgers: Mapping[str, Sequence[Event]], federation: str | None = None) -> Division:
    archives = {name: cast("OpenArchive", InMemory(events)) for name, events in ledgers.items()}
    heads = [
        Head(name=name, ledger=UUID(int=at), position=len(events), recorded_until=datetime(2019, 1, 1, tzinfo=UTC))
        for at, (name, events) in enumerate(ledgers.items())
    ]
    return Division(federation, archives, heads, [], None)
