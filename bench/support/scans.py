"""Streams of check-ins and check-outs, as stations send them: the load of the intake and live benches.

The volunteers serve in turn, three hours each day, so check-ins and check-outs alternate and an eighth of the
volunteers is in service at any time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple
from uuid import UUID, uuid4

from ledger.aggregates import Command, Order, Sender
from ledger.aggregates.scans import CheckIn, CheckOut
from ledger.intake.answers import Accepted, Answer
from ledger.names import Position, shift_id_for

DAY_SECONDS = 86_400
DAY_PARTS = 8
"""A shift takes an eighth of the day."""


class Scans(NamedTuple):
    """A plan of shifts: volunteers, stations, the first instant, and who makes the shift ids.

    `id_share`: the number of shifts in ten whose id the station makes; the scans of the others are punches. `first`:
    index of the first volunteer; a plan continues where the last one ended, so that a volunteer serves at most once a
    day.
    """

    volunteers: Sequence[str]
    stations: Sequence[str]
    begins: int
    shifts: int
    id_share: int
    first: int = 0

    @property
    def open_shifts(self) -> int:
        """The number of shifts at a time."""
        return max(1, len(self.volunteers) // DAY_PARTS)

    @property
    def ends(self) -> int:
        """The instant after the last check-out, in epoch seconds."""
        return self._instant(self.shifts + self.open_shifts)

    def ending(self, instant: int) -> Scans:
        """Return the same plan, moved so that its last check-out is before `instant`."""
        return self._replace(begins=self.begins + instant - self.ends)

    def _instant(self, number: int) -> int:
        return self.begins + number * DAY_SECONDS // len(self.volunteers)

    def orders(self) -> Iterator[Order]:
        """Yield all orders in order of arrival. Each call gives them new names."""
        source = f"/bench/{uuid4()}"
        for number in range(self.shifts + self.open_shifts):
            if number < self.shifts:
                yield self._order(source, "in", number, self._check_in(source, number))
            if number >= self.open_shifts:
                ended = number - self.open_shifts
                yield self._order(source, "out", ended, self._check_out(source, ended, self._instant(number)))

    def _check_in(self, source: str, number: int) -> Command:
        volunteer, station = self._who(number), self._where(number)
        instant, shift = self._instant(number), self._shift(source, number)
        return CheckIn(volunteer=volunteer, station=station, occurred_at=instant, shift=shift)

    def _check_out(self, source: str, number: int, instant: int) -> Command:
        volunteer, station = self._who(number), self._where(number)
        return CheckOut(volunteer=volunteer, station=station, occurred_at=instant, shift=self._shift(source, number))

    def _shift(self, source: str, number: int) -> UUID | None:
        """Return the UUIDv7 that the station makes for this shift; None if its scans are punches."""
        return shift_id_for(self._instant(number), f"{source}#{number}") if number % 10 < self.id_share else None

    def _who(self, number: int) -> str:
        return self.volunteers[(self.first + number) % len(self.volunteers)]

    def _where(self, number: int) -> str:
        return self.stations[number * 7919 % len(self.stations)]

    def _order(self, source: str, what: str, number: int, command: Command) -> Order:
        station = self._where(number)
        return Sender.of_operator(f"station:{station}").order(
            command, source=f"/stations/{station}{source}", id=f"{what}-{number}", imported=False
        )


def in_batches(orders: Iterator[Order], size: int) -> Iterator[list[Order]]:
    """Yield orders in batches."""
    batch: list[Order] = []
    for order in orders:
        batch.append(order)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def check(answers: Sequence[Answer]) -> Position:
    """Verify that every order was accepted and is not a duplicate; return the last position."""
    position = Position(0)
    for answer in answers:
        assert isinstance(answer, Accepted), answer
        assert not answer.duplicate, answer
        position = answer.position or position
    return position
