"""Parse the three axes of time from text: positions, instants, versions and digests.

Errors: `AxisError` names the axis and the remedy; `AmbiguousDigestError` lists the digests that begin alike.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
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
DIGEST_DIGITS_MIN = 8
"""The shortest beginning by which a digest may be named."""
SHOWN_DIGITS = 12
"""How much of a digest is shown."""
RULES_FORM = r"^([0-9]{1,9}|[0-9A-Fa-f]{8,64})$"
"""The forms of `rules` and `known_at`, for the OpenAPI description; values are checked in code, for better messages."""
KNOWN_AT_FORM = r"^([0-9]{1,18}|[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}(Z|[+-][0-9]{2}:[0-9]{2}))?)$"
_DIGEST = re.compile(rf"[0-9a-f]{{{DIGEST_DIGITS_MIN},64}}")
_LISTED_MAX = 5
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class AxisError(ValueError):
    """An axis whose value is malformed or does not exist. `axis`: the name of the parameter."""

    def __init__(self, axis: str, sentence: str) -> None:
        super().__init__(sentence)
        self.axis = axis


class UnknownDigestError(AxisError):
    """No rules have this digest, as far as the caller may know."""

    def __init__(self, digest: str) -> None:
        shown = f"{digest[:SHOWN_DIGITS]}…" if len(digest) > SHOWN_DIGITS else digest
        super().__init__("rules", f"no rules have the digest {shown}; post the candidate to /v1/rules/candidates first")


class AmbiguousDigestError(AxisError):
    """The beginning of several digests, which the sentence lists."""


def read_axes(
    log: LogQueries,
    valid_at: date | None,
    known_at: Position | None,
    rules: str | int | None,
    candidates: Candidates | None = None,
    *,
    known_until: int | None = None,
) -> Axes:
    """Return the axes; `rules` defaults to the rules known at `known_at`.

    Args:
        rules: a published version, or the digest of published rules or of a stored candidate, or its beginning.
        known_until: the instant that `known_at` means (`known_until`).

    Raises:
        AxisError: no rules have this version or digest, or none were published at that position.
    """
    if rules is not None:
        return Axes(valid_at, known_at, find_rules(log, str(rules), candidates), known_until)
    if known_at is None:
        return Axes(valid_at)
    try:
        return Axes(valid_at, known_at, published_rules(log, known_at=known_at), known_until)
    except NoRulesError:
        sentence = f"no rules were known at position {known_at}; name a version of the rules"
        raise AxisError("rules", sentence) from None


def names_rules(text: str) -> bool:
    """Return whether a text is a version, or a digest or its beginning, rather than a candidate's name or text."""
    return _is_version(text) or _DIGEST.fullmatch(text.lower()) is not None


def _is_version(text: str) -> bool:
    return text.isdecimal() and len(text) < DIGITS


def find_rules(log: LogQueries, name: str, candidates: Candidates | None = None) -> Rules:
    """Return rules by their version, or by their digest or its beginning.

    Raises:
        AxisError: no rules have it, several have it, or it is neither.
    """
    return choose_rules(name, all_published(log), candidates)


def choose_rules(name: str, published: Sequence[Rules], candidates: Candidates | None = None) -> Rules:
    """Return rules among published ones and candidates, as `find_rules` does."""
    digest = name.lower()
    named = _DIGEST.fullmatch(digest) is not None
    found = {rules.digest: rules for rules in (candidates.find(digest) if candidates and named else [])}
    found |= {rules.digest: rules for rules in published if named and rules.digest.startswith(digest)}
    if _is_version(name):
        version = next((rules for rules in published if rules.version == int(name)), None)
        if version is not None:
            return version
        if not found:
            sentence = f"version {name} of the rules has not been published; leave it out for the one in force"
            raise AxisError("rules", sentence)
    if not named:
        form = f"a digest of 64 hex digits, or its first {DIGEST_DIGITS_MIN} or more"
        raise AxisError("rules", f"rules {name[:80]} is neither a version nor {form}; see /v1/rules")
    if not found:
        raise UnknownDigestError(digest)
    if len(found) > 1:
        listed = ", ".join(sorted(found)[:_LISTED_MAX]) + (" and others" if len(found) > _LISTED_MAX else "")
        sentence = f"{len(found)} digests begin with {digest}: {listed}; write more of the digest"
        raise AmbiguousDigestError("rules", sentence)
    return next(iter(found.values()))


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


def known_until(log: LogQueries, text: str, position: Position) -> int | None:
    """Return the instant that `known_at` means: the end of its day, its instant, or the one at which the event after
    its position was recorded; None for the last position.

    Args:
        position: what `position_in` returned for the text.
    """
    if text.isdecimal():
        following = log.read(position, 1)
        return int(json.loads(following[0].state)["recorded_at"]) if following else None
    return instant_of(text, lambda: zone_of_log(log))


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
    return log.position_at(instant_of(text, zone))


def instant_of(text: str, zone: Callable[[], str]) -> int:
    """Return the instant that a day or an instant means, in epoch seconds."""
    if _DAY.fullmatch(text):
        return _end_of_day(text, zone())
    try:
        # In a query string a plus sign means a space, so the zone of an instant often arrives with one.
        return read_instant(text.replace(" ", "+"))
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
