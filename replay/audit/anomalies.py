"""Anomalies for auditors: found on demand, under any axes, current with the last event the read models hold.

The archive, brought up to the log, tells nearly all (replay/audit/recorded_events.py tells the rest); the functions of
`projections/anomalies/` find; here findings get their names, an order that depends on no surrogate, and pages. What was
found last is kept for the next page: positions never change what they mean. Nothing here writes.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import partial
from hashlib import blake2b
from typing import NamedTuple
from uuid import UUID

import numpy as np

from ledger.names import Position, shift_stream
from ledger.store.database import Database
from projections.anomalies import entries, meetings, recording, stays
from projections.anomalies.findings import KINDS, Finding, Kind, Recorded, beginning_until, stays_of
from projections.kernels.facts import Facts
from projections.kernels.read_models import pieces_of
from projections.local_time import day_number, day_of_number
from projections.rules.table import rule_table
from projections.rules.timeline import RuleTimeline
from projections.schema import NO_DAY, NONE, Ints
from projections.surrogates import Names
from replay.archive.archive import Archive
from replay.audit.answers import Anomalies, Anomaly, EventBehind, ShiftBehind
from replay.audit.recorded_events import actors, first_positions, read_acts, read_records
from replay.audit.sentences import figures_of, reason
from replay.axes.answers import Grade
from replay.axes.as_known import Axes, MarkError, UnknownNameError, basis_of, position_known, rules_used, snapshot
from replay.on_demand.cache import ResultCache

LIST_MAX = 100
"""So many shifts and events of one finding are listed."""
FOUND_KEPT = 2
"""Findings under so many axes are kept, for the next page."""
MARK_FORM = re.compile(rf"([0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}})/({'|'.join(KINDS)})/([0-9a-f]{{16}})")
"""What `next_after` looks like: day, kind, and the finding's name."""
_GRADES: tuple[Grade, Grade] = ("attested", "scanned")
_MISSING = -1
_Key = tuple[int, int, str]
_Mark = tuple[int, int, str]


class AnomalyFilter(NamedTuple):
    """Which findings are asked for: None is all. Days are local days, both inside."""

    kind: Kind | None = None
    station: str | None = None
    volunteer: str | None = None
    actor: str | None = None
    first: date | None = None
    last: date | None = None


EVERYTHING = AnomalyFilter()


@dataclass(frozen=True)
class Found:
    """All findings under some axes, in their order, with the names behind their numbers."""

    findings: list[Finding]
    marks: list[_Mark]  # of each finding: where it stands; they ascend
    volunteers: list[str]
    stations: list[str]
    actors: list[str]
    ids: dict[int, tuple[int, int]]  # of each shift behind any finding: volunteer, and the id as a number
    goes_on: Ints | None = None  # as which volunteer each goes on, where any was merged; findings name persons

    def name(self, finding: Finding, field: str) -> str | None:
        """Return whom or what a field of a finding names."""
        number: int = getattr(finding, field)
        names = {"volunteer": self.volunteers, "actor": self.actors}.get(field, self.stations)
        return names[number] if number >= 0 else None

    def chosen(self, asked: AnomalyFilter) -> list[int]:
        """Return which findings are asked for, whatever their kind."""
        first = day_number(asked.first) if asked.first else 0
        last = day_number(asked.last) if asked.last else NO_DAY
        wanted, station, actor = (
            None if wanted is None else names.index(wanted) if wanted in names else _MISSING - 1
            for wanted, names in (
                (asked.volunteer, self.volunteers),
                (asked.station, self.stations),
                (asked.actor, self.actors),
            )
        )
        volunteer = None if wanted is None else self.person(wanted)
        return [
            row
            for row, finding in enumerate(self.findings)
            if first <= finding.day <= last
            and (station is None or station in {finding.station, finding.other_station})
            and (actor is None or actor == finding.actor)
            and (volunteer is None or volunteer == finding.volunteer or self._concerns(finding, volunteer))
        ]

    def person(self, volunteer: int) -> int:
        """Return the volunteer that one goes on as."""
        return volunteer if self.goes_on is None or volunteer < 0 else int(self.goes_on[volunteer])

    def _concerns(self, finding: Finding, person: int) -> bool:
        """Tell whether a finding rests on a shift of this person."""
        return any(self.person(self.ids[shift][0]) == person for shift in finding.shifts)


class AnomalyReader:
    """Answers about anomalies, of one ledger."""

    def __init__(self, database: Database, archive: Archive) -> None:
        self._database = database
        self._archive = archive
        self._kept: ResultCache[_Key, Found] = ResultCache(lambda kept: len(kept) > FOUND_KEPT)

    def anomalies(
        self,
        axes: Axes,
        asked: AnomalyFilter = EVERYTHING,
        limit: int = 100,
        after: str | None = None,
    ) -> Anomalies:
        """Return a page of findings, the latest first.

        Raises:
            UnknownNameError: nobody has heard of the station or the volunteer. MarkError. store.NoGenerationError
        """
        behind = read_mark(after) if after is not None else None
        with snapshot(self._database) as (_, generation):
            rules, known_at = rules_used(self._database.log, axes, generation), position_known(axes, generation)
            basis = basis_of(axes, rules, generation)
        timeline = rules.timeline()
        found = self.found(known_at, timeline, rules.digest, axes.valid_until)
        for kind, name, names in (
            ("station", asked.station, found.stations),
            ("volunteer", asked.volunteer, found.volunteers),
        ):
            if name is not None and name not in names:
                raise UnknownNameError(kind, name)
        rows = found.chosen(asked)
        counts, late_minutes = dict.fromkeys(KINDS, 0), dict.fromkeys(_GRADES, 0)
        for row in rows:
            finding = found.findings[row]
            counts[finding.kind] += 1
            if finding.kind == "late-entry":
                minutes, _, is_scanned = finding.figures
                late_minutes[_GRADES[is_scanned]] += minutes
        rows = [row for row in rows if asked.kind in {None, found.findings[row].kind}]
        begin = 0 if behind is None else bisect_right([found.marks[row] for row in rows], behind)
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

    def found(self, known_at: Position, timeline: RuleTimeline, digest: str, valid_until: int) -> Found:
        """Return all findings of what was known at a position, of service that began up to a day.

        Raises:
            replay.archive.archive.ArchiveError: the archive cannot be read.
        """
        key = int(known_at), valid_until, digest
        return self._kept.of(key, lambda: self._find(known_at, timeline, valid_until))

    def _find(self, known_at: Position, timeline: RuleTimeline, valid_until: int) -> Found:
        facts = self._archive.facts_from(self._database, known_at)
        rules, zone, shifts, goes_on = timeline.anomalies, timeline.time_zone, facts.shifts, facts.goes_on()
        if goes_on is not None:  # whose a shift is, is whose it is as a person
            shifts = shifts._replace(volunteer=goes_on[shifts.volunteer])
        records = read_records(self._archive, known_at, len(facts.stations), rules.clock_seconds, zone)
        until = beginning_until(shifts, zone, valid_until)
        events, raises = records.events.where(until[records.events.shift]), records.raises
        if goes_on is not None:
            raises = raises._replace(volunteer=goes_on[raises.volunteer])
        acts, names = read_acts(self._database, events, raises, shifts.volunteer, valid_until)
        late = self._entered_by(recording.late_entries(shifts, timeline, until), events, names)
        findings = [
            *_of_stays(facts, timeline, valid_until),
            *entries.entry_bursts(acts, rules, zone),
            *entries.same_person(acts, rules, zone),
            *recording.late_uploads(events, shifts, rules, zone),
            *late,
            *recording.wrong_clocks(events, records.prompt, shifts, until, rules, zone),
        ]
        return _ordered(findings, facts, names.texts())

    def _entered_by(self, late: list[Finding], events: Recorded, names: Names) -> list[Finding]:
        """Tell of late entries by which event the ledger first heard of each, and whose it is."""
        first = first_positions(events, np.array([finding.shifts[0] for finding in late], np.int64))
        positions = np.unique(first[first > 0])
        by = dict(zip(positions.tolist(), actors(self._database, positions, names).by.tolist(), strict=True))
        return [
            finding._replace(actor=by.get(at, NONE), positions=(at,) if at else ())
            for finding, at in zip(late, first.tolist(), strict=True)
        ]

    def _answer(self, found: Found, row: int, known_at: Position, timeline: RuleTimeline) -> Anomaly:
        finding = found.findings[row]
        name = partial(found.name, finding)
        listed = finding.shifts[:LIST_MAX]
        owned = [found.ids[shift] for shift in listed]
        shifts = [ShiftBehind(volunteer=found.volunteers[owner], shift=UUID(int=shift)) for owner, shift in owned]
        positions: list[int] = list(finding.positions)
        if not positions:
            streams = [shift_stream(one.volunteer, one.shift) for one in shifts]
            known = self._database.log.positions(streams, until=known_at)
            positions = sorted(position for stream in known.values() for position in stream)
        return Anomaly(
            anomaly=found.marks[row][2],
            kind=finding.kind,
            day=day_of_number(finding.day),
            reason=reason(finding, name, timeline),
            volunteer=name("volunteer"),
            station=name("station"),
            other_station=name("other_station"),
            actor=name("actor"),
            figures=figures_of(finding),
            shifts=shifts,
            shift_count=len(finding.shifts),
            events=[EventBehind(position=position) for position in positions[:LIST_MAX]],
            event_count=len(positions),
        )


def _of_stays(facts: Facts, timeline: RuleTimeline, valid_until: int) -> Iterator[Finding]:
    """Yield what is odd about when and where volunteers served."""
    table, volunteers = facts.ordered(facts.resolved()), facts.volunteer_table()
    kinds, rules = facts.station_kinds(), rule_table(timeline, facts.projects.number)
    served = stays_of(table, timeline.time_zone, valid_until)

    def credited(volunteer: int) -> Ints:
        return pieces_of(volunteer, table, volunteers, kinds, rules)

    yield from meetings.two_stations(served, timeline.anomalies)
    yield from meetings.travel_time(served, timeline.anomalies)
    yield from stays.long_shifts(served, timeline.anomalies)
    yield from stays.over_cap(served, table, volunteers, timeline, credited, valid_until)
    yield from entries.round_numbers(served, facts.shifts, timeline.anomalies, timeline.time_zone)


# --- names and order ------------------------------------------------------------------------------------------------


def _ordered(findings: Iterable[Finding], facts: Facts, people: list[str]) -> Found:
    """Give findings their names, and the order of their marks: the latest day first, then by kind."""
    findings = list(findings)
    behind = np.unique(np.array([shift for finding in findings for shift in finding.shifts], np.int32))
    owners = facts.shifts.volunteer[behind].tolist()
    high, low = (half.tolist() for half in facts.shift_keys(behind)) if len(behind) else ([], [])
    keys = zip(behind.tolist(), owners, high, low, strict=True)
    ids = {shift: (owner, upper << 64 | lower) for shift, owner, upper, lower in keys}
    found = Found([], [], facts.volunteers.texts(), facts.stations.texts(), people, ids, facts.goes_on())
    marked = sorted((_mark(found, finding), number) for number, finding in enumerate(findings))
    found.findings.extend(findings[number] for _, number in marked)
    found.marks.extend(mark for mark, _ in marked)
    return found


def _mark(found: Found, finding: Finding) -> _Mark:
    """Return where a finding stands; its last part names it, by whom and what it is about and what is behind it."""
    seen = blake2b(finding.kind.encode(), digest_size=8)
    for field in ("volunteer", "station", "other_station", "actor"):
        seen.update(f"|{found.name(finding, field) or ''}".encode())
    for shift in finding.shifts:
        owner, shift_id = found.ids[shift]
        seen.update(found.volunteers[owner].encode() + shift_id.to_bytes(16, "big"))
    for position in finding.positions:
        seen.update(position.to_bytes(8, "big"))
    return -finding.day, KINDS.index(finding.kind), seen.hexdigest()


def _mark_text(mark: _Mark) -> str:
    """Return where a page ends: "day/kind/anomaly"."""
    return f"{day_of_number(-mark[0])}/{KINDS[mark[1]]}/{mark[2]}"


def read_mark(text: str) -> _Mark:
    """Return where a page of findings ended.

    Raises:
        MarkError
    """
    found = MARK_FORM.fullmatch(text)
    try:
        if found is None:
            raise MarkError(text)
        return -day_number(date.fromisoformat(found[1])), KINDS.index(found[2]), found[3]
    except ValueError:
        raise MarkError(text) from None
