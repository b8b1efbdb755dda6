"""The worklist: everything that waits for somebody, the earliest deadline first, as known at a position.

Which shifts lack a check-out follows from the rules of pairing, so the archive is replayed for it once; afterwards they
follow the log (`replay/worklist/open_shifts.py`). The last results are cached for the next page; they never go stale,
because what was known at a position never changes. Nothing here writes.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Final, LiteralString, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from ledger.names import Position
from ledger.store.database import Database
from projections.kernels.organisations import Membership, OrganisationHistory, organisation_on
from projections.local_days import local_days
from projections.local_time import day_number
from projections.rules.timeline import RuleTimeline
from projections.schema import NONE, Ints
from replay.awards.reports import findings
from replay.awards.standings import open_standings
from replay.axes.answers import Basis
from replay.axes.as_known import Axes, MarkError, UnknownNameError, snapshot
from replay.explain.stretches import end_instant
from replay.on_demand.cache import ResultCache
from replay.progress import with_checkpoints
from replay.queries.queries import Queries
from replay.rankings.rankings import Tables
from replay.records.belonging import local_days as local_day_of
from replay.records.belonging import read_members, read_places
from replay.records.cases import CaseReader
from replay.worklist.answers import KINDS, WorkItem, WorkKind, Worklist
from replay.worklist.open_shifts import OpenShifts, OpenShiftsReader
from replay.worklist.sources import open_disputes, open_requests, undercut_awards
from replay.worklist.waiting import Waiting

CACHED_RESULTS: Final = 2
"""The lists of this many combinations of axes are cached for the next page."""
MARK_FORM: Final = rf"^([0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}|none)/({'|'.join(KINDS)})/[A-Za-z0-9._/-]{{1,120}}$"
"""The form of `next_after`: deadline, kind and name."""
_Key = tuple[int, date | None, str]
_NOBODY: Final = -2
_KNOWN: Final[Mapping[str, LiteralString]] = {
    "station": "SELECT EXISTS (SELECT FROM replay.stations WHERE station = %(name)s)"
    " OR EXISTS (SELECT FROM replay.people_served WHERE station = %(name)s)",
    "volunteer": "SELECT EXISTS (SELECT FROM replay.volunteers WHERE volunteer = %(name)s)"
    " OR EXISTS (SELECT FROM replay.shifts WHERE volunteer = %(name)s)",
}


class WorkFilter(NamedTuple):
    """A filter of what waits; None matches all."""

    kind: WorkKind | None = None
    station: str | None = None
    organisation: str | None = None
    volunteer: str | None = None
    overdue: bool | None = None


@dataclass(frozen=True)
class _Found:
    """What waits under some axes, with its basis. `others`: all but open shifts, by their marks. `known`: the stations
    and volunteers that are known; None if those of now.
    """

    basis: Basis
    timeline: RuleTimeline
    open_shifts: OpenShifts
    others: list[Waiting]
    known: Mapping[str, frozenset[str]] | None


class WorklistReader:
    """The worklist of one ledger."""

    def __init__(self, database: Database, queries: Queries) -> None:
        self._database = database
        self._queries = queries
        self._open_shifts = OpenShiftsReader()
        self._cache: ResultCache[_Key, _Found] = ResultCache(lambda cached: len(cached) > CACHED_RESULTS)

    def worklist(self, axes: Axes, now: int, query: WorkFilter, limit: int = 100, after: str | None = None) -> Worklist:
        """Return a page of what waits at an instant.

        Raises:
            UnknownNameError: the station, organisation or volunteer is unknown. MarkError. store.NoGenerationError
        """
        if after is not None and not re.fullmatch(MARK_FORM, after):
            raise MarkError(after)
        found = self._found(axes)
        today = datetime.fromtimestamp(now, ZoneInfo(found.timeline.time_zone)).date()
        self._check_names(found, query)
        within = None if query.organisation is None else self._within(found, query.organisation, today)
        others = [
            each
            for each in with_checkpoints(found.others)
            if each.waits_from <= now
            and query.station in {None, each.station}
            and query.volunteer in {None, each.volunteer}
            and query.overdue in {None, _overdue(each, today)}
            and (within is None or within.includes(each))
        ]
        rows = _rows(found.open_shifts, now, today, query, within)
        counts: dict[WorkKind, int] = dict.fromkeys(KINDS, 0)
        for each in others:
            counts[each.kind] += 1
        counts["open-shift"] = len(rows)
        others = [each for each in others if query.kind in {None, each.kind}]
        if query.kind not in {None, "open-shift"}:
            rows = rows[:0]
        count = len(others) + len(rows)
        overdue = sum(_overdue(each, today) for each in others)
        overdue += int(np.count_nonzero(found.open_shifts.columns.due[rows] < day_number(today)))
        if after is not None:
            others = others[bisect_right([each.mark for each in others], after) :]
            rows = rows[np.searchsorted(rows, found.open_shifts.after(after)) :]
        left = len(others) + len(rows)
        shifts = (found.open_shifts.waiting(row) for row in rows[:limit].tolist())
        page = sorted([*others[:limit], *shifts], key=lambda each: each.mark)[:limit]
        return Worklist(
            **dict(found.basis.model_copy(update={"valid_at": axes.valid_at})),
            today=today,
            count=count,
            overdue=overdue,
            counts=counts,
            items=[_answer(each, today, found.timeline) for each in page],
            next_after=page[-1].mark if page and limit < left else None,
        )

    def _found(self, axes: Axes) -> _Found:
        """Return everything that waits; what was found for the same position and rules is used again."""
        basis, rules = self._queries.basis_and_rules(axes)
        return self._cache.get((basis.known_at, axes.valid_at, rules.digest), lambda: self._find(axes))

    def _find(self, axes: Axes) -> _Found:
        with open_standings(self._queries, replace(axes, valid_at=None)) as standings:
            basis, rules, source = standings.reader.basis, standings.reader.rules, standings.reader.source
            awarded = [
                award
                for award in self._queries.awards.at(standings.position).values()
                if award.state == "awarded"
                and (axes.valid_at is None or award.awarded_on is None or award.awarded_on <= axes.valid_at)
            ]
            undercut = findings(standings, awarded)
            known_at, open_shifts = standings.position, None
            if isinstance(source, Tables):
                open_shifts = self._open_shifts.at_snapshot(source.connection, known_at, rules)
        # A replay takes seconds; no snapshot is held open for it.
        known: Mapping[str, frozenset[str]] | None = None
        if open_shifts is None:
            facts = self._queries.facts(known_at)
            open_shifts = self._open_shifts.find(known_at, rules, facts)
            if not axes.current:
                names = (("station", facts.stations), ("volunteer", facts.volunteers))
                known = {kind: frozenset(of_kind.texts()) for kind, of_kind in names}
        timeline = rules.timeline()
        reader = CaseReader(self._database.log, known_at, timeline.time_zone)
        others = [
            *undercut_awards(undercut),
            *open_requests(reader, timeline),
            *open_disputes(reader, date.max),
        ]
        return _Found(basis, timeline, open_shifts, sorted(others, key=lambda each: each.mark), known)

    def _check_names(self, found: _Found, query: WorkFilter) -> None:
        for kind, name in (("station", query.station), ("volunteer", query.volunteer)):
            if name is None:
                continue
            if not (self._is_known(kind, name) if found.known is None else name in found.known[kind]):
                raise UnknownNameError(kind, name)

    def _is_known(self, kind: str, name: str) -> bool:
        with self._database.pool.connection() as connection:
            row = connection.execute(_KNOWN[kind], {"name": name}).fetchone()
        return row is not None and bool(row[0])

    def _within(self, found: _Found, organisation: str, today: date) -> _Within:
        known_at = Position(found.basis.known_at)
        with snapshot(self._database) as (connection, _):
            places = read_places(connection, known_at)
            if organisation not in places.tree.histories:
                raise UnknownNameError("organisation", organisation)
            members = read_members(connection, places.tree, known_at)
        leaders, _ = places.leaders(found.timeline)
        names = frozenset(name for name in places.tree.histories if organisation in places.tree.path(name, today))
        return _Within(names, leaders, members, found.timeline, today)


@dataclass(frozen=True)
class _Within:
    """What belongs to an organisation or one below it (`names`): by its station on its day, else by its volunteer."""

    names: frozenset[str]
    leaders: Mapping[str, OrganisationHistory]
    members: Mapping[str, Sequence[Membership]]
    timeline: RuleTimeline
    today: date

    def includes(self, each: Waiting) -> bool:
        if each.station is None:
            return self._has_member(each.volunteer or "")
        day = local_day_of(self.timeline)(each.since)
        return organisation_on(self.leaders.get(each.station, []), day) in self.names

    def rows(self, open_shifts: OpenShifts, rows: Ints) -> Ints:
        """Return those rows that are included. All of a station are judged at once."""
        columns, included = open_shifts.columns, np.zeros(len(rows), bool)
        stations, days = columns.station[rows], local_days(columns.since[rows], self.timeline.time_zone)
        names = open_shifts.stations.texts()
        for station in np.unique(stations).tolist():
            of_station = np.flatnonzero(stations == station)
            if station == NONE:
                each_has = (self._has_member(open_shifts.waiting(row).volunteer or "") for row in rows[of_station])
                included[of_station] = np.fromiter(each_has, bool, len(of_station))
                continue
            led = self.leaders.get(names[station], [])
            since = np.array([day_number(day) for day, _ in led], np.int32)
            is_within = np.array([False, *(organisation in self.names for _, organisation in led)])
            included[of_station] = is_within[np.searchsorted(since, days[of_station], side="right")]
        return rows[included]

    def _has_member(self, volunteer: str) -> bool:
        return any(
            one.organisation in self.names and one.since <= self.today < one.until
            for one in self.members.get(volunteer, [])
        )


def _rows(open_shifts: OpenShifts, now: int, today: date, query: WorkFilter, within: _Within | None) -> Ints:
    """Return the rows of open shifts that wait at an instant and match a filter, in their order."""
    columns = open_shifts.columns
    chosen = columns.waits_from <= now
    if query.station is not None:
        chosen &= columns.station == open_shifts.stations.number.get(query.station, _NOBODY)
    if query.volunteer is not None:
        chosen &= columns.volunteer == open_shifts.volunteers.number.get(query.volunteer, _NOBODY)
    if query.overdue is not None:
        chosen &= (columns.due < day_number(today)) == query.overdue
    rows = np.flatnonzero(chosen).astype(np.int32)
    return rows if within is None else within.rows(open_shifts, rows)


def instant_of(axes: Axes, timeline: RuleTimeline, now: int) -> int:
    """Return the instant at which the list is asked for: the end of `valid_at`, or that of `known_at`, or else now."""
    return axes.instant(now) if axes.valid_at is None else end_instant(axes.valid_at, timeline.time_zone) - 1


def _overdue(each: Waiting, today: date) -> bool:
    return each.due is not None and today > each.due


def _answer(each: Waiting, today: date, timeline: RuleTimeline) -> WorkItem:
    return WorkItem(
        kind=each.kind,
        volunteer=each.volunteer,
        station=each.station,
        what=each.what,
        since=datetime.fromtimestamp(each.since, UTC).astimezone(ZoneInfo(timeline.time_zone)),
        due=each.due,
        overdue=_overdue(each, today),
        commands=list(each.commands),
        not_by=each.not_by,
        shift=each.shift,
        request=each.request,
        award=each.award,
        project=each.project,
    )
