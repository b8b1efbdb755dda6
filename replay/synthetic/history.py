"""The synthetic history: the same scale and seed give the same bytes.

A history is planned as columns, then written in chunks. Chunks do not depend on one another, so writing can start at
any position. Planning takes a second per 0.1 of scale, and happens on first use.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from replay.synthetic.events.founding import founding_sources
from replay.synthetic.events.opening import Openings, openings
from replay.synthetic.events.service import Service
from replay.synthetic.events.sources import Chunk, Models, Source
from replay.synthetic.events.timeline import Timeline
from replay.synthetic.labels import Labels
from replay.synthetic.planning.people import total_minutes
from replay.synthetic.planning.plan import Plan, check_scale, make_plan

CHUNK_EVENTS = 50_000


class History:
    """A history: `electronic_events` events, followed by `openings`, the opening balances of the paper era."""

    def __init__(self, scale: float, seed: int, rules_text: str) -> None:
        """Define a history whose first event publishes these rules.

        Raises:
            ValueError: the scale or seed is out of range.
        """
        check_scale(scale, seed)
        self.scale, self.seed, self.rules_text = scale, seed, rules_text

    @cached_property
    def plan(self) -> Plan:
        """The history as columns."""
        return make_plan(self.scale, self.seed)

    @cached_property
    def _service(self) -> Service:
        return Service(self.plan)

    @cached_property
    def _scans(self) -> list[Source]:
        return self._service.scan_sources()

    @cached_property
    def _others(self) -> list[Models]:
        return self._service.other_sources(self.shifts + self.plan.people.count)

    @cached_property
    def _timeline(self) -> Timeline:
        stations_days = len(self.plan.amendments.raised) + len(self.plan.served.day)
        founding = founding_sources(
            self.plan,
            self.rules_text,
            volunteer_stream=self.shifts,
            other_stream=self.shifts + self.plan.people.count + stations_days,
        )
        return Timeline([*founding, *self._scans, *self._others])

    @property
    def shifts(self) -> int:
        """The number of shifts, including forged and entered ones."""
        return len(self.plan.shifts)

    @property
    def minutes(self) -> int:
        """The credited minutes of the whole history, including opening balances."""
        return total_minutes(self.scale)

    @property
    def electronic_events(self) -> int:
        """The number of events before the opening balances."""
        return len(self._timeline)

    @property
    def events(self) -> int:
        """The total number of events, which is the head of a ledger that holds the whole history."""
        return self.electronic_events + len(self.openings)

    @cached_property
    def openings(self) -> Openings:
        """The opening balances; their chunk follows all others."""
        return openings(self.plan, self.electronic_events)

    def chunks(self, after: int = 0, size: int = CHUNK_EVENTS) -> Iterator[Chunk]:
        """Yield the events after a position, up to the opening balances."""
        return self._timeline.chunks(after, size)

    def line(self, position: int) -> bytes:
        """Return the line of one event before the opening balances."""
        return self._timeline.chunk(position - 1, position).lines

    def write_labels(self, path: Path) -> int:
        """Write the labels of all faults as Parquet; return their number."""
        return Labels(self.plan, self._service, self._timeline, self._scans, self._others).write(path)


def simulate(scale: float, seed: int, rules_text: str) -> History:
    """Return the history of a scale (1.0 is Luohu at the end of 2018) and a seed.

    Raises:
        ValueError: the scale or seed is out of range.
    """
    return History(scale, seed, rules_text)
