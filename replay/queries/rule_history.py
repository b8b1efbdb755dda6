"""Rule history: every published rule timeline, with the position and time of its publication."""

from __future__ import annotations

from typing import NamedTuple

from ledger.aggregates.rules import RulesPublished
from ledger.names import Position, stream
from ledger.store.log_queries import LogQueries
from ledger.store.mapper import decode
from replay.published import Rules


class Publication(NamedTuple):
    """Rules with the event that published them; `recorded_at` in epoch seconds."""

    rules: Rules
    position: Position
    recorded_at: int
    by: str


def publications(log: LogQueries, known_at: Position | None = None) -> list[Publication]:
    """Return the publications up to a position, version 1 first."""
    stream_id = stream("rules", "timeline")
    found = []
    for recorded in log.read_streams([stream_id], until=known_at).get(stream_id, []):
        event = decode(recorded.topic, recorded.state)
        if isinstance(event, RulesPublished):
            rules = Rules(event.version, event.digest, event.text)
            found.append(Publication(rules, recorded.position, event.recorded_at, event.by))
    return found


def all_published(log: LogQueries) -> list[Rules]:
    """Return all published rules, version 1 first."""
    return [publication.rules for publication in publications(log)]
