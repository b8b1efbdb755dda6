"""The log in parts: every event is decided once, and an order in the part in which it begins."""

from __future__ import annotations

import itertools

import pytest

from ledger.aggregates.volunteer import VolunteerWithdrawn
from replay.auditing.chunks import Chunk, Recorded
from replay.auditing.deciding.parts import Part, _events_of, parts_of

ORDERS = [1, 3, 1, 6, 2, 1]
"""The numbers of events of the orders of a log; chunks of two events cut through them."""


def log() -> list[Recorded]:
    fields = b'"by":"person:a","command":"/a#%d","volunteer":"V","withdrawn_on":"2018-01-01","reason":"a"'
    state = b'{"occurred_at":1,"recorded_at":1,' + fields + b"}"
    of_order = [order for order, events in enumerate(ORDERS) for _ in range(events)]
    return [
        Recorded(at, bytes(16), at, VolunteerWithdrawn.TOPIC, state % order) for at, order in enumerate(of_order, 1)
    ]


@pytest.mark.parametrize("count", range(1, 8))
def test_every_event_is_in_one_part(count: int) -> None:
    events = log()
    chunks = [Chunk(at // 2, (), events=events[at : at + 2]) for at in range(0, len(events), 2)]
    parts = parts_of([len(chunk.events) for chunk in chunks], count)
    assert len(parts) == count
    assert [part.first for part in parts[1:]] == [part.last for part in parts[:-1]]
    assert parts[-1] == Part(parts[-1].first, len(chunks))
    found = [list(_events_of(part, len(chunks), chunks.__getitem__, lambda at: chunks[at].events)) for part in parts]
    assert [event for of_part in found for event in of_part] == events
    begun = [event.state for of_part in found for event in of_part[:1]]
    assert len(set(begun)) == len(begun)
    for of_part, later in itertools.pairwise(found):
        assert not {event.state for event in of_part} & {event.state for event in later}
