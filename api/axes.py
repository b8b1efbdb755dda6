"""The three axes of time as people write them, turned into positions and rules.

Errors: `AxisError` names the axis and the way out.
"""

from __future__ import annotations

from datetime import date

from pydantic import TypeAdapter, ValidationError

from ledger.log import Log
from ledger.names import Instant, Position
from projections.rules import parse_timeline, rules_digest
from replay.published import NoRulesError, Rules, published_rules
from replay.queries import Axes

_instant: TypeAdapter[int] = TypeAdapter(Instant)


class AxisError(ValueError):
    """An axis that points at nothing."""

    def __init__(self, axis: str, sentence: str) -> None:
        super().__init__(sentence)
        self.axis = axis


def read_axes(log: Log, valid_at: date | None, known_at: Position | None, version: int | None) -> Axes:
    """Return the axes; rules that are not named are those known at `known_at`.

    Raises:
        AxisError: nothing was published under that version, or at all at that position.
    """
    if version is None and known_at is None:
        return Axes(valid_at)
    try:
        rules = published_rules(log, version=version, known_at=known_at if version is None else None)
    except NoRulesError:
        if version is None:
            sentence = f"no rules were known at position {known_at}; name a version of the rules"
        else:
            sentence = f"version {version} of the rules has not been published; leave it out for the one in force"
        raise AxisError("rules", sentence) from None
    return Axes(valid_at, known_at, rules)


def position_of(log: Log, text: str) -> Position:
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
        projections.rules.RulesError: the text is no rule timeline.
    """
    parse_timeline(text)
    return Rules(0, rules_digest(text), text)
