"""What becomes of an order: it is accepted, now or before, or refused; and on what terms orders are taken together.

Nothing here decides.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple
from uuid import UUID

from ledger.names import Position
from ledger.rejections import Refused

TERMS_ORDERS_MAX = 1000
"""An atomic submission or a dry run is executed alone, so it must not keep the others waiting for long."""


class Terms(NamedTuple):
    """How a submission is to be taken.

    atomic: all of it or nothing. When one order is refused, the others are refused as `NOT_ALONE`.
    dry_run: decided as if, with the orders before it in the submission, and nothing is written.
    """

    atomic: bool = False
    dry_run: bool = False


ONE_BY_ONE = Terms()


class Accepted(NamedTuple):
    """The order is in the log: its last event's position, whether it was there already, and the shift it is about.

    An order whose commit was hidden by a lost connection also counts as there already. In a dry run the position of
    what is not there already is None.
    """

    position: Position | None
    duplicate: bool
    shift: UUID | None


Answer = Accepted | Refused


class Tally(NamedTuple):
    """What became of a batch, in numbers: how many commands it had, how many of them were there before, and the
    rejections of those refused.
    """

    commands: int
    repeated: int
    refused: list[str]


def tally(answers: Iterable[Answer]) -> Tally:
    """Count what became of a batch."""
    commands = repeated = 0
    refused: list[str] = []
    for answer in answers:
        commands += 1
        if isinstance(answer, Refused):
            refused.append(answer.rejection.code)
        else:
            repeated += answer.duplicate
    return Tally(commands, repeated, refused)


def require_one_batch(orders: int, terms: Terms) -> None:
    """Hold a submission whose terms concern all of it to what is executed together.

    Raises:
        ValueError: it is larger than that.
    """
    if terms != ONE_BY_ONE and orders > TERMS_ORDERS_MAX:
        raise ValueError(f"{orders} orders are more than the {TERMS_ORDERS_MAX} of an atomic submission or a dry run")
