"""Parse the sides of a what-if: rules, a position or instant of knowledge, or both.

    current              the rules in force, and everything known now
    2, DIGEST, FILE      published rules or a candidate, and everything known now
    @1000, @INSTANT      what was known then, under the rules known then
    current@1000, 2@...  the rules before the @, and what was known at the position or instant after it

Errors: `AxisError` and `RulesError`, as for every other read.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from api.axes.written import AxisError, candidate, position_in, read_axes
from api.operations.service import OpenLedger
from projections.compare.rule_changes import NOTHING_TO_TRY, first_difference
from projections.rules.timeline import parse_timeline
from replay.published import Rules
from replay.queries.queries import Axes

CURRENT = "current"


def side_axes(ledger: OpenLedger, rules: str | None, known_at: str | None, valid_at: date | None = None) -> Axes:
    """Return the axes of a side.

    Args:
        rules: "current", a version, a digest, or the text of a candidate; None for the rules known at `known_at`.
        known_at: a position or an instant; None for everything known now.

    Raises:
        api.axes.written.AxisError, projections.rules.timeline.RulesError, replay.generations.store.NoGenerationError
    """
    position = None if known_at is None else position_in(ledger.log, known_at)
    if rules is None or (rules == CURRENT and position is None):
        return read_axes(ledger.log, valid_at, position, None)
    if rules == CURRENT:
        found = ledger.current_generation()
        return Axes(valid_at, position, Rules(found.rules_version, found.rules_digest, found.rules_text))
    if is_text(rules):
        return Axes(valid_at, position, candidate(rules))
    return read_axes(ledger.log, valid_at, position, rules, ledger.candidates)


def check_trial(ledger: OpenLedger, sides: tuple[Axes, Axes], day: date | None) -> None:
    """Check that the rules of two sides differ, if those of the second are to be tried as if they held from a day.

    Raises:
        api.axes.written.AxisError: they do not.
    """
    if day is None:
        return
    current = ledger.current_generation()
    texts = (current.rules_text if side.rules is None else side.rules.text for side in sides)
    before, after = (parse_timeline(text) for text in texts)
    if first_difference(before, after) is None:
        sentence = f"nothing can be tried as if from {day}: {NOTHING_TO_TRY}; name rules that differ"
        raise AxisError("as_if_from", sentence)


def is_text(rules: str) -> bool:
    """Return whether the rules of a side are the text of a candidate, rather than a name."""
    return "\n" in rules or "=" in rules


def split_side(text: str, is_file: Callable[[str], bool]) -> tuple[str | None, str | None]:
    """Split a side written as one word at its last @; return its rules and its `known_at`, each None if absent.

    Args:
        is_file: whether a name is an existing file's, because file names may contain an @ too.
    """
    if "@" not in text or is_file(text):
        return text, None
    rules, _, known_at = text.rpartition("@")
    return rules or None, known_at
