"""Requests in small pieces are read at intervals, by the share of their key; usual ones are never delayed."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from functools import partial
from typing import Any

import pytest

from api.http.pacing import PIECE_BYTES, PIECES_FREE, READS_PER_SECOND, Pace, PacedReading
from tests.api.writes.test_sockets import check_in, post, talking, told
from tests.support.api.serving import Listening, Served, listening

pytest_plugins = ["tests.support.api.fixtures"]


class Timer:
    """A call that a `Loop` would make later."""

    def __init__(self, seconds: float, call: Callable[[], None]) -> None:
        self.seconds = seconds
        self.call = call

    def cancel(self) -> None:
        """Make no call."""


class Loop:
    """An event loop in which no time passes."""

    def __init__(self) -> None:
        self.timers: list[Timer] = []

    def call_later(self, seconds: float, call: Callable[[], None]) -> Timer:
        """Note a call."""
        self.timers.append(Timer(seconds, call))
        return self.timers[-1]


def pace_of(paced: PacedReading, loop: Any, resume: Callable[[], None] = lambda: None) -> Pace:
    return Pace(paced, loop, resume)


def paused_after(sizes: list[int], pace: Pace) -> int | None:
    """Return the number of pieces before the first pause, None if there is none."""
    return next((number for number, size in enumerate(sizes) if pace.received(size)), None)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([1] * PIECES_FREE, None),
        ([1] * 100, PIECES_FREE),
        ([PIECE_BYTES // 2] * 100, 2 * PIECES_FREE),
        ([PIECE_BYTES] * 1000, None),
        ([1, PIECE_BYTES * 2] * 1000, None),
        ([1] * 15 + ([PIECE_BYTES] + [1] * 15) * 2, PIECES_FREE + 1),  # a usual piece does not excuse what follows it
        ([1 << 16] + [1] * 100, 1 + PIECES_FREE),
    ],
)
def test_small_pieces_are_counted(sizes: list[int], expected: int | None) -> None:
    assert paused_after(sizes, pace_of(PacedReading(), Loop())) == expected


def test_the_pieces_of_the_next_message_are_counted_alone() -> None:
    pace = pace_of(PacedReading(), Loop())
    for _ in range(10):
        assert paused_after([1] * PIECES_FREE, pace) is None
        pace.message_complete()


def test_all_connections_of_a_key_together_are_read_so_many_times_a_second() -> None:
    loop, paced = Loop(), PacedReading()
    resumed: list[int] = []
    shares: list[Hashable] = [1, 1, 1, 2, None, None]
    paces = [pace_of(paced, loop, partial(resumed.append, number)) for number in range(len(shares))]

    def turns_until_read(number: int) -> float:
        paces[number].pause(shares[number])
        return round(loop.timers[-1].seconds * READS_PER_SECOND, 6)

    assert [turns_until_read(number) for number in range(len(shares))] == [1, 2, 3, 1, 1, 2]
    loop.timers[0].call()
    assert resumed == [0]
    paces[1].end()  # its connection was lost
    assert turns_until_read(0) == 2
    for timer in loop.timers[2:]:
        timer.call()
    assert resumed == [0, 2, 3, 4, 5, 0]
    assert turns_until_read(0) == 1


@pytest.fixture(scope="module")
def server(served: Served) -> Iterator[Listening]:
    with listening(served) as one:
        yield one


@pytest.mark.parametrize("size", [1, 7])
def test_a_request_in_small_pieces_is_recorded_and_its_connection_goes_on(
    served: Served, server: Listening, size: int
) -> None:
    message = post(served, check_in(served))
    with talking(server) as (connection, answers):
        for _ in range(2):
            for start in range(0, len(message), size):
                connection.sendall(message[start : start + size])
            assert told(answers).status in {200, 201}
        connection.sendall(message)
        assert told(answers).status == 200
