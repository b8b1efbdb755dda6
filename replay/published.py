"""Published rules: the rule timelines in the log, by version."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from ledger.aggregates.rules import RulesPublished
from ledger.names import Position, stream
from ledger.store.log_queries import LogQueries
from ledger.store.mapper import decode
from projections.rules.timeline import RuleTimeline, parse_timeline


class Rules(NamedTuple):
    """A rule timeline as published: version (from 1; 0 for an unpublished candidate), digest and TOML text."""

    version: int
    digest: str
    text: str

    def timeline(self) -> RuleTimeline:
        """Return the rules as models."""
        return _timeline(self.text)


@lru_cache(maxsize=32)
def _timeline(text: str) -> RuleTimeline:
    """Parse rules. Cached, because every answer needs them and parsing TOML takes as long as computing a volunteer's
    hours.
    """
    return parse_timeline(text)


class NoRulesError(Exception):
    """No rules are known at the position."""

    def __init__(self) -> None:
        super().__init__("no rules have been published: run `hours publish FILE`")


def published_rules(log: LogQueries, *, version: int | None = None, known_at: Position | None = None) -> Rules:
    """Return a published version, by default the last one known at a position.

    Raises:
        NoRulesError: no rules, or not that version, had been published by then.
    """
    stream_id = stream("rules", "timeline")
    for recorded in reversed(log.read_streams([stream_id], until=known_at).get(stream_id, [])):
        event = decode(recorded.topic, recorded.state)
        if isinstance(event, RulesPublished) and version in {None, event.version}:
            return Rules(event.version, event.digest, event.text)
    raise NoRulesError
