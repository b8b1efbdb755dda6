"""Findings: what an audit found, as values."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum

import msgspec

from replay.progress import StoppedError

SAME_KIND_MAX = 20
"""Findings of one check that are listed one by one; the rest are counted."""


class Severity(StrEnum):
    """How much a finding says. ALTERED: something is not what was signed, or not what follows from it. REFUSABLE: an
    event that today's program would refuse, or that cannot be explained. NOTICE: nothing is wrong, but it is worth
    knowing.
    """

    ALTERED = "altered"
    REFUSABLE = "refusable"
    NOTICE = "notice"


class Check(StrEnum):
    """The checks, in the order of a report."""

    CHECKPOINT = "checkpoint"
    GROWTH = "growth"
    LEAVES = "leaves"
    TILES = "tiles"
    POSITIONS = "positions"
    STREAMS = "streams"
    EVENTS = "events"
    DECISIONS = "decisions"
    SIGNATURES = "signatures"
    TEXTS = "texts"
    ARCHIVE = "archive"
    READ_MODELS = "read-models"
    SEALED_HOURS = "sealed-hours"
    FILES = "files"


class Finding(msgspec.Struct, frozen=True):
    """One finding. `first` and `last`: the positions it concerns, 0 if none; `where`: a file, a row or a stream;
    `evidence`: what was expected and what is there.
    """

    check: Check
    severity: Severity
    what: str
    first: int = 0
    last: int = 0
    where: str = ""
    evidence: str = ""

    @property
    def place(self) -> str:
        """The place, in words."""
        if not self.first:
            return self.where
        until = f" to {self.last:,}" if self.last > self.first else ""
        position = f"position{'s' if until else ''} {self.first:,}{until}"
        return f"{position}, {self.where}" if self.where else position


def altered(check: Check, what: str, first: int = 0, last: int = 0, *, where: str = "", evidence: str = "") -> Finding:
    """Return a finding of something that is not what was signed."""
    return Finding(check, Severity.ALTERED, what, first, last or first, where, evidence)


def refusable(
    check: Check, what: str, first: int = 0, last: int = 0, *, where: str = "", evidence: str = ""
) -> Finding:
    """Return a finding of an event that would be refused or cannot be explained."""
    return Finding(check, Severity.REFUSABLE, what, first, last or first, where, evidence)


def notice(check: Check, what: str, first: int = 0, last: int = 0, *, where: str = "", evidence: str = "") -> Finding:
    """Return a notice."""
    return Finding(check, Severity.NOTICE, what, first, last or first, where, evidence)


def unless_it_fails(check: Check, what: str, work: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """Return what a check finds; if it fails on what a bundle holds, a finding that says so. An audit reads what others
    wrote, perhaps on purpose to make it fail.
    """
    try:
        return list(work())
    except (StoppedError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - anything may be in a bundle
        return [altered(check, f"{what} could not be checked", evidence=f"{type(error).__name__}: {error}"[:300])]


def bounded(findings: Iterable[Finding], most: int = SAME_KIND_MAX) -> list[Finding]:
    """Return findings with at most `most` of each check and severity, and for the rest their number."""
    shown: list[Finding] = []
    rest: dict[tuple[Check, Severity], list[Finding]] = {}
    seen: dict[tuple[Check, Severity], int] = {}
    for finding in findings:
        kind = finding.check, finding.severity
        seen[kind] = seen.get(kind, 0) + 1
        if seen[kind] <= most:
            shown.append(finding)
        else:
            rest.setdefault(kind, []).append(finding)
    for (check, severity), more in rest.items():
        positions = [position for each in more if each.first for position in (each.first, each.last)]
        first, last = (min(positions), max(positions)) if positions else (0, 0)
        shown.append(Finding(check, severity, f"{len(more):,} more of this kind", first, last))
    return shown
