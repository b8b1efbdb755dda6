"""The oracle: the rules of credit said once more, minute by minute, as slowly and as obviously as possible.

Property tests hold the kernels to what this module says, so it must share no code with them: it imports the events,
the rules as data, and the standard library. Every local day and minute of the day comes from `zoneinfo`, asked for
each single UTC minute. It must not become clever: where speed and clarity disagree, clarity wins.

A person is all the volunteer numbers that go on as the same one. Everything is credited by person; a shift keeps the
number under which it was recorded, and an opening balance takes in the shifts of its own number alone.

It is one long file on purpose, so that all the rules can be read from top to bottom in one sitting: `resolve` folds
each shift's events; `paired` joins the scans without a shift id; `_spans` says from when to when a shift lasted and
which of its minutes survive; `_holders` and `_share_out` give each minute its fate; `_pieces_of` adds up; hours,
stations and honours are sums of pieces.
"""

from __future__ import annotations

from calendar import monthrange
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from ledger.aggregates import Event
from ledger.aggregates.day_cap import DayCapRaised, DayCapRaiseWithdrawn
from ledger.aggregates.opening_balance import OpeningBalanceRecorded, OpeningBalanceVoided
from ledger.aggregates.people_served import PeopleServedCounted
from ledger.aggregates.shift import (
    CheckedIn,
    CheckedOut,
    Punched,
    ShiftCorrected,
    ShiftEvent,
    ShiftReinstated,
    ShiftVoided,
)
from ledger.aggregates.station import StationOpened
from ledger.aggregates.volunteer import (
    TrainingCompleted,
    TrainingVoided,
    VolunteerMerged,
    VolunteerMergeUndone,
    VolunteerRegistered,
)
from projections.rules.timeline import Factor, RuleSet, RuleTimeline, Threshold

TIERS = ("basic", "professional", "leader")


@dataclass(frozen=True)
class Resolved:
    """A shift as all its events leave it, before any rule looks at it. Instants are epoch seconds.

    A punch is one too, of the direction in `punch` ("in", "out", or "any" where the reader knew none). `in_scanned` and
    `out_scanned`: whether each instant in force is a scan. `end_corrected`: whether a correction says when it ended.
    """

    volunteer: str
    shift: UUID
    station: str | None
    project: str | None
    check_in: int | None
    check_out: int | None
    in_scanned: bool
    out_scanned: bool
    moved: bool
    void: bool
    punch: str | None = None
    end_corrected: bool = False

    @property
    def scanned(self) -> bool:
        return self.in_scanned and self.out_scanned and not self.moved


@dataclass(frozen=True)
class Piece:
    """A shift's part on one local day. Every raw minute is in exactly one of the six columns after `raw`."""

    volunteer: str  # the number under which the shift was recorded
    person: str  # the number that goes on
    shift: UUID
    station: str | None
    project: str | None
    day: date
    first: bool  # the piece on the check-in's date: here the shift is counted
    raw: int
    superseded: int
    too_short: int
    clipped: int
    overlapped: int
    capped: int
    counted: int
    share: int
    credited: int
    scanned: bool


@dataclass(frozen=True)
class Hours:
    """A person's minutes in one local year, or in all (year 0: only this one knows of the opening balance)."""

    shifts: int
    raw: int
    counted: int
    credited: int
    scanned: int
    attested: int
    opening: int


@dataclass(frozen=True)
class StationDay:
    """What happened at a station on one local day; shifts and volunteers are those that began on it."""

    shifts: int
    volunteers: int
    raw: int
    counted: int
    credited: int
    people_served: int


@dataclass(frozen=True)
class ProjectMonth:
    """What happened at a project in one local month, or in a year; shifts and volunteers are those that began in it."""

    shifts: int
    volunteers: int
    raw: int
    counted: int
    credited: int
    people_served: int


@dataclass(frozen=True)
class OracleResult:
    """All the oracle knows: pieces in the order of person, shift and day, and the tables that follow from them."""

    pieces: list[Piece]
    hours: dict[tuple[str, int], Hours]
    stations: dict[tuple[str, date], StationDay]
    standings: dict[tuple[str, str], date]
    projects: dict[tuple[str, int, int], ProjectMonth]  # by project, year and month; month 0 is the whole year


def credit(events: Sequence[Event], timeline: RuleTimeline, *, valid_at: date | None = None) -> OracleResult:
    """Credit a whole history (in log order) by a rule timeline; show results dated up to and including `valid_at`."""
    facts = _facts(events)
    shifts: dict[str, list[Resolved]] = defaultdict(list)
    for shift in resolve(events):
        shifts[facts.person(shift.volunteer)].append(shift)
    zone = ZoneInfo(timeline.time_zone)
    pieces = []
    for person in sorted(shifts):
        serving = [
            shift for shift in paired(shifts[person], timeline).shifts if shift.check_in is not None and not shift.void
        ]
        pieces += _pieces_of(serving, facts, timeline, zone) if serving else []
    standings = _standings(pieces, facts, timeline)
    last = valid_at or date.max
    shown = [piece for piece in pieces if piece.day <= last]
    served = {key: count for key, count in facts.served.items() if key[2] <= last}
    return OracleResult(
        pieces=shown,
        hours=_hours(shown, [each for each in facts.balances() if each[1].as_of <= last]),
        stations=_stations(shown, served),
        standings={key: day for key, day in standings.items() if day <= last},
        projects=_projects(shown, served),
    )


# --- step 1: resolve ------------------------------------------------------------------------------------------------


def resolve(events: Iterable[Event]) -> list[Resolved]:
    """Fold each shift's events into one resolved shift; in the order of volunteer and shift id."""
    streams: dict[tuple[str, UUID], list[ShiftEvent]] = defaultdict(list)
    for event in events:
        if isinstance(event, ShiftEvent):
            streams[event.volunteer, event.shift].append(event)
    return [_resolve_one(streams[key]) for key in sorted(streams)]


def _resolve_one(stream: Sequence[ShiftEvent]) -> Resolved:
    punches = [event for event in stream if isinstance(event, Punched)]
    outs = [event for event in punches if event.direction == "out"]
    check_ins = [event for event in stream if isinstance(event, CheckedIn | Punched) and event not in outs]
    check_outs = [event for event in stream if isinstance(event, CheckedOut)] + outs
    corrections: dict[str, ShiftCorrected] = {}  # by field: the last in the log that names it
    void = False
    for event in stream:
        if isinstance(event, ShiftCorrected):
            corrections.update(dict.fromkeys(event.changes, event))
        if isinstance(event, ShiftVoided | ShiftReinstated):
            void = isinstance(event, ShiftVoided)

    entered = min(check_ins, key=_check_in_rank, default=None)
    check_in = entered.occurred_at if entered else None
    station = entered.station if entered else next((event.station for event in outs), None)
    project = entered.project if entered else None
    if "check_in" in corrections:
        check_in = corrections["check_in"].check_in
    if entered is None and check_in is not None:  # only a correction tells it: the counter of the check-out stands in
        left_after = [event for event in check_outs if event.occurred_at > check_in]
        left_at_once = [event for event in check_outs if event.occurred_at == check_in]
        counter = min(left_after or left_at_once or check_outs, key=_check_out_rank, default=None)
        station = counter.station if counter else None
    if "station" in corrections:
        station = corrections["station"].station
    if "project" in corrections:
        project = corrections["project"].project

    # A check-out counts after the check-in, or else at the same instant: then the shift has no time. A punch out
    # without a check-in of its own id may end another shift.
    alone = check_in is None and bool(outs)
    later = [event for event in check_outs if alone or (check_in is not None and event.occurred_at > check_in)]
    at_once = [event for event in check_outs if event.occurred_at == check_in]
    left = min(later or at_once, key=_check_out_rank, default=None)
    check_out = left.occurred_at if left else None
    if "check_out" in corrections:
        check_out = corrections["check_out"].check_out

    return Resolved(
        volunteer=stream[0].volunteer,
        shift=stream[0].shift,
        station=station,
        project=project,
        check_in=check_in,
        check_out=check_out,
        in_scanned=entered is not None and entered.evidence is None and "check_in" not in corrections,
        out_scanned=left is not None and left.evidence is None and "check_out" not in corrections,
        moved=any(getattr(event, "replaces", None) or getattr(event, "replaced_by", None) for event in stream),
        void=void,
        punch=(punches[0].direction or "any") if punches else None,
        end_corrected="check_out" in corrections,
    )


def _check_in_rank(event: CheckedIn | Punched) -> tuple[int, bool, str, str]:
    """Earliest first, a scan before an attested entry; the names only decide between equals, in any upload order."""
    return event.occurred_at, event.evidence is not None, event.station, event.project or ""


def _check_out_rank(event: CheckedOut | Punched) -> tuple[int, bool, str]:
    return event.occurred_at, event.evidence is not None, event.station


# --- step 1, continued: which scans belong together -----------------------------------------------------------------


@dataclass(frozen=True)
class Paired:
    """A person's shifts as the rules pair them. What begins no shift has no check-in.

    `ended_by`: for each shift that a punch ended, that punch. `repeated`: the double taps. `between`: the punches that
    are neither the first nor the last of their day. `left_over`: the punches out that end nothing.
    """

    shifts: list[Resolved]
    ended_by: dict[tuple[str, UUID], tuple[str, UUID]]
    repeated: set[tuple[str, UUID]]
    between: set[tuple[str, UUID]]
    left_over: set[tuple[str, UUID]]


@dataclass
class _Scan:
    """One instant of a shift or a punch: "known" belongs to a shift with both ends, "settled" begins one whose end is
    decided, "loose" waits for the rules.
    """

    at: int
    way: str  # "in", "out" or "any"
    standing: str
    shift: Resolved

    @property
    def key(self) -> tuple[str, UUID]:
        return self.shift.volunteer, self.shift.shift


# At one instant: what ends a shift that was open before, then what begins one.
_IN_ORDER = ("known out", "loose any", "void any", "loose out", "known in", "settled in", "loose in", "between any")


def _scans_of(shift: Resolved) -> list[_Scan]:
    if shift.check_in is None:
        loose = shift.punch == "out" and shift.check_out is not None and not shift.void
        return [_Scan(shift.check_out or 0, "out", "loose", shift)] if loose else []
    if shift.punch == "any" and shift.check_out is None:
        return [_Scan(shift.check_in, "any", "void" if shift.void else "loose", shift)]
    if shift.void and shift.check_out is not None and shift.punch is None and not shift.end_corrected:
        return []  # it is as if it never was
    if shift.end_corrected or (shift.void and shift.check_out is None):
        return [_Scan(shift.check_in, "in", "settled", shift)]
    if shift.check_out is None:
        return [_Scan(shift.check_in, "in", "loose", shift)]
    return [_Scan(shift.check_in, "in", "known", shift), _Scan(shift.check_out, "out", "known", shift)]


def paired(shifts: Sequence[Resolved], timeline: RuleTimeline) -> Paired:
    """Pair the scans of one person, in order of their instants."""
    punched = any(shift.punch and (shift.check_in, shift.check_out) != (None, None) for shift in shifts)
    shifts_there = [shift for shift in shifts if punched or not shift.void]  # void shifts matter only to punches
    scans = [scan for shift in shifts_there for scan in _scans_of(shift)]
    return _Walk(_sorted(scans), timeline).paired(shifts)


def _sorted(scans: Sequence[_Scan]) -> list[_Scan]:
    def order(scan: _Scan) -> tuple[int, int, int, str]:
        return scan.at, _IN_ORDER.index(f"{scan.standing} {scan.way}"), scan.shift.shift.int, scan.shift.volunteer

    return sorted(scans, key=order)


class _Walk:
    def __init__(self, scans: list[_Scan], timeline: RuleTimeline) -> None:
        self.scans = scans
        self.timeline = timeline
        self.zone = ZoneInfo(timeline.time_zone)
        self.ends: dict[tuple[str, UUID], _Scan] = {}
        self.repeated: set[tuple[str, UUID]] = set()
        self.between: set[tuple[str, UUID]] = set()
        self.used: set[tuple[str, UUID]] = set()  # punches that ended something, also what was settled
        self.left_over: set[tuple[str, UUID]] = set()

    def day(self, at: int) -> date:
        return _local(at // 60, self.zone).date()

    def rules(self, scan: _Scan) -> RuleSet:
        return _rules_on(self.day(scan.at), self.timeline)

    def together(self, one: _Scan, other: _Scan, rules: RuleSet) -> bool:
        return rules.pair_across_stations or one.shift.station == other.shift.station

    def choose_first_and_last(self) -> None:
        for first in self.scans:
            rules = self.rules(first)
            if first.way != "any" or first.standing == "between" or rules.undirected_punches == "alternate":
                continue
            others = [
                scan
                for scan in self.scans[self.scans.index(first) + 1 :]
                if scan.way == "any"
                and scan.standing == "loose"
                and self.day(scan.at) == self.day(first.at)
                and self.together(first, scan, rules)
            ]
            apart = [scan for scan in others if scan.at - first.at > rules.double_tap_seconds]
            first.way, first.standing = "in", "settled" if first.standing == "void" else "loose"
            if apart:
                for scan in others[: others.index(apart[-1])]:
                    scan.standing = "between"
                apart[-1].way = "out"
        self.scans = _sorted(self.scans)

    def is_repeated(self, number: int, kept: list[_Scan], ways: set[str]) -> bool:
        """Whether the same way was scanned already, or is by a shift with both ends, within the seconds of a double
        tap.
        """
        scan = self.scans[number]
        seconds = self.rules(scan).double_tap_seconds
        before = [each for each in kept if each.way in ways and scan.at - each.at <= seconds]
        after = [
            each
            for each in self.scans[number + 1 :]
            if each.standing == "known" and each.way in ways and each.at - scan.at <= seconds
        ]
        return seconds > 0 and bool(before or after)

    def paired(self, shifts: Sequence[Resolved]) -> Paired:
        self.choose_first_and_last()
        opened: _Scan | None = None
        kept: list[_Scan] = []  # the last scan in each way counts; those before it are further away
        for number, scan in enumerate(self.scans):
            if scan.standing == "known":
                kept.append(scan)
                continue
            if scan.standing == "between":
                self.between.add(scan.key)
                continue
            ways = {"in", "out"} if scan.way == "any" else {scan.way}
            if scan.standing != "settled" and self.is_repeated(number, kept, ways):
                self.repeated.add(scan.key)
                continue
            may_end = False
            rules = self.rules(opened or scan)
            if opened is not None:
                passed = scan.at - opened.at
                may_end = 0 < passed <= rules.open_hours_max * 3600 and self.together(opened, scan, rules)
            if scan.standing == "void" and may_end:
                continue
            if scan.way == "out" or (scan.way == "any" and may_end):
                kept.append(replace(scan, way="out"))
                if opened is None or not may_end:
                    self.left_over.add(scan.key)
                    continue
                self.end(opened, scan)
                opened = None
                continue
            self.end_at_once(opened)
            opened = scan
            kept.append(replace(scan, way="in"))
        self.end_at_once(opened)
        return self.result(shifts)

    def end_at_once(self, opened: _Scan | None) -> None:
        """A shift that nothing later ends is ended by a punch out at its own instant that has ended no other."""
        for scan in self.scans:
            if (
                opened
                and scan.at == opened.at
                and scan.key in self.left_over
                and self.together(opened, scan, self.rules(opened))
            ):
                self.end(opened, scan)
                return

    def end(self, opened: _Scan, scan: _Scan) -> None:
        """The scan ends the open shift, unless the end of that is settled."""
        self.left_over.discard(scan.key)
        self.used.add(scan.key)
        if opened.standing == "loose":
            self.ends[opened.key] = scan

    def result(self, shifts: Sequence[Resolved]) -> Paired:
        found = []
        for shift in shifts:
            key = shift.volunteer, shift.shift
            if key in self.repeated | self.between | self.used | self.left_over:
                continue
            if key in self.ends:
                end = self.ends[key]
                was_scanned = end.shift.out_scanned if end.shift.punch == "out" else end.shift.in_scanned
                found.append(replace(shift, check_out=end.at, out_scanned=was_scanned))
            else:
                found.append(shift)
        ended_by = {key: end.key for key, end in self.ends.items()}
        return Paired(found, ended_by, self.repeated, self.between, self.left_over)


# --- the other facts ------------------------------------------------------------------------------------------------


@dataclass
class _Facts:
    goes_on: dict[str, str] = field(default_factory=dict)  # which number was merged into which, as it stands
    registered: dict[str, date] = field(default_factory=dict)
    training: dict[str, list[TrainingCompleted]] = field(default_factory=lambda: defaultdict(list))
    opened: dict[str, list[StationOpened]] = field(default_factory=lambda: defaultdict(list))
    openings: dict[str, OpeningBalanceRecorded] = field(default_factory=dict)
    raises: dict[tuple[str, date], dict[str, int]] = field(default_factory=lambda: defaultdict(dict))
    served: dict[tuple[str, str | None, date], int] = field(default_factory=dict)

    def person(self, volunteer: str) -> str:
        """Return the number as which this one goes on in the end."""
        while volunteer in self.goes_on:
            volunteer = self.goes_on[volunteer]
        return volunteer

    def balances(self) -> list[tuple[str, OpeningBalanceRecorded]]:
        """Return every opening balance that stands, each with the person who has it."""
        return [(self.person(volunteer), balance) for volunteer, balance in self.openings.items()]

    def kind(self, station: str | None, day: date, zone: ZoneInfo) -> str | None:
        """Return the kind as which a station was last opened up to a local day; before the first opening, its kind."""
        openings = self.opened[station or ""]
        if not openings:
            return None
        so_far = [event for event in openings if datetime.fromtimestamp(event.occurred_at, zone).date() <= day]
        instants = [event.occurred_at for event in so_far or openings]
        decisive = max(instants) if so_far else min(instants)
        return [event.kind for event in openings if event.occurred_at == decisive][-1]  # of two at once, the last

    def raised(self, person: str, day: date) -> int:
        """Return the greatest raise of the day's cap of any of a person's numbers, 0 without one."""
        mine = [
            raises for (volunteer, on), raises in self.raises.items() if (self.person(volunteer), on) == (person, day)
        ]
        return max((minutes for raises in mine for minutes in raises.values()), default=0)


def _facts(events: Iterable[Event]) -> _Facts:  # noqa: PLR0912 - a branch for each kind of event
    facts = _Facts()
    for event in events:
        match event:
            case VolunteerMerged():
                facts.goes_on[event.volunteer] = event.into
            case VolunteerMergeUndone():
                del facts.goes_on[event.volunteer]
            case VolunteerRegistered():
                facts.registered.setdefault(event.volunteer, event.registered_on)
            case TrainingCompleted():
                facts.training[event.volunteer].append(event)
            case TrainingVoided():
                _take_back(facts.training[event.volunteer], event)
            case StationOpened():
                facts.opened[event.station].append(event)
            case OpeningBalanceRecorded():
                facts.openings[event.volunteer] = event
            case OpeningBalanceVoided():
                facts.openings.pop(event.volunteer, None)
            case DayCapRaised():
                facts.raises[event.volunteer, event.day][event.raise_id] = event.minutes
            case DayCapRaiseWithdrawn():
                facts.raises[event.volunteer, event.day].pop(event.raise_id, None)
            case PeopleServedCounted():
                facts.served[event.station, event.project, event.day] = event.people
            case _:
                pass  # withdrawals, organisations, awards: none of them changes what a minute earns
    return facts


def _take_back(trainings: list[TrainingCompleted], void: TrainingVoided) -> None:
    said = void.tier, void.content, void.provider, void.completed_on
    same = [each for each in trainings if (each.tier, each.content, each.provider, each.completed_on) == said]
    trainings[:] = [each for each in trainings if each is not next(iter(same), None)]


def _rules_on(day: date, timeline: RuleTimeline) -> RuleSet:
    in_force = timeline.rule_sets[0]  # the first reaches back to the beginning of time
    for rule_set in timeline.rule_sets:
        if rule_set.holds_from <= day:
            in_force = rule_set
    return in_force


# --- steps 2 and 3: from when to when, and what survives ------------------------------------------------------------


def _local(minute: int, zone: ZoneInfo) -> datetime:
    """The wall clock in `zone` at a UTC minute (minutes since 1970)."""
    return datetime.fromtimestamp(minute * 60, zone)


def _days_of(start: int, end: int, zone: ZoneInfo) -> Counter[date]:
    """How many of the UTC minutes from `start` until `end` fall on each local day.

    Twenty-four hours that pass without a change of the clocks need no single steps: they hold one local midnight.
    """
    days: Counter[date] = Counter()
    minute = start
    while minute < end:
        now = _local(minute, zone)
        if end - minute >= 1440 and now.utcoffset() == _local(minute + 1440, zone).utcoffset():
            before_midnight = 1440 - (now.hour * 60 + now.minute)
            days[now.date()] += before_midnight
            days[now.date() + timedelta(days=1)] += 1440 - before_midnight
            minute += 1440
        else:
            days[now.date()] += 1
            minute += 1
    return +days


@dataclass
class _Span:
    """A shift with its UTC minutes [start, end), the rules of its check-in's date, and its minutes' fates by day."""

    shift: Resolved
    start: int
    end: int
    day: date
    rules: RuleSet
    surviving: range = range(0)
    fates: dict[str, Counter[date]] = field(default_factory=lambda: defaultdict(Counter))
    percentages: Counter[date] = field(default_factory=Counter)


def _spans(
    shifts: Sequence[Resolved], openings: dict[str, OpeningBalanceRecorded], timeline: RuleTimeline, zone: ZoneInfo
) -> list[_Span]:
    """Return a person's shifts in the order of the rules, with what superseded, too short and clip leave of each."""
    starts = [shift.check_in // 60 for shift in shifts if shift.check_in is not None]
    spans = []
    for shift, start in zip(shifts, starts, strict=True):
        day = _local(start, zone).date()
        rules = _rules_on(day, timeline)
        if shift.check_out is None:
            end = min([start + rules.missing_check_out_minutes] + [other for other in starts if other > start])
        else:
            end = max(start, shift.check_out // 60)  # a check-out before the check-in is impossible and lasts 0 minutes
            end = min(end, start + 92 * 1440)
        spans.append(_Span(shift, start, end, day, rules))
    spans.sort(key=lambda span: (span.start, span.end, span.shift.shift.int, span.shift.volunteer))

    for span in spans:
        days = _days_of(span.start, span.end, zone)
        span.fates["raw"] = days
        opening = openings.get(span.shift.volunteer)
        if opening is not None and span.day <= opening.as_of:
            span.fates["superseded"] = days
        elif span.end - span.start < span.rules.shift_minutes_min:
            span.fates["too_short"] = days
        else:
            kept_until = min(span.end, span.start + span.rules.shift_minutes_max)
            span.surviving = range(span.start, kept_until)
            span.fates["clipped"] = _days_of(kept_until, span.end, zone)
    return spans


# --- steps 4, 5 and 6: whose minute is it, does it count, what does it earn -----------------------------------------


def _scanned_first(spans: Sequence[_Span]) -> list[_Span]:
    return [span for span in spans if span.shift.scanned] + [span for span in spans if not span.shift.scanned]


def _holders(spans: Sequence[_Span]) -> dict[int, Resolved]:
    """Who holds each minute: the first scanned shift that was there, else the first attested one."""
    holders: dict[int, Resolved] = {}
    for span in _scanned_first(spans):
        for minute in span.surviving:
            holders.setdefault(minute, span.shift)
    return holders


def _share_out(spans: Sequence[_Span], facts: _Facts, timeline: RuleTimeline, zone: ZoneInfo) -> None:
    """Note for each surviving minute whether it is overlapped, capped or counted, and the percentage it earns."""
    holders = _holders(spans)
    counted: Counter[date] = Counter()
    for span in _scanned_first(spans):
        for minute in span.surviving:
            now = _local(minute, zone)
            day = now.date()
            rules = _rules_on(day, timeline)
            day_minutes_max = max(rules.day_minutes_max, facts.raised(facts.person(span.shift.volunteer), day))
            if holders[minute] is not span.shift:
                span.fates["overlapped"][day] += 1
            elif counted[day] >= day_minutes_max:
                span.fates["capped"][day] += 1
            else:
                counted[day] += 1
                span.fates["counted"][day] += 1
                span.percentages[day] += _percentage(now, span.shift, rules, facts, zone)


def _percentage(now: datetime, shift: Resolved, rules: RuleSet, facts: _Facts, zone: ZoneInfo) -> int:
    kind = facts.kind(shift.station, now.date(), zone)
    return next((factor.percent for factor in rules.factors if _matches(factor, now, kind, shift.project)), 100)


def _matches(factor: Factor, now: datetime, kind: str | None, project: str | None) -> bool:
    day, minute = now.date(), now.hour * 60 + now.minute
    if factor.minute_until > factor.minute_from:
        in_window = factor.minute_from <= minute < factor.minute_until
    else:
        in_window = minute >= factor.minute_from or minute < factor.minute_until
    return (
        in_window
        and (factor.first_day is None or factor.first_day <= day)
        and (factor.last_day is None or day <= factor.last_day)
        and (not factor.weekdays or day.isoweekday() in factor.weekdays)
        and (not factor.station_kinds or kind in factor.station_kinds)
        and (not factor.projects or project in factor.projects)
    )


# --- step 7: pieces -------------------------------------------------------------------------------------------------


def _pieces_of(shifts: Sequence[Resolved], facts: _Facts, timeline: RuleTimeline, zone: ZoneInfo) -> list[Piece]:
    """Return the pieces of one person's shifts, all of which have a check-in and are not void."""
    spans = _spans(shifts, facts.openings, timeline, zone)
    _share_out(spans, facts, timeline, zone)
    person = facts.person(shifts[0].volunteer)
    return [piece for span in spans for piece in _pieces_of_span(span, person)]


def _pieces_of_span(span: _Span, person: str) -> list[Piece]:
    pieces = []
    shares_so_far = credited_so_far = 0
    for day in sorted(span.fates["raw"]) or [span.day]:
        share = span.percentages[day] // 100
        shares_so_far += share
        credited = shares_so_far // span.rules.credit_unit_minutes * span.rules.credit_unit_minutes - credited_so_far
        credited_so_far += credited
        pieces.append(
            Piece(
                volunteer=span.shift.volunteer,
                person=person,
                shift=span.shift.shift,
                station=span.shift.station,
                project=span.shift.project,
                day=day,
                first=day == span.day,
                raw=span.fates["raw"][day],
                superseded=span.fates["superseded"][day],
                too_short=span.fates["too_short"][day],
                clipped=span.fates["clipped"][day],
                overlapped=span.fates["overlapped"][day],
                capped=span.fates["capped"][day],
                counted=span.fates["counted"][day],
                share=share,
                credited=credited,
                scanned=span.shift.scanned,
            )
        )
    return pieces


# --- sums of pieces -------------------------------------------------------------------------------------------------


def _hours(
    pieces: Sequence[Piece], balances: Sequence[tuple[str, OpeningBalanceRecorded]]
) -> dict[tuple[str, int], Hours]:
    hours = {}
    keys = {(piece.person, piece.day.year) for piece in pieces}
    keys |= {(person, 0) for person in [piece.person for piece in pieces] + [person for person, _ in balances]}
    for person, year in sorted(keys):
        mine = [piece for piece in pieces if piece.person == person and year in {0, piece.day.year}]
        opening = sum(balance.minutes for owner, balance in balances if (owner, year) == (person, 0))
        hours[person, year] = Hours(
            shifts=sum(piece.first for piece in mine),
            raw=sum(piece.raw for piece in mine),
            counted=sum(piece.counted for piece in mine),
            credited=sum(piece.credited for piece in mine) + opening,
            scanned=sum(piece.credited for piece in mine if piece.scanned),
            attested=sum(piece.credited for piece in mine if not piece.scanned) + opening,
            opening=opening,
        )
    return hours


def _stations(
    pieces: Sequence[Piece], served: dict[tuple[str, str | None, date], int]
) -> dict[tuple[str, date], StationDay]:
    stations = {}
    keys = {(piece.station, piece.day) for piece in pieces if piece.station is not None}
    keys |= {(station, day) for station, _, day in served}
    for key in sorted(keys):
        here = [piece for piece in pieces if (piece.station, piece.day) == key]
        row = StationDay(
            shifts=sum(piece.first for piece in here),
            volunteers=len({piece.person for piece in here if piece.first}),
            raw=sum(piece.raw for piece in here),
            counted=sum(piece.counted for piece in here),
            credited=sum(piece.credited for piece in here),
            people_served=sum(people for (station, _, day), people in served.items() if (station, day) == key),
        )
        if row != StationDay(0, 0, 0, 0, 0, 0):
            stations[key] = row
    return stations


def _projects(
    pieces: Sequence[Piece], served: dict[tuple[str, str | None, date], int]
) -> dict[tuple[str, int, int], ProjectMonth]:
    projects = {}
    days = {(piece.project, piece.day) for piece in pieces} | {(project, day) for _, project, day in served}
    periods = [(project, day.year, month) for project, day in days if project for month in (0, day.month)]
    for name, year, month in sorted(set(periods)):
        here = [p for p in pieces if (p.project, p.day.year) == (name, year) and month in {0, p.day.month}]
        row = ProjectMonth(
            shifts=sum(piece.first for piece in here),
            volunteers=len({piece.person for piece in here if piece.first}),
            raw=sum(piece.raw for piece in here),
            counted=sum(piece.counted for piece in here),
            credited=sum(piece.credited for piece in here),
            people_served=sum(
                people
                for (_, project, day), people in served.items()
                if (project, day.year) == (name, year) and month in {0, day.month}
            ),
        )
        if row != ProjectMonth(0, 0, 0, 0, 0, 0):
            projects[name, year, month] = row
    return projects


# --- rankings -------------------------------------------------------------------------------------------------------


def ranked(result: OracleResult, timeline: RuleTimeline, name: str, year: int) -> dict[str, int]:
    """Return the rank of everybody whom the ranking of a year takes in; nothing where it is not in force."""
    in_force = [one for one in _rules_on(date(year, 12, 31), timeline).rankings if one.id == name]
    if not in_force:
        return {}
    ranking = in_force[0]
    everybody = _years_of_volunteers(result, year) if ranking.of == "volunteers" else _years_of_projects(result, year)
    for figures in everybody.values():
        points = ranking.score.model_dump() if ranking.score else {}
        figures["score"] = sum(weight * figures[key] for key, weight in points.items())
    taken_in = {
        who: figures
        for who, figures in everybody.items()
        if all(figures.get(key, 0) >= getattr(ranking, f"{key}_min", 0) for key in figures)
    }

    def stands_before(one: str, other: str) -> bool:
        for key in ranking.order:
            if taken_in[one][key] != taken_in[other][key]:
                return taken_in[one][key] > taken_in[other][key]
        return one < other

    return {who: 1 + sum(stands_before(other, who) for other in taken_in) for who in taken_in}


def _years_of_volunteers(result: OracleResult, year: int) -> dict[str, dict[str, int]]:
    return {
        volunteer: {
            "credited_minutes": hours.credited,
            "scanned_minutes": hours.scanned,
            "attested_minutes": hours.attested,
            "counted_minutes": hours.counted,
            "raw_minutes": hours.raw,
            "shifts": hours.shifts,
        }
        for (volunteer, of_year), hours in result.hours.items()
        if of_year == year
    }


def _years_of_projects(result: OracleResult, year: int) -> dict[str, dict[str, int]]:
    months = {key: month for key, month in result.projects.items() if key[1] == year}
    return {
        project: {
            "credited_minutes": whole.credited,
            "credited_hours": whole.credited // 60,
            "counted_minutes": whole.counted,
            "raw_minutes": whole.raw,
            "shifts": whole.shifts,
            "volunteers": whole.volunteers,
            "people_served": whole.people_served,
            "months_active": sum(
                one.shifts > 0 for (name, _, month), one in months.items() if name == project and month != 0
            ),
        }
        for (project, _, month), whole in months.items()
        if month == 0
    }


# --- honours --------------------------------------------------------------------------------------------------------


def _standings(pieces: Sequence[Piece], facts: _Facts, timeline: RuleTimeline) -> dict[tuple[str, str], date]:
    """For each person and honour the first day, at whose end the set in force finds its conditions met.

    A condition can begin to hold only on a day that some fact or rule names, so only those days are tried.
    """
    standings = {}
    thresholds = [honor for rule_set in timeline.rule_sets for honor in rule_set.honors]
    for person in sorted({facts.person(volunteer) for volunteer in facts.registered}):
        mine = [piece for piece in pieces if piece.person == person]
        balances = [balance for owner, balance in facts.balances() if owner == person]
        trainings = [one for name in facts.training if facts.person(name) == person for one in facts.training[name]]
        registered_on = min(day for name, day in facts.registered.items() if facts.person(name) == person)
        days = (
            {registered_on} | {piece.day for piece in mine} | {rule_set.holds_from for rule_set in timeline.rule_sets}
        )
        days |= {_months_later(registered_on, honor.tenure_months_min) for honor in thresholds}
        days |= {training.completed_on for training in trainings} | {balance.as_of for balance in balances}
        for day in sorted(days, reverse=True):
            for honor in _rules_on(day, timeline).honors:
                if _is_met(honor, day, mine, balances, trainings, registered_on):
                    standings[person, honor.id] = day  # days run backwards: the earliest is written last
    return standings


def _is_met(
    honor: Threshold,
    day: date,
    pieces: Sequence[Piece],
    balances: Sequence[OpeningBalanceRecorded],
    trainings: Sequence[TrainingCompleted],
    registered_on: date,
) -> bool:
    good = [piece for piece in pieces if piece.day <= day and (piece.scanned or honor.grade == "any")]
    minutes = sum(piece.credited for piece in good)
    if honor.grade == "any":
        minutes += sum(balance.minutes for balance in balances if balance.as_of <= day)
    trained = honor.training_tier_min is None or any(
        training.completed_on <= day and TIERS.index(training.tier) >= TIERS.index(honor.training_tier_min)
        for training in trainings
    )
    # Where no months of tenure are asked for, this is the day of registration: nobody is honoured before it.
    tenured = _months_later(registered_on, honor.tenure_months_min) <= day
    active = 0
    for year in {piece.day.year for piece in good}:
        of_year = sum(piece.credited for piece in good if piece.day.year == year)
        active += of_year >= honor.active_year_minutes_min
    return minutes >= honor.credited_minutes_min and trained and tenured and active >= honor.active_years_min


def _months_later(day: date, months: int) -> date:
    """Return the same day of the month so many calendar months later. The last day of a month leads to the last day of
    the later month, and so does a day that the later month lacks.
    """
    year, month_index = divmod(day.year * 12 + day.month - 1 + months, 12)
    last = monthrange(year, month_index + 1)[1]
    is_last = day.day == monthrange(day.year, day.month)[1]
    return date(year, month_index + 1, last if is_last else min(day.day, last))
