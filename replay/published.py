"""Published rules: the rule timelines in the log, by version, and the one in force at a position."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from ledger.aggregates import rules
from ledger.names import Position
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


def latest_published(log: LogQueries, digest: str) -> Rules:
    """Return the rules of a digest, in their latest version.

    Raises:
        NoRulesError: no rules of this digest were published.
    """
    found = _timelines(log, None).of_digest(digest)
    if found is None:
        raise NoRulesError
    return Rules(found.version, found.digest, found.text)


def published_rules(log: LogQueries, *, version: int | None = None, known_at: Position | None = None) -> Rules:
    """Return a published version, by default the one in force at a position.

    Raises:
        NoRulesError: no rules, or not that version, had been published by then.
    """
    timelines = _timelines(log, known_at)
    found = timelines.in_force if version is None else timelines.of_version(version)
    if found is None:
        raise NoRulesError
    return Rules(found.version, found.digest, found.text)


def _timelines(log: LogQueries, known_at: Position | None) -> rules.Rules:
    recorded = log.read_streams([rules.TIMELINE], until=known_at).get(rules.TIMELINE, [])
    return rules.Rules.of(decode(each.topic, each.state) for each in recorded)
