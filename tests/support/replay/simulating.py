"""What the tests of the synthetic history share: a small and a broad one, and the way back from lines to events."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from functools import cache
from pathlib import Path
from typing import NamedTuple

from ledger.aggregates import Event
from ledger.store.mapper import decode
from replay.synthetic import History, simulate
from replay.synthetic.planning.days import FIRST_MIDNIGHT, date_of

RULES = (Path(__file__).parents[3] / "rules" / "luohu.toml").read_text()
SMALL = 0.01
"""The smallest scale at which no city or special station is ever empty."""
BROAD = 0.1
"""The smallest scale with all 105 stations."""


class Row(NamedTuple):
    """One line of the log, and its event."""

    stream: str
    version: int
    topic: str
    state: bytes
    position: int
    event: Event


def read_rows(lines: bytes) -> Iterator[Row]:
    """Read COPY text back, as PostgreSQL would."""
    for line in lines.decode("ascii").splitlines():
        stream, version, topic, text, position = line.split("\t")
        hexadecimal = text.startswith("\\\\x")
        state = bytes.fromhex(text[3:]) if hexadecimal else text.replace("\\\\\\\\", "\\").encode()
        yield Row(stream, int(version), topic, state, int(position), decode(topic, state))


def lines_of(history: History) -> bytes:
    """Return all lines before the opening balances."""
    return b"".join(chunk.lines for chunk in history.chunks())


@cache
def small() -> History:
    """A history that is read back event by event."""
    return simulate(SMALL, 3, RULES)


@cache
def small_rows() -> tuple[Row, ...]:
    """The events of the small history."""
    return tuple(read_rows(lines_of(small())))


@cache
def broad() -> History:
    """A history that is looked at as columns only."""
    return simulate(BROAD, 5, RULES)


def local_day(instant: int) -> date:
    """Return the date in Shenzhen."""
    return date_of((instant - FIRST_MIDNIGHT) // 86_400)
