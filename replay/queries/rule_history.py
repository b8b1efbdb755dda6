"""Rule history: every act on the rules, with the position and time of its event, and until when it was in force."""

from __future__ import annotations

from typing import NamedTuple

from ledger.aggregates.rules import TIMELINE, RulesEvent, RulesPublished, RulesPutInForce
from ledger.names import Position
from ledger.store.log_queries import LogQueries
from ledger.store.mapper import decode
from replay.published import Rules


class Publication(NamedTuple):
    """Rules with the event that published them; `recorded_at` in epoch seconds."""

    rules: Rules
    position: Position
    recorded_at: int
    by: str


class Act(NamedTuple):
    """Rules that were published or put in force, with the event that did it.

    `puts_in_force`: whether they are in force from this event on; `until`: the event that put others in force, with its
    instant in epoch seconds; None if they still are.
    """

    rules: Rules
    position: Position
    event: RulesEvent
    puts_in_force: bool
    until: tuple[Position, int] | None = None


def acts(log: LogQueries, known_at: Position | None = None) -> list[Act]:
    """Return the acts up to a position, the earliest first."""
    found: list[Act] = []
    texts: dict[int, str] = {}
    in_force: int | None = None
    for recorded in log.read_streams([TIMELINE], until=known_at).get(TIMELINE, []):
        event = decode(recorded.topic, recorded.state)
        if not isinstance(event, RulesEvent):
            continue
        if isinstance(event, RulesPublished):
            texts[event.version] = event.text
        puts_in_force = isinstance(event, RulesPutInForce) or (isinstance(event, RulesPublished) and event.in_force)
        if puts_in_force:
            if in_force is not None:
                found[in_force] = found[in_force]._replace(until=(recorded.position, event.recorded_at))
            in_force = len(found)
        rules = Rules(event.version, event.digest, texts[event.version])
        found.append(Act(rules, recorded.position, event, puts_in_force))
    return found


def publications(log: LogQueries, known_at: Position | None = None) -> list[Publication]:
    """Return the publications up to a position, version 1 first."""
    return [
        Publication(act.rules, act.position, act.event.recorded_at, act.event.by)
        for act in acts(log, known_at)
        if isinstance(act.event, RulesPublished)
    ]


def all_published(log: LogQueries) -> list[Rules]:
    """Return all published rules, version 1 first."""
    return [publication.rules for publication in publications(log)]
