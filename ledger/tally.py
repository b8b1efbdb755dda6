"""What became of a batch, in numbers: for whoever watches the ledger at work."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ledger.answers import Answer
from ledger.plain.block import REPEATED, Block
from ledger.rejections import Refused


class Tally(NamedTuple):
    """How many commands a batch had, how many of them were there before, and the rejections of those refused."""

    commands: int
    repeated: int
    refused: list[str]


def tally(told: Iterable[Answer | Block]) -> Tally:
    """Count what became of a batch."""
    commands = repeated = 0
    refused: list[str] = []
    for one in told:
        if isinstance(one, Block):
            commands += len(one)
            outcomes = one.rows["outcome"]
            repeated += int(outcomes[0] == REPEATED) if len(one) == 1 else int((outcomes == REPEATED).sum())
            if one.answers:
                refused += [answer.rejection.code for answer in one.answers.values()]
            continue
        commands += 1
        if isinstance(one, Refused):
            refused.append(one.rejection.code)
        else:
            repeated += one.duplicate
    return Tally(commands, repeated, refused)
