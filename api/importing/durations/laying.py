"""Durations without clock times: where they lie in their day.

The durations of one volunteer and day lie one after another, in the order of their records' names, from the time that
the mapping sets (`starts`), in the first gap that is long enough. Gaps are between the shifts with clock times of the
same file, and what the ledger has of the same volunteer. Behind the last one a duration ends before midnight; otherwise
it lies in the first gap of the day. No window of the day that the rules weigh otherwise is a gap. So the order of a
file's lines decides nothing. A record that exists in the ledger stays where it lies. See
docs/decisions/0023-durations-lie-in-their-day.md.

The first of two readings of a file collects what is needed: about 200 bytes of each line in memory.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from operator import itemgetter
from typing import NamedTuple
from zoneinfo import ZoneInfo

from api.importing.durations.earning_windows import EarningWindows
from api.importing.lines import Line
from api.importing.tables import BrokenTableError
from api.messages.problems import Fault, fault
from ledger.aggregates import Order
from ledger.aggregates.shift import ShiftEvent
from ledger.aggregates.shift_acts import AttestShift
from ledger.intake.prepare import name_digests
from ledger.names import Position, shift_stream_ranges
from ledger.store.log_queries import LogQueries
from ledger.store.mapper import decode
from projections.rules.timeline import RuleTimeline
from projections.schema import VOID
from replay.cohorts.cohort import resolve_events
from replay.progress import checkpoint, with_checkpoints
from replay.published import NoRulesError, published_rules

EXAMPLES_MAX = 10
_EVENTS_MAX = 10_000
"""Of one volunteer and day."""
_VOLUNTEERS_AT_ONCE = 200
_NAMES_AT_ONCE = 10_000
_DAYS_BETWEEN_CHECKPOINTS = 20

Span = tuple[int, int]
"""Begin and end in epoch seconds."""


class Gap(NamedTuple):
    """The longest gap of a day that has no room for a duration, and the length of the day, in seconds. `windows`: those
    of the day, by name, in which the rules weigh minutes otherwise, and without which there would be room.
    """

    seconds: int
    day: int
    windows: tuple[str, ...] = ()


Place = int | Gap
"""Where a duration begins, in epoch seconds; or the longest gap of a day without room for it."""


class _Duration(NamedTuple):
    order: str
    """What orders the durations of a day: numbers by their value."""
    name: str
    digests: tuple[bytes, bytes | None]
    start: int
    """Where the day's durations begin."""
    seconds: int


@dataclass
class Laid:
    """The durations of a file that lie in their days: how many are new, in minutes, with a few as examples; and how
    many the ledger had before.
    """

    lines: int = 0
    minutes: int = 0
    examples: list[dict[str, object]] = field(default_factory=list)
    duplicates: int = 0

    def add(self, line: Line, zone: ZoneInfo, *, duplicate: bool = False) -> None:
        """Add a line that the ledger has or would have; lines with clock times do not count."""
        if duplicate:
            self.duplicates += line.laid
        elif (place := lies(line, zone)) and isinstance(line.order, Order):
            command = line.order.command
            assert isinstance(command, AttestShift)  # noqa: S101 - no other command is laid
            minutes = (command.check_out - command.check_in) // 60
            self.lines += 1
            self.minutes += minutes
            if len(self.examples) < EXAMPLES_MAX:
                self.examples.append({"volunteer": command.volunteer, "lies": place, "minutes": minutes})


class Layout:
    """Where the durations of a file lie, by the names of their records."""

    def __init__(self, places: dict[str, Place]) -> None:
        self._places = places

    def lay(self, line: Line) -> Line:
        """Return a line with its duration where it lies; other lines as they are."""
        order = line.order
        if not line.laid or not isinstance(order, Order) or not isinstance(order.command, AttestShift):
            return line
        command = order.command
        seconds = command.check_out - command.check_in
        place = self._places.get(order.name, Gap(0, seconds))
        if isinstance(place, Gap):
            return line._replace(order=_no_room(seconds, place))
        moved = command.model_copy(update={"check_in": place, "check_out": place + seconds})
        return line._replace(order=order._replace(command=moved))


def lies(line: Line, zone: ZoneInfo) -> str:
    """Return where a duration lies, in local time, for people: 2015-03-05 09:00-10:30; "" for any other line."""
    if not line.laid or not isinstance(line.order, Order) or not isinstance(line.order.command, AttestShift):
        return ""
    instants = line.order.command.check_in, line.order.command.check_out
    begin, end = (datetime.fromtimestamp(instant, UTC).astimezone(zone) for instant in instants)
    return f"{begin:%Y-%m-%d %H:%M}-{end:%H:%M}"


def lay_out(lines: Iterable[Line], zone: ZoneInfo, log: LogQueries | None, rules: RuleTimeline | None = None) -> Layout:
    """Lay the durations of a file.

    Args:
        lines: all lines of the file.
        log: the ledger they are imported into, if any.
        rules: the rules whose windows are left free, by default those in force in the ledger.
    """
    windows = EarningWindows(rules or (None if log is None else _rules_in_force(log)), zone)
    durations: dict[str, dict[str, _Duration]] = {}
    spans: dict[str, list[Span]] = {}
    for line in _readable(lines):
        order = line.order
        if not isinstance(order, Order) or not isinstance(order.command, AttestShift):
            continue
        command = order.command
        if line.laid:
            found = _Duration(
                f"{len(order.id):4}{order.id}", order.name, name_digests(order), command.check_in,
                command.check_out - command.check_in,
            )  # fmt: skip
            durations.setdefault(command.volunteer, {}).setdefault(order.name, found)
        else:
            spans.setdefault(command.volunteer, []).append((command.check_in, command.check_out))
    places: dict[str, Place] = {}
    volunteers = iter(durations)
    while some := list(islice(volunteers, _VOLUNTEERS_AT_ONCE)):
        checkpoint()
        own = {volunteer: sorted(durations[volunteer].values()) for volunteer in some}
        recorded = {} if log is None else _recorded_places(log, [each for one in own.values() for each in one])
        for volunteer, taken in ({} if log is None else _recorded_spans(log, own, zone)).items():
            spans.setdefault(volunteer, []).extend(taken)
        for volunteer, theirs in own.items():
            places |= _placed(theirs, spans.get(volunteer, []), recorded, zone, windows)
    return Layout(places)


def _readable(lines: Iterable[Line]) -> Iterator[Line]:
    """Yield lines as far as their file can be read: the second reading says where it breaks off."""
    try:
        yield from lines
    except BrokenTableError:
        return


def _placed(
    durations: Sequence[_Duration],
    spans: Sequence[Span],
    recorded: dict[str, int],
    zone: ZoneInfo,
    windows: EarningWindows,
) -> dict[str, Place]:
    """Return where each duration of a volunteer begins, or the longest gap of its day if none has room."""
    places: dict[str, Place] = {}
    by_day: dict[date, list[_Duration]] = {}
    for duration in durations:
        by_day.setdefault(_day_of(duration.start, zone), []).append(duration)
    for day, theirs in with_checkpoints(by_day.items(), _DAYS_BETWEEN_CHECKPOINTS):
        midnight, next_midnight = _midnight(day, zone), _midnight(day + timedelta(days=1), zone)
        closed = [each for each in windows.around(day) if each.end > midnight and each.begin < next_midnight]
        taken = _Taken((span for span in spans if span[1] > midnight and span[0] < next_midnight), next_midnight)
        closer = _Taken([*taken.spans, *((each.begin, each.end) for each in closed)], next_midnight)
        for duration in theirs:
            if (place := recorded.get(duration.name)) is None:
                place = closer.gap(duration.start, duration.seconds)
                if place is None:
                    place = closer.gap(midnight, duration.seconds)
                if place is None:
                    roomy = taken.gap(midnight, duration.seconds) is not None
                    names = tuple(dict.fromkeys(each.name for each in closed)) if roomy else ()
                    longest = (closer if names else taken).longest_gap(midnight)
                    places[duration.name] = Gap(longest, next_midnight - midnight, names)
                    continue
            places[duration.name] = place
            for each in (taken, closer):
                each.add((place, place + duration.seconds))
    return places


class _Taken:
    """The times of a day that are taken: spans in order that neither overlap nor touch. They only grow.

    A search for a gap goes on where the last one for the same length ended, because what was taken then still is. So
    thousands of durations of one day take time in proportion to the day's spans, for each length once.

    Args:
        end: the end of the day.
    """

    def __init__(self, spans: Iterable[Span], end: int) -> None:
        self.spans: list[Span] = []
        self._end = end
        self._reached: dict[tuple[int, int], int] = {}
        self._longest: dict[int, int] = {}
        for span in sorted(spans):
            self.add(span)

    def add(self, span: Span) -> None:
        """Add a span."""
        first, last = span
        if last <= first:
            return
        low = bisect_left(self.spans, first, key=itemgetter(1))
        high = bisect_right(self.spans, last, lo=low, key=itemgetter(0))
        if low < high:
            first, last = min(first, self.spans[low][0]), max(last, self.spans[high - 1][1])
        self.spans[low:high] = [(first, last)]
        self._longest.clear()

    def gap(self, begin: int, seconds: int) -> int | None:
        """Return the begin of the first gap of a length, on a whole minute."""
        at = self._reached.get((begin, seconds), begin)
        for first, last in islice(self.spans, bisect_right(self.spans, at, key=itemgetter(1)), None):
            if first >= at + seconds:
                break
            if last > at:
                at = -(-last // 60) * 60
        self._reached[begin, seconds] = at
        return at if at + seconds <= self._end else None

    def longest_gap(self, begin: int) -> int:
        """Return the longest gap of the day, in seconds."""
        if begin not in self._longest:
            at, longest = begin, 0
            for first, last in self.spans:
                longest, at = max(longest, first - at), max(at, last)
            self._longest[begin] = max(longest, self._end - at)
        return self._longest[begin]


def _no_room(seconds: int, gap: Gap) -> Fault:
    if gap.windows:
        outside = f"outside {' and '.join(gap.windows)} the day has at most {_length(gap.seconds)} free in one piece"
        detail = f"check_out has no room for {_length(seconds)}: {outside}, and a clock time that nobody recorded"
        remedy = "write the time at which it began, or divide it among the days on which it was served"
        return fault("invalid", f"{detail} must not change what it earns; {remedy}", field="check_out", remedy=remedy)
    if seconds > gap.day:
        detail = f"check_out is {_length(seconds)} after the begin, and the day has {_length(gap.day)}"
    else:
        free = f"the volunteer's other shifts leave at most {_length(gap.seconds)} of the day in one piece"
        detail = f"check_out has no room for {_length(seconds)}: {free}"
    remedy = "correct the duration, or divide it among the days on which it was served"
    return fault("invalid", f"{detail}; {remedy}", field="check_out", remedy=remedy)


def _length(seconds: int) -> str:
    minutes = seconds // 60
    return f"{minutes // 60}:{minutes % 60:02} hours"


# --- from the ledger ------------------------------------------------------------------------------------------------


def _rules_in_force(log: LogQueries) -> RuleTimeline | None:
    try:
        return published_rules(log).timeline()
    except NoRulesError:
        return None


def _recorded_places(log: LogQueries, durations: Sequence[_Duration]) -> dict[str, int]:
    """Return where those durations lie that the ledger has, by name: a shift's id holds its first instant."""
    names = {digest: each.name for each in durations for digest in each.digests if digest is not None}
    found: dict[str, int] = {}
    digests = iter(names)
    while some := list(islice(digests, _NAMES_AT_ONCE)):
        for name, _, _, topic, state in log.answered(some):
            event = decode(topic, state)
            if isinstance(event, ShiftEvent):
                found[names[name.bytes]] = (event.shift.int >> 80) // 1000
    return found


def _recorded_spans(log: LogQueries, durations: dict[str, list[_Duration]], zone: ZoneInfo) -> dict[str, list[Span]]:
    """Return the shifts of volunteers on and around the days of their durations."""
    ranges = {
        range_: volunteer
        for volunteer, theirs in durations.items()
        for day in {_day_of(each.start, zone) for each in theirs}
        for range_ in shift_stream_ranges(volunteer, *_days_around(day))
    }
    events = (decode(topic, state) for _, _, topic, state in log.ranges(list(ranges), _EVENTS_MAX))
    own = [event for event in events if isinstance(event, ShiftEvent)]
    spans: dict[str, list[Span]] = {}
    shifts = resolve_events((Position(number), event) for number, event in enumerate(own, 1))
    for row in range(len(shifts)):
        shift = shifts.shift(row)
        if shift.check_in is not None and shift.check_out is not None and not shift.flags & VOID:
            spans.setdefault(shift.volunteer, []).append((shift.check_in, shift.check_out))
    return spans


def _days_around(day: date) -> Span:
    """Return the first and last day, since 1970, on which a shift that touches a local day may begin."""
    number = (day - date(1970, 1, 1)).days
    return number - 2, number + 1


def _day_of(instant: int, zone: ZoneInfo) -> date:
    return datetime.fromtimestamp(instant, UTC).astimezone(zone).date()


def _midnight(day: date, zone: ZoneInfo) -> int:
    return int(datetime.combine(day, time(), zone).timestamp())
