"""Parse the three axes of time from text: positions, instants, versions and digests.

Errors: `AxisError` names the axis and the remedy.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from api.axes.candidates import Candidates
from ledger.instants import EXAMPLE, FIRST_YEAR, LAST_YEAR, read_instant
from ledger.names import Position
from ledger.store.log_queries import LogQueries
from projections.rules.checking import require_sound
from projections.rules.timeline import rules_digest
from replay.published import NoRulesError, Rules, published_rules
from replay.queries.queries import Axes
from replay.queries.rule_history import all_published

DIGITS = 10
"""A version has fewer digits; 64 are a digest, even if all of them are decimal."""
POSITION_DIGITS_MAX = 18
"""Longer numbers are no positions, and from 4,300 digits on Python refuses to convert them."""
RULES_FORM = r"^([0-9]{1,9}|[0-9A-Fa-f]{64})$"
"""The forms of `rules` and `known_at`, for the OpenAPI description; values are checked in code, for better messages."""
KNOWN_AT_FORM = r"^([0-9]{1,18}|[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}(Z|[+-][0-9]{2}:[0-9]{2}))?)$"
_DIGEST = re.compile(r"[0-9a-f]{64}")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class AxisError(ValueError):
    """An axis whose value is malformed or does not exist. `axis`: the name of the parameter."""

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
    """Return the axes; `rules` defaults to the rules known at `known_at`.

    Args:
        rules: a published version, or the digest of published rules or of a stored candidate.

    Raises:
        AxisError: no rules have this version or digest, or none were published at that position.
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
    """Return whether a text is a version or a digest, rather than the name or the text of a candidate."""
    return _is_version(text) or _DIGEST.fullmatch(text.lower()) is not None


def _is_version(text: str) -> bool:
    return text.isdecimal() and len(text) < DIGITS


def find_rules(log: LogQueries, name: str, candidates: Candidates | None = None) -> Rules:
    """Return rules by their version or digest.

    Raises:
        AxisError: no rules have it, or it is neither.
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


class PositionSource(Protocol):
    """A log, or an archive without one."""

    def head(self) -> Position:
        """Return the last position."""

    def position_at(self, instant: int) -> Position:
        """Return the last position recorded up to an instant, in epoch seconds."""


def zone_of_log(log: LogQueries) -> str:
    """Return the time zone of the rules in force, UTC if none were published."""
    try:
        return published_rules(log).timeline().time_zone
    except NoRulesError:
        return "UTC"


def position_in(log: LogQueries, text: str) -> Position:
    """Return the position of a log that `known_at` means; see `position_of`."""
    return position_of(log, text, lambda: zone_of_log(log))


def position_of(log: PositionSource, text: str, zone: Callable[[], str]) -> Position:
    """Return the position that `known_at` means: a position, an instant with a zone, or a day, which means its end.

    Args:
        zone: returns the time zone of days.

    Raises:
        AxisError: it is beyond the log's last position, or none of these.
    """
    head = log.head()
    if text.isdecimal():
        if len(text) > POSITION_DIGITS_MAX or int(text) > head:
            raise AxisError("known_at", f"known_at {text[:80]} is beyond the log's last position, {head}; leave it out")
        return Position(int(text))
    if _DAY.fullmatch(text):
        return log.position_at(_end_of_day(text, zone()))
    try:
        # In a query string a plus sign means a space, so the zone of an instant often arrives with one.
        return log.position_at(read_instant(text.replace(" ", "+")))
    except ValueError as error:
        wrong, shown = str(error), text[:80]
        if not wrong.startswith("has no zone"):
            wrong = f"is not a position, a day or an instant of the years {FIRST_YEAR} to {LAST_YEAR}; "
            wrong += f"write one such as 1000, 2018-12-04 or {EXAMPLE}"
        raise AxisError("known_at", f"known_at {shown} {wrong}") from None


def _end_of_day(text: str, zone: str) -> int:
    """Return the last second of a local day."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise AxisError("known_at", f"known_at {text} is not a day of the calendar; correct it") from None
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        sentence = f"known_at {text} lies outside of the years {FIRST_YEAR} to {LAST_YEAR}; leave it out"
        raise AxisError("known_at", sentence)
    return int(datetime.combine(day + timedelta(days=1), time(), ZoneInfo(zone)).timestamp()) - 1


def candidate(text: str) -> Rules:
    """Return an unpublished rule timeline, as rules of version 0.

    Raises:
        projections.rules.timeline.RulesError: the text is not a valid rule timeline.
    """
    require_sound(text)
    return Rules(0, rules_digest(text), text)
