"""Answers to orders, accepted or refused, and the terms on which a submission is executed. Nothing here decides."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple
from uuid import UUID

from ledger.names import Position
from ledger.rejections import Refused

TERMS_ORDERS_MAX = 1000
"""The maximum size of an atomic submission or a dry run: it is executed alone and must not delay others for long."""


class Terms(NamedTuple):
    """How a submission is executed.

    atomic: all orders are recorded or none. If one is refused, the others are refused as `NOT_ALONE`.
    dry_run: each order is decided after the orders before it in the submission, and nothing is written.
    """

    atomic: bool = False
    dry_run: bool = False


ONE_BY_ONE = Terms()


class Accepted(NamedTuple):
    """The order is in the log: the position of its last event, whether it is a duplicate, and the shift it is about, if
    that is known. `punch`: the id of a scan without a shift id; the rules say which shift it came to.

    An order that was committed just before the connection was lost also counts as a duplicate. In a dry run the
    position is None, unless the order is a duplicate.
    """

    position: Position | None
    duplicate: bool
    shift: UUID | None
    punch: UUID | None = None


Answer = Accepted | Refused


class Tally(NamedTuple):
    """The outcome of a batch: the numbers of commands and of duplicates, and the codes of rejections."""

    commands: int
    repeated: int
    refused: list[str]


def tally(answers: Iterable[Answer]) -> Tally:
    """Count the answers of a batch."""
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
    """Require that an atomic submission or a dry run fits in one batch.

    Raises:
        ValueError: it does not fit.
    """
    if terms != ONE_BY_ONE and orders > TERMS_ORDERS_MAX:
        raise ValueError(f"{orders} orders are more than the {TERMS_ORDERS_MAX} of an atomic submission or a dry run")
