"""The opening balances of the paper era before 2011, recorded last, in one batch.

They make up the rest of the total (docs/glossary.md), so they can only be written once the electronic hours have been
credited. They are last in the log but dated 2010-12-31; no shift is on or before that day, so none is superseded.
"""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

import numpy as np

from ledger.aggregates import Event
from ledger.aggregates.opening_balance import OpeningBalanceRecorded
from replay.synthetic.events.sources import Chunk, Models, Slots
from replay.synthetic.planning.days import END_INSTANT, FIRST_MIDNIGHT
from replay.synthetic.planning.people import total_minutes
from replay.synthetic.planning.plan import Plan
from replay.synthetic.planning.randomness import Array, apportion

AS_OF = date(2010, 12, 31)


class OpeningError(ValueError):
    """The electronic hours leave nothing for the opening balances."""


class Openings(NamedTuple):
    """The volunteers with an opening balance, and their weights: the part of a plan needed at the end of a load."""

    minutes: int  # credited minutes of the whole history
    after: int  # the position they follow
    numbers: Array  # of volunteers, ascending
    weights: Array

    def __len__(self) -> int:
        return len(self.numbers)

    def last_volunteer(self) -> str:
        """Return the number of the volunteer whose balance is the last event of the history."""
        return f"V{self.numbers[-1]:07d}"

    def chunk(self, credited_minutes: int) -> Chunk:
        """Write the opening balances. Together with the credited electronic minutes they give the total.

        Raises:
            OpeningError: more minutes are credited than the total of this scale.
        """
        if credited_minutes > self.minutes:
            raise OpeningError(
                f"{credited_minutes} electronic minutes are credited, more than the {self.minutes} of this scale; "
                "load the history with the default rules"
            )
        minutes = apportion(self.minutes - credited_minutes, self.weights).tolist()
        numbers = self.numbers.tolist()

        def make(number: int, at: int, command: str) -> Event:
            return OpeningBalanceRecorded(
                occurred_at=FIRST_MIDNIGHT - 1,
                recorded_at=at,
                by="system:import",
                command=command,
                imported=True,
                volunteer=f"V{numbers[number]:07d}",
                minutes=minutes[number],
                as_of=AS_OF,
                evidence="paper-record",
            )

        source = Models(np.full(len(numbers), END_INSTANT), self.numbers, make)
        slots = Slots(list(range(self.after + 1, self.after + len(numbers) + 1)), [1] * len(numbers))
        lines = source.lines(np.arange(len(numbers)), slots)
        return Chunk(self.after + 1, len(numbers), "".join(lines).encode("ascii"))


def openings(plan: Plan, after: int) -> Openings:
    """Return the opening balances of a plan, to be written after a position."""
    weights = plan.people.opening_weight
    old = np.flatnonzero(weights > 0)
    old = old[np.argsort(plan.members.number[old], kind="stable")]
    return Openings(total_minutes(plan.scale), after, plan.members.number[old], weights[old])
