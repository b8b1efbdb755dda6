"""The three axes of time as people write them, turned into positions and rules.

Errors: `AxisError` names the axis and the way out.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Protocol

from pydantic import TypeAdapter, ValidationError

from api.axes.candidates import Candidates
from ledger.names import Instant, Position
from ledger.store.log_queries import LogQueries
from projections.rules.checking import require_sound
from projections.rules.timeline import rules_digest
from replay.published import NoRulesError, Rules, published_rules
from replay.queries.queries import Axes
from replay.queries.rule_history import all_published

DIGITS = 10
"""A version has fewer; sixty-four are a digest, even if all of them are decimal."""
RULES_FORM = r"^([0-9]{1,9}|[0-9A-Fa-f]{64})$"
"""What names rules, and a position or an instant, for the service's description: what else is sent is told in words."""
KNOWN_AT_FORM = r"^([0-9]{1,18}|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(Z|[+-][0-9]{2}:[0-9]{2}))$"
_DIGEST = re.compile(r"[0-9a-f]{64}")
_instant: TypeAdapter[int] = TypeAdapter(Instant)


class AxisError(ValueError):
    """An axis that points at nothing."""

    def __init__(self, axis: str, sentence: str) -> None:
        super().__init__(sentence)
        self.axis = axis


def read_axes(
    log: LogQueries,
    valid_at: date | None,
    known_at: Position | None,
    rules: str | int | None,
    candidates: Candidates | None = None,
) -> Axes:
    """Return the axes; rules that are not named are those known at `known_at`.

    Args:
        rules: a published version, or a digest: of published rules, or of a candidate that is kept.

    Raises:
        AxisError: nothing has this version or digest, or nothing was published at that position.
    """
    if rules is not None:
        return Axes(valid_at, known_at, find_rules(log, str(rules), candidates))
    if known_at is None:
        return Axes(valid_at)
    try:
        return Axes(valid_at, known_at, published_rules(log, known_at=known_at))
    except NoRulesError:
        sentence = f"no rules were known at position {known_at}; name a version of the rules"
        raise AxisError("rules", sentence) from None


def names_rules(text: str) -> bool:
    """Tell whether a text is a version or a digest, rather than a file's name or a candidate."""
    return _is_version(text) or _DIGEST.fullmatch(text.lower()) is not None


def _is_version(text: str) -> bool:
    return text.isdecimal() and len(text) < DIGITS


def find_rules(log: LogQueries, name: str, candidates: Candidates | None = None) -> Rules:
    """Return rules by their version or digest.

    Raises:
        AxisError: there are none, or it is neither.
    """
    if _is_version(name):
        try:
            return published_rules(log, version=int(name))
        except NoRulesError:
            sentence = f"version {name} of the rules has not been published; leave it out for the one in force"
            raise AxisError("rules", sentence) from None
    digest = name.lower()
    if not _DIGEST.fullmatch(digest):
        raise AxisError("rules", f"rules {name[:80]} is neither a version nor a digest of 64 hex digits; see /v1/rules")
    for published in reversed(all_published(log)):
        if published.digest == digest:
            return published
    found = candidates.find(digest) if candidates else None
    if found is None:
        sentence = f"no rules have the digest {digest[:12]}…; post the candidate to /v1/rules/candidates first"
        raise AxisError("rules", sentence)
    return found


class KnowsPositions(Protocol):
    """A log, or an archive far from it."""

    def head(self) -> Position:
        """Return the last position."""

    def position_at(self, instant: int) -> Position:
        """Return the last position recorded up to an instant, in epoch seconds."""


def position_of(log: KnowsPositions, text: str) -> Position:
    """Turn `known_at` into a position: it is one, or an instant.

    Raises:
        AxisError: it lies beyond the log, or is neither.
    """
    head = log.head()
    if text.isdecimal():
        if int(text) > head:
            raise AxisError("known_at", f"known_at {text} lies beyond the log's last position, {head}; leave it out")
        return Position(int(text))
    try:
        # In the query of an address a plus sign means a space: the zone of an instant often arrives so.
        return log.position_at(_instant.validate_python(text.replace(" ", "+")))
    except ValidationError as error:
        said = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise AxisError("known_at", f"known_at {text} {said}") from None


def candidate(text: str) -> Rules:
    """Return a rule timeline that is not published, to try out.

    Raises:
        projections.rules.timeline.RulesError: the text is no rule timeline, or says what no new one may say.
    """
    require_sound(text)
    return Rules(0, rules_digest(text), text)
