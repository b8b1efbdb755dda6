"""Anomalies for auditors: computed on demand, under any axes, up to the last event of the read models.

The archive, brought up to date with the log, holds nearly all the input; replay/audit/recorded_events.py reads the
rest. The functions of `projections/anomalies/` find anomalies. This module names the findings, sorts them in an order
that depends on no surrogate, and pages them. The last results are cached for the next page; they never go stale,
because what was known at a position never changes. Nothing here writes.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property, partial
from hashlib import blake2b
from typing import NamedTuple
from uuid import UUID

import numpy as np

from ledger.names import Position, shift_stream, stream
from ledger.store.database import Database
from ledger.store.persons import Persons
from projections.anomalies import beginnings, endings, entries, meetings, recording, stays
from projections.anomalies.findings import KINDS, Finding, Kind, Recorded, beginning_until, stays_of
from projections.kernels.facts import Facts
from projections.kernels.pairing import Paired
from projections.kernels.read_models import pieces_of
from projections.local_days import local_days
from projections.local_time import day_number, day_of_number
from projections.rules.anomalies import AnomalyRules
from projections.rules.timeline import RuleTimeline
from projections.schema import NO_DAY, NONE, Ints
from projections.surrogates import Names
from replay.archive.archive import Archive
from replay.audit.answers import Anomalies, Anomaly, EventBehind, ShiftBehind
from replay.audit.endings import closed_stations, withdrawn_persons
from replay.audit.recorded_events import actors, first_positions, read_acts, read_early_scans, read_records
from replay.audit.sentences import figures_of, reason
from replay.axes.answers import Grade
from replay.axes.as_known import Axes, MarkError, UnknownNameError, basis_of, position_known, rules_used, snapshot
from replay.on_demand.cache import ResultCache
from replay.progress import checkpoint, with_checkpoints

LIST_MAX = 100
"""At most this many shifts and events of a finding are listed."""
NAMED_MAX = 10
"""At most this many persons are named in a reason."""
CACHED_RESULTS = 2
"""The findings of this many combinations of axes are cached for the next page."""
MARK_FORM = re.compile(rf"([0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}})/({'|'.join(KINDS)})/([0-9a-f]{{16}})")
"""The form of `next_after`: day, kind, and the finding's name."""
_GRADES: tuple[Grade, Grade] = ("attested", "scanned")
_UNKNOWN = -2  # matches no surrogate, and not `NONE` either
_Key = tuple[int, int, str, str]
_Mark = tuple[int, int, str]


class AnomalyFilter(NamedTuple):
    """A filter of findings; None matches all. Days are local days, both inclusive."""

    kind: Kind | None = None
    station: str | None = None
    volunteer: str | None = None
    actor: str | None = None
    first: date | None = None
    last: date | None = None


EVERYTHING = AnomalyFilter()


@dataclass(frozen=True)
class FindingList:
    """All findings under some axes, in order, with the names for their surrogates."""

    findings: list[Finding]
    marks: list[_Mark]  # the sort key of each finding, ascending
    volunteers: list[str]
    stations: list[str]
    actors: list[str]
    ids: dict[int, tuple[int, int]]  # of each shift behind any finding: volunteer, and the id as an integer
    person_of: Ints | None = None  # the person's number of each number, None without merges; findings name persons

    def name(self, finding: Finding, field: str) -> str | None:
        """Return the name of the volunteer, station or actor in a field of a finding; the names of `others`, joined."""
        if field == "others":
            names_of = [self.volunteers[other] for other in finding.others]
            more = f" and {len(names_of) - NAMED_MAX} more" if len(names_of) > NAMED_MAX else ""
            return ", ".join(names_of[:NAMED_MAX]) + more
        number: int = getattr(finding, field)
        names = {"volunteer": self.volunteers, "actor": self.actors}.get(field, self.stations)
        return names[number] if number >= 0 else None

    def matching(self, query: AnomalyFilter) -> list[int]:
        """Return the rows of the findings that match a filter, whatever their kind."""
        first = day_number(query.first) if query.first else 0
        last = day_number(query.last) if query.last else NO_DAY
        number, station, actor = (
            None if name is None else names.index(name) if name in names else _UNKNOWN
            for name, names in (
                (query.volunteer, self.volunteers),
                (query.station, self.stations),
                (query.actor, self.actors),
            )
        )
        volunteer = None if number is None else self.person(number)
        return [
            row
            for row, finding in enumerate(self.findings)
            if first <= finding.day <= last
            and (station is None or station in {finding.station, finding.other_station})
            and (actor is None or actor == finding.actor)
            and (volunteer is None or volunteer == finding.volunteer or self._concerns(finding, volunteer))
        ]

    @cached_property
    def totals(self) -> tuple[dict[Kind, int], dict[Grade, int]]:
        """How many findings there are of each kind, and the minutes of late entries by grade."""
        return self.totals_of(range(len(self.findings)))

    def totals_of(self, rows: Iterable[int]) -> tuple[dict[Kind, int], dict[Grade, int]]:
        """Return how many of some findings are of each kind, and the minutes of late entries by grade."""
        counts, late_minutes = dict.fromkeys(KINDS, 0), dict.fromkeys(_GRADES, 0)
        for row in rows:
            finding = self.findings[row]
            counts[finding.kind] += 1
            if finding.kind == "late-entry":
                minutes, _, is_scanned = finding.figures
                late_minutes[_GRADES[is_scanned]] += minutes
        return counts, late_minutes

    def of_kind(self, kind: Kind | None) -> Sequence[int]:
        """Return the rows of all findings of a kind, or of all kinds."""
        everything = range(len(self.findings))
        return everything if kind is None else [row for row in everything if self.findings[row].kind == kind]

    def person(self, volunteer: int) -> int:
        """Return the person's number of a volunteer number."""
        return volunteer if self.person_of is None or volunteer < 0 else int(self.person_of[volunteer])

    def _concerns(self, finding: Finding, person: int) -> bool:
        """Return whether a finding names this person among others, or rests on a shift of this person."""
        return person in finding.others or any(self.person(self.ids[shift][0]) == person for shift in finding.shifts)


class AnomalyReader:
    """Queries about the anomalies of one ledger."""

    def __init__(self, database: Database, archive: Archive) -> None:
        self._database = database
        self._archive = archive
        self._cache: ResultCache[_Key, FindingList] = ResultCache(lambda cached: len(cached) > CACHED_RESULTS)

    def anomalies(
        self,
        axes: Axes,
        query: AnomalyFilter = EVERYTHING,
        limit: int = 100,
        after: str | None = None,
    ) -> Anomalies:
        """Return a page of findings, the latest first.

        Raises:
            UnknownNameError: the station or volunteer is unknown. MarkError. store.NoGenerationError
        """
        after_mark = read_mark(after) if after is not None else None
        with snapshot(self._database) as (_, generation):
            rules, known_at = rules_used(self._database.log, axes, generation), position_known(axes, generation)
            basis = basis_of(axes, rules, generation)
        timeline = rules.timeline()
        found = self.findings(known_at, timeline, rules.digest, axes.valid_until)
        for kind, name, names in (
            ("station", query.station, found.stations),
            ("volunteer", query.volunteer, found.volunteers),
        ):
            if name is not None and name not in names:
                raise UnknownNameError(kind, name)
        if query._replace(kind=None) == EVERYTHING:
            counts, late_minutes = found.totals
            rows = found.of_kind(query.kind)
        else:
            matching = found.matching(query)
            counts, late_minutes = found.totals_of(matching)
            rows = [row for row in matching if query.kind in {None, found.findings[row].kind}]
        begin = 0 if after_mark is None else bisect_right([found.marks[row] for row in rows], after_mark)
        page = rows[begin : begin + limit]
        more = begin + limit < len(rows)
        return Anomalies(
            **dict(basis),
            thresholds=timeline.anomalies,
            counts=counts,
            late_minutes=late_minutes,
            anomalies=[self._answer(found, row, known_at, timeline) for row in page],
            next_after=_mark_text(found.marks[page[-1]]) if more and page else None,
        )

    def findings(self, known_at: Position, timeline: RuleTimeline, digest: str, valid_until: int) -> FindingList:
        """Return all findings as known at a position, about service that began up to a day.

        Raises:
            replay.archive.archive.ArchiveError: the archive cannot be read.
        """
        # Phones are no events: they can be corrected and erased, so what is cached is for these phones only.
        phones = Persons(self._database.pool).numbers_by_phone()
        shared = blake2b(repr(phones).encode(), digest_size=16).hexdigest()
        key = int(known_at), valid_until, digest, shared
        return self._cache.get(key, lambda: self._find(known_at, timeline, valid_until, phones))

    def _find(
        self, known_at: Position, timeline: RuleTimeline, valid_until: int, phones: Sequence[Sequence[str]]
    ) -> FindingList:
        facts = self._archive.facts_from(self._database, known_at)
        checkpoint()
        rules, zone, person_of = timeline.anomalies, timeline.time_zone, facts.person_of()
        paired = facts.paired(facts.rules(timeline))
        shifts = paired.shifts
        if person_of is not None:  # shifts belong to persons
            shifts = shifts._replace(volunteer=person_of[shifts.volunteer])
        early = read_early_scans(self._database, known_at)
        records = read_records(self._archive, known_at, len(facts.stations), rules.clock_seconds, zone, early)
        checkpoint()
        until = beginning_until(shifts, zone, valid_until)
        events, raises = records.events.where(until[records.events.shift]), records.raises
        if person_of is not None:
            raises = raises._replace(volunteer=person_of[raises.volunteer])
        acts, names = read_acts(self._database, events, raises, shifts.volunteer, valid_until)
        checkpoint()
        late = self._with_actors(recording.late_entries(shifts, timeline, until), events, names)
        finders: tuple[Callable[[], Iterable[Finding]], ...] = (
            lambda: self._stay_findings(facts, paired, timeline, known_at, valid_until),
            lambda: entries.entry_bursts(acts, rules, zone),
            lambda: entries.same_person(acts, rules, zone),
            lambda: recording.late_uploads(events._replace(shift=paired.ended_by(events.shift)), shifts, rules, zone),
            lambda: late,
            lambda: recording.wrong_clocks(events, early.ahead(events), records.prompt, shifts, until, rules, zone),
            lambda: self._shared_phones(facts, phones, rules, known_at, valid_until),
        )
        findings = [finding for find in with_checkpoints(finders, every=1) for finding in find()]
        return _ordered(findings, facts, names.texts())

    def _stay_findings(
        self, facts: Facts, paired: Paired, timeline: RuleTimeline, known_at: Position, valid_until: int
    ) -> Iterator[Finding]:
        """Yield the findings about when and where volunteers served."""
        table, volunteers = paired.table, facts.volunteer_table()
        kinds, rules = facts.station_kinds(timeline), facts.rules(timeline)
        served = stays_of(table, timeline.time_zone, valid_until)

        def credited(volunteer: int) -> Ints:
            return pieces_of(volunteer, table, volunteers, kinds, rules)

        yield from meetings.two_stations(served, timeline.anomalies)
        yield from meetings.travel_time(served, timeline.anomalies)
        yield from beginnings.before_registration(served, volunteers.registered, timeline.anomalies)
        yield from beginnings.before_opening(served, _opened(facts, timeline.time_zone), timeline.anomalies)
        withdrawn = withdrawn_persons(self._database, facts, known_at)
        yield from endings.after_withdrawal(served, withdrawn, timeline.anomalies)
        closed = closed_stations(self._database, facts, timeline, known_at)
        yield from endings.after_closing(served, closed, timeline.anomalies)
        yield from stays.long_shifts(served, timeline.anomalies)
        yield from stays.over_cap(served, table, timeline, credited, valid_until)
        yield from entries.round_numbers(served, paired.shifts, timeline.anomalies, timeline.time_zone)

    def _with_actors(self, late: list[Finding], events: Recorded, names: Names) -> list[Finding]:
        """Add to each late entry the position of the shift's first event, and the actor who recorded it."""
        first = first_positions(events, np.array([finding.shifts[0] for finding in late], np.int64))
        positions = np.unique(first[first > 0])
        by = dict(zip(positions.tolist(), actors(self._database, positions, names).by.tolist(), strict=True))
        return [
            finding._replace(actor=by.get(at, NONE), positions=(at,) if at else ())
            for finding, at in zip(late, first.tolist(), strict=True)
        ]

    def _shared_phones(
        self,
        facts: Facts,
        phones: Sequence[Sequence[str]],
        rules: AnomalyRules,
        known_at: Position,
        valid_until: int,
    ) -> Iterator[Finding]:
        """Yield the phones that several persons have, each with the positions of their registrations."""
        number_of, person_of = facts.volunteers.number, facts.person_of()
        groups = []
        for numbers in phones:
            known = {number_of[name] for name in numbers if name in number_of}
            groups.append(sorted(known if person_of is None else {int(person_of[number]) for number in known}))
        names = facts.volunteers.texts()
        for finding in beginnings.shared_phones(groups, facts.volunteer_table().registered, rules, valid_until):
            streams = [stream("volunteer", names[person]) for person in (finding.volunteer, *finding.others)]
            known_positions = self._database.log.positions(streams, until=known_at)
            yield finding._replace(positions=tuple(sorted(min(each) for each in known_positions.values() if each)))

    def _answer(self, found: FindingList, row: int, known_at: Position, timeline: RuleTimeline) -> Anomaly:
        finding = found.findings[row]
        name = partial(found.name, finding)
        listed = finding.shifts[:LIST_MAX]
        owned = [found.ids[shift] for shift in listed]
        shifts = [ShiftBehind(volunteer=found.volunteers[owner], shift=UUID(int=shift)) for owner, shift in owned]
        positions: list[int] = list(finding.positions)
        if not positions:
            streams = [shift_stream(shift.volunteer, shift.shift) for shift in shifts]
            known = self._database.log.positions(streams, until=known_at)
            positions = sorted(position for stream in known.values() for position in stream)
        return Anomaly(
            anomaly=found.marks[row][2],
            kind=finding.kind,
            day=day_of_number(finding.day),
            reason=reason(finding, name, timeline),
            volunteer=name("volunteer"),
            others=[found.volunteers[other] for other in finding.others[:LIST_MAX]],
            station=name("station"),
            other_station=name("other_station"),
            actor=name("actor"),
            figures=figures_of(finding),
            shifts=shifts,
            shift_count=len(finding.shifts),
            events=[EventBehind(position=position) for position in positions[:LIST_MAX]],
            event_count=len(positions),
        )


def _opened(facts: Facts, zone: str) -> Ints:
    """Return the local day on which each station was first opened, `NO_DAY` if it was not."""
    opened = np.full(len(facts.stations), NO_DAY, np.int32)
    openings = facts.station_openings()
    known = [station for station, of_station in enumerate(openings) if of_station]
    if known:
        opened[known] = local_days(np.array([min(openings[station]) for station in known], np.int64), zone)
    return opened


# --- names and order ------------------------------------------------------------------------------------------------


def _ordered(findings: Iterable[Finding], facts: Facts, actor_names: list[str]) -> FindingList:
    """Return findings with their names and marks, sorted by mark: the latest day first, then by kind."""
    findings = list(findings)
    shifts = np.unique(np.array([shift for finding in findings for shift in finding.shifts], np.int32))
    owners = facts.shifts.volunteer[shifts].tolist()
    high, low = (half.tolist() for half in facts.shift_keys(shifts)) if len(shifts) else ([], [])
    keys = zip(shifts.tolist(), owners, high, low, strict=True)
    ids = {shift: (owner, upper << 64 | lower) for shift, owner, upper, lower in keys}
    found = FindingList([], [], facts.volunteers.texts(), facts.stations.texts(), actor_names, ids, facts.person_of())
    marked = sorted((_mark(found, finding), number) for number, finding in enumerate(findings))
    found.findings.extend(findings[number] for _, number in marked)
    found.marks.extend(mark for mark, _ in marked)
    return found


def _mark(found: FindingList, finding: Finding) -> _Mark:
    """Return the sort key of a finding. Its last part is the finding's name: a digest of its content."""
    content = blake2b(finding.kind.encode(), digest_size=8)
    for field in ("volunteer", "station", "other_station", "actor"):
        content.update(f"|{found.name(finding, field) or ''}".encode())
    for other in finding.others:
        content.update(f"|{found.volunteers[other]}".encode())
    for shift in finding.shifts:
        owner, shift_id = found.ids[shift]
        content.update(found.volunteers[owner].encode() + shift_id.to_bytes(16, "big"))
    for position in finding.positions:
        content.update(position.to_bytes(8, "big"))
    return -finding.day, KINDS.index(finding.kind), content.hexdigest()


def _mark_text(mark: _Mark) -> str:
    """Return a mark as text: "day/kind/anomaly"."""
    return f"{day_of_number(-mark[0])}/{KINDS[mark[1]]}/{mark[2]}"


def read_mark(text: str) -> _Mark:
    """Parse the mark of a finding.

    Raises:
        MarkError: it is not a mark.
    """
    found = MARK_FORM.fullmatch(text)
    try:
        if found is None:
            raise MarkError(text)
        return -day_number(date.fromisoformat(found[1])), KINDS.index(found[2]), found[3]
    except ValueError:
        raise MarkError(text) from None
