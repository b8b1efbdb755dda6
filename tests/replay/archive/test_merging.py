"""Small segments are merged: few remain, each event is rewritten seldom, and none lies in two that count."""

from __future__ import annotations

from math import log

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.archive import growth
from replay.archive.growth import cut, mergeable, spans
from replay.archive.manifest import Segment, joined
from tests.support.examples import examples
from tests.support.oracle.histories import patiently

WHOLE = 4096


@pytest.fixture(autouse=True)
def _small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "SEGMENT_EVENTS", WHOLE)


def a_segment(first: int, last: int) -> Segment:
    return Segment("", first, last, 0, 0, 0, 0, 0, {}, ())


def grown(batches: list[int]) -> tuple[list[Segment], dict[int, int], int]:
    """Return the segments after these batches, how often the events of each batch were written, and the most segments
    there ever were.
    """
    segments: list[Segment] = []
    written: dict[int, int] = {}  # by the last position of each batch
    position = most = 0
    for events in batches:
        for low, high in cut(position, position + events):
            segments.append(a_segment(low + 1, high))
        position += events
        written[position] = 1
        while run := mergeable(segments):
            merged = joined(segments[run], (), "")
            segments[run] = [merged]
            for last in written:
                written[last] += merged.first <= last <= merged.last
        most = max(most, len(segments))
    return segments, written, most


@settings(patiently, max_examples=examples(20))
@given(batches=st.lists(st.one_of(st.integers(1, 5), st.integers(1, 300), st.integers(1, 9000)), max_size=120))
def test_segments_stay_few_and_events_are_rewritten_seldom(batches: list[int]) -> None:
    segments, written, most = grown(batches)
    position = sum(batches)
    # Nothing is lost, and nothing lies in two segments.
    assert [segment.first for segment in segments] == [1, *(segment.last + 1 for segment in segments[:-1])][
        : len(segments)
    ]
    assert (segments[-1].last if segments else 0) == position
    # A span that is there is one segment; of the last one, each is more than twice as large as all behind it.
    assert all(len(span) == 1 for span in spans(segments) if span[-1].last % WHOLE == 0)
    assert most <= position // WHOLE + log(WHOLE, 3) + 2
    # Each merge makes an event's segment half as large again, or whole.
    assert max(written.values(), default=1) <= log(WHOLE, 1.5) + 2


@pytest.mark.parametrize(
    ("batches", "sizes"),
    [
        ([6, 3], [9]),  # those behind are half as large
        ([7, 3], [7, 3]),
        ([7, 3, 1], [7, 3, 1]),
        ([7, 3, 1, 1], [12]),  # two become one of 2, which is more than half of 3, and so on
        ([30, 7, 3, 2], [30, 12]),
        ([WHOLE - 2, 1, 1], [WHOLE]),  # a span that is there is one segment
        ([WHOLE - 2, 1, 5], [WHOLE, 4]),
        ([2 * WHOLE + 1], [WHOLE, WHOLE, 1]),
    ],
)
def test_what_is_half_as_large_is_merged(batches: list[int], sizes: list[int]) -> None:
    assert [segment.events for segment in grown(batches)[0]] == sizes


def test_even_batches_are_rewritten_less_than_five_times() -> None:
    _, written, most = grown([WHOLE // 20] * 200)
    assert sum(written.values()) / len(written) < 5
    assert most <= 10 + 4
