"""Histories for tests: short constructors, a text notation that reads like a ledger, and strategies dense in trouble.

One line is one event: the local day and time it speaks of, a verb, its names, then `key=value` options and a comment
after a semicolon. The verbs and what follows each of them are the table `NOTATION`:

    2018-12-04 09:00 in  V1 U1 #1 project=P1
    2018-12-04 12:00 out V1 U1 #1                                       ; scanned
    2018-12-05 10:00 correct V1 #1 check_out=2018-12-04T11:30 project=none
    2018-12-05 10:05 attest V1 U1 #2 2018-12-03T09:00 2018-12-03T12:00  ; one line, two events

`history` reads the notation, `as_text` writes it, so a failing example can be pasted into a table test. The strategies
at the end make whole histories with rules to price them. This module must not say what anything is worth: that is the
oracle's business.

It is one long file because the constructor of an event, its line in the notation and its strategy change together:
constructors come first, then the notation, rules, and strategies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any, NamedTuple, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from ledger.aggregates import Event
from ledger.aggregates.day_cap import DayCapRaised, DayCapRaiseWithdrawn
from ledger.aggregates.opening_balance import OpeningBalanceRecorded, OpeningBalanceVoided
from ledger.aggregates.people_served import PeopleServedCounted
from ledger.aggregates.project import ProjectEnded, ProjectLaunched
from ledger.aggregates.shift import (
    CheckedIn,
    CheckedOut,
    DisputeSettled,
    Punched,
    ShiftCorrected,
    ShiftDisputed,
    ShiftReinstated,
    ShiftVoided,
)
from ledger.aggregates.station import StationClosed, StationOpened
from ledger.aggregates.volunteer import (
    TrainingCompleted,
    TrainingVoided,
    VolunteerMerged,
    VolunteerMergeUndone,
    VolunteerRegistered,
    VolunteerWithdrawn,
)
from projections.rules.rankings import PROJECT_KEYS, VOLUNTEER_KEYS, Ranking
from projections.rules.timeline import RuleSet, RuleTimeline
from tests.support.examples import examples

E = TypeVar("E", bound=Event)

SHANGHAI = "Asia/Shanghai"
LONG_AGO = date(2010, 1, 1)
Moment = int | str
"""Epoch seconds, or ISO text with a zone such as "2018-12-04T09:00+08:00"."""

# --- constructors ---------------------------------------------------------------------------------------------------

# What an event must say although no test cares.
UNSAID: Mapping[str, Any] = {
    "reason": "test",
    "evidence": "paper",
    "content": "first-aid",
    "provider": "O1",
    "learning_minutes": 60,
}
UNNAMED = "test#unnamed"


def instant(moment: Moment) -> int:
    """Return epoch seconds."""
    return moment if isinstance(moment, int) else int(datetime.fromisoformat(moment).timestamp())


def noon(day: date) -> int:
    """Return an instant on this day: noon in UTC."""
    return int(datetime(day.year, day.month, day.day, 12, tzinfo=UTC).timestamp())


def shift_id(number: int) -> UUID:
    """Return the shift id that the notation writes as `#number`."""
    return UUID(int=number)


def make(kind: type[E], at: Moment, /, **said: object) -> E:
    """Return an event of this kind; what it must say and the test does not is filled in from `UNSAID`."""
    required = {field.name for field in msgspec.structs.fields(kind) if field.required}
    unsaid = {name: value for name, value in UNSAID.items() if name in required}
    occurred_at = instant(at)
    common = {"occurred_at": occurred_at, "recorded_at": occurred_at, "by": "person:tester", "command": UNNAMED}
    return msgspec.convert(common | unsaid | said, kind)


def check_in(volunteer: str, station: str, at: Moment, shift: int = 1, **more: str | None) -> CheckedIn:
    """A check-in; `more` may say project, evidence, replaces."""
    return make(CheckedIn, at, volunteer=volunteer, station=station, shift=shift_id(shift), **more)


def check_out(volunteer: str, station: str, at: Moment, shift: int = 1, evidence: str | None = None) -> CheckedOut:
    """A check-out."""
    return make(CheckedOut, at, volunteer=volunteer, station=station, shift=shift_id(shift), evidence=evidence)


def punch(
    volunteer: str, station: str, at: Moment, shift: int = 1, direction: str | None = None, **more: str | None
) -> Punched:
    """A punch; without a direction the reader knew none; `more` may say project, evidence."""
    return make(Punched, at, volunteer=volunteer, station=station, shift=shift_id(shift), direction=direction, **more)


def attest(
    volunteer: str, station: str, came: Moment, left: Moment, shift: int = 1, evidence: str = "paper"
) -> list[Event]:
    """A shift entered late: both its instants are attested."""
    return [
        check_in(volunteer, station, came, shift, evidence=evidence),
        check_out(volunteer, station, left, shift, evidence=evidence),
    ]


def correct(volunteer: str, at: Moment, shift: int = 1, **changes: Moment | None) -> ShiftCorrected:
    """A correction of the fields it names; None clears. Fields: check_in, check_out, station, project."""
    values: dict[str, object] = dict(changes)
    for name in ("check_in", "check_out"):
        if (moment := changes.get(name)) is not None:
            values[name] = instant(moment)
    return make(ShiftCorrected, at, volunteer=volunteer, shift=shift_id(shift), changes=tuple(changes), **values)


def void(volunteer: str, at: Moment, shift: int = 1, replaced_by: str | None = None) -> ShiftVoided:
    """A shift that earns nothing from now on."""
    return make(ShiftVoided, at, volunteer=volunteer, shift=shift_id(shift), replaced_by=replaced_by)


def reinstate(volunteer: str, at: Moment, shift: int = 1) -> ShiftReinstated:
    """A void taken back."""
    return make(ShiftReinstated, at, volunteer=volunteer, shift=shift_id(shift))


def dispute(volunteer: str, at: Moment, shift: int = 1) -> ShiftDisputed:
    """A dispute, which changes nothing by itself."""
    return make(ShiftDisputed, at, volunteer=volunteer, shift=shift_id(shift))


def settle(volunteer: str, at: Moment, shift: int = 1, outcome: str = "upheld") -> DisputeSettled:
    """A dispute's end, which changes nothing by itself either."""
    return make(DisputeSettled, at, volunteer=volunteer, shift=shift_id(shift), outcome=outcome)


def register(volunteer: str, on: date = LONG_AGO) -> VolunteerRegistered:
    """A volunteer registered on this day."""
    return make(VolunteerRegistered, noon(on), volunteer=volunteer, registered_on=on)


def open_station(station: str, kind: str = "community", at: Moment | None = None) -> StationOpened:
    """A station's opening, long ago unless `at` says when."""
    return make(StationOpened, noon(LONG_AGO) if at is None else at, station=station, kind=kind)


def launch(project: str) -> ProjectLaunched:
    """A project, launched long ago."""
    return make(ProjectLaunched, noon(LONG_AGO), project=project)


def train(volunteer: str, tier: str, on: date) -> TrainingCompleted:
    """A training completed on this day."""
    return make(TrainingCompleted, noon(on), volunteer=volunteer, tier=tier, completed_on=on)


def void_training(volunteer: str, tier: str, on: date) -> TrainingVoided:
    """A training record taken back."""
    return make(TrainingVoided, noon(on), volunteer=volunteer, tier=tier, completed_on=on)


def opening(volunteer: str, minutes: int, as_of: date) -> OpeningBalanceRecorded:
    """Minutes of the paper era."""
    return make(OpeningBalanceRecorded, noon(as_of), volunteer=volunteer, minutes=minutes, as_of=as_of)


def void_opening(volunteer: str, at: Moment) -> OpeningBalanceVoided:
    """An opening balance taken back."""
    return make(OpeningBalanceVoided, at, volunteer=volunteer)


def raise_cap(volunteer: str, day: date, minutes: int, raise_id: str = "R1") -> DayCapRaised:
    """More minutes approved for a volunteer's day."""
    return make(DayCapRaised, noon(day), volunteer=volunteer, day=day, minutes=minutes, raise_id=raise_id)


def withdraw_raise(volunteer: str, day: date, raise_id: str = "R1") -> DayCapRaiseWithdrawn:
    """A raise taken back."""
    return make(DayCapRaiseWithdrawn, noon(day), volunteer=volunteer, day=day, raise_id=raise_id)


def served(station: str, day: date, people: int, project: str | None = None) -> PeopleServedCounted:
    """People served at a station on a day."""
    return make(PeopleServedCounted, noon(day), station=station, day=day, people=people, project=project)


def stamped(events: Iterable[Event]) -> list[Event]:
    """Return the events as a log: `recorded_at` never goes back, and every command has a name of its own."""
    log: list[Event] = []
    names: set[str] = set()
    recorded_at = 0
    for number, event in enumerate(events, 1):
        recorded_at = max(recorded_at, event.occurred_at)
        name = f"test#{number}" if event.command == UNNAMED else event.command
        if name in names:
            name = f"{name}-again-{number}"
        names.add(name)
        log.append(msgspec.structs.replace(event, recorded_at=recorded_at, command=name))
    return log


# --- the notation ---------------------------------------------------------------------------------------------------

CORRECTED_FIELDS = ("check_in", "check_out", "station", "project")

# verb: the kind of event, the fields that follow the verb, the fields that are written `key=value`
NOTATION: Mapping[str, tuple[type[Event], Sequence[str], Sequence[str]]] = {
    "in": (CheckedIn, ("volunteer", "station", "shift"), ("project", "evidence", "replaces")),
    "out": (CheckedOut, ("volunteer", "station", "shift"), ("evidence",)),
    "punch": (Punched, ("volunteer", "station", "shift"), ("direction", "project", "evidence")),
    "correct": (ShiftCorrected, ("volunteer", "shift"), CORRECTED_FIELDS),
    "void": (ShiftVoided, ("volunteer", "shift"), ("replaced_by",)),
    "reinstate": (ShiftReinstated, ("volunteer", "shift"), ()),
    "dispute": (ShiftDisputed, ("volunteer", "shift"), ()),
    "settle": (DisputeSettled, ("volunteer", "shift", "outcome"), ()),
    "register": (VolunteerRegistered, ("volunteer", "registered_on"), ()),
    "withdraw": (VolunteerWithdrawn, ("volunteer", "withdrawn_on"), ()),
    "merge": (VolunteerMerged, ("volunteer", "into"), ()),
    "undo-merge": (VolunteerMergeUndone, ("volunteer", "into"), ()),
    "train": (TrainingCompleted, ("volunteer", "tier", "completed_on"), ()),
    "void-training": (TrainingVoided, ("volunteer", "tier", "completed_on"), ()),
    "open": (StationOpened, ("station", "kind"), ()),
    "close": (StationClosed, ("station",), ()),
    "launch": (ProjectLaunched, ("project",), ()),
    "end": (ProjectEnded, ("project",), ()),
    "opening": (OpeningBalanceRecorded, ("volunteer", "minutes", "as_of"), ()),
    "void-opening": (OpeningBalanceVoided, ("volunteer",), ()),
    "raise": (DayCapRaised, ("volunteer", "day", "minutes", "raise_id"), ()),
    "withdraw-raise": (DayCapRaiseWithdrawn, ("volunteer", "day", "raise_id"), ()),
    "served": (PeopleServedCounted, ("station", "day", "people"), ("project",)),
}
VERBS = {kind: verb for verb, (kind, _, _) in NOTATION.items()}


def history(text: str, zone: str = SHANGHAI) -> list[Event]:
    """Read a history from the notation, one event a line, in log order.

    Who and what is named without a line of its own is there from long ago: volunteers are registered, stations opened
    (kind community) and projects launched before the first line.
    """
    events = [event for line in text.splitlines() for event in _read_line(line, ZoneInfo(zone))]
    return stamped([*_introductions(events), *events])


def as_text(events: Iterable[Event], zone: str = SHANGHAI) -> str:
    """Write a history in the notation: `history` reads it back as the same events (command names and clerks aside)."""
    return "\n".join(_write_line(event, ZoneInfo(zone)) for event in events)


def _read_line(line: str, zone: ZoneInfo) -> list[Event]:
    words = line.partition(";")[0].split()
    if not words:
        return []
    day, time, verb, *rest = words
    plain = [word for word in rest if "=" not in word]
    if verb == "attest":
        volunteer, station, shift, came, left = plain
        return attest(volunteer, station, _read_instant(came, zone), _read_instant(left, zone), _read_number(shift))
    kind, fields, options = NOTATION[verb]
    said = dict(zip(fields, plain, strict=True)) | dict(word.split("=", 1) for word in rest if "=" in word)
    if unknown := set(said) - set(fields) - set(options):
        raise ValueError(f"{line.strip()}: {verb} has no {sorted(unknown)}; it takes {list(options)}")
    values = {name: _read_value(name, word, zone) for name, word in said.items()}
    if kind is ShiftCorrected:
        values["changes"] = tuple(name for name in said if name in CORRECTED_FIELDS)
    return [make(kind, _read_instant(f"{day}T{time}", zone), **values)]


def _read_value(name: str, word: str, zone: ZoneInfo) -> object:
    if word == "none":
        return None
    if name == "shift":
        return shift_id(_read_number(word))
    if name in {"check_in", "check_out"}:
        return _read_instant(word, zone)
    return int(word) if name in {"minutes", "people"} else word


def _read_number(word: str) -> int:
    return int(word.removeprefix("#"), 0)


def _read_instant(word: str, zone: ZoneInfo) -> int:
    """Read local time; an hour that comes twice means its first coming, unless an offset is written."""
    wall = datetime.fromisoformat(word)
    if wall.tzinfo is not None:
        return int(wall.timestamp())
    moment = int(wall.replace(tzinfo=zone).timestamp())
    if datetime.fromtimestamp(moment, zone).replace(tzinfo=None) != wall:
        raise ValueError(f"{word} never came in {zone.key}: the clocks skipped it")
    return moment


def _introductions(events: Sequence[Event]) -> list[Event]:
    """Return the registrations, openings and launches that the events take for granted."""
    known: set[tuple[str, str]] = set()
    makers: dict[str, Callable[[str], Event]] = {"volunteer": register, "station": open_station, "project": launch}
    roles = {"replaces": "volunteer", "replaced_by": "volunteer", "into": "volunteer"}
    for event in events:
        match event:
            case VolunteerRegistered():
                known.add(("volunteer", event.volunteer))
            case StationOpened():
                known.add(("station", event.station))
            case ProjectLaunched():
                known.add(("project", event.project))
            case _:
                pass
    introductions = []
    for event in events:
        for name in (*makers, *roles):
            role, value = roles.get(name, name), getattr(event, name, None)
            if value is not None and (role, value) not in known:
                known.add((role, value))
                introductions.append(makers[role](value))
    return introductions


def _write_line(event: Event, zone: ZoneInfo) -> str:
    verb = VERBS[type(event)]
    _, fields, options = NOTATION[verb]
    said = event.changes if isinstance(event, ShiftCorrected) else [name for name in options if getattr(event, name)]
    plain = [_write_value(getattr(event, name), name, zone) for name in fields]
    extra = [f"{name}={_write_value(getattr(event, name), name, zone)}" for name in said]
    return " ".join([_write_instant(event.occurred_at, zone).replace("T", " "), verb, *plain, *extra])


def _write_value(value: object, name: str, zone: ZoneInfo) -> str:
    match value:
        case None:
            return "none"
        case UUID():
            return f"#{value.int}" if value.int < 1000 else f"#{value.int:#x}"
        case int() if name in {"check_in", "check_out"}:
            return _write_instant(value, zone)
        case _:
            return str(value)


def _write_instant(moment: int, zone: ZoneInfo) -> str:
    local = datetime.fromtimestamp(moment, zone)
    word = local.isoformat(timespec="seconds" if moment % 60 else "minutes")
    return word if local.fold else word[:-6]  # the second coming of an hour needs its offset


# --- rules ----------------------------------------------------------------------------------------------------------


def rule_set(holds_from: str = "2000-01-01", **changes: object) -> RuleSet:
    """Return a rule set that credits every minute for what it is, but for these changes."""
    lenient = {"day_minutes_max": 1440, "shift_minutes_min": 0, "shift_minutes_max": 10_080}
    return RuleSet.model_validate({"holds_from": holds_from} | lenient | changes)


def rules(*rule_sets: RuleSet, zone: str = SHANGHAI, **changes: Any) -> RuleTimeline:
    """Return a timeline of these rule sets, or of the one lenient set with these changes."""
    return RuleTimeline(name="test", time_zone=zone, rule_sets=rule_sets or (rule_set(**changes),))


# --- strategies -----------------------------------------------------------------------------------------------------

# Days with trouble of their own: clocks that change, ends of months and years, a 29 February.
ZONES: Mapping[str, Sequence[str]] = {
    "Asia/Shanghai": ("2018-12-31", "2018-03-01", "2018-12-04"),
    "America/New_York": ("2018-03-11", "2018-11-04", "2020-02-29"),
    "Europe/London": ("2018-03-25", "2018-10-28", "2017-12-31"),
    "Australia/Lord_Howe": ("2018-04-01", "2018-10-07"),  # its clocks change by half an hour
    "America/Sao_Paulo": ("2018-11-04", "2018-02-18"),  # its clocks changed at midnight: a day without 00:00
}
# A zone in which a local date never came. (Those in which one came twice are refused: docs/decisions/0007.)
ODD_ZONES: Mapping[str, Sequence[str]] = {"Pacific/Apia": ("2011-12-29",)}  # 2011-12-30 never came

STATION_KINDS = ("community", "city", "special")
# The same small numbers again and again, and some that only fit into 128 bits without a sign.
SHIFT_NUMBERS = (1, 2, 3, 4, 5, 6, 2**63, 2**64 - 1, 2**64, 2**127, 2**128 - 1)
# Minutes from the anchor day's midnight, and seconds beside them: around midnights, around the change of the clocks.
MOMENT_MINUTES = (
    -1500,
    -1440,
    -600,
    -90,
    -31,
    -30,
    -1,
    0,
    1,
    30,
    60,
    90,
    119,
    120,
    150,
    180,
    600,
    1380,
    1439,
    1440,
    1470,
)
NUDGES = (0, 0, 0, 0, 0, 1, 59, 60, -60, 300, -900, 1800, 3600)
STAY_MINUTES = (0, 1, 5, 9, 10, 29, 30, 31, 45, 60, 60, 90, 120, 120, 180, 240, 300, 480, 1500)
LONG_STAY_MINUTES = (4000, 11_000, 100_000)


# For every property test of histories: none may fail because the machine was busy, and one history is costly.
patiently = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=examples(100, costly=True)
)


class Case(NamedTuple):
    """A history and the rules to price it by; its `repr` is the notation."""

    events: list[Event]
    timeline: RuleTimeline

    def __repr__(self) -> str:
        return f"history:\n{as_text(self.events, self.timeline.time_zone)}\nrules: {self.timeline!r}"


@st.composite
def cases(
    draw: st.DrawFn,
    *,
    zones: Mapping[str, Sequence[str]] = ZONES,
    shifts_max: int = 9,
    volunteers: Sequence[int] = (1, 1, 2, 3),
    punches: bool = True,
) -> Case:
    """A whole history, dense in trouble, and a rule timeline whose caps and thresholds bite; with `punches` in every
    second history.
    """
    zone = _pick(draw, sorted(zones))
    anchor = date.fromisoformat(_pick(draw, zones[zone]))
    midnight = int(datetime(anchor.year, anchor.month, anchor.day, tzinfo=ZoneInfo(zone)).timestamp())
    scene = _Scene(
        draw=draw,
        anchor=anchor,
        volunteers=_names("V", _pick(draw, volunteers)),
        stations=_names("U", _pick(draw, (1, 2, 3))),
        projects=_names("P", _pick(draw, (0, 1, 2))),
        moments=[midnight + 60 * _pick(draw, MOMENT_MINUTES) for _ in range(_pick(draw, (2, 3, 4, 6)))],
    )
    scripts = draw(st.lists(_shift_scripts(scene), min_size=1, max_size=shifts_max))
    if punches and scene.pick((True, False)):
        scripts += draw(st.lists(_punch_scripts(scene), max_size=4))
    scripts += draw(st.lists(_other_scripts(scene), max_size=6, unique_by=_occasion))
    scripts += draw(st.lists(_merge_scripts(scene), max_size=3 if len(scene.volunteers) > 1 else 0))
    return Case(stamped(_prologue(scene) + _without_rings(_interleaved(draw, scripts))), _timeline(scene, zone))


@st.composite
def shuffled_scans(draw: st.DrawFn, events: Sequence[Event]) -> list[Event]:
    """The same history as uploaded in another order, some scans more than once.

    Check-ins and check-outs come in any order and anywhere after the first of them; everything else keeps its order.
    """
    head = next((number for number, event in enumerate(events) if _is_scan(event)), len(events))
    tail = list(events[head:])
    scans = [event for event in tail if _is_scan(event)]
    again = draw(st.lists(st.sampled_from(scans), max_size=4)) if scans else []
    others = iter([event for event in tail if not _is_scan(event)])
    mixed = draw(st.permutations(tail + again))
    return stamped([*events[:head], *(event if _is_scan(event) else next(others) for event in mixed)])


def _is_scan(event: Event) -> bool:
    return isinstance(event, CheckedIn | CheckedOut | Punched)


T = TypeVar("T")


@cache
def _indexes(count: int) -> st.SearchStrategy[int]:
    return st.integers(0, count - 1)


def _pick(draw: st.DrawFn, options: Sequence[T]) -> T:
    """Draw one of the options. `sampled_from` would do, but making it anew each time is most of the time of a test."""
    return options[draw(_indexes(len(options)))]


@dataclass(frozen=True)
class _Scene:
    """Who, where and when a history is about, and the hand that draws it."""

    draw: st.DrawFn
    anchor: date
    volunteers: list[str]
    stations: list[str]
    projects: list[str]
    moments: list[int]

    def pick(self, options: Sequence[T]) -> T:
        return _pick(self.draw, options)

    def few(self, options: Sequence[T]) -> list[T]:
        """Some of the options, more often none."""
        if self.pick((True, True, False)):
            return []
        return [option for option in options if self.pick((False, True))]

    def moment(self) -> int:
        return self.pick(self.moments) + self.pick(NUDGES)

    def stay(self) -> int:
        """Seconds from a check-in to a check-out; one in many is much too long."""
        minutes = self.pick(STAY_MINUTES) if self.pick(range(40)) < 39 else self.pick(LONG_STAY_MINUTES)
        return minutes * 60 + self.pick((0, 0, 0, 30))

    def day(self, first: int, last: int) -> date:
        """A day so many days from the anchor."""
        return self.anchor + timedelta(days=self.pick(range(first, last + 1)))

    def station(self) -> str:
        return self.pick(self.stations)

    def project(self) -> str | None:
        return self.pick([None, *self.projects])


def _names(letter: str, count: int) -> list[str]:
    return [f"{letter}{number}" for number in range(1, count + 1)]


def _prologue(scene: _Scene) -> list[Event]:
    """Everybody registered and everything opened, first of all; some of it on days that matter to an honour."""
    days = [scene.anchor + timedelta(days=days) for days in (-30, 0, 1, -1, 2, -31, -122, -730, -729)]
    days += [date(2016, 2, 29), date(2017, 10, 31)]
    return [
        *(register(volunteer, scene.pick(days)) for volunteer in scene.volunteers),
        *(open_station(station, scene.pick(STATION_KINDS)) for station in scene.stations),
        *(launch(project) for project in scene.projects),
    ]


def _interleaved(draw: st.DrawFn, scripts: Sequence[Sequence[Event]]) -> list[Event]:
    """Merge scripts into one log: each keeps its own order."""
    turns = draw(st.permutations([number for number, script in enumerate(scripts) for _ in script]))
    waiting = [iter(script) for script in scripts]
    return [next(waiting[turn]) for turn in turns]


def _without_rings(events: Iterable[Event]) -> list[Event]:
    """Leave out the merges that a ledger refuses: of a number that goes on as another already, or into one; and what
    would take back a merge that does not stand.
    """
    goes_on: dict[str, str] = {}
    kept = []
    for event in events:
        match event:
            case VolunteerMerged() if event.volunteer == event.into or not goes_on.keys().isdisjoint(
                (event.volunteer, event.into)
            ):
                continue
            case VolunteerMerged():
                goes_on[event.volunteer] = event.into
            case VolunteerMergeUndone() if goes_on.get(event.volunteer) != event.into:
                continue
            case VolunteerMergeUndone():
                del goes_on[event.volunteer]
            case _:
                pass
        kept.append(event)
    return kept


# --- what happens to one shift ---


@st.composite
def _shift_scripts(draw: st.DrawFn, scene: _Scene) -> list[Event]:
    """One shift's scans, whole or broken, and what was done to it afterwards."""
    scene = replace(scene, draw=draw)
    volunteer, shift = scene.pick(scene.volunteers), scene.pick(SHIFT_NUMBERS)
    came = scene.moment()
    left = came + scene.stay()
    kind = scene.pick(("pair",) * 7 + ("attested", "half", "open", "lost", "reversed", "many", "moved"))
    script = _moved(scene, volunteer, shift, came, left) if kind == "moved" else []
    script += [
        check_in(volunteer, scene.station(), at, shift, evidence=evidence, project=scene.project())
        for at, evidence in _arrivals(scene, kind, came)
    ]
    script += [
        check_out(volunteer, scene.station(), at, shift, evidence)
        for at, evidence in _departures(scene, kind, came, left)
    ]
    if scene.pick((False, False, True)):
        script.reverse()
    thoughts = scene.pick((0, 0, 1, 4))
    return script + [_afterthought(scene, volunteer, shift, left + 3600) for _ in range(thoughts)]


@st.composite
def _punch_scripts(draw: st.DrawFn, scene: _Scene) -> list[Event]:
    """A few punches of one card near to each other, some of them twice, and what was done to them afterwards."""
    scene = replace(scene, draw=draw)
    volunteer = scene.pick(scene.volunteers)
    directions: Sequence[str | None] = scene.pick((("in", "out"), ("in", "out", None), (None,)))
    at, script, numbers = scene.moment(), list[Event](), list[int]()
    for _ in range(scene.pick((1, 2, 2, 3, 4, 5))):
        direction, station = scene.pick(directions), scene.station()
        # A punch's id is made of its command, so two that differ never have the same.
        number = 100 * at + 10 * ("in", "out", None).index(direction) + scene.stations.index(station)
        evidence = scene.pick((None, None, None, "typed"))
        script.append(punch(volunteer, station, at, number, direction, evidence=evidence))
        numbers.append(number)
        at += scene.pick((0, 0, 2, 30, 60, 61, 1800, 3600, 3601, 7200, 4 * 3600, 30 * 3600))
    if scene.pick((False, False, True)):
        script.reverse()
    thoughts = scene.pick((0, 0, 0, 1, 2))
    return script + [_afterthought(scene, volunteer, scene.pick(numbers), at + 3600) for _ in range(thoughts)]


EVIDENCE = (None, None, "paper")


def _arrivals(scene: _Scene, kind: str, came: int) -> list[tuple[int, str | None]]:
    """Return when, and on what evidence, the volunteer came."""
    match kind:
        case "lost":
            return []
        case "attested":
            return [(came, "paper")]
        case "half":
            return [(came, scene.pick(EVIDENCE))]
        case "many":
            more = [(scene.moment(), scene.pick(EVIDENCE)) for _ in range(scene.pick((0, 1, 2)))]
            return [(came, scene.pick(EVIDENCE)), *more]
        case _:
            return [(came, None)]


def _departures(scene: _Scene, kind: str, came: int, left: int) -> list[tuple[int, str | None]]:
    """Return when, and on what evidence, the volunteer left."""
    match kind:
        case "open":
            return []
        case "attested":
            return [(left, "paper")]
        case "half":
            return [(left, scene.pick(EVIDENCE))]
        case "reversed":
            return [(came - (left - came), None), *([(left, None)] if scene.pick((False, True)) else [])]
        case "many":
            more = [(scene.moment(), scene.pick(EVIDENCE)) for _ in range(scene.pick((0, 1, 2)))]
            return [(left, scene.pick(EVIDENCE)), *more]
        case _:
            return [(left, None)]


def _moved(scene: _Scene, volunteer: str, shift: int, came: int, left: int) -> list[Event]:
    """Void the shift and enter it for another volunteer (for nobody, if there is no other)."""
    others = [other for other in scene.volunteers if other != volunteer]
    if not others:
        return [void(volunteer, left, shift)]
    other, evidence = scene.pick(others), scene.pick((None, "moved"))
    more = {"project": scene.project(), "evidence": evidence, "replaces": volunteer}
    return [
        void(volunteer, left, shift, replaced_by=other),
        check_in(other, scene.station(), came, shift, **more),
        check_out(other, scene.station(), left, shift, evidence),
    ]


def _afterthought(scene: _Scene, volunteer: str, shift: int, at: int) -> Event:
    match scene.pick(("correct",) * 4 + ("void", "reinstate", "reinstate", "dispute", "settle")):
        case "correct":
            names = dict.fromkeys((scene.pick(CORRECTED_FIELDS), *scene.few(CORRECTED_FIELDS)))
            return correct(volunteer, at, shift, **{name: _corrected(scene, name) for name in names})
        case "void":
            return void(volunteer, at, shift)
        case "reinstate":
            return reinstate(volunteer, at, shift)
        case "dispute":
            return dispute(volunteer, at, shift)
        case _:
            return settle(volunteer, at, shift, scene.pick(("upheld", "rejected")))


def _corrected(scene: _Scene, name: str) -> Moment | None:
    if scene.pick((False, False, False, True)):
        return None
    match name:
        case "station":
            return scene.station()
        case "project":
            return scene.project()
        case _:
            return scene.moment()


# --- what else bears on credit, and what does not but looks so ---


@st.composite
def _other_scripts(draw: st.DrawFn, scene: _Scene) -> list[Event]:
    scene = replace(scene, draw=draw)
    volunteer, station, day = scene.pick(scene.volunteers), scene.station(), scene.day(-2, 2)
    kinds = ("opening", "opening", "raise", "raise", "served", "served", "training", "training", "reopened", "noise")
    match scene.pick(kinds):
        case "opening":
            return _opening_script(scene, volunteer)
        case "raise":
            return _raise_script(scene, volunteer, day)
        case "served":
            counts = [scene.pick((0, 1, 20)) for _ in range(scene.pick((1, 2, 3)))]
            return [served(station, day, people, scene.project()) for people in counts]
        case "training":
            said = volunteer, scene.pick(("basic", "professional", "leader")), scene.day(-30, 9)
            return [train(*said), void_training(*said)] if scene.pick((False, False, True)) else [train(*said)]
        case "reopened":
            closed = make(StationClosed, noon(day), station=station)
            return [closed, make(StationOpened, noon(day), station=station, kind=scene.pick(STATION_KINDS))]
        case _:
            return [make(VolunteerWithdrawn, noon(day), volunteer=volunteer, withdrawn_on=day)]


@st.composite
def _merge_scripts(draw: st.DrawFn, scene: _Scene) -> list[Event]:
    """A merge, perhaps taken back, perhaps made anew after that."""
    scene = replace(scene, draw=draw)
    volunteer, into = scene.pick(scene.volunteers), scene.pick(scene.volunteers)
    kinds = (VolunteerMerged, VolunteerMergeUndone, VolunteerMerged)[: scene.pick((1, 1, 2, 3))]
    return [make(kind, noon(scene.anchor), volunteer=volunteer, into=into) for kind in kinds]


def _opening_script(scene: _Scene, volunteer: str) -> list[Event]:
    """A balance, perhaps voided, perhaps recorded anew after that."""
    script: list[Event] = []
    for _ in range(scene.pick((1, 1, 2))):
        script += [
            opening(volunteer, scene.pick((0, 1, 60, 600)), scene.day(-4, 1)),
            void_opening(volunteer, noon(scene.anchor)),
        ]
    return script if scene.pick((False, False, True)) else script[:-1]


def _raise_script(scene: _Scene, volunteer: str, day: date) -> list[Event]:
    """A raise, perhaps withdrawn, perhaps approved anew after that."""
    script: list[Event] = []
    name = scene.pick(("R1", "R2"))
    for _ in range(scene.pick((1, 1, 2))):
        minutes = scene.pick((45, 90, 150, 600, 1440))
        script += [raise_cap(volunteer, day, minutes, name), withdraw_raise(volunteer, day, name)]
    return script if scene.pick((False, False, True)) else script[:-1]


def _occasion(script: Sequence[Event]) -> str:
    """Two scripts of one occasion do not meet in a history: one opening balance stands at a time."""
    match script[0]:
        case OpeningBalanceRecorded() as balance:
            return f"opening {balance.volunteer}"
        case DayCapRaised() as raised:
            return f"raise {raised.volunteer} {raised.day} {raised.raise_id}"
        case _:
            return repr(script)


# --- rules whose caps and thresholds are so small that the short shifts of these histories meet them ---


def _timeline(scene: _Scene, zone: str) -> RuleTimeline:
    changes = {scene.pick((scene.day(-1, 3), scene.day(20, 400))) for _ in range(scene.pick((0, 1, 1, 2)))}
    return rules(*[_rule_set(scene, day) for day in [date(2000, 1, 1), *sorted(changes)]], zone=zone)


def _rule_set(scene: _Scene, holds_from: date) -> RuleSet:
    shift_minutes_min = scene.pick((0, 0, 1, 10, 10, 30))
    honors = {honor["id"]: honor for honor in [_honor(scene) for _ in range(scene.pick((0, 1, 2, 4)))]}
    return rule_set(
        holds_from.isoformat(),
        day_minutes_max=scene.pick((1440, 1440, 1440, 480, 200, 120, 90, 60, 30, 0)),
        shift_minutes_min=shift_minutes_min,
        shift_minutes_max=max(shift_minutes_min, scene.pick((10_080, 720, 720, 720, 240, 120, 61, 45))),
        missing_check_out_minutes=scene.pick((0, 15, 60, 240, 1440)),
        credit_unit_minutes=scene.pick((1, 5, 15, 30, 60)),
        double_tap_seconds=scene.pick((0, 60, 60, 1800)),
        open_hours_max=scene.pick((24, 24, 12, 2, 1)),
        undirected_punches=scene.pick(("alternate", "alternate", "first-and-last")),
        pair_across_stations=scene.pick((True, True, False)),
        factors=[_factor(scene) for _ in range(scene.pick((0, 0, 1, 2, 3)))],
        honors=list(honors.values()),
    )


WINDOWS = ((0, 1440), (0, 1440), (1380, 30), (1320, 360), (30, 90), (60, 180), (1439, 1), (600, 600), (1440, 120))


def _factor(scene: _Scene) -> dict[str, object]:
    minute_from, minute_until = scene.pick(WINDOWS)
    first_day, last_day = sorted((scene.day(-2, 2), scene.day(-2, 2)))
    return {
        "name": "window",
        "percent": scene.pick((150, 120, 100, 99, 50, 33, 0, 1000)),
        "first_day": scene.pick((None, None, first_day)),
        "last_day": scene.pick((None, None, last_day)),
        "weekdays": scene.few(range(1, 8)),
        "minute_from": minute_from,
        "minute_until": minute_until,
        "station_kinds": scene.few(STATION_KINDS),
        "projects": scene.few(scene.projects),
    }


@st.composite
def ranked_timelines(draw: st.DrawFn, timeline: RuleTimeline) -> RuleTimeline:
    """The same rules with rankings of volunteers ("top") and projects ("best"), which often differ from set to set."""
    rule_sets = [
        rule_set.model_copy(update={"rankings": tuple(Ranking.model_validate(one) for one in rankings)})
        for rule_set in timeline.rule_sets
        if (rankings := [draw(_rankings("top", "volunteers")), draw(_rankings("best", "projects"))])
    ]
    return RuleTimeline(name=timeline.name, time_zone=timeline.time_zone, rule_sets=tuple(rule_sets))


@st.composite
def _rankings(draw: st.DrawFn, name: str, of: str) -> dict[str, object]:
    keys = VOLUNTEER_KEYS if of == "volunteers" else PROJECT_KEYS
    order = [keys[number] for number in draw(st.lists(_indexes(len(keys)), min_size=1, max_size=3, unique=True))]
    if _pick(draw, (True, False)):  # nothing but ties: names decide
        order = ["attested_minutes" if of == "volunteers" else "people_served"]
    found: dict[str, object] = {"id": name, "title": "ranking", "of": of, "places": _pick(draw, (1, 2, 10))}
    found |= {"order": order, "credited_minutes_min": _pick(draw, (0, 0, 1, 30, 90))}
    other = _pick(
        draw, ("scanned_minutes", "shifts") if of == "volunteers" else ("volunteers", "months_active", "shifts")
    )
    found[f"{other}_min"] = _pick(draw, (0, 0, 1, 2))
    if "score" in order:
        found["score"] = {
            _pick(draw, ("credited_hours", "credited_minutes", "volunteers", "months_active")): 2,
            "shifts": 1,
        }
    return found


def _honor(scene: _Scene) -> dict[str, object]:
    years = scene.pick((0, 0, 0, 1, 1, 2))
    return {
        "id": scene.pick(("bronze", "silver", "gold", "ivy")),
        "title": "honour",
        "credited_minutes_min": scene.pick((0, 1, 30, 60, 61, 120, 600)),
        "grade": scene.pick(("any", "any", "scanned")),
        "tenure_months_min": scene.pick((0, 0, 0, 1, 4, 24)),
        "training_tier_min": scene.pick((None, None, None, "basic", "professional", "leader")),
        "active_years_min": years,
        "active_year_minutes_min": scene.pick((1, 30, 60, 120)) if years else 0,
    }
