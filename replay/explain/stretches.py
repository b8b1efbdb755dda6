"""Stretches: every minute of a person's local day with its fate.

This is a second implementation of the rules of credit, in plain Python, minute by minute, for one day of one volunteer.
The kernel (`projections/kernels/credit.py`) computes sums and is authoritative; this walk determines which minutes they
are. `check` compares the two to the minute, so an explanation either equals the kernel's result or is an error.

Pure: it takes facts and rules and reads nothing. Minutes are UTC minutes since 1970, intervals are half-open.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from typing import NamedTuple
from uuid import UUID

from projections.local_time import day_number, day_of_number, local_span, zone_table
from projections.rules.timeline import Factor, RuleSet, RuleTimeline
from projections.schema import LASTS_MINUTES_MAX

ShiftKey = tuple[str, UUID]
"""The number under which a shift was recorded, and its id."""
SUPERSEDED, TOO_SHORT, CLIPPED = "superseded", "too-short", "clipped"
OVERLAPPED, CAPPED, COUNTED = "overlapped", "capped", "counted"
"""The fates of raw minutes: each minute has exactly one."""


class ExplanationError(Exception):
    """The walk and the kernel disagree about a day: one of them has a bug, so nothing is explained."""


class TooManyShiftsError(Exception):
    """A day has more shifts than are explained: every minute of each would be examined."""

    def __init__(self, day: date, shifts: int, shifts_max: int) -> None:
        more = f"more than the {shifts_max} that are explained"
        super().__init__(f"{shifts:,} shifts may have minutes on {day}, {more}; list them")


@dataclass(frozen=True)
class Stay:
    """A shift that can earn minutes: not void, with a check-in and a station in force. Instants are epoch seconds.

    `volunteer`: the number under which it was recorded.
    """

    volunteer: str
    shift: UUID
    station: str
    project: str | None
    check_in: int
    check_out: int | None
    scanned: bool

    @property
    def key(self) -> ShiftKey:
        """Its unique key: a person may have shifts with the same id under two numbers."""
        return self.volunteer, self.shift


class Stretch(NamedTuple):
    """Minutes [start, until) of a shift with one fate.

    `percent`: what each earns, 0 unless counted. `factor`: the window of the day's rule set that applies, if any.
    `held_by`: the shift that holds overlapped minutes.
    """

    start: int
    until: int
    fate: str
    percent: int
    factor: Factor | None
    held_by: ShiftKey | None

    @property
    def minutes(self) -> int:
        """Its number of minutes."""
        return self.until - self.start


@dataclass(frozen=True)
class ShiftPart:
    """A shift's part on the day: its stretches in chronological order, and the whole shift's bounds and rules.

    `stop`: the first minute that does not survive step 3 (`start`, if none does). `loss`: the fate from there on.
    `ended_by`: what set `end`.
    """

    stay: Stay
    start: int
    end: int
    stop: int
    rules: RuleSet
    ended_by: str
    loss: str
    stretches: tuple[Stretch, ...] = ()

    def minutes(self, fate: str) -> int:
        """Return the part's minutes of one fate."""
        return sum(stretch.minutes for stretch in self.stretches if stretch.fate == fate)

    @property
    def percentages(self) -> int:
        """The sum of percentages of the part's counted minutes; a hundredth of it, rounded down, is its share."""
        return sum(stretch.minutes * stretch.percent for stretch in self.stretches)


@dataclass(frozen=True)
class Day:
    """One person's local day: the facts and the rules in force.

    `opening_days`: the day of the opening balance of each number that has one. `cap`: the minutes that may count on
    this day.
    """

    day: date
    timeline: RuleTimeline
    opening_days: Mapping[str, date]
    cap: int
    kinds: Mapping[str, str]  # of stations

    @cached_property
    def spans(self) -> tuple[tuple[int, int, int], ...]:
        """Spans: from, until (UTC minutes), and the minute of the day at `from`; several if the clock changes."""
        return tuple(_spans_of(self.day, self.timeline.time_zone))

    @property
    def start(self) -> int:
        """The day's first minute."""
        return self.spans[0][0]

    @property
    def until(self) -> int:
        """The first minute after the day."""
        return self.spans[-1][1]

    @cached_property
    def rules(self) -> RuleSet:
        """The rule set in force on this day."""
        return rules_on(self.day, self.timeline)

    def minute_of_day(self, minute: int) -> int:
        """Return the local minute of the day of a UTC minute."""
        return next(first + minute - start for start, until, first in self.spans if start <= minute < until)


def rules_on(day: date, timeline: RuleTimeline) -> RuleSet:
    """Return the rule set in force on a day; the first reaches back to the beginning."""
    rule_sets = timeline.rule_sets
    return [rule_set for rule_set in rule_sets if rule_set.holds_from <= day or rule_set is rule_sets[0]][-1]


def first_instant(day: date, zone: str) -> int:
    """Return the epoch second at which a local day begins."""
    return next(_spans_of(day, zone))[0] * 60


def _spans_of(day: date, zone_name: str) -> Iterator[tuple[int, int, int]]:
    zone, number = zone_table(zone_name), day_number(day)
    minute = (number - 1) * 1440  # no zone is a day ahead of UTC
    found = False
    while True:
        local_day, within, until = local_span(minute, zone)
        if local_day == number:
            found = True
            yield int(minute), int(until), int(within)
        elif local_day > number:
            if not found:  # a date that does not exist: 30 December 2011 in Samoa
                yield int(minute), int(minute), 0
            return
        minute = until


# --- the walk -------------------------------------------------------------------------------------------------------


def walk(stays: Sequence[Stay], starts: Sequence[int], day: Day) -> list[ShiftPart]:
    """Return the day's minutes of each shift that has a part in it, in the order in which the rules process shifts.

    Args:
        stays: shifts of the volunteer that can earn, in any order; at least those that may have a part in the day.
        starts: the check-in minutes of all shifts that can earn, ascending.
    """
    if day.start == day.until:
        return []
    parts = [_settle(stay, starts, day) for stay in stays if stay.check_in // 60 < day.until]
    parts = [part for part in parts if part.end > day.start or part.start >= day.start]
    parts.sort(key=lambda part: (part.start, part.end, part.stay.shift.int, part.stay.volunteer))
    held: dict[int, ShiftKey] = {}
    counted = 0
    stretches: dict[int, list[Stretch]] = {}
    for scanned in (True, False):  # the day cap is filled by all scanned minutes before any attested one
        for number, part in enumerate(parts):
            if part.stay.scanned is scanned:
                stretches[number] = list(_joined(_fates(part, day, held, counted)))
                counted += sum(stretch.minutes for stretch in stretches[number] if stretch.fate == COUNTED)
    return [replace(part, stretches=tuple(stretches[number])) for number, part in enumerate(parts)]


def _settle(stay: Stay, starts: Sequence[int], day: Day) -> ShiftPart:
    """Apply steps 2 and 3: when a shift began and ended, and which of its minutes survive."""
    start = stay.check_in // 60
    checked_in_on = day_of_number(int(local_span(start, zone_table(day.timeline.time_zone))[0]))
    rules = rules_on(checked_in_on, day.timeline)
    if stay.check_out is not None:
        end, ended_by = min(max(start, stay.check_out // 60), start + LASTS_MINUTES_MAX), "check-out"
    else:
        end, ended_by = start + rules.missing_check_out_minutes, "missing-check-out"
        later = bisect_right(starts, start)
        if later < len(starts) and starts[later] < end:
            end, ended_by = starts[later], "next-check-in"
    if checked_in_on <= day.opening_days.get(stay.volunteer, date.min):
        loss, stop = SUPERSEDED, start
    elif end - start < rules.shift_minutes_min:
        loss, stop = TOO_SHORT, start
    else:
        loss, stop = CLIPPED, min(end, start + rules.shift_minutes_max)
    return ShiftPart(stay, start, end, stop, rules, ended_by, loss)


def _fates(part: ShiftPart, day: Day, held: dict[int, ShiftKey], counted: int) -> Iterator[Stretch]:
    """Apply steps 3 to 6, minute by minute; record in `held` which shift holds each surviving minute."""
    shift, kind = part.stay.key, day.kinds.get(part.stay.station)
    for minute in range(max(part.start, day.start), min(part.end, day.until)):
        fate, percent, factor, held_by = part.loss, 0, None, None
        if minute < part.stop:
            held_by = held.get(minute)
            if held_by is not None:
                fate = OVERLAPPED
            else:
                held[minute] = shift
                if counted >= day.cap:
                    fate = CAPPED
                else:
                    counted += 1
                    fate, factor = COUNTED, _factor(day, day.minute_of_day(minute), kind, part.stay.project)
                    percent = 100 if factor is None else factor.percent
        yield Stretch(minute, minute + 1, fate, percent, factor, held_by)


def _factor(day: Day, minute: int, kind: str | None, project: str | None) -> Factor | None:
    """Return the first factor window that matches a minute of the day, if any."""
    return next((factor for factor in day.rules.factors if _matches(factor, day.day, minute, kind, project)), None)


def _matches(factor: Factor, day: date, minute: int, kind: str | None, project: str | None) -> bool:
    begin, finish = factor.minute_from, factor.minute_until
    in_window = begin <= minute < finish if begin < finish else minute >= begin or minute < finish
    return (
        in_window
        and (factor.first_day or date.min) <= day <= (factor.last_day or date.max)
        and (not factor.weekdays or day.isoweekday() in factor.weekdays)
        and (not factor.station_kinds or kind in factor.station_kinds)
        and (not factor.projects or project in factor.projects)
    )


def _joined(minutes: Iterator[Stretch]) -> Iterator[Stretch]:
    """Join adjacent minutes that are otherwise equal into stretches."""
    last: Stretch | None = None
    for minute in minutes:
        if last is not None and last[2:] == minute[2:]:
            last = last._replace(until=minute.until)
            continue
        if last is not None:
            yield last
        last = minute
    if last is not None:
        yield last


# --- verification against the kernel --------------------------------------------------------------------------------


class Part(NamedTuple):
    """A shift's part on a day, as computed by the kernel: minutes by fate, its share and its credited minutes.

    `shares_before`, `credited_before`: sums over the shift's parts on earlier days, from which rounding continues.
    """

    raw: int
    superseded: int
    too_short: int
    clipped: int
    overlapped: int
    capped: int
    counted: int
    share: int
    credited: int
    shares_before: int
    credited_before: int


def check(shift_parts: Sequence[ShiftPart], parts: Mapping[ShiftKey, Part], day: date) -> None:
    """Verify the walk against the kernel's result.

    Raises:
        ExplanationError: they differ in a shift or a minute.
    """
    walked = {part.stay.key: _part(part, parts.get(part.stay.key)) for part in shift_parts}
    if walked != dict(parts):
        first = min(key for key in walked.keys() | parts.keys() if walked.get(key) != parts.get(key))
        raise ExplanationError(
            f"{day} cannot be explained: the minutes of shift {first[1]} of {first[0]} do not add up to its trace "
            f"({walked.get(first)} and {parts.get(first)}); report it as a bug"
        )


def _part(walked: ShiftPart, computed: Part | None) -> Part:
    """Return a walked part in the kernel's form; the sums of earlier days are taken from the kernel."""
    shares_before, credited_before = (computed.shares_before, computed.credited_before) if computed else (0, 0)
    share, unit = walked.percentages // 100, walked.rules.credit_unit_minutes
    return Part(
        raw=sum(stretch.minutes for stretch in walked.stretches),
        superseded=walked.minutes(SUPERSEDED),
        too_short=walked.minutes(TOO_SHORT),
        clipped=walked.minutes(CLIPPED),
        overlapped=walked.minutes(OVERLAPPED),
        capped=walked.minutes(CAPPED),
        counted=walked.minutes(COUNTED),
        share=share,
        credited=(shares_before + share) // unit * unit - credited_before,
        shares_before=shares_before,
        credited_before=credited_before,
    )
